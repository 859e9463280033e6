// Hours in which grants may run: windows of the week, and of one date, in time zones, as stretches of epoch ms. Knows no policy.

import { Temporal } from "temporal-polyfill";

export const weekdays = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"] as const;
export type Weekday = (typeof weekdays)[number];

export type HoursWindow = WeeklyWindow | DatedWindow;

export interface WeeklyWindow {
  /** On which it begins. */
  readonly days: readonly Weekday[];
  /** `HH:MM`. */
  readonly from: string;
  /** `HH:MM` up to 24:00. Not later than `from`: on the following day. */
  readonly to: string;
  /** An IANA name, such as Europe/Berlin. */
  readonly zone: string;
}

/** Once, such as a night of maintenance. */
export interface DatedWindow {
  /** `YYYY-MM-DD HH:MM`. */
  readonly from: string;
  /** The same form; later. */
  readonly to: string;
  /** An IANA name. */
  readonly zone: string;
}

export type HoursAnswer =
  /** `latestStart`: the last moment (epoch ms) at which a grant of this length still fits the same stretch. */
  | { readonly inside: true; readonly latestStart: number }
  /** `opensAt`: when it would fit next; absent: no stretch is as long. */
  | { readonly inside: false; readonly opensAt?: number };

/** Far enough to see each day of the week from its beginning, and grants that run on into the next ones. */
const daysAhead = 9;
const dayMs = 86_400_000;

/** Whether a grant that begins at `start` (epoch ms) runs inside the windows until its end. */
export function withinHours(
  windows: readonly HoursWindow[],
  start: number,
  durationMs: number,
): HoursAnswer {
  const stretches = stretchesAround(windows, start, daysAhead + Math.ceil(durationMs / dayMs));
  const current = stretches.find(({ from, to }) => from <= start && start + durationMs <= to);
  if (current !== undefined) {
    return { inside: true, latestStart: current.to - durationMs };
  }
  const next = stretches.find(({ from, to }) => from > start && to - from >= durationMs);
  return next === undefined ? { inside: false } : { inside: false, opensAt: next.from };
}

/** `mon, fri 08:00–18:00 Europe/Berlin; 2026-12-05 22:00–2026-12-06 04:00 Europe/Berlin`. */
export function describeHours(windows: readonly HoursWindow[]): string {
  return windows
    .map((window) => {
      const days = "days" in window ? `${window.days.join(", ")} ` : "";
      return `${days}${window.from}–${window.to} ${window.zone}`;
    })
    .join("; ");
}

/** Whether it is a date and a time of the form of a {@link DatedWindow}; `2026-02-30 08:00` is none. */
export function isLocalMoment(value: string): boolean {
  try {
    return /^\d{4}-\d\d-\d\d \d\d:\d\d$/.test(value) && toLocal(value).second === 0;
  } catch {
    // Temporal throws a RangeError for a date that there is none of: that is the answer.
    return false;
  }
}

/** A moment as people in a window's zone read it. */
export function describeMoment(at: number, zone: string): string {
  const local = Temporal.Instant.fromEpochMilliseconds(at).toZonedDateTimeISO(zone);
  const day = weekdays[local.dayOfWeek - 1];
  return `${day} ${local.toPlainDate()} ${local.toPlainTime().toString({ smallestUnit: "minute" })} ${zone}`;
}

export function isZone(zone: string): boolean {
  try {
    Temporal.Instant.fromEpochMilliseconds(0).toZonedDateTimeISO(zone);
    return true;
  } catch {
    // Temporal throws a RangeError for a name that it does not know: that is the answer.
    return false;
  }
}

interface Stretch {
  readonly from: number;
  readonly to: number;
}

/** In order; those that touch or overlap are one. */
function stretchesAround(windows: readonly HoursWindow[], at: number, days: number): Stretch[] {
  const single = windows.flatMap((window) => stretchesOf(window, at, days));
  const merged: Stretch[] = [];
  for (const stretch of single.toSorted((a, b) => a.from - b.from)) {
    const last = merged.at(-1);
    if (last !== undefined && stretch.from <= last.to) {
      merged[merged.length - 1] = { from: last.from, to: Math.max(last.to, stretch.to) };
    } else {
      merged.push(stretch);
    }
  }
  return merged;
}

function stretchesOf(window: HoursWindow, at: number, days: number): Stretch[] {
  if (!("days" in window)) {
    const [from, to] = [window.from, window.to].map(
      (moment) => toLocal(moment).toZonedDateTime(window.zone).epochMilliseconds,
    );
    return from !== undefined && to !== undefined && to > from ? [{ from, to }] : [];
  }
  const today = Temporal.Instant.fromEpochMilliseconds(at)
    .toZonedDateTimeISO(window.zone)
    .toPlainDate();
  // Two days back: a window that goes past midnight touches the one that begins where it ends.
  return Array.from({ length: days + 3 }, (_, index) => today.add({ days: index - 2 })).flatMap(
    (date) => {
      const weekday = weekdays[date.dayOfWeek - 1];
      if (weekday === undefined || !window.days.includes(weekday)) {
        return [];
      }
      const over = window.to !== "24:00" && window.to <= window.from ? 1 : 0;
      const from = epochMs(date, window.from, window.zone);
      const to = epochMs(date.add({ days: over }), window.to, window.zone);
      // A window that lies in the hour that a change to summer time skips has no length.
      return to > from ? [{ from, to }] : [];
    },
  );
}

function toLocal(moment: string): Temporal.PlainDateTime {
  return Temporal.PlainDateTime.from(moment.replace(" ", "T"));
}

function epochMs(date: Temporal.PlainDate, time: string, zone: string): number {
  const [day, clock] = time === "24:00" ? [date.add({ days: 1 }), "00:00"] : [date, time];
  return day.toZonedDateTime({ timeZone: zone, plainTime: Temporal.PlainTime.from(clock) })
    .epochMilliseconds;
}
