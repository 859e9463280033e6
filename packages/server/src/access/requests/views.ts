// Requests as the API shows them, and who may see which: who asked, who may decide, who has approved, administrators.

import type { RequestView, requestQuery } from "@jitdb/shared/api/access";
import type { PersonId } from "@jitdb/shared/ids";
import { type ExpressionBuilder, type Kysely, sql } from "kysely";
import type * as z from "zod";
import type { Caller } from "../../identity/caller.ts";
import type { Tables } from "../../store/tables.ts";
import { type Page, pageOf, parseCursor } from "../paging.ts";
import { type AskedRequest, approverGroups, selectRequests, unknownRequest } from "./row.ts";
import { countedStages, openStage, stagesOf } from "./stages.ts";

export type RequestQuery = z.output<typeof requestQuery>;

/** @throws JitdbError `usage.invalid` for a broken cursor */
export async function listRequests(
  db: Kysely<Tables>,
  now: number,
  caller: Caller,
  { scope, state, limit, after }: RequestQuery,
): Promise<Page<RequestView>> {
  let query = selectRequests(db)
    .where((where) => scopes[scope](where, caller, now))
    .orderBy("requests.created_at", "desc")
    .orderBy("requests.id", "desc")
    .limit(limit + 1);
  if (state !== undefined) {
    query = query.where("requests.state", "=", state);
  }
  if (after !== undefined) {
    const { at, id } = parseCursor(after);
    query = query.where(sql<boolean>`(requests.created_at, requests.id) < (${at}, ${id})`);
  }
  const rows = await query.execute();
  const page = pageOf(rows, limit, (row) => ({ at: row.created_at, id: row.id }));
  return { rows: await toViews(db, now, caller, page.rows), next: page.next };
}

/** @throws JitdbError `request.unknown` for a request that is not there or that the caller may not see */
export async function getRequest(
  db: Kysely<Tables>,
  now: number,
  caller: Caller,
  id: string,
): Promise<RequestView> {
  const row = await selectRequests(db)
    .where("requests.id", "=", id as AskedRequest["id"])
    .where((where) => isVisible(where, caller))
    .executeTakeFirst();
  const [view] = await toViews(db, now, caller, row === undefined ? [] : [row]);
  if (view === undefined) {
    throw unknownRequest(id);
  }
  return view;
}

/** Requests of one person's that the caller may decide on now. */
export async function listForDecision(
  db: Kysely<Tables>,
  now: number,
  caller: Caller,
  person: PersonId,
): Promise<RequestView[]> {
  const rows = await selectRequests(db)
    .where("requests.person_id", "=", person)
    .where((where) => isForDecision(where, caller, now))
    .execute();
  const views = await toViews(db, now, caller, rows);
  return views.filter(({ canDecide }) => canDecide);
}

type RequestExpression = ExpressionBuilder<Tables, "requests">;

const scopes = {
  mine: isOwn,
  inbox: isForDecision,
  all: isVisible,
} as const satisfies Record<
  RequestQuery["scope"],
  (where: RequestExpression, caller: Caller, now: number) => unknown
>;

function isOwn(where: RequestExpression, caller: Caller) {
  return where("requests.person_id", "=", caller.personId);
}

function isForDecision(where: RequestExpression, caller: Caller, now: number) {
  return where.and([
    where("requests.state", "=", "pending"),
    where("requests.lapses_at", ">", now),
    where("requests.person_id", "!=", caller.personId),
    isApprover(where, caller),
    where.not(hasApproved(where, caller)),
  ]);
}

function isVisible(where: RequestExpression, caller: Caller) {
  return caller.administrator
    ? where.lit(true)
    : where.or([
        isOwn(where, caller),
        isApprover(where, caller),
        hasApproved(where, caller),
        isReviewer(where, caller),
      ]);
}

/** Whether a group of the caller's decides on the request; for queries that have `requests` at hand. */
export function isApprover<T extends "requests">(
  where: ExpressionBuilder<Tables, T>,
  caller: Pick<Caller, "groups">,
) {
  return namesGroup(where, "requests.approver_groups", caller);
}

/** Whether a JSON array of names has one of the caller's groups. */
export function namesGroup<T extends keyof Tables>(
  where: ExpressionBuilder<Tables, T>,
  column: "requests.approver_groups" | "reviews.reviewer_groups",
  caller: Pick<Caller, "groups">,
) {
  // In it a name stands with its quotes, so that no part of one is taken for it.
  return where.or(
    caller.groups.map((group) => {
      const pattern = `%${JSON.stringify(group).replaceAll(/[\\%_]/g, "\\$&")}%`;
      return sql<boolean>`${sql.ref(column)} like ${pattern} escape '\\'`;
    }),
  );
}

/** Whoever reviews a grant sees what was asked for it. */
function isReviewer(where: RequestExpression, caller: Caller) {
  return where.exists(
    where
      .selectFrom("grants")
      .innerJoin("reviews", "reviews.grant_id", "grants.id")
      .select("grants.id")
      .whereRef("grants.request_id", "=", "requests.id")
      .where((review) => namesGroup(review, "reviews.reviewer_groups", caller)),
  );
}

function hasApproved(where: RequestExpression, caller: Caller) {
  return where.exists(
    where
      .selectFrom("approvals")
      .select("approvals.request_id")
      .whereRef("approvals.request_id", "=", "requests.id")
      .where("approvals.person_id", "=", caller.personId),
  );
}

async function toViews(
  db: Kysely<Tables>,
  now: number,
  caller: Caller,
  rows: readonly AskedRequest[],
): Promise<RequestView[]> {
  if (rows.length === 0) {
    return [];
  }
  const ids = rows.map(({ id }) => id);
  const approvals = await db
    .selectFrom("approvals")
    .innerJoin("people", "people.id", "approvals.person_id")
    .selectAll("approvals")
    .select(["people.name as person_name", "people.disabled_at"])
    .where("approvals.request_id", "in", ids)
    .orderBy("approvals.at")
    .orderBy("approvals.person_id")
    .execute();
  const grants = await db
    .selectFrom("grants")
    .select(["id", "request_id"])
    .where("request_id", "in", ids)
    .execute();
  const deciders = await db
    .selectFrom("requests")
    .innerJoin("people", "people.id", "requests.decided_by")
    .select(["requests.id", "people.name"])
    .where("requests.id", "in", ids)
    .execute();
  const brought = await db
    .selectFrom("memberships")
    .select(["person_id", "group_name"])
    .where("added_by", "=", caller.personId)
    .execute();
  return rows.map((row) => {
    const given = approvals.filter(({ request_id }) => request_id === row.id);
    return {
      id: row.id,
      person: row.person_name,
      database: row.database_name,
      profile: row.profile,
      durationSeconds: Math.floor(row.duration_ms / 1000),
      reason: row.reason,
      state: row.state,
      policy: row.policy,
      device: { label: row.device_label, confirmed: row.device_confirmed_at !== null },
      // What is known of the profile's database now is not the store's to say.
      leavesTraces: [],
      startsAt: row.starts_at === null ? null : isoTime(row.starts_at),
      breakGlass: row.break_glass === 1,
      extendsGrant: row.extends_grant,
      approvals: {
        needed: row.approvals_needed,
        given: given.map(({ person_name, at, comment, duration_ms, profile }) => ({
          person: person_name,
          at: isoTime(at),
          comment,
          durationSeconds: Math.floor(duration_ms / 1000),
          profile,
        })),
        stages: missingOf(row, given),
        groups: approverGroups(row),
      },
      createdAt: isoTime(row.created_at),
      lapsesAt: isoTime(row.lapses_at),
      decidedAt: row.decided_at === null ? null : isoTime(row.decided_at),
      decidedBy: deciders.find(({ id }) => id === row.id)?.name ?? null,
      decisionReason: row.decision_reason,
      grantId: grants.find(({ request_id }) => request_id === row.id)?.id ?? row.extends_grant,
      canDecide: canDecide(
        row,
        caller,
        now,
        given,
        brought.some((one) => one.person_id === row.person_id && throughGroup(row, one)),
      ),
    };
  });
}

type Given = Parameters<typeof countedStages>[0][number] & { readonly person_id: PersonId };

function throughGroup(row: AskedRequest, { group_name }: { readonly group_name: string }): boolean {
  return (JSON.parse(row.through_groups) as string[]).includes(group_name);
}

function missingOf(row: AskedRequest, given: readonly Given[]) {
  const counted = countedStages(given);
  return stagesOf(row).map(({ name, groups, count }, index) => ({
    name: name ?? null,
    groups: [...groups],
    missing: Math.max(0, count - counted.filter((stage) => stage === index).length),
  }));
}

function canDecide(
  row: AskedRequest,
  caller: Caller,
  now: number,
  given: readonly Given[],
  isBringer: boolean,
): boolean {
  const stage = openStage(stagesOf(row), countedStages(given));
  return (
    row.state === "pending" &&
    caller.deviceConfirmed &&
    now < row.lapses_at &&
    row.person_id !== caller.personId &&
    !isBringer &&
    !given.some(({ person_id }) => person_id === caller.personId) &&
    (stage?.groups ?? []).some((group) => caller.groups.includes(group))
  );
}

const isoTime = (ms: number) => new Date(ms).toISOString();
