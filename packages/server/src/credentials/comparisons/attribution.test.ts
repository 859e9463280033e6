import { describe, expect, it } from "vitest";
import type { Trace } from "../traces.ts";
import { type AttributedTrace, Attribution, type JournalRecord } from "./attribution.ts";

const alice = { grant: "grt_alice", person: "alice" };
const bob = { grant: "grt_bob", person: "bob" };

function trace(over: Partial<Trace> = {}): Trace {
  return {
    change: "new",
    database: "orders",
    kind: "table",
    identity: "app.kept",
    owner: "jitdb_keeper",
    detail: "",
    risk: "data",
    kept: false,
    words: [["kept"]],
    look: null,
    undo: null,
    ...over,
  };
}

type Said = readonly [candidate: typeof alice, record: JournalRecord];

function intent(
  by: typeof alice,
  statement: string,
  text: unknown,
  more: JournalRecord = {},
): Said {
  const at = "2026-11-23T12:00:00.000Z";
  return [by, { kind: "statement.intent", statement, session: "ses_1", at, text, ...more }];
}

function attribute(traces: readonly Trace[], records: readonly Said[]): AttributedTrace[] {
  const attribution = new Attribution(traces, alice.grant, [alice, bob]);
  for (const [{ grant }, record] of records) {
    attribution.read(grant, record);
  }
  return attribution.result();
}

const makerOf = (records: readonly Said[], over: Partial<Trace> = {}) =>
  attribute([trace(over)], records)[0]?.maker;

describe("the maker of a trace", () => {
  it("is who ran the last statement that makes it, not who used it (invariant 33)", () => {
    expect(
      makerOf([
        intent(bob, "stm_0", "SELECT * FROM app.kept"),
        intent(alice, "stm_1", 'CREATE TABLE app."kept" (id int)'),
        intent(alice, "stm_2", "ALTER TABLE app.kept ADD x int"),
        intent(bob, "stm_3", "INSERT INTO app.kept VALUES (1)"),
      ]),
    ).toEqual({
      certainty: "statement",
      grant: "grt_alice",
      person: "alice",
      statement: "stm_1",
      session: "ses_1",
      at: "2026-11-23T12:00:00.000Z",
      text: 'CREATE TABLE app."kept" (id int)',
    });
  });

  it("is nobody on record where no statement names it, and all who may have are named", () => {
    const [found] = attribute([trace()], [intent(alice, "stm_1", "CREATE TABLE app.other ()")]);
    expect(found?.maker).toMatchObject({ certainty: "none", person: null, statement: null });
    expect(found?.candidates).toEqual([alice, bob]);
  });

  it("is the grant that the keeper got it from, whatever others said (invariant 33)", () => {
    const cleaned = (by: typeof alice): Said => [
      by,
      { kind: "user.cleaned", steps: ["handed the table app.kept to jitdb_keeper"] },
    ];
    const said = [intent(bob, "stm_9", "CREATE TABLE app.kept ()"), cleaned(alice)];
    expect(makerOf(said, { kept: true })).toMatchObject({
      certainty: "owner",
      person: "alice",
      statement: null,
    });
    expect(attribute([trace({ kept: true })], [cleaned(bob)])).toEqual([]);
  });

  it("did not make it with a statement that failed or was skipped", () => {
    const outcome = (statement: string, result: string): Said => [
      alice,
      { kind: "statement.outcome", statement, result },
    ];
    const records = [
      intent(alice, "stm_1", "CREATE TABLE app.kept ()"),
      outcome("stm_1", "complete"),
      intent(bob, "stm_2", "CREATE TABLE app.kept ()"),
      outcome("stm_2", "error"),
      intent(bob, "stm_3", "CREATE TABLE app.kept ()"),
      outcome("stm_3", "skipped"),
    ];
    expect(makerOf(records)).toMatchObject({ person: "alice", statement: "stm_1" });
  });

  it("is found behind prepared statements, chunks and texts that are no UTF-8", () => {
    const text = "create table app.kept ()";
    const parse: Said = [alice, { kind: "statement.parse", statement: "stm_p", text }];
    const execute = intent(alice, "stm_e", undefined, { candidates: [{ parse: "stm_p" }] });
    expect(makerOf([parse])).toMatchObject({ certainty: "none" });
    expect(makerOf([parse, execute])).toMatchObject({ statement: "stm_e", text });
    const chunk: Said = [alice, { kind: "statement.chunk", statement: "stm_c", text }];
    expect(makerOf([chunk])).toMatchObject({ statement: "stm_c" });
    const base64 = Buffer.from(`${text} -- \xe9`, "latin1").toString("base64");
    expect(makerOf([intent(alice, "stm_b", { base64 })])).toMatchObject({ statement: "stm_b" });
  });

  it("of a changed thing is who changed it last", () => {
    const records = [
      intent(alice, "stm_1", "CREATE OR REPLACE FUNCTION app.kept() …"),
      intent(bob, "stm_2", "ALTER FUNCTION app.kept() SECURITY DEFINER"),
    ];
    expect(makerOf(records, { change: "changed" })).toMatchObject({ statement: "stm_2" });
  });
});
