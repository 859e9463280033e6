// What the peer says of its streams at the start of a WebSocket, until all of it is here.

import { JitdbError } from "../errors.ts";
import type { ResumeFrame } from "./frame.ts";

export class PeerReports {
  readonly #awaited: number;
  readonly #reports = new Map<number, ResumeFrame>();

  /**
   * SECURITY: reports are kept until all are here, so no peer may announce more of them than it can have streams.
   * @throws JitdbError `tunnel.too_many_streams`
   */
  constructor(awaited: number, most: number) {
    if (awaited > most) {
      throw new JitdbError("tunnel.too_many_streams", `${awaited} streams are to go on.`);
    }
    this.#awaited = awaited;
  }

  get isComplete(): boolean {
    return this.#reports.size === this.#awaited;
  }

  /** @throws JitdbError `tunnel.protocol` for one that was not announced, or comes twice. */
  add(report: ResumeFrame): void {
    if (this.isComplete || this.#reports.has(report.stream)) {
      throw new JitdbError(
        "tunnel.protocol",
        `A RESUME of stream ${report.stream} was not awaited.`,
      );
    }
    this.#reports.set(report.stream, report);
  }

  /** Undefined: the peer does not know the stream. */
  of(stream: number): ResumeFrame | undefined {
    return this.#reports.get(stream);
  }
}
