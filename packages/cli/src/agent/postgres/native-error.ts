// Our errors in PostgreSQL's words (PostgreSQL manual, "Error and Notice Message Fields").

import type { JitdbError } from "@jitdb/shared/errors";
import { encodeErrorResponse } from "@jitdb/shared/postgres/encoder";

/** An ErrorResponse that ends the connection. */
export function encodeFatal(error: JitdbError): Uint8Array {
  return encodeErrorResponse({
    severity: "FATAL",
    code: error.forms.sqlstate,
    message: withoutNul(error.message),
    hint: withoutNul(error.hint),
  });
}

/** No string of the protocol holds a NUL, and an error must not fail for its text. */
function withoutNul(text: string): string {
  return text.replaceAll("\0", "\ufffd");
}
