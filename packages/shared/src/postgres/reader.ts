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
  readonly #view: DataView;
  #offset = 0;

  /** @param message the manual's name of the message, for the error's text */
  constructor(message: string, body: Uint8Array) {
    this.#message = message;
    this.#body = body;
    this.#view = new DataView(body.buffer, body.byteOffset, body.byteLength);
  }

  get remaining(): number {
    return this.#body.length - this.#offset;
  }

  uint8(): number {
    return this.#view.getUint8(this.#take(1));
  }

  int16(): number {
    return this.#view.getInt16(this.#take(2));
  }

  uint16(): number {
    return this.#view.getUint16(this.#take(2));
  }

  int32(): number {
    return this.#view.getInt32(this.#take(4));
  }

  uint32(): number {
    return this.#view.getUint32(this.#take(4));
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
