// The accounts of people who log in at the company: made at the first login, matched by issuer and subject alone.

import { name as nameSchema } from "@jitdb/shared/api/wire";
import { JitdbError } from "@jitdb/shared/errors";
import { type Clock, createPersonId, type PersonId, type Random } from "@jitdb/shared/ids";
import type { Kysely } from "kysely";
import type { Trail } from "../audit/trail.ts";
import type { Bus } from "../bus.ts";
import type { Store } from "../store/store.ts";
import type { Tables } from "../store/tables.ts";
import type { CompanyPerson } from "./company.ts";
import { type Artifacts, endLoginsOf } from "./oauth/artifacts.ts";
import type { People, Person } from "./people.ts";

/** As long as a login of a device can last. */
const sessionMs = 365 * 24 * 60 * 60 * 1000;

const by = "the company's login";

export interface CompanyAccountsOptions {
  readonly store: Store;
  readonly clock: Clock;
  readonly random: Random;
  readonly trail: Trail;
  readonly bus: Bus;
  readonly people: People;
  readonly artifacts: Artifacts;
}

export class CompanyAccounts {
  readonly #options: CompanyAccountsOptions;

  constructor(options: CompanyAccountsOptions) {
    this.#options = options;
  }

  /**
   * The account, with the groups that the company says now; what this server's operator gave stays.
   * @throws JitdbError `login.company` for a disabled account, or where the name is no name here or somebody else's
   */
  async welcome(told: CompanyPerson): Promise<Person> {
    const { store, trail, bus, people, artifacts } = this.#options;
    const id = await store.transaction(async (tx) => {
      const known = await tx
        .selectFrom("people")
        .select(["id", "name", "disabled_at"])
        .where("subject", "=", told.subject)
        .executeTakeFirst();
      if (known !== undefined && known.disabled_at !== null) {
        throw refused(`The account ${known.name} is disabled here.`);
      }
      const account = known ?? (await this.#add(tx, told));
      await this.#replaceGroups(tx, account, told.groups, known === undefined);
      return account.id;
    });
    await trail.drain();
    bus.emit({ type: "person", id });
    if (told.session !== undefined) {
      await artifacts.save("CompanySession", told.session, { accountId: id }, sessionMs);
    }
    const person = await people.find(id);
    if (person === undefined || person.disabled) {
      throw refused("The account was disabled meanwhile.");
    }
    return person;
  }

  /** Ends all logins of whom the company logged out, here and on every device. */
  async logOut(who: { subject?: string; session?: string }, address: string): Promise<void> {
    const { store, trail, bus, artifacts } = this.#options;
    const session =
      who.session === undefined ? undefined : await artifacts.find("CompanySession", who.session);
    const person = await store.db
      .selectFrom("people")
      .select(["id", "name"])
      .where("subject", "is not", null)
      .$if(who.subject !== undefined, (query) => query.where("subject", "=", who.subject ?? ""))
      .$if(who.subject === undefined, (query) =>
        query.where("id", "=", (session?.payload.accountId ?? "") as PersonId),
      )
      .executeTakeFirst();
    if (person === undefined) {
      return;
    }
    const devices = await store.transaction(async (tx) => {
      await endLoginsOf(tx, person.id);
      await trail.stage(tx, { kind: "login.logged_out", person: person.name, address });
      return await tx
        .selectFrom("devices")
        .select("id")
        .where("person_id", "=", person.id)
        .execute();
    });
    await trail.drain();
    for (const { id } of devices) {
      bus.emit({ type: "device", id });
    }
  }

  async #add(tx: Kysely<Tables>, told: CompanyPerson) {
    const name = nameSchema.safeParse(told.name?.split("@", 1)[0]?.toLowerCase()).data;
    if (name === undefined) {
      throw refused("The company sent no name that can be one here.");
    }
    const added = await tx
      .insertInto("people")
      .values({
        id: createPersonId(this.#options.random),
        name,
        subject: told.subject,
        password_hash: null,
        setup_token_hash: null,
        setup_expires_at: null,
        disabled_at: null,
        created_at: this.#options.clock.now(),
      })
      .onConflict((conflict) => conflict.column("name").doNothing())
      .returning(["id", "name"])
      .executeTakeFirst();
    if (added === undefined) {
      // SECURITY: whoever can choose a name at the company would take over the local account of that name.
      throw refused(`There is another account called ${name} here.`);
    }
    await this.#options.trail.stage(tx, {
      kind: "person.added",
      person: name,
      groups: told.groups,
      by,
    });
    return added;
  }

  async #replaceGroups(
    tx: Kysely<Tables>,
    { id, name }: { id: PersonId; name: string },
    groups: readonly string[],
    isNew: boolean,
  ): Promise<void> {
    const before = await tx
      .deleteFrom("memberships")
      .where("person_id", "=", id)
      .where("source", "=", "idp")
      .returning("group_name")
      .execute();
    if (groups.length > 0) {
      await tx
        .insertInto("memberships")
        .values(groups.map((group_name) => ({ person_id: id, group_name, source: "idp" as const })))
        .onConflict((conflict) => conflict.columns(["person_id", "group_name"]).doNothing())
        .execute();
    }
    const kept = before.map((row) => row.group_name).toSorted();
    if (!isNew && kept.join() !== groups.join()) {
      await this.#options.trail.stage(tx, {
        kind: "person.groups_changed",
        person: name,
        groups,
        by,
      });
    }
  }
}

function refused(message: string): JitdbError {
  return new JitdbError("login.company", message);
}
