import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { jsonText } from "./canonical.ts";

describe("the JSON text of a string", () => {
  it("is what JSON.stringify gives, wherever it needs no stricter escape", () => {
    const text = fc.string({ unit: "binary-ascii" }).filter((one) => !one.includes("\u007f"));
    fc.assert(
      fc.property(text, (one) => {
        expect(jsonText(one)).toBe(JSON.stringify(one));
      }),
    );
  });

  it("means the same as before, and holds nothing that a terminal or a line reader obeys", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), (one) => {
        const json = jsonText(one);
        expect(JSON.parse(json)).toBe(one);
        expect(json).not.toMatch(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u);
      }),
    );
  });
});
