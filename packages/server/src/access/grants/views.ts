// Grants as the API shows them, and who may see which: their owner, who may decide on their request, administrators.

import type { GrantView, grantQuery } from "@jitdb/shared/api/access";
import { JitdbError } from "@jitdb/shared/errors";
import { type ExpressionBuilder, type Kysely, type Selectable, sql } from "kysely";
import type * as z from "zod";
import type { Config } from "../../config/config.ts";
import type { Caller } from "../../identity/caller.ts";
import type { ComparisonState, Tables } from "../../store/tables.ts";
import { type Page, pageOf, parseCursor } from "../paging.ts";
import { isApprover, namesGroup } from "../requests/views.ts";

export type GrantQuery = z.output<typeof grantQuery>;

type GrantRow = Selectable<Tables["grants"]> & { readonly person_name: string };
type LedgerRow = Selectable<Tables["ephemeral_users"]>;
type Databases = Config["databases"];

/** @throws JitdbError `usage.invalid` for a broken cursor */
export async function listGrants(
  db: Kysely<Tables>,
  databases: Databases,
  caller: Caller,
  { scope, state, openTraces, openReviews, limit, after }: GrantQuery,
): Promise<Page<GrantView>> {
  let query = selectGrants(db)
    .where((where) => (scope === "mine" ? isOwn(where, caller) : isVisible(where, caller)))
    .orderBy("grants.starts_at", "desc")
    .orderBy("grants.id", "desc")
    .limit(limit + 1);
  if (state !== undefined) {
    query = query.where("grants.state", "=", state);
  }
  if (openTraces === true) {
    query = query.where("grants.id", "in", (select) =>
      select.selectFrom("comparisons").select("grant_id").where("comparisons.state", "=", "open"),
    );
  }
  if (openReviews === true) {
    query = query.where("grants.id", "in", (select) =>
      select.selectFrom("reviews").select("grant_id").where("reviews.signed_at", "is", null),
    );
  }
  if (after !== undefined) {
    const { at, id } = parseCursor(after);
    query = query.where(sql<boolean>`(grants.starts_at, grants.id) < (${at}, ${id})`);
  }
  const rows = await query.execute();
  const page = pageOf(rows, limit, (row) => ({ at: row.starts_at, id: row.id }));
  return { rows: await toViews(db, databases, page.rows), next: page.next };
}

/** @throws JitdbError `grant.unknown` for a grant that is not there or that the caller may not see */
export async function getGrant(
  db: Kysely<Tables>,
  databases: Databases,
  caller: Caller,
  id: string,
): Promise<GrantView> {
  const row = await selectGrants(db)
    .where("grants.id", "=", id as GrantRow["id"])
    .where((where) => isVisible(where, caller))
    .executeTakeFirst();
  const [view] = await toViews(db, databases, row === undefined ? [] : [row]);
  if (view === undefined) {
    throw new JitdbError("grant.unknown", `There is no grant ${id} that you may see.`);
  }
  return view;
}

function selectGrants(db: Kysely<Tables>) {
  return db
    .selectFrom("grants")
    .innerJoin("requests", "requests.id", "grants.request_id")
    .innerJoin("people", "people.id", "grants.person_id")
    .selectAll("grants")
    .select("people.name as person_name");
}

type GrantExpression = ExpressionBuilder<Tables, "grants" | "requests">;

function isOwn(where: GrantExpression, caller: Caller) {
  return where("grants.person_id", "=", caller.personId);
}

function isVisible(where: GrantExpression, caller: Caller) {
  return caller.administrator
    ? where.lit(true)
    : where.or([isOwn(where, caller), isApprover(where, caller), isReviewer(where, caller)]);
}

function isReviewer(where: GrantExpression, caller: Caller) {
  return where.exists(
    where
      .selectFrom("reviews")
      .select("reviews.grant_id")
      .whereRef("reviews.grant_id", "=", "grants.id")
      .where((review) => namesGroup(review, "reviews.reviewer_groups", caller)),
  );
}

async function toViews(
  db: Kysely<Tables>,
  databases: Databases,
  rows: readonly GrantRow[],
): Promise<GrantView[]> {
  if (rows.length === 0) {
    return [];
  }
  const ids = rows.map(({ id }) => id);
  const users = await db
    .selectFrom("ephemeral_users")
    .selectAll()
    .where("grant_id", "in", ids)
    .execute();
  const sessions = await db
    .selectFrom("sessions")
    .select((select) => ["grant_id", select.fn.countAll<number>().as("count")])
    .where("grant_id", "in", ids)
    .where("closed_at", "is", null)
    .groupBy("grant_id")
    .execute();
  const enders = await db
    .selectFrom("grants")
    .innerJoin("people", "people.id", "grants.ended_by")
    .select(["grants.id", "people.name"])
    .where("grants.id", "in", ids)
    .execute();
  const comparisons = await db
    .selectFrom("comparisons")
    .select(["grant_id", "state"])
    .where("grant_id", "in", ids)
    .execute();
  const reviews = await db
    .selectFrom("reviews")
    .leftJoin("people", "people.id", "reviews.signed_by")
    .selectAll("reviews")
    .select("people.name as signer")
    .where("reviews.grant_id", "in", ids)
    .execute();
  return rows.map((row) => {
    const review = reviews.find(({ grant_id }) => grant_id === row.id);
    const user = users.find(({ grant_id }) => grant_id === row.id);
    const openSessions = Number(sessions.find(({ grant_id }) => grant_id === row.id)?.count ?? 0);
    return {
      id: row.id,
      requestId: row.request_id,
      person: row.person_name,
      database: row.database_name,
      // The one engine there is; the configuration may no longer have the database to ask.
      engine: "postgres",
      databaseName: databases.get(row.database_name)?.database ?? row.database_name,
      profile: row.profile,
      state: row.state,
      startsAt: isoTime(row.starts_at),
      endsAt: isoTime(row.ends_at),
      endedAt: row.ended_at === null ? null : isoTime(row.ended_at),
      end: row.end,
      endReason: row.end_reason,
      endedBy: enders.find(({ id }) => id === row.id)?.name ?? null,
      user: userState(row, user),
      userProblem: userProblem(user),
      openSessions,
      review: review === undefined ? null : reviewView(review),
      traces: tracesState(user, comparisons.find(({ grant_id }) => grant_id === row.id)?.state),
      drainingUntil: drainingUntil(row, openSessions),
    };
  });
}

function reviewView(
  review: Selectable<Tables["reviews"]> & { readonly signer: string | null },
): GrantView["review"] {
  return {
    groups: JSON.parse(review.reviewer_groups) as string[],
    dueAt: isoTime(review.due_at),
    signedBy: review.signer,
    signedAt: review.signed_at === null ? null : isoTime(review.signed_at),
    comment: review.comment,
  };
}

/** Sessions that are open behind the end finish a transaction, or are on their way out. */
function drainingUntil({ end, ends_at, drain_ms }: GrantRow, openSessions: number): string | null {
  return end === "expired" && drain_ms > 0 && openSessions > 0 ? isoTime(ends_at + drain_ms) : null;
}

function userState(grant: GrantRow, user: LedgerRow | undefined): GrantView["user"] {
  switch (user?.state) {
    case "dropped":
      return "gone";
    case "quarantined":
      return "quarantined";
    case "draining":
    case "locked":
      return "ending";
    case "created":
      return grant.state === "ended" ? "ending" : "ready";
    default:
      return grant.state === "ended" ? "ending" : "preparing";
  }
}

/** Without a snapshot of its beginning nothing can be compared; a user that was never made left nothing. */
function tracesState(
  user: LedgerRow | undefined,
  comparison: ComparisonState | undefined,
): GrantView["traces"] {
  if (comparison !== undefined) {
    return comparisonStates[comparison];
  }
  if (user?.oid == null) {
    return user?.state === "dropped" ? "none" : "pending";
  }
  return "unknown";
}

const comparisonStates = {
  taken: "pending",
  clean: "none",
  open: "open",
  signed: "signed",
} as const satisfies Record<ComparisonState, GrantView["traces"]>;

/** SECURITY: words of our own; the ledger's error may name addresses and the admin role. */
function userProblem(user: LedgerRow | undefined): string | null {
  if (user?.state === "quarantined") {
    return "The database user could not be removed yet. It is locked, and an administrator was told.";
  }
  if (user === undefined || user.last_error === null || user.state === "dropped") {
    return null;
  }
  if (user.end_due_at !== null) {
    return "The database did not let its user be removed yet. jitdb keeps trying.";
  }
  return user.state === "planned"
    ? "The database did not let its user be made yet. jitdb keeps trying."
    : null;
}

const isoTime = (ms: number) => new Date(ms).toISOString();

/** Whether the caller reviews what was taken with this grant, and so may read its records. */
export async function isReviewerOf(
  db: Kysely<Tables>,
  caller: Caller,
  id: string,
): Promise<boolean> {
  const review = await db
    .selectFrom("reviews")
    .select("grant_id")
    .where("grant_id", "=", id as GrantRow["id"])
    .where((where) => namesGroup(where, "reviews.reviewer_groups", caller))
    .executeTakeFirst();
  return review !== undefined;
}
