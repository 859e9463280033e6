// The tables as query code sees them. Times are epoch milliseconds, JSON is text, so that the same queries run on SQLite and PostgreSQL.

import type {
  DeviceId,
  EphemeralUserId,
  GrantId,
  PersonId,
  RequestId,
  SessionId,
} from "@jitdb/shared/ids";
import type { Generated } from "kysely";

export interface Tables {
  settings: SettingsTable;
  people: PeopleTable;
  memberships: MembershipsTable;
  devices: DevicesTable;
  requests: RequestsTable;
  approvals: ApprovalsTable;
  reviews: ReviewsTable;
  grants: GrantsTable;
  ephemeral_users: EphemeralUsersTable;
  comparisons: ComparisonsTable;
  sessions: SessionsTable;
  audit_outbox: AuditOutboxTable;
  audit_records: AuditRecordsTable;
  outbox: OutboxTable;
  oauth_artifacts: OauthArtifactsTable;
  used_proofs: UsedProofsTable;
}

/** What belongs to the installation as a whole: its id, the key id in force. */
interface SettingsTable {
  key: string;
  value: string;
}

interface PeopleTable {
  id: PersonId;
  /** What the person types at login; unique, lower case. */
  name: string;
  /** PHC string of argon2id; null until the set-up link was used. */
  password_hash: string | null;
  /** SHA-256 (hex) of the one-time set-up token; null when used. */
  setup_token_hash: string | null;
  setup_expires_at: number | null;
  disabled_at: number | null;
  created_at: number;
  /** A service asks and never decides; it has no password and no groups. */
  kind: Generated<"person" | "service">;
  /** Whom the company's identity provider means by it: issuer, a space, subject. Null: a local account. */
  subject: Generated<string | null>;
}

interface MembershipsTable {
  person_id: PersonId;
  group_name: string;
  /** Through whom the person came into the group: nobody who approves what it lets them ask. Null: the operator. */
  added_by: Generated<PersonId | null>;
  /** Who says so: this server's operator, the company's identity provider, or both. Each takes back only what it gave. */
  source: Generated<"local" | "idp" | "both">;
}

/** A device is a key: its id is the key's JWK thumbprint (RFC 7638). */
interface DevicesTable {
  id: DeviceId;
  person_id: PersonId;
  /** What the device calls itself, such as `jitdb on alice-laptop (linux)`; for people to read, trusted by nothing. */
  label: string;
  first_address: string;
  first_seen_at: number;
  /** Null until a known device, the host itself or an approver vouched for it. */
  confirmed_at: number | null;
  confirmed_by: PersonId | null;
  revoked_at: number | null;
  /** When its person last proved who they are, by password or at the company; null: before this was kept. */
  authenticated_at: Generated<number | null>;
}

export type RequestState = "pending" | "approved" | "denied" | "withdrawn" | "lapsed";

interface RequestsTable {
  id: RequestId;
  person_id: PersonId;
  device_id: DeviceId;
  database_name: string;
  profile: string;
  duration_ms: number;
  reason: string;
  state: RequestState;
  /** Name of the policy that matched. */
  policy: string;
  approvals_needed: number;
  /** JSON array of group names; empty: nobody has to approve. */
  approver_groups: string;
  /** When the grant shall begin; null: as soon as it is granted. */
  starts_at: Generated<number | null>;
  /** 1: asked for with --break-glass. */
  break_glass: Generated<number>;
  /** JSON array of stages in order (requests/stages.ts); null: one stage, of `approvals_needed` and `approver_groups`. */
  stages: Generated<string | null>;
  /** JSON array: groups that let the person ask. */
  through_groups: Generated<string>;
  /** The grant that shall get `duration_ms` more; null: a grant of its own. */
  extends_grant: Generated<GrantId | null>;
  /** JSON: what the policy said beyond the stages (requests/terms.ts); null: asked before there was this column. */
  terms: Generated<string | null>;
  /** SHA-256 (hex) over all that was asked (requests/digest.ts): what an approval covers. */
  digest: string;
  created_at: number;
  lapses_at: number;
  decided_at: number | null;
  decided_by: PersonId | null;
  decision_reason: string | null;
}

interface ApprovalsTable {
  request_id: RequestId;
  person_id: PersonId;
  digest: string;
  /** Never more than was asked for. */
  duration_ms: number;
  /** A narrower profile than was asked for; null: the one that was asked for. */
  profile: Generated<string | null>;
  /** For which stage it counts, from 0. */
  stage: Generated<number>;
  comment: string;
  at: number;
}

/** Access that somebody took by break-glass: open until somebody else has signed it. */
interface ReviewsTable {
  grant_id: GrantId;
  /** JSON array of names: members of these groups sign. */
  reviewer_groups: string;
  due_at: number;
  signed_by: PersonId | null;
  signed_at: number | null;
  comment: string | null;
}

export type GrantState = "active" | "ended";
export type GrantEnd = "expired" | "revoked";

interface GrantsTable {
  id: GrantId;
  request_id: RequestId;
  person_id: PersonId;
  device_id: DeviceId;
  database_name: string;
  profile: string;
  starts_at: number;
  ends_at: number;
  /** How long a transaction that runs at `ends_at` may go on; 0: a hard end. Fixed when the grant begins. */
  drain_ms: Generated<number>;
  /** How often it got more time. */
  extensions: Generated<number>;
  state: GrantState;
  end: GrantEnd | null;
  ended_at: number | null;
  ended_by: PersonId | null;
  end_reason: string | null;
}

export type EphemeralUserState =
  | "planned"
  | "created"
  /** Logins are stopped; transactions that run may finish. */
  | "draining"
  | "locked"
  | "dropped"
  | "quarantined";

/** The ledger: every ephemeral user ever planned. A row is written before the user is created. */
interface EphemeralUsersTable {
  id: EphemeralUserId;
  grant_id: GrantId;
  database_name: string;
  /** Name in the database, unique for ever. */
  user_name: string;
  profile: string;
  /** Enters the password's derivation; raised when the master key was lost. */
  generation: number;
  key_id: string;
  /** The role's OID once it was created. */
  oid: number | null;
  state: EphemeralUserState;
  valid_until: number;
  /** Set when the grant's end is due: the loop of the end owns the row from then on. */
  end_due_at: number | null;
  /** How long behind `end_due_at` its sessions may finish what they run; 0: not at all. */
  drain_ms: Generated<number>;
  attempts: number;
  next_attempt_at: number;
  leased_by: string | null;
  leased_until: number;
  last_error: string | null;
  /** What a DBA would run, for a quarantined user. */
  remedy_sql: string | null;
  created_at: number;
  dropped_at: number | null;
}

/** Taken: a snapshot waits for the grant's end. Clean: nothing was left. Open: a person has to look, and sign. */
export type ComparisonState = "taken" | "clean" | "open" | "signed";

/** What a grant left behind: the catalogue before its user was made against the one after it was gone. */
interface ComparisonsTable {
  grant_id: GrantId;
  database_name: string;
  state: ComparisonState;
  /** JSON (credentials/traces.ts); null: none could be taken, or it has served its end. */
  snapshot: string | null;
  /** JSON array of sentences: what could not be compared. */
  gaps: string;
  /** JSON array (credentials/comparisons/attribution.ts). */
  traces: string;
  /** SHA-256 (hex) over traces and gaps: what a signature is for. */
  digest: string | null;
  taken_at: number;
  compared_at: number | null;
  next_attempt_at: number;
  /** Why the comparison waits, in words for people who see the grant. */
  problem: string | null;
  signed_by: PersonId | null;
  signed_at: number | null;
  signed_comment: string | null;
}

interface SessionsTable {
  id: SessionId;
  grant_id: GrantId;
  person_id: PersonId;
  device_id: DeviceId;
  database_name: string;
  profile: string;
  user_name: string;
  /** Where the tunnel comes from. */
  address: string;
  application: string;
  backend_pid: number | null;
  opened_at: number;
  closed_at: number | null;
  /** A word such as client_closed, expired, revoked, database_closed, server_stopped. */
  end: string | null;
  statements: number;
}

/** Records staged in the transaction of the change that they report; moved to the journal right after it. */
interface AuditOutboxTable {
  id: Generated<number>;
  event: string;
}

/** The journal's records, shipped here for search. The journal is the truth. */
interface AuditRecordsTable {
  journal: string;
  seq: number;
  at: number;
  kind: string;
  person: string | null;
  database_name: string | null;
  grant_id: string | null;
  session_id: string | null;
  /** The record's canonical line. */
  line: string;
}

/** Messages to the outside, one row a receiver; `id` is their order. */
interface OutboxTable {
  id: Generated<number>;
  /** The same for every receiver and attempt. */
  message_id: string;
  receiver: string;
  /** Within it messages go out in order: a request's id, or a device's. */
  stream: string;
  type: string;
  body: string;
  state: Generated<"waiting" | "delivered" | "dead">;
  created_at: number;
  attempts: Generated<number>;
  next_attempt_at: number;
  give_up_at: number;
  last_error: string | null;
  settled_at: number | null;
}

/** What oidc-provider keeps (its Adapter interface). */
interface OauthArtifactsTable {
  model: string;
  id: string;
  payload: string;
  grant_id: string | null;
  user_code: string | null;
  uid: string | null;
  expires_at: number | null;
  consumed_at: number | null;
}

/** Ids of DPoP proofs that were used (RFC 9449 §11.1), until they are too old to be accepted. */
interface UsedProofsTable {
  id: string;
  expires_at: number;
}
