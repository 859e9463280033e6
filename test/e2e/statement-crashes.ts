// SIGKILL of the real server at each statement of making and of ending a user, then a restart (invariant 31).

import { expect } from "vitest";
import { eventually } from "../support/eventually.ts";
import type { AdminStatement, PostgresRelay } from "../support/postgres-relay.ts";
import { startRelay } from "./behind-relay.ts";
import { Company } from "./company.ts";
import { loggingSettings } from "./server-log.ts";

type Moment = AdminStatement["moment"];

/** A company whose server has its database behind a relay. */
export interface World {
  readonly company: Company;
  readonly relay: PostgresRelay;
}

export async function createWorld(): Promise<World> {
  let relay: PostgresRelay | undefined;
  const company = await Company.found({
    postgresSettings: loggingSettings,
    async prepare(installation) {
      relay = await startRelay(installation);
    },
  });
  if (relay === undefined) {
    throw new Error("Nobody was asked to prepare anything.");
  }
  return { company, relay };
}

export async function closeWorld(world: World | undefined): Promise<void> {
  await world?.relay.close();
  await world?.company.close();
}

/**
 * Transactions that change nothing, so that a crash in one is as good as one before it: those that come round by themselves
 * (looking for strangers and for users that nobody knows), and those that compare.
 */
const looks = /COLLATE pg_catalog\."C" ~ \$1|AS query, q\.\* FROM|AS databases$|AS triggers\s/;

/**
 * Kills the server at the first statement of the admin role that it was not killed at before; looks do not count.
 */
class Killer {
  readonly killedAt: string[] = [];
  readonly #world: World;
  readonly #moment: Moment;
  readonly #seen = new Map<string, number>();
  #isDead = false;

  constructor(world: World, moment: Moment) {
    this.#world = world;
    this.#moment = moment;
    world.relay.onAdmin = (statement) => this.#see(statement);
  }

  get isDead(): boolean {
    return this.#isDead;
  }

  /** Starts the server again, which may die before it is ready. */
  async revive(): Promise<void> {
    while (this.#isDead) {
      await this.#world.company.installation.killServer();
      this.#isDead = false;
      this.#seen.clear();
      await this.#world.company.installation.startServer().catch((error: unknown) => {
        if (!this.#isDead) {
          throw error;
        }
      });
    }
  }

  retire(): void {
    this.#world.relay.onAdmin = () => false;
  }

  #see({ text, transaction, moment }: AdminStatement): boolean {
    if (this.#isDead) {
      return true;
    }
    const isLook = transaction.some((one) => looks.test(one));
    if (moment !== this.#moment || isLook || text.startsWith("BEGIN")) {
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
    process.kill(this.#world.company.installation.serverPid ?? 0, "SIGKILL");
    return true;
  }
}

interface Goal {
  /** What a person does; it fails when the server is killed under it, and is tried again. */
  readonly act: () => Promise<unknown>;
  /** What holds whenever a server has come back, whether or not the goal is reached. */
  readonly holds?: () => Promise<unknown>;
  readonly isReached: () => Promise<boolean>;
}

/** Goes on until the goal is reached, however often the server is killed. */
async function insist(killer: Killer, { act, holds, isReached }: Goal): Promise<void> {
  for (let isDone = false; !isDone; ) {
    await killer.revive();
    await act().catch((error: unknown) => {
      if (!killer.isDead) {
        throw error;
      }
    });
    await holds?.();
    await eventually(
      "the goal is reached, or the server is killed",
      async () => killer.isDead || (await isReached()),
      20_000,
    );
    isDone = !killer.isDead;
  }
}

/** What the journal has of the newest grant. */
async function newestGrant(company: Company) {
  const journal = await company.journal();
  const grant = journal.of("request.granted").at(-1)?.grant;
  const has = (kind: "user.created" | "grant.ended" | "user.dropped") =>
    grant !== undefined && journal.of(kind).some((record) => record.grant === grant);
  return { isMade: has("user.created"), isEnded: has("grant.ended"), isGone: has("user.dropped") };
}

/** The killer was where it matters: right at these, and at each only once. */
function expectPlaces({ killedAt }: Killer, texts: readonly string[]): void {
  expect(killedAt.length).toBeGreaterThanOrEqual(texts.length);
  for (const text of texts) {
    expect(killedAt).toContainEqual(expect.stringContaining(text));
  }
}

/** Makes a grant and ends it, and kills the server whenever a statement is asked or answered: each time it goes on where it was. */
export async function crashAtEachStatement(world: World, moment: Moment): Promise<void> {
  const { company } = world;
  const grantsBefore = (await company.journal()).of("request.granted").length;
  const making = new Killer(world, moment);
  await insist(making, {
    async act() {
      if ((await company.journal()).of("request.granted").length === grantsBefore) {
        await company.grant("10m");
      }
    },
    isReached: async () => (await newestGrant(company)).isMade,
  });
  making.retire();
  expectPlaces(making, ["CREATE ROLE", "GRANT", "COMMIT"]);
  const door = await company.connect();
  const client = await door.client();
  const sleep = client.query("SELECT pg_sleep(600)").catch((error: unknown) => error);
  await eventually("it sleeps", () => company.runs("%pg_sleep%"));
  const ending = new Killer(world, moment);
  await insist(ending, {
    async act() {
      if (!(await newestGrant(company)).isEnded) {
        await company.alice.expect(["revoke", door.ready.grant]);
      }
    },
    async holds() {
      // A second is promised; how exactly that is kept is end.test.ts's matter, this machine starts servers meanwhile.
      const look = async () => ending.isDead || (await company.backends()).length === 0;
      await eventually("no session is left, or the server is killed", look, 3000);
    },
    isReached: async () =>
      (await newestGrant(company)).isGone &&
      (await company.installation.ephemeralUsers()).length === 0,
  });
  ending.retire();
  expectPlaces(ending, ["NOLOGIN", "pg_terminate_backend", "prepared_xact", "DROP ROLE", "COMMIT"]);
  expect(await sleep).toMatchObject({ code: expect.stringMatching(/57P01|08006/) });
  expect(await company.backends()).toEqual([]);
  expect((await company.alice.run(["connect", "prod-orders"])).exitCode).toBe(9);
  expect((await company.journal()).firstBreak()).toBeUndefined();
}
