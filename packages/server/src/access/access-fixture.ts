// For tests: an access service on a store in memory, with people, their devices, and databases to ask for.

import type { DeviceId, PersonId } from "@jitdb/shared/ids";
import { Secret } from "@jitdb/shared/secret";
import type { AuditEvent, AuditKind, EventOf } from "../audit/record.ts";
import { Bus, type Hint } from "../bus.ts";
import type { DatabaseConfig, Policy, ProfileConfig } from "../config/config.ts";
import { planUser } from "../credentials/ledger.ts";
import { administrators, type Caller } from "../identity/caller.ts";
import { openMemoryStore, type Store } from "../store/store.ts";
import type { AccessPorts } from "./change.ts";
import { AccessService } from "./service.ts";

export const minute = 60_000;
export const startOfTime = Date.UTC(2026, 0, 1);

/** Everybody, with their groups; each has a confirmed device of their name. */
const groupsOf = {
  alice: ["developers"],
  anna: ["developers"],
  bob: ["leads"],
  carol: ["leads"],
  dora: [administrators],
  eve: [],
} as const satisfies Record<string, readonly string[]>;

export type Name = keyof typeof groupsOf;

export interface AccessFixture {
  readonly store: Store;
  readonly access: AccessService;
  readonly ports: AccessPorts;
  readonly hints: Hint[];
  /** May be set; nothing else moves it. */
  readonly clock: { now: () => number; ms: number };
  /** The person on a device, their own confirmed one if none is named. */
  caller(name: Name, device?: string): Caller;
  addDevice(name: Name, device: string, fields?: { confirmed?: boolean }): Promise<void>;
  disable(name: Name): Promise<void>;
  /** Every record staged so far, or those of one kind. */
  records(): Promise<AuditEvent[]>;
  records<Kind extends AuditKind>(kind: Kind): Promise<EventOf<Kind>[]>;
}

export async function createAccessFixture(
  policies: readonly Policy[] = defaultPolicies,
): Promise<AccessFixture> {
  const clock = { ms: startOfTime, now: () => clock.ms };
  const store = await openMemoryStore(clock);
  const bus = new Bus();
  const hints: Hint[] = [];
  bus.on((hint) => hints.push(hint));
  const random = countingRandom();
  const ports: AccessPorts = {
    store,
    clock,
    random,
    bus,
    trail: {
      async stage(tx, event) {
        await tx
          .insertInto("audit_outbox")
          .values({ event: JSON.stringify(event) })
          .execute();
      },
      async drain() {},
    },
    config: { databases: new Map(databases.map((one) => [one.name, one])), policies },
    waysToLeaveTraces: (_database, profile) =>
      profile === "admin" ? ["can make objects in app"] : [],
    describeCreation: async (database, profile, person) => ({
      statements: [`make ${person} a user of ${database} with ${profile}`],
    }),
    planUser: (tx, plan) =>
      planUser(tx, { ...plan, installation: "test", keyId: "key-1" }, { clock, random }),
  };
  const fixture: AccessFixture = {
    store,
    access: new AccessService(ports),
    ports,
    hints,
    clock,
    caller: (name, device = name) => callerOf(name, device),
    async addDevice(name, device, { confirmed = false } = {}) {
      await store.db
        .insertInto("devices")
        .values({
          id: device as DeviceId,
          person_id: personId(name),
          label: `jitdb on ${device}`,
          first_address: "192.0.2.1",
          first_seen_at: clock.ms,
          confirmed_at: confirmed ? clock.ms : null,
          confirmed_by: null,
          revoked_at: null,
        })
        .execute();
    },
    async disable(name) {
      await store.db
        .updateTable("people")
        .set({ disabled_at: clock.ms })
        .where("id", "=", personId(name))
        .execute();
    },
    async records<Kind extends AuditKind>(kind?: Kind) {
      const rows = await store.db
        .selectFrom("audit_outbox")
        .select("event")
        .orderBy("id")
        .execute();
      const events = rows.map(({ event }) => JSON.parse(event) as EventOf<Kind>);
      return kind === undefined ? events : events.filter((event) => event.kind === kind);
    },
  };
  for (const name of Object.keys(groupsOf) as Name[]) {
    await addPerson(store, name);
    await fixture.addDevice(name, name, { confirmed: true });
  }
  return fixture;
}

export function policy(name: string, fields: Partial<Policy> = {}): Policy {
  return {
    name,
    who: { groups: ["developers"], people: [], services: [] },
    databases: ["*"],
    profiles: ["*"],
    maxDurationMs: 60 * minute,
    approval: { kind: "approvals", count: 1, groups: ["leads"] },
    requestLifetimeMs: 24 * 60 * minute,
    reasonRequired: false,
    drainMs: 0,
    ...fields,
  };
}

/** Reading the test database is free; reading prod takes one lead, writing takes two and a reason. */
const defaultPolicies: readonly Policy[] = [
  policy("test-free", { databases: ["test"], approval: { kind: "automatic" } }),
  policy("prod-read", { databases: ["prod-*"], profiles: ["read-only"] }),
  policy("prod-write", {
    databases: ["prod-orders"],
    profiles: ["read-write"],
    reasonRequired: true,
    approval: { kind: "approvals", count: 2, groups: ["leads"] },
  }),
];

const databases: readonly DatabaseConfig[] = [
  database("prod-orders", ["read-only", "read-write", "admin"]),
  database("prod-people", ["read-write", "admin"]),
  database("test", ["read-only", "read-write"]),
];

function database(name: string, profiles: readonly string[]): DatabaseConfig {
  return {
    name,
    engine: "postgres",
    host: "db.internal",
    port: 5432,
    database: name.replace("prod-", ""),
    tls: { mode: "verify-full" },
    admin: { user: "jitdb_admin", password: new Secret("a password of an admin") },
    labels: { env: "prod" },
    profiles: new Map(profiles.map((profile) => [profile, profileConfig(name, profile)])),
  };
}

function profileConfig(database: string, name: string): ProfileConfig {
  return {
    name,
    description: `${name} on ${database}`,
    group: `jitdb_${database}_${name}`,
    schemas: ["public"],
    privileges: "read-only",
    allowPrivileges: [],
    leftovers: "keep",
  };
}

const personId = (name: Name) => `usr_${name}` as PersonId;

async function addPerson(store: Store, name: Name): Promise<void> {
  await store.db
    .insertInto("people")
    .values({
      id: personId(name),
      name,
      password_hash: null,
      setup_token_hash: null,
      setup_expires_at: null,
      disabled_at: null,
      created_at: startOfTime,
    })
    .execute();
  for (const group_name of groupsOf[name]) {
    await store.db
      .insertInto("memberships")
      .values({ person_id: personId(name), group_name })
      .execute();
  }
}

function callerOf(name: Name, device: string): Caller {
  const groups: readonly string[] = groupsOf[name];
  return {
    personId: personId(name),
    name,
    groups,
    administrator: groups.includes(administrators),
    deviceId: device as DeviceId,
    deviceLabel: `jitdb on ${device}`,
    deviceConfirmed: true,
    tokenExpiresAt: startOfTime + 60 * minute,
    address: "192.0.2.1",
  };
}

/** Bytes that never repeat and that are the same in every run. */
function countingRandom() {
  let count = 0;
  return {
    bytes(length: number): Uint8Array {
      count += 1;
      // Five bits of each byte are used: enough of them for a counter in base 32.
      return Uint8Array.from({ length }, (_, index) => Math.floor(count / 32 ** index) % 32);
    },
  };
}
