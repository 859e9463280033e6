// SIGKILL of the real server at each statement of making and of ending a user, then a restart (invariant 31).

import { afterAll, beforeAll, expect, test } from "vitest";
import { eventually } from "../support/eventually.ts";
import type { AdminStatement, PostgresRelay } from "../support/postgres-relay.ts";
import { startRelay } from "./behind-relay.ts";
import { Company } from "./company.ts";
import { chooseSeed, crashAtRandom, nothingLost } from "./random-crashes.ts";
import { loggingSettings } from "./server-log.ts";

let company: Company;
let relay: PostgresRelay;
beforeAll(async () => {
  company = await Company.found({
    postgresSettings: loggingSettings,
    async prepare(installation) {
      relay = await startRelay(installation);
    },
  });
});
afterAll(async () => {
  await relay?.close();
  await company?.close();
});

/**
 * Kills the server at the first statement of the admin role that it was not killed at before; what comes round by itself
 * (looking for strangers and for users that nobody knows) does not count.
 */
class Killer {
  readonly killedAt: string[] = [];
  readonly #moment: AdminStatement["moment"];
  readonly #seen = new Map<string, number>();
  #isDead = false;

  constructor(moment: AdminStatement["moment"]) {
    this.#moment = moment;
    relay.onAdmin = (statement) => this.#see(statement);
  }

  get isDead(): boolean {
    return this.#isDead;
  }

  /** Starts the server again, which may die before it is ready. */
  async revive(): Promise<void> {
    while (this.#isDead) {
      await company.installation.killServer();
      this.#isDead = false;
      this.#seen.clear();
      await company.installation.startServer().catch((error: unknown) => {
        if (!this.#isDead) {
          throw error;
        }
      });
    }
  }

  retire(): void {
    relay.onAdmin = () => false;
  }

  #see({ text, transaction, moment }: AdminStatement): boolean {
    if (this.#isDead) {
      return true;
    }
    const isRound = transaction.some((one) => /COLLATE pg_catalog\."C" ~ \$1/.test(one));
    if (moment !== this.#moment || isRound || text.startsWith("BEGIN")) {
      return false;
    }
    const label = transaction.map((one) => one.replaceAll(/jit_\w+|'[^']*'|\s+/g, " ")).join("; ");
    const count = (this.#seen.get(label) ?? 0) + 1;
    this.#seen.set(label, count);
    const place = `${label} #${Math.min(count, 3)}`;
    if (this.killedAt.includes(place)) {
      return false;
    }
    this.killedAt.push(place);
    this.#isDead = true;
    process.kill(company.installation.serverPid ?? 0, "SIGKILL");
    return true;
  }
}

/** Does something that the killer may interrupt, until it has come true. */
async function insist(killer: Killer, act: () => Promise<unknown>, isTrue: () => Promise<boolean>) {
  for (let isDone = false; !isDone; ) {
    await killer.revive();
    await act().catch(() => {
      // The server was killed under it.
    });
    isDone = await eventually("it is done, or the server was killed", async () =>
      (await isTrue().catch(() => false)) || killer.isDead ? { is: !killer.isDead } : undefined,
    ).then(({ is }) => is);
  }
}

async function liveGrants(): Promise<{ id: string; user: string }[]> {
  return JSON.parse(await company.alice.expect(["grants", "--json"])).grants;
}

/** The killer was where it matters: right at these, and at each only once. */
function expectPlaces({ killedAt }: Killer, texts: readonly string[]): void {
  expect(killedAt.length).toBeGreaterThanOrEqual(texts.length);
  for (const text of texts) {
    expect(killedAt).toContainEqual(expect.stringContaining(text));
  }
}

test.each(["asked", "answered"] as const)(
  "a server that is killed whenever a statement is %s leaves a grant usable, and nothing behind (invariant 31)",
  { timeout: 120_000 },
  async (moment) => {
    const making = new Killer(moment);
    await insist(
      making,
      async () => {
        if ((await liveGrants()).length === 0) {
          await company.grant("10m");
        }
      },
      async () => (await liveGrants())[0]?.user === "ready",
    );
    making.retire();
    expectPlaces(making, ["CREATE ROLE", "GRANT", "COMMIT"]);
    const door = await company.connect();
    const client = await door.client();
    const sleep = client.query("SELECT pg_sleep(600)").catch((error: unknown) => error);
    await eventually("it sleeps", () => company.runs("%pg_sleep%"));
    const ending = new Killer(moment);
    await insist(
      ending,
      async () => {
        if ((await liveGrants()).length > 0) {
          await company.alice.expect(["revoke", door.ready.grant]);
        }
        await eventually(
          "no session is left, or the server was killed",
          async () => ending.isDead || (await company.backends()).length === 0,
          1500,
        );
      },
      async () =>
        (await company.installation.ephemeralUsers()).length === 0 &&
        (await company.grantView(door.ready.grant)).user === "gone",
    );
    ending.retire();
    expectPlaces(ending, [
      "NOLOGIN",
      "pg_terminate_backend",
      "prepared_xact",
      "DROP ROLE",
      "COMMIT",
    ]);
    expect(await sleep).toMatchObject({ code: expect.stringMatching(/57P01|08006/) });
    expect(await company.backends()).toEqual([]);
    expect((await company.alice.run(["connect", "prod-orders"])).exitCode).toBe(9);
    expect((await company.journal()).firstBreak()).toBeUndefined();
  },
);

test("twenty crashes at random moments leave no role, no late session and no statement without its record (invariants 20, 31)", async () => {
  const report = await crashAtRandom(company, [company.alice, company.bob], {
    kills: 20,
    seed: chooseSeed(),
  });
  expect(report).toMatchObject(nothingLost);
  expect(report.logged).toBeGreaterThanOrEqual(report.answered);
  expect(report.answered).toBeGreaterThan(20);
});
