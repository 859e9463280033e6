// The end of grants: their time is over, somebody revoked them, or the account behind them was disabled.

import { JitdbError } from "@jitdb/shared/errors";
import type { GrantId } from "@jitdb/shared/ids";
import type { Selectable } from "kysely";
import type { Caller } from "../../identity/caller.ts";
import type { GrantEnd, Tables } from "../../store/tables.ts";
import type { Change } from "../change.ts";
import { glassMark } from "../requests/row.ts";
import { refuseUnconfirmed, standingOf } from "../standing.ts";
import { endedError, type GrantInput, grantEnds, nextGrantState } from "./grant.ts";

type GrantRow = Selectable<Tables["grants"]> & {
  readonly person_name: string;
  readonly break_glass: number;
};

export interface EndedGrant {
  readonly grantId: GrantId;
  readonly end: GrantEnd;
  /** For the owner's client: how it ended. */
  readonly error: JitdbError;
}

interface Ending {
  readonly by: Caller | null;
  readonly reason: string;
}

/**
 * Ends a grant before its time: its owner gives it back, or an administrator takes it away.
 * @throws JitdbError `grant.unknown` for somebody else's, too, `grant.expired`, `grant.revoked`,
 * `device.unconfirmed` for an administrator's call from such a device about a grant of somebody else
 */
export async function revoke(
  change: Change,
  caller: Caller,
  id: string,
  reason: string,
): Promise<EndedGrant> {
  const standing = await standingOf(change.tx, caller);
  const grant = await selectGrants(change)
    .where("grants.id", "=", id as GrantId)
    .executeTakeFirst();
  const isOwn = grant?.person_id === caller.personId;
  if (grant === undefined || !(standing.administrator || isOwn)) {
    throw new JitdbError("grant.unknown", `There is no grant ${id} that you may revoke.`);
  }
  if (!isOwn) {
    refuseUnconfirmed(standing, caller);
  }
  // The clock decides, not the sweep: what is over can't be revoked any more.
  if (change.now >= grant.ends_at) {
    throw endedError(grant);
  }
  const ended = await endGrant(change, grant, "revoke", { by: caller, reason });
  if (ended === undefined) {
    throw new JitdbError(
      "grant.revoked",
      `The grant for ${grant.database_name} was revoked this very moment.`,
    );
  }
  return ended;
}

/**
 * Gives a grant of one's own back before its time, also before its start.
 * @throws JitdbError as `revoke` does
 */
export async function release(change: Change, caller: Caller, id: string): Promise<EndedGrant> {
  const own = await change.tx
    .selectFrom("grants")
    .select("id")
    .where("id", "=", id as GrantId)
    .where("person_id", "=", caller.personId)
    .executeTakeFirst();
  if (own === undefined) {
    throw new JitdbError("grant.unknown", `You have no grant ${id}.`);
  }
  return await revoke(change, caller, id, "It was given back.");
}

/** Ends every grant whose time is over or whose owner was disabled. */
export async function endDueGrants(change: Change): Promise<EndedGrant[]> {
  const due = await selectGrants(change)
    .where("grants.state", "=", "active")
    .where("grants.ends_at", "<=", change.now)
    .execute();
  const orphaned = await selectGrants(change)
    .where("grants.state", "=", "active")
    .where("grants.ends_at", ">", change.now)
    .where("people.disabled_at", "is not", null)
    .execute();
  const ended: (EndedGrant | undefined)[] = [];
  for (const grant of due) {
    const reason = "The time is over.";
    ended.push(await endGrant(change, grant, "expire", { by: null, reason }));
  }
  for (const grant of orphaned) {
    const reason = "The account was disabled.";
    ended.push(await endGrant(change, grant, "revoke", { by: null, reason }));
  }
  return ended.filter((grant) => grant !== undefined);
}

function selectGrants({ tx }: Change) {
  return tx
    .selectFrom("grants")
    .innerJoin("people", "people.id", "grants.person_id")
    .innerJoin("requests", "requests.id", "grants.request_id")
    .selectAll("grants")
    .select(["people.name as person_name", "requests.break_glass"]);
}

/** Ends one grant with a conditional update, and hands its user to the loop of the end. Undefined: somebody else was first. */
async function endGrant(
  { tx, now, record, hint }: Change,
  grant: GrantRow,
  input: GrantInput,
  { by, reason }: Ending,
): Promise<EndedGrant | undefined> {
  const end = grantEnds[input];
  const ended = await tx
    .updateTable("grants")
    .set({
      state: nextGrantState(grant, input),
      end,
      ended_at: now,
      ended_by: by?.personId ?? null,
      end_reason: reason,
    })
    .where("id", "=", grant.id)
    .where("state", "=", grant.state)
    // It may have got more time since it was read.
    .where("ends_at", "=", grant.ends_at)
    .returning("id")
    .executeTakeFirst();
  if (ended === undefined) {
    return undefined;
  }
  const dueAt = Math.min(now, grant.ends_at);
  // Only time that runs out is soft: who takes a grant away means now.
  const drainMs = input === "expire" ? grant.drain_ms : 0;
  await tx
    .updateTable("ephemeral_users")
    .set({ end_due_at: dueAt, drain_ms: drainMs })
    .where("grant_id", "=", grant.id)
    .where("end_due_at", "is", null)
    .execute();
  await record({
    kind: "grant.ended",
    person: grant.person_name,
    device: grant.device_id,
    database: grant.database_name,
    grant: grant.id,
    ...glassMark(grant),
    end,
    reason,
    ...(by === null ? {} : { by: by.name, address: by.address }),
    latenessMs: now - dueAt,
    ...(drainMs > 0 && { drainingUntil: new Date(dueAt + drainMs).toISOString() }),
  });
  hint("grant", grant.id);
  return {
    grantId: grant.id,
    end,
    error: endedError({ ...grant, end, end_reason: reason }, by?.name),
  };
}
