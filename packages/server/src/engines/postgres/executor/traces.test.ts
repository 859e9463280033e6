import { describe, expect, it } from "vitest";
import type { Snapshot } from "../../../credentials/traces.ts";
import type { FoundEntry, FoundSnapshot } from "./snapshot.ts";
import { findTraces, tracesLimit } from "./traces.ts";

function entry(kind: string, identity: string, over: Partial<FoundEntry> = {}): FoundEntry {
  const owner = "jitdb_orders_admin";
  return {
    database: "orders",
    kind,
    identity,
    owner,
    detail: "",
    definition: "",
    undo: null,
    ...over,
  };
}

function snapshot(entries: readonly FoundEntry[], gaps: readonly string[] = []): FoundSnapshot {
  return { roles: ["jitdb_orders_admin", "jitdb_keeper"], entries, gaps };
}

const nothing: Snapshot = snapshot([]);
const tracesOf = (before: readonly FoundEntry[], after: readonly FoundEntry[]) =>
  findTraces(snapshot(before), snapshot(after)).traces;

describe("the comparison after a grant", () => {
  it("finds nothing where nothing has changed", () => {
    const entries = [entry("table", "app.old"), entry("function", "app.f()", { definition: "1" })];
    expect(findTraces(snapshot(entries), snapshot(entries))).toEqual({ traces: [], gaps: [] });
  });

  it("lists what acts before rights, and rights before data (invariant 33)", () => {
    const kinds = ["table", "privilege", "function", "default privileges", "trigger", "sequence"];
    const after = kinds.map((kind) => entry(kind, `app.${kind.replaceAll(" ", "_")}`));
    expect(tracesOf([], after).map(({ kind, risk }) => `${risk}: ${kind}`)).toEqual([
      "acts: function",
      "acts: trigger",
      "rights: privilege",
      "rights: default privileges",
      "data: table",
      "data: sequence",
    ]);
  });

  it("tells new, changed and gone things apart, in each database by itself", () => {
    const before = [
      entry("function", "app.f()", { definition: "1" }),
      entry("policy", "p on app.t"),
    ];
    const after = [
      entry("function", "app.f()", { definition: "2" }),
      entry("function", "app.f()", { database: "people" }),
    ];
    expect(
      tracesOf(before, after).map(({ change, database, kind }) => [change, database, kind]),
    ).toEqual([
      ["new", "people", "function"],
      ["changed", "orders", "function"],
      ["gone", "orders", "policy"],
    ]);
  });

  it("says that what the keeper got was kept, and does not miss what a DBA took from it", () => {
    const keeper = { owner: "jitdb_keeper" };
    expect(
      tracesOf([entry("table", "app.old", keeper)], [entry("table", "app.new", keeper)]),
    ).toMatchObject([{ change: "new", identity: "app.new", kept: true }]);
  });

  it("takes nothing for gone that it could not look at, and says what it could not", () => {
    const { traces, gaps } = findTraces(
      snapshot([entry("trigger", "t on app.x")], ["a."]),
      snapshot([], ["b."]),
    );
    expect(traces).toEqual([]);
    expect(gaps).toEqual(["When it began: a.", "When it had ended: b."]);
  });

  it("lists no more than its limit, and says how many more there are", () => {
    const many = Array.from({ length: tracesLimit + 2 }, (_, i) => entry("table", `app.t${i}`));
    const { traces, gaps } = findTraces(nothing, snapshot(many));
    expect(traces).toHaveLength(tracesLimit);
    expect(gaps).toEqual(["2 more differences are not listed."]);
  });

  it.each([
    ["table", "app.kept", "SELECT * FROM app.kept LIMIT 20", "DROP TABLE app.kept", [["kept"]]],
    [
      "table",
      'app."My. Table"',
      'SELECT * FROM app."My. Table" LIMIT 20',
      'DROP TABLE app."My. Table"',
      [["my", "table"]],
    ],
    [
      "function",
      "app.f(integer,text)",
      "SELECT pg_catalog.pg_get_functiondef('app.f(integer,text)'::pg_catalog.regprocedure)",
      "DROP ROUTINE app.f(integer,text)",
      [["f"]],
    ],
    ["policy", "mine on app.orders", null, null, [["mine"]]],
    ["privilege", "table app.orders to PUBLIC", null, null, [["orders"]]],
    ["privilege", "large object 4711 to PUBLIC", null, null, [["4711"]]],
    ["setting", "search_path of jitdb_orders_admin", null, null, [["search_path"]]],
    ["default privileges", "of x on tables", null, null, [["default", "privileges"]]],
    ["operator class", "app.o USING btree", null, null, [["o", "using", "btree"]]],
  ])(
    "words the SQL for a %s %s, and the words that its maker wrote",
    (kind, identity, look, undo, words) => {
      expect(tracesOf([], [entry(kind, identity)])).toMatchObject([{ look, undo, words }]);
    },
  );

  it("words no undoing of what was changed: only a person knows how it was", () => {
    const before = [entry("default privileges", "of x on tables", { definition: "{}" })];
    const after = [
      entry("default privileges", "of x on tables", { definition: "{=r/x}", undo: "ALTER …" }),
    ];
    expect(tracesOf(before, after)).toMatchObject([{ change: "changed", undo: null }]);
  });
});
