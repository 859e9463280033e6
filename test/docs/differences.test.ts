// Differences between a tunnelled and a direct connection that docs/wire-support.md lists and no other test shows.

import { connect } from "node:net";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { scramCrypto } from "../../packages/server/src/engines/postgres/scram-crypto.ts";
import { parseNegotiateProtocolVersion } from "../../packages/shared/src/postgres/backend.ts";
import {
  encodeSaslInitialResponse,
  encodeSaslResponse,
} from "../../packages/shared/src/postgres/encoder.ts";
import { backendMessages } from "../../packages/shared/src/postgres/messages.ts";
import { ScramClient } from "../../packages/shared/src/postgres/scram/client.ts";
import { deriveKeys } from "../../packages/shared/src/postgres/scram/verifier.ts";
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
});

it("a client on the port that asks for a version that there is not is told behind its password, not before", async () => {
  const { ready } = await fixture.connect();
  // Beyond what any server speaks.
  const nextVersion = protocolVersions.v3_2 + 1;
  const socket = connect(ready.port, ready.host);
  const chunks: AsyncIterator<Buffer> = socket[Symbol.asyncIterator]();
  const client = new WireClient({
    read: async () => (await chunks.next()).value,
    write: async (bytes: Uint8Array) => {
      socket.write(bytes);
    },
  });
  const parameters = [{ name: "user", value: Buffer.from("alice") }];
  await client.send(encodeStartupMessage({ version: nextVersion, parameters }));
  const scram = new ScramClient(scramCrypto, { mechanisms: ["SCRAM-SHA-256"] });
  const types = [(await client.next())?.type];
  await client.send(encodeSaslInitialResponse({ mechanism: scram.mechanism, data: scram.first() }));
  const { salt, iterations } = scram.challenge(await authenticationData());
  await client.send(
    encodeSaslResponse(
      scram.respond(await deriveKeys(scramCrypto, ready.password, salt, iterations)),
    ),
  );
  scram.verify(await authenticationData());
  const { Authentication, NegotiateProtocolVersion } = backendMessages;
  const negotiation = await client.next();
  types.push(negotiation?.type, (await client.next())?.type);
  socket.destroy();
  expect(types).toEqual([Authentication, NegotiateProtocolVersion, Authentication]);
  expect(parseNegotiateProtocolVersion(negotiation?.body ?? new Uint8Array(0))).toEqual({
    version: fixture.postgres.majorVersion < 18 ? protocolVersions.v3_0 : protocolVersions.v3_2,
    unknownOptions: [],
  });

  async function authenticationData(): Promise<Uint8Array> {
    return (await client.next())?.body.subarray(4) ?? new Uint8Array(0);
  }
});
