// A database that is cut off without a word, as by a network that drops packets (invariant 30): an end that was due meanwhile
// is at most a second late after it is back.

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createLogger } from "../../packages/server/src/logger.ts";
import { openMemoryStore } from "../../packages/server/src/store/store.ts";
import { testedVersions } from "../support/versions.ts";
import { createFixture, type Fixture } from "./fixture.ts";
import {
  addGrant,
  createCredentials,
  endNow,
  ledgerRow,
  records,
  systemClock,
  until,
} from "./service-fixture.ts";

/** Passes everything on to PostgreSQL; a process of its own, so that it can be stopped and its queue of connections fills up. */
const passerScript = `
import { connect, createServer } from "node:net";
const server = createServer((socket) => {
  const upstream = connect(Number(process.argv[1]), "127.0.0.1");
  for (const [here, there] of [[socket, upstream], [upstream, socket]]) {
    here.pipe(there);
    here.on("error", () => there.destroy());
    here.on("close", () => there.destroy());
  }
});
server.listen({ port: 0, host: "127.0.0.1", backlog: 1 }, () => console.log(server.address().port));`;

describe.each(testedVersions)("a partition from the %s PostgreSQL", (version) => {
  let fixture: Fixture;
  let passer: ChildProcess;
  let port: number;
  const fillers: Socket[] = [];
  beforeAll(async () => {
    fixture = await createFixture(version);
    const args = ["--input-type=module", "-e", passerScript, String(fixture.server.port)];
    passer = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "inherit"] });
    const [line] = passer.stdout === null ? [] : await once(passer.stdout, "data");
    port = Number(String(line));
  });
  afterAll(async () => {
    passer.kill("SIGKILL");
    for (const filler of fillers) {
      filler.destroy();
    }
    await fixture.stop();
  });

  /** From now on nobody answers on the port: packets of new connections are dropped, those of old ones lie about. */
  async function cutOff(): Promise<void> {
    passer.kill("SIGSTOP");
    let isFull = false;
    while (!isFull) {
      const filler = connect(port, "127.0.0.1").on("error", () => {});
      fillers.push(filler);
      const answered = once(filler, "connect").then(() => true);
      const silent = new Promise<false>((resolve) => setTimeout(resolve, 300, false));
      isFull = !(await Promise.race([answered, silent]));
    }
  }

  test("ends the user within a second after it is over, and the lateness is on record (invariant 30)", async () => {
    const store = await openMemoryStore(systemClock);
    const database = { ...fixture.database, port };
    const lines: string[] = [];
    const log = createLogger({ write: (line) => lines.push(line) }, "json");
    const service = createCredentials(store, database, { log });
    const grant = await addGrant(store, "prod-orders", "read-only", 3_600_000);
    await service.start();
    await until(async () => (await ledgerRow(store, grant)).state === "created");
    const { user_name: name } = await ledgerRow(store, grant);
    await cutOff();
    await endNow(store, grant);
    await until(async () => lines.some((line) => line.includes("cannot be reached")), 10_000);
    // The old connections are found out; some new ones are tried in vain.
    await new Promise((resolve) => setTimeout(resolve, 2500));
    expect((await fixture.superuser(`SELECT FROM pg_roles WHERE rolname = '${name}'`)).length).toBe(
      1,
    );
    passer.kill("SIGCONT");
    const backAt = Date.now();
    await until(async () => (await ledgerRow(store, grant)).state === "dropped");
    expect(Date.now() - backAt).toBeLessThan(1000);
    const locked = (await records(store)).find((record) => record.kind === "user.locked");
    expect(locked !== undefined && "latenessMs" in locked && locked.latenessMs).toBeGreaterThan(
      1000,
    );
    await service.stop();
    await store.close();
  });
});
