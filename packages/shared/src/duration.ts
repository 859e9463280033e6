// Durations as people write them (30m, 1h30m), and as they read them. Milliseconds inside.

import { JitdbError } from "./errors.ts";

const unitMs = { d: 86_400_000, h: 3_600_000, m: 60_000, s: 1000 } as const;

/** The longest duration that can be written at all; policies set the real limits. */
export const maxDurationMs = 365 * unitMs.d;

/**
 * Parses `1d`, `2h`, `30m`, `45s` and sums of them in falling order (`1h30m`), whole numbers only.
 * @throws JitdbError `usage.duration` for zero, negatives, fractions, repeated or unordered units, and more than a year.
 */
export function parseDuration(text: string): number {
  // Each unit at most once, in falling order: `1h1h` and `5m1h` are slips of the keyboard, not sums.
  const match = /^(?:(\d{1,9})d)?(?:(\d{1,9})h)?(?:(\d{1,9})m)?(?:(\d{1,9})s)?$/.exec(text.trim());
  if (match === null || text.trim() === "") {
    throw new JitdbError("usage.duration", `"${printable(text)}" is not a duration.`);
  }
  const [, days = "0", hours = "0", minutes = "0", seconds = "0"] = match;
  const ms =
    Number(days) * unitMs.d +
    Number(hours) * unitMs.h +
    Number(minutes) * unitMs.m +
    Number(seconds) * unitMs.s;
  if (ms === 0) {
    throw new JitdbError("usage.duration", "A duration must be longer than zero.");
  }
  if (ms > maxDurationMs) {
    throw new JitdbError("usage.duration", `"${printable(text)}" is longer than a year.`);
  }
  return ms;
}

/** The shortest exact form that `parseDuration` reads back, to the second: 5_400_000 → `1h30m`. Rounds up, so that nothing reads as `0s` before it is over. */
export function formatDuration(ms: number): string {
  let rest = Math.ceil(Math.max(0, ms) / 1000);
  let text = "";
  for (const [unit, size] of Object.entries(unitMs)) {
    const count = Math.floor(rest / (size / 1000));
    rest -= count * (size / 1000);
    text += count > 0 ? `${count}${unit}` : "";
  }
  return text === "" ? "0s" : text;
}

function printable(text: string): string {
  return text.replaceAll(/[^\x20-\x7e]/g, "?").slice(0, 40);
}
