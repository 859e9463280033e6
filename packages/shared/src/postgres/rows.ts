// Parses the bodies that describe and carry data, from the backend (PostgreSQL manual, "Message Formats").
// Every function takes a body without its header and throws JitdbError `postgres.protocol` for one that is malformed.
// Values are views into the body.

import { BodyReader } from "./reader.ts";

/** A column of a result. */
export interface Column {
  /** Its name as UTF-8, with U+FFFD for anything else. */
  readonly name: string;
  /** OID of the table and number of the column in it; 0 for an expression. */
  readonly tableOid: number;
  readonly columnNumber: number;
  readonly typeOid: number;
  /** Bytes of a value; negative for types of varying width. */
  readonly typeSize: number;
  readonly typeModifier: number;
  /** 0 text, 1 binary. */
  readonly format: number;
}

/** Terminator of an empty name and the fixed fields. */
const minColumnBytes = 19;

export function parseRowDescription(body: Uint8Array): Column[] {
  const reader = new BodyReader("RowDescription", body);
  const columns = reader.list(minColumnBytes, () => ({
    name: reader.text(),
    tableOid: reader.uint32(),
    columnNumber: reader.int16(),
    typeOid: reader.uint32(),
    typeSize: reader.int16(),
    typeModifier: reader.int32(),
    format: reader.int16(),
  }));
  reader.end();
  return columns;
}

/** @returns the row's values; `null` is SQL's NULL */
export function parseDataRow(body: Uint8Array): (Uint8Array | null)[] {
  const reader = new BodyReader("DataRow", body);
  const values = reader.list(4, () => reader.value());
  reader.end();
  return values;
}

/** @returns OIDs of the types of a statement's parameters */
export function parseParameterDescription(body: Uint8Array): number[] {
  const reader = new BodyReader("ParameterDescription", body);
  const types = reader.list(4, () => reader.uint32());
  reader.end();
  return types;
}

/** @returns the function's result; `null` is SQL's NULL */
export function parseFunctionCallResponse(body: Uint8Array): Uint8Array | null {
  const reader = new BodyReader("FunctionCallResponse", body);
  const value = reader.value();
  reader.end();
  return value;
}

/** How the data of a COPY comes. */
export interface CopyResponse {
  /** 0 text, 1 binary. */
  readonly format: number;
  readonly columnFormats: readonly number[];
}

/** For CopyInResponse, CopyOutResponse and CopyBothResponse, whose bodies are the same. */
export function parseCopyResponse(body: Uint8Array): CopyResponse {
  const reader = new BodyReader("CopyResponse", body);
  const format = reader.uint8();
  const columnFormats = reader.list(2, () => reader.int16());
  reader.end();
  return { format, columnFormats };
}
