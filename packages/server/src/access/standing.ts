// What the store says of a caller at this very moment. Their token may be older than the change that matters.

import { JitdbError } from "@jitdb/shared/errors";
import { deviceArgument } from "@jitdb/shared/ids";
import type { Kysely } from "kysely";
import { administrators, type Caller } from "../identity/caller.ts";
import type { Tables } from "../store/tables.ts";

export interface Standing {
  readonly groups: readonly string[];
  readonly administrator: boolean;
  /** Whether somebody vouched for the device that calls. */
  readonly deviceConfirmed: boolean;
}

/**
 * SECURITY: device and person are looked up together, so that one's key never counts for another person.
 * @throws JitdbError `login.required` for a device that is not the person's, `login.disabled`, `login.expired` for a revoked device
 */
export async function standingOf(
  db: Kysely<Tables>,
  caller: Pick<Caller, "personId" | "deviceId" | "name">,
): Promise<Standing> {
  const row = await db
    .selectFrom("devices")
    .innerJoin("people", "people.id", "devices.person_id")
    .select(["people.disabled_at", "devices.revoked_at", "devices.confirmed_at"])
    .where("devices.id", "=", caller.deviceId)
    .where("people.id", "=", caller.personId)
    .executeTakeFirst();
  if (row === undefined) {
    throw new JitdbError("login.required", `This device is not logged in as ${caller.name}.`);
  }
  if (row.disabled_at !== null) {
    throw new JitdbError("login.disabled", `The account of ${caller.name} is disabled.`);
  }
  if (row.revoked_at !== null) {
    throw new JitdbError("login.expired", "The login of this device was revoked.");
  }
  const memberships = await db
    .selectFrom("memberships")
    .select("group_name")
    .where("person_id", "=", caller.personId)
    .orderBy("group_name")
    .execute();
  const groups = memberships.map(({ group_name }) => group_name);
  return {
    groups,
    administrator: groups.includes(administrators),
    deviceConfirmed: row.confirmed_at !== null,
  };
}

/** SECURITY: whoever phished a login has a device of their own with it: it decides on nothing and vouches for nothing. */
export function refuseUnconfirmed(
  { deviceConfirmed }: Pick<Standing, "deviceConfirmed">,
  { deviceId, name }: Pick<Caller, "deviceId" | "name">,
): void {
  if (!deviceConfirmed) {
    throw new JitdbError("device.unconfirmed", "Nobody has confirmed this device yet.", {
      hint: `Run \`jitdb devices confirm ${deviceArgument(deviceId)}\` on a device that you use already, or have it confirmed on the server with \`jitdb-server devices confirm ${name}\`.`,
    });
  }
}
