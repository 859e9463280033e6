// The observer: sees the messages of a session in the order in which they are relayed, and puts on record what runs.
// What runs is what the server confirms, not what the client asks for. It holds no socket, clock or file.
// Source: PostgreSQL manual, "Message Flow"; docs/audit-format.md, "Statements".

import type { Segment } from "@jitdb/shared/postgres/decoder";
import type { SessionEnd } from "../../../audit/record.ts";
import type { Masker } from "../../../audit/statements/masker.ts";
import { type CalledFunctions, ClientSide } from "./client-side.ts";
import { Conversation, observerLimits } from "./conversation.ts";
import { isRunning } from "./expected.ts";
import { SessionRecords, type SessionRecordsOptions } from "./records.ts";
import { ServerSide } from "./server-side.ts";

export interface ObserverOptions extends SessionRecordsOptions {
  readonly masker: Masker;
  /** Settings that the server told during the login (ParameterStatus). */
  readonly settings: ReadonlyMap<string, string>;
  readonly functions?: CalledFunctions | undefined;
  /** Bytes of a text, or of all parameters of a message, that are kept; the rest is counted and hashed. */
  readonly maxTextBytes?: number | undefined;
}

/**
 * One for each session, from the first message behind the login on. The relay calls `client` for every segment that it
 * read and `received` behind the last one, then flushes the journal, then forwards the segments and calls `forwarded`; it
 * calls `server` for every segment of the server before that is passed on. When one of them throws, nothing more may pass.
 */
export class Observer {
  readonly #conversation: Conversation;
  readonly #records: SessionRecords;
  readonly #client: ClientSide;
  readonly #server: ServerSide;

  constructor({ masker, settings, maxTextBytes, functions, ...options }: ObserverOptions) {
    const syntax = {
      encoding: settings.get("client_encoding") ?? "UTF8",
      standardStrings: settings.get("standard_conforming_strings") !== "off",
    };
    this.#conversation = new Conversation(syntax, settings.get("server_encoding"));
    this.#records = new SessionRecords(options);
    this.#client = new ClientSide(this.#conversation, this.#records, {
      masker,
      maxTextBytes,
      functions,
    });
    this.#server = new ServerSide(this.#conversation, this.#records);
  }

  /** Statements so far: Query, Execute and FunctionCall messages. */
  get statements(): number {
    return this.#conversation.statements;
  }

  /** client_encoding as the server told it last. */
  get encoding(): string {
    return this.#conversation.syntax.encoding;
  }

  /** Whether the relay had better wait for the server's answers before it reads on from the client. */
  get isFull(): boolean {
    return this.#conversation.replies.length >= observerLimits.repliesToWait;
  }

  /**
   * A segment of the client; read before the call returns, kept by nobody.
   * @throws JitdbError `postgres.protocol`, `postgres.too_large` or `limit.reached`
   */
  client(chunk: Uint8Array, segment: Segment): void {
    this.#client.take(chunk, segment);
  }

  /** All segments that came at once were seen: what has to be on record before them is appended. */
  received(): void {
    this.#records.appendPreparations();
  }

  /** Everything that `client` was called for is on its way to the server. */
  forwarded(): void {
    this.#conversation.forwarded = this.#conversation.statements;
  }

  /**
   * A segment of the server.
   * @throws JitdbError `postgres.protocol` when the server breaks the protocol
   */
  server(chunk: Uint8Array, segment: Segment): void {
    this.#server.take(chunk, segment);
  }

  /**
   * The session is over: settles what is open. Call it once, and flush the journal.
   * @param result of what was forwarded and not answered: `terminated` if the gateway made an end of it, else `unknown`
   * @param endedBy why the session ended
   */
  end(result: "unknown" | "terminated", endedBy?: SessionEnd): void {
    this.#client.abandon();
    const { replies, forwarded } = this.#conversation;
    for (let entry = replies.shift(); entry !== undefined; entry = replies.shift()) {
      if (isRunning(entry) && !entry.hasFailed) {
        this.#records.settle(entry, entry.order > forwarded ? "refused" : result, { endedBy });
      }
    }
    this.#records.release();
    this.#records.appendPreparations();
  }
}
