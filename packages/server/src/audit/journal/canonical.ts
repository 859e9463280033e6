// The one form of a record: JSON on one line, keys sorted, nothing in it that a terminal or a line reader obeys.
// Source: RFC 8785 (JSON Canonicalization Scheme); stricter in what it escapes.

/**
 * Characters that JSON may hold as they are and a terminal, editor or line reader may act on: DEL and C1 controls,
 * soft hyphen, marks and overrides of direction, zero-width characters, line and paragraph separator, byte order mark.
 */
const unsafe =
  /[\u007f-\u009f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]/g;

/**
 * A value of objects, arrays, strings, finite numbers, booleans and null in canonical form. Fields that are
 * `undefined` are left out. Equal values give equal strings, and the string holds no newline.
 */
export function canonicalJson(value: unknown): string {
  const json = sortedJson(value);
  // SECURITY: a client's text must not forge what a reader's terminal shows. Newlines, NUL and ESC are escaped already;
  // the rest is escaped here, once for the whole: these characters stand inside of strings only.
  return json.search(unsafe) === -1 ? json : json.replace(unsafe, escapeCharacter);
}

function sortedJson(value: unknown): string {
  switch (typeof value) {
    case "string":
    case "boolean":
      return JSON.stringify(value);
    case "number":
      return number(value);
    case "object":
      if (value === null) {
        return "null";
      }
      return Array.isArray(value) ? `[${value.map(sortedJson).join(",")}]` : object(value);
    default:
      throw new RangeError(`A record holds no ${typeof value}.`);
  }
}

function object(value: object): string {
  const fields = value as Record<string, unknown>;
  let text = "";
  // The default order compares UTF-16 code units, as RFC 8785 §3.2.3 asks for.
  for (const key of Object.keys(fields).sort()) {
    const field = fields[key];
    if (field !== undefined) {
      text += `${text === "" ? "" : ","}${quotedKey(key)}:${sortedJson(field)}`;
    }
  }
  return `{${text}}`;
}

/** Keys are few and come a thousand times a second, while quoting them costs as much as quoting the values. */
const quotedKeys = new Map<string, string>();

function quotedKey(key: string): string {
  const known = quotedKeys.get(key);
  if (known !== undefined) {
    return known;
  }
  const quoted = JSON.stringify(key);
  // Some keys are a client's (start-up parameters): they must not fill the memory.
  if (quotedKeys.size < 500) {
    quotedKeys.set(key, quoted);
  }
  return quoted;
}

function number(value: number): string {
  if (!Number.isFinite(value)) {
    throw new RangeError(`A record holds no ${value}.`);
  }
  return JSON.stringify(value);
}

function escapeCharacter(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`;
}
