// Invariant 42: whether pg_hba.conf lets an ephemeral user in past the gateway (PostgreSQL manual, §20.1 and pg_hba_file_rules).

import pg from "pg";
import type { DatabaseConfig } from "../../../config/config.ts";
import type { Problem } from "../../../credentials/executor.ts";
import type { AdminTransaction, Row } from "../admin-connection.ts";
import { markerRole } from "../group-roles.ts";

export interface AccessRule extends Row {
  readonly type: string;
  readonly databases: readonly string[];
  readonly users: readonly string[];
  readonly address: string | null;
  readonly method: string;
}

const rulesSql = `
SELECT type, database AS databases, user_name AS users, address, auth_method AS method
FROM pg_catalog.pg_hba_file_rules WHERE error IS NULL ORDER BY line_number`;

export async function inspectAccessRules(
  transaction: AdminTransaction,
  database: DatabaseConfig,
  fix: string,
): Promise<readonly Problem[]> {
  const advice = `Put the pg_hba.conf lines at the end of that SQL in front of the others. ${fix}`;
  try {
    await transaction.query("SAVEPOINT access_rules");
    const rules = await transaction.query<AccessRule>(rulesSql);
    return findOpenDoors(rules, database.database).map((door) => ({
      severity: "warning" as const,
      message: `pg_hba.conf lets ephemeral users in past the gateway: ${door}. A user with a password of its own is ended within a second, not refused.`,
      fix: advice,
    }));
  } catch (error) {
    if (!(error instanceof pg.DatabaseError)) {
      throw error;
    }
    await transaction.query("ROLLBACK TO SAVEPOINT access_rules");
    const message = "Whether pg_hba.conf keeps ephemeral users to the gateway cannot be read.";
    return [{ severity: "warning", message, fix: advice }];
  }
}

/** The first rule of each kind that admits an ephemeral user from everywhere before one refuses them; empty when there is none. */
export function findOpenDoors(rules: readonly AccessRule[], database: string): readonly string[] {
  const kinds = [
    { name: "over TCP", matches: (type: string) => type.startsWith("host") },
    { name: "through the Unix socket", matches: (type: string) => type === "local" },
  ];
  return kinds.flatMap(({ name, matches }) => {
    const first = rules.find(
      (rule) => matches(rule.type) && concerns(rule, database) && decidesForAll(rule),
    );
    return first === undefined || first.method === "reject"
      ? []
      : [`${name} by "${describe(first)}"`];
  });
}

function concerns({ databases }: AccessRule, database: string): boolean {
  return databases.includes("all") || databases.includes(database);
}

/** Lines for the marker that admit it are the gateway's own; a refusal counts when it refuses every address. */
function decidesForAll({ users, method, address }: AccessRule): boolean {
  if (users.includes("all")) {
    return true;
  }
  return (
    users.includes(`+${markerRole}`) &&
    method === "reject" &&
    (address === null || address === "all")
  );
}

function describe({ type, databases, users, address, method }: AccessRule): string {
  return [type, databases.join(","), users.join(","), address, method].filter(Boolean).join(" ");
}
