import type { SessionId } from "@jitdb/shared/ids";
import { afterEach, beforeEach, expect, test } from "vitest";
import { type AccessFixture, createAccessFixture, minute } from "../../access/access-fixture.ts";
import type { EventOf } from "../../audit/record.ts";
import { createLogger } from "../../logger.ts";
import { Outbox, type Receiver } from "../../outbox/outbox.ts";
import type { LiveSession } from "./live-sessions.ts";
import { SessionRows } from "./session-rows.ts";

let fixture: AccessFixture;
let live: LiveSession;
let transactions: number;
let told: string[];
let logged: string[];
/** The store is away. */
let isAway: boolean;
beforeEach(async () => {
  fixture = await createAccessFixture();
  [transactions, told, logged, isAway] = [0, [], [], false];
  const { access, caller, clock, store } = fixture;
  const input = { database: "test", profile: "read-only", durationMs: minute, reason: "" };
  const { grantId } = await access.request(caller("alice"), input);
  const grant = await store.db.selectFrom("grants").selectAll().executeTakeFirstOrThrow();
  expect(grant.id).toBe(grantId);
  live = {
    id: "ses_1" as SessionId,
    grantId: grant.id,
    personId: grant.person_id,
    person: "alice",
    deviceId: grant.device_id,
    databaseName: "test",
    profile: "read-only",
    userName: "jit_test",
    address: "192.0.2.1",
    application: "psql",
    backendPid: 7,
    openedAt: clock.ms,
  };
});
afterEach(() => fixture.store.close());

const subject = () => ({
  person: "alice",
  database: "test",
  grant: live.grantId,
  session: live.id,
});

function createRows(receivers: readonly Receiver[] = []): SessionRows {
  const { store, clock, ports } = fixture;
  return new SessionRows({
    store: {
      db: store.db,
      transaction: (work) => {
        transactions += 1;
        return isAway ? Promise.reject(new Error("away")) : store.transaction(work);
      },
    },
    clock,
    bus: { emit: (event) => void told.push("id" in event ? String(event.id) : "") },
    log: createLogger({ write: (line) => void logged.push(line) }, "json"),
    outbox: new Outbox({ clock, random: ports.random, receivers }),
  });
}

const another = (id: string): LiveSession => ({ ...live, id: id as SessionId });

const opening = (): EventOf<"session.opened"> => ({
  kind: "session.opened",
  ...subject(),
  profile: "read-only",
  user: "jit_test",
  backendPid: 7,
  encoding: "UTF8",
});

const closing = (): EventOf<"session.closed"> => ({
  kind: "session.closed",
  ...subject(),
  end: "client_closed",
  statements: 3,
  bytesIn: 1,
  bytesOut: 2,
  durationMs: 5,
});

const kept = () =>
  fixture.store.db
    .selectFrom("sessions")
    .select(["id", "closed_at", "end", "statements"])
    .execute();

test("sessions of one moment are written together, with what became of them meanwhile", async () => {
  const rows = createRows();
  rows.opened(live, opening());
  rows.opened(another("ses_2"), opening());
  rows.closed(live, closing());
  expect(await kept()).toEqual([]);
  await rows.drain();
  expect(transactions).toBe(1);
  expect(await kept()).toEqual([
    { id: "ses_1", closed_at: fixture.clock.ms, end: "client_closed", statements: 3 },
    { id: "ses_2", closed_at: null, end: null, statements: 0 },
  ]);
  expect(told).toEqual(["ses_1", "ses_2"]);
});

test("a session that was written before is closed later", async () => {
  const rows = createRows();
  rows.opened(live, opening());
  await rows.drain();
  rows.closed(live, closing());
  await rows.drain();
  expect(await kept()).toMatchObject([{ id: "ses_1", end: "client_closed" }]);
  expect(told).toEqual(["ses_1", "ses_1"]);
});

test("thousands at once are no more than the store takes", async () => {
  const rows = createRows();
  for (let number = 0; number < 3000; number += 1) {
    rows.opened(another(`ses_${number}`), opening());
  }
  await rows.drain();
  expect(await kept()).toHaveLength(3000);
});

test("a store that is away is told to the operator, and what comes later is written", async () => {
  const rows = createRows();
  isAway = true;
  rows.opened(live, opening());
  await rows.drain();
  expect(logged.join()).toContain("rows of sessions were not written");
  isAway = false;
  rows.opened(another("ses_2"), opening());
  await rows.drain();
  expect(await kept()).toMatchObject([{ id: "ses_2" }]);
});

/** A session from its opening to its end; gives what goes to the outside. */
async function liveOnce(receivers: readonly Receiver[]) {
  const rows = createRows(receivers);
  rows.opened(live, opening());
  rows.closed(live, closing());
  await rows.drain();
  return await fixture.store.db.selectFrom("outbox").selectAll().orderBy("id").execute();
}

test("tells who asked for it of sessions, in the stream of the grant's request", async () => {
  const messages = await liveOnce([{ name: "all" }, { name: "sessions", events: ["session.*"] }]);
  const { request_id } = await fixture.store.db
    .selectFrom("grants")
    .select("request_id")
    .executeTakeFirstOrThrow();
  expect(messages.map(({ receiver, type, stream }) => [receiver, type, stream])).toEqual([
    ["sessions", "session.opened", request_id],
    ["sessions", "session.closed", request_id],
  ]);
  expect(JSON.parse(messages[1]?.body ?? "")).toMatchObject({
    type: "session.closed",
    data: { person: "alice", end: "client_closed", statements: 3 },
  });
});

test("tells nobody where nobody asked for it", async () => {
  expect(await liveOnce([{ name: "all" }, { name: "ends", events: ["grant.*"] }])).toEqual([]);
});
