// A driver of a tunnel session as small as can be: for the suite, and as an example of what a driver has to call and when.

import { type JitdbError, toJitdbError } from "@jitdb/shared/errors";
import type { TunnelEvent } from "@jitdb/shared/tunnel/events";
import { TunnelSession } from "@jitdb/shared/tunnel/session";
import type { Attachment, TunnelSessionOptions } from "@jitdb/shared/tunnel/session-options";
import type { Pipe } from "./carriers.ts";

export class Endpoint {
  readonly session: TunnelSession;
  /** Hears all events, in order. */
  onEvent: (event: TunnelEvent) => void = () => undefined;
  /** Something was received, or sent. */
  onTurn: () => void = () => undefined;
  /** The WebSocket is gone, and the session goes on with the next one. */
  onDetached: () => void = () => undefined;
  /** Why the tunnel ended. */
  failure: JitdbError | undefined;
  #pipe: Pipe | undefined;
  #isFlushScheduled = false;

  constructor(options: TunnelSessionOptions) {
    this.session = new TunnelSession(options);
  }

  /** The first connection. */
  bind(pipe: Pipe): void {
    this.#pipe = pipe;
    pipe.listen({
      message: (message) => this.#receive(pipe, message),
      closed: () => this.#lose(pipe),
    });
    this.flush();
  }

  /** Another connection; the last one may not have been seen to be gone. */
  attach(pipe: Pipe, attachment: Attachment): void {
    this.session.detach();
    this.session.attach(attachment);
    this.bind(pipe);
  }

  /** Says something to the session, and sends what comes of it. */
  do<T>(action: (session: TunnelSession) => T): T {
    const result = action(this.session);
    this.flush();
    return result;
  }

  /** Sends at the end of the turn, everything at once. */
  flush(): void {
    if (!this.#isFlushScheduled) {
      this.#isFlushScheduled = true;
      setImmediate(() => {
        this.#isFlushScheduled = false;
        for (let chunks = this.#take(); chunks !== null; chunks = this.#take()) {
          this.#pipe?.send(Buffer.concat(chunks));
        }
        this.onTurn();
      });
    }
  }

  #take(): Uint8Array[] | null {
    return this.#pipe === undefined ? null : this.session.takeOutput();
  }

  #receive(pipe: Pipe, message: Uint8Array): void {
    if (this.#pipe !== pipe || this.failure !== undefined) {
      return;
    }
    try {
      for (const event of this.session.receive(message, Date.now())) {
        this.onEvent(event);
      }
    } catch (error) {
      this.failure = toJitdbError(error);
    }
    this.flush();
  }

  #lose(pipe: Pipe): void {
    if (this.#pipe === pipe) {
      this.#pipe = undefined;
      this.session.detach();
      this.onDetached();
    }
  }
}
