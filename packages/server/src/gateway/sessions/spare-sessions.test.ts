import { setTimeout as delay } from "node:timers/promises";
import type { DeviceId, GrantId, PersonId } from "@jitdb/shared/ids";
import { Secret } from "@jitdb/shared/secret";
import type { SpareMap } from "@jitdb/shared/tunnel/maps";
import { beforeEach, expect, it } from "vitest";
import type { DatabaseConfig } from "../../config/config.ts";
import type { SpareLogin } from "../../engines/engine.ts";
import type { SessionPlace } from "./live-sessions.ts";
import { type Expectation, SpareSessions, spareTimes } from "./spare-sessions.ts";

/** A login that the test lets succeed or fail. */
interface Asked {
  readonly signal: AbortSignal;
  /** Gives the process id. */
  readonly succeed: () => Promise<number>;
  readonly fail: () => Promise<void>;
}

const alice = "per_alice" as PersonId;
let asked: Asked[];
let closed: number[];
let lingering: number[];
let places: SessionPlace[];
let now: number;
let spares: SpareSessions;
let agent: Agent;

/** Hears of sessions, or does not. */
class Agent {
  isHearing = true;
  readonly told: SpareMap[] = [];
  readonly withdrawn: SpareMap[] = [];

  announce(session: Omit<SpareMap, "id">): SpareMap | undefined {
    if (!this.isHearing) {
      return undefined;
    }
    const spare = { id: `spr_${this.told.length}`, ...session };
    this.told.push(spare);
    return spare;
  }

  withdraw(spare: SpareMap): void {
    this.withdrawn.push(spare);
  }
}

const settled = () => new Promise(setImmediate);
/** Logins that were to rest have begun. */
const rested = () => delay(spareTimes.restMs + 2);

const engine = {
  logInAhead: ({ signal }: { readonly signal: AbortSignal }) =>
    new Promise<SpareLogin>((resolve, reject) => {
      const backendPid = asked.length + 1;
      let isGone: () => void = () => undefined;
      const gone = new Promise<void>((done) => {
        isGone = done;
      });
      const close = () => {
        closed.push(backendPid);
        isGone();
      };
      signal.addEventListener("abort", () => reject(new Error("given up")));
      asked.push({
        signal,
        async succeed() {
          const greeting = Uint8Array.of(backendPid);
          resolve({ backendPid, greeting, closed: gone, close });
          await settled();
          return backendPid;
        },
        async fail() {
          reject(new Error("no"));
          await settled();
        },
      });
    }),
};

function expectation(more: Partial<Expectation> = {}): Expectation {
  return {
    grantId: "grt_1" as GrantId,
    personId: alice,
    deviceId: "dev_1" as DeviceId,
    database: { name: "orders", engine: "postgres" } as DatabaseConfig,
    user: { name: "jit_1", password: new Secret("p") },
    generation: 1,
    startup: Buffer.from("start"),
    announcements: agent,
    deadline: { endsAt: 1_000_000 },
    ...more,
  };
}

beforeEach(() => {
  asked = [];
  closed = [];
  lingering = [];
  places = [];
  now = 0;
  agent = new Agent();
  spares = new SpareSessions({
    live: { ofDatabase: () => places, linger: (_name, pid) => void lingering.push(pid) },
    clock: { now: () => now },
  });
});

function tickAt(time: number): void {
  now = time;
  spares.tick(new Set([alice]));
}

it("makes one for the next client, and gives it once", async () => {
  spares.prepare(expectation(), engine);
  spares.prepare(expectation(), engine);
  await rested();
  expect(asked).toHaveLength(1);
  const pid = await asked[0]?.succeed();
  expect(spares.backendsOf("orders")).toEqual([pid]);
  expect((await spares.take(expectation()))?.backendPid).toBe(pid);
  // Ours until the session that has it is known.
  expect(lingering).toEqual([pid]);
  expect(await spares.take(expectation())).toBeUndefined();
});

it("lets the client that has just come have its answer first, unless somebody waits for this one", async () => {
  spares.prepare(expectation(), engine);
  await settled();
  expect(asked).toHaveLength(0);
  const taken = spares.take(expectation());
  await settled();
  expect(asked).toHaveLength(1);
  await asked[0]?.succeed();
  expect((await taken)?.backendPid).toBe(1);
});

it("asks the database for nothing where it is ended before its login began", async () => {
  spares.prepare(expectation(), engine);
  await spares.end(() => true);
  await rested();
  expect([asked, spares.countOf("orders")]).toEqual([[], 0]);
});

it.each<[string, Partial<Expectation>]>([
  ["another grant", { grantId: "grt_2" as GrantId }],
  ["another user", { user: { name: "jit_2", password: new Secret("p") } }],
  ["another password", { generation: 2 }],
  ["another start-up", { startup: Buffer.from("Start") }],
])("gives none to %s", async (_what, other) => {
  spares.prepare(expectation(), engine);
  await rested();
  await asked[0]?.succeed();
  expect(await spares.take(expectation(other))).toBeUndefined();
});

it("tells the agent that its next client is expected from, once it is there", async () => {
  spares.prepare(expectation(), engine);
  await rested();
  expect(agent.told).toEqual([]);
  const pid = await asked[0]?.succeed();
  expect(agent.told).toMatchObject([
    { engine: "postgres", grant: "grt_1", startup: Buffer.from("start") },
  ]);
  expect(agent.told[0]?.greeting).toEqual(Uint8Array.of(pid ?? 0));
  const claimed = agent.told[0];
  expect((await spares.take({ ...expectation(), claimed }))?.backendPid).toBe(pid);
  expect(agent.withdrawn).toEqual([]);
});

it("tells nobody of one that a client was waiting for", async () => {
  spares.prepare(expectation(), engine);
  const taken = spares.take(expectation());
  await settled();
  await asked[0]?.succeed();
  expect((await taken)?.backendPid).toBe(1);
  expect(agent.told).toEqual([]);
});

it("gives a client the one that it was greeted with, and others one that nobody is", async () => {
  // Two are made where clients come too fast.
  spares.prepare(expectation(), engine);
  void spares.take(expectation());
  await settled();
  await asked[0]?.succeed();
  spares.prepare(expectation(), engine);
  await rested();
  agent.isHearing = false;
  const silent = await asked[1]?.succeed();
  agent.isHearing = true;
  const told = await asked[2]?.succeed();
  expect((await spares.take(expectation()))?.backendPid).toBe(silent);
  const [claimed] = agent.told;
  expect((await spares.take({ ...expectation(), claimed }))?.backendPid).toBe(told);
});

it("takes an announcement back for a client that was not greeted, and makes two from then on", async () => {
  spares.prepare(expectation(), engine);
  await rested();
  const pid = await asked[0]?.succeed();
  expect((await spares.take(expectation()))?.backendPid).toBe(pid);
  expect(agent.withdrawn).toEqual(agent.told);
  spares.prepare(expectation(), engine);
  await rested();
  expect(asked).toHaveLength(3);
  // The one that was greeted with it gets another one, if there is one.
  await asked[1]?.succeed();
  const [claimed] = agent.told;
  expect((await spares.take({ ...expectation(), claimed }))?.backendPid).toBe(2);
  expect(agent.withdrawn).toHaveLength(2);
});

it("makes no more than one where the client came through another agent", async () => {
  spares.prepare(expectation(), engine);
  await rested();
  await asked[0]?.succeed();
  const other = expectation({ announcements: new Agent() });
  expect((await spares.take(other))?.backendPid).toBe(1);
  expect(agent.withdrawn).toEqual(agent.told);
  spares.prepare(other, engine);
  await rested();
  expect(asked).toHaveLength(2);
});

it("makes two where a client came before the one was there, until one is given up", async () => {
  spares.prepare(expectation(), engine);
  const taken = spares.take(expectation());
  await settled();
  await asked[0]?.succeed();
  expect((await taken)?.backendPid).toBe(1);
  spares.prepare(expectation(), engine);
  await rested();
  expect(asked).toHaveLength(3);
  await asked[2]?.succeed();
  // The one that is there comes first.
  expect((await spares.take(expectation()))?.backendPid).toBe(3);
  await asked[1]?.succeed();
  now = 60_000;
  spares.tick(new Set([alice]));
  await settled();
  expect(closed).toEqual([2]);
  spares.prepare(expectation(), engine);
  await rested();
  expect(asked).toHaveLength(4);
});

it("makes none for a database whose configuration says so", async () => {
  const database = { name: "orders", spareSessions: false } as DatabaseConfig;
  spares.prepare(expectation({ database }), engine);
  await rested();
  expect(asked).toHaveLength(0);
});

it("lets a client log in by itself where none could be made", async () => {
  spares.prepare(expectation(), engine);
  const taken = spares.take(expectation());
  await settled();
  await asked[0]?.fail();
  expect(await taken).toBeUndefined();
  expect(spares.countOf("orders")).toBe(0);
});

it.each<[string, () => unknown]>([
  ["its time is over", () => tickAt(60_000)],
  ["its grant's time is over", () => tickAt(1_000_000)],
  ["nobody of the person is connected", () => spares.tick(new Set())],
  ["it is told to", () => spares.end(({ grantId }) => grantId === "grt_1")],
  [
    "a client with another start-up came",
    () => {
      places = [{} as SessionPlace];
      spares.prepare(
        expectation({
          startup: Buffer.from("x"),
          database: { name: "orders", maxConnections: 1 } as DatabaseConfig,
        }),
        engine,
      );
    },
  ],
])("ends one, made or in the making, when %s", async (_why, act) => {
  spares.prepare(expectation(), engine);
  await rested();
  await asked[0]?.succeed();
  act();
  await settled();
  expect([closed, spares.countOf("orders")]).toEqual([[1], 0]);
  expect(agent.withdrawn).toEqual(agent.told);
  now = 0;
  places = [];
  spares.prepare(expectation(), engine);
  await rested();
  act();
  await settled();
  expect([asked[1]?.signal.aborted, spares.countOf("orders")]).toEqual([true, 0]);
  expect(agent.told).toHaveLength(1);
});

it("leaves the database's limit of connections to clients, and makes room for one that is let in", async () => {
  const database = { name: "orders", maxConnections: 2 } as DatabaseConfig;
  places = [{}, {}] as SessionPlace[];
  spares.prepare(expectation({ database }), engine);
  await rested();
  expect(asked).toHaveLength(0);
  places = [{}] as SessionPlace[];
  spares.prepare(expectation({ database }), engine);
  await rested();
  await asked[0]?.succeed();
  places = [{}, {}] as SessionPlace[];
  await spares.makeRoom(database, expectation({ database }));
  expect(closed).toEqual([]);
  await spares.makeRoom(database, expectation({ database, grantId: "grt_2" as GrantId }));
  expect(closed).toEqual([1]);
});
