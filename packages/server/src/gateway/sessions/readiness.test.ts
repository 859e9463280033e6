import type { PersonId } from "@jitdb/shared/ids";
import { describe, expect, it } from "vitest";
import type { DatabaseConfig } from "../../config/config.ts";
import type { ExpectedDatabase } from "../../engines/engine.ts";
import type { SessionPlace } from "./live-sessions.ts";
import { Readiness } from "./readiness.ts";

const alice = "per_alice" as PersonId;

function setUp(inReach: (people: readonly PersonId[]) => Promise<readonly string[]>) {
  const asked: (readonly ExpectedDatabase[])[] = [];
  const warnings: unknown[] = [];
  const sessions: SessionPlace[] = [];
  const people = new Set<PersonId>();
  const orders = { name: "orders", engine: "postgres", maxConnections: 1 } as DatabaseConfig;
  const billing = { name: "billing", engine: "postgres" } as DatabaseConfig;
  const readiness = new Readiness({
    databases: new Map([orders, billing].map((one) => [one.name, one])),
    engines: new Map([["postgres", { keepReady: (expected) => void asked.push(expected) }]]),
    connections: () => sessions.length,
    people: () => people,
    inReach,
    log: { warn: (fields: unknown) => void warnings.push(fields) },
  });
  const names = () => asked.map((expected) => expected.map(({ database }) => database.name));
  return { readiness, asked, names, people, sessions, warnings };
}

describe("Readiness", () => {
  it("prepares for the databases in reach of whoever is connected, as far as they are configured", async () => {
    const { readiness, names, people } = setUp(async (who) =>
      who.includes(alice) ? ["orders", "sold"] : [],
    );
    await readiness.look();
    people.add(alice);
    await readiness.look();
    expect(names()).toEqual([[], ["orders"]]);
  });

  it("leaves room for sessions under the database's limit", async () => {
    const { readiness, asked, sessions } = setUp(async () => ["orders", "billing"]);
    await readiness.look();
    const room = () => asked[0]?.map((expected) => expected.hasRoom());
    expect(room()).toEqual([true, true]);
    sessions.push({} as SessionPlace);
    expect(room()).toEqual([false, true]);
  });

  it("looks about once a second, and one look at a time", async () => {
    let looks = 0;
    const { readiness } = setUp(async () => {
      looks += 1;
      return [];
    });
    for (let tick = 0; tick < 12; tick += 1) {
      readiness.tick();
    }
    expect(looks).toBe(1);
    await new Promise(setImmediate);
    for (let tick = 0; tick < 5; tick += 1) {
      readiness.tick();
    }
    expect(looks).toBe(2);
  });

  it("goes on where the store was away, and says so", async () => {
    const { readiness, asked, warnings } = setUp(async () => {
      throw new Error("away");
    });
    await readiness.look();
    expect(asked).toEqual([]);
    expect(warnings).toHaveLength(1);
  });

  it("lets go of everything at its end, also where a look is under way", async () => {
    const { readiness, names } = setUp(async () => ["orders"]);
    const look = readiness.look();
    readiness.close();
    await look;
    await readiness.look();
    expect(names()).toEqual([[], []]);
  });
});
