// What the client sends, on its way to the server: walked, observed, and kept until it may be written. Behind the end of a
// grant one unit at a time (owed-answers.ts), so that nothing begins behind the transaction that may finish.

import { MessageWalker, type Segment } from "@jitdb/shared/postgres/decoder";
import { frontendMessages } from "@jitdb/shared/postgres/messages";
import type { RecycledMemory } from "@jitdb/shared/tunnel/recycled-memory";
import type { Observer } from "../observer/observer.ts";
import type { OwedAnswers } from "./owed-answers.ts";

/** Reported in runs. D, a row of the server's, is a Describe of the client's. */
const copyData: ReadonlySet<number> = new Set([frontendMessages.CopyData]);

/** Bytes that the observer has not seen: the walker stands at `part` of `bytes`. */
interface Held {
  readonly bytes: Uint8Array;
  readonly part: Segment;
  readonly behind: Uint8Array[];
}

export class Intake {
  readonly #observer: Pick<Observer, "client" | "received">;
  readonly #owed: OwedAnswers;
  readonly #memory: RecycledMemory;
  readonly #walker = new MessageWalker("frontend", copyData);
  /** Observed, and waiting for its records. */
  #pending: Uint8Array[] = [];
  #isOneByOne = false;
  #held: Held | undefined;
  #isPendingWhole = true;
  #hasPassedWhole = true;

  constructor(
    observer: Pick<Observer, "client" | "received">,
    owed: OwedAnswers,
    memory: RecycledMemory,
  ) {
    this.#observer = observer;
    this.#owed = owed;
    this.#memory = memory;
  }

  /**
   * Whether what was passed on ends with a whole message. SECURITY: a goodbye of ours behind a part of one would be read as
   * its missing bytes, and so complete a statement that was refused and that no record names (invariant 20).
   */
  get isAtEnd(): boolean {
    return this.#hasPassedWhole;
  }

  /**
   * Reads bytes, and keeps a copy until they may be written.
   * @throws JitdbError for what is no PostgreSQL, or can't be recorded; nothing may be pushed then any more
   */
  push(bytes: Uint8Array): void {
    // The walker stands in what is held back, and goes on there.
    const lasting = this.#isOneByOne ? new Uint8Array(bytes) : bytes;
    if (this.#held === undefined) {
      this.#walker.push(lasting);
      this.#walk(lasting, this.#walker.next(), 0);
    } else {
      this.#held.behind.push(lasting);
    }
  }

  /** The bytes that may be written when their records are; each is given once, in memory to be given back. */
  takePending(): readonly Uint8Array[] {
    const pending = this.#pending;
    this.#pending = [];
    if (pending.length > 0) {
      this.#hasPassedWhole = this.#isPendingWhole;
    }
    return pending;
  }

  /** Holds every unit back, from now on, until the one before it is answered. Call `goOn` at each answer. */
  passOneByOne(): void {
    this.#isOneByOne = true;
  }

  /**
   * Lets the next unit pass, if the server is ready for it.
   * @throws JitdbError as `push`
   */
  goOn(): void {
    const held = this.#held;
    if (held === undefined || this.#owed.isNext(held.part)) {
      return;
    }
    this.#held = undefined;
    this.#walk(held.bytes, held.part, held.part.start);
    for (const bytes of held.behind) {
      this.push(bytes);
    }
  }

  drop(): void {
    this.#pending = [];
    this.#held = undefined;
  }

  /** From a segment on; the bytes before `start` have passed. */
  #walk(bytes: Uint8Array, first: Segment | undefined, start: number): void {
    let end = bytes.length;
    for (let part = first; part; part = this.#walker.next()) {
      if (this.#isOneByOne && part.first && this.#owed.isNext(part)) {
        this.#held = { bytes, part, behind: [] };
        // A part of its header may have passed with an earlier chunk; a header alone begins nothing.
        end = part.start;
        break;
      }
      this.#observer.client(bytes, part);
      this.#owed.client(part);
    }
    this.#observer.received();
    if (end > start) {
      this.#isPendingWhole =
        this.#held === undefined ? this.#walker.isAtEnd : this.#held.part.carried.length === 0;
      this.#pending.push(this.#memory.copy(bytes.subarray(start, end)));
    }
  }
}
