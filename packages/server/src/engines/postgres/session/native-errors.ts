// What a database says of a login that failed, as an error of ours. The other direction is the kernel's native-error.ts.

import { type ErrorCode, JitdbError } from "@jitdb/shared/errors";
import type { ErrorFields } from "@jitdb/shared/postgres/backend";

interface Refusal {
  readonly code: ErrorCode;
  readonly message: string;
  readonly hint?: string;
}

/** SQLSTATEs and classes of a login that failed. What is missing counts as `unavailable`. */
const refusals: Readonly<Record<string, Refusal>> = {
  "28": { code: "postgres.auth", message: "The database refused the login of this grant's user." },
  "28P01": {
    code: "database.password",
    message: "The database refused the password of this grant's user.",
  },
  "3D": { code: "database.misconfigured", message: "The server has no such database." },
  "42501": {
    code: "database.misconfigured",
    message: "This grant's user may not connect to the database.",
  },
  "53300": {
    code: "limit.reached",
    message: "The database takes no more connections at the moment.",
  },
};

/** SQLSTATEs that blame a setting: what the client brought along, so its text is the client's to read. */
const settingStates = new Set(["22023", "42704", "55P02", "22P02"]);

/**
 * What an ErrorResponse during the login means for the client.
 * SECURITY: the server's text may name hosts, files and roles, so it goes to the log; but for the errors in settings, and
 * those from a server that has proved who it is.
 */
export function loginRefused(
  database: string,
  fields: ErrorFields,
  isVerified: boolean,
): JitdbError {
  const { code: state = "", message = "" } = fields;
  const detail = `database ${database}: ${state} ${message}`;
  if (isVerified && settingStates.has(state)) {
    return new JitdbError("postgres.start_up", message, { detail });
  }
  const refusal = refusals[state] ?? refusals[state.slice(0, 2)];
  return refusal === undefined
    ? new JitdbError("database.unavailable", `The database ${database} cannot be used right now.`, {
        detail,
      })
    : new JitdbError(refusal.code, refusal.message, { hint: refusal.hint, detail });
}
