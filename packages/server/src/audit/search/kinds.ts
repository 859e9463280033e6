// What kinds of statements ran in a grant, by the tags that the database gave their results. A tag says what a statement was,
// not what its functions did: `SELECT pay(17)` counts as a read.

import type { StatementKinds } from "@jitdb/shared/api/access";
import type { Kysely } from "kysely";
import type { Tables } from "../../store/tables.ts";
import type { EventOf } from "../record.ts";

/** Results of one grant that are counted, the newest: the store has other work than a benchmark's million. */
export const maxCounted = 1000;

/** Of a `statement.outcome`, what says which kind it was. */
type Outcome = Pick<EventOf<"statement.outcome">, "result" | "tag" | "bytesIn">;

/** @returns null where nothing is on record, or not yet */
export async function countKinds(
  db: Kysely<Tables>,
  grantId: string,
): Promise<StatementKinds | null> {
  const rows = await db
    .selectFrom("audit_records")
    .select("line")
    .where("grant_id", "=", grantId)
    .where("kind", "=", "statement.outcome")
    .orderBy("seq", "desc")
    .limit(maxCounted)
    .execute();
  if (rows.length === 0) {
    return null;
  }
  const kinds = { reads: 0, writes: 0, schema: 0, others: 0, failed: 0 };
  for (const { line } of rows) {
    kinds[kindOf(JSON.parse(line) as Outcome)] += 1;
  }
  return kinds;
}

/** Which kind a result counts as (PostgreSQL manual, CommandComplete in "Message Formats", and the tags of utility commands). */
export function kindOf({ result, tag = "", bytesIn }: Outcome): keyof StatementKinds {
  if (result === "error") {
    return "failed";
  }
  if (result === "suspended") {
    return "reads";
  }
  const [command = ""] = tag.split(" ");
  if (command === "COPY") {
    return bytesIn > 0 ? "writes" : "reads";
  }
  return commands.get(command) ?? "others";
}

const commands: ReadonlyMap<string, keyof StatementKinds> = new Map([
  ...words("reads", "SELECT", "FETCH", "SHOW", "EXPLAIN"),
  ...words("writes", "INSERT", "UPDATE", "DELETE", "MERGE", "TRUNCATE"),
  ...words("schema", "CREATE", "ALTER", "DROP", "COMMENT", "SECURITY", "REASSIGN", "IMPORT"),
  ...words("schema", "GRANT", "REVOKE", "REFRESH", "REINDEX"),
]);

function words(
  kind: keyof StatementKinds,
  ...commandsOfKind: readonly string[]
): [string, keyof StatementKinds][] {
  return commandsOfKind.map((command) => [command, kind]);
}
