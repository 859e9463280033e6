// Every way in which the gateway refuses a database client: each in PostgreSQL's words, with a SQLSTATE and what to do next.

import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { type ErrorCode, JitdbError } from "../../packages/shared/src/errors.ts";
import type { DeviceId, GrantId } from "../../packages/shared/src/ids.ts";
import { parseErrorResponse } from "../../packages/shared/src/postgres/backend.ts";
import { encodeRefusal } from "../../packages/shared/src/postgres/native-error.ts";
import { Secret } from "../../packages/shared/src/secret.ts";
import { type RunningPostgres, startPostgres } from "../support/postgres.ts";
import { createRig, type Rig, type RigOptions } from "./rig.ts";
import { startUp, WireClient } from "./wire-client.ts";

const durationMs = 600_000;

interface Refusal {
  readonly code: ErrorCode;
  /** As the client sees it, before its session is open. */
  readonly sqlstate: string;
  readonly message: string | RegExp;
  readonly hint: string | RegExp;
  readonly options?: RigOptions;
  /** Sets the stage; what it returns is opened in the place of the grant. */
  readonly arrange?: (rig: Rig, grant: GrantId) => Promise<unknown> | unknown;
  readonly caller?: { readonly deviceId: DeviceId };
  readonly packet?: Uint8Array;
}

const alice = (rig: Rig) => rig.access.caller("alice");
const devicesOf = (rig: Rig) =>
  rig.access.store.db.updateTable("devices").where("person_id", "=", alice(rig).personId);
const changeGrant = (rig: Rig, grant: GrantId, fields: object) =>
  rig.access.store.db.updateTable("grants").set(fields).where("id", "=", grant).execute();
const makeUser = (rig: Rig, grant: GrantId, fields: object) =>
  rig.setUser(grant, { ...rig.userOf(grant), ...fields });

const refusals: Readonly<Record<string, Refusal>> = {
  "a grant that is not there": {
    code: "grant.unknown",
    sqlstate: "42501",
    message: "You have no grant grt_none.",
    hint: "List yours with `jitdb grants`.",
    arrange: () => "grt_none",
  },
  "somebody else's grant": {
    code: "grant.unknown",
    sqlstate: "42501",
    message: /^You have no grant grt_test2\.$/,
    hint: "List yours with `jitdb grants`.",
    arrange: (rig) => rig.grant("bob", durationMs),
  },
  "a grant whose time is over": {
    code: "grant.expired",
    sqlstate: "57P01",
    message: "The time for prod-orders is over.",
    hint: "Ask again with `jitdb request prod-orders --for 30m`.",
    arrange: (rig) => {
      rig.access.clock.ms += durationMs;
    },
  },
  "a grant that was revoked": {
    code: "grant.revoked",
    sqlstate: "57P01",
    message: "The grant for prod-orders was revoked: enough",
    hint: /jitdb request prod-orders/,
    arrange: async (rig, grant) => {
      await changeGrant(rig, grant, { state: "ended", end: "revoked", end_reason: "enough" });
    },
  },
  "a device that nobody has confirmed": {
    code: "device.unconfirmed",
    sqlstate: "42501",
    message: "Nobody has confirmed this device yet.",
    hint: /jitdb devices confirm phone/,
    caller: { deviceId: "phone" as DeviceId },
    arrange: async (rig) => {
      await rig.access.addDevice("alice", "phone");
    },
  },
  "a device that is nobody's": {
    code: "login.required",
    sqlstate: "28000",
    message: "This device is not logged in as alice.",
    hint: "Run `jitdb login`.",
    caller: { deviceId: "stolen" as DeviceId },
  },
  "a device that was revoked": {
    code: "login.expired",
    sqlstate: "28000",
    message: "The login of this device was revoked.",
    hint: "Run `jitdb login` again.",
    arrange: async (rig) => {
      await devicesOf(rig).set({ revoked_at: 1 }).execute();
    },
  },
  "a person who is disabled": {
    code: "login.disabled",
    sqlstate: "28000",
    message: "The account of alice is disabled.",
    hint: "Ask an administrator to enable the account.",
    arrange: async (rig) => {
      await rig.access.disable("alice");
    },
  },
  "a database that was taken out of the configuration": {
    code: "database.unknown",
    sqlstate: "3D000",
    message: "The database gone is no longer configured.",
    hint: "List them with `jitdb databases`.",
    arrange: async (rig, grant) => {
      await changeGrant(rig, grant, { database_name: "gone" });
    },
  },
  "more sessions than a grant may have": {
    code: "limit.reached",
    sqlstate: "53300",
    message: "This grant has 1 sessions already.",
    hint: "Close what you no longer use, then try again.",
    options: { limits: { maxSessionsPerGrant: 1 } },
    arrange: async (rig, grant) => {
      await WireClient.open(await rig.agent("alice"), grant);
    },
  },
  "more sessions than the database may have": {
    code: "limit.reached",
    sqlstate: "53300",
    message: "The database prod-orders has 1 sessions already.",
    hint: "Close what you no longer use, then try again.",
    options: { database: { maxConnections: 1 } },
    arrange: async (rig, grant) => {
      await WireClient.open(await rig.agent("alice"), grant);
    },
  },
  "sessions that are asked for too fast": {
    code: "limit.reached",
    sqlstate: "53300",
    message: "This tunnel has asked for too many of kind session.",
    hint: "Close what you no longer use, then try again.",
    options: { limits: { opens: { burst: 0, perSecond: 0 } } },
  },
  "a user that is still being made": {
    code: "database.not_ready",
    sqlstate: "57P03",
    message: "The user for prod-orders is still being made.",
    hint: "The database user is still being made; try again in a moment.",
    options: { limits: { userRetries: 0 } },
    arrange: (rig, grant) => makeUser(rig, grant, { state: "planned" }),
  },
  "a user that could not be made": {
    code: "database.unavailable",
    sqlstate: "08006",
    message: /^The user for prod-orders could not be made yet: /,
    hint: /jitdb connect/,
    options: { limits: { userRetries: 0 } },
    arrange: (rig, grant) => makeUser(rig, grant, { state: "planned", problem: "down" }),
  },
  "a user that is gone": {
    code: "database.unavailable",
    sqlstate: "08006",
    message: "The user of this grant on prod-orders is gone.",
    hint: /jitdb connect/,
    arrange: (rig, grant) => makeUser(rig, grant, { state: "locked" }),
  },
  "a database that is down": {
    code: "database.unavailable",
    sqlstate: "08006",
    message: /prod-orders/,
    hint: /jitdb connect/,
    options: { database: { port: 1 } },
  },
  "a login that the database refuses": {
    code: "database.password",
    sqlstate: "28P01",
    message: /^The database refused the password/,
    hint: /./,
    arrange: (rig, grant) => makeUser(rig, grant, { password: new Secret("wrong") }),
  },
  "a database that lacks its name": {
    code: "database.misconfigured",
    sqlstate: "08004",
    message: "The server has no such database.",
    hint: "An administrator runs `jitdb-server check`, which names the fix.",
    options: { database: { database: "missing" } },
  },
  "another database than the grant's": {
    code: "database.unknown",
    sqlstate: "3D000",
    message: /the database "secrets" is not part of it/,
    hint: /Leave the database's name out/,
    packet: startUp([
      ["user", "alice"],
      ["database", "secrets"],
    ]),
  },
  "a setting that no session may bring along": {
    code: "postgres.start_up",
    sqlstate: "22023",
    message: /"role" cannot be set here/,
    hint: "Take the parameter out of the connection string.",
    packet: startUp([
      ["user", "alice"],
      ["role", "postgres"],
    ]),
  },
  replication: {
    code: "postgres.replication",
    sqlstate: "0A000",
    message: /^Replication does not pass through jitdb/,
    hint: /./,
    packet: startUp([
      ["user", "alice"],
      ["replication", "database"],
    ]),
  },
  "a start-up that is none": {
    code: "postgres.protocol",
    sqlstate: "08P01",
    message: /./,
    hint: /./,
    packet: Uint8Array.of(0, 0, 0, 9, 0, 3, 0, 0, 1),
  },
  "an audit that can't be written": {
    code: "audit.unavailable",
    sqlstate: "58030",
    message: /./,
    hint: "Nothing ran. An administrator checks the disk of the audit journal.",
    arrange: (rig) => rig.setDiskFull(true),
  },
};

/** Codes of the same sources that no client meets at its start, and where each is met. */
const elsewhere: Readonly<Partial<Record<ErrorCode, string>>> = {
  "postgres.auth": "test/gateway/login.test.ts",
  "database.unsafe_profile": "test/credentials/profiles.test.ts",
  "tunnel.going_away": "test/gateway/ends.test.ts",
  "login.proof": "test/gateway/tunnel.test.ts",
  "login.rate_limited": "test/gateway/tunnel.test.ts",
  "tunnel.protocol": "test/gateway/tunnel.test.ts",
  "tunnel.lost": "test/gateway/resumption.test.ts",
  "access.forbidden": "of decisions: no stream is refused with it",
  "login.stale": "of decisions: no stream is refused with it",
  "grant.not_started": "packages/server/src/access/rules.test.ts",
  "usage.invalid": "an agent of another version names another engine",
  "local.interrupted": "the client has left: nobody reads it",
  "config.invalid": "the server does not start",
};

describe("the gateway's refusals", () => {
  let postgres: RunningPostgres;
  let rig: Rig | undefined;
  beforeAll(async () => {
    postgres = await startPostgres({ version: "system" });
  });
  afterAll(() => postgres.stop());
  afterEach(async () => {
    await rig?.close();
    rig = undefined;
  });

  test.each(Object.entries(refusals))("of %s say what to do next", async (_, refusal) => {
    rig = await createRig(postgres, refusal.options);
    const grant = await rig.grant("alice", durationMs);
    const arranged = await refusal.arrange?.(rig, grant);
    const agent = await rig.agent("alice", { caller: refusal.caller ?? {} });
    const asked = typeof arranged === "string" ? arranged : grant;
    const stream = agent.open("session", asked, refusal.packet ?? startUp());
    const error = await stream.opened().then(
      () => new JitdbError("internal", "It was let in."),
      (thrown: JitdbError) => thrown,
    );
    rig.setDiskFull(false);
    expect(error).toMatchObject({ code: refusal.code });
    const native = parseErrorResponse(encodeRefusal(error).subarray(5));
    expect(native).toMatchObject({ severity: "FATAL", code: refusal.sqlstate });
    expect(native.message).toMatch(refusal.message);
    expect(native.hint).toMatch(refusal.hint);
  });

  test("are all on this list", () => {
    const server = join(import.meta.dirname, "..", "..", "packages", "server", "src");
    const sources = [
      ...["gateway", "gateway/sessions", "gateway/tunnels"].flatMap((folder) =>
        sourcesOf(join(server, folder)),
      ),
      ...sourcesOf(join(server, "engines/postgres/session")),
      join(server, "access/authorize.ts"),
      join(server, "access/standing.ts"),
      join(server, "access/grants/grant.ts"),
    ];
    const thrown = sources.flatMap((file) =>
      Array.from(
        readFileSync(file, "utf8").matchAll(
          /new JitdbError\(\s*"([a-z_.]+)"|code: "([a-z_]+\.[a-z_]+)"/g,
        ),
        ([, direct, tabled]) => direct ?? tabled,
      ),
    );
    const listed = new Set<string>([
      ...Object.values(refusals).map(({ code }) => code),
      ...Object.keys(elsewhere),
    ]);
    expect([...new Set(thrown)].filter((code) => !listed.has(code ?? ""))).toEqual([]);
  });
});

function sourcesOf(folder: string): string[] {
  return readdirSync(folder)
    .filter((name) => name.endsWith(".ts") && !name.endsWith(".test.ts"))
    .map((name) => join(folder, name));
}
