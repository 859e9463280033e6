import type { SessionId } from "@jitdb/shared/ids";
import { afterEach, beforeEach, expect, test } from "vitest";
import { type AccessFixture, createAccessFixture, minute } from "../../access/access-fixture.ts";
import type { EventOf } from "../../audit/record.ts";
import { Bus } from "../../bus.ts";
import { createLogger } from "../../logger.ts";
import { Outbox, type Receiver } from "../../outbox/outbox.ts";
import type { LiveSession } from "./live-sessions.ts";
import { SessionRows } from "./session-rows.ts";

let fixture: AccessFixture;
let live: LiveSession;
beforeEach(async () => {
  fixture = await createAccessFixture();
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

/** A session from its opening to its end; gives what goes to the outside. */
async function liveOnce(receivers: readonly Receiver[]) {
  const { store, clock, ports } = fixture;
  const rows = new SessionRows({
    store,
    clock,
    bus: new Bus(),
    log: createLogger({ write: () => undefined }, "json"),
    outbox: new Outbox({ clock, random: ports.random, receivers }),
  });
  const opened: EventOf<"session.opened"> = {
    kind: "session.opened",
    ...subject(),
    profile: "read-only",
    user: "jit_test",
    backendPid: 7,
    encoding: "UTF8",
  };
  const closed: EventOf<"session.closed"> = {
    kind: "session.closed",
    ...subject(),
    end: "client_closed",
    statements: 3,
    bytesIn: 1,
    bytesOut: 2,
    durationMs: 5,
  };
  rows.opened(live, opened);
  rows.closed(live, closed);
  await rows.drain();
  expect(await store.db.selectFrom("sessions").selectAll().execute()).toMatchObject([
    { id: live.id, end: "client_closed", statements: 3 },
  ]);
  return await store.db.selectFrom("outbox").selectAll().orderBy("id").execute();
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
