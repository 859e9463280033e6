// Parses the bodies of messages that backends send (PostgreSQL manual, "Message Formats", those marked B).
// Every function takes a body without its header and throws JitdbError `postgres.protocol` for one that is malformed.
// Byte values are views into the body; strings are UTF-8 with U+FFFD for anything else, for people to read.

import { authenticationCodes, postgresLimits } from "./messages.ts";
import { BodyReader } from "./reader.ts";

/** A request of the authentication exchange. Which ones are acceptable is the login's decision. */
export type Authentication =
  | { readonly kind: "ok" }
  | { readonly kind: "cleartext" }
  | { readonly kind: "md5"; readonly salt: Uint8Array }
  | { readonly kind: "sasl"; readonly mechanisms: readonly string[] }
  | { readonly kind: "sasl-continue"; readonly data: Uint8Array }
  | { readonly kind: "sasl-final"; readonly data: Uint8Array }
  | { readonly kind: "other"; readonly code: number };

export function parseAuthentication(body: Uint8Array): Authentication {
  const reader = new BodyReader("Authentication", body);
  const code = reader.int32();
  switch (code) {
    case authenticationCodes.Ok:
      reader.end();
      return { kind: "ok" };
    case authenticationCodes.CleartextPassword:
      reader.end();
      return { kind: "cleartext" };
    case authenticationCodes.MD5Password: {
      const salt = reader.bytes(4);
      reader.end();
      return { kind: "md5", salt };
    }
    case authenticationCodes.SASL:
      return { kind: "sasl", mechanisms: textsUntilEmpty(reader) };
    case authenticationCodes.SASLContinue:
      return { kind: "sasl-continue", data: reader.rest() };
    case authenticationCodes.SASLFinal:
      return { kind: "sasl-final", data: reader.rest() };
    default:
      return { kind: "other", code };
  }
}

export interface BackendKeyData {
  readonly processId: number;
  /** Cancel key: 4 bytes in protocol 3.0, up to 256 in 3.2. */
  readonly secret: Uint8Array;
}

export function parseBackendKeyData(body: Uint8Array): BackendKeyData {
  const reader = new BodyReader("BackendKeyData", body);
  const processId = reader.int32();
  const { minCancelKeyBytes, maxCancelKeyBytes } = postgresLimits;
  if (reader.remaining < minCancelKeyBytes || reader.remaining > maxCancelKeyBytes) {
    throw reader.malformed(`its cancel key has ${reader.remaining} bytes`);
  }
  return { processId, secret: reader.rest() };
}

export interface NegotiateProtocolVersion {
  /** The newest version that the server speaks, e.g. 0x30000; servers send it whole although the manual says minor. */
  readonly version: number;
  readonly unknownOptions: readonly string[];
}

export function parseNegotiateProtocolVersion(body: Uint8Array): NegotiateProtocolVersion {
  const reader = new BodyReader("NegotiateProtocolVersion", body);
  const version = reader.uint32();
  const count = reader.uint32();
  if (count > reader.remaining) {
    throw reader.malformed(`it counts ${count} options in ${reader.remaining} bytes`);
  }
  const unknownOptions = Array.from({ length: count }, () => reader.text());
  reader.end();
  return { version, unknownOptions };
}

export interface ParameterStatus {
  readonly name: string;
  readonly value: string;
}

export function parseParameterStatus(body: Uint8Array): ParameterStatus {
  const reader = new BodyReader("ParameterStatus", body);
  const name = reader.text();
  const value = reader.text();
  reader.end();
  return { name, value };
}

/** Letters of the transaction states that ReadyForQuery tells. */
export const transactionStates = {
  /** Not in a transaction block. */
  idle: 0x49, // I
  /** In a transaction block. */
  transaction: 0x54, // T
  /** In a failed transaction block, which takes nothing but its end. */
  failed: 0x45, // E
} as const;

export type TransactionState = keyof typeof transactionStates;

export function parseReadyForQuery(body: Uint8Array): TransactionState {
  const reader = new BodyReader("ReadyForQuery", body);
  const letter = reader.uint8();
  reader.end();
  for (const state of ["idle", "transaction", "failed"] as const) {
    if (transactionStates[state] === letter) {
      return state;
    }
  }
  throw reader.malformed(`its state is 0x${letter.toString(16)}`);
}

export interface CommandComplete {
  /** E.g. `INSERT 0 5`, `CREATE TABLE`. */
  readonly tag: string;
  /** Rows that the tag counts; undefined where it counts none. */
  readonly rows: number | undefined;
}

export function parseCommandComplete(body: Uint8Array): CommandComplete {
  const reader = new BodyReader("CommandComplete", body);
  const tag = reader.text();
  reader.end();
  // Fifteen digits stay below 2^53; a longer count is no server's of ours.
  const count = /^[A-Z ]+ (?:\d+ )?(\d{1,15})$/.exec(tag)?.[1];
  return { tag, rows: count === undefined ? undefined : Number(count) };
}

/** Fields of errors and notices by the letter that the wire uses ("Error and Notice Message Fields"). */
export const errorFieldLetters = {
  localizedSeverity: "S",
  severity: "V",
  code: "C",
  message: "M",
  detail: "D",
  hint: "H",
  position: "P",
  internalPosition: "p",
  internalQuery: "q",
  where: "W",
  schema: "s",
  table: "t",
  column: "c",
  dataType: "d",
  constraint: "n",
  file: "F",
  line: "L",
  routine: "R",
} as const;

export type ErrorField = keyof typeof errorFieldLetters;

/** What an ErrorResponse or NoticeResponse said. A hostile server may leave anything out, also the SQLSTATE (`code`). */
export type ErrorFields = Readonly<Partial<Record<ErrorField, string>>>;

const fieldNames = new Map(
  Object.entries(errorFieldLetters).map(([name, letter]) => [letter.charCodeAt(0), name]),
);

export function parseErrorResponse(body: Uint8Array): ErrorFields {
  return parseErrorFields("ErrorResponse", body);
}

export function parseNoticeResponse(body: Uint8Array): ErrorFields {
  return parseErrorFields("NoticeResponse", body);
}

export interface NotificationResponse {
  readonly processId: number;
  readonly channel: string;
  readonly payload: string;
}

export function parseNotificationResponse(body: Uint8Array): NotificationResponse {
  const reader = new BodyReader("NotificationResponse", body);
  const processId = reader.int32();
  const channel = reader.text();
  const payload = reader.text();
  reader.end();
  return { processId, channel, payload };
}

function parseErrorFields(message: string, body: Uint8Array): ErrorFields {
  const reader = new BodyReader(message, body);
  const fields: Record<string, string> = {};
  for (let letter = reader.uint8(); letter !== 0; letter = reader.uint8()) {
    const value = reader.text();
    const name = fieldNames.get(letter);
    // The manual: fields of unknown type are to be ignored.
    if (name !== undefined) {
      fields[name] = value;
    }
  }
  reader.end();
  return fields;
}

function textsUntilEmpty(reader: BodyReader): string[] {
  const texts: string[] = [];
  for (let text = reader.text(); text !== ""; text = reader.text()) {
    texts.push(text);
  }
  reader.end();
  return texts;
}
