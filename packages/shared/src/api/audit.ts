// Sessions and audit records as the API shows them.

import * as z from "zod";
import { instant, name, page } from "./wire.ts";

export const sessionView = z.object({
  id: z.string(),
  grantId: z.string(),
  person: name,
  database: name,
  profile: name,
  userName: z.string(),
  address: z.string(),
  application: z.string(),
  openedAt: instant,
  closedAt: instant.nullable(),
  end: z.string().nullable(),
  statements: z.number().int(),
  /** Its agent has lost the network, and the session waits for it to come back. */
  parked: z.boolean().default(false),
  /** Under a grant that was taken by break-glass. */
  breakGlass: z.boolean().default(false),
});
export type SessionView = z.infer<typeof sessionView>;
export const sessionList = z.object({
  sessions: z.array(sessionView),
  next: z.string().nullable(),
});
export const sessionQuery = page.extend({
  scope: z.enum(["mine", "all"]).default("mine"),
  open: z.stringbool().optional(),
  grant: z.string().max(60).optional(),
});

/** A record of the journal, parsed; which fields it has depends on its kind (docs/audit-format.md). */
export const auditRecordView = z.looseObject({
  seq: z.number().int(),
  at: instant,
  kind: z.string(),
});
export type AuditRecordView = z.infer<typeof auditRecordView>;
export const auditList = z.object({
  records: z.array(auditRecordView),
  next: z.string().nullable(),
});
export const auditQuery = page.extend({
  /** Oldest first; without `after` the newest `limit` ones. */
  kind: z.string().max(60).optional(),
  person: name.optional(),
  database: name.optional(),
  grant: z.string().max(60).optional(),
  session: z.string().max(60).optional(),
});
