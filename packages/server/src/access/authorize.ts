// The question that every new stream asks again: may this caller use this grant now? (invariant 7)

import { JitdbError } from "@jitdb/shared/errors";
import { type Clock, deviceArgument } from "@jitdb/shared/ids";
import type { Selectable } from "kysely";
import type { Caller } from "../identity/caller.ts";
import type { Store } from "../store/store.ts";
import type { Tables } from "../store/tables.ts";
import { endedError } from "./grants/grant.ts";
import { callingDevice, toDeviceStanding } from "./standing.ts";

/** A row of the store, and whether it was taken by break-glass (1). */
export type Grant = Selectable<Tables["grants"]> & { readonly break_glass: number };

/**
 * The grant, if the caller may open a session with it at this moment. The store decides, never the token alone.
 * The grant's own device will do, and every other confirmed device of the same person.
 * @throws JitdbError `grant.unknown` for no grant or somebody else's, `grant.not_started`, `grant.expired`, `grant.revoked`,
 * `device.unconfirmed`, `login.disabled`, `login.expired` for a revoked device
 * @param kind a cancel may still reach what a soft end lets finish
 */
export async function authorizeOpen(
  store: Pick<Store, "db">,
  clock: Clock,
  caller: Caller,
  grantId: string,
  kind: "session" | "cancel" = "session",
): Promise<Grant> {
  // One question for caller and grant: somebody waits.
  const found = await callingDevice(store.db, caller)
    .leftJoin("grants", (join) =>
      join
        // SECURITY: a foreign grant answers as one that is not there, so that nobody learns ids by trying.
        .onRef("grants.person_id", "=", "people.id")
        .on("grants.id", "=", grantId as Grant["id"]),
    )
    .leftJoin("requests", "requests.id", "grants.request_id")
    .selectAll("grants")
    .select("requests.break_glass")
    .executeTakeFirst();
  const { deviceConfirmed } = toDeviceStanding(caller, found);
  const grant = toGrant(found);
  if (grant === undefined) {
    throw new JitdbError("grant.unknown", `You have no grant ${grantId}.`);
  }
  // The clock decides, not the sweep: a grant is over at its end, also before somebody wrote it down.
  // And what was written down stays: a clock that steps back opens nothing again.
  const hasEnded = kind === "session" ? grant.end !== null : grant.end === "revoked";
  if (hasEnded || clock.now() >= usableUntil(grant, kind)) {
    throw endedError(grant);
  }
  // The user is made at the start, and the clock decides for every stream anew.
  if (clock.now() < grant.starts_at) {
    const startsAt = new Date(grant.starts_at).toISOString();
    throw new JitdbError(
      "grant.not_started",
      `The grant for ${grant.database_name} begins at ${startsAt}.`,
    );
  }
  // SECURITY: a phished login is a new device of the same person; without this it would walk in on their live grants.
  if (!deviceConfirmed) {
    throw new JitdbError("device.unconfirmed", "Nobody has confirmed this device yet.", {
      hint: `Run \`jitdb devices confirm ${deviceArgument(caller.deviceId)}\` on a device that you use already, or ask from this one with \`jitdb request ${grant.database_name} --for 30m\`; whoever approves it confirms the device.`,
    });
  }
  return grant;
}

function usableUntil({ ends_at, drain_ms }: Grant, kind: "session" | "cancel"): number {
  return kind === "cancel" ? ends_at + drain_ms : ends_at;
}

/** What a left join found: without a grant, all of its columns are null. */
function toGrant(row: { readonly id: Grant["id"] | null } | undefined): Grant | undefined {
  return row === undefined || row.id === null ? undefined : (row as Grant);
}
