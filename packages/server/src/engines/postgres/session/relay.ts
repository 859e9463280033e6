// Relays one client's session: exact bytes both ways, each chunk walked and observed, nothing forwarded before its record.
// The order of a turn: client bytes are observed as they come, the journal is flushed once (turn.ts), then they are written.

import type { Socket } from "node:net";
import { type JitdbError, toJitdbError } from "@jitdb/shared/errors";
import { MessageWalker } from "@jitdb/shared/postgres/decoder";
import { bulkMessages } from "@jitdb/shared/postgres/messages";
import { encodeEnd, encodeWarning } from "@jitdb/shared/postgres/native-error";
import { RecycledMemory } from "@jitdb/shared/tunnel/recycled-memory";
import type { SessionEnd } from "../../../audit/record.ts";
import type { Forwarder } from "../../../gateway/turn.ts";
import type {
  Session,
  SessionClient,
  SessionPorts,
  SessionRequest,
  SessionSummary,
  Warning,
} from "../../engine.ts";
import type { Observer } from "../observer/observer.ts";
import { CancelKey, cancelBackend } from "./cancel.ts";
import { type Connection, cut, sayGoodbye } from "./connection.ts";
import type { Greeting } from "./greeting.ts";
import { Intake } from "./intake.ts";
import type { LoggedIn } from "./login.ts";
import { OwedAnswers } from "./owed-answers.ts";

/** In milliseconds. */
const timing = {
  /** A client that does not read is reset so long after its session was ended. */
  resetAfterMs: 500,
} as const;

const nothing = new Uint8Array(0);
/** Where clients' bytes wait for their records. */
const memory = new RecycledMemory();

/** What a relay needs of the request that it answers. The rest, of the login, goes: sessions are idle for hours. */
type RelayRequest = Pick<SessionRequest, "client" | "database" | "deadline" | "subject">;

export interface RelayOptions {
  readonly request: RelayRequest;
  readonly ports: SessionPorts;
  readonly login: LoggedIn;
  readonly greeting: Greeting;
  readonly observer: Observer;
  /** For records and lists. */
  readonly parameters: Readonly<Record<string, string>>;
}

export class Relay implements Session, Forwarder {
  readonly backendPid: number;
  readonly application: string;
  readonly parameters: Readonly<Record<string, string>>;
  readonly encoding: string;
  readonly closed: Promise<SessionSummary>;

  readonly #request: Omit<RelayRequest, "client">;
  readonly #ports: SessionPorts;
  readonly #client: SessionClient;
  readonly #observer: Observer;
  readonly #connection: Connection;
  readonly #socket: Socket;
  /** The server's, and the one that the client knows. */
  readonly #key: CancelKey;
  readonly #clientKey: CancelKey;
  /** What the client is told first, and what the server said behind it; empty once it has started. */
  #greeting: Uint8Array;
  #rest: Uint8Array;

  readonly #owed = new OwedAnswers();
  readonly #intake: Intake;
  readonly #serverWalker = new MessageWalker("backend", bulkMessages);
  /** Whether what the client was sent ends with a whole message: here, and only here, one of ours may follow. */
  #isClientBetween = true;
  /** Written, and not yet taken by the socket. */
  #unconsumed = 0;
  #notice: Uint8Array | undefined;
  /** The grant's time is over, and a transaction goes on. */
  #isDraining = false;

  #bytesIn = 0;
  #bytesOut = 0;
  #end: { readonly end: SessionEnd; readonly reason?: string | undefined } | undefined;

  constructor({ request, ports, login, greeting, observer, parameters }: RelayOptions) {
    const { client, database, deadline, subject } = request;
    this.#request = { database, deadline, subject };
    this.#ports = ports;
    this.#client = client;
    this.#observer = observer;
    this.#intake = new Intake(observer, this.#owed, memory);
    this.#connection = login.connection;
    this.#socket = login.connection.socket;
    this.#key = new CancelKey(login.key);
    this.#clientKey = greeting.key;
    this.#greeting = greeting.bytes;
    this.#rest = login.rest;
    this.backendPid = login.key.processId;
    this.parameters = parameters;
    this.application = login.parameters.get("application_name") ?? "";
    this.encoding = login.parameters.get("client_encoding") ?? "";
    this.closed = new Promise((resolve) => {
      this.#socket.on("close", () => resolve(this.#onClose()));
    });
  }

  start(): void {
    const socket = this.#socket;
    if (this.#end !== undefined || socket.destroyed) {
      return;
    }
    this.#connection.read((bytes) => this.#onData(bytes));
    socket.on("drain", () => this.#consume());
    socket.resume();
    const [greeting, rest] = [this.#greeting, this.#rest];
    this.#greeting = nothing;
    this.#rest = nothing;
    if (greeting.length > 0) {
      this.#write(greeting);
    }
    if (rest.length > 0) {
      this.#onData(rest);
    }
  }

  receive(bytes: Uint8Array): void {
    if (this.#isOver()) {
      return;
    }
    this.#bytesIn += bytes.length;
    this.#pass(() => this.#intake.push(bytes));
  }

  /**
   * Writes what is recorded now. A statement whose last bytes come in this turn has not run: the server waits for the
   * whole message. So where its record could not be written, closing the connection is enough for nothing of it to run.
   */
  forward(failure: JitdbError | undefined): void {
    if (this.#end !== undefined) {
      return;
    }
    if (failure !== undefined) {
      this.#fail(failure);
      return;
    }
    this.#writeToServer(this.#intake.takePending());
    this.#observer.forwarded();
    this.#consume();
  }

  #writeToServer(pending: readonly Uint8Array[]): void {
    const socket = this.#socket;
    const isMany = pending.length > 1;
    if (isMany) {
      socket.cork();
    }
    for (const bytes of pending) {
      this.#unconsumed += bytes.length;
      if (memory.isLent(bytes)) {
        socket.write(bytes, () => memory.giveBack(bytes));
      } else {
        // A callback would cost a short statement as much as reading it does.
        socket.write(bytes);
      }
    }
    if (isMany) {
      socket.uncork();
    }
  }

  resume(): void {
    if (this.#end === undefined) {
      this.#socket.resume();
    }
  }

  clientClosed(): void {
    // Behind a Terminate the server finishes what it has and closes, as it does for a direct client.
    if (!this.#owed.isTerminated) {
      this.abandon("client_closed");
      // Without this half's end a stream stays, here and at the agent, whose client is held open with it.
      this.#client.close();
    }
  }

  abandon(end: SessionEnd): void {
    // An agent that goes with its client's goodbye is nothing that was lost.
    if (this.#begin(this.#owed.isTerminated ? "client_closed" : end, undefined, "unknown")) {
      this.#disconnect();
    }
  }

  end(end: SessionEnd, error: JitdbError): void {
    if (!this.#begin(end, error.message, "terminated")) {
      return;
    }
    if (this.#isClientBetween) {
      this.#client.write(encodeEnd(error));
    }
    this.#client.close();
    // SECURITY: a client that never reads must not keep its stream beyond the end.
    setTimeout(() => this.#client.reset(error), timing.resetAfterMs).unref();
    this.#disconnect();
  }

  expire(): void {
    this.#isOver();
  }

  get isDraining(): boolean {
    return this.#isDraining && this.#end === undefined;
  }

  get isAtRest(): boolean {
    return this.#owed.isAtRest;
  }

  notify({ message, hint }: Warning): void {
    this.#notice = encodeWarning(message, hint);
    this.#sendNotice();
  }

  takesCancel(startup: Uint8Array): boolean {
    return this.#clientKey.isNamedBy(startup);
  }

  async cancel(): Promise<void> {
    if (this.#end === undefined) {
      await cancelBackend(this.#request.database, this.#key.data);
    }
  }

  /** @param chunk is the next read's memory when this returns */
  #onData(chunk: Uint8Array): void {
    if (this.#isOver()) {
      return;
    }
    try {
      this.#serverWalker.push(chunk);
      for (let part = this.#serverWalker.next(); part; part = this.#serverWalker.next()) {
        this.#observer.server(chunk, part);
        this.#owed.server(chunk, part);
      }
    } catch (error) {
      // The chunk stays here, so that the client sees a cut.
      this.#failServer(toJitdbError(error));
      return;
    }
    this.#bytesOut += chunk.length;
    this.#write(chunk);
    this.#isClientBetween = this.#serverWalker.isAtEnd;
    this.#sendNotice();
    this.#consume();
    if (this.#isDraining) {
      this.#goOnDraining();
    }
  }

  /** Bytes of the client pass when what is to be recorded of them is. */
  #pass(work: () => void): void {
    try {
      work();
    } catch (error) {
      this.#fail(toJitdbError(error));
      return;
    }
    this.#ports.turn.forward(this);
  }

  /**
   * Lets the transaction that runs at the end go on, if there is one.
   * SECURITY: what was sent ahead can't be called back, and would begin behind the transaction: whoever has done that is
   * ended hard.
   */
  #drain(): boolean {
    if (this.#isDraining) {
      return true;
    }
    if (this.#owed.isAtRest || this.#owed.isAhead) {
      return false;
    }
    this.#isDraining = true;
    this.#intake.passOneByOne();
    const { deadline, subject } = this.#request;
    const until = new Date(deadline.drainedAt).toISOString();
    try {
      this.#ports.journal.append({ kind: "session.draining", ...subject, until });
      this.#ports.turn.flush();
    } catch (error) {
      this.#warn(error, "a session that goes on behind its end is not on record yet");
    }
    this.notify(deadline.draining());
    return true;
  }

  /** Behind each answer: the end, if the transaction is over, else the next unit of it. */
  #goOnDraining(): void {
    if (this.#owed.isAtRest) {
      this.end("drained", this.#request.deadline.expired());
      return;
    }
    this.#pass(() => this.#intake.goOn());
  }

  #write(bytes: Uint8Array): void {
    if (!this.#client.write(bytes)) {
      this.#socket.pause();
    }
  }

  /** A notice goes between two messages of the server, never into one. */
  #sendNotice(): void {
    if (this.#notice !== undefined && this.#end === undefined && this.#isClientBetween) {
      this.#write(this.#notice);
      this.#notice = undefined;
    }
  }

  /** Lets the client send as much again, once the socket has taken what came and the server keeps up with its answers. */
  #consume(): void {
    const isReady = !this.#socket.writableNeedDrain && !this.#observer.isFull;
    if (this.#unconsumed > 0 && isReady && this.#end === undefined) {
      this.#client.consumed(this.#unconsumed);
      this.#unconsumed = 0;
    }
  }

  /** Checked at every read: a timer alone would be as late as the loop is busy. */
  #isOver(): boolean {
    const { endsAt, drainedAt } = this.#request.deadline;
    const now = this.#ports.clock.now();
    if (this.#end === undefined && now >= endsAt && (now >= drainedAt || !this.#drain())) {
      this.end("expired", this.#request.deadline.expired());
    }
    return this.#end !== undefined;
  }

  /** The client's bytes can't go on: they are no PostgreSQL, or they can't be recorded. */
  #fail(error: JitdbError): void {
    if (error.code === "audit.unavailable") {
      this.end("audit_unavailable", error);
    } else {
      this.end(error.code === "internal" ? "failed" : "protocol", error);
    }
  }

  #failServer(error: JitdbError): void {
    if (error.code === "audit.unavailable") {
      this.end("audit_unavailable", error);
      return;
    }
    this.#warn(error, "a database broke its protocol");
    if (this.#begin("failed", error.message, "unknown")) {
      this.#client.close();
      this.#disconnect();
    }
  }

  /** True for the first reason to end; the others come too late. */
  #begin(end: SessionEnd, reason: string | undefined, result: "unknown" | "terminated"): boolean {
    if (this.#end !== undefined) {
      return false;
    }
    this.#end = { end, reason };
    this.#intake.drop();
    try {
      this.#observer.end(result, end);
      this.#ports.turn.flush();
    } catch (error) {
      this.#warn(error, "outcomes of an ended session are not on record");
    }
    return true;
  }

  #disconnect(): void {
    this.#connection.read(ignore);
    const isIdle = this.#owed.isNothing && this.#intake.isAtEnd;
    if (isIdle) {
      sayGoodbye(this.#connection);
      return;
    }
    cut(this.#connection);
    // A backend does not look whether its client is there while it works.
    cancelBackend(this.#request.database, this.#key.data).catch((error: unknown) =>
      this.#warn(error, "what an ended session ran was not cancelled"),
    );
  }

  #warn(error: unknown, message: string): void {
    const { grant, session } = this.#request.subject;
    this.#ports.log.warn({ err: error, grant, session }, message);
  }

  #onClose(): SessionSummary {
    if (
      this.#begin(
        this.#owed.isTerminated ? "client_closed" : "database_closed",
        undefined,
        "unknown",
      )
    ) {
      this.#client.close();
    }
    const { end = "failed", reason } = this.#end ?? {};
    return {
      end,
      reason,
      statements: this.#observer.statements,
      bytesIn: this.#bytesIn,
      bytesOut: this.#bytesOut,
    };
  }
}

function ignore(): void {}
