// Accounts: who may log in, in which groups, with which password.

import { hash } from "node:crypto";
import { name as nameSchema } from "@jitdb/shared/api/wire";
import { JitdbError } from "@jitdb/shared/errors";
import { type Clock, createPersonId, type PersonId, type Random } from "@jitdb/shared/ids";
import { Secret } from "@jitdb/shared/secret";
import type { Kysely, Selectable } from "kysely";
import type { Trail } from "../audit/trail.ts";
import type { Bus } from "../bus.ts";
import type { Store } from "../store/store.ts";
import type { Tables } from "../store/tables.ts";
import { type Membership, membershipsOf, replaceMemberships } from "./memberships.ts";
import { endLoginsOf } from "./oauth/artifacts.ts";
import type { Passwords } from "./passwords.ts";

export interface Person {
  readonly id: PersonId;
  readonly name: string;
  /** Sorted. */
  readonly groups: readonly string[];
  /** Those of them that the company gave. */
  readonly companyGroups: readonly string[];
  readonly disabled: boolean;
  /** Whether a password was chosen, by the set-up link or on the server's console. */
  readonly hasPassword: boolean;
  /** Whether the company's identity provider vouches for the person, and no password here. */
  readonly company: boolean;
  /** A program of the company's, such as a CI job: it logs in with a token of its own, never with a password. */
  readonly service: boolean;
  /** Epoch milliseconds. */
  readonly createdAt: number;
}

/** A link that lets its holder choose the password, once. */
export interface SetupLink {
  /** 32 random bytes in base64url; goes behind `<publicUrl>/setup/`. Only its hash is kept. */
  readonly token: Secret;
  /** Epoch milliseconds. */
  readonly expiresAt: number;
}

export const setupLinkLifetimeMs = 24 * 60 * 60 * 1000;
const tokenBytes = 32;
const maxGroups = 100;

export interface PeopleOptions {
  readonly store: Store;
  readonly clock: Clock;
  readonly random: Random;
  readonly trail: Trail;
  readonly bus: Bus;
  readonly passwords: Passwords;
}

/** `by` names who does it, for the audit: a person's name, or the command on the server's console. */
export class People {
  readonly #store: Store;
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #trail: Trail;
  readonly #bus: Bus;
  readonly #passwords: Passwords;

  constructor({ store, clock, random, trail, bus, passwords }: PeopleOptions) {
    this.#store = store;
    this.#clock = clock;
    this.#random = random;
    this.#trail = trail;
    this.#bus = bus;
    this.#passwords = passwords;
  }

  /** @throws JitdbError `usage.invalid` for a malformed name, `person.exists`. */
  async add(
    input: { name: string; groups: readonly string[]; through?: string | undefined },
    by: string,
  ): Promise<{ person: Person; link: SetupLink }> {
    const person = checkName(input.name);
    const groups = checkGroups(input.groups);
    const addedBy = await this.#idOf(input.through);
    const link = this.#createLink();
    const id = createPersonId(this.#random);
    await this.#change(async (tx) => {
      const added = await tx
        .insertInto("people")
        .values({
          id,
          name: person,
          password_hash: null,
          ...linkColumns(link),
          disabled_at: null,
          created_at: this.#clock.now(),
        })
        .onConflict((conflict) => conflict.column("name").doNothing())
        .returning("id")
        .executeTakeFirst();
      if (added === undefined) {
        throw new JitdbError("person.exists", `There is already a person called ${person}.`);
      }
      await replaceMemberships(tx, { person: id, source: "local", groups, addedBy });
      await this.#trail.stage(tx, { kind: "person.added", person, groups, by });
    });
    return { person: await this.get(person), link };
  }

  /** All, by name. */
  async list(): Promise<Person[]> {
    const rows = await this.#store.db.selectFrom("people").selectAll().orderBy("name").execute();
    const memberships = await this.#store.db.selectFrom("memberships").selectAll().execute();
    return rows.map((row) =>
      toPerson(
        row,
        memberships.filter((one) => one.person_id === row.id),
      ),
    );
  }

  /** @throws JitdbError `person.unknown`. */
  async get(name: string): Promise<Person> {
    const row = await this.#rowOf(name);
    return toPerson(row, await membershipsOf(this.#store.db, row.id));
  }

  async find(id: PersonId): Promise<Person | undefined> {
    const row = await this.#store.db
      .selectFrom("people")
      .selectAll()
      .where("id", "=", id)
      .executeTakeFirst();
    return row && toPerson(row, await membershipsOf(this.#store.db, id));
  }

  /** Ends all logins of the person, too. @throws JitdbError `person.unknown`. */
  async disable(name: string, by: string): Promise<Person> {
    const { id } = await this.#rowOf(name);
    await this.#change(async (tx) => {
      const disabled = await tx
        .updateTable("people")
        .set({ disabled_at: this.#clock.now() })
        .where("id", "=", id)
        .where("disabled_at", "is", null)
        .returning("name")
        .executeTakeFirst();
      if (disabled !== undefined) {
        await endLoginsOf(tx, id);
        await this.#trail.stage(tx, { kind: "person.disabled", person: disabled.name, by });
      }
    });
    this.#bus.emit({ type: "person", id });
    return await this.get(name);
  }

  /** The logins of before stay ended. @throws JitdbError `person.unknown`. */
  async enable(name: string, by: string): Promise<Person> {
    const { id } = await this.#rowOf(name);
    await this.#change(async (tx) => {
      const enabled = await tx
        .updateTable("people")
        .set({ disabled_at: null })
        .where("id", "=", id)
        .where("disabled_at", "is not", null)
        .returning("name")
        .executeTakeFirst();
      if (enabled !== undefined) {
        await this.#trail.stage(tx, { kind: "person.enabled", person: enabled.name, by });
      }
    });
    this.#bus.emit({ type: "person", id });
    return await this.get(name);
  }

  /**
   * Replaces the groups that the operator gave the person; the company's stay. `through` names who brought the person into those that are new.
   * @throws JitdbError `person.unknown`, `usage.invalid`.
   */
  async setGroups(
    name: string,
    groups: readonly string[],
    by: string,
    through?: string,
  ): Promise<Person> {
    const checked = checkGroups(groups);
    const addedBy = await this.#idOf(through);
    const { id } = await this.#humanOf(name);
    await this.#change(async (tx) => {
      const gift = { person: id, source: "local", groups: checked, addedBy } as const;
      const all = await replaceMemberships(tx, gift);
      await this.#trail.stage(tx, { kind: "person.groups_changed", person: name, groups: all, by });
    });
    this.#bus.emit({ type: "person", id });
    return await this.get(name);
  }

  /** A new link, also for a forgotten password; the one before ends to work. @throws JitdbError `person.unknown`. */
  async renewLink(name: string, by: string): Promise<SetupLink> {
    const { id } = await this.#localOf(name);
    const link = this.#createLink();
    await this.#change(async (tx) => {
      await tx.updateTable("people").set(linkColumns(link)).where("id", "=", id).execute();
      await this.#trail.stage(tx, { kind: "setup.created", person: name, by });
    });
    return link;
  }

  /**
   * Sets a person up without a link, on the server's console.
   * @throws JitdbError `person.unknown`, `usage.invalid` for a password that is too short or too long.
   */
  async setPassword(name: string, password: Secret): Promise<void> {
    const { id } = await this.#localOf(name);
    const password_hash = await this.#passwords.hash(password);
    await this.#change(async (tx) => {
      await tx
        .updateTable("people")
        .set({ password_hash, ...noLink })
        .where("id", "=", id)
        .execute();
      await endLoginsOf(tx, id);
      await this.#trail.stage(tx, { kind: "setup.used", person: name });
    });
    this.#bus.emit({ type: "person", id });
  }

  /** The person, if the password is theirs and they are enabled. Takes the same time whether they exist or not. */
  async verifyPassword(name: string, password: Secret): Promise<Person | undefined> {
    const row = await this.#store.db
      .selectFrom("people")
      .selectAll()
      .where("name", "=", name)
      .executeTakeFirst();
    const matches = await this.#passwords.verify(password, row?.password_hash ?? null);
    if (row === undefined || !matches || row.disabled_at !== null) {
      return undefined;
    }
    return toPerson(row, await membershipsOf(this.#store.db, row.id));
  }

  /** Whose link this is, if it still works. */
  async linkOwner(token: Secret): Promise<Person | undefined> {
    const row = await this.#store.db
      .selectFrom("people")
      .selectAll()
      .where("setup_token_hash", "=", hashOf(token))
      .where("setup_expires_at", ">", this.#clock.now())
      .where("disabled_at", "is", null)
      .executeTakeFirst();
    return row && toPerson(row, await membershipsOf(this.#store.db, row.id));
  }

  /**
   * Spends the link. `undefined`: it was used or has expired meanwhile.
   * Logins of before end: who asked for a new link may have lost more than the password.
   * @throws JitdbError `usage.invalid` for the password.
   */
  async useLink(token: Secret, password: Secret, address: string): Promise<Person | undefined> {
    const password_hash = await this.#passwords.hash(password);
    const person = await this.#change(async (tx) => {
      const row = await tx
        .updateTable("people")
        .set({ password_hash, ...noLink })
        .where("setup_token_hash", "=", hashOf(token))
        .where("setup_expires_at", ">", this.#clock.now())
        .where("disabled_at", "is", null)
        .returning(["id", "name"])
        .executeTakeFirst();
      if (row !== undefined) {
        await endLoginsOf(tx, row.id);
        await this.#trail.stage(tx, { kind: "setup.used", person: row.name, address });
      }
      return row;
    });
    if (person === undefined) {
      return undefined;
    }
    this.#bus.emit({ type: "person", id: person.id });
    return await this.find(person.id);
  }

  /** In one transaction, with the audit's records moved on after it. */
  async #change<T>(work: (tx: Kysely<Tables>) => Promise<T>): Promise<T> {
    const result = await this.#store.transaction(work);
    await this.#trail.drain();
    return result;
  }

  /** SECURITY: a service in a group would approve; one with a password would be a person without a name. */
  async #humanOf(name: string): Promise<PersonRow> {
    const row = await this.#rowOf(name);
    if (row.kind === "service") {
      throw new JitdbError(
        "usage.invalid",
        `${name} is a service: it has no groups and no password.`,
        {
          hint: "Services are written below identity.services in jitdb.yaml.",
        },
      );
    }
    return row;
  }

  /** SECURITY: a password beside the company's login would outlive the person's leaving. */
  async #localOf(name: string): Promise<PersonRow> {
    const row = await this.#humanOf(name);
    if (row.subject !== null) {
      throw new JitdbError(
        "usage.invalid",
        `${name} logs in at the company, without a password here.`,
        {
          hint: `Reset it there, or run \`jitdb-server users disable ${name}\` to keep them out.`,
        },
      );
    }
    return row;
  }

  async #idOf(name: string | undefined): Promise<PersonId | null> {
    return name === undefined ? null : (await this.#rowOf(name)).id;
  }

  async #rowOf(name: string): Promise<PersonRow> {
    const row = await this.#store.db
      .selectFrom("people")
      .selectAll()
      .where("name", "=", name)
      .executeTakeFirst();
    if (row === undefined) {
      const shown = nameSchema.safeParse(name).success ? ` called ${name}` : " of that name";
      throw new JitdbError("person.unknown", `There is no person${shown}.`);
    }
    return row;
  }

  #createLink(): SetupLink {
    const token = Buffer.from(this.#random.bytes(tokenBytes)).toString("base64url");
    return { token: new Secret(token), expiresAt: this.#clock.now() + setupLinkLifetimeMs };
  }
}

type PersonRow = Selectable<Tables["people"]>;

const noLink = { setup_token_hash: null, setup_expires_at: null };

function linkColumns(link: SetupLink) {
  return { setup_token_hash: hashOf(link.token), setup_expires_at: link.expiresAt };
}

function hashOf(token: Secret): string {
  return hash("sha256", token.reveal(), "hex");
}

function toPerson(row: PersonRow, memberships: readonly Membership[]): Person {
  const names = (each: readonly Membership[]) => each.map((one) => one.group_name).toSorted();
  return {
    id: row.id,
    name: row.name,
    groups: names(memberships),
    companyGroups: names(memberships.filter(({ source }) => source !== "local")),
    disabled: row.disabled_at !== null,
    hasPassword: row.password_hash !== null,
    company: row.subject !== null,
    service: row.kind === "service",
    createdAt: row.created_at,
  };
}

function checkName(name: string): string {
  const checked = nameSchema.safeParse(name);
  if (!checked.success) {
    throw new JitdbError("usage.invalid", "This cannot be a person's name.", {
      hint: "Use lower-case letters, digits, '.', '_' and '-', at most 63, starting with a letter or digit.",
    });
  }
  return checked.data;
}

function checkGroups(groups: readonly string[]): string[] {
  const checked = new Set<string>();
  for (const group of groups) {
    if (!nameSchema.safeParse(group).success) {
      throw new JitdbError("usage.invalid", "This cannot be a group's name.", {
        hint: "Use lower-case letters, digits, '.', '_' and '-', at most 63, starting with a letter or digit.",
      });
    }
    checked.add(group);
  }
  if (checked.size > maxGroups) {
    throw new JitdbError("usage.invalid", `A person may be in at most ${maxGroups} groups.`);
  }
  return [...checked].toSorted();
}
