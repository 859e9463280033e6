// Searches the shipped records. Who may see what is the caller's concern: it narrows the filter.

import { type AuditRecordView, auditRecordView } from "@jitdb/shared/api/audit";
import { JitdbError } from "@jitdb/shared/errors";
import type { Kysely } from "kysely";
import type { Tables } from "../../store/tables.ts";

export interface AuditFilter {
  /** A kind such as `grant.ended`, or a family such as `grant`. */
  readonly kind?: string | undefined;
  readonly person?: string | undefined;
  readonly database?: string | undefined;
  readonly grant?: string | undefined;
  readonly session?: string | undefined;
}

export interface AuditPage {
  readonly limit: number;
  /** Number of the record behind which the page begins; absent: the newest `limit` records. */
  readonly after?: string | undefined;
}

/**
 * Records of one journal, oldest first.
 * @returns `next` for the page behind this one; null where this one was not full. To follow the journal, ask again with
 * the last record's number as `after`.
 * @throws JitdbError `usage.invalid` for an `after` that is no record's number
 */
export async function listRecords(
  db: Kysely<Tables>,
  journal: string,
  filter: AuditFilter,
  { limit, after }: AuditPage,
): Promise<{ records: AuditRecordView[]; next: string | null }> {
  let query = db.selectFrom("audit_records").select(["seq", "line"]).where("journal", "=", journal);
  for (const [column, value] of columns(filter)) {
    query = query.where(column, "=", value);
  }
  if (filter.kind !== undefined) {
    // "/" is the character behind ".": the range holds the kinds of the family.
    query = filter.kind.includes(".")
      ? query.where("kind", "=", filter.kind)
      : query.where("kind", ">", `${filter.kind}.`).where("kind", "<", `${filter.kind}/`);
  }
  const rows =
    after === undefined
      ? (await query.orderBy("seq", "desc").limit(limit).execute()).reverse()
      : await query.where("seq", ">", parseSeq(after)).orderBy("seq").limit(limit).execute();
  const last = rows.at(-1);
  const isFull = after !== undefined && last !== undefined && rows.length === limit;
  return {
    records: rows.map((row) => auditRecordView.parse(JSON.parse(row.line))),
    next: isFull ? String(last.seq) : null,
  };
}

function columns({ person, database, grant, session }: AuditFilter) {
  return (
    [
      ["person", person],
      ["database_name", database],
      ["grant_id", grant],
      ["session_id", session],
    ] as const
  ).filter((entry): entry is [(typeof entry)[0], string] => entry[1] !== undefined);
}

function parseSeq(after: string): number {
  if (!/^\d{1,15}$/.test(after)) {
    throw new JitdbError("usage.invalid", `"${after}" is not the number of an audit record.`, {
      hint: "Take the number that the page before named.",
    });
  }
  return Number(after);
}
