// The trail: what a transaction changed is staged in that transaction, and reaches the journal after its commit.

import type { Kysely } from "kysely";
import type { Tables } from "../store/tables.ts";
import type { AuditEvent } from "./record.ts";

export interface Trail {
  /** Stages the event in the transaction of the change that it reports. */
  stage(tx: Kysely<Tables>, event: AuditEvent): Promise<void>;
  /** Moves what is staged into the journal, in order. Call it after the commit and at the start. */
  drain(): Promise<void>;
}
