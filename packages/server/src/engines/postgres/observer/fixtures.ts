// What the observer's tests share: an observer with its records, fed with messages as the relay does, and a server's replies.

import { MessageWalker } from "@jitdb/shared/postgres/decoder";
import {
  encodeBind,
  encodeClose,
  encodeDescribe,
  encodeErrorResponse,
  encodeExecute,
  encodeParameterStatus,
  encodeParse,
  encodeQuery,
  encodeReadyForQuery,
  encodeSync,
} from "@jitdb/shared/postgres/encoder";
import {
  backendMessages as backend,
  bulkMessages,
  frontendMessages as frontend,
} from "@jitdb/shared/postgres/messages";
import { cstring, encodeMessage } from "@jitdb/shared/postgres/writer";
import { canonicalJson } from "../../../audit/journal/canonical.ts";
import { OrderedRecord } from "../../../audit/ordered.ts";
import type { AuditEvent, EventOf } from "../../../audit/record.ts";
import { Masker } from "../../../audit/statements/masker.ts";
import { Observer } from "./observer.ts";

const bytes = (text: string) => Buffer.from(text);
/** Messages of a client. */
export const query = (text: string | Uint8Array) => encodeQuery(text);
export const parse = (statement: string, text: string) =>
  encodeParse({ statement: bytes(statement), text: bytes(text), parameterTypes: [] });
export const bind = (
  portal: string,
  statement: string,
  parameters: readonly (Uint8Array | null)[] = [],
  parameterFormats: readonly number[] = [],
) =>
  encodeBind({
    portal: bytes(portal),
    statement: bytes(statement),
    parameters,
    parameterFormats,
    resultFormats: [],
  });
export const execute = (portal = "", maxRows = 0) =>
  encodeExecute({ portal: bytes(portal), maxRows });
export const close = (kind: "statement" | "portal", name: string) =>
  encodeClose({ kind, name: bytes(name) });
export const describePortal = encodeDescribe({ kind: "portal", name: bytes("") });
export const sync = encodeSync();
export const copyData = (count: number) => encodeMessage(frontend.CopyData, new Uint8Array(count));
export const copyDone = encodeMessage(frontend.CopyDone);

/** Replies of a server, as whole messages. */
export const reply = {
  parseComplete: encodeMessage(backend.ParseComplete),
  bindComplete: encodeMessage(backend.BindComplete),
  closeComplete: encodeMessage(backend.CloseComplete),
  noData: encodeMessage(backend.NoData),
  empty: encodeMessage(backend.EmptyQueryResponse),
  suspended: encodeMessage(backend.PortalSuspended),
  copyIn: encodeMessage(backend.CopyInResponse, Uint8Array.of(0, 0, 0)),
  copyOut: encodeMessage(backend.CopyOutResponse, Uint8Array.of(0, 0, 0)),
  copyDone: encodeMessage(backend.CopyDone),
  complete: (tag: string) => encodeMessage(backend.CommandComplete, cstring(tag)),
  row: (bytes: number) => encodeMessage(backend.DataRow, new Uint8Array(bytes)),
  copyData: (bytes: number) => encodeMessage(backend.CopyData, new Uint8Array(bytes)),
  functionResult: (bytes: number) =>
    encodeMessage(backend.FunctionCallResponse, new Uint8Array(bytes)),
  error: (code: string) =>
    encodeErrorResponse({ localizedSeverity: "ERROR", severity: "ERROR", code, message: "no" }),
  ready: (state: "idle" | "transaction" | "failed" = "idle") => encodeReadyForQuery(state),
  parameterTypes: (types: readonly number[]) =>
    encodeMessage(backend.ParameterDescription, oids(types)),
  setting: (name: string, value: string) => encodeParameterStatus({ name, value }),
};

function oids(types: readonly number[]): Uint8Array {
  const body = Buffer.alloc(2 + 4 * types.length);
  body.writeUInt16BE(types.length);
  for (const [index, type] of types.entries()) {
    body.writeUInt32BE(type, 2 + 4 * index);
  }
  return body;
}

/** An observer with the relay's part played by the test. */
export class ObservedSession {
  readonly records: AuditEvent[] = [];
  readonly observer: Observer;
  readonly #client = new MessageWalker("frontend");
  readonly #server = new MessageWalker("backend", bulkMessages);
  readonly #chunkBytes: number;
  #now = 0;

  /**
   * @param chunkBytes size of the pieces in which bytes arrive
   * @param settings that the server told during the login
   */
  constructor(chunkBytes = Number.POSITIVE_INFINITY, settings: Record<string, string> = {}) {
    this.#chunkBytes = chunkBytes;
    this.observer = new Observer({
      subject: { session: "ses_1", person: "alice" },
      journal: { append: (event) => this.records.push(asWritten(event)) },
      clock: { now: () => this.#now++ },
      masker: new Masker(Buffer.from("key")),
      settings: new Map(Object.entries({ client_encoding: "UTF8", ...settings })),
      maxTextBytes: 1024 * 1024,
    });
  }

  /** Client messages, in one turn of the relay. */
  client(...messages: readonly Uint8Array[]): void {
    this.#feed(this.#client, messages, (chunk, segment) => this.observer.client(chunk, segment));
    this.observer.received();
    this.observer.forwarded();
  }

  server(...messages: readonly Uint8Array[]): void {
    this.#feed(this.#server, messages, (chunk, segment) => this.observer.server(chunk, segment));
  }

  /** The records of a kind. */
  of<Kind extends AuditEvent["kind"]>(kind: Kind): EventOf<Kind>[] {
    return this.records.filter((event): event is EventOf<Kind> & AuditEvent => event.kind === kind);
  }

  /** What the outcomes say in short: `<statement> <result>` with what else is known. */
  outcomes(): string[] {
    return this.of("statement.outcome").map(
      ({ statement, result, tag, parse, sqlstate, transaction }) =>
        [statement.replace("ses_1.", ""), result, tag, parse, sqlstate, transaction]
          .filter((word) => word !== undefined)
          .join(" "),
    );
  }

  #feed(walker: MessageWalker, messages: readonly Uint8Array[], take: Observer["client"]): void {
    const bytes = Buffer.concat(messages);
    for (let at = 0; at < bytes.length; at += this.#chunkBytes) {
      const chunk = bytes.subarray(at, at + this.#chunkBytes);
      walker.push(chunk);
      for (let segment = walker.next(); segment; segment = walker.next()) {
        take(chunk, segment);
      }
    }
  }
}

/** What the journal makes of an event, without what it adds. */
function asWritten(event: AuditEvent): AuditEvent {
  const place = { at: "", prev: "", seq: 0 };
  const line = event instanceof OrderedRecord ? event.line(place) : canonicalJson({ ...event });
  const { at, prev, seq, ...written } = JSON.parse(line);
  return written;
}
