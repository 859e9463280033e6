// What a grant is and was, and what it left behind, as the API shows it.

import * as z from "zod";
import { grantView, requestView } from "./access.ts";
import { instant, name, sentence } from "./wire.ts";

const candidate = z.object({ grant: z.string(), person: name });

/** A thing that is not as it was before the grant. Names in it are the database's own, with its quotes. */
export const traceView = z.object({
  change: z.enum(["new", "changed", "gone"]),
  /** Name of the database inside the server; null: it belongs to the whole cluster. */
  database: z.string().nullable(),
  kind: z.string(),
  identity: z.string(),
  owner: z.string().nullable(),
  detail: z.string(),
  /** Code that acts when others use it, somebody's rights, or data alone. */
  risk: z.enum(["acts", "rights", "data"]),
  /** Statements for a superuser, in that database. */
  look: z.string().nullable(),
  undo: z.string().nullable(),
  maker: z.object({
    /** owner: it was the grant's user's; statement: a statement that did not fail names it; none: nothing on record does. */
    certainty: z.enum(["owner", "statement", "none"]),
    grant: z.string().nullable(),
    person: name.nullable(),
    statement: z.string().nullable(),
    session: z.string().nullable(),
    at: z.string().nullable(),
    text: z.string().nullable(),
  }),
  /** Grants that had a user on the server at the time, as far as the caller may see them. */
  candidates: z.array(candidate),
});
export type TraceView = z.infer<typeof traceView>;

export const grantDetail = z.object({
  grant: grantView,
  request: requestView,
  /** Name in the database. */
  userName: z.string(),
  sessions: z.object({
    total: z.number().int(),
    open: z.number().int(),
    statements: z.number().int(),
  }),
  /** For administrators: what keeps the user from being removed, and the script for a DBA that clears it. */
  obstacle: z.object({ problem: z.string(), sql: z.string().nullable() }).nullable(),
  comparison: z.object({
    /** Why it is not there yet. */
    waitsFor: z.string().nullable(),
    comparedAt: instant.nullable(),
    traces: z.array(traceView),
    /** What could not be compared. */
    gaps: z.array(z.string()),
    /** What a signature names. */
    digest: z.string().nullable(),
    signedBy: name.nullable(),
    signedAt: instant.nullable(),
    comment: z.string().nullable(),
    /** Whether the caller may sign it now. */
    canSign: z.boolean(),
  }),
});
export type GrantDetail = z.infer<typeof grantDetail>;

export const signInput = z.object({
  /** Of the detail that the person was shown: nothing else is signed. */
  digest: z.string().max(64),
  comment: sentence.default(""),
});
