// Field encoders, and the one function that puts a header before a body. It knows no message.

import { JitdbError } from "../errors.ts";
import { headerBytes, postgresLimits } from "./messages.ts";

/** Bytes of one field, or of several in a row. */
export type Field = Uint8Array | readonly Uint8Array[];

/**
 * A whole message: type, length word, fields.
 * @returns memory of its own
 * @throws JitdbError `postgres.too_large` if the length word cannot hold the length
 */
export function encodeMessage(type: number, ...fields: readonly Field[]): Uint8Array {
  const parts = fields.flat();
  const length = announcedLength(parts);
  const message = new Uint8Array(1 + length);
  message[0] = type;
  new DataView(message.buffer).setInt32(1, length);
  copyInto(message, headerBytes, parts);
  return message;
}

/** A packet without a type byte, as the first of a connection is. Same ownership and errors as {@link encodeMessage}. */
export function encodePacket(...fields: readonly Field[]): Uint8Array {
  const parts = fields.flat();
  const length = announcedLength(parts);
  const packet = new Uint8Array(length);
  new DataView(packet.buffer).setInt32(0, length);
  copyInto(packet, headerBytes - 1, parts);
  return packet;
}

export function uint8(value: number): Uint8Array {
  return Uint8Array.of(value);
}

/** Two bytes, big-endian; takes signed and unsigned values. */
export function int16(value: number): Uint8Array {
  return Uint8Array.of(value >> 8, value);
}

/** Four bytes, big-endian; takes signed and unsigned values. */
export function int32(value: number): Uint8Array {
  return Uint8Array.of(value >> 24, value >> 16, value >> 8, value);
}

/**
 * A NUL-terminated string; text becomes UTF-8.
 * @throws JitdbError `postgres.protocol` if it holds a NUL
 */
export function cstring(text: string | Uint8Array): Uint8Array {
  const bytes = typeof text === "string" ? encodeText(text) : text;
  if (bytes.length > postgresLimits.maxMessageLength) {
    throw tooLarge(bytes.length);
  }
  // SECURITY: a NUL inside would end the field early and let its remainder pass for the next fields.
  if (bytes.includes(0)) {
    throw new JitdbError("postgres.protocol", "A string for PostgreSQL contains a NUL.");
  }
  const terminated = new Uint8Array(bytes.length + 1);
  terminated.set(bytes);
  return terminated;
}

/** The fields of an Int32-counted value; `null` is SQL's NULL. */
export function value(bytes: Uint8Array | null): Field {
  return bytes === null ? [int32(-1)] : [int32(bytes.length), bytes];
}

/**
 * The fields of an Int16-counted list.
 * @throws JitdbError `postgres.too_large` above 65,535 items
 */
export function list<T>(items: readonly T[], item: (item: T) => Field): Field {
  if (items.length > postgresLimits.maxCount) {
    throw new JitdbError(
      "postgres.too_large",
      `A PostgreSQL message holds at most ${postgresLimits.maxCount} values, not ${items.length}.`,
    );
  }
  return [int16(items.length), ...items.flatMap(item)];
}

const encoder = new TextEncoder();

export function encodeText(text: string): Uint8Array {
  return encoder.encode(text);
}

/** Reverse of `decodeLatin1`. The text must hold characters up to U+00FF only. */
export function encodeLatin1(text: string): Uint8Array {
  return Uint8Array.from(text, (character) => character.charCodeAt(0));
}

function announcedLength(fields: readonly Uint8Array[]): number {
  let length = postgresLimits.minMessageLength as number;
  for (const field of fields) {
    length += field.length;
  }
  // SECURITY: a length that wraps lets the body's tail pass for further messages (CVE-2024-27304).
  if (length > postgresLimits.maxMessageLength) {
    throw tooLarge(length);
  }
  return length;
}

function copyInto(target: Uint8Array, start: number, fields: readonly Uint8Array[]): void {
  let offset = start;
  for (const field of fields) {
    target.set(field, offset);
    offset += field.length;
  }
}

function tooLarge(bytes: number): JitdbError {
  return new JitdbError(
    "postgres.too_large",
    `A PostgreSQL message holds at most ${postgresLimits.maxMessageLength} bytes, not ${bytes}.`,
  );
}
