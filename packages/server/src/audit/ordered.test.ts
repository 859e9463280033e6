import { expect, it } from "vitest";
import { canonicalJson, orderedJson } from "./journal/canonical.ts";
import { QueryIntent, StatementOutcome } from "./ordered.ts";

const subject = {
  person: "alice",
  device: "dev",
  database: "prod-orders",
  grant: "grt_1",
  session: "ses_1",
  address: "127.0.0.1",
  breakGlass: true,
} as const;
const passed = { bytesIn: 1, bytesOut: 2, durationMs: 0.125 };

it.each([
  [
    "a query",
    new QueryIntent(subject, "ses_1.1", 'SELECT "ä\u202e\n"', [{ at: 3, mac: "ab" }], "UTF8"),
  ],
  ["a query of somebody unnamed", new QueryIntent({}, "ses_1.1", "", undefined, "UTF8")],
  [
    "an outcome with all that it can say",
    Object.assign(
      new StatementOutcome(subject, "ses_1.1", "error", passed, {
        index: 0,
        parse: null,
        bind: "ses_1.2",
        tag: "SELECT 1",
        rows: 1,
        sqlstate: "42601",
        endedBy: "expired",
      }),
      { transaction: "failed" as const },
    ),
  ],
  ["an outcome that says little", new StatementOutcome({}, "ses_1.1", "unknown", passed, {})],
])("%s is written as canonical JSON says", (_name, record) => {
  record.at = "2026-11-29T12:00:00.000Z";
  record.prev = "0".repeat(64);
  record.seq = 17;
  expect(orderedJson(record)).toBe(canonicalJson({ ...record }));
});
