// Differences between a tunnelled and a direct connection that docs/wire-support.md lists and no other test shows.

import { once } from "node:events";
import { connect } from "node:net";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { backendMessages } from "../../packages/shared/src/postgres/messages.ts";
import {
  encodeStartupMessage,
  protocolVersions,
} from "../../packages/shared/src/postgres/startup.ts";
import { AgentFixture } from "../agent/agent-fixture.ts";
import { createRig, type Rig } from "../gateway/rig.ts";
import { startUp, WireClient } from "../gateway/wire-client.ts";
import { type RunningPostgres, startPostgres } from "../support/postgres.ts";

const fixture = new AgentFixture();

describe("a tunnelled session", () => {
  let postgres: RunningPostgres;
  let rig: Rig;
  beforeAll(async () => {
    postgres = await startPostgres({ version: "system" });
  });
  afterAll(() => postgres.stop());
  beforeEach(async () => {
    rig = await createRig(postgres);
  });
  afterEach(() => rig.close());

  it("is the grant's user's and comes from the gateway, under the client's application name", async () => {
    const grant = await rig.grant("alice");
    const packet = startUp([
      ["user", "postgres"],
      ["application_name", "the client"],
    ]);
    const client = await WireClient.open(await rig.agent("alice"), grant, packet);
    const { rows } = await client.query(
      `select current_user, session_user, client_addr, application_name
       from pg_stat_activity where pid = pg_backend_pid()`,
    );
    const { userName } = rig.userOf(grant);
    expect(rows).toEqual([[userName, userName, "127.0.0.1", "the client"]]);
  });

  it("hears notifications with the notifier's true process id", async () => {
    const grant = await rig.grant("alice");
    const client = await WireClient.open(await rig.agent("alice"), grant);
    await client.query("listen news");
    const [[pid] = []] = await rig.superuser("select pg_backend_pid()");
    await rig.superuser("notify news, 'hello'");
    const notification = (await client.until(backendMessages.NotificationResponse)).at(-1);
    const body = Buffer.from(notification?.body ?? []);
    expect([body.readInt32BE(), body.subarray(4).toString()]).toEqual([pid, "news\0hello\0"]);
  });

  it("that gives its user a password of its own has locked the gateway out", async () => {
    const grant = await rig.grant("alice");
    const agent = await rig.agent("alice");
    const client = await WireClient.open(agent, grant);
    expect((await client.query("alter role current_user password 'mine'")).error).toBeUndefined();
    await expect(WireClient.open(agent, grant)).rejects.toMatchObject({ code: "postgres.auth" });
    expect((await client.query("select 1")).rows).toEqual([["1"]]);
  });
});

it("a client that asks for protocol 3.2 is told 3.0, and served", async () => {
  const { ready } = await fixture.connect();
  const socket = connect(join(ready.socket, `.s.PGSQL.${ready.port}`));
  const parameters = [{ name: "user", value: Buffer.from("alice") }];
  socket.write(encodeStartupMessage({ version: protocolVersions.v3_2, parameters }));
  const [answer] = await once(socket, "data");
  socket.destroy();
  const head = Buffer.from(answer);
  expect([head[0], head.readInt32BE(5)]).toEqual([
    backendMessages.NegotiateProtocolVersion,
    protocolVersions.v3_0,
  ]);
});
