// A request as the rules need it: its row, and what the store says of the person and the device that asked.

import { JitdbError } from "@jitdb/shared/errors";
import type { PersonId, RequestId } from "@jitdb/shared/ids";
import type { Kysely, Selectable } from "kysely";
import type { Subject } from "../../audit/record.ts";
import type { Tables } from "../../store/tables.ts";
import type { Change } from "../change.ts";
import { nextRequestState, type RequestInput } from "./request.ts";

export type RequestRow = Selectable<Tables["requests"]>;

export interface AskedRequest extends RequestRow {
  readonly person_name: string;
  readonly person_disabled_at: number | null;
  readonly device_label: string;
  readonly device_confirmed_at: number | null;
  readonly device_revoked_at: number | null;
}

/** Requests with what the rules need to know about who asked. */
export function selectRequests(db: Kysely<Tables>) {
  return db
    .selectFrom("requests")
    .innerJoin("people", "people.id", "requests.person_id")
    .innerJoin("devices", "devices.id", "requests.device_id")
    .selectAll("requests")
    .select([
      "people.name as person_name",
      "people.disabled_at as person_disabled_at",
      "devices.label as device_label",
      "devices.confirmed_at as device_confirmed_at",
      "devices.revoked_at as device_revoked_at",
    ]);
}

/** One request, if it is there. */
export async function findRequest(
  db: Kysely<Tables>,
  id: string,
): Promise<AskedRequest | undefined> {
  return await selectRequests(db)
    .where("requests.id", "=", id as RequestId)
    .executeTakeFirst();
}

export function unknownRequest(id: string): JitdbError {
  return new JitdbError("request.unknown", `There is no request ${id} that you may see.`);
}

/** Groups out of which somebody has to approve. */
export function approverGroups(request: Pick<RequestRow, "approver_groups">): string[] {
  return JSON.parse(request.approver_groups) as string[];
}

export interface Decision {
  /** Null: nobody in person. */
  readonly by: PersonId | null;
  readonly reason: string | null;
}

/**
 * Moves a request on with one conditional update: whoever comes second finds it decided, on any store. An approval
 * that more have to follow moves it, too, from pending to pending: of two last approvals at once the second one waits
 * here, and counts the first.
 * @throws JitdbError `request.decided`, `request.lapsed`
 */
export async function moveRequest(
  { tx, now, hint }: Change,
  request: RequestRow,
  input: RequestInput,
  decision?: Decision,
): Promise<void> {
  const decided = decision && {
    decided_at: now,
    decided_by: decision.by,
    decision_reason: decision.reason,
  };
  const moved = await tx
    .updateTable("requests")
    .set({ state: nextRequestState(request, input), ...decided })
    .where("id", "=", request.id)
    .where("state", "=", request.state)
    .returning("id")
    .executeTakeFirst();
  if (moved === undefined) {
    throw new JitdbError("request.decided", `The request ${request.id} was just decided.`);
  }
  hint("request", request.id);
}

/** What every record about a request says. `address` is that of whoever acts. */
export function requestSubject(
  request: Pick<AskedRequest, "id" | "person_name" | "device_id" | "database_name" | "break_glass">,
  address?: string,
): Subject & { readonly request: string } {
  return {
    person: request.person_name,
    device: request.device_id,
    database: request.database_name,
    request: request.id,
    ...glassMark(request),
    ...(address === undefined ? {} : { address }),
  };
}

/** The mark of break-glass, which every record has that is about such a request or its grant. */
export function glassMark({
  break_glass,
}: Pick<RequestRow, "break_glass">): Pick<Subject, "breakGlass"> {
  return break_glass === 1 ? { breakGlass: true } : {};
}
