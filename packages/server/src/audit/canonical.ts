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
  switch (typeof value) {
    case "string":
      return quote(value);
    case "number":
      return number(value);
    case "boolean":
      return value ? "true" : "false";
    case "object":
      if (value === null) {
        return "null";
      }
      return Array.isArray(value) ? `[${value.map(canonicalJson).join(",")}]` : object(value);
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
      text += `${text === "" ? "" : ","}${quote(key)}:${canonicalJson(field)}`;
    }
  }
  return `{${text}}`;
}

function number(value: number): string {
  if (!Number.isFinite(value)) {
    throw new RangeError(`A record holds no ${value}.`);
  }
  return JSON.stringify(value);
}

/** SECURITY: a client's text must forge neither a record (newline) nor what a reader's terminal shows (ESC, CSI, bidi). */
function quote(text: string): string {
  const quoted = JSON.stringify(text);
  return quoted.search(unsafe) === -1 ? quoted : quoted.replace(unsafe, escapeCharacter);
}

function escapeCharacter(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`;
}
