import { expect, it } from "vitest";
import { canonicalJson } from "./journal/canonical.ts";
import { QueryIntent, SessionTexts, StatementOutcome } from "./ordered.ts";
import type { Subject } from "./record.ts";

const subject = {
  person: "alice",
  device: "dev",
  database: "prod-orders",
  grant: "grt_1",
  session: "ses_1",
  address: "127.0.0.1",
  breakGlass: true,
} as const;
const texts = new SessionTexts(subject);
const unnamed = new SessionTexts({});
const passed = { bytesIn: 1, bytesOut: 2, durationMs: 0.125 };
const place = { at: "2026-11-29T12:00:00.000Z", prev: "0".repeat(64), seq: 17 };

it.each([
  [
    "a query",
    subject,
    new QueryIntent(texts, "ses_1.1", 'SELECT "ä\u202e\n"', [{ at: 3, mac: "ab" }], "UTF8"),
  ],
  ["a query of somebody unnamed", {}, new QueryIntent(unnamed, "ses_1.1", "", undefined, "\u0085")],
  [
    "an outcome with all that it can say",
    subject,
    Object.assign(
      new StatementOutcome(texts, "ses_1.1", "error", passed, {
        index: 0,
        parse: null,
        bind: "ses_1.2",
        tag: 'SELECT "\u202e"',
        rows: 1,
        sqlstate: '4"601',
        endedBy: "expired",
      }),
      { transaction: "failed" as const },
    ),
  ],
  [
    "an outcome that says little",
    {},
    new StatementOutcome(unnamed, "ses_1.1", "unknown", passed, {}),
  ],
])("%s is written as canonical JSON says", (_name, of, record) => {
  expect(record.line(place)).toBe(canonicalJson({ ...of, ...record, ...place }));
});

it("what one grant's sessions share is no other's: each field that differs is in the line", () => {
  const others: Subject[] = (
    ["person", "device", "database", "grant", "session", "address"] as const
  ).map((name) => ({ ...subject, [name]: "another" }));
  for (const other of [subject, ...others, { ...subject, breakGlass: undefined }, subject]) {
    const record = new StatementOutcome(new SessionTexts(other), "ses_1.1", "unknown", passed, {});
    expect(record.line(place)).toBe(canonicalJson({ ...other, ...record, ...place }));
  }
});
