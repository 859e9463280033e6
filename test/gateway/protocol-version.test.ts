// Which version of the protocol a client gets: the one that the database's own server would have agreed to.

import { once } from "node:events";
import { connect } from "node:net";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { logIn } from "../../packages/server/src/engines/postgres/session/login.ts";
import { ScramKeyCache } from "../../packages/server/src/engines/postgres/session/scram-keys.ts";
import { parseBackendKeyData } from "../../packages/shared/src/postgres/backend.ts";
import { type Message, MessageCollector } from "../../packages/shared/src/postgres/decoder.ts";
import { encodeQuery } from "../../packages/shared/src/postgres/encoder.ts";
import { backendMessages } from "../../packages/shared/src/postgres/messages.ts";
import {
  encodeCancelRequest,
  encodeStartupMessage,
} from "../../packages/shared/src/postgres/startup.ts";
import { type RunningPostgres, startPostgres } from "../support/postgres.ts";
import { testedVersions } from "../support/versions.ts";
import { createRig, type Rig } from "./rig.ts";
import { WireClient } from "./wire-client.ts";

function startUp(version: number, user: string, options: readonly string[]): Uint8Array {
  return encodeStartupMessage({
    version,
    parameters: [
      { name: "user", value: Buffer.from(user) },
      ...options.map((name) => ({ name, value: Buffer.from("on") })),
    ],
  });
}

function keyOf(client: WireClient) {
  const message = client.greeting.find(({ type }) => type === backendMessages.BackendKeyData);
  return parseBackendKeyData(message?.body ?? new Uint8Array(0));
}

/** What a server says of the version: its messages before it asks for a password. */
async function negotiateDirectly(
  { port, host }: RunningPostgres,
  packet: Uint8Array,
): Promise<Message[]> {
  const socket = connect({ host, port });
  socket.write(packet);
  const messages = new MessageCollector("backend", 8192);
  const said: Message[] = [];
  for (;;) {
    const [chunk]: Uint8Array[] = await once(socket, "data");
    messages.push(chunk ?? new Uint8Array(0));
    for (let message = messages.next(); message; message = messages.next()) {
      if (message.type === backendMessages.Authentication) {
        socket.destroy();
        return said;
      }
      said.push({ type: message.type, body: Buffer.from(message.body) });
    }
  }
}

describe.each(testedVersions)("a client of the %s PostgreSQL", (version) => {
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

  test.each([
    ["3.0", 0x0003_0000, []],
    ["3.0 and an option of the protocol", 0x0003_0000, ["_pq_.x"]],
    ["3.1, which nobody speaks", 0x0003_0001, []],
    ["3.2", 0x0003_0002, []],
    ["3.2 and options of the protocol", 0x0003_0002, ["_pq_.b", "geqo", "_pq_.a", "_pq_.b"]],
    ["3.3", 0x0003_0003, []],
    ["3.9999 and an option, as libpq does to keep servers honest", 0x0003_270f, ["_pq_.test"]],
  ] as const)(
    "that asks for %s gets what the server would have agreed to",
    async (_, asked, options) => {
      const grant = await rig.grant("alice");
      const { userName, password } = rig.userOf(grant);
      const packet = startUp(asked, userName, options);
      const expected = await negotiateDirectly(postgres, packet);
      const client = await WireClient.open(await rig.agent("alice"), grant, packet);
      const end = client.greeting.findIndex(({ type }) => type === backendMessages.Authentication);
      expect(
        client.greeting.slice(0, end).map(({ type, body }) => ({ type, body: Buffer.from(body) })),
      ).toEqual(expected);
      const direct = await logIn({
        database: { ...postgres, name: "", tls: { mode: "disable" }, database: "postgres" },
        user: { name: userName, password },
        version: Math.min(asked, 0x0003_0002),
        settings: [],
        keys: new ScramKeyCache(),
        signal: AbortSignal.timeout(5000),
      });
      direct.connection.socket.destroy();
      const key = keyOf(client);
      expect(key.secret.length).toBe(direct.key.secret.length);
      expect(key.processId).toBe(rig.gateway.sessions()[0]?.backendPid);
      expect((await client.query("select 1")).rows).toEqual([["1"]]);
    },
  );

  test("cancels with the key of its version, and with no part of it (invariant 16)", async () => {
    const grant = await rig.grant("alice");
    const agent = await rig.agent("alice");
    const client = await WireClient.open(agent, grant, startUp(0x0003_0002, "me", []));
    const { processId, secret } = keyOf(client);
    expect(secret.length).toBe(postgres.majorVersion >= 18 ? 32 : 4);
    await client.send(encodeQuery("select pg_sleep(60)"));
    await rig.asleep();
    const wrong = [
      secret.length > 4 ? secret.subarray(0, 4) : Uint8Array.of(...secret, 0),
      Uint8Array.of(...secret, ...secret),
      secret.with(-1, (secret.at(-1) ?? 0) ^ 1),
    ];
    for (const guess of wrong) {
      const packet = encodeCancelRequest({ processId, secret: guess });
      expect(await agent.open("cancel", grant, packet).untilEnded()).toBeUndefined();
    }
    const packet = encodeCancelRequest({ processId, secret });
    expect(await agent.open("cancel", grant, packet).untilEnded()).toBeUndefined();
    expect((await client.result()).error).toMatchObject({ code: "57014" });
    expect(rig.records("session.cancel").map(({ forwarded }) => forwarded)).toEqual([
      ...wrong.map(() => false),
      true,
    ]);
  });
});
