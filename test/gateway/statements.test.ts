// What the audit says of statements that a real PostgreSQL runs: encodings, names, values, functions, and long texts.

import { hash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { decodeBinary } from "../../packages/cli/src/audit/values.ts";
import {
  encodeBind,
  encodeExecute,
  encodeFunctionCall,
  encodeParse,
  encodeQuery,
  encodeSync,
} from "../../packages/shared/src/postgres/encoder.ts";
import { Secret } from "../../packages/shared/src/secret.ts";
import { type RunningPostgres, startPostgres } from "../support/postgres.ts";
import { createRig, type Rig } from "./rig.ts";
import { startUp, WireClient } from "./wire-client.ts";

const bytes = (text: string) => Buffer.from(text);
const parse = (name: string | Uint8Array, text: string) =>
  encodeParse({ statement: Buffer.from(name), text: bytes(text), parameterTypes: [] });
const bind = (name: string | Uint8Array, ...values: readonly Uint8Array[]) =>
  encodeBind({
    portal: bytes(""),
    statement: Buffer.from(name),
    parameterFormats: [],
    parameters: values,
    resultFormats: [],
  });
const execute = encodeExecute({ portal: bytes(""), maxRows: 0 });

describe("the audit of statements", () => {
  let postgres: RunningPostgres;
  let rig: Rig;
  beforeAll(async () => {
    const settings = { log_statement: "all", log_line_prefix: "[%u] " };
    postgres = await startPostgres({ version: "system", settings });
  });
  afterAll(() => postgres.stop());
  beforeEach(async () => {
    const admin = { user: postgres.superuser, password: new Secret(postgres.password) };
    rig = await createRig(postgres, { database: { admin } });
  });
  afterEach(() => rig.close());

  async function open(
    parameters: readonly (readonly [string, string])[] = [],
  ): Promise<WireClient> {
    const packet = startUp([["user", "anybody"], ...parameters]);
    return WireClient.open(await rig.agent("alice"), await rig.grant("alice"), packet);
  }

  const candidates = () =>
    rig
      .records("statement.intent")
      .flatMap((intent) => (intent.protocol === "execute" ? [intent.candidates] : []));

  test("keeps exact bytes and the encoding in SJIS, hides the secrets, and nothing else (invariants 23 and 28)", async () => {
    const client = await open([["client_encoding", "SJIS"]]);
    // 0x83 0x5c is one character (ソ) whose second byte looks like a backslash, 0x95 0x5c another (表).
    const so = Buffer.from([0x83, 0x5c]);
    const hyo = Buffer.from([0x95, 0x5c]);
    const text = Buffer.concat([bytes("SELECT '"), so, bytes("', E'"), hyo, bytes("' -- '")]);
    await client.send(encodeQuery(text));
    const [row] = (await client.result()).rows;
    expect(row).toHaveLength(2);
    const role = "CREATE ROLE sjis PASSWORD E'canary";
    const secret = Buffer.concat([bytes(role), hyo, bytes("'; SELECT 'kept'")]);
    await client.send(encodeQuery(secret));
    expect((await client.result()).error?.code).toBe("42501");
    const [first, second] = await rig.recorded("statement.intent", 2);
    expect(first).toMatchObject({ encoding: "SJIS", text: { base64: text.toString("base64") } });
    expect(second).toMatchObject({
      encoding: "SJIS",
      text: "CREATE ROLE sjis PASSWORD E'[masked]'; SELECT 'kept'",
      masked: [{ at: role.length - "canary".length }],
    });
    // The server read what the audit says: the log has it in its own encoding.
    const log = await readFile(postgres.serverLog, "utf8");
    expect(log).toContain("statement: SELECT 'ソ', E'表' -- '");
  });

  test("passes names that are not ASCII, and claims no text where the server converts them (invariant 22)", async () => {
    const client = await open();
    await client.send(parse("é", "SELECT 'utf-8'"), bind("é"), execute, encodeSync());
    expect((await client.result()).rows).toEqual([["utf-8"]]);
    await client.query("SET client_encoding TO latin1");
    // The same name, in other bytes.
    await client.send(bind(Buffer.from([0xe9])), execute, encodeSync());
    expect((await client.result()).rows).toEqual([["utf-8"]]);
    await rig.recorded("statement.outcome", 3);
    expect(candidates()).toMatchObject([
      [{ text: "SELECT 'utf-8'" }, { parse: null }],
      [{ parse: null, bind: expect.any(String) }],
    ]);
    const [known, , unknown] = rig.records("statement.outcome");
    expect(known?.parse).toBeTypeOf("string");
    expect(unknown).not.toHaveProperty("parse");
  });

  test("says of a name that a function of the database has rebound unseen that this may be so (invariant 22)", async () => {
    await rig.superuser(`
      CREATE OR REPLACE FUNCTION public.rebind() RETURNS void LANGUAGE plpgsql AS $$
      BEGIN EXECUTE 'DEALLOCATE s1'; EXECUTE 'PREPARE s1 AS SELECT ''evil'''; END $$`);
    const client = await open();
    await client.send(parse("s1", "SELECT 'harmless'"), bind("s1"), execute, encodeSync());
    expect((await client.result()).rows).toEqual([["harmless"]]);
    await client.query("SELECT public.rebind()");
    await client.send(bind("s1"), execute, encodeSync());
    expect((await client.result()).rows).toEqual([["evil"]]);
    await rig.recorded("statement.outcome", 3);
    const [fresh, old] = candidates();
    expect(fresh?.[0]).not.toHaveProperty("mayBeRenamed");
    expect(old).toMatchObject([{ text: "SELECT 'harmless'", mayBeRenamed: true }]);
  });

  test("claims no text for a name that the session itself may have rebound (invariant 22)", async () => {
    const client = await open();
    const evil = "EXECUTE 'DEALLOCATE s1'; EXECUTE 'PREPARE s1 AS SELECT ''evil'''";
    for (const [prelude, expected] of [
      ["SELECT 1", "harmless"],
      [`DO $$BEGIN ${evil}; END$$`, "evil"],
      ["DEALLOCATE s1; PREPARE s1 AS SELECT 'other'", "other"],
      ["DISCARD ALL; PREPARE s1 AS SELECT 'new'", "new"],
    ] as const) {
      if (expected === "harmless") {
        await client.send(parse("s1", "SELECT 'harmless'"), encodeSync());
        await client.result();
      }
      for (const statement of prelude.startsWith("DISCARD") ? prelude.split("; ") : [prelude]) {
        expect((await client.query(statement)).error).toBeUndefined();
      }
      await client.send(bind("s1"), execute, encodeSync());
      expect((await client.result()).rows).toEqual([[expected]]);
      const intents = candidates();
      const isCertain = expected === "harmless";
      expect(intents.at(-1)?.some(({ parse: id }) => id === null)).toBe(!isCertain);
    }
    await rig.recorded("statement.outcome", 9);
    const named = rig
      .records("statement.outcome")
      .filter(({ parse: id }) => typeof id === "string");
    expect(named).toHaveLength(1);
  });

  test("names a function that is called by its OID, once it knows (invariant 21)", async () => {
    await rig.superuser(
      "CREATE OR REPLACE FUNCTION public.twice(int) RETURNS int LANGUAGE sql AS 'SELECT 2 * $1'",
    );
    const [[oid] = []] = await rig.superuser("SELECT 'public.twice(int)'::regprocedure::int");
    const client = await open();
    await client.send(
      encodeFunctionCall({
        functionOid: Number(oid),
        argumentFormats: [0],
        arguments: [bytes("21")],
        resultFormat: 0,
      }),
    );
    expect((await client.result()).error).toBeUndefined();
    const [named] = await rig.recorded("statement.function");
    const [intent] = rig.records("statement.intent");
    expect(intent).toMatchObject({ protocol: "function", function: oid, parameters: ["21"] });
    expect(named).toMatchObject({
      statement: intent?.statement,
      function: oid,
      name: "public.twice(integer)",
      person: "alice",
    });
  });

  test("counts the rows of a portal that is read in pieces (invariant 21)", async () => {
    const client = await open();
    const some = encodeExecute({ portal: bytes(""), maxRows: 3 });
    await client.send(
      parse("", "SELECT generate_series(1, 10)"),
      bind(""),
      some,
      some,
      execute,
      encodeSync(),
    );
    expect((await client.result()).rows).toHaveLength(10);
    const outcomes = await rig.recorded("statement.outcome", 3);
    expect(outcomes.map(({ result, rows, tag }) => [result, rows, tag])).toEqual([
      ["suspended", 3, undefined],
      ["suspended", 3, undefined],
      ["complete", 4, "SELECT 4"],
    ]);
  });

  test("has binary values that the CLI shows as the server does", async () => {
    const values = [
      ["bool", 16, "true"],
      ["int2", 21, "-5"],
      ["int4", 23, "2147483647"],
      ["int8", 20, "-9223372036854775808"],
      ["float4", 700, "'0.1'"],
      ["float8", 701, "'-1.5e-7'"],
      ["text", 25, "'grüß'"],
      ["uuid", 2950, "'00112233-4455-6677-8899-aabbccddeeff'"],
      ["bytea", 17, "'\\x00ff'"],
      ["timestamp", 1114, "'2026-02-28 23:59:59.5'"],
      ["timestamp", 1114, "'1969-07-20 20:17:40'"],
      ["date", 1082, "'2000-02-29'"],
      ["time", 1083, "'04:05:06.789'"],
      ["numeric", 1700, "'-12345678901234567890.00010'"],
      ["numeric", 1700, "'0.00001'"],
      ["numeric", 1700, "'100000000'"],
      ["numeric", 1700, "'NaN'"],
      ["jsonb", 3802, `'{"a": [1, null]}'`],
      ["json", 114, `'{"a":1}'`],
      ["int4[]", 1007, "'{{1,2},{NULL,4}}'"],
      ["text[]", 1009, `'{"a b",c,"",NULL,"q\\"q"}'`],
      ["numeric[]", 1231, "'{1.50,-2}'"],
    ] as const;
    for (const [type, oid, literal] of values) {
      const name = type.endsWith("[]")
        ? "array"
        : type.replace(/^(timestamp|date|time|json|jsonb|uuid|numeric)$/, "$1_");
      const send = /_$|array|jsonb/.test(name) ? `${name.replace(/_$/, "")}_send` : `${name}send`;
      const [row] = await rig.superuser(
        `SELECT encode(${send}((${literal})::${type}), 'hex'), (${literal})::${type}::text`,
      );
      const [hex, shown] = row as [string, string];
      const decoded = decodeBinary(oid, Buffer.from(hex, "hex"));
      expect(decoded, `${type} ${literal}`).toBe(shown);
    }
  });

  test("holds a long statement back until all of it is on record, in bounded memory (invariants 20 and 24)", async () => {
    const client = await open();
    const length = 17 * 1024 * 1024;
    const text = Buffer.concat([bytes("SELECT length('"), Buffer.alloc(length, "x"), bytes("')")]);
    const message = encodeQuery(text);
    const before = process.memoryUsage().rss;
    // All but the last byte: the server has not got it, and nothing says that it runs.
    await client.send(message.subarray(0, -1));
    expect(rig.records("statement.intent")).toEqual([]);
    await client.send(message.subarray(-1));
    expect((await client.result()).rows).toEqual([[String(length)]]);
    expect(process.memoryUsage().rss - before).toBeLessThan(128 * 1024 * 1024);
    const [intent] = rig.records("statement.intent");
    expect(intent).toMatchObject({
      text: { length: text.length, sha256: hash("sha256", text), truncated: true },
    });
    const kept = rig.records("statement.chunk").map((chunk) => String(chunk.text));
    expect(kept.join("")).toBe(text.toString("latin1", 0, 16 * 1024 * 1024));
  });

  test("refuses a long statement whose record does not fit, and nothing of it runs (invariant 20)", async () => {
    const client = await open();
    await client.query("CREATE TEMP TABLE t (a text)");
    const insert = bytes(`INSERT INTO t VALUES ('${"x".repeat(1024 * 1024)}')`);
    const message = encodeQuery(insert);
    await client.send(message.subarray(0, 600_000));
    rig.setDiskFull(true);
    await client.send(message.subarray(600_000));
    expect(await client.lastError()).toMatchObject({ severity: "FATAL", code: "58030" });
    rig.setDiskFull(false);
    const log = await readFile(postgres.serverLog, "utf8");
    expect(log).not.toContain("INSERT INTO t VALUES ('xxx");
  });
});
