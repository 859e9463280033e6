// What idle streams keep: gateway and agents as they are shipped, over TLS, read from outside while nobody does anything. No collection is forced:
// what the collector has not looked at yet counts.

import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { tidyingLimits } from "@jitdb/shared/memory/tidying";
import { build } from "../../scripts/build.ts";
import { createInstallation, type Installation } from "../../test/support/installation.ts";
import { unlessInterrupted } from "../interruption.ts";
import { policies } from "../place.ts";
import type { MeasureRounds } from "../report.ts";
import { asShipped, Crowd, clientsPerAgent } from "./crowd.ts";
import { LightDatabase } from "./light-database.ts";
import { memoryOf, type ProcessMemory } from "./process-memory.ts";

/** Until programs have tidied up. */
const restMs = tidyingLimits.intervalMs * (tidyingLimits.looksToRest + 3);

/** Two agents that have done the same differ by a megabyte: the median of so many is held against that of as many others. */
const comparedAgents = 5;

/** The processes while so many streams are idle. */
interface Reading {
  readonly streams: number;
  readonly gateway: ProcessMemory;
  /** In the order in which they got their clients: all but the last one are full. */
  readonly agents: readonly ProcessMemory[];
}

const names = {
  gateway: (streams: number) => `memory: gateway, ${streams.toLocaleString("en")} idle streams`,
  gatewayAbove: "memory: gateway above one stream",
  agentStream: `memory: agent, ${clientsPerAgent} idle streams`,
  agent: "memory: agent",
} as const;

/** Of the measures that come of these numbers. */
export function memoryNames([, ...numbers]: readonly number[]): string[] {
  const { gateway, gatewayAbove, agentStream, agent } = names;
  return [...numbers.map(gateway), gatewayAbove, agentStream, agent];
}

/** @param numbers of idle streams, rising, from 1 on */
export async function measureMemory(numbers: readonly number[]): Promise<MeasureRounds[]> {
  await build();
  const installation = await createInstallation({ postgres: "system", policies, tls: true });
  const crowd = new Crowd(installation);
  const database = await LightDatabase.start(installation);
  try {
    await sendTo(installation, database.port);
    await installation.startServer({ env: asShipped });
    return toMeasures(await unlessInterrupted(read(installation, crowd, numbers)));
  } finally {
    await crowd.close();
    await installation.stop();
    await database.close();
  }
}

async function read(
  installation: Installation,
  crowd: Crowd,
  numbers: readonly number[],
): Promise<Reading[]> {
  // Programs that have worked as much before, for clients who left: what they compiled, and keep for the next, is no stream's.
  await crowd.visit(Math.max(...numbers));
  await crowd.growTo(comparedAgents * clientsPerAgent);
  await crowd.shrinkTo(1);
  const readings: Reading[] = [];
  for (const streams of numbers) {
    await crowd.growTo(streams);
    await delay(restMs);
    const gateway = memoryOf(installation.serverPid ?? 0);
    readings.push({ streams, gateway, agents: crowd.agents.map(memoryOf) });
  }
  return readings;
}

/** Lets the configuration name the database that the sessions go to. */
async function sendTo({ serverFolder, postgres }: Installation, port: number): Promise<void> {
  const file = join(serverFolder, "jitdb.yaml");
  const written = await readFile(file, "utf8");
  await writeFile(file, written.replace(`port: ${postgres.port}`, `port: ${port}`));
}

function toMeasures([one, ...more]: readonly Reading[]): MeasureRounds[] {
  const [some, most] = [more[0], more.at(-1)];
  const idle = middle(one?.agents ?? []);
  // All of them have served a hundred clients, as the others had, whose clients left.
  const full = some?.agents.slice(comparedAgents, Math.floor(some.streams / clientsPerAgent)) ?? [];
  const busy = middle(full);
  if (!(one && some && most && idle && busy)) {
    throw new Error("Without one stream and many more of them there is nothing to compare.");
  }
  return [
    ...more.map(({ streams, gateway }) => {
      const each = (gateway.resident - one.gateway.resident) / (streams - one.streams);
      return toRounds(names.gateway(streams), "KB/stream", each, gateway);
    }),
    toRounds(
      names.gatewayAbove,
      "MB",
      (most.gateway.resident - one.gateway.resident) / 1024,
      most.gateway,
    ),
    toRounds(
      names.agentStream,
      "KB/stream",
      (busy.resident - idle.resident) / clientsPerAgent,
      busy,
    ),
    toRounds(names.agent, "MB", busy.resident / 1024, busy),
  ];
}

/** The one whose memory is the median. */
function middle(processes: readonly ProcessMemory[]): ProcessMemory | undefined {
  return [...processes].sort((a, b) => a.resident - b.resident)[processes.length >> 1];
}

function toRounds(
  measure: string,
  unit: string,
  value: number,
  { resident, proportional }: ProcessMemory,
): MeasureRounds {
  const extras = { "RSS MB": resident / 1024, "PSS MB": proportional / 1024 };
  const paths = [{ path: "jitdb", results: [{ value, extras }], cpuSeconds: [] }];
  return { measure, unit, per: undefined, paths };
}
