// Databases, requests and grants as the API shows them.

import * as z from "zod";
import { instant, name, page, sentence } from "./wire.ts";

export const profileView = z.object({
  name,
  description: z.string(),
  /** The longest duration that this person may ask for. */
  maxDurationSeconds: z.number().int(),
  /** For how long it is where nobody says; absent: they have to. */
  defaultDurationSeconds: z.number().int().optional(),
  approval: z.enum(["automatic", "required"]),
  /** How a grant can leave something behind, each completing "A grant …"; empty: it cannot. */
  leavesTraces: z.array(z.string()).default([]),
});

export const databaseView = z.object({
  name,
  engine: z.enum(["postgres"]),
  labels: z.record(z.string(), z.string()),
  /** What this person may ask for; empty profiles are left out. */
  profiles: z.array(profileView),
});
export type DatabaseView = z.infer<typeof databaseView>;

export const databaseList = z.object({ databases: z.array(databaseView) });

export const requestState = z.enum(["pending", "approved", "denied", "withdrawn", "lapsed"]);
export type RequestStateView = z.infer<typeof requestState>;

export const requestInput = z.object({
  database: name,
  /** Absent: the only one, or read-only where there is a choice. */
  profile: name.optional(),
  /** Absent: as long as the policy that decides says for whoever does not say. */
  durationSeconds: z.number().int().positive().optional(),
  reason: sentence.default(""),
  /** When the grant shall begin; absent: as soon as it is granted. */
  startsAt: instant.optional(),
  /** Access at once, by a rule for emergencies, with a review afterwards. */
  breakGlass: z.boolean().default(false),
});
export type RequestInput = z.infer<typeof requestInput>;

export const requestView = z.object({
  id: z.string(),
  person: name,
  database: name,
  profile: name,
  durationSeconds: z.number().int(),
  reason: z.string(),
  state: requestState,
  policy: z.string(),
  device: z.object({ label: z.string(), confirmed: z.boolean() }),
  /** How a grant on the profile can leave something behind, each completing "A grant …"; empty: it cannot. */
  leavesTraces: z.array(z.string()).default([]),
  /** The start that was asked for, or the end that an extension begins at; null: as soon as it is granted. */
  startsAt: instant.nullable().default(null),
  breakGlass: z.boolean().default(false),
  /** The grant that shall get more time; null: a grant of its own. */
  extendsGrant: z.string().nullable().default(null),
  approvals: z.object({
    needed: z.number().int(),
    given: z.array(
      z.object({
        person: name,
        at: instant,
        comment: z.string(),
        durationSeconds: z.number().int().nullable().default(null),
        /** Narrower than what was asked for; null: as asked. */
        profile: name.nullable().default(null),
      }),
    ),
    /** In order; the first one with something missing decides now. */
    stages: z
      .array(
        z.object({
          name: name.nullable(),
          groups: z.array(z.string()),
          missing: z.number().int(),
        }),
      )
      .default([]),
    /** Groups out of which somebody has to approve. */
    groups: z.array(z.string()),
  }),
  createdAt: instant,
  lapsesAt: instant,
  decidedAt: instant.nullable(),
  decidedBy: name.nullable(),
  decisionReason: z.string().nullable(),
  /** The grant that came of it. */
  grantId: z.string().nullable(),
  /** Whether the caller may decide on it now. */
  canDecide: z.boolean(),
});
export type RequestView = z.infer<typeof requestView>;

/** Results of statements, by what their tags say: rows read, rows changed, tables and rights changed, all else, errors. */
export const statementKinds = z.object({
  reads: z.number().int(),
  writes: z.number().int(),
  schema: z.number().int(),
  others: z.number().int(),
  failed: z.number().int(),
});
export type StatementKinds = z.infer<typeof statementKinds>;

/** What those who decide on a request should know of the person; for others the lists are empty. */
export const requestBackground = z.object({
  /** What the profile allows, in plain words. */
  privileges: z.string(),
  /** Newest first. */
  lastGrants: z.array(
    z.object({
      id: z.string(),
      database: name,
      profile: name,
      startsAt: instant,
      durationSeconds: z.number().int(),
      sessions: z.number().int(),
      statements: z.number().int(),
      /** Of the newest thousand results; null: none is on record. */
      kinds: statementKinds.nullable().default(null),
      /** Whether the caller may read its records (`GET /audit?grant=`) while the request waits for them. */
      readable: z.boolean().default(false),
    }),
  ),
  /** The first use of the database, or of the profile on it; an hour or a length that the person's grants never had. */
  unusual: z.array(z.enum(["first_database", "first_profile", "hour", "length"])),
});
export type RequestBackground = z.infer<typeof requestBackground>;

export const requestList = z.object({
  requests: z.array(requestView),
  next: z.string().nullable(),
});

export const requestQuery = page.extend({
  /** mine: asked by the caller; inbox: pending ones that the caller may decide; all: what the caller may see. */
  scope: z.enum(["mine", "inbox", "all"]).default("mine"),
  state: requestState.optional(),
});

export const approveInput = z.object({
  /** Shorter than asked, never longer. */
  durationSeconds: z.number().int().positive().optional(),
  /** Narrower than asked, never wider. */
  profile: name.optional(),
  comment: sentence.default(""),
});
export const denyInput = z.object({ reason: sentence.default("") });

export const grantView = z.object({
  id: z.string(),
  requestId: z.string(),
  person: name,
  database: name,
  engine: z.enum(["postgres"]),
  /** The name of the database inside the server, for the client's dbname. */
  databaseName: z.string(),
  profile: name,
  state: z.enum(["active", "ended"]),
  startsAt: instant,
  endsAt: instant,
  endedAt: instant.nullable(),
  end: z.enum(["expired", "revoked"]).nullable(),
  endReason: z.string().nullable(),
  endedBy: name.nullable(),
  /** Of the ephemeral user: being made, usable, being removed, gone, or stuck. */
  user: z.enum(["preparing", "ready", "ending", "gone", "quarantined"]),
  /** Why the user is not ready or not gone, in words for its owner; never an address or admin name. */
  userProblem: z.string().nullable(),
  openSessions: z.number().int(),
  /** Of a grant by break-glass: who has to look at it, until when, and who has; null: an ordinary grant. */
  review: z
    .object({
      groups: z.array(z.string()),
      dueAt: instant,
      signedBy: name.nullable(),
      signedAt: instant.nullable(),
      comment: z.string().nullable(),
    })
    .nullable()
    .default(null),
  /**
   * What it left behind: not compared yet, nothing, something that waits for a signature, something that was signed.
   * unknown: it was never compared.
   */
  traces: z.enum(["pending", "none", "open", "signed", "unknown"]).default("unknown"),
  /** The grant's time is over, and until then the open sessions may finish their transactions; null where none does. */
  drainingUntil: instant.nullable().default(null),
});
export type GrantView = z.infer<typeof grantView>;
export const grantList = z.object({ grants: z.array(grantView), next: z.string().nullable() });
export const grantQuery = page.extend({
  /** mine: the caller's; all: what the caller may see (approvers and administrators). */
  scope: z.enum(["mine", "all"]).default("mine"),
  state: z.enum(["active", "ended"]).optional(),
  /** Those that left something which nobody has signed. */
  openTraces: z.stringbool().optional(),
  /** Those by break-glass that nobody has reviewed. */
  openReviews: z.stringbool().optional(),
});
export const extendInput = z.object({
  /** Absent: as much as the rule gives at a time. */
  durationSeconds: z.number().int().positive().optional(),
  reason: sentence.default(""),
  /** The end that the person saw: whoever sends the same twice gets it once. */
  endsAt: instant,
});
export const reviewInput = z.object({ comment: sentence.default("") });
export const revokeInput = z.object({ reason: sentence.default("") });
