// A bounds-checked cursor over one message body. It knows the protocol's field types and no message.
// Every view it gives shares the body's memory and lives as long as that does.

import { JitdbError } from "../errors.ts";

/**
 * Reads fields in order.
 * @throws JitdbError `postgres.protocol` from every method that would read past the end: SECURITY: an inner count or
 * length that lies must neither over-read nor allocate, so nothing is reserved before the bytes are known to be there.
 */
export class BodyReader {
  readonly #message: string;
  readonly #body: Uint8Array;
  #offset = 0;

  /** @param message the manual's name of the message, for the error's text */
  constructor(message: string, body: Uint8Array) {
    this.#message = message;
    this.#body = body;
  }

  get remaining(): number {
    return this.#body.length - this.#offset;
  }

  uint8(): number {
    return this.#byte(this.#take(1));
  }

  int16(): number {
    return (this.uint16() << 16) >> 16;
  }

  uint16(): number {
    const start = this.#take(2);
    return (this.#byte(start) << 8) | this.#byte(start + 1);
  }

  int32(): number {
    const start = this.#take(4);
    const high = (this.#byte(start) << 24) | (this.#byte(start + 1) << 16);
    return high | (this.#byte(start + 2) << 8) | this.#byte(start + 3);
  }

  uint32(): number {
    return this.int32() >>> 0;
  }

  bytes(count: number): Uint8Array {
    const start = this.#take(count);
    return this.#body.subarray(start, start + count);
  }

  rest(): Uint8Array {
    return this.bytes(this.remaining);
  }

  /** A NUL-terminated string, without its terminator. */
  cstring(): Uint8Array {
    const end = this.#body.indexOf(0, this.#offset);
    if (end === -1) {
      throw this.malformed("a string has no terminator");
    }
    const view = this.#body.subarray(this.#offset, end);
    this.#offset = end + 1;
    return view;
  }

  /** A NUL-terminated string as UTF-8 text; bytes that are not UTF-8 become U+FFFD. For what people read, never for keys. */
  text(): string {
    return decodeText(this.cstring());
  }

  /** An Int32 length and that many bytes; length -1 is SQL's NULL. */
  value(): Uint8Array | null {
    const length = this.int32();
    if (length < -1) {
      throw this.malformed(`a value announces ${length} bytes`);
    }
    return length === -1 ? null : this.bytes(length);
  }

  /**
   * An Int16 count (unsigned, as the server reads it) and that many items.
   * @param minItemBytes least bytes of one item: what cannot be there is refused before the first is read
   */
  list<T>(minItemBytes: number, item: () => T): T[] {
    const count = this.uint16();
    if (count * minItemBytes > this.remaining) {
      throw this.malformed(`it counts ${count} items in ${this.remaining} bytes`);
    }
    const items: T[] = [];
    for (let index = 0; index < count; index += 1) {
      items.push(item());
    }
    return items;
  }

  /** Ends the reading: bytes that no field claims are refused, as the server does. */
  end(): void {
    if (this.remaining > 0) {
      throw this.malformed(`${this.remaining} bytes follow its last field`);
    }
  }

  /** The error for a body that breaks its message's grammar. */
  malformed(why: string): JitdbError {
    return new JitdbError("postgres.protocol", `Malformed ${this.#message} message: ${why}.`);
  }

  /** By itself: a DataView for each of the short bodies that come with every statement costs more than reading them does. */
  #byte(offset: number): number {
    return this.#body[offset] ?? 0;
  }

  #take(count: number): number {
    if (count > this.remaining) {
      throw this.malformed(`it ends ${count - this.remaining} bytes too early`);
    }
    const start = this.#offset;
    this.#offset += count;
    return start;
  }
}

const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

/** UTF-8 bytes as text; what is not UTF-8 becomes U+FFFD. */
export function decodeText(bytes: Uint8Array): string {
  return decoder.decode(bytes);
}

/** Bytes as a string of the same length, one character (U+0000 … U+00FF) a byte: reversible, so fit for keys. */
export function decodeLatin1(bytes: Uint8Array): string {
  let text = "";
  for (const byte of bytes) {
    text += String.fromCharCode(byte);
  }
  return text;
}
