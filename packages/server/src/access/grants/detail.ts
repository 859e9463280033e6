// Everything about one grant: how it came about, its user and sessions, and what it left behind.

import type { GrantView, RequestView } from "@jitdb/shared/api/access";
import type { GrantDetail, TraceView } from "@jitdb/shared/api/traces";
import type { GrantId } from "@jitdb/shared/ids";
import type { Kysely, Selectable } from "kysely";
import type { Caller } from "../../identity/caller.ts";
import type { Tables } from "../../store/tables.ts";
import { maySign } from "./traces.ts";

type ComparisonRow = Selectable<Tables["comparisons"]> & { readonly signer: string | null };
type LedgerRow = Selectable<Tables["ephemeral_users"]>;

/** @param grant as the caller may see it: whoever has it may have the rest */
export async function describeGrant(
  db: Kysely<Tables>,
  caller: Caller,
  grant: GrantView,
  request: RequestView,
): Promise<GrantDetail> {
  const id = grant.id as GrantId;
  const user = await db
    .selectFrom("ephemeral_users")
    .selectAll()
    .where("grant_id", "=", id)
    .executeTakeFirst();
  const sessions = await db
    .selectFrom("sessions")
    .select(["closed_at", "statements"])
    .where("grant_id", "=", id)
    .execute();
  const comparison = await db
    .selectFrom("comparisons")
    .leftJoin("people", "people.id", "comparisons.signed_by")
    .selectAll("comparisons")
    .select("people.name as signer")
    .where("comparisons.grant_id", "=", id)
    .executeTakeFirst();
  const owner = await db
    .selectFrom("grants")
    .innerJoin("requests", "requests.id", "grants.request_id")
    .select(["grants.person_id", "requests.approver_groups"])
    .where("grants.id", "=", id)
    .executeTakeFirstOrThrow();
  const isJudge = maySign(caller, caller.personId, owner);
  return {
    grant,
    request,
    userName: user?.user_name ?? "",
    sessions: {
      total: sessions.length,
      open: sessions.filter(({ closed_at }) => closed_at === null).length,
      statements: sessions.reduce((sum, { statements }) => sum + statements, 0),
    },
    obstacle: caller.administrator ? obstacleOf(user) : null,
    comparison: {
      waitsFor: waitsFor(grant, comparison),
      comparedAt: isoTime(comparison?.compared_at),
      traces: tracesOf(comparison).map((trace) => (isJudge ? trace : withoutOthers(trace, id))),
      gaps: JSON.parse(comparison?.gaps ?? "[]") as string[],
      digest: comparison?.digest ?? null,
      signedBy: comparison?.signer ?? null,
      signedAt: isoTime(comparison?.signed_at),
      comment: comparison?.signed_comment ?? null,
      canSign: isJudge && caller.deviceConfirmed && comparison?.state === "open",
    },
  };
}

/** SECURITY: the ledger's words may name addresses and the admin role, so they are for administrators. */
function obstacleOf(user: LedgerRow | undefined): GrantDetail["obstacle"] {
  return user === undefined || user.last_error === null
    ? null
    : { problem: user.last_error, sql: user.remedy_sql };
}

function waitsFor(grant: GrantView, comparison: ComparisonRow | undefined): string | null {
  if (grant.traces !== "pending") {
    return null;
  }
  if (grant.state === "active") {
    return "It is compared when the grant has ended.";
  }
  return grant.user === "gone"
    ? (comparison?.problem ?? "It is being compared.")
    : "It is compared when the database user is gone.";
}

function tracesOf(comparison: ComparisonRow | undefined): TraceView[] {
  return JSON.parse(comparison?.traces ?? "[]") as TraceView[];
}

/** What others did at the same time is for those who judge it. */
function withoutOthers(trace: TraceView, own: GrantId): TraceView {
  const candidates = trace.candidates.filter(({ grant }) => grant === own);
  if (trace.maker.grant === null || trace.maker.grant === own) {
    return { ...trace, candidates };
  }
  const hidden = {
    grant: null,
    person: null,
    statement: null,
    session: null,
    at: null,
    text: null,
  };
  return { ...trace, candidates, maker: { ...trace.maker, ...hidden } };
}

function isoTime(ms: number | null | undefined): string | null {
  return ms == null ? null : new Date(ms).toISOString();
}
