// Sessions through the gateway to a real PostgreSQL: what a client sees, and what the audit keeps.

import { readFile } from "node:fs/promises";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import {
  encodeBind,
  encodeExecute,
  encodeParse,
  encodeQuery,
  encodeSync,
  encodeTerminate,
} from "../../packages/shared/src/postgres/encoder.ts";
import { backendMessages, frontendMessages } from "../../packages/shared/src/postgres/messages.ts";
import { encodeMessage } from "../../packages/shared/src/postgres/writer.ts";
import { type RunningPostgres, startPostgres } from "../support/postgres.ts";
import { testedVersions } from "../support/versions.ts";
import { createRig, type Rig } from "./rig.ts";
import { WireClient } from "./wire-client.ts";

const empty = new Uint8Array(0);
const bytes = (text: string) => new TextEncoder().encode(text);
const copyDone = encodeMessage(frontendMessages.CopyDone);
const copyData = (text: string) => encodeMessage(frontendMessages.CopyData, bytes(text));

describe.each(testedVersions)("a session on the %s PostgreSQL", (version) => {
  let postgres: RunningPostgres;
  let rig: Rig;
  beforeAll(async () => {
    const settings = { log_statement: "all", log_line_prefix: "[%u] " };
    postgres = await startPostgres({ version, settings });
  });
  afterAll(() => postgres.stop());
  beforeEach(async () => {
    rig = await createRig(postgres, { database: { spareSessions: false } });
  });
  afterEach(() => rig.close());

  async function open(): Promise<WireClient> {
    const grant = await rig.grant("alice");
    return WireClient.open(await rig.agent("alice"), grant);
  }

  test("greets with the server's parameters, its true process id and readiness", async () => {
    const client = await open();
    const types = client.greeting.map(({ type }) => type);
    expect(types.at(-1)).toBe(backendMessages.ReadyForQuery);
    expect(types.at(-2)).toBe(backendMessages.BackendKeyData);
    expect(types[0]).toBe(backendMessages.Authentication);
    expect(new Set(types.slice(1, -2))).toEqual(new Set([backendMessages.ParameterStatus]));
    const { rows } = await client.query("select pg_backend_pid(), current_user");
    const [session] = rig.gateway.sessions();
    expect(rows).toEqual([[String(session?.backendPid), session?.userName]]);
    expect(rig.gateway.ownedBackends(rig.databaseName)).toEqual([session?.backendPid]);
  });

  test("answers simple queries, several in one, and errors", async () => {
    const client = await open();
    expect(await client.query("select 1; select 'zwei'")).toMatchObject({
      rows: [["1"], ["zwei"]],
      tags: ["SELECT 1", "SELECT 1"],
    });
    const { error } = await client.query("select 1 / 0");
    expect(error).toMatchObject({ severity: "ERROR", code: "22012" });
    expect((await client.query("select 2")).rows).toEqual([["2"]]);
    const outcomes = await rig.recorded("statement.outcome", 4);
    expect(outcomes.map(({ result }) => result)).toEqual([
      "complete",
      "complete",
      "error",
      "complete",
    ]);
  });

  test("answers the extended protocol, also in a pipeline", async () => {
    const client = await open();
    const run = (value: string) => [
      encodeBind({
        portal: empty,
        statement: bytes("s"),
        parameterFormats: [],
        parameters: [bytes(value)],
        resultFormats: [],
      }),
      encodeExecute({ portal: empty, maxRows: 0 }),
    ];
    const text = bytes("select $1::int * 2");
    await client.send(
      encodeParse({ statement: bytes("s"), text, parameterTypes: [] }),
      ...run("21"),
      ...run("50"),
      encodeSync(),
    );
    expect((await client.result()).rows).toEqual([["42"], ["100"]]);
    const intents = await rig.recorded("statement.intent", 2);
    expect(intents).toMatchObject([
      { protocol: "execute", candidates: [{ text: "select $1::int * 2", parameters: ["21"] }] },
      { protocol: "execute", candidates: [{ text: "select $1::int * 2", parameters: ["50"] }] },
    ]);
  });

  test("carries COPY in both directions", async () => {
    const client = await open();
    await client.query("create temp table t (a int, b text)");
    await client.send(encodeQuery("copy t from stdin"));
    await client.until(backendMessages.CopyInResponse);
    await client.send(copyData("1\tone\n2\tt"), copyData("wo\n"), copyDone);
    expect((await client.result()).tags).toEqual(["COPY 2"]);
    await client.send(encodeQuery("copy t to stdout"));
    const messages = await client.until(backendMessages.ReadyForQuery);
    const data = messages.filter(({ type }) => type === backendMessages.CopyData);
    expect(Buffer.concat(data.map(({ body }) => body)).toString()).toBe("1\tone\n2\ttwo\n");
    const outcomes = await rig.recorded("statement.outcome", 3);
    expect(outcomes.map(({ tag, bytesIn }) => [tag, bytesIn])).toEqual([
      ["CREATE TABLE", 0],
      ["COPY 2", 12],
      ["COPY 2", 0],
    ]);
  });

  test("lets the server finish what stood before a goodbye", async () => {
    const client = await open();
    await client.send(encodeQuery("select pg_sleep(0.2), 'done'"), encodeTerminate());
    client.stream.close();
    const messages = await client.until(-1);
    expect(messages.map(({ type }) => type)).toContain(backendMessages.DataRow);
    const [closed] = await rig.recorded("session.closed");
    expect(closed).toMatchObject({ end: "client_closed", statements: 1, person: "alice" });
  });

  test("was closed by a client that said goodbye, also where its agent goes with it", async () => {
    const client = await open();
    await client.query("select 1");
    await client.send(encodeTerminate());
    client.stream.close();
    client.stream.agent.ws.close(1000);
    expect(await rig.recorded("session.closed")).toMatchObject([{ end: "client_closed" }]);
  });

  test("keeps every statement that the server logs on record (invariant 21)", async () => {
    const client = await open();
    const statements = [
      "create temp table oracle (a int)",
      "insert into oracle values (1), (2)",
      "begin; update oracle set a = a + 1; commit",
      "declare c cursor with hold for select * from oracle",
      "fetch 1 from c",
      "do $$ begin perform 1; end $$",
      "select broken from nowhere",
    ];
    for (const statement of statements) {
      await client.query(statement);
    }
    await client.send(
      encodeParse({
        statement: empty,
        text: bytes("select 'extended oracle'"),
        parameterTypes: [],
      }),
      encodeBind({
        portal: empty,
        statement: empty,
        parameterFormats: [],
        parameters: [],
        resultFormats: [],
      }),
      encodeExecute({ portal: empty, maxRows: 0 }),
      encodeSync(),
    );
    await client.result();
    const [session] = rig.gateway.sessions();
    const logged = (await readFile(postgres.serverLog, "utf8"))
      .split("\n")
      .filter((line) => line.startsWith(`[${session?.userName}] LOG:  `))
      .map((line) => line.replace(/^.*? LOG: {2}(statement|execute [^:]*): /, ""));
    expect(logged).toHaveLength(statements.length + 1);
    const recorded = rig
      .records("statement.intent")
      .map((intent) =>
        intent.protocol === "query"
          ? intent.text
          : intent.protocol === "execute" && intent.candidates[0]?.text,
      );
    expect(recorded).toEqual(logged);
  });

  test("serves a busy session beside one whose client does not read, in bounded memory (invariant 11)", async () => {
    const grant = await rig.grant("alice");
    const agent = await rig.agent("alice");
    const stopped = await WireClient.open(agent, grant);
    const busy = await WireClient.open(agent, grant);
    await stopped.send(encodeQuery("select repeat('x', 1000) from generate_series(1, 300000)"));
    const before = process.memoryUsage().rss;
    for (let count = 0; count < 300; count += 1) {
      expect((await busy.query(`select ${count}`)).rows).toEqual([[String(count)]]);
    }
    expect(stopped.stream.unreadBytes).toBeLessThanOrEqual(256 * 1024);
    expect(process.memoryUsage().rss - before).toBeLessThan(64 * 1024 * 1024);
    expect((await stopped.result()).rows).toHaveLength(300_000);
  });

  test("keeps two people's sessions apart", async () => {
    const [one, two] = await Promise.all(
      (["alice", "bob"] as const).map(async (name) =>
        WireClient.open(await rig.agent(name), await rig.grant(name)),
      ),
    );
    const canaries = await Promise.all([
      one?.query("select repeat('canary-of-alice ', 50000)"),
      two?.query("select repeat('canary-of-bob ', 50000)"),
    ]);
    expect(canaries[0]?.rows[0]?.[0]).not.toContain("bob");
    expect(canaries[1]?.rows[0]?.[0]).not.toContain("alice");
    expect(
      rig.gateway
        .sessions()
        .map(({ person }) => person)
        .sort(),
    ).toEqual(["alice", "bob"]);
  });

  test("ends a client that speaks no PostgreSQL with an error of the protocol, and on record", async () => {
    const client = await open();
    await client.send(bytes("GET / HTTP/1.1\r\n\r\n"));
    expect(await client.lastError()).toMatchObject({ severity: "FATAL", code: "08P01" });
    expect(await rig.recorded("session.closed")).toMatchObject([{ end: "protocol" }]);
  });
});
