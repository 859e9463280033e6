// The gateway's end of one stream: what a session writes to, and who hears what the stream brings.

import type { JitdbError } from "@jitdb/shared/errors";
import type { RecycledMemory } from "@jitdb/shared/tunnel/recycled-memory";
import type { TunnelSession } from "@jitdb/shared/tunnel/session";
import type { SessionEnd } from "../../audit/record.ts";
import type { Session, SessionClient } from "../../engines/engine.ts";
import type { Announcements } from "./announcements.ts";

/** What a stream needs of its tunnel. */
export interface StreamCarrier {
  readonly session: TunnelSession;
  /** Where bytes for the agent stand until it has acknowledged them. */
  readonly memory: RecycledMemory;
  /** The WebSocket has more than enough to write. */
  readonly isCongested: boolean;
  readonly announcements: Announcements;
  /** Something is to be sent at the end of this turn. */
  schedule(): void;
  /** The stream is over on this side. */
  forget(id: number): void;
}

/** Who a stream works for once it is opened. */
export type StreamUser = Pick<
  Session,
  "start" | "receive" | "resume" | "clientClosed" | "abandon" | "isAtRest"
>;

const never = new AbortController().signal;

export class StreamEnd implements SessionClient {
  readonly #id: number;
  readonly #tunnel: StreamCarrier;
  /** Until the stream is opened; then its user hears. */
  #departure: AbortController | undefined = new AbortController();
  #user: StreamUser | undefined;
  #sessionId: string | undefined;
  /** What a client that was greeted ahead has sent. SECURITY: no more than its first credit, and nobody reads it before the stream is opened. */
  #early: Uint8Array[] | undefined;
  /** It was closed before it was opened: a database may leave at any time. */
  #isClosing = false;
  #hasCredit = true;
  #isWaiting = false;

  constructor(id: number, tunnel: StreamCarrier) {
    this.#id = id;
    this.#tunnel = tunnel;
  }

  /** Of the agent that it comes from. */
  get announcements(): Announcements {
    return this.#tunnel.announcements;
  }

  /** Aborted when the client or its tunnel is gone before the stream was opened. */
  get departed(): AbortSignal {
    return this.#departure?.signal ?? never;
  }

  /** Of the session that it was opened for. */
  get sessionId(): string | undefined {
    return this.#sessionId;
  }

  /** Whether something runs for it, or a transaction is open: locks that others wait for. */
  get isBusy(): boolean {
    return this.#user?.isAtRest === false;
  }

  /** Accepts the stream; `user` starts, and hears what it has brought and brings from now on. */
  opened(sessionId: string, user?: StreamUser): void {
    this.#user = user;
    this.#sessionId = sessionId;
    this.#departure = undefined;
    this.#tunnel.session.opened(this.#id, { session: sessionId });
    this.#tunnel.schedule();
    user?.start();
    const early = this.#early ?? [];
    this.#early = undefined;
    for (const bytes of early) {
      user?.receive(bytes);
    }
    if (this.#isClosing) {
      this.close();
    }
  }

  write(bytes: Uint8Array): boolean {
    const { session, memory } = this.#tunnel;
    this.#hasCredit = session.write(this.#id, memory.copy(bytes));
    this.#tunnel.schedule();
    this.#isWaiting = !this.#hasCredit || this.#tunnel.isCongested;
    return !this.#isWaiting;
  }

  consumed(byteCount: number): void {
    this.#tunnel.session.consumed(this.#id, byteCount);
    this.#tunnel.schedule();
  }

  close(): void {
    this.#isClosing = true;
    if (this.#sessionId === undefined) {
      return;
    }
    this.#tunnel.session.close(this.#id);
    this.#tunnel.schedule();
  }

  reset(error: JitdbError): void {
    const { code, message, hint } = error;
    this.#tunnel.session.reset(this.#id, { code, message, hint });
    this.#tunnel.forget(this.#id);
    this.#tunnel.schedule();
  }

  /** Lets the session write again, if it waits and nothing stands in the way any more. */
  tryResume(): void {
    if (this.#isWaiting && this.#hasCredit && !this.#tunnel.isCongested) {
      this.#isWaiting = false;
      this.#user?.resume();
    }
  }

  credit(): void {
    this.#hasCredit = true;
    this.tryResume();
  }

  receive(bytes: Uint8Array): void {
    if (this.#sessionId === undefined) {
      this.#early ??= [];
      this.#early.push(new Uint8Array(bytes));
    } else {
      this.#user?.receive(bytes);
    }
  }

  peerClosed(): void {
    this.#user?.clientClosed();
  }

  gone(end: SessionEnd): void {
    this.#departure?.abort();
    this.#user?.abandon(end);
  }
}
