// What a client's start-up does to its session, on real servers (invariant 15).

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { logIn } from "../../packages/server/src/engines/postgres/session/login.ts";
import { ScramKeyCache } from "../../packages/server/src/engines/postgres/session/scram-keys.ts";
import { isAllowedStartUpSetting } from "../../packages/server/src/engines/postgres/start-up-settings.ts";
import type { GrantUser } from "../../packages/server/src/gateway/sessions/open-session.ts";
import { protocolVersions } from "../../packages/shared/src/postgres/startup.ts";
import { type RunningPostgres, startPostgres } from "../support/postgres.ts";
import { testedVersions } from "../support/versions.ts";
import { createRig, type Rig } from "./rig.ts";
import { startUp, WireClient } from "./wire-client.ts";

describe.each(testedVersions)("a start-up on the %s PostgreSQL", (version) => {
  let postgres: RunningPostgres;
  let rig: Rig;
  beforeAll(async () => {
    postgres = await startPostgres({ version });
  });
  afterAll(() => postgres.stop());
  beforeEach(async () => {
    rig = await createRig(postgres);
  });
  afterEach(() => rig.close());

  test("gives the same settings as a direct one", async () => {
    const grant = await rig.grant("alice");
    const options =
      '-c work_mem=8MB --search-path="a\\ b",public -cstatement_timeout=1234 -c app.tenant=x\\\\y -fsS64kB -f h -D /nowhere -eb';
    const settings = [
      ["application_name", "the client"],
      ["client_encoding", "LATIN1"],
      ["DateStyle", "SQL, DMY"],
      ["TimeZone", "Asia/Kathmandu"],
      ["options", options],
    ] as const;
    const all = "select name, setting from pg_show_all_settings() order by 1";
    const direct = await logInDirectly(postgres, rig.userOf(grant), settings);
    const expected = (await direct.query(all)).rows;
    const agent = await rig.agent("alice");
    const client = await WireClient.open(agent, grant, startUp([["user", "who"], ...settings]));
    expect((await client.query(all)).rows).toEqual(expected);
    expect((await client.query("show app.tenant")).rows).toEqual([["x\\y"]]);
    expect(await rig.recorded("session.opened")).toMatchObject([
      { application: "the client", encoding: "LATIN1", parameters: { work_mem: "8MB" } },
    ]);
  });

  test("may bring along every setting that any role may SET, and no other", async () => {
    const settings = await rig.superuser("select name, context from pg_settings");
    const isAllowed = ([name]: unknown[]) => isAllowedStartUpSetting(String(name));
    expect(
      settings.filter(([, context]) => context === "user").filter((row) => !isAllowed(row)),
    ).toEqual([]);
    expect(settings.filter(([, context]) => context !== "user").filter(isAllowed)).toEqual([]);
  });

  test("tells the client about a setting that the server does not take", async () => {
    const grant = await rig.grant("alice");
    const agent = await rig.agent("alice");
    const packet = startUp([["TimeZone", "Nowhere/Land"]]);
    await expect(WireClient.open(agent, grant, packet)).rejects.toMatchObject({
      code: "postgres.start_up",
      message: expect.stringContaining("Nowhere/Land"),
    });
  });

  test.each([
    ["options", "-c role=postgres", "postgres.start_up"],
    ["replication", "database", "postgres.replication"],
    ["database", "template1", "database.unknown"],
  ])("refuses %s=%s before a login, on record (invariants 15, 27)", async (name, value, code) => {
    const grant = await rig.grant("alice");
    const agent = await rig.agent("alice");
    const packet = startUp([
      ["user", "postgres"],
      [name, value],
    ]);
    await expect(WireClient.open(agent, grant, packet)).rejects.toMatchObject({ code });
    expect(rig.records("session.refused")).toMatchObject([{ code, grant, person: "alice" }]);
    expect(rig.records("session.opened")).toEqual([]);
  });
});

/** The same packet but for user and database, straight to the server. */
async function logInDirectly(
  { host, port }: RunningPostgres,
  { userName, password }: GrantUser,
  settings: readonly (readonly [string, string])[],
) {
  const { connection } = await logIn({
    database: {
      name: "direct",
      host,
      port,
      database: "postgres",
      tls: { mode: "disable" },
    },
    user: { name: userName, password },
    version: protocolVersions.v3_0,
    settings: settings.map(([name, value]) => ({ name, value: Buffer.from(value) })),
    keys: new ScramKeyCache(),
    signal: AbortSignal.timeout(5000),
  });
  const { socket } = connection;
  const chunks: AsyncIterator<Buffer> = socket[Symbol.asyncIterator]();
  return new WireClient({
    read: async () => (await chunks.next()).value,
    write: async (bytes: Uint8Array) => {
      socket.write(bytes);
    },
  });
}
