// Two network namespaces of our own with a long path between them. The bench runs in one, its clients in the other.

import { rm } from "node:fs/promises";
import { join } from "node:path";
import { execa } from "execa";

export const nearAddress = "10.99.0.1";
const farAddress = "10.99.0.2";

/** One way, in microseconds: a round trip takes 50 ms. */
const delayMicros = 25_000;

export interface LongPath {
  /** Stands in front of a command that runs at this end. */
  readonly near: readonly string[];
  readonly far: readonly string[];
  close(): Promise<void>;
}

/** Needs root, gcc and ip. Whoever makes it calls `close` on every path. */
export async function createLongPath(folder: string): Promise<LongPath> {
  const names = { near: `jitdb-near-${process.pid}`, far: `jitdb-far-${process.pid}` };
  const program = join(folder, "delay");
  await execa("gcc", ["-O2", "-o", program, join(import.meta.dirname, "delay.c")]);
  const ip = (...args: string[]) => execa("ip", args);
  const inside = (name: string) => ["ip", "netns", "exec", name];
  for (const name of Object.values(names)) {
    await ip("netns", "add", name);
    await ip("-n", name, "link", "set", "lo", "up");
  }
  const ends = [
    [names.near, nearAddress],
    [names.far, farAddress],
  ] as const;
  for (const [name, address] of ends) {
    await ip("-n", name, "tuntap", "add", "dev", "path", "mode", "tun");
    await ip("-n", name, "addr", "add", `${address}/30`, "dev", "path");
    await ip("-n", name, "link", "set", "path", "up", "txqueuelen", "10000");
  }
  const devices = [names.near, "path", names.far, "path", String(delayMicros)];
  // In a group of its own: Ctrl-C must not take the network from those who say goodbye over it.
  const delay = execa(program, devices, { reject: false, detached: true });
  return {
    near: inside(names.near),
    far: inside(names.far),
    async close() {
      delay.kill();
      await delay;
      for (const name of Object.values(names)) {
        await ip("netns", "del", name);
      }
      await rm(program);
    },
  };
}
