// The configuration as the rest of the server sees it: checked, complete, every default filled in, secrets wrapped.
// schema.ts says how it is written in YAML, load.ts turns the one into the other.

import type { Secret } from "@jitdb/shared/secret";
import type { HoursWindow } from "../access/policies/hours.ts";
import type { IdentityConfig } from "./identity.ts";
import type { WebhookConfig } from "./webhooks.ts";

export interface Config {
  readonly listen: ListenConfig;
  /** What people and tokens call this server: scheme, host and port, no path, no trailing slash. */
  readonly publicUrl: string;
  /** PEM texts. Absent: plain HTTP, on loopback or behind a trusted proxy. */
  readonly tls?: ServerTlsConfig;
  /** Addresses and CIDR ranges whose X-Forwarded-* headers are believed. */
  readonly trustedProxies: readonly string[];
  /** Absolute path of the folder with the store, the journal and the control socket. */
  readonly dataFolder: string;
  readonly masterKey: MasterKey;
  /** Part of every ephemeral user's name, 1–5 of [a-z0-9]. Absent: the store makes one at the first start. */
  readonly installation?: string;
  readonly audit: AuditConfig;
  readonly devices: DevicesConfig;
  readonly tunnel: TunnelConfig;
  readonly identity: IdentityConfig;
  readonly webhooks: readonly WebhookConfig[];
  readonly databases: ReadonlyMap<string, DatabaseConfig>;
  /** In the order of the file: the first that matches decides. */
  readonly policies: readonly Policy[];
}

export interface ListenConfig {
  readonly host: string;
  readonly port: number;
}

export interface ServerTlsConfig {
  /** PEM text of the certificate and its chain. */
  readonly cert: string;
  /** PEM text of the private key. */
  readonly key: Secret;
}

export interface MasterKey {
  /** Names the key in the ledger, so that a new key does not orphan the users of the old one. */
  readonly id: string;
  /** 32 bytes, in base64. */
  readonly key: Secret;
}

export interface AuditConfig {
  /** `write` survives a killed process; `fsync` survives power loss. */
  readonly durability: "write" | "fsync";
  /** Bytes of a statement's text, or of all its parameters, that are kept; of the rest length and hash. */
  readonly maxTextBytes: number;
}

export interface DevicesConfig {
  /** Who vouches for a new device: an approver, or, on a machine of one's own, the fact that it logged in from loopback. */
  readonly confirm: "approval" | "loopback";
}

/** How agents are noticed that fall silent, and how long their sessions wait for them. All in milliseconds. */
export interface TunnelConfig {
  /** How often an agent is asked for a sign of life. */
  readonly pingMs: number;
  /** Silence after a question until its WebSocket counts as lost. */
  readonly silenceMs: number;
  /** How long sessions wait for an agent that lost its WebSocket. */
  readonly parkedMs: number;
  /** The same for those that run something or have a transaction open; at most as long. */
  readonly busyMs: number;
}

export type TlsMode = "disable" | "require" | "verify-ca" | "verify-full";

export interface DatabaseTlsConfig {
  readonly mode: TlsMode;
  /** PEM text of the authorities to trust. Absent: the system's. */
  readonly ca?: string;
  /** What jitdb itself shows to the database. */
  readonly client?: ClientCertificate;
}

export interface ClientCertificate {
  /** PEM text of the certificate and its chain. */
  readonly cert: string;
  /** PEM text of the private key. */
  readonly key: Secret;
}

/**
 * A way to log in that proves less than SCRAM does, so that it has to be asked for: `md5` and `password` (in clear text) do not
 * make the server prove that it knows the password, `certificate` is a client certificate and no password at all.
 */
export type LoginMethod = "md5" | "password" | "certificate";

export interface DatabaseConfig {
  readonly name: string;
  readonly engine: "postgres";
  /** A host name or address, or the absolute path of the folder that holds the server's Unix socket. */
  readonly host: string;
  readonly port: number;
  /** The name of the database inside the server. */
  readonly database: string;
  readonly tls: DatabaseTlsConfig;
  /** Ways to log in besides SCRAM-SHA-256; with any of them, TLS is on. Absent: none. */
  readonly allowedLogins?: readonly LoginMethod[];
  readonly admin: AdminConfig;
  readonly labels: Readonly<Record<string, string>>;
  readonly profiles: ReadonlyMap<string, ProfileConfig>;
  /** Most sessions that the gateway opens to this database at a time. Absent: no limit of ours. */
  readonly maxConnections?: number;
  /** False: no session is logged in before its client is there. */
  readonly spareSessions?: boolean;
}

export interface AdminConfig {
  readonly user: string;
  readonly password: Secret;
}

export type Privileges = "read-only" | "read-write" | "admin";

export interface ProfileConfig {
  readonly name: string;
  readonly description: string;
  /** The no-login role whose privileges a grant inherits; at most 63 bytes. */
  readonly group: string;
  readonly schemas: readonly string[];
  /** Which explicit grants `database sql` prints for the group. */
  readonly privileges: Privileges;
  /** Predefined roles and attributes (`superuser`, `createdb`, …) that this profile may hold although they are refused otherwise. */
  readonly allowPrivileges: readonly string[];
  /** What becomes of tables that a grant's user leaves behind: the keeper inherits them, or they are dropped. */
  readonly leftovers: "keep" | "drop";
}

export interface Policy {
  readonly name: string;
  readonly who: PolicyWho;
  /** Globs of database names. */
  readonly databases: readonly string[];
  /** Labels that a database has to have, all of them. */
  readonly labels?: Readonly<Record<string, string>>;
  /** Globs of profile names. */
  readonly profiles: readonly string[];
  readonly maxDurationMs: number;
  /** For whoever does not say how long; absent: they have to. */
  readonly defaultDurationMs?: number;
  readonly approval: PolicyApproval;
  /** How long a request waits for its decision. */
  readonly requestLifetimeMs: number;
  readonly reasonRequired: boolean;
  /** A regular expression that a reason has to match somewhere. */
  readonly reasonPattern?: string;
  /** A condition of the match, in CEL (access/policies/condition.ts). */
  readonly when?: string;
  /** A grant begins and ends inside; absent: at any time. */
  readonly hours?: readonly HoursWindow[];
  /** How long a transaction that runs at the end of a grant may go on; 0: a hard end. */
  readonly drainMs: number;
  /** How a grant may get more time; absent: not at all. */
  readonly extend?: PolicyExtension;
  /** What one person may have under this policy in any 24 hours; absent: no limit. */
  readonly perDay?: PolicyDailyLimit;
  /** How old the login may be of whoever approves, or breaks glass, under this policy; absent: any age. */
  readonly stepUpMs?: number;
  /** Only for requests with --break-glass, which are granted at once and reviewed afterwards. */
  readonly breakGlass?: PolicyBreakGlass;
}

/** Whoever is in one of the groups, or named. Services ask, and never approve. */
export interface PolicyWho {
  readonly groups: readonly string[];
  readonly people: readonly string[];
  readonly services: readonly string[];
}

export interface PolicyExtension {
  /** How often. */
  readonly times: number;
  /** By how much at the most, each time. */
  readonly byMs: number;
  readonly approval: PolicyApproval;
}

export interface PolicyDailyLimit {
  readonly grants?: number;
  readonly timeMs?: number;
}

export interface PolicyBreakGlass {
  /** Members of these groups sign. */
  readonly reviewGroups: readonly string[];
  readonly withinMs: number;
}

/** So many distinct people out of these groups. */
export interface PolicyStage {
  /** What people call it. */
  readonly name?: string;
  readonly count: number;
  readonly groups: readonly string[];
}

export type PolicyApproval =
  | { readonly kind: "automatic" }
  | { readonly kind: "approvals"; readonly count: number; readonly groups: readonly string[] }
  /** In order: nobody decides on a stage before the one before it is complete. */
  | { readonly kind: "stages"; readonly stages: readonly PolicyStage[] };
