// When a session's grant ends, and what its client is told then.

import { formatDuration } from "@jitdb/shared/duration";
import type { JitdbError } from "@jitdb/shared/errors";
import type { Grant } from "../../access/authorize.ts";
import { endedError } from "../../access/grants/grant.ts";
import type { Deadline, Warning } from "../../engines/engine.ts";

/** A session's own, since its grant may get more time while it lives. */
export class GrantDeadline implements Deadline {
  readonly #database: string;
  readonly #drainMs: number;
  #endsAt: number;

  constructor(database: string, { ends_at, drain_ms }: Pick<Grant, "ends_at" | "drain_ms">) {
    this.#database = database;
    this.#drainMs = drain_ms;
    this.#endsAt = ends_at;
  }

  get endsAt(): number {
    return this.#endsAt;
  }

  get drainedAt(): number {
    return this.#endsAt + this.#drainMs;
  }

  /** Never earlier: what is taken away ends at once, by another way. */
  extend(endsAt: number): void {
    this.#endsAt = Math.max(this.#endsAt, endsAt);
  }

  expired(): JitdbError {
    return endedError({ database_name: this.#database, end: "expired", end_reason: null });
  }

  draining(): Warning {
    const until = new Date(this.drainedAt).toISOString();
    return {
      message: `The time for ${this.#database} is over: no new transaction begins, and this one has ${formatDuration(this.#drainMs)} to finish.`,
      hint: `Commit or roll back before ${until}. Ask again with \`jitdb request ${this.#database} --for 30m\`.`,
    };
  }
}
