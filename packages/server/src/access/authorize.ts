// The question that every new stream asks again: may this caller use this grant now? (invariant 7)

import { JitdbError } from "@jitdb/shared/errors";
import type { Clock } from "@jitdb/shared/ids";
import type { Selectable } from "kysely";
import type { Caller } from "../identity/caller.ts";
import type { Store } from "../store/store.ts";
import type { Tables } from "../store/tables.ts";
import { endedError } from "./grant.ts";

/** A row of the store. */
export type Grant = Selectable<Tables["grants"]>;

/**
 * The grant, if the caller may open a session with it at this moment. Asks the store, never the caller's token alone:
 * the person has to be enabled and the device not revoked by now. Any device of the person's own will do.
 * @throws JitdbError `grant.unknown` for no grant or somebody else's, `grant.expired`, `grant.revoked`, `login.disabled`,
 * `login.expired` for a revoked device
 */
export async function authorizeOpen(
  store: Pick<Store, "db">,
  clock: Clock,
  caller: Caller,
  grantId: string,
): Promise<Grant> {
  const row = await store.db
    .selectFrom("grants")
    .innerJoin("people", "people.id", "grants.person_id")
    .innerJoin("devices", (join) =>
      // SECURITY: the device has to be the person's own, so that a grant and a key of two people never meet.
      join
        .onRef("devices.person_id", "=", "grants.person_id")
        .on("devices.id", "=", caller.deviceId),
    )
    .selectAll("grants")
    .select(["people.disabled_at", "devices.revoked_at"])
    // SECURITY: a foreign grant answers as one that is not there, so that nobody can learn ids by trying.
    .where("grants.id", "=", grantId as Grant["id"])
    .where("grants.person_id", "=", caller.personId)
    .executeTakeFirst();
  if (row === undefined) {
    throw new JitdbError("grant.unknown", `You have no grant ${grantId}.`);
  }
  const { disabled_at, revoked_at, ...grant } = row;
  if (disabled_at !== null) {
    throw new JitdbError("login.disabled", `The account of ${caller.name} is disabled.`);
  }
  if (revoked_at !== null) {
    throw new JitdbError("login.expired", "The login of this device was revoked.");
  }
  // The clock decides, not the sweep: a grant is over at its end, also before somebody wrote it down.
  if (grant.state === "ended" || clock.now() >= grant.ends_at) {
    throw endedError(grant);
  }
  return grant;
}
