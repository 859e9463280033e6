import { describe, expect, test } from "vitest";
import { quoteLiteral, quoteName, quoteNames } from "./quote.ts";

describe("quoting", () => {
  test("keeps a quote inside a name inside the name", () => {
    expect(quoteName('a"; drop table x; --')).toBe('"a""; drop table x; --"');
  });

  test("keeps quotes and backslashes inside a literal", () => {
    expect(quoteLiteral("it's")).toBe("'it''s'");
    expect(quoteLiteral("\\'")).toBe("E'\\\\'''");
  });

  test("lists names", () => {
    expect(quoteNames(["a", "B"])).toBe('"a", "B"');
  });

  test("refuses NUL, which would end the statement early", () => {
    expect(() => quoteName("a\0b")).toThrow(RangeError);
    expect(() => quoteLiteral("a\0b")).toThrow(RangeError);
  });
});
