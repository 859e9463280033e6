// What a gateway that serves for months keeps of sessions that are gone: nothing.

import { setTimeout as delay } from "node:timers/promises";
import { queryObjects } from "node:v8";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Relay } from "../../packages/server/src/engines/postgres/session/relay.ts";
import { StreamEnd } from "../../packages/server/src/gateway/tunnels/stream-end.ts";
import { eventually } from "../support/eventually.ts";
import { type RunningPostgres, startPostgres } from "../support/postgres.ts";
import { createRig, type Rig } from "./rig.ts";
import { WireClient } from "./wire-client.ts";

let postgres: RunningPostgres;
let rig: Rig;
beforeAll(async () => {
  postgres = await startPostgres({ version: "system" });
  rig = await createRig(postgres);
});
afterAll(async () => {
  await rig.close();
  await postgres.stop();
});

/** Of each kind so many are in memory; asking collects garbage first. */
function counts() {
  const count = (kind: Parameters<typeof queryObjects>[0]) =>
    queryObjects(kind, { format: "count" });
  return {
    relays: count(Relay),
    streams: count(StreamEnd),
    signals: count(AbortSignal),
  };
}

test("sessions leave neither relays nor streams nor signals in memory, with spare ones and with connections made ahead", async () => {
  const grant = await rig.grant("alice");
  const agent = await rig.agent("alice");
  const serve = async (sessions: number) => {
    for (let count = 0; count < sessions; count += 1) {
      const client = await WireClient.open(agent, grant);
      await client.query("select 1");
      client.stream.close();
      await eventually("the session is over", async () => rig.gateway.sessions().length === 0);
    }
    // What an agent does every second. The gateway looks as often which streams rest, and hears the rest with what comes next.
    for (let second = 0; second < 3; second += 1) {
      agent.session.acknowledge();
      agent.session.ping(performance.now());
      agent.flush();
      await delay(1000);
    }
  };
  await serve(5);
  const before = counts();
  const sessions = 40;
  await serve(sessions);
  const after = counts();
  for (const kind of ["relays", "streams", "signals"] as const) {
    expect(after[kind] - before[kind], kind).toBeLessThan(sessions / 4);
  }
});
