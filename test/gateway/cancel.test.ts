// Cancel requests: they reach the client's own statement and nobody else's (invariant 16).

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import {
  type BackendKeyData,
  parseBackendKeyData,
} from "../../packages/shared/src/postgres/backend.ts";
import { encodeQuery } from "../../packages/shared/src/postgres/encoder.ts";
import { backendMessages } from "../../packages/shared/src/postgres/messages.ts";
import { encodeCancelRequest } from "../../packages/shared/src/postgres/startup.ts";
import { type RunningPostgres, startPostgres } from "../support/postgres.ts";
import { testedVersions } from "../support/versions.ts";
import { createRig, type Rig } from "./rig.ts";
import { WireClient } from "./wire-client.ts";

function keyOf(client: WireClient): BackendKeyData {
  const message = client.greeting.find(({ type }) => type === backendMessages.BackendKeyData);
  return parseBackendKeyData(message?.body ?? new Uint8Array(0));
}

describe.each(testedVersions)("a cancel on the %s PostgreSQL", (version) => {
  let postgres: RunningPostgres;
  let rig: Rig;
  beforeAll(async () => {
    postgres = await startPostgres({ version });
  });
  afterAll(() => postgres.stop());
  beforeEach(async () => {
    rig = await createRig(postgres, { limits: { cancels: { burst: 4, perSecond: 1 } } });
  });
  afterEach(() => rig.close());

  test("cancels its own statement, and ends when the database has taken it", async () => {
    const grant = await rig.grant("alice");
    const agent = await rig.agent("alice");
    const client = await WireClient.open(agent, grant);
    await client.send(encodeQuery("select pg_sleep(60)"));
    await rig.asleep();
    const cancel = agent.open("cancel", grant, encodeCancelRequest(keyOf(client)));
    expect(await cancel.untilEnded()).toBeUndefined();
    expect((await client.result()).error).toMatchObject({ code: "57014" });
    expect((await client.query("select 'alive'")).rows).toEqual([["alive"]]);
    expect(rig.records("session.cancel")).toMatchObject([{ forwarded: true, grant }]);
  });

  test("does nothing with the key of another person or grant, a wrong secret or a session that is over", async () => {
    const [hers, his] = [await rig.grant("alice"), await rig.grant("bob")];
    const agent = await rig.agent("alice");
    const other = await WireClient.open(await rig.agent("bob"), his);
    const { processId, secret } = keyOf(other);
    const own = await WireClient.open(agent, await rig.grant("alice"));
    const over = await WireClient.open(agent, hers);
    over.stream.close();
    await rig.recorded("session.closed");
    const packets = [
      encodeCancelRequest({ processId, secret }),
      encodeCancelRequest(keyOf(own)),
      encodeCancelRequest({ processId, secret: secret.map((byte) => byte ^ 1) }),
      encodeCancelRequest(keyOf(over)),
    ];
    for (const packet of packets) {
      const cancel = agent.open("cancel", hers, packet);
      expect(await cancel.untilEnded()).toBeUndefined();
    }
    expect((await other.query("select pg_sleep(0.05), 'untouched'")).rows).toMatchObject([
      ["", "untouched"],
    ]);
    expect((await own.query("select pg_sleep(0.05), 'untouched'")).error).toBeUndefined();
    expect(rig.records("session.cancel").map(({ forwarded }) => forwarded)).toEqual(
      packets.map(() => false),
    );
  });

  test("is refused with somebody else's grant, and when it comes too often", async () => {
    const [hers, his] = [await rig.grant("alice"), await rig.grant("bob")];
    const agent = await rig.agent("alice");
    const packet = encodeCancelRequest({ processId: 1, secret: new Uint8Array(4) });
    const outcome = async (grant: string) =>
      (await agent.open("cancel", grant, packet).untilEnded())?.code;
    expect(await outcome(his)).toBe("grant.unknown");
    expect(await outcome(hers)).toBeUndefined();
    expect(await outcome(hers)).toBeUndefined();
    expect(await outcome(hers)).toBeUndefined();
    expect(await outcome(hers)).toBe("limit.reached");
  });

  test("hits no statement that the client sends behind its end", async () => {
    const grant = await rig.grant("alice");
    const agent = await rig.agent("alice");
    const client = await WireClient.open(agent, grant);
    for (let round = 0; round < 3; round += 1) {
      const cancel = agent.open("cancel", grant, encodeCancelRequest(keyOf(client)));
      expect(await cancel.untilEnded()).toBeUndefined();
      // The signal was sent before the socket was closed, and a server that waits for its client takes no notice of it.
      expect((await client.query("select pg_sleep(0.05), 'next'")).rows).toMatchObject([
        ["", "next"],
      ]);
    }
  });

  test("gives clients a secret that the database does not know", async () => {
    const grant = await rig.grant("alice");
    const client = await WireClient.open(await rig.agent("alice"), grant);
    const { processId, secret } = keyOf(client);
    expect(processId).toBe(rig.gateway.sessions()[0]?.backendPid);
    expect(secret).toHaveLength(4);
  });
});
