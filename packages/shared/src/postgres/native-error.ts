// Our errors in PostgreSQL's words (PostgreSQL manual, "Error and Notice Message Fields"), the same from agent and gateway.

import type { JitdbError } from "../errors.ts";
import { encodeErrorResponse, encodeNoticeResponse } from "./encoder.ts";

/**
 * What a server says when somebody ends its sessions: admin_shutdown, which pools know how to handle.
 * Source: PostgreSQL manual, appendix A.
 */
const adminShutdown = "57P01";

/** States that may end a session that was open: connection, program limit, operator, system, internal. */
const endsSessions = /^(?:08|54|57P|58|XX)/;

/** A FATAL for a client whose session is not open yet, with the catalogue's SQLSTATE. */
export function encodeRefusal(error: JitdbError): Uint8Array {
  return encodeFatal(error, error.forms.sqlstate);
}

/**
 * A FATAL for a client whose session ends. States that speak of logins and rights would mislead there, so all but those that
 * a server ends sessions with become 57P01.
 */
export function encodeEnd(error: JitdbError): Uint8Array {
  const { sqlstate } = error.forms;
  return encodeFatal(error, endsSessions.test(sqlstate) ? sqlstate : adminShutdown);
}

/** A NoticeResponse of severity WARNING, which no client hides. */
export function encodeWarning(message: string, hint: string): Uint8Array {
  return encodeNoticeResponse({
    severity: "WARNING",
    code: "01000",
    message: withoutNul(message),
    hint: withoutNul(hint),
  });
}

function encodeFatal(error: JitdbError, code: string): Uint8Array {
  return encodeErrorResponse({
    severity: "FATAL",
    code,
    message: withoutNul(error.message),
    hint: withoutNul(error.hint),
  });
}

/** No string of the protocol holds a NUL, and people's reasons end up in messages: an error must not fail for its text. */
function withoutNul(text: string): string {
  return text.replaceAll("\0", "\ufffd");
}
