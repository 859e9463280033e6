// Two Node programs that only relay: what Node costs before jitdb does anything. Says how far a floor can be reached at all.

import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { execa } from "execa";
import { freePort } from "../../test/support/installation.ts";
import type { Site } from "../site.ts";
import type { BareSettings } from "./bare-relay.ts";
import type { Path } from "./path.ts";

export async function startBare(site: Site): Promise<Path> {
  const [cert, key] = ["bare.crt", "bare.key"].map((name) => join(site.folder, name));
  const make = ["req", "-new", "-x509", "-days", "2", "-nodes", "-newkey", "ec"];
  const curve = ["-pkeyopt", "ec_paramgen_curve:prime256v1", "-subj", "/CN=bare"];
  await execa("openssl", [...make, ...curve, "-keyout", key ?? "", "-out", cert ?? ""]);
  const [near, far] = [await freePort(), await freePort()];
  const start = (settings: BareSettings) =>
    execa(
      process.execPath,
      [join(import.meta.dirname, "bare-relay.ts"), JSON.stringify(settings)],
      {
        reject: false,
        stdio: "ignore",
      },
    );
  const pem = { cert: await readFile(cert ?? "", "utf8"), key: await readFile(key ?? "", "utf8") };
  const target = site.postgres.port;
  const children = [
    start({ role: "near", host: site.host, port: near, target, ...pem }),
    start({ role: "far", host: site.host, port: far, target: near }),
  ];
  const environment = {
    ...site.direct,
    PGHOST: "127.0.0.1",
    PGPORT: String(far),
    PGSSLMODE: "disable",
  };
  await site.untilAnswers(environment);
  return {
    name: "bare",
    environment,
    pids: () => children.map(({ pid }) => pid ?? 0),
    async close() {
      for (const child of children) {
        child.kill();
        await child;
      }
    },
  };
}
