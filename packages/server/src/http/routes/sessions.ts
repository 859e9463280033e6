// GET /sessions: database sessions, open and past. Administrators see all, reviewers those of what they review, everybody
// else their own.

import { type SessionView, sessionList, sessionQuery } from "@jitdb/shared/api/audit";
import type { FastifyInstance } from "fastify";
import type { ZodTypeProvider } from "fastify-type-provider-zod";
import { type ExpressionBuilder, type Selectable, sql } from "kysely";
import type * as z from "zod";
import { type Page, pageOf, parseCursor } from "../../access/paging.ts";
import { namesGroup } from "../../access/requests/views.ts";
import type { Caller } from "../../identity/caller.ts";
import type { Store } from "../../store/store.ts";
import type { Tables } from "../../store/tables.ts";
import type { AppPorts } from "../app.ts";
import { callerOf } from "../authentication.ts";

export function sessionRoutes(
  api: FastifyInstance,
  { store, gateway }: Pick<AppPorts, "store" | "gateway">,
): void {
  api
    .withTypeProvider<ZodTypeProvider>()
    .get(
      "/sessions",
      { schema: { querystring: sessionQuery, response: { 200: sessionList } } },
      async (request) => {
        await gateway.rowsWritten();
        const { rows, next } = await listSessions(store.db, callerOf(request), request.query);
        const parked = gateway.parkedSessions();
        return { sessions: rows.map((row) => toView(row, parked.has(row.id))), next };
      },
    );
}

async function listSessions(
  db: Store["db"],
  caller: Caller,
  { scope, open, grant, limit, after }: z.output<typeof sessionQuery>,
): Promise<Page<NamedRow>> {
  let query = db
    .selectFrom("sessions")
    .innerJoin("people", "people.id", "sessions.person_id")
    .innerJoin("grants", "grants.id", "sessions.grant_id")
    .innerJoin("requests", "requests.id", "grants.request_id")
    .selectAll("sessions")
    .select(["people.name as person_name", "requests.break_glass"])
    .orderBy("sessions.opened_at", "desc")
    .orderBy("sessions.id", "desc")
    .limit(limit + 1);
  if (scope === "mine" || !caller.administrator) {
    query = query.where((where) =>
      where.or([
        where("sessions.person_id", "=", caller.personId),
        ...(scope === "mine" ? [] : [isReviewed(where, caller)]),
      ]),
    );
  }
  if (open !== undefined) {
    query = query.where("sessions.closed_at", open ? "is" : "is not", null);
  }
  if (grant !== undefined) {
    query = query.where("sessions.grant_id", "=", grant as SessionRow["grant_id"]);
  }
  if (after !== undefined) {
    const { at, id } = parseCursor(after);
    query = query.where(sql<boolean>`(sessions.opened_at, sessions.id) < (${at}, ${id})`);
  }
  const rows = await query.execute();
  return pageOf(rows, limit, (row) => ({ at: row.opened_at, id: row.id }));
}

function isReviewed(where: ExpressionBuilder<Tables, "sessions">, caller: Caller) {
  return where.exists(
    where
      .selectFrom("reviews")
      .select("reviews.grant_id")
      .whereRef("reviews.grant_id", "=", "sessions.grant_id")
      .where((review) => namesGroup(review, "reviews.reviewer_groups", caller)),
  );
}

type SessionRow = Selectable<Tables["sessions"]>;

type NamedRow = SessionRow & { readonly person_name: string; readonly break_glass: number };

function toView(row: NamedRow, parked: boolean): SessionView {
  return {
    id: row.id,
    grantId: row.grant_id,
    person: row.person_name,
    database: row.database_name,
    profile: row.profile,
    userName: row.user_name,
    address: row.address,
    application: row.application,
    openedAt: new Date(row.opened_at).toISOString(),
    closedAt: row.closed_at === null ? null : new Date(row.closed_at).toISOString(),
    end: row.end,
    statements: row.statements,
    parked: parked && row.closed_at === null,
    breakGlass: row.break_glass === 1,
  };
}
