import { encodeDescribe, encodeParse } from "@jitdb/shared/postgres/encoder";
import { frontendMessages } from "@jitdb/shared/postgres/messages";
import { encodeMessage } from "@jitdb/shared/postgres/writer";
import { describe, expect, it } from "vitest";
import {
  bind,
  close,
  describePortal,
  execute,
  ObservedSession,
  parse,
  query,
  reply,
  sync,
} from "./fixtures.ts";

const bytes = (text: string) => Buffer.from(text);
const describeStatement = (name: string) =>
  encodeDescribe({ kind: "statement", name: bytes(name) });

describe("the extended protocol", () => {
  it("records Parse and Bind, names the text in the intent and what ran in the outcome (invariant 21)", () => {
    const session = new ObservedSession();
    session.client(
      parse("s1", "SELECT $1, $2, $3"),
      bind("p1", "s1", [bytes("a"), Buffer.from([0, 255]), null], [0, 1, 0]),
      describePortal,
      execute("p1", 10),
      sync,
    );
    expect(session.records).toMatchObject([
      { kind: "statement.parse", statement: "ses_1.1", name: "s1", text: "SELECT $1, $2, $3" },
      {
        kind: "statement.intent",
        statement: "ses_1.3",
        protocol: "execute",
        portal: "p1",
        maxRows: 10,
        candidates: [
          {
            parse: "ses_1.1",
            bind: "ses_1.2",
            text: "SELECT $1, $2, $3",
            parameters: ["a", { base64: "AP8=", type: 0 }, null],
          },
        ],
      },
    ]);
    session.server(reply.parseComplete, reply.bindComplete, reply.noData, reply.row(9));
    session.server(reply.suspended, reply.ready());
    expect(session.outcomes()).toEqual(["3 suspended ses_1.1 idle"]);
    expect(session.of("statement.outcome")[0]).toMatchObject({
      bind: "ses_1.2",
      rows: 1,
      bytesOut: 9,
    });
  });

  it("says all of Parse, Bind and Execute in one record where they come together (invariant 21)", () => {
    const session = new ObservedSession();
    session.client(parse("", "SELECT $1"), bind("", "", [bytes("a")]), execute(), sync);
    expect(session.records).toMatchObject([
      {
        kind: "statement.intent",
        statement: "ses_1.3",
        candidates: [{ parse: "ses_1.1", bind: "ses_1.2", text: "SELECT $1", parameters: ["a"] }],
      },
    ]);
    session.server(reply.parseComplete, reply.error("22P02"), reply.ready());
    expect(session.outcomes()).toEqual(["2 error 22P02", "3 skipped idle"]);
  });

  it("records a Parse and a Bind before they leave when no Execute follows at once (invariant 20)", () => {
    const session = new ObservedSession();
    session.client(parse("", "SELECT $1"));
    session.client(bind("", "", [bytes("a")]), describePortal);
    session.client(execute(), sync);
    expect(session.records.map(({ kind }) => kind)).toEqual([
      "statement.parse",
      "statement.bind",
      "statement.intent",
    ]);
    expect(session.of("statement.intent")[0]).toMatchObject({
      candidates: [{ parse: "ses_1.1", bind: "ses_1.2", text: "SELECT $1", parameters: ["a"] }],
    });
  });

  it("records a Parse and a Bind behind which the session ends (invariant 27)", () => {
    const session = new ObservedSession();
    const malformed = encodeMessage(frontendMessages.Sync, bytes("x"));
    expect(() => session.client(parse("", "SELECT 1"), bind("", ""), malformed)).toThrow();
    session.observer.end("terminated", "protocol");
    expect(session.records.map(({ kind }) => kind)).toEqual(["statement.parse", "statement.bind"]);
  });

  it("leaves no record out that the intent behind it does not say", () => {
    const session = new ObservedSession();
    session.client(
      parse("", "SELECT one($1)"),
      bind("p1", "", [bytes("a")]),
      parse("", "SELECT two($1)"),
      bind("p2", "", [bytes("b")]),
      execute("p1"),
      execute("p2"),
      sync,
    );
    expect(session.records.map(({ kind }) => kind)).toEqual([
      "statement.parse",
      "statement.bind",
      "statement.parse",
      "statement.bind",
      "statement.intent",
      "statement.intent",
    ]);
  });

  it("names the types of binary values as the client fixed or the server told them", () => {
    const session = new ObservedSession();
    const value = Buffer.from([0, 0, 0, 7]);
    session.client(
      encodeParse({ statement: bytes("s1"), text: bytes("SELECT $1"), parameterTypes: [23] }),
      bind("", "s1", [value], [1]),
      execute(),
      parse("s2", "SELECT $1"),
      describeStatement("s2"),
      sync,
    );
    session.server(reply.parseComplete, reply.bindComplete, reply.complete("SELECT 1"));
    session.server(reply.parseComplete, reply.parameterTypes([20]), reply.noData, reply.ready());
    session.client(bind("", "s2", [value], [1]), execute(), sync);
    expect(
      session
        .of("statement.intent")
        .map((intent) => "candidates" in intent && intent.candidates[0]),
    ).toMatchObject([
      { parameters: [{ base64: "AAAABw==", type: 23 }] },
      { parameters: [{ base64: "AAAABw==", type: 20 }] },
    ]);
  });

  it("says of a name that code of the database may have changed it since (invariant 22)", () => {
    const session = new ObservedSession();
    session.client(parse("s1", "SELECT harmless()"), bind("", "s1"), execute(), sync);
    session.server(reply.parseComplete, reply.bindComplete, reply.complete("SELECT 1"));
    session.server(reply.ready());
    session.client(bind("", "s1"), execute(), sync);
    const [fresh, old] = session.of("statement.intent");
    expect(fresh).not.toHaveProperty(["candidates", 0, "mayBeRenamed"]);
    expect(old).toMatchObject({ candidates: [{ parse: "ses_1.1", mayBeRenamed: true }] });
  });

  it("knows that a failed pipeline leaves the old statement in place (invariant 22)", () => {
    const session = new ObservedSession();
    session.client(parse("s1", "SELECT evil()"), sync);
    session.server(reply.parseComplete, reply.ready());
    session.client(
      parse("bad", "SELEC"),
      close("statement", "s1"),
      parse("s1", "SELECT harmless()"),
      sync,
      bind("", "s1"),
      execute(),
      sync,
    );
    expect(session.of("statement.intent")[0]).toMatchObject({
      candidates: [{ text: "SELECT evil()" }, { text: "SELECT harmless()" }],
    });
    session.server(reply.error("42601"), reply.ready());
    session.server(reply.bindComplete, reply.complete("SELECT 1"), reply.ready());
    expect(session.outcomes()).toEqual(["2 error 42601 idle", "5 complete SELECT 1 ses_1.1 idle"]);
    session.client(bind("", "s1"), execute(), sync);
    expect(session.of("statement.intent")[1]).toMatchObject({
      candidates: [{ text: "SELECT evil()" }],
    });
  });

  it("leaves all candidates where the session ends before the answer (invariant 22)", () => {
    const session = new ObservedSession();
    session.client(parse("s1", "A"), sync, parse("s1", "B"), sync, bind("", "s1"), execute(), sync);
    session.observer.end("unknown");
    expect(session.of("statement.intent")[0]).toMatchObject({
      candidates: [{ text: "A" }, { text: "B" }, { parse: null }],
    });
    expect(session.outcomes()).toEqual(["4 unknown"]);
  });

  it("records what the server skips after an error as skipped (invariant 27)", () => {
    const session = new ObservedSession();
    session.client(parse("", "A"), bind("", ""), execute());
    session.server(reply.parseComplete, reply.error("22023"));
    session.client(query("DROP TABLE t"), bind("", ""), execute(), describePortal, sync);
    session.server(reply.ready());
    session.client(query("SELECT 1"));
    session.server(reply.complete("SELECT 1"), reply.ready());
    expect(session.outcomes()).toEqual([
      "2 error 22023",
      "3 skipped",
      "4 skipped",
      "6 skipped idle",
      "7 complete SELECT 1 idle",
    ]);
  });

  it("records a commit that fails at the Sync with the statement that it undoes", () => {
    const session = new ObservedSession();
    session.client(parse("", "INSERT"), bind("", ""), execute(), sync);
    session.server(reply.parseComplete, reply.bindComplete, reply.complete("INSERT 0 1"));
    session.server(reply.error("23503"), reply.ready());
    expect(session.outcomes()).toEqual(["3 complete INSERT 0 1 ses_1.1", "3 error 23503 idle"]);
  });

  it("does not claim to know what SQL may have renamed", () => {
    const session = new ObservedSession();
    session.client(parse("s1", "SELECT harmless()"), sync);
    session.server(reply.parseComplete, reply.ready());
    session.client(
      query("DEALLOCATE s1; PREPARE s1 AS SELECT evil()"),
      bind("", "s1"),
      execute(),
      sync,
    );
    expect(session.of("statement.intent")[1]).toMatchObject({
      candidates: [{ text: "SELECT harmless()" }, { parse: null }],
    });
    session.server(reply.complete("DEALLOCATE"), reply.complete("PREPARE"), reply.ready());
    session.server(reply.bindComplete, reply.complete("SELECT 1"), reply.ready());
    expect(session.of("statement.outcome").at(-1)).not.toHaveProperty("parse");
  });

  it.each([
    ["a DO that spells its words with escapes", String.raw`DO E'BEGIN \105XECUTE ''x''; END'`],
    ["a function that the session has made", "CREATE FUNCTION pg_temp.f() …; SELECT pg_temp.f()"],
  ])("does not claim to know a name after %s (invariant 22)", (_what, text) => {
    const session = new ObservedSession();
    session.client(parse("s1", "SELECT harmless()"), sync);
    session.server(reply.parseComplete, reply.ready());
    session.client(query(text));
    session.server(reply.complete("DO"), reply.ready());
    session.client(bind("", "s1"), execute(), sync);
    expect(session.of("statement.intent")[1]).toMatchObject({
      candidates: [{ text: "SELECT harmless()" }, { parse: null }],
    });
    session.server(reply.bindComplete, reply.complete("SELECT 1"), reply.ready());
    expect(session.of("statement.outcome").at(-1)).not.toHaveProperty("parse");
  });

  it("still knows a name after ON CONFLICT DO NOTHING", () => {
    const session = new ObservedSession();
    session.client(parse("s1", "INSERT … ON CONFLICT DO NOTHING"), bind("", "s1"), execute(), sync);
    session.server(reply.parseComplete, reply.bindComplete, reply.complete("INSERT 0 0"));
    expect(session.outcomes()).toEqual([]);
    session.server(reply.ready());
    expect(session.outcomes()).toEqual(["3 complete INSERT 0 0 ses_1.1 idle"]);
    session.client(bind("", "s1"), execute(), sync);
    session.server(reply.bindComplete, reply.complete("INSERT 0 0"), reply.ready());
    expect(session.outcomes()[1]).toBe("5 complete INSERT 0 0 ses_1.1 idle");
  });

  it("refuses what makes the server skip unseen: a Flush or Sync with a body (invariant 22)", () => {
    for (const type of [frontendMessages.Flush, frontendMessages.Sync]) {
      const session = new ObservedSession();
      expect(() => session.client(encodeMessage(type, bytes("x")))).toThrow("Malformed");
    }
  });

  it("goes no further behind an error or a ReadyForQuery that answers nothing (invariant 22)", () => {
    const astray = new ObservedSession();
    expect(() => astray.server(reply.error("57014"))).toThrow("nobody asked for");
    const behind = new ObservedSession();
    behind.client(parse("s1", "SELECT 1"), sync);
    expect(() => behind.server(reply.ready())).toThrow("nobody asked for");
  });

  it("takes names that are not ASCII for what their bytes are where the server does (invariant 22)", () => {
    const session = new ObservedSession(undefined, { server_encoding: "UTF8" });
    session.client(parse("é", "SELECT 1"), bind("", "é"), execute(), sync);
    expect(session.of("statement.intent")[0]).toMatchObject({
      candidates: [{ text: "SELECT 1" }, { parse: null }],
    });
    session.server(reply.parseComplete, reply.bindComplete, reply.complete("SELECT 1"));
    session.server(reply.ready());
    expect(session.outcomes()).toEqual(["3 complete SELECT 1 ses_1.1 idle"]);
    // From here on the server converts them: other bytes may be the same name to it, and the same bytes another.
    session.client(query("SET client_encoding TO latin1"));
    session.server(reply.setting("client_encoding", "LATIN1"), reply.complete("SET"));
    session.server(reply.ready());
    session.client(bind("", "é"), execute(), sync);
    session.server(reply.bindComplete, reply.complete("SELECT 1"), reply.ready());
    expect(session.of("statement.outcome").at(-1)).not.toHaveProperty("parse");
  });

  it("takes a portal of SQL's DECLARE for one whose text another record has", () => {
    const session = new ObservedSession();
    session.client(execute("c1"), sync);
    session.server(reply.complete("FETCH 1"), reply.ready());
    expect(session.of("statement.intent")[0]).toMatchObject({ candidates: [{ parse: null }] });
    expect(session.of("statement.outcome")[0]).toMatchObject({ parse: null });
  });

  it("names long texts and parameters instead of repeating them", () => {
    const session = new ObservedSession(10_000);
    const text = `SELECT '${"x".repeat(5000)}', $1`;
    const long = `SELECT '${"x".repeat(300_000)}'`;
    session.client(parse("s1", text), bind("", "s1", [Buffer.alloc(300_000, "y")]), execute());
    session.client(parse("s2", long), bind("", "s2"), execute(), sync);
    expect(session.of("statement.intent")).toMatchObject([
      { candidates: [{ parse: "ses_1.1", bind: "ses_1.2" }] },
      { candidates: [{ parse: "ses_1.4", bind: "ses_1.5" }] },
    ]);
    expect(session.of("statement.bind")[0]?.parameters).toMatchObject([
      { parts: 2, length: 300_000 },
    ]);
    expect(session.of("statement.intent")[0]).not.toHaveProperty("candidates.0.text");
  });
});
