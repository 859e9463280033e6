import { describe, expect, it } from "vitest";
import { clean, line, relative, roughly, toJson, truncate, widthOf, wrapFact } from "./text.ts";

describe("clean", () => {
  it("shows control characters and direction marks as replacement characters (invariant 24)", () => {
    expect(clean("a\u001b[31mb\r\n\u009bc\u202ed\u2028")).toBe(
      "a\ufffd[31mb\ufffd\ufffd\ufffdc\ufffdd\ufffd",
    );
  });
  it("leaves letters of every script alone", () => {
    expect(clean("Zoë 注文 🙂")).toBe("Zoë 注文 🙂");
  });
});

describe("line", () => {
  it("cleans the values and not the words around them", () => {
    expect(line`a\n${"b\n"}${3}`).toBe("a\nb\ufffd3");
  });
});

describe("toJson", () => {
  it("escapes what terminals read as control, and reads back the same", () => {
    const value = { text: "\u001b]52;\u009b\u202e" };
    const json = toJson(value, 0);
    expect(json).toBe('{"text":"\\u001b]52;\\u009b\\u202e"}');
    expect(JSON.parse(json)).toEqual(value);
  });
});

describe("a fact", () => {
  it("is broken into lines that are narrower than the screen, and indented", () => {
    expect(wrapFact("reason", "order 4711 is stuck, and the customer calls", 30)).toEqual([
      "reason: order 4711 is stuck,",
      "        and the customer",
      "        calls",
    ]);
    expect(wrapFact("may", "", 30)).toEqual(["may:"]);
  });

  it.each([
    ["spaces", `fix${" ".repeat(71)}may: read nothing at all`],
    ["one long word", `${"x".repeat(72)}may:nothing`],
    ["letters that a terminal draws wide", `${"\u3000\u2764\ufe0f\u00a7".repeat(20)}may: nothing`],
    ["line ends", "fix\r\nmay: nothing\u2028may: nothing\u0085may: nothing"],
    ["direction marks", "\u202egnihton :yam\u200f \u061c may: nothing"],
  ])("cannot begin a line of the screen with its text by %s", (_, text) => {
    const lines = wrapFact("reason", text, 80);
    expect(lines[0]).toMatch(/^reason: /);
    for (const each of lines.slice(1)) {
      expect(each).toMatch(/^ {8}\S/);
    }
    for (const each of lines) {
      // However wide a terminal draws what is not ASCII.
      expect([...each].reduce((sum, one) => sum + (one < "\u007f" ? 1 : 2), 0)).toBeLessThan(80);
      expect(each).not.toMatch(/[\p{Cc}\u061c\u200e\u200f\u2028\u202e]/u);
    }
  });
});

describe("widths", () => {
  it("counts two cells for East Asian letters and emoji", () => {
    expect(["abc", "注文", "🙂", "é"].map(widthOf)).toEqual([3, 4, 2, 1]);
    expect(["\u3000、", "❤️", "￥"].map(widthOf)).toEqual([4, 2, 2]);
  });
  it("cuts to the cells that are there", () => {
    expect(truncate("abcdef", 4)).toBe("abc…");
    expect(truncate("注文注文", 5)).toBe("注文…");
    expect(truncate("abc", 3)).toBe("abc");
  });
});

describe("times", () => {
  it.each([
    [500, "1s"],
    [59_000, "59s"],
    [59_001, "1m"],
    [61_000, "2m"],
    [3_540_000, "59m"],
    [3_540_001, "1h"],
    [5_400_000, "1h30m"],
    [86_400_000, "24h"],
    [3 * 86_400_000, "3d"],
  ])("says %i ms as %s", (ms, text) => {
    expect(roughly(ms)).toBe(text);
  });
  it("looks from now", () => {
    expect(relative("2026-11-23T12:29:00.000Z", Date.UTC(2026, 10, 23, 12))).toBe("in 29m");
    expect(relative("2026-11-23T11:59:00.000Z", Date.UTC(2026, 10, 23, 12))).toBe("1m ago");
  });
});
