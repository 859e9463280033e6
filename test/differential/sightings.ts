// What is compared of a script: what was seen of each session and program, as lines. This file alone replaces anything, and
// every replacement has its reason: a row of docs/wire-support.md, or that it differs between any two sessions.

import { createHash } from "node:crypto";
import { authenticationCodes, backendMessages, messageName } from "@jitdb/shared/postgres/messages";
import { parseParameterDescription, parseRowDescription } from "@jitdb/shared/postgres/rows";
import type { RawSession } from "./raw-session.ts";

/** Lines by who saw them; the order within each counts. */
export type Sightings = Readonly<Record<string, readonly string[]>>;

/** Longer ones are told by length and hash: nobody reads more of a difference. */
const maxShownBytes = 4000;

/** First OID that a server gives to what is made in it (PostgreSQL's FirstNormalObjectId). */
const firstNormalOid = 16_384;

const {
  Authentication,
  BackendKeyData,
  ErrorResponse,
  NoticeResponse,
  NotificationResponse,
  ParameterDescription,
  RowDescription,
} = backendMessages;

/** Every message of the server, byte for byte but for what is replaced here, and how the connection stands. */
export function sightingsOf(session: RawSession, pids: ReadonlyMap<number, string>): string[] {
  const oids = new Map<number, string>();
  const lines = session.received.map(({ type, body }) => {
    const replace = replacements.get(type);
    const shown = replace?.(Buffer.from(body), { pids, oids }) ?? exactly(body);
    return `${String.fromCharCode(type)} ${messageName("backend", type) ?? "unknown"} ${shown}`;
  });
  return [...lines, session.isClosed ? "(closed)" : "(open)"];
}

/** Bytes as text that names every one of them. */
function exactly(bytes: Uint8Array): string {
  if (bytes.length > maxShownBytes) {
    return `${bytes.length} bytes, SHA-256 ${createHash("sha256").update(bytes).digest("hex")}`;
  }
  return JSON.stringify(Buffer.from(bytes).toString("latin1"));
}

interface Known {
  readonly pids: ReadonlyMap<number, string>;
  /** Names of the OIDs that the session has told, in order of appearance. */
  readonly oids: Map<number, string>;
}

type Replacement = (body: Buffer, known: Known) => string | undefined;

const replacements: ReadonlyMap<number, Replacement> = new Map<number, Replacement>([
  // Nonces, salt and signatures differ between any two logins; the password is the agent's (row 3: the local leg).
  [
    Authentication,
    (body) => {
      const code = body.readInt32BE();
      const isSecret =
        code === authenticationCodes.SASLContinue || code === authenticationCodes.SASLFinal;
      return isSecret ? `code ${code}` : undefined;
    },
  ],
  // Row 5: the cancel secret. The process id is another one in each session.
  [BackendKeyData, (body) => `a process id, ${body.length - 4} bytes of secret`],
  // Process ids.
  [
    NotificationResponse,
    (body, { pids }) => `${nameOf(body.readInt32BE(), pids)} ${exactly(body.subarray(4))}`,
  ],
  // OIDs of what was made by hand.
  [
    RowDescription,
    (body, known) => {
      const columns = parseRowDescription(body);
      const isAllBuiltIn = columns.every(
        ({ tableOid, typeOid }) => tableOid < firstNormalOid && typeOid < firstNormalOid,
      );
      const named = columns.map((column) => ({
        ...column,
        tableOid: oidName(column.tableOid, known),
        typeOid: oidName(column.typeOid, known),
      }));
      return isAllBuiltIn ? undefined : JSON.stringify(named);
    },
  ],
  [
    ParameterDescription,
    (body, known) =>
      JSON.stringify(parseParameterDescription(body).map((oid) => oidName(oid, known))),
  ],
  // Process ids and transaction ids in the text of errors.
  [ErrorResponse, (body) => withoutIds(exactly(body))],
  [NoticeResponse, (body) => withoutIds(exactly(body))],
]);

function nameOf(pid: number, pids: ReadonlyMap<number, string>): string {
  return pids.get(pid) ?? `unknown process ${pid}`;
}

function oidName(oid: number, { oids }: Known): number | string {
  if (oid < firstNormalOid) {
    return oid;
  }
  const name = oids.get(oid) ?? `#${oids.size + 1}`;
  oids.set(oid, name);
  return name;
}

/**
 * Of a text that a server or a program wrote: what differs between any two sessions or runs. Process ids, ports, ids of
 * transactions and snapshots, the number of a session's schema for temporary things, OIDs of what was made by hand, and
 * pg_dump's random key.
 */
export function withoutIds(text: string): string {
  const oids = new Map<string, string>();
  return text
    .replaceAll(/(process|PID) \d+/gi, "$1 …")
    .replaceAll(/\bport \d+/g, "port …")
    .replaceAll(/\btransaction \d+/g, "transaction …")
    .replaceAll(/SNAPSHOT '[-0-9A-F]+'/g, "SNAPSHOT …")
    .replaceAll(/pg_temp_\d+/g, "pg_temp_…")
    .replaceAll(/^\\(un)?restrict \w+$/gm, "\\$1restrict …")
    .replaceAll(normalOid, (oid) => {
      const name = oids.get(oid) ?? `#${oids.size + 1}`;
      oids.set(oid, name);
      return name;
    });
}

/** The servers are new: no OID is far from the first. */
const normalOid = /(?<![\d.])(?:1638[4-9]|1639\d|16[4-9]\d\d|1[7-9]\d{3})(?![\d.])/g;

/** pgbench tells how long it took. */
export function withoutDurations(text: string): string {
  return text
    .replaceAll(/\b\d+\.\d+ (s|ms)\b/g, "… $1")
    .replaceAll(/\btps = \d+\.\d+/g, "tps = …")
    .replaceAll(/\(elapsed.*?\)/g, "(…)");
}

/**
 * Row 12: a message that breaks the protocol gets an error of jitdb's, which ends the session, where the server says its own
 * (and may go on at the next Sync) or closes without a word. So this is what came before it.
 */
export function upToViolation(lines: readonly string[]): string[] {
  const isBreak = (line: string) =>
    line === "(closed)" || (line.startsWith("E ") && line.includes("C08P01"));
  const at = lines.findIndex(isBreak);
  return at === -1 ? [...lines] : [...lines.slice(0, at), "(broken off)"];
}
