import { describe, expect, it } from "vitest";
import { parseStart } from "./start-time.ts";

// Noon on this machine's own clock, wherever it stands.
const now = new Date(2026, 10, 23, 12).getTime();
const local = (day: number, hour: number) => new Date(2026, 10, day, hour).toISOString();

describe("the start that people write", () => {
  it.each([
    ["22:00", local(23, 22)],
    ["9:00", local(24, 9)],
    ["12:00", local(24, 12)],
    ["2026-11-25 07:00", local(25, 7)],
    ["2026-11-26T22:00+02:00", "2026-11-26T20:00:00.000Z"],
  ])("%s is %s", (text, expected) => {
    expect(parseStart(text, now)).toBe(expected);
  });

  it.each(["", "24:00", "22:60", "tomorrow", "2026-11-31 10:00", "2026-11-26T22:00", "22:00:00"])(
    "refuses %j",
    (text) => {
      expect(() => parseStart(text, now)).toThrow(
        expect.objectContaining({ code: "usage.invalid", hint: expect.stringContaining("--at") }),
      );
    },
  );

  it("refuses what is over", () => {
    expect(() => parseStart("2026-11-22 22:00", now)).toThrow("2026-11-22 22:00 is over.");
  });
});
