// Bound values in PostgreSQL's binary formats, as text: those of the common types, and arrays of them.
// Source: the send functions of the types (src/backend/utils/adt); OIDs: pg_type.dat, the same in every server.

/** The value as PostgreSQL's text format has it; undefined for a type that is not known here, or bytes that are none of it. */
export function decodeBinary(type: number, value: Buffer): string | undefined {
  try {
    return types.get(type)?.(value);
  } catch {
    // Bytes that end too early: whoever sent them, the server refuses them, and they are shown as they are.
    return undefined;
  }
}

type Decode = (value: Buffer) => string;

const text: Decode = (value) => value.toString("utf8");
const hex: Decode = (value) => `\\x${value.toString("hex")}`;

const types: ReadonlyMap<number, Decode> = new Map<number, Decode>([
  [16, (value) => (value.readUInt8() === 0 ? "false" : "true")],
  [17, hex],
  [18, text],
  [19, text],
  [20, (value) => String(value.readBigInt64BE())],
  [21, (value) => String(value.readInt16BE())],
  [23, (value) => String(value.readInt32BE())],
  [25, text],
  [26, (value) => String(value.readUInt32BE())],
  [114, text],
  [142, text],
  [700, (value) => showFloat4(value.readFloatBE())],
  [701, (value) => showNumber(value.readDoubleBE())],
  [705, text],
  [1042, text],
  [1043, text],
  [1082, (value) => showDate(value.readInt32BE())],
  [1083, (value) => showTimeOfDay(value.readBigInt64BE())],
  [1114, (value) => showTimestamp(value.readBigInt64BE(), "")],
  [1184, (value) => showTimestamp(value.readBigInt64BE(), "+00")],
  [1700, showNumeric],
  [2950, (value) => showUuid(value)],
  // A version in front of the text.
  [3802, (value) => text(value.subarray(1))],
  ...[199, 1000, 1001, 1002, 1003, 1005, 1007, 1009, 1014, 1015, 1016, 1021, 1022, 1028].map(
    asArray,
  ),
  ...[1115, 1182, 1183, 1185, 1231, 2951, 3807].map(asArray),
]);

function asArray(type: number): [number, Decode] {
  return [type, showArray];
}

/** The shortest text that is the same number of four bytes again. */
function showFloat4(value: number): string {
  for (let precision = 1; precision < 9; precision += 1) {
    const short = Number(value.toPrecision(precision));
    if (Math.fround(short) === value) {
      return showNumber(short);
    }
  }
  return showNumber(value);
}

/** An exponent has two digits at least. */
function showNumber(value: number): string {
  return String(value).replace(/e([+-])(\d)$/, "e$10$2");
}

const dayMs = 86_400_000;
const daysTo2000 = 10_957;
const microsecondsADay = 86_400_000_000n;

function showDate(days: number): string {
  if (days === 0x7fffffff || days === -0x80000000) {
    return days < 0 ? "-infinity" : "infinity";
  }
  const date = new Date((days + daysTo2000) * dayMs);
  return date.toISOString().replace(/T.*$/, "");
}

function showTimestamp(microseconds: bigint, zone: string): string {
  if (microseconds === 2n ** 63n - 1n || microseconds === -(2n ** 63n)) {
    return microseconds < 0n ? "-infinity" : "infinity";
  }
  const rest = ((microseconds % microsecondsADay) + microsecondsADay) % microsecondsADay;
  const days = (microseconds - rest) / microsecondsADay;
  return `${showDate(Number(days))} ${showTimeOfDay(rest)}${zone}`;
}

function showTimeOfDay(microseconds: bigint): string {
  const seconds = microseconds / 1_000_000n;
  const [hours, minutes, rest] = [seconds / 3600n, (seconds / 60n) % 60n, seconds % 60n].map(
    (part) => String(part).padStart(2, "0"),
  );
  const fraction = String(microseconds % 1_000_000n)
    .padStart(6, "0")
    .replace(/0+$/, "");
  return `${hours}:${minutes}:${rest}${fraction === "" ? "" : `.${fraction}`}`;
}

const signs = { negative: 0x4000, notANumber: 0xc000, infinity: 0xd000, negativeInfinity: 0xf000 };

/** Digits of four decimal places each, from the highest on. */
function showNumeric(value: Buffer): string {
  const count = value.readUInt16BE(0);
  const weight = value.readInt16BE(2);
  const sign = value.readUInt16BE(4);
  const scale = value.readUInt16BE(6);
  if (sign === signs.notANumber) {
    return "NaN";
  }
  if (sign === signs.infinity || sign === signs.negativeInfinity) {
    return sign === signs.infinity ? "Infinity" : "-Infinity";
  }
  const digit = (index: number) =>
    index >= 0 && index < count
      ? String(value.readUInt16BE(8 + 2 * index)).padStart(4, "0")
      : "0000";
  const digits = (from: number, to: number) =>
    Array.from({ length: Math.max(0, to - from) }, (_, index) => digit(from + index)).join("");
  const whole = digits(0, weight + 1).replace(/^0+(?=\d)/, "") || "0";
  const fraction = digits(weight + 1, weight + 1 + Math.ceil(scale / 4)).slice(0, scale);
  return `${sign === signs.negative ? "-" : ""}${whole}${fraction === "" ? "" : `.${fraction}`}`;
}

function showUuid(value: Buffer): string {
  if (value.length !== 16) {
    throw new RangeError("A UUID has 16 bytes.");
  }
  return value.toString("hex").replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}

/** Number of dimensions, whether there are NULLs, type of the elements, length and first index of each dimension, elements. */
function showArray(value: Buffer): string {
  const dimensions = value.readInt32BE(0);
  const decode = types.get(value.readUInt32BE(8));
  if (dimensions < 0 || dimensions > 6 || decode === undefined) {
    throw new RangeError("Not an array that can be shown.");
  }
  const lengths = Array.from({ length: dimensions }, (_, index) =>
    value.readInt32BE(12 + 8 * index),
  );
  // SECURITY: a value says what it likes; more elements than it has bytes would keep the reader busy.
  if (lengths.some((length) => length < 1) || lengths.reduce((a, b) => a * b, 1) > value.length) {
    throw new RangeError("It counts more elements than it has.");
  }
  let at = 12 + 8 * dimensions;
  const element = (): string => {
    const length = value.readInt32BE(at);
    at += 4;
    if (length < 0) {
      return "NULL";
    }
    if (at + length > value.length) {
      throw new RangeError("An element reaches beyond the array.");
    }
    const shown = decode(value.subarray(at, at + length));
    at += length;
    return /^$|[{},"\\\s]|^null$/i.test(shown) ? JSON.stringify(shown) : shown;
  };
  const level = ([length = 0, ...inner]: readonly number[]): string =>
    `{${Array.from({ length }, () => (inner.length === 0 ? element() : level(inner))).join(",")}}`;
  return dimensions === 0 ? "{}" : level(lengths);
}
