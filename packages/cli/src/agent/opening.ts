// One stream from its OPEN to the gateway's answer. Its client may be greeted before that; then what it says goes along, and what the answer
// changes it does not see. Ends by itself if there is no answer: a database client would wait for ever.

import { formatDuration } from "@jitdb/shared/duration";
import { JitdbError } from "@jitdb/shared/errors";
import type { OpenMap } from "@jitdb/shared/tunnel/maps";
import type { TunnelLink } from "./link.ts";
import type { AgentStream, StreamReceiver } from "./stream.ts";

/** Whoever opens a stream is told this where the server can't be reached. */
export const comesBack = "jitdb keeps trying to reach it; connect again in a moment.";

export class Opening implements StreamReceiver, AgentStream {
  readonly #receiver: StreamReceiver;
  readonly #stream: AgentStream;
  readonly #greeting: Uint8Array | undefined;
  readonly #deadline: NodeJS.Timeout;
  #isAnswered = false;
  #isClosing = false;
  #isOver = false;

  /**
   * Asks for a stream; for a client that is like the one that a session was announced for, by that.
   * @throws JitdbError as {@link TunnelLink.open}
   */
  constructor(
    link: Pick<TunnelLink, "open" | "takeAnnounced">,
    map: OpenMap,
    receiver: StreamReceiver,
    answerTimeoutMs: number,
  ) {
    this.#receiver = receiver;
    const spare = link.takeAnnounced(map);
    this.#greeting = spare?.greeting;
    this.#stream = link.open({ ...map, spare: spare?.id }, this);
    this.#deadline = setTimeout(() => this.#giveUp(answerTimeoutMs), answerTimeoutMs);
    if (spare !== undefined) {
      // Once whoever asked has the stream, and behind the OPEN.
      setImmediate(() => this.#greet(spare.greeting));
    }
  }

  opened(): void {
    clearTimeout(this.#deadline);
    this.#isAnswered = true;
    if (this.#greeting === undefined) {
      this.#receiver.opened();
    }
    if (this.#isClosing) {
      this.#stream.close();
    }
  }

  data(bytes: Uint8Array): void {
    this.#receiver.data(bytes);
  }

  writable(): void {
    this.#receiver.writable();
  }

  peerClosed(): void {
    this.#receiver.peerClosed();
  }

  ended(error: JitdbError | undefined): void {
    clearTimeout(this.#deadline);
    this.#isOver = true;
    this.#receiver.ended(error);
  }

  write(bytes: Uint8Array): boolean {
    return this.#stream.write(bytes);
  }

  consumed(bytes: Uint8Array): void {
    // The greeting did not come through the stream.
    if (bytes !== this.#greeting) {
      this.#stream.consumed(bytes);
    }
  }

  /** CLOSE has its place behind OPENED. */
  close(): void {
    this.#isClosing = true;
    if (this.#isAnswered) {
      this.#stream.close();
    }
  }

  reset(error: JitdbError): void {
    clearTimeout(this.#deadline);
    this.#isOver = true;
    this.#stream.reset(error);
  }

  #greet(greeting: Uint8Array): void {
    if (!this.#isOver) {
      this.#receiver.opened();
      this.#receiver.data(greeting);
    }
  }

  #giveUp(timeoutMs: number): void {
    const why = `The server has not answered within ${formatDuration(timeoutMs)}.`;
    const error = new JitdbError("tunnel.lost", why, { hint: comesBack });
    this.reset(error);
    this.#receiver.ended(error);
  }
}
