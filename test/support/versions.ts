// The PostgreSQL servers that what depends on their version is tested on.

import { findPostgres, type PostgresVersion } from "./postgres.ts";

/** Set by `npm test -- --all`. */
export const allVersionsVariable = "JITDB_TEST_ALL";

/** Both of them in CI; else the machine's own, or where it has none, that of the npm package. */
export const testedVersions: readonly PostgresVersion[] =
  process.env[allVersionsVariable] === "1"
    ? ["system", "embedded"]
    : [(await findPostgres("system")) === undefined ? "embedded" : "system"];
