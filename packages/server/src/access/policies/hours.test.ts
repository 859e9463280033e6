import { describe, expect, test } from "vitest";
import {
  describeHours,
  describeMoment,
  type HoursWindow,
  isLocalMoment,
  isZone,
  withinHours,
} from "./hours.ts";

const hour = 3_600_000;
const office: HoursWindow = {
  days: ["mon", "tue", "wed", "thu", "fri"],
  from: "08:00",
  to: "18:00",
  zone: "Europe/Berlin",
};
const at = (text: string) => Date.parse(text);

describe("hours", () => {
  test("hold a grant that ends exactly when they do, and say how long it may wait", () => {
    const start = at("2026-11-24T16:00:00+01:00");
    expect(withinHours([office], start, 2 * hour)).toEqual({ inside: true, latestStart: start });
  });

  test("refuse one millisecond more, and name the next opening", () => {
    const start = at("2026-11-24T16:00:00+01:00");
    const opensAt = at("2026-11-25T08:00:00+01:00");
    expect(withinHours([office], start, 2 * hour + 1)).toEqual({ inside: false, opensAt });
  });

  test("open after a weekend on Monday, in summer time where it began meanwhile", () => {
    const opensAt = at("2026-03-30T08:00:00+02:00");
    expect(withinHours([office], at("2026-03-27T19:00:00+01:00"), hour)).toEqual({
      inside: false,
      opensAt,
    });
    expect(describeMoment(opensAt, "Europe/Berlin")).toBe("mon 2026-03-30 08:00 Europe/Berlin");
  });

  test("go past midnight where they end before they begin", () => {
    const night: HoursWindow = { ...office, days: ["fri"], from: "22:00", to: "02:00" };
    expect(withinHours([night], at("2026-11-28T00:30:00+01:00"), hour).inside).toBe(true);
    expect(withinHours([night], at("2026-11-27T00:30:00+01:00"), hour).inside).toBe(false);
  });

  test("join windows that touch, also across days", () => {
    const all: HoursWindow = { ...office, days: ["mon", "tue"], from: "00:00", to: "24:00" };
    expect(withinHours([all], at("2026-11-23T20:00:00+01:00"), 20 * hour).inside).toBe(true);
  });

  test("say that no window is as long as what is asked for", () => {
    expect(withinHours([office], at("2026-11-24T09:00:00+01:00"), 11 * hour)).toEqual({
      inside: false,
    });
  });

  test("open once, for a night of maintenance, however far ahead, and join what they touch", () => {
    const night: HoursWindow = {
      from: "2026-12-24 18:00",
      to: "2026-12-25 04:00",
      zone: "Europe/Berlin",
    };
    const start = at("2026-12-24T23:00:00+01:00");
    expect(withinHours([night], start, 5 * hour)).toEqual({ inside: true, latestStart: start });
    const opensAt = at("2026-12-24T18:00:00+01:00");
    const asked = at("2026-11-24T09:00:00+01:00");
    expect(withinHours([night], asked, 10 * hour)).toEqual({ inside: false, opensAt });
    expect(withinHours([night], at("2026-12-26T09:00:00+01:00"), hour)).toEqual({ inside: false });
    // The 24th is a Thursday.
    expect(withinHours([office, night], at("2026-12-24T17:00:00+01:00"), 11 * hour).inside).toBe(
      true,
    );
    expect(describeHours([night])).toBe("2026-12-24 18:00–2026-12-25 04:00 Europe/Berlin");
  });

  test("know which dates there are", () => {
    expect(
      ["2026-12-05 22:00", "2026-02-30 22:00", "2026-12-05 24:00", "2026-12-05", "22:00"].map(
        isLocalMoment,
      ),
    ).toEqual([true, false, false, false, false]);
  });

  test("know which zones there are", () => {
    expect([isZone("Europe/Berlin"), isZone("Europe/Berlim")]).toEqual([true, false]);
  });
});
