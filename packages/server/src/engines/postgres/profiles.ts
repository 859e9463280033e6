// What the built-in profiles grant: explicit privileges on named schemas, to the profile's group.
// SECURITY: never a predefined role (pg_read_all_data reads password verifiers), never TRIGGER or REFERENCES, which act
// on other people's statements.

import type { Privileges, ProfileConfig } from "../../config/config.ts";
import { quoteName } from "./quote.ts";

interface ProfilePrivileges {
  readonly tables: readonly string[];
  readonly sequences: readonly string[];
  readonly schema: readonly string[];
  /** What a grant can make stays possible to find afterwards; it cannot be kept from acting in every case. */
  readonly leavesTraces: boolean;
}

export const profilePrivileges: Readonly<Record<Privileges, ProfilePrivileges>> = {
  "read-only": {
    tables: ["SELECT"],
    sequences: ["SELECT"],
    schema: ["USAGE"],
    leavesTraces: false,
  },
  "read-write": {
    tables: ["SELECT", "INSERT", "UPDATE", "DELETE"],
    sequences: ["SELECT", "USAGE"],
    schema: ["USAGE"],
    leavesTraces: false,
  },
  admin: {
    tables: ["SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE"],
    sequences: ["SELECT", "USAGE", "UPDATE"],
    schema: ["USAGE", "CREATE"],
    leavesTraces: true,
  },
};

/** Statements that give the profile's group its privileges in one schema, on what is there. Functions stay as PUBLIC has them. */
export function grantStatements(profile: ProfileConfig, schema: string): readonly string[] {
  const { tables, sequences, schema: onSchema } = profilePrivileges[profile.privileges];
  const [inSchema, group] = [quoteName(schema), quoteName(profile.group)];
  return [
    `GRANT ${onSchema.join(", ")} ON SCHEMA ${inSchema} TO ${group}`,
    `GRANT ${tables.join(", ")} ON ALL TABLES IN SCHEMA ${inSchema} TO ${group}`,
    `GRANT ${sequences.join(", ")} ON ALL SEQUENCES IN SCHEMA ${inSchema} TO ${group}`,
  ];
}

/** The same for what an owner makes in the schema from now on: what follows `ALTER DEFAULT PRIVILEGES FOR ROLE <owner> `. */
export function defaultGrants(profile: ProfileConfig, schema: string): readonly string[] {
  const { tables, sequences } = profilePrivileges[profile.privileges];
  const [inSchema, group] = [quoteName(schema), quoteName(profile.group)];
  return [
    `IN SCHEMA ${inSchema} GRANT ${tables.join(", ")} ON TABLES TO ${group}`,
    `IN SCHEMA ${inSchema} GRANT ${sequences.join(", ")} ON SEQUENCES TO ${group}`,
  ];
}
