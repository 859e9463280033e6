// Encodes every message that we send, one pure function each, in the manual's words.
// All give memory of their own, and throw JitdbError `postgres.too_large` above the protocol's limits and
// `postgres.protocol` for a string that contains a NUL. The packets that open a connection are in startup.ts.

import {
  type BackendKeyData,
  type ErrorFields,
  errorFieldLetters,
  type ParameterStatus,
  type TransactionState,
  transactionStates,
} from "./backend.ts";
import type {
  Bind,
  Execute,
  FunctionCall,
  Parse,
  SaslInitialResponse,
  Target,
} from "./frontend.ts";
import { authenticationCodes, backendMessages, frontendMessages } from "./messages.ts";
import {
  cstring,
  encodeLatin1,
  encodeMessage,
  encodeText,
  int16,
  int32,
  list,
  uint8,
  value,
} from "./writer.ts";

/** @param text SQL; a string is sent as UTF-8 */
export function encodeQuery(text: string | Uint8Array): Uint8Array {
  return encodeMessage(frontendMessages.Query, cstring(text));
}

export function encodeParse({ statement, text, parameterTypes }: Parse): Uint8Array {
  return encodeMessage(
    frontendMessages.Parse,
    cstring(statement),
    cstring(text),
    list(parameterTypes, int32),
  );
}

export function encodeBind(bind: Bind): Uint8Array {
  return encodeMessage(
    frontendMessages.Bind,
    cstring(bind.portal),
    cstring(bind.statement),
    list(bind.parameterFormats, int16),
    list(bind.parameters, value),
    list(bind.resultFormats, int16),
  );
}

export function encodeDescribe(target: Target): Uint8Array {
  return encodeMessage(frontendMessages.Describe, targetFields(target));
}

export function encodeClose(target: Target): Uint8Array {
  return encodeMessage(frontendMessages.Close, targetFields(target));
}

export function encodeExecute({ portal, maxRows }: Execute): Uint8Array {
  return encodeMessage(frontendMessages.Execute, cstring(portal), int32(maxRows));
}

export function encodeFunctionCall(call: FunctionCall): Uint8Array {
  return encodeMessage(
    frontendMessages.FunctionCall,
    int32(call.functionOid),
    list(call.argumentFormats, int16),
    list(call.arguments, value),
    int16(call.resultFormat),
  );
}

export function encodeSync(): Uint8Array {
  return encodeMessage(frontendMessages.Sync);
}

export function encodeTerminate(): Uint8Array {
  return encodeMessage(frontendMessages.Terminate);
}

/** A CopyFail with the reason that the server puts into its error. */
export function encodeCopyFail(reason: string): Uint8Array {
  return encodeMessage(frontendMessages.CopyFail, cstring(reason));
}

/** The password in clear text, or its MD5 hash as the server asks for it. */
export function encodePasswordMessage(password: string): Uint8Array {
  return encodeMessage(frontendMessages.PasswordMessage, cstring(password));
}

export function encodeSaslInitialResponse({ mechanism, data }: SaslInitialResponse): Uint8Array {
  return encodeMessage(
    frontendMessages.SASLInitialResponse,
    cstring(encodeLatin1(mechanism)),
    value(data),
  );
}

export function encodeSaslResponse(data: Uint8Array): Uint8Array {
  return encodeMessage(frontendMessages.SASLResponse, data);
}

export function encodeAuthenticationOk(): Uint8Array {
  return encodeMessage(backendMessages.Authentication, int32(authenticationCodes.Ok));
}

export function encodeAuthenticationSasl(mechanisms: readonly string[]): Uint8Array {
  return encodeMessage(
    backendMessages.Authentication,
    int32(authenticationCodes.SASL),
    mechanisms.map(cstring),
    uint8(0),
  );
}

export function encodeAuthenticationSaslContinue(data: Uint8Array): Uint8Array {
  return encodeMessage(
    backendMessages.Authentication,
    int32(authenticationCodes.SASLContinue),
    data,
  );
}

export function encodeAuthenticationSaslFinal(data: Uint8Array): Uint8Array {
  return encodeMessage(backendMessages.Authentication, int32(authenticationCodes.SASLFinal), data);
}

/** @param version the newest version that we speak, whole, as servers send it (see parseNegotiateProtocolVersion) */
export function encodeNegotiateProtocolVersion(
  version: number,
  unknownOptions: readonly string[],
): Uint8Array {
  return encodeMessage(
    backendMessages.NegotiateProtocolVersion,
    int32(version),
    int32(unknownOptions.length),
    unknownOptions.map(cstring),
  );
}

export function encodeParameterStatus(status: ParameterStatus): Uint8Array {
  return encodeMessage(
    backendMessages.ParameterStatus,
    cstring(status.name),
    cstring(status.value),
  );
}

export function encodeBackendKeyData({ processId, secret }: BackendKeyData): Uint8Array {
  return encodeMessage(backendMessages.BackendKeyData, int32(processId), secret);
}

export function encodeReadyForQuery(state: TransactionState): Uint8Array {
  return encodeMessage(backendMessages.ReadyForQuery, uint8(transactionStates[state]));
}

/** The fields that the protocol wants in every error and notice, and any of the others. */
export type RequiredErrorFields = ErrorFields & {
  readonly severity: string;
  readonly code: string;
  readonly message: string;
};

export function encodeErrorResponse(fields: RequiredErrorFields): Uint8Array {
  return encodeMessage(backendMessages.ErrorResponse, errorFields(fields));
}

export function encodeNoticeResponse(fields: RequiredErrorFields): Uint8Array {
  return encodeMessage(backendMessages.NoticeResponse, errorFields(fields));
}

function targetFields({ kind, name }: Target): [Uint8Array, Uint8Array] {
  return [encodeText(kind === "statement" ? "S" : "P"), cstring(name)];
}

// Ours are in English, so both severities are the same unless the caller has the two.
function errorFields(fields: RequiredErrorFields): Uint8Array[] {
  const complete: ErrorFields = { localizedSeverity: fields.severity, ...fields };
  const encoded: Uint8Array[] = [];
  for (const [name, letter] of Object.entries(errorFieldLetters)) {
    const text = complete[name as keyof typeof errorFieldLetters];
    if (text !== undefined) {
      encoded.push(encodeText(letter), cstring(text));
    }
  }
  return [...encoded, uint8(0)];
}
