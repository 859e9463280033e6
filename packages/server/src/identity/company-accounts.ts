// The accounts of people who log in at the company: made at the first login, matched by issuer and subject alone.

import { name as nameSchema } from "@jitdb/shared/api/wire";
import { JitdbError } from "@jitdb/shared/errors";
import { type Clock, createPersonId, type PersonId, type Random } from "@jitdb/shared/ids";
import type { Kysely } from "kysely";
import type { Trail } from "../audit/trail.ts";
import type { Bus } from "../bus.ts";
import type { Store } from "../store/store.ts";
import type { Tables } from "../store/tables.ts";
import type { CompanyPerson, Logout } from "./company.ts";
import { membershipsOf, replaceMemberships } from "./memberships.ts";
import { type Artifacts, endLoginsOf } from "./oauth/artifacts.ts";
import type { People, Person } from "./people.ts";
import type { UsedProofs } from "./proof.ts";

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
  readonly usedProofs: UsedProofs;
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

  /**
   * Ends all logins of whom the company logged out, here and on every device. False: the token was obeyed before.
   * Where it fails, nothing was ended, and the same token may come again.
   */
  async logOut(logout: Logout, address: string): Promise<boolean> {
    const { store, trail, bus, usedProofs } = this.#options;
    const person = await this.#personOf(logout);
    const devices = await store.transaction(async (tx) => {
      const { id, goodForMs } = logout;
      if (!(await usedProofs.claim("company logout", id, goodForMs, tx))) {
        return undefined;
      }
      if (person === undefined) {
        return [];
      }
      await endLoginsOf(tx, person.id);
      await trail.stage(tx, { kind: "login.logged_out", person: person.name, address });
      return await tx
        .selectFrom("devices")
        .select("id")
        .where("person_id", "=", person.id)
        .execute();
    });
    for (const { id } of devices ?? []) {
      bus.emit({ type: "device", id });
    }
    await trail.drain();
    return devices !== undefined;
  }

  async #personOf({ subject, session }: Logout) {
    const { store, artifacts } = this.#options;
    const people = store.db
      .selectFrom("people")
      .select(["id", "name"])
      .where("subject", "is not", null);
    if (subject !== undefined) {
      return await people.where("subject", "=", subject).executeTakeFirst();
    }
    const known = await artifacts.find("CompanySession", session ?? "");
    const id = (known?.payload.accountId ?? "") as PersonId;
    return await people.where("id", "=", id).executeTakeFirst();
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
    const before = (await membershipsOf(tx, id))
      .filter(({ source }) => source !== "local")
      .map(({ group_name }) => group_name);
    const all = await replaceMemberships(tx, { person: id, source: "idp", groups });
    if (!isNew && before.join() !== groups.join()) {
      await this.#options.trail.stage(tx, {
        kind: "person.groups_changed",
        person: name,
        groups: all,
        by,
      });
    }
  }
}

function refused(message: string): JitdbError {
  return new JitdbError("login.company", message);
}
