// Devices: the keys that people log in with. A device belongs to one person for ever. Who vouches for one, and who takes
// one away, is vouching.ts's matter.

import type { Clock, DeviceId, PersonId } from "@jitdb/shared/ids";
import type { ExpressionBuilder, Kysely } from "kysely";
import type { Trail } from "../audit/trail.ts";
import type { Store } from "../store/store.ts";
import type { Tables } from "../store/tables.ts";
import { confirmDevice } from "./confirmation.ts";

/** Who logs in, on what, from where. */
export interface Enrolment {
  readonly device: DeviceId;
  readonly person: { readonly id: PersonId; readonly name: string };
  readonly label: string;
  readonly address: string;
  /** Whether the place that it logs in from vouches for it. */
  readonly vouchedFor: boolean;
  /** How they proved who they are. */
  readonly method: string;
  /** When they did, epoch milliseconds; now unless told otherwise. */
  readonly authenticatedAt?: number;
}

export interface DevicesOptions {
  readonly store: Store;
  readonly clock: Clock;
  readonly trail: Trail;
}

export class Devices {
  readonly #store: Store;
  readonly #clock: Clock;
  readonly #trail: Trail;

  constructor({ store, clock, trail }: DevicesOptions) {
    this.#store = store;
    this.#clock = clock;
    this.#trail = trail;
  }

  /** Records a login. False, and recorded as a failure: the key is somebody else's, or was revoked. */
  async enrol(enrolment: Enrolment): Promise<boolean> {
    const { person, device, label, address } = enrolment;
    const welcome = await this.#store.transaction(async (tx) => {
      await this.#see(tx, enrolment);
      const row = await tx
        .updateTable("devices")
        .set({ label, authenticated_at: enrolment.authenticatedAt ?? this.#clock.now() })
        .where("id", "=", device)
        // SECURITY: a key shared by two people would make one of them answer for the other.
        .where("person_id", "=", person.id)
        .where("revoked_at", "is", null)
        .returning("confirmed_at")
        .executeTakeFirst();
      const subject = { person: person.name, device, address };
      if (row === undefined) {
        const reason = "The device's key is another person's, or was revoked.";
        await this.#trail.stage(tx, { kind: "login.failed", ...subject, reason });
        return false;
      }
      if (enrolment.vouchedFor) {
        await this.#confirm(tx, enrolment);
      }
      await this.#trail.stage(tx, {
        kind: "login.succeeded",
        ...subject,
        method: enrolment.method,
      });
      return true;
    });
    await this.#trail.drain();
    return welcome;
  }

  /** Whether the device is this person's and was not revoked. */
  async isUsable(device: DeviceId, person: PersonId): Promise<boolean> {
    const row = await this.#store.db
      .selectFrom("devices")
      .select("id")
      .where("id", "=", device)
      .where("person_id", "=", person)
      .where("revoked_at", "is", null)
      .executeTakeFirst();
    return row !== undefined;
  }

  /** Whether a login of this device lives: it was not logged out, revoked, disabled or left to expire. */
  async isLoggedIn(device: DeviceId): Promise<boolean> {
    const row = await this.#store.db
      .selectFrom("devices")
      .innerJoin("people", "people.id", "devices.person_id")
      .where("devices.id", "=", device)
      .where("revoked_at", "is", null)
      .where("disabled_at", "is", null)
      .where((where) => hasLogin(where, this.#clock.now()))
      .select("devices.id")
      .executeTakeFirst();
    return row !== undefined;
  }

  async #confirm(tx: Kysely<Tables>, { device, person }: Enrolment): Promise<void> {
    if (await confirmDevice(tx, device, { by: person.id, at: this.#clock.now() })) {
      const { name } = person;
      await this.#trail.stage(tx, {
        kind: "device.confirmed",
        person: name,
        device,
        by: name,
        how: "loopback",
      });
    }
  }

  async #see(tx: Kysely<Tables>, { device, person, label, address }: Enrolment): Promise<void> {
    const seen = await tx
      .insertInto("devices")
      .values({
        id: device,
        person_id: person.id,
        label,
        first_address: address,
        first_seen_at: this.#clock.now(),
        confirmed_at: null,
        confirmed_by: null,
        revoked_at: null,
      })
      .onConflict((conflict) => conflict.column("id").doNothing())
      .returning("id")
      .executeTakeFirst();
    if (seen !== undefined) {
      await this.#trail.stage(tx, {
        kind: "device.seen",
        person: person.name,
        device,
        label,
        address,
      });
    }
  }
}

/** Whether a device has a login that lives, for queries over devices and their people. `now` is epoch milliseconds. */
export function hasLogin(where: ExpressionBuilder<Tables, "devices" | "people">, now: number) {
  return where.exists((query) =>
    query
      .selectFrom("oauth_artifacts as token")
      .innerJoin("oauth_artifacts as login", "login.grant_id", "token.grant_id")
      .select("token.id")
      .whereRef("token.uid", "=", "devices.id")
      .where("login.model", "=", "Grant")
      .where("token.expires_at", ">", now),
  );
}
