// Who may vouch for a device, and who may take one away: its person from a device that is known, administrators, and the
// operator at the server's console. Devices that log in are the matter of devices.ts.

import { JitdbError } from "@jitdb/shared/errors";
import type { Clock, DeviceId, PersonId } from "@jitdb/shared/ids";
import type { Kysely } from "kysely";
import { refuseUnconfirmed, type Standing, standingOf } from "../access/standing.ts";
import type { EventOf } from "../audit/record.ts";
import type { Trail } from "../audit/trail.ts";
import type { Bus } from "../bus.ts";
import type { Store } from "../store/store.ts";
import type { Tables } from "../store/tables.ts";
import type { Caller } from "./caller.ts";
import { confirmDevice } from "./confirmation.ts";
import { hasLogin } from "./devices.ts";

/** Whoever may run commands on the server's machine, as the audit names them. */
export const operator = "console";

export type Voucher = Caller | typeof operator;

/** A device that is not revoked. Times are epoch milliseconds. */
export interface KnownDevice {
  readonly id: DeviceId;
  readonly personId: PersonId;
  readonly person: string;
  readonly label: string;
  readonly confirmed: boolean;
  readonly firstAddress: string;
  readonly firstSeenAt: number;
}

export interface VouchingOptions {
  readonly store: Store;
  readonly clock: Clock;
  readonly trail: Trail;
  readonly bus: Pick<Bus, "emit">;
}

type Action = EventOf<"device.refused">["action"];

export class Vouching {
  readonly #store: Store;
  readonly #clock: Clock;
  readonly #trail: Trail;
  readonly #bus: Pick<Bus, "emit">;

  constructor({ store, clock, trail, bus }: VouchingOptions) {
    this.#store = store;
    this.#clock = clock;
    this.#trail = trail;
    this.#bus = bus;
  }

  /**
   * The devices of one person, or of everybody, oldest first: those that are confirmed or logged in. What is neither
   * can do nothing before its next login, and comes back with it.
   */
  async list(person?: PersonId): Promise<KnownDevice[]> {
    let query = selectKnown(this.#store.db)
      .where((where) =>
        where.or([where("confirmed_at", "is not", null), hasLogin(where, this.#clock.now())]),
      )
      .orderBy("people.name")
      .orderBy("first_seen_at")
      .orderBy("devices.id");
    if (person !== undefined) {
      query = query.where("person_id", "=", person);
    }
    return (await query.execute()).map(toKnown);
  }

  /**
   * Vouches for a device. One that is confirmed already stays as it is.
   * @throws JitdbError `device.unknown` for one that is revoked or another person's, `device.unconfirmed` for a call from
   * an unconfirmed device, which is why none confirms itself
   */
  async confirm(by: Voucher, id: string): Promise<KnownDevice> {
    return await this.#change(by, id, "confirm", async (tx, device) => {
      const isOperator = by === operator;
      const voucher = { by: isOperator ? null : by.personId, at: this.#clock.now() };
      if (await confirmDevice(tx, device.id, voucher)) {
        await this.#trail.stage(tx, {
          kind: "device.confirmed",
          person: device.person,
          device: device.id,
          ...(isOperator ? {} : { address: by.address }),
          by: isOperator ? operator : by.name,
          how: isOperator ? operator : `device ${by.deviceId}`,
        });
      }
    });
  }

  /**
   * Refuses a device for ever, and ends its logins and tunnels.
   * @throws JitdbError `device.unknown` for one that is revoked already, and for other people's unless an administrator
   * calls; `device.unconfirmed` for a call from an unconfirmed device about another one than itself
   */
  async revoke(by: Voucher, id: string): Promise<KnownDevice> {
    return await this.#change(by, id, "revoke", async (tx, device) => {
      await tx
        .updateTable("devices")
        .set({ revoked_at: this.#clock.now() })
        .where("id", "=", device.id)
        .where("revoked_at", "is", null)
        .execute();
      await tx.deleteFrom("oauth_artifacts").where("uid", "=", device.id).execute();
      await this.#trail.stage(tx, {
        kind: "device.revoked",
        person: device.person,
        device: device.id,
        ...(by === operator ? { by } : { by: by.name, address: by.address }),
      });
    });
  }

  /** One transaction; gives the device as it is after it. */
  async #change(
    by: Voucher,
    id: string,
    action: Action,
    work: (tx: Kysely<Tables>, device: KnownDevice) => Promise<void>,
  ): Promise<KnownDevice> {
    try {
      const changed = await this.#store.transaction(async (tx) => {
        const device = await findKnown(tx, id);
        if (by !== operator) {
          refuse(await standingOf(tx, by), by, device, action);
        }
        if (device === undefined) {
          throw unknownDevice(id, action);
        }
        await work(tx, device);
        return { ...device, confirmed: action === "confirm" || device.confirmed };
      });
      // Before the journal is written: an end must not wait for a full disk.
      this.#bus.emit({ type: "device", id: changed.id });
      await this.#trail.drain();
      return changed;
    } catch (error) {
      if (by !== operator && error instanceof JitdbError && error.forms.http < 500) {
        await this.#recordRefusal(by, { action, target: id }, error);
      }
      throw error;
    }
  }

  async #recordRefusal(
    { name, deviceId, address }: Caller,
    refused: Pick<EventOf<"device.refused">, "action" | "target">,
    { code, message }: JitdbError,
  ): Promise<void> {
    const kind = "device.refused";
    await this.#store.transaction((tx) =>
      this.#trail.stage(tx, {
        kind,
        person: name,
        device: deviceId,
        address,
        ...refused,
        code,
        reason: message,
      }),
    );
    await this.#trail.drain();
  }
}

function refuse(
  standing: Standing,
  caller: Caller,
  device: KnownDevice | undefined,
  action: Action,
): void {
  if (device?.id === caller.deviceId && action === "revoke") {
    return;
  }
  // SECURITY: also for revoking: a phished login must not lock the person out of the devices that are really theirs.
  refuseUnconfirmed(standing, caller);
  const isOwn = device?.personId === caller.personId;
  if (device !== undefined && !isOwn && !(action === "revoke" && standing.administrator)) {
    // Another person's device is not there, so that nobody learns ids by trying.
    throw unknownDevice(device.id, action);
  }
}

function unknownDevice(id: string, action: Action): JitdbError {
  return new JitdbError("device.unknown", `There is no device ${id} that you may ${action}.`);
}

async function findKnown(db: Kysely<Tables>, id: string): Promise<KnownDevice | undefined> {
  const row = await selectKnown(db)
    .where("devices.id", "=", id as DeviceId)
    .executeTakeFirst();
  return row && toKnown(row);
}

function selectKnown(db: Kysely<Tables>) {
  return db
    .selectFrom("devices")
    .innerJoin("people", "people.id", "devices.person_id")
    .select([
      "devices.id",
      "person_id",
      "people.name as person",
      "label",
      "confirmed_at",
      "first_address",
      "first_seen_at",
    ])
    .where("revoked_at", "is", null);
}

type KnownRow = Awaited<ReturnType<ReturnType<typeof selectKnown>["execute"]>>[number];

function toKnown(row: KnownRow): KnownDevice {
  return {
    id: row.id,
    personId: row.person_id,
    person: row.person,
    label: row.label,
    confirmed: row.confirmed_at !== null,
    firstAddress: row.first_address,
    firstSeenAt: row.first_seen_at,
  };
}
