// Sees to it that what is over ends: turns due times and hints into the gateway's ends. The store decides, the gateway acts.

import type { Clock, DeviceId, GrantId, PersonId } from "@jitdb/shared/ids";
import type { Logger } from "pino";
import { endedError } from "./access/grants/grant.ts";
import type { AccessService } from "./access/service.ts";
import type { Trail } from "./audit/trail.ts";
import type { Bus, Hint } from "./bus.ts";
import type { Gateway } from "./gateway/gateway.ts";
import { hasLogin } from "./identity/devices.ts";
import { type Repeated, repeat } from "./repeat.ts";
import type { Store } from "./store/store.ts";

export const endingLimits = {
  /** Between sweeps; a grant that ends earlier is swept on time. */
  longestRestMs: 1000,
  shortestRestMs: 20,
} as const;

const loginEnded = "The login of this device was ended.";

export interface EndingsPorts {
  readonly access: Pick<AccessService, "sweep">;
  readonly gateway: Pick<Gateway, "endGrant" | "endPerson" | "endDevice" | "followGrants">;
  readonly trail: Pick<Trail, "drain">;
  readonly store: Pick<Store, "db">;
  readonly bus: Pick<Bus, "on">;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** Works until it is stopped. */
export class Endings {
  readonly #ports: EndingsPorts;
  readonly #sweeps: Repeated;
  readonly #unsubscribe: () => void;

  constructor(ports: EndingsPorts) {
    this.#ports = ports;
    this.#unsubscribe = ports.bus.on((hint) => {
      this.#follow(hint).catch((error) => this.#report(error));
    });
    this.#sweeps = repeat(
      () => this.#sweep(),
      (error) => this.#report(error),
    );
  }

  async stop(): Promise<void> {
    this.#unsubscribe();
    await this.#sweeps.stop();
  }

  /** @returns how long nothing is due, in milliseconds */
  async #sweep(): Promise<number> {
    const { access, gateway, trail, store, clock } = this.#ports;
    const { ended } = await access.sweep();
    await Promise.all(
      ended.map(({ grantId, end, error }) => gateway.endGrant(grantId, end, error)),
    );
    // Behind the ends: they must not wait for a journal that can't be written.
    await trail.drain();
    const next = await store.db
      .selectFrom("grants")
      .select((select) => select.fn.min("ends_at").as("at"))
      .where("state", "=", "active")
      .executeTakeFirst();
    const restMs = Number(next?.at ?? Number.POSITIVE_INFINITY) - clock.now();
    return Math.min(Math.max(restMs, endingLimits.shortestRestMs), endingLimits.longestRestMs);
  }

  async #follow({ type, id }: Hint): Promise<void> {
    switch (type) {
      case "grant":
        await this.#followGrant(id as GrantId);
        break;
      case "person":
        await this.#followPerson(id as PersonId);
        break;
      case "device":
        await this.#followDevice(id as DeviceId);
        break;
      case "request":
      case "session":
      case "outbox":
        break;
    }
  }

  async #followGrant(id: GrantId): Promise<void> {
    const { store, gateway } = this.#ports;
    const grant = await store.db
      .selectFrom("grants")
      .leftJoin("people", "people.id", "grants.ended_by")
      .select(["database_name", "state", "end", "end_reason", "people.name as ender"])
      .where("grants.id", "=", id)
      .executeTakeFirst();
    if (grant === undefined) {
      return;
    }
    if (grant.end === null) {
      await gateway.followGrants();
    } else {
      await gateway.endGrant(id, grant.end, endedError(grant, grant.ender));
    }
  }

  async #followPerson(id: PersonId): Promise<void> {
    const { store, gateway } = this.#ports;
    const person = await store.db
      .selectFrom("people")
      .select("disabled_at")
      .where("id", "=", id)
      .executeTakeFirst();
    if (person?.disabled_at != null) {
      // The sweep ends the grants of disabled people.
      this.#sweeps.wake();
      await gateway.endPerson(id, "The account was disabled.");
    }
    // SECURITY: a new password ends all logins, and what they opened with them (invariant 4).
    for (const device of await this.#loggedOut("person_id", id)) {
      await gateway.endDevice(device, loginEnded);
    }
  }

  /** Revoked, logged out, or its token was stolen. */
  async #followDevice(id: DeviceId): Promise<void> {
    for (const device of await this.#loggedOut("devices.id", id)) {
      await this.#ports.gateway.endDevice(device, loginEnded);
    }
  }

  /** Of these devices, those that no login allows anything any more. */
  async #loggedOut(
    column: "devices.id" | "person_id",
    value: DeviceId | PersonId,
  ): Promise<DeviceId[]> {
    const { store, clock } = this.#ports;
    const devices = await store.db
      .selectFrom("devices")
      .innerJoin("people", "people.id", "devices.person_id")
      .select("devices.id")
      .where(column, "=", value)
      .where((where) =>
        where.or([where("revoked_at", "is not", null), where.not(hasLogin(where, clock.now()))]),
      )
      .execute();
    return devices.map(({ id }) => id);
  }

  #report(error: unknown): void {
    this.#ports.logger.error({ err: error }, "an end could not be carried out; it is tried again");
  }
}
