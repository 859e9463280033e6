// All streams of a tunnel: which ids are used, whose turn it is, and how much they keep together. Knows no frames' contents.

import { JitdbError } from "../errors.ts";
import type { ResumeFrame } from "./frame.ts";
import { tunnelLimits } from "./limits.ts";
import type { StreamSender, TunnelOutput } from "./output.ts";
import type { PeerReports } from "./resumption.ts";
import type { RoundTrip } from "./round-trips.ts";
import type { Recycle } from "./send-buffer.ts";
import { TunnelStream } from "./stream.ts";

export interface StreamTableOptions {
  /** Credit that each stream begins with, towards this side. */
  readonly windowBytes: number;
  /** The most that a stream's credit grows to. */
  readonly maxWindowBytes: number;
  readonly sender: StreamSender;
  readonly recycle?: Recycle | undefined;
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
  #keptBytes = 0;
  #unreadFrames = 0;

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

  /**
   * Lets every stream go on where the peer stands; gives the ids of those that the peer has lost, and of writers that may go on.
   * @param peerWindowBytes as in the peer's new HELLO
   */
  resume(
    reports: PeerReports,
    peerWindowBytes: number,
  ): { readonly lost: number[]; readonly freed: number[] } {
    const lost: number[] = [];
    const freed: number[] = [];
    // Queued anew in the order of their ids: an OPEN behind that of a higher id would count as a repeat.
    this.#small.clear();
    this.#large.clear();
    for (const stream of [...this.#streams.values()]) {
      const report = reports.of(stream.id);
      if (report === undefined) {
        if (this.use(stream, () => stream.isMissed(peerWindowBytes))) {
          lost.push(stream.id);
        }
      } else if (this.use(stream, () => stream.resume(report)) && !this.isCrowded(stream)) {
        freed.push(stream.id);
      }
    }
    return { lost, freed };
  }

  /** Memory for what all streams keep: unsent, or not acknowledged. */
  get keptBytes(): number {
    return this.#keptBytes;
  }

  create(id: number, peerWindowBytes: number): TunnelStream {
    const { windowBytes, sender, recycle } = this.#options;
    const stream = new TunnelStream({ id, windowBytes, peerWindowBytes, sender, recycle });
    this.#highest = id;
    this.#streams.set(id, stream);
    return stream;
  }

  has(id: number): boolean {
    return this.#streams.has(id);
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
    const { keptBytes } = stream;
    const { unreadFrames } = stream.window;
    const result = action(stream);
    this.#keptBytes += stream.keptBytes - keptBytes;
    this.#unreadFrames += stream.window.unreadFrames - unreadFrames;
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
    const { maxKeptBytes } = tunnelLimits;
    const isCrowded =
      this.#keptBytes > maxKeptBytes && stream.keptBytes * this.#streams.size > maxKeptBytes;
    if (isCrowded) {
      this.#crowded.add(stream);
    }
    return isCrowded;
  }

  /** Ids of streams whose writers may go on because there is room again. */
  takeFreed(): number[] {
    if (this.#crowded.size === 0 || this.#keptBytes * 2 > tunnelLimits.maxKeptBytes) {
      return [];
    }
    const freed = [...this.#crowded].filter((stream) => stream.isWritable);
    this.#crowded.clear();
    return freed.map(({ id }) => id);
  }

  /**
   * Notes bytes that came, so that they are acknowledged some time.
   * SECURITY: credit counts bytes, yet each frame costs memory until it is read, and a peer may send one for every byte.
   * @throws JitdbError `tunnel.window_overrun`
   */
  received(stream: TunnelStream): void {
    this.#unacknowledged.add(stream);
    const { maxUnreadFrames } = tunnelLimits;
    if (this.#unreadFrames >= maxUnreadFrames) {
      throw new JitdbError(
        "tunnel.window_overrun",
        `More than ${maxUnreadFrames} DATA frames wait for their readers.`,
      );
    }
  }

  /** Lets every stream acknowledge what it has received, and those that rest have their first window again. */
  acknowledge(): void {
    for (const stream of this.#unacknowledged) {
      this.use(stream, () => stream.acknowledge());
    }
    this.#unacknowledged.clear();
    for (const { window } of this.#streams.values()) {
      window.rest();
    }
  }

  /** Ends the measurement of windows, which may grow. */
  grow({ smallestMs, streams }: RoundTrip, nowMs: number): void {
    for (const stream of streams) {
      if (!stream.isClosed) {
        const left = tunnelLimits.growthBytes - this.#grownBytes;
        // Two thirds of what the others leave: the next one that grows finds something, too.
        const budget = ((left + stream.window.grownBytes) * 2) / 3 - stream.window.grownBytes;
        stream.window.endSample(nowMs, smallestMs, budget, this.#options.maxWindowBytes);
      }
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
      if (!output.hasRoomForTurns(1) || output.byteLength >= tunnelLimits.bulkMessageBytes) {
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
    this.#keptBytes = 0;
    this.#unreadFrames = 0;
  }

  /** Credit that was given beyond what streams begin with. */
  get #grownBytes(): number {
    let sum = 0;
    for (const { isClosed, window } of this.#streams.values()) {
      sum += isClosed ? 0 : window.grownBytes;
    }
    return sum;
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
      // However much is behind it: an OPEN that let one of a higher id go first would count as a repeat.
      const isSmall = stream.hasAnnouncement || stream.unsentBytes <= tunnelLimits.smallTurnBytes;
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
      this.#unreadFrames -= stream.window.unreadFrames;
    }
  }
}
