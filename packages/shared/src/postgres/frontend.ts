// Parses the bodies of messages that frontends send (PostgreSQL manual, "Message Formats", those marked F).
// Every function takes a body without its header and throws JitdbError `postgres.protocol` for one that is malformed.
// Byte values are views into the body. Names and texts stay bytes: their encoding is the session's, which is not known here.

import { postgresLimits } from "./messages.ts";
import { BodyReader, decodeLatin1 } from "./reader.ts";

export interface Query {
  /** SQL without its terminator, in the session's client_encoding. */
  readonly text: Uint8Array;
}

export function parseQuery(body: Uint8Array): Query {
  const reader = new BodyReader("Query", body);
  const text = reader.cstring();
  reader.end();
  return { text };
}

export interface Parse {
  /** Name of the prepared statement; empty for the unnamed one. */
  readonly statement: Uint8Array;
  readonly text: Uint8Array;
  /** OIDs of the parameter types that the client fixes; 0 leaves one to the server. */
  readonly parameterTypes: readonly number[];
}

export function parseParse(body: Uint8Array): Parse {
  const reader = new BodyReader("Parse", body);
  const statement = reader.cstring();
  const text = reader.cstring();
  const parameterTypes = reader.list(4, () => reader.uint32());
  reader.end();
  return { statement, text, parameterTypes };
}

export interface Bind {
  readonly portal: Uint8Array;
  readonly statement: Uint8Array;
  /** Use {@link formatOf} to read it. */
  readonly parameterFormats: readonly number[];
  /** `null` is SQL's NULL. */
  readonly parameters: readonly (Uint8Array | null)[];
  readonly resultFormats: readonly number[];
}

export function parseBind(body: Uint8Array): Bind {
  const reader = new BodyReader("Bind", body);
  const portal = reader.cstring();
  const statement = reader.cstring();
  const parameterFormats = reader.list(2, () => reader.int16());
  const parameters = reader.list(4, () => reader.value());
  const resultFormats = reader.list(2, () => reader.int16());
  reader.end();
  return { portal, statement, parameterFormats, parameters, resultFormats };
}

/** What a Describe or a Close is about. */
export interface Target {
  readonly kind: "statement" | "portal";
  readonly name: Uint8Array;
}

export function parseDescribe(body: Uint8Array): Target {
  return parseTarget("Describe", body);
}

export function parseClose(body: Uint8Array): Target {
  return parseTarget("Close", body);
}

export interface Execute {
  readonly portal: Uint8Array;
  /** Most rows to return before the portal is suspended; 0 or less means all. */
  readonly maxRows: number;
}

export function parseExecute(body: Uint8Array): Execute {
  const reader = new BodyReader("Execute", body);
  const portal = reader.cstring();
  const maxRows = reader.int32();
  reader.end();
  return { portal, maxRows };
}

export interface FunctionCall {
  readonly functionOid: number;
  readonly argumentFormats: readonly number[];
  readonly arguments: readonly (Uint8Array | null)[];
  readonly resultFormat: number;
}

export function parseFunctionCall(body: Uint8Array): FunctionCall {
  const reader = new BodyReader("FunctionCall", body);
  const functionOid = reader.uint32();
  const argumentFormats = reader.list(2, () => reader.int16());
  const values = reader.list(4, () => reader.value());
  const resultFormat = reader.int16();
  reader.end();
  return { functionOid, argumentFormats, arguments: values, resultFormat };
}

/**
 * Sync and Flush have no body. SECURITY: a server answers one that has with an error and skips up to the next Sync, so
 * who lets it pass takes skipped messages for done.
 */
export function parseEmpty(body: Uint8Array): void {
  new BodyReader("Sync or Flush", body).end();
}

/** @returns the client's reason for giving up the COPY */
export function parseCopyFail(body: Uint8Array): Uint8Array {
  const reader = new BodyReader("CopyFail", body);
  const reason = reader.cstring();
  reader.end();
  return reason;
}

export interface SaslInitialResponse {
  readonly mechanism: string;
  /** The mechanism's first message; `null` if the client sent none. */
  readonly data: Uint8Array | null;
}

export function parseSaslInitialResponse(body: Uint8Array): SaslInitialResponse {
  const reader = new BodyReader("SASLInitialResponse", body);
  const mechanism = decodeLatin1(reader.cstring());
  const data = reader.value();
  reader.end();
  return { mechanism, data };
}

/** Format (0 text, 1 binary) of the value at `index`: no code means text for all, a single one holds for all. */
export function formatOf(formats: readonly number[], index: number): number {
  return (formats.length === 1 ? formats[0] : formats[index]) ?? 0;
}

/**
 * A statement's or portal's name as a map key. Equal keys mean equal names to the server, which looks at the first 63
 * bytes only: SECURITY: two longer names that differ later would let the audit show one statement while another runs.
 * It compares names in its own encoding, after a conversion that hangs on the client's encoding at that moment: of names
 * that are not ASCII, keys are to be trusted only where it does not convert. A key has one character a byte.
 */
export function nameKey(name: Uint8Array): string {
  return decodeLatin1(name.subarray(0, postgresLimits.maxNameBytes));
}

const kinds = new Map<number, Target["kind"]>([
  [0x53, "statement"], // S
  [0x50, "portal"], // P
]);

function parseTarget(message: "Describe" | "Close", body: Uint8Array): Target {
  const reader = new BodyReader(message, body);
  const kind = kinds.get(reader.uint8());
  if (kind === undefined) {
    throw reader.malformed("it names neither a statement nor a portal");
  }
  const name = reader.cstring();
  reader.end();
  return { kind, name };
}
