// What one side sends of a stream: bytes and the CLOSE behind them, within the credit of the peer, kept until it has acknowledged them.

import { tunnelLimits } from "./limits.ts";
import type { StreamSender } from "./output.ts";
import { type Recycle, SendBuffer } from "./send-buffer.ts";

/** A CLOSE counts as one more position, so that its ACK can be told from the last byte's. */
export class SendWindow {
  readonly #buffer: SendBuffer;
  /** The peer takes positions below this. */
  #limit: number;
  /** A write went over the limit, and its writer waits. */
  #isBlocked = false;
  /** CLOSE goes out behind the bytes. */
  #isCloseDue = false;
  #hasSentClose = false;
  #isCloseKnown = false;

  constructor(limit: number, recycle?: Recycle) {
    this.#buffer = new SendBuffer(recycle);
    this.#limit = limit;
  }

  get isBlocked(): boolean {
    return this.#isBlocked;
  }

  /** `close` was called, so no more bytes come. */
  get isClosing(): boolean {
    return this.#isCloseDue || this.#hasSentClose;
  }

  get hasSentClose(): boolean {
    return this.#hasSentClose;
  }

  /** The peer has everything, the end included. */
  get isCloseKnown(): boolean {
    return this.#isCloseKnown;
  }

  get hasOutput(): boolean {
    return this.#buffer.unsentBytes > 0 ? this.#buffer.cursor < this.#limit : this.#isCloseDue;
  }

  get isCloseNext(): boolean {
    return this.#isCloseDue && this.#buffer.unsentBytes === 0;
  }

  get unsentBytes(): number {
    return this.#buffer.unsentBytes;
  }

  /** Memory for what is unsent or not acknowledged. */
  get keptBytes(): number {
    return this.#buffer.keptBytes;
  }

  /** False: over the limit. */
  write(bytes: Uint8Array): boolean {
    this.#buffer.push(bytes);
    this.#isBlocked = this.#buffer.end > this.#limit;
    return !this.#isBlocked;
  }

  close(): void {
    this.#isCloseDue = true;
  }

  /** Bytes are dropped, and no CLOSE follows. */
  drop(): void {
    this.#buffer.clear();
    this.#isBlocked = false;
    this.#isCloseDue = false;
  }

  /** A limit of a new tunnel for a stream that it has not heard of. False where the last one had something that is not kept any more. */
  restart(limit: number): boolean {
    this.#limit = limit;
    this.#buffer.rewind();
    return this.#buffer.released === 0;
  }

  /**
   * Takes a limit that the peer tells; one that is not higher than the last changes nothing.
   * @returns whether a blocked writer may go on; undefined for a limit that is too far away
   */
  raise(limit: number): boolean | undefined {
    // SECURITY: credit is kept in positions, and no peer may name one that would never be reached.
    if (limit > this.#buffer.cursor + tunnelLimits.maxWindowBytes) {
      return undefined;
    }
    this.#limit = Math.max(this.#limit, limit);
    const isFreed = this.#isBlocked && this.#buffer.end <= this.#limit;
    this.#isBlocked &&= !isFreed;
    return isFreed && !this.isClosing;
  }

  /** Keeps no longer what stands below `position`. False for one beyond what was sent. */
  acknowledge(position: number): boolean {
    const { released, cursor, end } = this.#buffer;
    // A CLOSE that is to be sent again is one that the peer has not got.
    const isCloseOut = this.#hasSentClose && !this.#isCloseDue;
    if (position > cursor + (isCloseOut ? 1 : 0)) {
      return false;
    }
    this.#buffer.release(Math.min(Math.max(position, released), end));
    this.#isCloseKnown ||= this.#hasSentClose && position > end;
    return true;
  }

  /** Goes on at `position` on a new WebSocket. False where the peer cannot stand there. */
  rewind(position: number): boolean {
    if (position < this.#buffer.released || !this.acknowledge(position)) {
      return false;
    }
    this.#buffer.rewind();
    this.#isCloseDue ||= this.#hasSentClose && !this.#isCloseKnown;
    return true;
  }

  /** Sends a turn's worth of bytes, as few frames as can be. */
  sendData(stream: number, sender: StreamSender): void {
    const { cursor } = this.#buffer;
    const room = Math.min(tunnelLimits.turnDataBytes, this.#limit - cursor);
    const chunks = this.#buffer.take(room);
    if (chunks.length > 0) {
      sender.sendData(stream, cursor, chunks, this.#buffer.cursor - cursor);
    }
  }

  sendClose(stream: number, sender: StreamSender): void {
    this.#isCloseDue = false;
    this.#hasSentClose = true;
    sender.send({ type: "CLOSE", stream, position: this.#buffer.end });
  }
}
