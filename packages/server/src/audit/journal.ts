// The journal: append-only, chained, in segments. One synchronous write a flush, and a record is kept whole or not at all.

import type { AuditEvent } from "./record.ts";

/** `write` survives a killed process; `fsync` survives a power loss. */
export type Durability = "write" | "fsync";

export interface Journal {
  /** Names the journal; stays the same for its life. */
  readonly id: string;
  /**
   * Gives the event its place in the chain and keeps it for the next flush.
   * @returns the record's number
   * @throws JitdbError `audit.unavailable` while the journal is failed and its buffer is full
   */
  append(event: AuditEvent): number;
  /**
   * Writes everything buffered with one write. What was not written stays buffered for the next flush.
   * @throws JitdbError `audit.unavailable`: nothing that waits for these records may go on
   */
  flush(): void;
  /** `append` and `flush`. */
  record(event: AuditEvent): number;
  /** Whether the last flush failed. A later one that works clears it. */
  readonly failed: boolean;
  /** Flushes and lets go of the file. */
  close(): void;
}
