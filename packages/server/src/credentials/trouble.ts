// What keeps the server from working on a database, for the log: said when it begins, when it becomes something else, each minute while it
// goes on, and when it is over. It is met several times a second, by every user that waits.

import type { JitdbError } from "@jitdb/shared/errors";
import type { Clock } from "@jitdb/shared/ids";
import type { Logger } from "pino";

/** Milliseconds. */
export const troubleTimes = { reminderMs: 60_000 } as const;

export interface TroublePorts {
  /** Name of the database in the configuration. */
  readonly name: string;
  readonly clock: Clock;
  readonly log: Pick<Logger, "info" | "warn">;
}

/** Of one database. */
export class Trouble {
  readonly #ports: TroublePorts;
  #current:
    | { readonly since: number; readonly message: string; readonly saidAt: number }
    | undefined;

  constructor(ports: TroublePorts) {
    this.#ports = ports;
  }

  met({ message, code, detail }: JitdbError): void {
    const { name, clock, log } = this.#ports;
    const now = clock.now();
    const last = this.#current;
    // Details change from one try to the next: refused, timed out.
    if (last?.message === message && now - last.saidAt < troubleTimes.reminderMs) {
      return;
    }
    this.#current = { since: last?.since ?? now, message, saidAt: now };
    log.warn({ database: name, code, detail }, message);
  }

  /** The database has done what it was asked. */
  over(): void {
    const { name, clock, log } = this.#ports;
    if (this.#current !== undefined) {
      const lastedMs = clock.now() - this.#current.since;
      this.#current = undefined;
      log.info({ database: name, lastedMs }, `${name} works again.`);
    }
  }
}
