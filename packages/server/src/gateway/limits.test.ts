import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { loadConfig } from "../config/load.ts";
import { gatewayLimits, limitsOf } from "./limits.ts";

function load(yaml: string) {
  const folder = mkdtempSync(join(tmpdir(), "jitdb-limits-"));
  try {
    const file = join(folder, "jitdb.yaml");
    writeFileSync(file, `masterKey: \${env:KEY}\n${yaml}`);
    return loadConfig(file, { KEY: Buffer.alloc(32, 7).toString("base64") });
  } finally {
    rmSync(folder, { recursive: true });
  }
}

describe("how silent agents are noticed", () => {
  it("is as the limits say where the configuration says nothing", () => {
    const { config } = load("");
    expect(config && limitsOf(config.tunnel)).toEqual(gatewayLimits);
  });

  it("is as the configuration says; what is busy never waits longer than the rest", () => {
    const { config } = load("tunnel: { ping: 2s, silence: 4s, park: 10s }\n");
    expect(config && limitsOf(config.tunnel)).toEqual({
      ...gatewayLimits,
      tunnel: { ...gatewayLimits.tunnel, pingIntervalMs: 2000, silenceMs: 4000 },
      parking: { ...gatewayLimits.parking, parkedMs: 10_000, busyMs: 10_000 },
    });
  });

  it("is refused where it would never come or never end", () => {
    const { config, problems } = load("tunnel: { ping: 2m, park: 2h }\n");
    expect(config).toBeUndefined();
    expect(problems.filter(({ severity }) => severity === "error")).toMatchObject([
      { line: 2, message: "tunnel.ping: must be a duration between 1s and 60s." },
      { line: 2, message: "tunnel.park: must be a duration between 1s and 3600s." },
    ]);
  });
});
