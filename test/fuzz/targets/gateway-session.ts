// What the gateway's side needs to open sessions in the fuzzing: ports whose journal can fail, and a client that keeps what
// it is sent.

import { randomBytes } from "node:crypto";
import { JitdbError } from "@jitdb/shared/errors";
import { Secret } from "@jitdb/shared/secret";
import type { Journal } from "../../../packages/server/src/audit/journal.ts";
import type { AuditEvent } from "../../../packages/server/src/audit/record.ts";
import { Masker } from "../../../packages/server/src/audit/statements/masker.ts";
import type { DatabaseConfig } from "../../../packages/server/src/config/config.ts";
import type {
  Deadline,
  Session,
  SessionPorts,
} from "../../../packages/server/src/engines/engine.ts";
import { postgresEngine } from "../../../packages/server/src/engines/postgres/engine.ts";
import { Turn } from "../../../packages/server/src/gateway/turn.ts";
import { createLogger } from "../../../packages/server/src/logger.ts";
import { password } from "../fake-database.ts";

/** A journal in memory. */
export class MemoryJournal {
  /** Whether flushes fail, and, since the buffer is full, too, what is to be appended. */
  isFull = false;
  /** What flushes have kept. */
  readonly kept: AuditEvent[] = [];
  #buffered: AuditEvent[] = [];

  append(event: AuditEvent): number {
    this.#check();
    return this.#buffered.push(event);
  }

  flush(): void {
    this.#check();
    this.kept.push(...this.#buffered.splice(0));
  }

  #check(): void {
    if (this.isFull) {
      throw new JitdbError("audit.unavailable", "The journal is full.");
    }
  }
}

/** The client's end of a session's stream. */
export class MemoryClient {
  readonly received: Uint8Array[] = [];
  isEnded = false;

  write(bytes: Uint8Array): boolean {
    this.received.push(Uint8Array.from(bytes));
    return true;
  }

  consumed(): void {
    // Nothing waits for credit here.
  }

  close(): void {
    this.isEnded = true;
  }

  reset(): void {
    this.isEnded = true;
  }
}

interface FuzzedDeadline extends Deadline {
  endsAt: number;
}

/** The deadline of a grant that does not end. */
export function never(): FuzzedDeadline {
  const far = Date.now() + 1_000_000_000;
  return {
    ...{ endsAt: far, drainedAt: far },
    expired: () => new JitdbError("grant.expired", "The grant is over."),
    draining: () => ({ message: "The grant is over.", hint: "Finish." }),
  };
}

const silent = createLogger({ write: () => undefined }, "json");

/** Opens sessions as the gateway does; one for the life of a target. */
export class FuzzedGateway {
  journal = new MemoryJournal();
  /** Of the next session, and of the one that runs. */
  deadline = never();
  readonly #sessions;

  constructor() {
    const journal = {
      append: (event: AuditEvent) => this.journal.append(event),
      flush: () => this.journal.flush(),
      settle: () => undefined,
    };
    const ports: SessionPorts = {
      clock: { now: () => Date.now() },
      random: { bytes: (count) => randomBytes(count) },
      journal: journal as Journal,
      turn: new Turn(journal),
      masker: new Masker(Buffer.from("key")),
      log: silent,
    };
    this.#sessions = postgresEngine.createSessions(ports);
  }

  /** @throws as the engine's sessions do */
  async open(
    database: DatabaseConfig,
    startup: Uint8Array,
    client: MemoryClient,
    deadlineMs: number,
  ): Promise<Session> {
    return await this.#sessions.open({
      database,
      user: { name: "jit_fuzzed", password: new Secret(password) },
      startup,
      subject: { session: "ses_1" },
      deadline: this.deadline,
      client,
      signal: AbortSignal.timeout(deadlineMs),
    });
  }
}
