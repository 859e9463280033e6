// What lasts: store, journal, trail and people of one data folder. Opened by the server, and by commands while no server runs.

import { join } from "node:path";
import { type Clock, type Random, randomBase32 } from "@jitdb/shared/ids";
import { type Journal, openJournal } from "./audit/journal.ts";
import { AuditTrail } from "./audit/trail.ts";
import { Bus } from "./bus.ts";
import { Closers } from "./closers.ts";
import type { Config } from "./config/config.ts";
import { Passwords } from "./identity/passwords.ts";
import { People } from "./identity/people.ts";
import { Outbox } from "./outbox/outbox.ts";
import { openStore, type Store } from "./store/store.ts";

export interface State {
  readonly store: Store;
  readonly journal: Journal;
  /** The journal's folder. */
  readonly journalFolder: string;
  readonly trail: AuditTrail;
  readonly outbox: Outbox;
  readonly bus: Bus;
  readonly passwords: Passwords;
  readonly people: People;
  close(): Promise<void>;
}

export interface StatePorts {
  readonly clock: Clock;
  readonly random: Random;
  /** Told to whoever finds the store in use. */
  readonly address: string;
}

/**
 * Opens a data folder, creating it where there is none.
 * @throws JitdbError `store.held`, `store.damaged`, `store.newer`, `local.storage`, `audit.unavailable`
 */
export async function openState(
  config: Pick<Config, "dataFolder" | "audit" | "webhooks">,
  { clock, random, address }: StatePorts,
): Promise<State> {
  const closers = new Closers();
  try {
    const store = await openStore({ folder: config.dataFolder, clock, address });
    closers.add(() => store.close());
    const journalFolder = join(config.dataFolder, "journal");
    const { durability } = config.audit;
    const journal = openJournal({ folder: journalFolder, clock, random, durability });
    closers.add(() => journal.close());
    const outbox = new Outbox({ clock, random, receivers: config.webhooks });
    const trail = new AuditTrail({ store, journal, clock, random, outbox });
    await trail.drain();
    const bus = new Bus();
    const passwords = new Passwords(random);
    const people = new People({ store, clock, random, trail, bus, passwords });
    const close = () => closers.close();
    return { store, journal, journalFolder, trail, outbox, bus, passwords, people, close };
  } catch (error) {
    await closers.close();
    throw error;
  }
}

/** The installation's id: as configured, or made once and kept. It is part of every ephemeral user's name. */
export async function installationOf(
  { store }: Pick<State, "store">,
  config: Pick<Config, "installation">,
  random: Random,
): Promise<string> {
  if (config.installation !== undefined) {
    return config.installation;
  }
  await store.db
    .insertInto("settings")
    .values({ key: "installation", value: randomBase32(random, 4) })
    .onConflict((conflict) => conflict.column("key").doNothing())
    .execute();
  const row = await store.db
    .selectFrom("settings")
    .select("value")
    .where("key", "=", "installation")
    .executeTakeFirstOrThrow();
  return row.value;
}
