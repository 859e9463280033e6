// The one form of a record: JSON on one line, keys sorted, nothing in it that a terminal or a line reader obeys.
// Source: RFC 8785 (JSON Canonicalization Scheme); stricter in what it escapes.

/**
 * Characters that JSON may hold as they are and a terminal, editor or line reader may act on: DEL and C1 controls,
 * soft hyphen, marks and overrides of direction, zero-width characters, line and paragraph separator, byte order mark.
 */
const unsafe =
  /[\u007f-\u009f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]/g;

/** Texts that need no escape at all: ASCII without controls, quotation mark, backslash and DEL. */
const plain = /^[ !#-[\]-~]*$/;

/**
 * A value of objects, arrays, strings, finite numbers, booleans and null in canonical form. Fields that are
 * `undefined` are left out. Equal values give equal strings, and the string holds no newline.
 */
export function canonicalJson(value: unknown): string {
  return jsonText(sorted(value));
}

/** The same of a text, or of a value whose keys are in order, all the way down, and whose numbers are finite. */
export function jsonText(value: unknown): string {
  if (typeof value === "string" && plain.test(value)) {
    return `"${value}"`;
  }
  // JSON.stringify writes what RFC 8785 asks for: escapes and numbers are ECMAScript's.
  const json = JSON.stringify(value);
  // SECURITY: a client's text must not forge what a reader's terminal shows. Newlines, NUL and ESC are escaped already;
  // the rest is escaped here, once for the whole: these characters stand inside of strings only.
  return json.search(unsafe) === -1 ? json : json.replace(unsafe, escapeCharacter);
}

function sorted(value: unknown): unknown {
  switch (typeof value) {
    case "string":
    case "boolean":
      return value;
    case "number":
      if (!Number.isFinite(value)) {
        throw new RangeError(`A record holds no ${value}.`);
      }
      return value;
    case "object":
      if (value === null) {
        return null;
      }
      return Array.isArray(value) ? value.map(sorted) : sortedObject(value);
    default:
      throw new RangeError(`A record holds no ${typeof value}.`);
  }
}

function sortedObject(value: object): object {
  const fields = value as Record<string, unknown>;
  const copy: Record<string, unknown> = {};
  for (const key of sortedKeys(Object.keys(fields))) {
    const field = fields[key];
    if (field !== undefined) {
      copy[key] = sorted(field);
    }
  }
  return copy;
}

/** The orders of the few sets of keys that come a thousand times a second: sorting costs more than all the rest. */
const knownOrders = new Map<string, readonly string[]>();

function sortedKeys(keys: string[]): readonly string[] {
  const name = keys.join("\n");
  const known = knownOrders.get(name);
  if (known !== undefined) {
    return known;
  }
  // JavaScript keeps these in an order and in a place of its own.
  const strange = keys.find((key) => /^(?:\d+|__proto__)$/.test(key));
  if (strange !== undefined) {
    throw new RangeError(`A record holds no field ${strange}.`);
  }
  // The default order compares UTF-16 code units, as RFC 8785 §3.2.3 asks for.
  const order = keys.sort();
  // Some keys are a client's (start-up parameters): they must not fill the memory.
  if (knownOrders.size < 500 && name.length < 1000) {
    knownOrders.set(name, order);
  }
  return order;
}

function escapeCharacter(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`;
}
