import { JitdbError } from "@jitdb/shared/errors";
import type { DeviceId, GrantId, PersonId, RequestId } from "@jitdb/shared/ids";
import { pino } from "pino";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Swept } from "./access/service.ts";
import { Bus } from "./bus.ts";
import { Endings } from "./endings.ts";
import { openMemoryStore, type Store } from "./store/store.ts";

const alice = "usr_alice" as PersonId;
const laptop = "device-a" as DeviceId;
const grant = "grt_1" as GrantId;

let store: Store;
let bus: Bus;
let endings: Endings;
let swept: Swept;
let drain: () => Promise<void>;
/** What the gateway was told to end, and who waits for it. */
let ends: string[];
let told: () => void;
/** The gateway was told to ask the store for grants that live. */
let follows: () => void;

function end(what: string): Promise<number> {
  ends.push(what);
  told();
  return Promise.resolve(1);
}

beforeEach(async () => {
  store = await openMemoryStore();
  bus = new Bus();
  ends = [];
  told = () => {};
  follows = () => {};
  swept = { lapsed: [], ended: [] };
  drain = async () => {};
  await store.db
    .insertInto("people")
    .values({
      id: alice,
      name: "alice",
      password_hash: null,
      setup_token_hash: null,
      setup_expires_at: null,
      disabled_at: null,
      created_at: 0,
    })
    .execute();
  await logIn();
  await store.db
    .insertInto("devices")
    .values({
      id: laptop,
      person_id: alice,
      label: "laptop",
      first_address: "127.0.0.1",
      first_seen_at: 0,
      confirmed_at: null,
      confirmed_by: null,
      revoked_at: null,
    })
    .execute();
});

afterEach(async () => {
  await endings.stop();
  await store.close();
});

/** The provider's record of a login of the laptop, and a token of it. */
async function logIn(): Promise<void> {
  const common = {
    payload: "{}",
    grant_id: "login-1",
    user_code: null,
    expires_at: 1000,
    consumed_at: null,
  };
  await store.db
    .insertInto("oauth_artifacts")
    .values([
      { ...common, model: "Grant", id: "a", uid: alice },
      { ...common, model: "RefreshToken", id: "b", uid: laptop },
    ])
    .execute();
}

function start(): void {
  endings = new Endings({
    access: { sweep: async () => swept },
    gateway: {
      endGrant: (id, how, error) => end(`grant ${id} ${how} ${error.code}`),
      endPerson: (id) => end(`person ${id}`),
      endDevice: (id) => end(`device ${id}`),
      followGrants: async () => {
        follows();
      },
    },
    trail: { drain: () => drain() },
    store,
    bus,
    clock: { now: () => 0 },
    logger: pino({ enabled: false }),
  });
}

const nextEnd = () => new Promise<void>((resolve) => (told = resolve));

describe("endings", () => {
  it("end what a sweep has ended, though the journal can't be written", async () => {
    const error = new JitdbError("grant.expired", "The grant is over.");
    swept = { lapsed: [], ended: [{ grantId: grant, end: "expired", error }] };
    drain = () => Promise.reject(new Error("disk full"));
    const ended = nextEnd();
    start();
    await ended;
    expect(ends).toEqual(["grant grt_1 expired grant.expired"]);
  });

  it("end the tunnels of a disabled person, and of nobody for whom there was only a hint", async () => {
    start();
    bus.emit({ type: "person", id: alice });
    await store.db.updateTable("people").set({ disabled_at: 1 }).execute();
    const ended = nextEnd();
    bus.emit({ type: "person", id: alice });
    await ended;
    expect(ends).toEqual(["person usr_alice"]);
  });

  it("have the gateway ask anew when a grant has changed that lives on", async () => {
    start();
    await store.db
      .insertInto("requests")
      .values({
        id: "req_1" as RequestId,
        person_id: alice,
        device_id: laptop,
        database_name: "test",
        profile: "read-only",
        duration_ms: 1,
        reason: "",
        state: "approved",
        policy: "test",
        approvals_needed: 0,
        approver_groups: "[]",
        digest: "",
        created_at: 0,
        lapses_at: 1,
      })
      .execute();
    await store.db
      .insertInto("grants")
      .values({
        id: grant,
        request_id: "req_1" as RequestId,
        person_id: alice,
        device_id: laptop,
        database_name: "test",
        profile: "read-only",
        starts_at: 0,
        ends_at: 1,
        state: "active",
      })
      .execute();
    const followed = new Promise<void>((resolve) => {
      follows = resolve;
    });
    bus.emit({ type: "grant", id: grant });
    await followed;
    expect(ends).toEqual([]);
  });

  it("end the tunnels of a revoked device", async () => {
    start();
    await store.db.updateTable("devices").set({ revoked_at: 1 }).execute();
    const ended = nextEnd();
    bus.emit({ type: "device", id: laptop });
    await ended;
    expect(ends).toEqual(["device device-a"]);
  });

  it("end the tunnels of a device that was logged out or whose token was stolen (invariant 4)", async () => {
    start();
    bus.emit({ type: "device", id: laptop });
    await store.db.deleteFrom("oauth_artifacts").execute();
    const ended = nextEnd();
    bus.emit({ type: "device", id: laptop });
    await ended;
    expect(ends).toEqual(["device device-a"]);
  });

  it("end the tunnels of devices whose logins a new password has ended (invariant 4)", async () => {
    start();
    bus.emit({ type: "person", id: alice });
    await store.db.deleteFrom("oauth_artifacts").execute();
    const ended = nextEnd();
    bus.emit({ type: "person", id: alice });
    await ended;
    expect(ends).toEqual(["device device-a"]);
  });
});
