// Text for a terminal: what others wrote made harmless, widths in cells, and times as people say them.

const secondMs = 1000;
const minuteMs = 60 * secondMs;
const hourMs = 60 * minuteMs;
const dayMs = 24 * hourMs;

/**
 * Text that others wrote, safe to print on one line.
 * SECURITY: escape sequences could rewrite what an approver reads or fill the clipboard (OSC 52); direction marks could
 * reorder it. Each such character is shown as U+FFFD, so that one sees that something was there.
 */
export function clean(text: string): string {
  return text.replaceAll(
    /[\p{Cc}\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069]/gu,
    "\ufffd",
  );
}

/** `clean` for the values inside a template; the words around them are ours. */
export function line(
  strings: TemplateStringsArray,
  ...values: readonly (string | number)[]
): string {
  return String.raw({ raw: strings }, ...values.map((value) => clean(String(value))));
}

/** JSON whose strings no terminal can take for escape sequences; JSON itself escapes only C0. */
export function toJson(value: unknown, indent: number): string {
  return JSON.stringify(value, undefined, indent).replaceAll(
    /[\u007f-\u009f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}

const segmenter = new Intl.Segmenter();
const wide =
  /\p{Emoji_Presentation}|\p{Script=Han}|\p{Script=Hangul}|\p{Script=Hiragana}|\p{Script=Katakana}|[\u3000-\u303f\uff01-\uff60\uffe0-\uffe6]|\ufe0f/u;

/** Terminal cells that clean text takes: two for East Asian letters and emoji. */
export function widthOf(text: string): number {
  if (/^[\x20-\x7e]*$/.test(text)) {
    return text.length;
  }
  let width = 0;
  for (const { segment } of segmenter.segment(text)) {
    width += wide.test(segment) ? 2 : 1;
  }
  return width;
}

/** The beginning of clean text that fits into `cells`, with an ellipsis where something was cut. */
export function truncate(text: string, cells: number): string {
  if (widthOf(text) <= cells) {
    return text;
  }
  let kept = "";
  let width = 0;
  for (const { segment } of segmenter.segment(text)) {
    width += wide.test(segment) ? 2 : 1;
    if (width > cells - 1) {
      break;
    }
    kept += segment;
  }
  return `${kept}…`;
}

/**
 * A fact in lines of fewer than so many cells, those behind the first one indented: `reason: order 4711`. White space of
 * any length is one space.
 * SECURITY: a terminal breaks a long line itself, and what stands behind the break looks like a line of ours: `may: read`.
 * So we break it, at fewer cells than any terminal takes: what is not ASCII counts as two, as some terminals draw it.
 */
export function wrapFact(label: string, text: string, cells: number): string[] {
  const margin = " ".repeat(label.length + 2);
  const room = Math.max(narrowestRoom, cells - margin.length - 1);
  const lines: string[] = [];
  let current = "";
  for (const word of clean(text).trim().split(/\s+/u)) {
    for (const piece of piecesOf(word, room)) {
      if (current !== "" && mostCells(current) + 1 + mostCells(piece) > room) {
        lines.push(current);
        current = "";
      }
      current += current === "" ? piece : ` ${piece}`;
    }
  }
  return [...lines, current].map((each, index) =>
    index === 0 ? `${label}: ${each}`.trimEnd() : margin + each,
  );
}

const narrowestRoom = 12;

/** A word in pieces that fit. */
function piecesOf(word: string, room: number): string[] {
  const pieces = [""];
  for (const character of word) {
    const last = pieces.at(-1) ?? "";
    if (mostCells(last) + mostCells(character) > room) {
      pieces.push(character);
    } else {
      pieces[pieces.length - 1] = last + character;
    }
  }
  return pieces;
}

function mostCells(text: string): number {
  return [...text].reduce((sum, character) => sum + (character < "\u007f" ? 1 : 2), 0);
}

/** Text with spaces up to so many cells. */
export function pad(text: string, cells: number): string {
  return text + " ".repeat(Math.max(0, cells - widthOf(text)));
}

/** An ISO instant as this machine's wall clock shows it: `20:40:46`. */
export function clockTime(instant: string): string {
  const date = new Date(instant);
  return [date.getHours(), date.getMinutes(), date.getSeconds()].map(twoDigits).join(":");
}

/** Its day on this machine's calendar: `2026-11-23`. */
export function calendarDay(instant: string): string {
  const date = new Date(instant);
  return [date.getFullYear(), date.getMonth() + 1, date.getDate()].map(twoDigits).join("-");
}

function twoDigits(value: number): string {
  return String(value).padStart(2, "0");
}

/** A span of time as people say it: `3d`, `1h30m`, `29m`, `45s`. Rounds up, so that what is left never reads as nothing. */
export function roughly(ms: number): string {
  const span = Math.abs(ms);
  if (span >= 2 * dayMs) {
    return `${Math.round(span / dayMs)}d`;
  }
  if (span > hourMs - minuteMs) {
    const minutes = Math.ceil(span / minuteMs);
    return minutes % 60 === 0 ? `${minutes / 60}h` : `${Math.floor(minutes / 60)}h${minutes % 60}m`;
  }
  if (span > minuteMs - secondMs) {
    return `${Math.ceil(span / minuteMs)}m`;
  }
  return `${Math.ceil(span / secondMs)}s`;
}

/** An ISO instant as seen from `now`: `in 29m`, `3m ago`. */
export function relative(instant: string, now: number): string {
  const distance = Date.parse(instant) - now;
  return distance >= 0 ? `in ${roughly(distance)}` : `${roughly(distance)} ago`;
}
