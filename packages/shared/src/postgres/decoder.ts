// Framing: finds messages in a stream of chunks. It never copies a body, and never looks into one.
// The relay walks (MessageWalker) and keeps what it must read (BodyCollector); the login collects (MessageCollector).
// Source: PostgreSQL manual, "Message Overview": a type byte, an Int32 length that counts itself, the body.

import { JitdbError } from "../errors.ts";
import { headerBytes, messageName, postgresLimits, type Sender } from "./messages.ts";

/**
 * The part of one message that one chunk holds. The walker reuses the object: it is valid until the next call of `next`.
 *
 * The message's bytes in the stream are `carried` followed by `chunk.subarray(start, end)`. A `last` segment can be
 * forwarded but for its last byte (`end - 1`) to hold the message back from the other side: `end > start` always.
 */
export interface Segment {
  readonly type: number;
  /** The announced length: body bytes plus four. */
  readonly length: number;
  /** Header bytes that came in earlier chunks and stand before `start`; empty but for a first segment whose header was split. */
  readonly carried: Uint8Array;
  /** Offset in the chunk of this message's first byte, and one past its last. */
  readonly start: number;
  readonly end: number;
  /** Offset in the chunk of the first body byte; `end` if this segment has none. */
  readonly bodyStart: number;
  /** Body bytes that are still to come in later chunks. */
  readonly remaining: number;
  /** Whether the message begins, and whether it ends, with this segment. */
  readonly first: boolean;
  readonly last: boolean;
  /** Whole messages of the same type that follow it, up to `end`; 0 but where the walker was told to report runs. */
  readonly followers: number;
}

/** Body bytes of a segment and its followers. */
export function bodyBytesIn({ bodyStart, end, followers }: Segment): number {
  return end - bodyStart - followers * headerBytes;
}

const nothing: Uint8Array = new Uint8Array(0);
const noTypes: ReadonlySet<number> = new Set();

/**
 * Reports the messages of one direction as segments, in order and without gaps: all carried bytes and ranges put
 * together are the stream. Memory is constant: at most four header bytes are kept.
 *
 *     walker.push(chunk);
 *     for (let segment = walker.next(); segment; segment = walker.next()) { … }
 *
 * Nothing of a message is reported before its type and its length are known and allowed.
 */
export class MessageWalker {
  readonly #sender: Sender;
  readonly #runs: ReadonlySet<number>;
  readonly #segment = {
    type: 0,
    length: 0,
    carried: nothing,
    start: 0,
    end: 0,
    bodyStart: 0,
    remaining: 0,
    first: false,
    last: true,
    followers: 0,
  };
  /** Bytes of a header that ended with a chunk before its own end did. */
  #header = nothing;
  #chunk: Uint8Array = nothing;
  #offset = 0;

  /** @param runs types whose whole messages are reported together where they follow one another: nobody reads them one by one */
  constructor(sender: Sender, runs: ReadonlySet<number> = noTypes) {
    this.#sender = sender;
    this.#runs = runs;
  }

  /** Whether what `next` has reported so far ends with a whole message: here, and only here, a message may be injected. */
  get isBetweenMessages(): boolean {
    return this.#segment.last;
  }

  /** Whether the stream may end here: between messages, and with no byte of a next one seen. */
  get isAtEnd(): boolean {
    return this.#segment.last && this.#header.length === 0 && this.#offset === this.#chunk.length;
  }

  /** Gives the next chunk. It stays the caller's, and must not change until `next` has returned undefined. */
  push(chunk: Uint8Array): void {
    if (this.#offset < this.#chunk.length) {
      throw new RangeError("push before next() has reported the whole chunk");
    }
    this.#chunk = chunk;
    this.#offset = 0;
  }

  /**
   * The next segment of the chunk, or undefined when the chunk is used up.
   * @throws JitdbError `postgres.protocol` for a type that this sender never sends or an impossible length; thrown again
   * by every further call: the stream has no boundaries any more.
   */
  next(): Segment | undefined {
    if (this.#offset === this.#chunk.length) {
      // An idle session keeps no memory of what was read last.
      this.#chunk = nothing;
      this.#offset = 0;
      return undefined;
    }
    return this.#segment.last ? this.#startMessage() : this.#continueMessage();
  }

  /**
   * Hands the stream over to another decoder: all bytes behind the last reported message.
   * @returns a view into the chunk, or memory of its own where a split header is in front
   */
  takeRest(): Uint8Array {
    if (!this.#segment.last) {
      throw new RangeError("takeRest in the middle of a message");
    }
    const unread = this.#chunk.subarray(this.#offset);
    const rest = this.#header.length === 0 ? unread : concat(this.#header, unread);
    this.#header = nothing;
    this.#chunk = nothing;
    this.#offset = 0;
    return rest;
  }

  #startMessage(): Segment | undefined {
    const start = this.#offset;
    const carried = this.#header;
    const bodyStart = start + headerBytes - carried.length;
    if (this.#chunk.length < bodyStart) {
      this.#header = concat(carried, this.#chunk.subarray(start));
      this.#chunk = nothing;
      this.#offset = 0;
      return undefined;
    }
    const isSplit = carried.length > 0;
    const header = isSplit ? concat(carried, this.#chunk.subarray(start, bodyStart)) : this.#chunk;
    const headerStart = isSplit ? 0 : start;
    const type = header[headerStart] ?? 0;
    const length = readInt32(header, headerStart + 1) >>> 0;
    checkHeader(this.#sender, type, length);

    const segment = this.#segment;
    segment.type = type;
    segment.length = length;
    segment.carried = carried;
    segment.first = true;
    segment.remaining = length - postgresLimits.minMessageLength;
    this.#header = nothing;
    return this.#reportTo(start, bodyStart);
  }

  #continueMessage(): Segment {
    this.#segment.first = false;
    this.#segment.carried = nothing;
    return this.#reportTo(this.#offset, this.#offset);
  }

  #reportTo(start: number, bodyStart: number): Segment {
    const segment = this.#segment;
    const bodyBytes = Math.min(segment.remaining, this.#chunk.length - bodyStart);
    segment.start = start;
    segment.bodyStart = bodyStart;
    segment.end = bodyStart + bodyBytes;
    segment.remaining -= bodyBytes;
    segment.last = segment.remaining === 0;
    this.#offset = segment.end;
    segment.followers = segment.last && this.#runs.has(segment.type) ? this.#takeRun() : 0;
    return segment;
  }

  /** Takes in the messages behind the segment that have its type and are whole; what is wrong with one, `next` says. */
  #takeRun(): number {
    const chunk = this.#chunk;
    const { type } = this.#segment;
    let count = 0;
    let at = this.#offset;
    while (at + headerBytes <= chunk.length && chunk[at] === type) {
      const length = readInt32(chunk, at + 1);
      if (length < postgresLimits.minMessageLength || length > chunk.length - at - 1) {
        break;
      }
      at += 1 + length;
      count += 1;
    }
    this.#segment.end = at;
    this.#offset = at;
    return count;
  }
}

/** Puts the segments of one message at a time together, up to a cap. The other messages are simply not added. */
export class BodyCollector {
  readonly #maxLength: number;
  #body: Uint8Array | undefined;
  #filled = 0;

  /** @param maxLength the largest announced length to keep, in bytes */
  constructor(maxLength: number) {
    this.#maxLength = maxLength;
  }

  /**
   * Adds a segment of a message; each one from its first on.
   * @returns the body once it is whole: a view into the chunk if the chunk holds all of it, else memory of its own
   * @throws JitdbError `postgres.too_large`, before a byte is kept
   */
  add(chunk: Uint8Array, segment: Segment): Uint8Array | undefined {
    if (segment.first && segment.length > this.#maxLength) {
      throw new JitdbError(
        "postgres.too_large",
        `A message of ${segment.length} bytes is above the limit of ${this.#maxLength} here.`,
      );
    }
    const part = chunk.subarray(segment.bodyStart, segment.end);
    if (segment.first && segment.last) {
      return part;
    }
    if (segment.first) {
      this.#body = new Uint8Array(segment.length - postgresLimits.minMessageLength);
      this.#filled = 0;
    }
    const body = this.#body;
    if (body === undefined) {
      throw new RangeError("add without the message's first segment");
    }
    body.set(part, this.#filled);
    this.#filled += part.length;
    if (!segment.last) {
      return undefined;
    }
    this.#body = undefined;
    return body;
  }
}

/** One whole message. The body may be a view into the chunk that brought it. */
export interface Message {
  readonly type: number;
  readonly body: Uint8Array;
}

/** Gives whole small messages, for the login phase: push a chunk, then `next` until it returns undefined. */
export class MessageCollector {
  readonly #walker: MessageWalker;
  readonly #bodies: BodyCollector;
  #chunk: Uint8Array = nothing;

  /** @param maxLength the largest announced length to accept, in bytes */
  constructor(sender: Sender, maxLength: number) {
    this.#walker = new MessageWalker(sender);
    this.#bodies = new BodyCollector(maxLength);
  }

  /** Whether the stream may end here: no byte of an unfinished message was seen. */
  get isAtEnd(): boolean {
    return this.#walker.isAtEnd;
  }

  /** As {@link MessageWalker.push}. */
  push(chunk: Uint8Array): void {
    this.#walker.push(chunk);
    this.#chunk = chunk;
  }

  /** @throws JitdbError `postgres.protocol` as the walker does; `postgres.too_large` above the cap */
  next(): Message | undefined {
    for (let segment = this.#walker.next(); segment; segment = this.#walker.next()) {
      const body = this.#bodies.add(this.#chunk, segment);
      if (body !== undefined) {
        return { type: segment.type, body };
      }
    }
    return undefined;
  }

  /** As {@link MessageWalker.takeRest}: what the relay's walker has to be given first. */
  takeRest(): Uint8Array {
    return this.#walker.takeRest();
  }
}

function checkHeader(sender: Sender, type: number, length: number): void {
  if (messageName(sender, type) === undefined) {
    throw new JitdbError(
      "postgres.protocol",
      `A PostgreSQL ${sender} sent a message of unknown type 0x${type.toString(16).padStart(2, "0")}.`,
    );
  }
  const { minMessageLength, maxMessageLength } = postgresLimits;
  if (length < minMessageLength || length > maxMessageLength) {
    throw new JitdbError(
      "postgres.protocol",
      `A PostgreSQL ${sender} announced a message of ${length} bytes.`,
    );
  }
}

/** Signed; what is missing counts as zero. */
function readInt32(bytes: Uint8Array, at: number): number {
  const high = ((bytes[at] ?? 0) << 8) | (bytes[at + 1] ?? 0);
  return (high << 16) | ((bytes[at + 2] ?? 0) << 8) | (bytes[at + 3] ?? 0);
}

function concat(head: Uint8Array, tail: Uint8Array): Uint8Array {
  const joined = new Uint8Array(head.length + tail.length);
  joined.set(head);
  joined.set(tail, head.length);
  return joined;
}
