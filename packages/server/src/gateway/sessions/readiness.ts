// What is made ready before a client comes: connections to the databases that somebody may connect to who has an agent connected.

import type { PersonId } from "@jitdb/shared/ids";
import type { Logger } from "pino";
import type { DatabaseConfig } from "../../config/config.ts";
import type { Sessions } from "../../engines/engine.ts";

export interface ReadinessPorts {
  readonly databases: ReadonlyMap<string, DatabaseConfig>;
  /** By the engine's name. */
  readonly engines: ReadonlyMap<string, Pick<Sessions, "keepReady">>;
  /** Sessions of a database, and logins that wait for clients. */
  readonly connections: (databaseName: string) => number;
  /** Whose agents are connected now. */
  readonly people: () => ReadonlySet<PersonId>;
  /** Names of the databases that one of them may connect to now. */
  readonly inReach: (people: readonly PersonId[]) => Promise<readonly string[]>;
  readonly log: Pick<Logger, "warn">;
}

/** Of the gateway's ticks: about once a second. */
const ticksBetweenLooks = 5;

export class Readiness {
  readonly #ports: ReadinessPorts;
  #ticks = 0;
  #isLooking = false;
  #isClosed = false;

  constructor(ports: ReadinessPorts) {
    this.#ports = ports;
  }

  tick(): void {
    this.#ticks = (this.#ticks + 1) % ticksBetweenLooks;
    if (this.#ticks === 0) {
      void this.look();
    }
  }

  /** Finds out who may come, and prepares for them. Never rejects: a client that nobody was prepared for waits a little longer. */
  async look(): Promise<void> {
    if (this.#isLooking || this.#isClosed) {
      return;
    }
    this.#isLooking = true;
    try {
      const names = await this.#ports.inReach([...this.#ports.people()]);
      this.#prepare(this.#isClosed ? [] : names);
    } catch (error) {
      this.#ports.log.warn({ err: error }, "connections are not made ahead: the store was away");
    } finally {
      this.#isLooking = false;
    }
  }

  close(): void {
    this.#isClosed = true;
    this.#prepare([]);
  }

  #prepare(names: readonly string[]): void {
    const { databases, engines, connections } = this.#ports;
    const expected = names.flatMap((name) => databases.get(name) ?? []);
    for (const [engine, sessions] of engines) {
      sessions.keepReady(
        expected
          .filter((database) => database.engine === engine)
          .map((database) => ({
            database,
            // One that is ready counts as a session, so that the limit holds for both together.
            hasRoom: () =>
              connections(database.name) < (database.maxConnections ?? Number.POSITIVE_INFINITY),
          })),
      );
    }
  }
}
