// Reads the fields of an audit record. Which it has depends on its kind, and a newer server may write others: what is not
// there, or of another form, reads as nothing. Knows no words for people.

import type { AuditRecordView } from "@jitdb/shared/api/audit";
import * as z from "zod";
import { decodeBinary } from "./values.ts";

/** A field that is text; empty where it is none. */
export function textOf(record: AuditRecordView, name: string): string {
  const value = record[name];
  return typeof value === "string" ? value : "";
}

/** What kind of access it was, where that is worth a word: a reviewer has to find it. */
export function markOf(record: AuditRecordView): "break-glass" | "" {
  return record["breakGlass"] === true ? "break-glass" : "";
}

/** A field that is a number. */
export function numberOf(record: AuditRecordView, name: string): number | undefined {
  const value = record[name];
  return typeof value === "number" ? value : undefined;
}

/** A field that is a list of texts. */
export function textsOf(record: AuditRecordView, name: string): readonly string[] {
  return z.array(z.string()).safeParse(record[name]).data ?? [];
}

/** When it happened: when the change was made, where the record was written later. */
export function timeOf(record: AuditRecordView): string {
  return textOf(record, "occurredAt") || record.at;
}

const bytes = z.union([z.string(), z.object({ base64: z.string() })]);
const digested = z.object({ length: z.number(), sha256: z.string() });
/** In binary format; `type` is the OID of its type. */
const binary = z.object({ base64: z.string(), type: z.number() });
const masked = z.object({ masked: z.string() });
const parameter = z.union([binary, bytes, z.null(), masked, digested]);
/** Older journals have but a hash of long ones. */
const parameters = z.union([z.array(parameter), digested]);
const chunked = digested.extend({ parts: z.number() });
const candidate = z.object({
  parse: z.string().nullable(),
  text: bytes.optional(),
  bind: z.string().optional(),
  mayBeRenamed: z.boolean().optional(),
  parameters: parameters.optional(),
});

/** A statement that an Execute may mean; docs/audit-format.md. */
export type Candidate = z.infer<typeof candidate>;
/** Bound values. */
export type Parameters = z.infer<typeof parameters>;

/** All that a statement may be; empty for records that list none. */
export function candidatesOf(record: AuditRecordView): readonly Candidate[] {
  return z.array(candidate).safeParse(record["candidates"]).data ?? [];
}

/** The values of a Bind or of a function call. */
export function parametersOf(record: AuditRecordView): Parameters | undefined {
  return parameters.safeParse(record["parameters"]).data;
}

/** A record's text: itself, or how long it is where it stands in chunks. */
export function statementTextOf(
  record: AuditRecordView,
): string | { readonly length: number } | undefined {
  const whole = bytes.safeParse(record["text"]).data;
  return whole === undefined ? chunked.safeParse(record["text"]).data : showBytes(whole);
}

/** Text as it is; bytes that are none as hex, as PostgreSQL writes them. */
export function showBytes(value: z.infer<typeof bytes>): string {
  return typeof value === "string"
    ? value
    : `\\x${Buffer.from(value.base64, "base64").toString("hex")}`;
}

/** `[17, 'paid', NULL]`; empty where nothing was bound. */
export function showParameters(values: Parameters | undefined): string {
  if (values === undefined) {
    return "";
  }
  if (!Array.isArray(values)) {
    return ` [${values.length} bytes of parameters]`;
  }
  return values.length === 0 ? "" : ` [${values.map(showParameter).join(", ")}]`;
}

function showParameter(value: z.infer<typeof parameter>): string {
  if (value === null) {
    return "NULL";
  }
  if (typeof value === "string") {
    return /^-?\d+(\.\d+)?$/.test(value) ? value : `'${value}'`;
  }
  if ("type" in value) {
    const { type, base64 } = value;
    const decoded = decodeBinary(type, Buffer.from(base64, "base64"));
    const ofType = type === 0 ? "" : `::${type}`;
    return decoded === undefined ? showBytes(value) + ofType : showParameter(decoded);
  }
  if ("base64" in value) {
    return showBytes(value);
  }
  return "masked" in value ? "[masked]" : `[${value.length} bytes]`;
}
