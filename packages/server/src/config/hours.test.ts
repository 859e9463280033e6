import { expect, test } from "vitest";
import { policySchema } from "./schema.ts";

const policy = {
  name: "night",
  who: { groups: ["developers"] },
  databases: ["*"],
  profiles: ["read-only"],
  maxDuration: "1h",
  approval: "automatic",
};

const read = (window: object) =>
  policySchema.safeParse({ ...policy, hours: [{ ...window, zone: "UTC" }] });

test.each([
  [
    { from: "08:00", to: "2026-12-05 22:00" },
    "must have two times of day, or two dates with times.",
  ],
  [
    { days: ["mon"], from: "2026-12-05 22:00", to: "2026-12-06 04:00" },
    "has days, which a window of one date can't have.",
  ],
  [{ from: "2026-12-06 04:00", to: "2026-12-05 22:00" }, "must end later than it begins."],
  [
    { from: "2026-02-30 22:00", to: "2026-12-05 22:00" },
    "must be a time, such as 08:00, or a date with one, such as 2026-12-05 22:00.",
  ],
])("hours %j are refused", (window, message) => {
  expect(read(window).error?.issues.map((issue) => issue.message)).toEqual([message]);
});

test("hours are of every day of the week where no days are named, or of one date", () => {
  const date = { from: "2026-12-05 22:00", to: "2026-12-06 04:00" };
  expect(read({ from: "22:00", to: "04:00" }).data?.hours?.[0]).toMatchObject({
    days: ["mon", "tue", "wed", "thu", "fri", "sat", "sun"],
  });
  expect(read(date).data?.hours).toEqual([{ ...date, zone: "UTC" }]);
});
