import { hash } from "node:crypto";
import {
  encodeCopyFail,
  encodeFunctionCall,
  encodeTerminate,
} from "@jitdb/shared/postgres/encoder";
import { frontendMessages } from "@jitdb/shared/postgres/messages";
import { encodeMessage } from "@jitdb/shared/postgres/writer";
import { describe, expect, it } from "vitest";
import { Masker } from "../../../audit/statements/masker.ts";
import {
  bind,
  copyData,
  copyDone,
  execute,
  ObservedSession,
  parse,
  query,
  reply,
  sync,
} from "./fixtures.ts";

const bytes = (text: string) => Buffer.from(text);
const sha256 = (text: string | Uint8Array) => hash("sha256", text);
const protocolError = expect.objectContaining({ code: "postgres.protocol" });

describe("a Query", () => {
  it("is on record whole before it is forwarded, and its result after it", () => {
    const session = new ObservedSession();
    session.client(query("SELECT 1"));
    expect(session.records).toEqual([
      {
        kind: "statement.intent",
        session: "ses_1",
        person: "alice",
        statement: "ses_1.1",
        protocol: "query",
        text: "SELECT 1",
        encoding: "UTF8",
      },
    ]);
    session.server(reply.row(11), reply.complete("SELECT 1"), reply.ready());
    expect(session.records[1]).toEqual({
      kind: "statement.outcome",
      session: "ses_1",
      person: "alice",
      statement: "ses_1.1",
      result: "complete",
      index: 0,
      tag: "SELECT 1",
      rows: 1,
      bytesIn: 0,
      bytesOut: 11,
      durationMs: 1,
      transaction: "idle",
    });
  });

  it("of several statements has an outcome for each, up to the one that fails (invariant 21)", () => {
    const session = new ObservedSession();
    session.client(query("BEGIN; SELECT 1; bad"));
    session.server(reply.complete("BEGIN"), reply.row(5), reply.complete("SELECT 1"));
    session.server(reply.error("42601"), reply.ready("failed"));
    session.client(query(""));
    session.server(reply.empty, reply.ready("failed"));
    expect(session.outcomes()).toEqual([
      "1 complete BEGIN",
      "1 complete SELECT 1",
      "1 error 42601 failed",
      "2 empty failed",
    ]);
    expect(session.of("statement.outcome").map(({ index, bytesOut }) => [index, bytesOut])).toEqual(
      [
        [0, 0],
        [1, 5],
        [2, 0],
        [0, 0],
      ],
    );
  });

  it.each([1, 3, 7, 1000])("reads the same in pieces of %i bytes", (size) => {
    const whole = new ObservedSession();
    const split = new ObservedSession(size);
    for (const session of [whole, split]) {
      session.client(
        query("SELECT 'grüß'"),
        parse("s", "SELECT 2"),
        bind("", "s"),
        execute(),
        sync,
      );
      session.server(reply.row(20), reply.complete("SELECT 1"), reply.ready());
      session.server(reply.parseComplete, reply.bindComplete, reply.complete("SELECT 1"));
      session.server(reply.setting("client_encoding", "SJIS"), reply.ready());
    }
    expect(split.records).toEqual(whole.records);
    expect(split.observer.encoding).toBe("SJIS");
  });

  it("keeps bytes that are no UTF-8 exactly, with the encoding (invariant 23)", () => {
    const session = new ObservedSession();
    session.client(query("SET client_encoding = 'SJIS'"));
    session.server(reply.setting("client_encoding", "SJIS"), reply.complete("SET"), reply.ready());
    const text = Buffer.concat([bytes("SELECT '"), Buffer.from([0x95, 0x5c]), bytes("'")]);
    session.client(query(text));
    expect(session.of("statement.intent")[1]).toMatchObject({
      text: { base64: text.toString("base64") },
      encoding: "SJIS",
    });
  });

  it("over the limit is recorded in chunks, and held until its last one (invariant 24)", () => {
    const session = new ObservedSession(64 * 1024);
    const text = `SELECT '${"x".repeat(700_000)}'`;
    session.client(query(text));
    const chunks = session.of("statement.chunk");
    expect(chunks.map(({ text: part }) => part).join("")).toBe(text);
    expect(session.records.at(-1)).toMatchObject({
      kind: "statement.intent",
      statement: "ses_1.1",
      text: { parts: 3, length: text.length },
    });
  });

  it("far over the limit keeps the beginning, the whole's length and hash, and says so (invariant 24)", () => {
    const session = new ObservedSession(64 * 1024);
    const text = `SELECT '${"x".repeat(3_000_000)}'`;
    session.client(query(text));
    const kept = session.of("statement.chunk").map(({ text: part }) => part);
    expect(kept.join("")).toBe(text.slice(0, 1024 * 1024));
    expect(session.of("statement.intent")[0]).toMatchObject({
      text: { length: text.length, sha256: sha256(text), truncated: true },
    });
  });

  it("has its secrets masked, also where it is long (invariant 28)", () => {
    const session = new ObservedSession(1000);
    const padding = `/*${"x".repeat(400_000)}*/`;
    session.client(query("ALTER ROLE a PASSWORD 'canary'"));
    session.client(query(`${padding} ALTER ROLE a PASSWORD 'canary'`));
    session.client(parse("", "SELECT dblink_connect($1)"), bind("", "", [bytes("canary")]));
    expect(JSON.stringify(session.records)).not.toContain("canary");
  });
});

describe("values that are too long to keep", () => {
  const long = "y".repeat(300_000);
  const pieces = (session: ObservedSession, parameter: number) =>
    session
      .of("statement.chunk")
      .filter((chunk) => chunk.parameter === parameter)
      .map(({ text }) => (typeof text === "string" ? text : atob(text.base64)))
      .join("");

  it.each([7, 1000, 64 * 1024])(
    "of a Bind stand in chunks, in pieces of %i bytes (invariant 24)",
    (size) => {
      const session = new ObservedSession(size);
      const binary = Buffer.alloc(300_000, 0xff);
      const values = [bytes("a"), bytes(long), null, binary, bytes(""), bytes("z".repeat(1000))];
      session.client(
        parse("s", "SELECT …"),
        bind("p", "s", values, [0, 0, 0, 1, 0, 0]),
        execute("p"),
      );
      expect(session.of("statement.bind")[0]).toMatchObject({
        portal: "p",
        candidates: [{ parse: "ses_1.1" }],
        parameters: [
          "a",
          { parts: 2, length: 300_000, sha256: sha256(long) },
          null,
          { parts: 2, length: 300_000, sha256: sha256(binary), type: 0 },
          "",
          "z".repeat(1000),
        ],
      });
      expect(pieces(session, 2)).toBe(long);
      expect(pieces(session, 4)).toBe(binary.toString("latin1"));
    },
  );

  it("count together for the limit (invariant 24)", () => {
    const session = new ObservedSession(64 * 1024);
    session.client(
      parse("", "SELECT …"),
      bind(
        "",
        "",
        Array.from({ length: 5 }, () => bytes(long)),
      ),
    );
    const [record] = session.of("statement.bind");
    expect(record?.parameters.map((value) => typeof value === "object" && value)).toMatchObject([
      { parts: 2 },
      { parts: 2 },
      { parts: 2 },
      { parts: 1, length: 300_000, sha256: sha256(long), truncated: true },
      { parts: 0, length: 300_000, sha256: sha256(long), truncated: true },
    ]);
  });

  it("of a FunctionCall stand in chunks (invariant 24)", () => {
    const session = new ObservedSession(1000);
    session.client(
      encodeFunctionCall({
        functionOid: 955,
        argumentFormats: [1],
        arguments: [Buffer.from([0, 0, 0, 1]), bytes(long)],
        resultFormat: 1,
      }),
    );
    expect(session.records.at(-1)).toMatchObject({
      kind: "statement.intent",
      function: 955,
      parameters: [
        { base64: "AAAAAQ==", type: 0 },
        { parts: 2, length: 300_000, sha256: sha256(long), type: 0 },
      ],
    });
    expect(pieces(session, 2)).toBe(long);
  });

  it("are masked where they are secrets or hold one (invariant 28)", () => {
    const session = new ObservedSession(1000);
    const secret = bytes(`canary${long}`);
    const statement = bytes(`/*${long}*/ ALTER ROLE a PASSWORD 'canary'`);
    session.client(
      parse("", "SELECT dblink_exec($2), pgp_sym_encrypt('x', $1)"),
      bind("", "", [secret, statement]),
      execute(),
    );
    const mac = new Masker(Buffer.from("key")).mac(secret);
    expect(session.of("statement.bind")[0]?.parameters[0]).toEqual({ masked: mac });
    expect(pieces(session, 2)).toContain("PASSWORD '[masked]'");
    expect(JSON.stringify(session.records)).not.toContain("canary");
  });

  it("are refused in a message that is not whole, or goes on behind its end", () => {
    const body = Buffer.concat([bytes("\0\0\0\0\0\x01\0\x04\x93\xe0"), bytes(long)]);
    for (const wrong of [
      Buffer.concat([body.subarray(0, 10), bytes(long), bytes(long)]),
      Buffer.concat([body.subarray(0, 6), Buffer.from([0xff, 0xff, 0xff, 0xf0]), bytes(long)]),
      Buffer.alloc(300_000, "x"),
    ]) {
      const message = encodeMessage(frontendMessages.Bind, wrong);
      expect(() => new ObservedSession(1000).client(message)).toThrow(protocolError);
    }
  });
});

describe("a FunctionCall", () => {
  it("is recorded by its OID and arguments (invariant 21)", () => {
    const session = new ObservedSession();
    session.client(
      encodeFunctionCall({
        functionOid: 1598,
        argumentFormats: [0],
        arguments: [bytes("7")],
        resultFormat: 0,
      }),
    );
    session.server(reply.functionResult(12), reply.ready());
    expect(session.records).toMatchObject([
      { kind: "statement.intent", protocol: "function", function: 1598, parameters: ["7"] },
      { kind: "statement.outcome", result: "complete", bytesOut: 12, transaction: "idle" },
    ]);
  });
});

describe("COPY", () => {
  it("is counted in both directions (invariant 21)", () => {
    const session = new ObservedSession(100);
    session.client(query("COPY t FROM STDIN; COPY t TO STDOUT"));
    session.server(reply.copyIn);
    session.client(copyData(1000), copyData(24), copyDone);
    session.server(reply.complete("COPY 3"), reply.copyOut, reply.copyData(500));
    session.server(reply.copyDone, reply.complete("COPY 1"), reply.ready());
    expect(
      session
        .of("statement.outcome")
        .map(({ rows, bytesIn, bytesOut }) => [rows, bytesIn, bytesOut]),
    ).toEqual([
      [3, 1024, 0],
      [1, 0, 500],
    ]);
  });

  it("passes over a Sync that was sent into it, as the server does", () => {
    const session = new ObservedSession();
    session.client(parse("", "COPY t FROM STDIN"), bind("", ""), execute(), sync);
    session.server(reply.parseComplete, reply.bindComplete, reply.copyIn);
    session.client(copyData(10), copyDone, sync);
    session.server(reply.complete("COPY 1"), reply.ready());
    session.client(query("SELECT 1"));
    session.server(reply.complete("SELECT 1"), reply.ready());
    expect(session.outcomes()).toEqual([
      "3 complete COPY 1 ses_1.1 idle",
      "4 complete SELECT 1 idle",
    ]);
  });

  it.each([
    ["fails while data is under way", reply.error("22P02"), copyData(10)],
    ["is given up by the client", reply.error("57014"), encodeCopyFail("enough")],
  ])("goes on behind one that %s", (_what, error, last) => {
    const session = new ObservedSession();
    session.client(query("COPY t FROM STDIN"));
    session.server(reply.copyIn);
    session.client(copyData(10));
    session.server(error);
    session.client(last, copyDone);
    session.server(reply.ready());
    session.client(copyData(10), query("SELECT 1"));
    session.server(reply.complete("SELECT 1"), reply.ready());
    expect(session.outcomes().map((line) => line.split(" ")[1])).toEqual(["error", "complete"]);
  });

  it("lets no statement pass whose fate it would leave open", () => {
    const inCopy = () => {
      const session = new ObservedSession();
      session.client(parse("", "COPY t FROM STDIN"), bind("", ""), execute(), sync);
      session.server(reply.parseComplete, reply.bindComplete, reply.copyIn);
      return session;
    };
    expect(() => inCopy().client(execute())).toThrow(protocolError);
    expect(() => inCopy().client(copyDone, query("evil"))).toThrow(protocolError);
    const failed = inCopy();
    failed.server(reply.error("57014"));
    expect(() => failed.client(execute())).toThrow(protocolError);
    const early = new ObservedSession();
    expect(() => early.client(execute(), copyData(1))).toThrow(protocolError);
    const pipelined = new ObservedSession();
    pipelined.client(execute(), sync, query("evil"));
    expect(() => pipelined.server(reply.copyIn)).toThrow(protocolError);
  });
});

describe("the end of a session", () => {
  it("settles what was forwarded and what was not (invariant 27)", () => {
    const session = new ObservedSession();
    session.client(query("SELECT pg_sleep(60)"));
    const refused = () => session.client(query("SELECT 2"), Uint8Array.of(0x51, 0, 0, 0, 1));
    expect(refused).toThrow(protocolError);
    session.observer.end("terminated", "expired");
    expect(session.outcomes()).toEqual(["1 terminated", "2 refused"]);
    expect(session.of("statement.outcome")[0]).toMatchObject({ endedBy: "expired" });
    expect(session.observer.statements).toBe(2);
  });

  it("says of a long statement that never was whole that it did not run", () => {
    const session = new ObservedSession(1000);
    session.client(query(`SELECT '${"x".repeat(300_000)}'`).subarray(0, 290_000));
    session.observer.end("unknown");
    expect(session.records.at(-2)).toMatchObject({ kind: "statement.intent", text: { parts: 2 } });
    expect(session.outcomes()).toEqual(["1 refused"]);
  });

  it("has no more to say of what was answered", () => {
    const session = new ObservedSession();
    session.client(query("SELECT 1"));
    session.server(reply.complete("SELECT 1"), reply.ready());
    session.client(encodeTerminate());
    session.observer.end("unknown");
    expect(session.outcomes()).toEqual(["1 complete SELECT 1 idle"]);
  });
});

describe("what breaks the protocol", () => {
  it.each([
    ["a password behind the login", [encodeMessage(frontendMessages.PasswordMessage)]],
    [
      "a Query with bytes behind its text",
      [encodeMessage(frontendMessages.Query, bytes("a\0b\0"))],
    ],
    [
      "a Bind that counts more than it has",
      [encodeMessage(frontendMessages.Bind, bytes("\0\0\xff\xff"))],
    ],
  ])("is refused: %s", (_what, messages) => {
    expect(() => new ObservedSession().client(...messages)).toThrow(protocolError);
  });

  it("is refused when a server answers what nobody asked", () => {
    for (const answer of [reply.parseComplete, reply.bindComplete, reply.complete("SELECT 1")]) {
      expect(() => new ObservedSession().server(answer)).toThrow(protocolError);
    }
  });

  it("is refused in a long Query whose text ends too early", () => {
    const body = Buffer.alloc(300_000, "x");
    body[10] = 0;
    const message = encodeMessage(frontendMessages.Query, body);
    expect(() => new ObservedSession(1000).client(message)).toThrow(protocolError);
  });

  it("is bounded: a client that prepares without end is told to close some", () => {
    const session = new ObservedSession();
    const prepareAll = () => {
      for (let index = 0; index < 30_000; index += 1) {
        session.client(parse(`s${index}`, "SELECT 1"));
        session.server(reply.parseComplete);
      }
    };
    expect(prepareAll).toThrow(expect.objectContaining({ code: "limit.reached" }));
  });

  it("tells the relay to wait when too much is unanswered", () => {
    const session = new ObservedSession();
    session.client(...Array.from({ length: 5000 }, () => sync));
    expect(session.observer.isFull).toBe(true);
    session.server(reply.ready());
    expect(session.observer.isFull).toBe(false);
  });
});
