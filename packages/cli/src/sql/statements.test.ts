import { describe, expect, it } from "vitest";
import { StatementSplitter } from "./statements.ts";

/** The statements of a text, with what no semicolon ended in the last place. */
function split(text: string): string[] {
  const splitter = new StatementSplitter();
  const statements = text.split("\n").flatMap((line) => splitter.push(line));
  const rest = splitter.finish();
  return rest === "" ? statements : [...statements, rest];
}

describe("StatementSplitter", () => {
  it.each([
    ["at semicolons", "select 1; select 2;", ["select 1;", "select 2;"]],
    ["not inside a string", "select 'a;b', 'it''s;';", ["select 'a;b', 'it''s;';"]],
    [
      "not behind an escaped quote",
      "select E'a\\';b'; select 2",
      ["select E'a\\';b';", "select 2"],
    ],
    [
      "behind a plain string that ends in a backslash",
      "select 'a\\'; select 2",
      ["select 'a\\';", "select 2"],
    ],
    ["not inside a name", 'select ";""" as "a;b";', ['select ";""" as "a;b";']],
    [
      "not inside a dollar-quoted body",
      "do $x$ begin; $$;$$; end $x$; select 1",
      ["do $x$ begin; $$;$$; end $x$;", "select 1"],
    ],
    [
      "at a dollar sign inside of a word",
      "select a$b$ from t; select $1",
      ["select a$b$ from t;", "select $1"],
    ],
    [
      "not inside comments",
      "select 1 -- a;b\n, 2 /* c; /* d; */ e; */; select 3",
      ["select 1 -- a;b\n, 2 /* c; /* d; */ e; */;", "select 3"],
    ],
    [
      "not inside parentheses",
      "create rule r as on insert to t do also (select 1; select 2); select 3",
      ["create rule r as on insert to t do also (select 1; select 2);", "select 3"],
    ],
    [
      "not inside the body of a routine",
      "create or replace function f() returns int begin atomic select case when true then 1 end; select 2; end; select 3",
      [
        "create or replace function f() returns int begin atomic select case when true then 1 end; select 2; end;",
        "select 3",
      ],
    ],
    ["at the BEGIN of a transaction", "begin; select 1; end;", ["begin;", "select 1;", "end;"]],
    ["leaving out empty ones", ";; select 1;;", ["select 1;"]],
  ])("splits %s", (_name, text, statements) => {
    expect(split(text)).toEqual(statements);
  });

  it("knows whether a statement has begun", () => {
    const splitter = new StatementSplitter();
    expect(splitter.isInside).toBe(false);
    splitter.push("select '");
    expect(splitter.isInside).toBe(true);
    splitter.push("';");
    expect(splitter.isInside).toBe(false);
  });

  it("begins anew after it was told to finish inside a string", () => {
    const splitter = new StatementSplitter();
    splitter.push("select 'open");
    splitter.finish();
    expect(splitter.push("select 1;")).toEqual(["select 1;"]);
  });
});
