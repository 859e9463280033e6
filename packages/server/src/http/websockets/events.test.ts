import { EventEmitter } from "node:events";
import type { GrantView, RequestView } from "@jitdb/shared/api/access";
import { JitdbError } from "@jitdb/shared/errors";
import type { DeviceId, GrantId, PersonId, RequestId } from "@jitdb/shared/ids";
import { pino } from "pino";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { WebSocket } from "ws";
import { Bus } from "../../bus.ts";
import type { Caller } from "../../identity/caller.ts";
import { openMemoryStore, type Store } from "../../store/store.ts";
import { Events, eventLimits } from "./events.ts";

/** As much of a WebSocket as a listener uses. */
class FakeSocket extends EventEmitter {
  readonly OPEN = 1;
  readyState = 1;
  bufferedAmount = 0;
  readonly sent: unknown[] = [];
  closed: [number, string] | undefined;
  terminated = false;
  pings = 0;

  send(text: string): void {
    this.sent.push(JSON.parse(text));
    this.emit("sent");
  }
  close(code: number, reason: string): void {
    this.readyState = 2;
    this.closed = [code, reason];
    this.emit("closing");
  }
  terminate(): void {
    this.terminated = true;
    this.emit("closing");
  }
  ping(): void {
    this.pings += 1;
  }
}

const alice = callerOf("alice");
let now: number;
let store: Store;
let bus: Bus;
let events: Events;

function callerOf(name: string): Caller {
  return {
    personId: `usr_${name}` as PersonId,
    name,
    groups: [],
    administrator: false,
    deviceId: `device-${name}` as DeviceId,
    deviceLabel: "laptop",
    deviceConfirmed: true,
    tokenExpiresAt: 3_600_000,
    address: "127.0.0.1",
  };
}

beforeEach(async () => {
  now = 0;
  store = await openMemoryStore();
  bus = new Bus();
  events = new Events({
    access: {
      async getRequest(caller, id) {
        if (caller.name !== "alice") {
          throw new JitdbError("request.unknown", "There is no such request.");
        }
        return { id } as RequestView;
      },
      getGrant: async (_caller, id) => ({ id }) as GrantView,
    },
    store,
    bus,
    clock: { now: () => now },
    logger: pino({ enabled: false }),
  });
  for (const name of ["alice", "bob"]) {
    await addPerson(callerOf(name));
  }
});

afterEach(async () => {
  events.close();
  await store.close();
});

async function addPerson({ personId, name, deviceId }: Caller): Promise<void> {
  await store.db
    .insertInto("people")
    .values({
      id: personId,
      name,
      password_hash: null,
      setup_token_hash: null,
      setup_expires_at: null,
      disabled_at: null,
      created_at: 0,
    })
    .execute();
  await store.db
    .insertInto("devices")
    .values({
      id: deviceId,
      person_id: personId,
      label: "laptop",
      first_address: "127.0.0.1",
      first_seen_at: 0,
      confirmed_at: 0,
      confirmed_by: null,
      revoked_at: null,
    })
    .execute();
}

async function addGrant(id: string, endsAt: number): Promise<void> {
  const request = `req_${id}` as RequestId;
  await store.db
    .insertInto("requests")
    .values({
      id: request,
      person_id: alice.personId,
      device_id: alice.deviceId,
      database_name: "orders",
      profile: "read-only",
      duration_ms: endsAt,
      reason: "",
      state: "approved",
      policy: "p",
      approvals_needed: 0,
      approver_groups: "[]",
      digest: "",
      created_at: 0,
      lapses_at: 0,
      decided_at: 0,
      decided_by: null,
      decision_reason: null,
    })
    .execute();
  await store.db
    .insertInto("grants")
    .values({
      id: id as GrantId,
      request_id: request,
      person_id: alice.personId,
      device_id: alice.deviceId,
      database_name: "orders",
      profile: "read-only",
      starts_at: 0,
      ends_at: endsAt,
      state: "active",
      end: null,
      ended_at: null,
      ended_by: null,
      end_reason: null,
    })
    .execute();
}

function listen(caller: Caller): FakeSocket {
  const socket = new FakeSocket();
  events.accept(socket as unknown as WebSocket, caller);
  return socket;
}

/** Waits for the next event of the fake. */
function next(socket: FakeSocket, event: "sent" | "closing"): Promise<unknown> {
  return new Promise((resolve) => socket.once(event, resolve));
}

describe("events", () => {
  it("reach those who may see them, read anew for each", async () => {
    const [hers, his] = [listen(alice), listen(callerOf("bob"))];
    const sent = [next(hers, "sent"), next(his, "sent")];
    bus.emit({ type: "grant", id: "grt_1" });
    await Promise.all(sent);
    const second = next(hers, "sent");
    bus.emit({ type: "request", id: "req_1" });
    await second;
    const grant = { type: "grant.changed", grant: { id: "grt_1" } };
    expect(hers.sent).toEqual([grant, { type: "request.changed", request: { id: "req_1" } }]);
    expect(his.sent).toEqual([grant]);
  });

  it("answer ten hints in a row with one look at the beginning and one at the end", async () => {
    const socket = listen(alice);
    for (let count = 0; count < 10; count++) {
      bus.emit({ type: "request", id: "req_1" });
    }
    bus.emit({ type: "grant", id: "grt_1" });
    for (let count = 0; count < 3; count++) {
      await next(socket, "sent");
    }
    expect(socket.sent).toMatchObject([
      { type: "request.changed" },
      { type: "request.changed" },
      { type: "grant.changed" },
    ]);
  });

  it("tell the owner five minutes and one minute before a grant ends, once each", async () => {
    await addGrant("grt_1", 400_000);
    const [hers, his] = [listen(alice), listen(callerOf("bob"))];
    for (now of [0, 100_000, 101_000, 340_000, 341_000, 400_000]) {
      const due = now === 100_000 || now === 340_000;
      const sent = due ? next(hers, "sent") : undefined;
      await events.tick();
      await sent;
    }
    expect(hers.sent).toMatchObject([
      { type: "grant.ending", secondsLeft: 300 },
      { type: "grant.ending", secondsLeft: 60 },
    ]);
    expect(his.sent).toEqual([]);
  });

  it("end with the person's account", async () => {
    const [hers, his] = [listen(alice), listen(callerOf("bob"))];
    await store.db
      .updateTable("people")
      .set({ disabled_at: 1 })
      .where("name", "=", "alice")
      .execute();
    const closing = next(hers, "closing");
    bus.emit({ type: "person", id: alice.personId });
    await closing;
    expect(hers.closed).toEqual([4403, "login.disabled"]);
    expect(his.closed).toBeUndefined();
  });

  it("end with the access token", async () => {
    const socket = listen(alice);
    now = alice.tokenExpiresAt;
    await events.tick();
    expect(socket.closed).toEqual([4401, "login.expired"]);
  });

  it("end for a listener who does not read", async () => {
    const socket = listen(alice);
    socket.bufferedAmount = eventLimits.maxBufferedBytes + 1;
    const closing = next(socket, "closing");
    bus.emit({ type: "grant", id: "grt_1" });
    await closing;
    expect(socket.terminated).toBe(true);
  });

  it("end for a listener for whom too much waits", () => {
    const socket = listen(alice);
    for (let count = 0; count <= eventLimits.maxPending + 1; count++) {
      bus.emit({ type: "grant", id: `grt_${count}` });
    }
    expect(socket.closed).toEqual([1013, "limit.reached"]);
  });

  it("end for a listener who talks", () => {
    const socket = listen(alice);
    socket.emit("message", "hello");
    expect(socket.closed).toEqual([1008, "usage.invalid"]);
  });

  it("end for a peer that answers no ping", async () => {
    const socket = listen(alice);
    now = eventLimits.pingIntervalMs;
    await events.tick();
    expect([socket.pings, socket.terminated]).toEqual([1, false]);
    socket.emit("pong");
    now *= 2;
    await events.tick();
    now += eventLimits.pingIntervalMs;
    await events.tick();
    expect([socket.pings, socket.terminated]).toEqual([2, true]);
  });
});
