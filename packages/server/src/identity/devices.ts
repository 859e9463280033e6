// Devices: the keys that people log in with. A device belongs to one person for ever.

import type { Clock, DeviceId, PersonId } from "@jitdb/shared/ids";
import type { Kysely } from "kysely";
import type { Trail } from "../audit/trail.ts";
import type { Bus } from "../bus.ts";
import type { Store } from "../store/store.ts";
import type { Tables } from "../store/tables.ts";

/** Who logs in, on what, from where. */
export interface Enrolment {
  readonly device: DeviceId;
  readonly person: { readonly id: PersonId; readonly name: string };
  readonly label: string;
  readonly address: string;
  /** Whether the place that it logs in from vouches for it. */
  readonly vouchedFor: boolean;
}

export interface Confirmation {
  readonly device: DeviceId;
  /** Name of the device's person. */
  readonly person: string;
  /** Who vouches for it. */
  readonly by: { readonly id: PersonId; readonly name: string };
  /** What it rests on: `approval` of a request, or a login from `loopback`. */
  readonly how: string;
}

export interface DevicesOptions {
  readonly store: Store;
  readonly clock: Clock;
  readonly trail: Trail;
  readonly bus: Bus;
}

export class Devices {
  readonly #store: Store;
  readonly #clock: Clock;
  readonly #trail: Trail;
  readonly #bus: Bus;

  constructor({ store, clock, trail, bus }: DevicesOptions) {
    this.#store = store;
    this.#clock = clock;
    this.#trail = trail;
    this.#bus = bus;
  }

  /** Records a login. False, and recorded as a failure: the key is somebody else's, or was revoked. */
  async enrol(enrolment: Enrolment): Promise<boolean> {
    const { person, device, label, address } = enrolment;
    const welcome = await this.#store.transaction(async (tx) => {
      await this.#see(tx, enrolment);
      const row = await tx
        .updateTable("devices")
        .set({ label })
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
        await this.confirm(tx, { device, person: person.name, by: person, how: "loopback" });
      }
      await this.#trail.stage(tx, { kind: "login.succeeded", ...subject, method: "password" });
      return true;
    });
    await this.#trail.drain();
    return welcome;
  }

  /** Vouches for a device, as part of the approval of its first request. A confirmed one stays as it is. */
  async confirm(tx: Kysely<Tables>, confirmation: Confirmation): Promise<void> {
    const { device, person, by, how } = confirmation;
    const confirmed = await tx
      .updateTable("devices")
      .set({ confirmed_at: this.#clock.now(), confirmed_by: by.id })
      .where("id", "=", device)
      .where("confirmed_at", "is", null)
      .where("revoked_at", "is", null)
      .returning("id")
      .executeTakeFirst();
    if (confirmed !== undefined) {
      await this.#trail.stage(tx, { kind: "device.confirmed", person, device, by: by.name, how });
    }
  }

  /** Refuses the device for ever and ends its logins and tunnels. False: unknown, or revoked before. */
  async revoke(device: DeviceId, by: string): Promise<boolean> {
    const revoked = await this.#store.transaction(async (tx) => {
      const row = await tx
        .updateTable("devices")
        .from("people")
        .set({ revoked_at: this.#clock.now() })
        .whereRef("people.id", "=", "devices.person_id")
        .where("devices.id", "=", device)
        .where("revoked_at", "is", null)
        .returning("people.name")
        .executeTakeFirst();
      if (row === undefined) {
        return false;
      }
      await tx.deleteFrom("oauth_artifacts").where("uid", "=", device).execute();
      await this.#trail.stage(tx, { kind: "device.revoked", person: row.name, device, by });
      return true;
    });
    await this.#trail.drain();
    this.#bus.emit({ type: "device", id: device });
    return revoked;
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
      .innerJoin("oauth_artifacts as token", "token.uid", "devices.id")
      .innerJoin("oauth_artifacts as login", "login.grant_id", "token.grant_id")
      .where("devices.id", "=", device)
      .where("revoked_at", "is", null)
      .where("disabled_at", "is", null)
      .where("login.model", "=", "Grant")
      .where("token.expires_at", ">", this.#clock.now())
      .select("devices.id")
      .executeTakeFirst();
    return row !== undefined;
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
