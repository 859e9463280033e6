// The end of a grant's time, in the middle of everything that a client can be in the middle of (invariant 30).

import { encodeQuery } from "@jitdb/shared/postgres/encoder";
import { backendMessages, frontendMessages } from "@jitdb/shared/postgres/messages";
import type pg from "pg";
import { afterAll, beforeAll, expect, test } from "vitest";
import { eventually, instant } from "../support/eventually.ts";
import type { Journal } from "../support/journal.ts";
import type { PostgresRelay } from "../support/postgres-relay.ts";
import { startRelay } from "./behind-relay.ts";
import { Company, type Door } from "./company.ts";
import { copyMessage, drain, openWire, type Wire } from "./wire.ts";

/** Everything is dead so soon after the end, in milliseconds: the promise of invariant 30. */
const promisedMs = 1000;

let company: Company;
let relay: PostgresRelay;
let door: Door;
let frozen: Door;
/** Rejections of what was under way, by what it was. */
const cut: Record<string, Promise<unknown>> = {};
/** Epoch ms at which the client's own socket closed. */
const closedAt: Record<string, number> = {};
let silent: Wire;
let neverReading: Wire;
let copyingOut: Promise<number>;
/** Epoch ms of the last look at which the database still had a session. */
let lastSeenAt = 0;
let before: number[] = [];

function watch(name: string, client: pg.Client): pg.Client {
  cut[name] = new Promise((resolve) => client.once("error", resolve));
  client.once("end", () => {
    closedAt[name] = Date.now();
  });
  return client;
}

/** Eight sessions of one grant, each in the middle of something; over when the grant is. */
beforeAll(async () => {
  company = await Company.found({
    async prepare(installation) {
      relay = await startRelay(installation);
    },
  });
  // All eight have to be at work before the end.
  door = await company.open(`${company.seconds(10)}s`);
  frozen = await company.connect();
  silent = await openWire(door);
  relay.silenceSessions();
  const query = watch("query", await door.client());
  cut["query"] = query.query("SELECT pg_sleep(600)").catch((error: unknown) => error);
  const transaction = watch("transaction", await door.client());
  await transaction.query("BEGIN");
  await transaction.query("INSERT INTO app.customers (name, city) VALUES ('ghost', 'nowhere')");
  watch("idle", await door.client());
  const copyIn = await openWire(door);
  await copyIn.send(encodeQuery("COPY app.customers (name, city) FROM STDIN"));
  await copyIn.until(backendMessages.CopyInResponse);
  await copyIn.send(copyMessage(frontendMessages.CopyData, Buffer.from("ghost\tnowhere\n")));
  cut["copy in"] = copyIn.lastError();
  neverReading = await openWire(door);
  await neverReading.send(encodeQuery(endless));
  const copyOut = await openWire(door);
  const asleep = await frozen.client();
  asleep.query("SELECT pg_sleep(600)").catch(() => {
    // Nobody tells it before its agent wakes up.
  });
  await eventually("it sleeps", () => company.runs("%pg_sleep%", 2));
  frozen.child.kill("SIGSTOP");
  // It keeps both processors busy, and seconds of it are enough.
  await instant(door.endsAt - company.seconds(2) * 1000);
  copyingOut = drain(copyOut, `COPY (${endless}) TO STDOUT`);
  before = await company.backends();
  await instant(door.endsAt);
  while (Date.now() < door.endsAt + 3 * promisedMs && (await company.backends()).length > 0) {
    lastSeenAt = Date.now();
  }
});
afterAll(async () => {
  await relay?.close();
  await company?.close();
});

/** In the result list: in FROM all of it would be made before the first row comes. */
const endless = "SELECT repeat('x', 1000), generate_series(1, 1000000000)";

async function journalAfterTheEnd(): Promise<Journal> {
  await eventually(
    "the user is gone",
    async () => (await company.installation.ephemeralUsers()).length === 0,
  );
  return await eventually("that is on record", async () => {
    const journal = await company.journal();
    return journal.of("user.dropped").length > 0 && journal;
  });
}

test("no session is left in the database a second after the end, whatever it was doing (invariant 30)", async () => {
  // Eight clients' sessions, and what is spare.
  expect((await company.journal()).of("session.opened")).toHaveLength(8);
  expect(before.length).toBeGreaterThanOrEqual(8);
  expect(await company.backends()).toEqual([]);
  expect(lastSeenAt - door.endsAt).toBeLessThan(promisedMs);
});

test("clients in a query, a transaction and at rest are told why, and their sockets close (invariant 30)", async () => {
  for (const name of ["query", "transaction", "idle", "copy in"]) {
    expect(await cut[name], name).toMatchObject({
      code: "57P01",
      message: expect.stringMatching(/prod-orders.* (over|expired|ended)/),
    });
  }
  for (const name of ["query", "transaction", "idle"]) {
    const at = await eventually(`the socket of ${name} closed`, () => closedAt[name]);
    expect(at - door.endsAt, name).toBeLessThan(promisedMs);
  }
});

test("what was not committed did not happen, COPY included", async () => {
  expect(
    await company.installation.asSuperuser("SELECT 1 FROM app.customers WHERE name = 'ghost'"),
  ).toEqual([]);
});

test("a stream of rows stops, and a client that never reads finds its socket closed", async () => {
  expect(await copyingOut).toBeGreaterThan(100_000);
  await neverReading.until(-1);
  await neverReading.stream.closed;
});

test("connect ends by itself with 0, and says that the time is over", async () => {
  const { exitCode, stderr } = await door.child;
  expect(exitCode).toBe(0);
  expect(String(stderr)).toContain("The time for prod-orders is over.");
});

test("an agent that was frozen over the end finds nothing to go on with", async () => {
  frozen.child.kill("SIGCONT");
  const { exitCode, stdout } = await frozen.child;
  expect(exitCode).toBe(0);
  expect(String(stdout)).toContain('{"ended":"expired"}');
});

test("the role is gone, and the audit has how late each part of the end was", async () => {
  const journal = await journalAfterTheEnd();
  const [ended] = journal.of("grant.ended");
  expect(ended).toMatchObject({ end: "expired", grant: door.ready.grant });
  expect(ended?.latenessMs).toBeLessThan(promisedMs);
  const [locked] = journal.of("user.locked");
  expect(locked?.latenessMs).toBeGreaterThanOrEqual(0);
  expect(locked?.latenessMs).toBeLessThan(promisedMs);
  expect(journal.of("user.dropped")[0]?.latenessMs).toBeLessThan(5 * promisedMs);
  const closed = journal.of("session.closed").filter(({ grant }) => grant === door.ready.grant);
  expect(closed.map(({ end }) => end)).toEqual(Array.from({ length: 8 }, () => "expired"));
});

test("statements that the end cut off are on record as terminated (invariant 27)", async () => {
  const journal = await journalAfterTheEnd();
  const sleeping = journal
    .of("statement.intent")
    .filter((intent) => intent.protocol === "query" && String(intent.text).includes("pg_sleep"));
  const outcomes = journal.of("statement.outcome");
  expect(sleeping).toHaveLength(2);
  for (const { statement } of sleeping) {
    expect(outcomes.find((outcome) => outcome.statement === statement)).toMatchObject({
      result: "terminated",
    });
  }
});

test("nothing new opens after the end", async () => {
  await company.grant("1s");
  await eventually(
    "its second is over",
    async () => JSON.parse(await company.alice.expect(["grants", "--json"])).grants.length === 0,
  );
  expect((await company.alice.run(["sql", "prod-orders", "-c", "SELECT 1"])).exitCode).toBe(9);
  expect(silent.greeting.length).toBeGreaterThan(0);
});
