import { encodeText } from "@jitdb/shared/postgres/writer";
import { describe, expect, it } from "vitest";
import { createFormat, type FormatName } from "./format.ts";

const text = 25;

/** A whole result of the given columns (name and type OID) and rows. */
function render(
  name: FormatName,
  columns: readonly (readonly [string, number])[],
  rows: readonly (readonly (string | null)[])[],
  format = createFormat(name),
): string {
  const head = format.begin(
    columns.map(([column, typeOid]) => ({
      name: column,
      typeOid,
      tableOid: 0,
      columnNumber: 0,
      typeSize: -1,
      typeModifier: -1,
      format: 0,
    })),
  );
  const body = rows.map((row) =>
    format.row(row.map((value) => (value === null ? null : encodeText(value)))),
  );
  return head + body.join("") + format.end();
}

describe("a table", () => {
  it("is aligned as psql's, numbers to the right, NULL written out", () => {
    expect(
      render(
        "table",
        [
          ["id", 23],
          ["name", text],
          ["a", text],
        ],
        [
          ["1", "alice", "x"],
          ["22", null, "yy"],
        ],
      ),
    ).toBe(
      [
        " id | name  | a",
        "----+-------+----",
        "  1 | alice | x",
        " 22 | NULL  | yy",
        "(2 rows)",
        "",
        "",
      ].join("\n"),
    );
  });

  it("shows control characters and direction marks as codes, so that data cannot drive the terminal", () => {
    const shown = render("table", [["v", text]], [["a\nb\tc\u001b]52;x\u0007\u009b\u202e"]]);
    expect(shown.split("\n")[2]).toBe(" a\\nb\\tc\\x1b]52;x\\x07\\x9b\\u202e");
  });

  it("cuts a very long value and says how much is missing", () => {
    const shown = render("table", [["v", text]], [["x".repeat(1234)]]);
    expect(shown.split("\n")[2]).toBe(` ${"x".repeat(500)}… (734 more)`);
  });

  it("counts cells, not characters, of wide letters", () => {
    const lines = render(
      "table",
      [
        ["v", text],
        ["w", text],
      ],
      [
        ["日本", "a"],
        ["abc", "b"],
      ],
    ).split("\n");
    expect(lines.slice(1, 4)).toEqual(["------+---", " 日本 | a", " abc  | b"]);
  });

  it("keeps at most a thousand rows, then lets them flow", () => {
    const format = createFormat("table");
    const rows = Array.from({ length: 1500 }, (_, index) => [String(index)]);
    const pieces: string[] = [];
    format.begin([]);
    for (const [value = ""] of rows) {
      pieces.push(format.row([encodeText(value)]));
    }
    expect(pieces.findIndex((piece) => piece !== "")).toBe(999);
    expect(pieces.slice(1000).every((piece) => piece.split("\n").length === 2)).toBe(true);
  });
});

describe("CSV", () => {
  it("quotes as RFC 4180 says, and tells NULL from an empty text", () => {
    expect(
      render(
        "csv",
        [
          ["a,b", text],
          ["c", text],
        ],
        [
          ['say "hi"', null],
          ["two\nlines", ""],
          ["plain", "é"],
        ],
      ),
    ).toBe('"a,b",c\n"say ""hi""",\n"two\nlines",""\nplain,é\n');
  });

  it("puts an empty line between results", () => {
    const format = createFormat("csv");
    const both = [1, 2].map((value) => render("csv", [["n", 23]], [[String(value)]], format));
    expect(both.join("")).toBe("n\n1\n\nn\n2\n");
  });
});

describe("JSON", () => {
  it.each([
    ["bool", 16, "t", true],
    ["int4", 23, "-7", -7],
    ["int8 within 2^53", 20, "9007199254740991", 9007199254740991],
    ["int8 beyond 2^53", 20, "9007199254740993", "9007199254740993"],
    ["float8", 701, "1e-07", 1e-7],
    ["float8 NaN", 701, "NaN", "NaN"],
    ["numeric, which no reader may round", 1700, "1.50", "1.50"],
    ["jsonb", 3802, '{"a": [1, null]}', { a: [1, null] }],
    ["json that is none", 114, "{oops", "{oops"],
    ["text", text, 'a"\n\u0001', 'a"\n\u0001'],
    ["NULL", 23, null, null],
  ])("writes %s", (_name, typeOid, value, expected) => {
    expect(JSON.parse(render("json", [["v", typeOid]], [[value]]))).toEqual([{ v: expected }]);
  });

  it("keeps columns of the same name apart", () => {
    expect(
      render(
        "json",
        [
          ["a", 23],
          ["a", 23],
          ["a_2", 23],
        ],
        [["1", "2", "3"]],
      ),
    ).toBe('[\n{"a":1,"a_2":2,"a_2_2":3}\n]\n');
  });

  it("is an empty array without rows", () => {
    expect(render("json", [["a", 23]], [])).toBe("[]\n");
  });
});
