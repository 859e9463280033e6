// What the peer says of its streams at the start of a WebSocket, until all of it is here.

import { JitdbError } from "../errors.ts";
import type { Secret } from "../secret.ts";
import { decodeFrames, type ResumeFrame } from "./frame.ts";
import { decodeMap } from "./maps.ts";

/** SECURITY: only reports of streams that are known here are kept, however many a peer announces. */
export class PeerReports {
  #awaited: number;
  readonly #isKnown: (stream: number) => boolean;
  readonly #reports = new Map<number, ResumeFrame>();

  constructor(awaited: number, isKnown: (stream: number) => boolean) {
    this.#awaited = awaited;
    this.#isKnown = isKnown;
  }

  get isComplete(): boolean {
    return this.#awaited === 0;
  }

  /** @throws JitdbError `tunnel.protocol` for one that was not announced, or comes twice. */
  add(report: ResumeFrame): void {
    const { stream } = report;
    if (this.isComplete || this.#reports.has(stream)) {
      throw new JitdbError("tunnel.protocol", `A RESUME of stream ${stream} was not awaited.`);
    }
    this.#awaited -= 1;
    if (this.#isKnown(stream)) {
      this.#reports.set(stream, report);
    }
  }

  /** Undefined: the peer does not know the stream. */
  of(stream: number): ResumeFrame | undefined {
    return this.#reports.get(stream);
  }
}

/** The ticket that an agent's first message asks to resume with; undefined where it does not, and for anything that is no HELLO. */
export function readResumeTicket(message: Uint8Array): Secret | undefined {
  try {
    const [first] = decodeFrames(message);
    return first?.type === "HELLO" ? decodeMap("HELLO", first.payload).resume?.ticket : undefined;
  } catch {
    // The session that is given the message says what is wrong with it.
    return undefined;
  }
}
