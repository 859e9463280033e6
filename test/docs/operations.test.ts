// docs/operations.md names limits, and a way to begin: both as the code has them. Its keys: packages/server/src/config/schema.test.ts.

import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { frontLimits } from "../../packages/cli/src/agent/postgres/front.ts";
import { databaseLimits } from "../../packages/server/src/credentials/database-users.ts";
import { serviceLimits } from "../../packages/server/src/credentials/service.ts";
import { adminLimits } from "../../packages/server/src/engines/postgres/admin-connection.ts";
import { gatewayLimits } from "../../packages/server/src/gateway/limits.ts";
import { spareTimes } from "../../packages/server/src/gateway/sessions/spare-sessions.ts";
import { httpLimits } from "../../packages/server/src/http/app.ts";
import { passwordLimits } from "../../packages/server/src/identity/passwords.ts";
import { tunnelLimits } from "../../packages/shared/src/tunnel/limits.ts";
import { runProgram } from "../support/programs.ts";

const docs = join(import.meta.dirname, "..", "..", "docs");
const text = await readFile(join(docs, "operations.md"), "utf8");

test("the limits are those of the code", () => {
  const limits: Readonly<Record<string, unknown>> = {
    maxSessionsPerGrant: gatewayLimits.maxSessionsPerGrant,
    maxStreams: gatewayLimits.tunnel.maxStreams,
    windowBytes: tunnelLimits.windowBytes,
    parkedMs: gatewayLimits.parking.parkedMs,
    busyMs: gatewayLimits.parking.busyMs,
    maxOfPerson: gatewayLimits.parking.maxOfPerson,
    maxClients: frontLimits.maxClients,
    "opens.perSecond": gatewayLimits.opens.perSecond,
    concurrency: databaseLimits.concurrency,
    connections: adminLimits.connections,
    watchMs: serviceLimits.watchMs,
    maxBodyBytes: httpLimits.maxBodyBytes,
    oldestMs: spareTimes.oldestMs,
    atOnce: passwordLimits.atOnce,
  };
  const [, section = ""] = text.split("\n## Sizing\n");
  const rows = Array.from(section.matchAll(/^\| `([\w.]+)` \| (\d+) \|/gm));
  expect(Object.fromEntries(rows.map(([, name, value]) => [name, value]))).toEqual(
    Object.fromEntries(Object.entries(limits).map(([name, value]) => [name, String(value)])),
  );
});

test("init behind a proxy on the same machine works as it is described", async () => {
  const folder = await mkdtemp(join(tmpdir(), "jitdb-operations-"));
  try {
    const run = (...args: string[]) => runProgram("jitdb-server", args, { home: folder });
    const init = await run("init", "--admin", "ada", "--public-url", "https://jitdb.example.com");
    expect(init.exitCode, init.stderr).toBe(0);
    expect(init.stdout).toMatch(/^https:\/\/jitdb\.example\.com\/setup\/[\w-]{43}$/);
    const written = await readFile(join(folder, "jitdb.yaml"), "utf8");
    expect(written).toContain('\ntrustedProxies: ["127.0.0.1","::1"]\n');
    expect((await run("check")).exitCode).toBe(0);
    const format = await readFile(join(docs, "audit-format.md"), "utf8");
    const [, journal = ""] = /^The journal is the folder `(\w+)`/m.exec(format) ?? [];
    expect(await readdir(join(folder, "data", journal))).toEqual(["0000000000000001.jsonl"]);
    const refused = await run("init", "--folder", "open", "--listen", "0.0.0.0:7480");
    expect([refused.exitCode, refused.stderr]).toEqual([
      2,
      expect.stringContaining("plain HTTP is refused off loopback"),
    ]);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});
