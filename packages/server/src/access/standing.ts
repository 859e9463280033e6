// What the store says of a caller at this very moment. Their token may be older than the change that matters.

import { JitdbError } from "@jitdb/shared/errors";
import { deviceArgument } from "@jitdb/shared/ids";
import type { Kysely, Selectable } from "kysely";
import { administrators, type Caller } from "../identity/caller.ts";
import type { Tables } from "../store/tables.ts";

export interface Standing {
  readonly groups: readonly string[];
  readonly administrator: boolean;
  /** Whether somebody vouched for the device that calls. */
  readonly deviceConfirmed: boolean;
  /** Whether a service calls, which decides on nothing. */
  readonly service: boolean;
  /** When the person last proved who they are on this device, epoch milliseconds; 0: long ago. */
  readonly authenticatedAt: number;
}

type DeviceStanding = Omit<Standing, "groups" | "administrator">;
type DeviceRow = Pick<
  Selectable<Tables["devices"] & Tables["people"]>,
  "disabled_at" | "revoked_at" | "confirmed_at" | "kind" | "authenticated_at"
>;

/** @throws JitdbError as {@link toDeviceStanding} */
export async function standingOf(
  db: Kysely<Tables>,
  caller: Pick<Caller, "personId" | "deviceId" | "name">,
): Promise<Standing> {
  const standing = toDeviceStanding(caller, await callingDevice(db, caller).executeTakeFirst());
  const memberships = await db
    .selectFrom("memberships")
    .select("group_name")
    .where("person_id", "=", caller.personId)
    .orderBy("group_name")
    .execute();
  const groups = memberships.map(({ group_name }) => group_name);
  return { ...standing, groups, administrator: groups.includes(administrators) };
}

/** SECURITY: device and person are looked up together, so that one's key never counts for another person. */
export function callingDevice(
  db: Kysely<Tables>,
  { deviceId, personId }: Pick<Caller, "personId" | "deviceId">,
) {
  return db
    .selectFrom("devices")
    .innerJoin("people", "people.id", "devices.person_id")
    .where("devices.id", "=", deviceId)
    .where("people.id", "=", personId)
    .select([
      "people.disabled_at",
      "devices.revoked_at",
      "devices.confirmed_at",
      "people.kind",
      "devices.authenticated_at",
    ]);
}

/**
 * Without groups, where they do not matter.
 * @param row what {@link callingDevice} finds
 * @throws JitdbError `login.required` for a device that is not the person's, `login.disabled`, `login.expired` for a revoked device
 */
export function toDeviceStanding(
  { name }: Pick<Caller, "name">,
  row: DeviceRow | undefined,
): DeviceStanding {
  if (row === undefined) {
    throw new JitdbError("login.required", `This device is not logged in as ${name}.`);
  }
  if (row.disabled_at !== null) {
    throw new JitdbError("login.disabled", `The account of ${name} is disabled.`);
  }
  if (row.revoked_at !== null) {
    throw new JitdbError("login.expired", "The login of this device was revoked.");
  }
  return {
    deviceConfirmed: row.confirmed_at !== null,
    service: row.kind === "service",
    authenticatedAt: row.authenticated_at ?? 0,
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

/** SECURITY: whoever can change a CI job would approve with it: services decide on nothing. */
export function refuseService(
  { service }: Pick<Standing, "service">,
  { name }: Pick<Caller, "name">,
): void {
  if (service) {
    throw new JitdbError("access.forbidden", `${name} is a service; only people decide.`, {
      hint: "Ask a person in one of the groups that may do this.",
    });
  }
}

/**
 * Step-up: some things need a login that is not old. SECURITY: a laptop left open, or a stolen token, decides nothing then.
 * @param withinMs how old it may be; undefined: as old as it likes
 * @throws JitdbError `login.stale`
 */
export function requireFreshLogin(
  { authenticatedAt }: Pick<Standing, "authenticatedAt">,
  withinMs: number | undefined,
  now: number,
): void {
  if (withinMs !== undefined && now - authenticatedAt > withinMs) {
    const minutes = Math.max(1, Math.floor(withinMs / 60_000));
    throw new JitdbError("login.stale", `This needs a login of the last ${minutes} minutes.`);
  }
}
