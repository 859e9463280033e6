// A database client of its own, in this process: PostgreSQL's simple query protocol through a stream of the tunnel.
// Results are handed on as they come; the database waits while their reader is busy.

import { type ErrorCode, JitdbError } from "@jitdb/shared/errors";
import {
  type BackendKeyData,
  type ErrorFields,
  parseBackendKeyData,
  parseCommandComplete,
  parseErrorResponse,
  parseNoticeResponse,
  parseReadyForQuery,
  type TransactionState,
} from "@jitdb/shared/postgres/backend";
import { type Message, MessageCollector } from "@jitdb/shared/postgres/decoder";
import { encodeCopyFail, encodeQuery, encodeTerminate } from "@jitdb/shared/postgres/encoder";
import { backendMessages } from "@jitdb/shared/postgres/messages";
import { type Column, parseDataRow, parseRowDescription } from "@jitdb/shared/postgres/rows";
import {
  encodeCancelRequest,
  encodeStartupMessage,
  protocolVersions,
} from "@jitdb/shared/postgres/startup";
import { encodeText } from "@jitdb/shared/postgres/writer";
import type { AgentStream, OpenStream, StreamReceiver } from "../agent/stream.ts";

/** Largest message that is taken: a row has to fit into memory several times over. */
const maxMessageLength = 256 * 1024 * 1024;

/** What a query gives, in order. Byte values are views that live until the call returns. */
export interface QueryEvents {
  /** A result with rows begins. */
  columns(columns: readonly Column[]): void;
  row(values: readonly (Uint8Array | null)[]): void;
  /** A statement is done. */
  complete(tag: string): void;
  /** Data of a COPY to stdout, as it is. */
  copyData(bytes: Uint8Array): void;
  error(fields: ErrorFields): void;
  notice(fields: ErrorFields): void;
  /** Resolves when what was handed over is written; only then more is asked for. */
  flush(): Promise<void>;
}

export interface SqlTarget {
  readonly user: string;
  readonly database: string;
}

export class SqlClient implements StreamReceiver {
  readonly #openStream: OpenStream;
  readonly #messages = new MessageCollector("backend", maxMessageLength);
  #stream: AgentStream | undefined;
  #chunks: Uint8Array[] = [];
  /** Bytes of the chunk that is being read, which the gateway may not send anew before they are done with. */
  #unconsumed: Uint8Array = new Uint8Array(0);
  #wake: (() => void) | undefined;
  /** Why no more comes. */
  #end: JitdbError | undefined;
  #fatal: ErrorFields | undefined;
  #key: BackendKeyData | undefined;
  #transaction: TransactionState = "idle";

  private constructor(openStream: OpenStream) {
    this.#openStream = openStream;
  }

  /** @throws JitdbError what the gateway refuses with, or `server.*`, `tunnel.*` */
  static async open(openStream: OpenStream, target: SqlTarget): Promise<SqlClient> {
    const client = new SqlClient(openStream);
    const parameters = {
      user: target.user,
      database: target.database,
      client_encoding: "UTF8",
      application_name: "jitdb sql",
    };
    const startup = encodeStartupMessage({
      version: protocolVersions.v3_0,
      parameters: Object.entries(parameters).map(([name, value]) => ({
        name,
        value: encodeText(value),
      })),
    });
    client.#stream = await openStream("session", startup, client);
    await client.#receive((message) => client.#takeGreeting(message));
    return client;
  }

  /** How the session's transaction stands. */
  get transaction(): TransactionState {
    return this.#transaction;
  }

  /**
   * Runs the statements of a text; false if one of them failed.
   * @throws JitdbError when the session has ended
   */
  async run(text: string, events: QueryEvents): Promise<boolean> {
    this.#stream?.write(encodeQuery(text));
    let isGood = true;
    await this.#receive(
      (message) => {
        isGood &&= message.type !== backendMessages.ErrorResponse;
        return this.#takeResult(message, events);
      },
      () => events.flush(),
    );
    await events.flush();
    return isGood;
  }

  /** Asks the database to break off what runs, and resolves when it has been told. */
  async cancel(): Promise<void> {
    const key = this.#key;
    if (key === undefined) {
      return;
    }
    await new Promise<void>((resolve, reject) => {
      const opened: { stream?: AgentStream } = {};
      this.#openStream("cancel", encodeCancelRequest(key), {
        opened: () => opened.stream?.close(),
        data: (bytes) => opened.stream?.consumed(bytes),
        writable: () => undefined,
        peerClosed: () => resolve(),
        ended: (error) => (error === undefined ? resolve() : reject(error)),
      }).then((stream) => {
        opened.stream = stream;
      }, reject);
    });
  }

  /** Ends the session as a client should. */
  close(): void {
    if (this.#end === undefined) {
      this.#stream?.write(encodeTerminate());
      this.#stream?.close();
    }
  }

  opened(): void {
    // The greeting says the same.
  }

  data(bytes: Uint8Array): void {
    this.#chunks.push(bytes);
    this.#wake?.();
  }

  writable(): void {
    // Queries are written whole: a person's SQL fits the window, and what does not waits in the session.
  }

  peerClosed(): void {
    this.ended(undefined);
  }

  ended(error: JitdbError | undefined): void {
    this.#end ??=
      error ?? new JitdbError("database.unavailable", "The database closed the connection.");
    this.#wake?.();
  }

  /** Hands messages over until one is the last. `settle` is awaited before more is taken from the gateway. */
  async #receive(take: (message: Message) => boolean, settle?: () => Promise<void>): Promise<void> {
    for (;;) {
      for (let message = this.#messages.next(); message; message = this.#messages.next()) {
        if (take(message)) {
          return;
        }
      }
      await settle?.();
      this.#stream?.consumed(this.#unconsumed);
      const chunk = await this.#nextChunk();
      this.#unconsumed = chunk;
      // What is read of it may outlive the chunk, whose memory is used again.
      this.#messages.push(chunk.slice());
    }
  }

  async #nextChunk(): Promise<Uint8Array> {
    for (;;) {
      const chunk = this.#chunks.shift();
      if (chunk !== undefined) {
        return chunk;
      }
      if (this.#end !== undefined) {
        throw this.#fatal === undefined ? this.#end : toError(this.#fatal);
      }
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  #takeGreeting({ type, body }: Message): boolean {
    switch (type) {
      case backendMessages.BackendKeyData: {
        const { processId, secret } = parseBackendKeyData(body);
        this.#key = { processId, secret: secret.slice() };
        return false;
      }
      case backendMessages.ErrorResponse:
        throw toError(parseErrorResponse(body));
      default:
        return type === backendMessages.ReadyForQuery;
    }
  }

  /** True at the end of the query. */
  #takeResult({ type, body }: Message, events: QueryEvents): boolean {
    switch (type) {
      case backendMessages.RowDescription:
        events.columns(parseRowDescription(body));
        return false;
      case backendMessages.DataRow:
        events.row(parseDataRow(body));
        return false;
      case backendMessages.CommandComplete:
        events.complete(parseCommandComplete(body).tag);
        return false;
      case backendMessages.CopyData:
        events.copyData(body);
        return false;
      case backendMessages.CopyInResponse:
        this.#stream?.write(encodeCopyFail("jitdb sql sends no data; use jitdb psql"));
        return false;
      case backendMessages.NoticeResponse:
        events.notice(parseNoticeResponse(body));
        return false;
      case backendMessages.ErrorResponse:
        this.#takeError(parseErrorResponse(body), events);
        return false;
      case backendMessages.ReadyForQuery:
        this.#transaction = parseReadyForQuery(body);
        return true;
      default:
        return false;
    }
  }

  /** An error that ends the session is no statement's. */
  #takeError(fields: ErrorFields, events: QueryEvents): void {
    if (fields.severity === "FATAL" || fields.severity === "PANIC") {
      this.#fatal = fields;
    } else {
      events.error(fields);
    }
  }
}

/** SQLSTATE classes of errors that end a session, where they say more than that the database is away. */
const codes: Readonly<Record<string, ErrorCode>> = {
  "58030": "audit.unavailable",
  "53300": "limit.reached",
};

function toError({ code = "", message = "The database ended the session.", hint }: ErrorFields) {
  return new JitdbError(codes[code] ?? "database.unavailable", message, { hint });
}
