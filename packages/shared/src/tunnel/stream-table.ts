// All streams of a tunnel: which ids are used, whose turn it is, and how much they keep together. Knows no frames' contents.

import { JitdbError } from "../errors.ts";
import type { ResumeFrame } from "./frame.ts";
import { tunnelLimits } from "./limits.ts";
import type { TunnelOutput } from "./output.ts";
import type { PeerReports } from "./resumption.ts";
import { TunnelStream } from "./stream.ts";

export interface StreamTableOptions {
  /** Credit that each stream begins with, towards this side. */
  readonly windowBytes: number;
  /** The most that a stream's credit grows to. */
  readonly maxWindowBytes: number;
}

export class StreamTable {
  readonly #options: StreamTableOptions;
  readonly #streams = new Map<number, TunnelStream>();
  /** Highest id opened so far; every id up to it is used up. */
  #highest = 0;
  /**
   * Streams with something to send; those with little of it go first, so that a keystroke does not wait behind a bulk load.
   * A set iterates in order of entry, those too that leave and enter again: a round robin.
   */
  readonly #small = new Set<TunnelStream>();
  readonly #large = new Set<TunnelStream>();
  /** Streams that received what the peer still keeps for us. */
  readonly #unacknowledged = new Set<TunnelStream>();
  /** Streams whose writers wait because all streams together keep too much. */
  readonly #crowded = new Set<TunnelStream>();
  #bufferedBytes = 0;
  /** Credit that was given beyond what streams begin with. */
  #grownBytes = 0;

  constructor(options: StreamTableOptions) {
    this.#options = options;
  }

  /** Those that are over count until the peer knows. */
  get size(): number {
    return this.#streams.size;
  }

  get highest(): number {
    return this.#highest;
  }

  /** Where each stream stands, for a new WebSocket. */
  reports(): ResumeFrame[] {
    return [...this.#streams.values()].map((stream) => stream.report());
  }

  /** Lets every stream go on where the peer stands; gives the ids of those that the peer has lost, and of writers that may go on. */
  resume(reports: PeerReports): { readonly lost: number[]; readonly freed: number[] } {
    const lost: number[] = [];
    const freed: number[] = [];
    for (const stream of [...this.#streams.values()]) {
      const report = reports.of(stream.id);
      if (report === undefined) {
        if (this.use(stream, () => stream.isMissed())) {
          lost.push(stream.id);
        }
      } else if (this.use(stream, () => stream.resume(report)) && !this.isCrowded(stream)) {
        freed.push(stream.id);
      }
    }
    return { lost, freed };
  }

  /** Bytes that all streams keep: unsent, or not acknowledged. */
  get bufferedBytes(): number {
    return this.#bufferedBytes;
  }

  create(id: number, peerWindowBytes: number, output: () => TunnelOutput): TunnelStream {
    const stream = new TunnelStream({
      id,
      windowBytes: this.#options.windowBytes,
      peerWindowBytes,
      sendFrame: (frame) => output().send(frame),
    });
    this.#highest = id;
    this.#streams.set(id, stream);
    return stream;
  }

  /**
   * The stream, over or not; undefined for one that is forgotten.
   * @throws JitdbError `tunnel.protocol` for an id that was never opened.
   */
  get(id: number): TunnelStream | undefined {
    if (id > this.#highest || id % 2 === 0) {
      throw new JitdbError("tunnel.protocol", `Stream ${id} was never opened.`);
    }
    return this.#streams.get(id);
  }

  /** Does something with a stream, then sees what has become of it. */
  use<T>(stream: TunnelStream, action: (stream: TunnelStream) => T): T {
    const before = stream.bufferedBytes;
    const result = action(stream);
    this.#bufferedBytes += stream.bufferedBytes - before;
    this.#settle(stream);
    return result;
  }

  /** False: the stream's writer waits, for credit or because all streams together keep too much. */
  write(stream: TunnelStream, bytes: Uint8Array): boolean {
    return this.use(stream, () => stream.write(bytes)) && !this.isCrowded(stream);
  }

  /**
   * Whether the stream's writer has to wait for what the others keep, too; it is then among those that `takeFreed` gives.
   * SECURITY: a peer that takes bytes and never acknowledges them must not fill memory.
   */
  isCrowded(stream: TunnelStream): boolean {
    const { maxBufferBytes, freeBufferBytes } = tunnelLimits;
    const isCrowded =
      this.#bufferedBytes > maxBufferBytes && stream.bufferedBytes > freeBufferBytes;
    if (isCrowded) {
      this.#crowded.add(stream);
    }
    return isCrowded;
  }

  /** Ids of streams whose writers may go on because there is room again. */
  takeFreed(): number[] {
    if (this.#crowded.size === 0 || this.#bufferedBytes * 2 > tunnelLimits.maxBufferBytes) {
      return [];
    }
    const freed = [...this.#crowded].filter((stream) => !stream.isClosed && !stream.isBlocked);
    this.#crowded.clear();
    return freed.map(({ id }) => id);
  }

  /** Notes bytes that came, so that they are acknowledged some time. */
  received(stream: TunnelStream): void {
    this.#unacknowledged.add(stream);
  }

  /** Lets every stream acknowledge what it has received. */
  acknowledge(): void {
    for (const stream of this.#unacknowledged) {
      this.use(stream, () => stream.acknowledge());
    }
    this.#unacknowledged.clear();
  }

  /** Ends the measurement of a stream's window, which may grow. */
  grow(stream: TunnelStream): void {
    // Half of what is left: another one that grows later finds something, too.
    const budget = (tunnelLimits.growthBytes - this.#grownBytes) / 2;
    if (!stream.isClosed) {
      this.#grownBytes += stream.window.endSample(budget, this.#options.maxWindowBytes);
    }
  }

  /** Gives streams their turns while the message has room; `closed` hears of those that are over by what they sent. */
  flush(output: TunnelOutput, closed: (stream: TunnelStream) => void): void {
    for (const stream of this.#small) {
      if (!output.hasRoomForTurns(2)) {
        break;
      }
      this.#flush(stream, closed);
    }
    for (const stream of this.#large) {
      if (!output.hasRoomForTurns(1)) {
        break;
      }
      this.#flush(stream, closed);
    }
  }

  clear(): void {
    this.#streams.clear();
    this.#small.clear();
    this.#large.clear();
    this.#unacknowledged.clear();
    this.#crowded.clear();
    this.#bufferedBytes = 0;
    this.#grownBytes = 0;
  }

  #flush(stream: TunnelStream, closed: (stream: TunnelStream) => void): void {
    const wasClosed = stream.isClosed;
    stream.flush();
    if (!wasClosed && stream.isClosed) {
      closed(stream);
    }
    this.#small.delete(stream);
    this.#large.delete(stream);
    this.#settle(stream);
  }

  /** Queues a stream that has something to send, forgets one that is over and known to be. */
  #settle(stream: TunnelStream): void {
    if (stream.hasOutput) {
      const isSmall = stream.unsentBytes <= tunnelLimits.smallTurnBytes;
      const [queue, other] = isSmall ? [this.#small, this.#large] : [this.#large, this.#small];
      other.delete(stream);
      queue.add(stream);
      return;
    }
    this.#small.delete(stream);
    this.#large.delete(stream);
    if (stream.isFinished && this.#streams.delete(stream.id)) {
      this.#unacknowledged.delete(stream);
      this.#crowded.delete(stream);
      this.#grownBytes -= stream.window.windowBytes - this.#options.windowBytes;
      this.#bufferedBytes -= stream.bufferedBytes;
    }
  }
}
