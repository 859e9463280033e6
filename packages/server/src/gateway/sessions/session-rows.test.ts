import type { DeviceId, GrantId, PersonId, SessionId } from "@jitdb/shared/ids";
import { sql } from "kysely";
import { pino } from "pino";
import { afterEach, beforeEach, expect, test } from "vitest";
import { openMemoryStore, type Store } from "../../store/store.ts";
import type { LiveSession } from "./live-sessions.ts";
import { SessionRows } from "./session-rows.ts";

const summary = { end: "client_closed", statements: 3, bytesIn: 0, bytesOut: 0 } as const;

let store: Store;
let rows: SessionRows;
let told: string[];
let transactions: number;
let logged: string[];
/** The store is away. */
let isAway: boolean;

beforeEach(async () => {
  store = await openMemoryStore();
  // Whose sessions they are does not matter here.
  await sql`pragma foreign_keys = off`.execute(store.db);
  [told, logged, transactions, isAway] = [[], [], 0, false];
  rows = new SessionRows({
    store: {
      db: store.db,
      transaction: (work) => {
        transactions += 1;
        return isAway ? Promise.reject(new Error("away")) : store.transaction(work);
      },
    },
    bus: { emit: (event) => void told.push("id" in event ? String(event.id) : "") },
    clock: { now: () => 2000 },
    log: pino({}, { write: (line) => void logged.push(line) }),
  });
});
afterEach(() => store.close());

function session(id: string): LiveSession {
  return {
    ...{ id: id as SessionId, grantId: "grt_1" as GrantId, personId: "per_1" as PersonId },
    ...{ person: "alice", deviceId: "dev_1" as DeviceId, databaseName: "orders" },
    ...{ profile: "read-only", userName: "jit_x", address: "127.0.0.1", application: "psql" },
    ...{ backendPid: 7, openedAt: 1000 },
  };
}

const kept = () =>
  store.db.selectFrom("sessions").select(["id", "closed_at", "end", "statements"]).execute();

test("sessions of one moment are written together, with what became of them meanwhile", async () => {
  rows.opened(session("ses_1"));
  rows.opened(session("ses_2"));
  rows.closed(session("ses_1"), summary);
  expect(await kept()).toEqual([]);
  await rows.drain();
  expect(transactions).toBe(1);
  expect(await kept()).toEqual([
    { id: "ses_1", closed_at: 2000, end: "client_closed", statements: 3 },
    { id: "ses_2", closed_at: null, end: null, statements: 0 },
  ]);
  expect(told).toEqual(["ses_1", "ses_2"]);
});

test("a session that was written before is closed later", async () => {
  rows.opened(session("ses_1"));
  await rows.drain();
  rows.closed(session("ses_1"), summary);
  await rows.drain();
  expect(await kept()).toMatchObject([{ id: "ses_1", closed_at: 2000 }]);
  expect(told).toEqual(["ses_1", "ses_1"]);
});

test("thousands at once are no more than the store takes", async () => {
  for (let number = 0; number < 3000; number += 1) {
    rows.opened(session(`ses_${number}`));
  }
  await rows.drain();
  expect(await kept()).toHaveLength(3000);
});

test("a store that is away is told to the operator, and what comes later is written", async () => {
  isAway = true;
  rows.opened(session("ses_1"));
  await rows.drain();
  expect(logged.join()).toContain("rows of sessions were not written");
  isAway = false;
  rows.opened(session("ses_2"));
  await rows.drain();
  expect(await kept()).toMatchObject([{ id: "ses_2" }]);
});
