// The credentials service on a store of its own, with grants that a test makes as access/ would.

import { randomBytes } from "node:crypto";
import type { AuditEvent } from "../../packages/server/src/audit/record.ts";
import type { Trail } from "../../packages/server/src/audit/trail.ts";
import type { DatabaseConfig } from "../../packages/server/src/config/config.ts";
import { planUser } from "../../packages/server/src/credentials/ledger.ts";
import {
  Credentials,
  type CredentialsPorts,
} from "../../packages/server/src/credentials/service.ts";
import { postgresEngine } from "../../packages/server/src/engines/postgres/engine.ts";
import { scramCrypto } from "../../packages/server/src/engines/postgres/scram-crypto.ts";
import { createLogger } from "../../packages/server/src/logger.ts";
import type { Store } from "../../packages/server/src/store/store.ts";
import {
  createGrantId,
  createPersonId,
  createRequestId,
  type DeviceId,
  type GrantId,
  type Random,
} from "../../packages/shared/src/ids.ts";
import { Secret } from "../../packages/shared/src/secret.ts";

export const random: Random = { bytes: (count) => randomBytes(count) };
export const systemClock = { now: () => Date.now() };

/** 32 bytes for every test: what is derived from them is theirs alone, since user names are random. */
export const masterKey = { id: "key-1", key: new Secret(Buffer.alloc(32, 7).toString("base64")) };

/** The trail without its journal: what is staged stays in the store, where tests read it. */
export const stagingTrail: Trail = {
  async stage(tx, event) {
    await tx
      .insertInto("audit_outbox")
      .values({ event: JSON.stringify(event) })
      .execute();
  },
  async drain() {},
};

export function createCredentials(
  store: Store,
  database: DatabaseConfig,
  ports: Partial<CredentialsPorts> = {},
): Credentials {
  return new Credentials({
    config: { databases: new Map([[database.name, database]]), masterKey },
    installation: "test",
    engines: [postgresEngine],
    store,
    trail: stagingTrail,
    clock: systemClock,
    random,
    crypto: scramCrypto,
    log: createLogger({ write() {} }, "json"),
    sessions: {
      loginsSettled: async () => {},
      ownedBackends: () => [],
      isDraining: () => false,
    },
    ...ports,
  });
}

/** A grant of alice's that is active for so long, and its planned user. */
export async function addGrant(
  store: Store,
  database: string,
  profile: string,
  lifeMs: number,
  installation = "test",
  drainMs = 0,
): Promise<GrantId> {
  const now = systemClock.now();
  const [person, request, grant] = [
    createPersonId(random),
    createRequestId(random),
    createGrantId(random),
  ];
  const device = `device-of-${person}` as DeviceId;
  await store.transaction(async (tx) => {
    await tx
      .insertInto("people")
      .values({ id: person, name: `alice-${person}`, created_at: now })
      .execute();
    await tx
      .insertInto("devices")
      .values({
        id: device,
        person_id: person,
        label: "",
        first_address: "127.0.0.1",
        first_seen_at: now,
      })
      .execute();
    await tx
      .insertInto("requests")
      .values({
        id: request,
        person_id: person,
        device_id: device,
        database_name: database,
        profile,
        duration_ms: lifeMs,
        reason: "",
        state: "approved",
        policy: "all",
        approvals_needed: 0,
        approver_groups: "[]",
        digest: "",
        created_at: now,
        lapses_at: now,
      })
      .execute();
    await tx
      .insertInto("grants")
      .values({
        id: grant,
        request_id: request,
        person_id: person,
        device_id: device,
        database_name: database,
        profile,
        starts_at: now,
        ends_at: now + lifeMs,
        drain_ms: drainMs,
        state: "active",
      })
      .execute();
    await planUser(
      tx,
      {
        grantId: grant,
        databaseName: database,
        profile,
        personName: "alice",
        installation,
        keyId: masterKey.id,
        validUntil: now + lifeMs,
        drainMs,
      },
      { clock: systemClock, random },
    );
  });
  return grant;
}

/** What revoking does to the ledger. */
export async function endNow(store: Store, grant: GrantId): Promise<void> {
  await store.db
    .updateTable("ephemeral_users")
    .set({ end_due_at: systemClock.now() })
    .where("grant_id", "=", grant)
    .execute();
}

export async function ledgerRow(store: Store, grant: GrantId) {
  return await store.db
    .selectFrom("ephemeral_users")
    .selectAll()
    .where("grant_id", "=", grant)
    .executeTakeFirstOrThrow();
}

/** The audit's records so far, of all kinds. */
export async function records(store: Store): Promise<AuditEvent[]> {
  const rows = await store.db.selectFrom("audit_outbox").selectAll().orderBy("id").execute();
  return rows.map(({ event }) => JSON.parse(event) as AuditEvent);
}

/** Waits until a condition holds, looking every few milliseconds. */
export async function until(condition: () => Promise<boolean>, deadlineMs = 5000): Promise<void> {
  for (const end = Date.now() + deadlineMs; !(await condition()); ) {
    if (Date.now() > end) {
      throw new Error(`It did not happen within ${deadlineMs} ms.`);
    }
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
