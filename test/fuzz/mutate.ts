// Changes to bytes and to streams of messages, as broken or hostile peers make them. It frames messages by itself, so that
// it does not lean on the decoder that is under test.

import type { Dice } from "./dice.ts";

/** A stream cut into its messages; the last piece is whatever has no whole message. */
export function splitMessages(stream: Uint8Array): Uint8Array[] {
  const messages: Uint8Array[] = [];
  let at = 0;
  while (at < stream.length) {
    const length = at + 5 <= stream.length ? readInt32(stream, at + 1) : 0;
    const end = length >= 4 && at + 1 + length <= stream.length ? at + 1 + length : stream.length;
    messages.push(stream.subarray(at, end));
    at = end;
  }
  return messages;
}

/** Some changes to bytes; `other` is what may be spliced in. */
export function mutateBytes(dice: Dice, bytes: Uint8Array, other: Uint8Array): Uint8Array {
  let changed = bytes;
  for (const change of dice.several(1, 4, () => dice.pick(byteChanges))) {
    changed = change(dice, changed, other);
  }
  return changed;
}

/** Some changes to the messages of a stream: most stay whole, so that what comes behind the framing is reached. */
export function mutateMessages(
  dice: Dice,
  messages: readonly Uint8Array[],
  others: readonly Uint8Array[],
): Uint8Array[] {
  let changed = [...messages];
  for (const change of dice.several(1, 5, () => dice.pick(streamChanges))) {
    changed = change(dice, changed, others);
  }
  return changed;
}

type ByteChange = (dice: Dice, bytes: Uint8Array, other: Uint8Array) => Uint8Array;

const byteChanges: readonly ByteChange[] = [
  function flipBit(dice, bytes) {
    return withByte(bytes, dice.below(bytes.length), (byte) => byte ^ (1 << dice.below(8)));
  },
  function setByte(dice, bytes) {
    const value = dice.pick([0, 0x27, 0x22, 0x5c, 0x24, 0x7f, 0x80, 0xff, dice.below(256)]);
    return withByte(bytes, dice.below(bytes.length), () => value);
  },
  function truncate(dice, bytes) {
    return bytes.subarray(0, dice.below(bytes.length + 1));
  },
  function remove(dice, bytes) {
    const [start, end] = range(dice, bytes);
    return Buffer.concat([bytes.subarray(0, start), bytes.subarray(end)]);
  },
  function repeat(dice, bytes) {
    const [start, end] = range(dice, bytes);
    return insert(bytes, end, bytes.subarray(start, end));
  },
  function insertNoise(dice, bytes) {
    return insert(bytes, dice.below(bytes.length + 1), dice.bytes(dice.between(1, 8)));
  },
  function splice(dice, bytes, other) {
    const [start, end] = range(dice, other);
    return insert(bytes, dice.below(bytes.length + 1), other.subarray(start, end));
  },
  function setNumber(dice, bytes) {
    const width = dice.pick([1, 2, 4]);
    const at = dice.below(bytes.length - width + 1);
    const number = dice.edge();
    let changed = bytes;
    for (let index = 0; index < width; index += 1) {
      changed = withByte(changed, at + index, () => number >>> (8 * (width - 1 - index)));
    }
    return changed;
  },
];

type StreamChange = (
  dice: Dice,
  messages: Uint8Array[],
  others: readonly Uint8Array[],
) => Uint8Array[];

const streamChanges: readonly StreamChange[] = [
  function changeBody(dice, messages, others) {
    return replaceOne(dice, messages, (message) => {
      const body = mutateBytes(dice, message.subarray(5), dice.pick(others) ?? message);
      return withLength(message[0] ?? 0, body);
    });
  },
  function changeBytes(dice, messages, others) {
    return replaceOne(dice, messages, (message) =>
      mutateBytes(dice, message, dice.pick(others) ?? message),
    );
  },
  function changeLength(dice, messages) {
    return replaceOne(dice, messages, (message) => {
      const change = dice.pick([-4, -1, 1, 4]);
      const length = dice.oneIn(2) ? dice.edge() : readInt32(message, 1) + change;
      return withInt32(message, 1, length);
    });
  },
  function changeType(dice, messages, others) {
    const type = dice.oneIn(3) ? dice.below(256) : (dice.pick(others)?.[0] ?? 0);
    return replaceOne(dice, messages, (message) => withByte(message, 0, () => type));
  },
  function swap(dice, messages) {
    const [from, to] = [dice.below(messages.length), dice.below(messages.length)];
    const moved = messages.toSpliced(from, 1);
    return moved.toSpliced(to, 0, ...messages.slice(from, from + 1));
  },
  function drop(dice, messages) {
    return messages.toSpliced(dice.below(messages.length), 1);
  },
  function repeat(dice, messages) {
    const at = dice.below(messages.length);
    const some = messages.slice(at, at + dice.between(1, 4));
    return messages.toSpliced(dice.oneIn(2) ? at : messages.length, 0, ...some);
  },
  function spliceMessages(dice, messages, others) {
    const from = dice.below(others.length);
    const some = others.slice(from, from + dice.between(1, 6));
    return messages.toSpliced(dice.below(messages.length + 1), 0, ...some);
  },
  function cutOff(dice, messages) {
    return messages.slice(0, dice.below(messages.length + 1));
  },
];

/** Cuts bytes into chunks, as sockets do: often whole, sometimes byte by byte. */
export function cutAtRandom(dice: Dice, bytes: Uint8Array): Uint8Array[] {
  const sizes = bytes.length > 50_000 ? [40_000, 300_000] : [1, 3, 16, 100, 1000];
  const most = dice.pick([...sizes, bytes.length + 1]);
  const chunks: Uint8Array[] = [];
  for (let at = 0; at < bytes.length; ) {
    const end = Math.min(bytes.length, at + dice.between(1, most));
    chunks.push(bytes.subarray(at, end));
    at = end;
  }
  return chunks;
}

/** A whole message of this type. */
export function withLength(type: number, body: Uint8Array): Uint8Array {
  const message = new Uint8Array(5 + body.length);
  message[0] = type;
  message.set(body, 5);
  return withInt32(message, 1, body.length + 4);
}

function replaceOne(
  dice: Dice,
  messages: Uint8Array[],
  change: (message: Uint8Array) => Uint8Array,
): Uint8Array[] {
  const at = dice.below(messages.length);
  const message = messages[at];
  return message === undefined ? messages : messages.with(at, change(message));
}

function range(dice: Dice, bytes: Uint8Array): [number, number] {
  const start = dice.below(bytes.length + 1);
  return [start, Math.min(bytes.length, start + dice.between(1, 40))];
}

function insert(bytes: Uint8Array, at: number, piece: Uint8Array): Uint8Array {
  return Buffer.concat([bytes.subarray(0, at), piece, bytes.subarray(at)]);
}

function withByte(bytes: Uint8Array, at: number, change: (byte: number) => number): Uint8Array {
  const changed = bytes.slice();
  if (at < changed.length) {
    changed[at] = change(changed[at] ?? 0);
  }
  return changed;
}

function withInt32(bytes: Uint8Array, at: number, value: number): Uint8Array {
  if (at + 4 > bytes.length) {
    return bytes;
  }
  const changed = bytes.slice();
  new DataView(changed.buffer).setUint32(at, value >>> 0);
  return changed;
}

function readInt32(bytes: Uint8Array, at: number): number {
  return at + 4 > bytes.length
    ? 0
    : new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength).getInt32(at);
}
