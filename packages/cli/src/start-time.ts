// When a grant shall begin, as people write it: `22:00`, `2026-11-24 22:00`, or an instant with its zone.

import { JitdbError } from "@jitdb/shared/errors";
import { clean } from "./text.ts";

/**
 * The next 22:00 on this machine's clock, that day and time on it, or exactly that instant.
 * @returns an ISO instant in UTC
 * @throws JitdbError `usage.invalid` for another form, a day that there is not, and what is over
 */
export function parseStart(text: string, now: number): string {
  const at = parseClock(text, now) ?? parseDay(text) ?? parseInstant(text);
  if (at === undefined) {
    throw new JitdbError("usage.invalid", `"${clean(text)}" is no time to begin at.`, {
      hint: 'Write --at 22:00, --at "2026-11-24 22:00", or with a zone --at 2026-11-24T22:00:00+01:00.',
    });
  }
  if (at <= now) {
    throw new JitdbError("usage.invalid", `${clean(text)} is over.`, {
      hint: "Leave --at out to begin now, or write a later time.",
    });
  }
  return new Date(at).toISOString();
}

function parseClock(text: string, now: number): number | undefined {
  const [, hour, minute] = /^(\d{1,2}):(\d{2})$/.exec(text) ?? [];
  if (Number(hour) > 23 || Number(minute) > 59 || minute === undefined) {
    return undefined;
  }
  const date = new Date(now);
  date.setHours(Number(hour), Number(minute), 0, 0);
  if (date.getTime() <= now) {
    date.setDate(date.getDate() + 1);
  }
  return date.getTime();
}

function parseDay(text: string): number | undefined {
  const parts = /^(\d{4})-(\d{2})-(\d{2}) (\d{2}):(\d{2})$/.exec(text)?.slice(1).map(Number);
  if (parts === undefined) {
    return undefined;
  }
  const [year = 0, month = 0, day = 0, hour = 0, minute = 0] = parts;
  const date = new Date(year, month - 1, day, hour, minute);
  // Date turns the 31st of November into the 1st of December.
  const isThere = date.getMonth() === month - 1 && date.getDate() === day && minute < 60;
  return isThere && hour < 24 ? date.getTime() : undefined;
}

function parseInstant(text: string): number | undefined {
  if (!/^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(?::\d{2})?(?:Z|[+-]\d{2}:\d{2})$/.test(text)) {
    return undefined;
  }
  const at = Date.parse(text);
  return Number.isNaN(at) ? undefined : at;
}
