import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { jsonText } from "./canonical.ts";

/** Controls, and characters that hide, turn round or break what stands beside them. */
const obeyed = new Set(
  "\0\b\t\n\v\r\u001b\u007f\u0085\u009b\u00ad\u061c\u180e\u200b\u200e\u200f\u2028\u2029\u202a\u202e\u2060\u2066\u2069\ufeff\ufff9",
);

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
    const text = fc.string({ unit: fc.oneof(fc.constantFrom(...obeyed), fc.string()) });
    fc.assert(
      fc.property(text, (one) => {
        const json = jsonText(one);
        expect(JSON.parse(json)).toBe(one);
        expect([...json].filter((character) => obeyed.has(character))).toEqual([]);
      }),
    );
  });
});
