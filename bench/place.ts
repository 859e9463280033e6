// Starts everything for a run: the database with its table, and the paths to it.

import { chmod, chown, mkdtemp, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { execa } from "execa";
import { build } from "../scripts/build.ts";
import { createInstallation, type Installation } from "../test/support/installation.ts";
import { type Forwarder, startForwarder } from "./far/forwarder.ts";
import { unlessInterrupted } from "./interruption.ts";
import { rowBytes } from "./measures/copy.ts";
import type { Scale } from "./measures/measure.ts";
import { startBare } from "./paths/bare.ts";
import { startJitdb } from "./paths/jitdb.ts";
import type { Path } from "./paths/path.ts";
import { startPgbouncer } from "./paths/pgbouncer.ts";
import { startSsh } from "./paths/ssh.ts";
import { missingLine, type Tool } from "./paths/tools.ts";
import { buildUnrecorded } from "./paths/unrecorded.ts";
import { createSite, type Site } from "./site.ts";

export interface Place {
  readonly site: Site;
  readonly paths: readonly Path[];
  close(): Promise<void>;
}

/** Everything for developers, at once. */
export const policies = `
  - name: bench
    who: { groups: [developers] }
    databases: ["prod-*"]
    profiles: [read-only, read-write]
    maxDuration: 8h
    approval: automatic
`;

/** Rows as `copy in` loads them, and as the table has them: `rowBytes` each. */
function rowOf(number: number): string {
  return `${number}\t0\t`.padEnd(rowBytes - 1, "x");
}

export interface PlaceOptions {
  readonly scale: Scale;
  /** Where the servers of the paths are reached. */
  readonly host: string;
  /** In front of clients' commands. */
  readonly far?: readonly string[];
  /** Whether jitdb without records is there, too. */
  readonly hasUnrecorded?: boolean;
  readonly say: (text: string) => void;
}

export async function createPlace(options: PlaceOptions): Promise<Place> {
  const { scale, host, far = [], hasUnrecorded = false, say } = options;
  const closers: (() => unknown)[] = [];
  const close = async () => {
    for (const closer of closers.splice(0).reverse()) {
      await closer();
    }
  };
  try {
    await build();
    const folder = await mkdtemp(join(tmpdir(), "jitdb-bench-"));
    closers.push(() => rm(folder, { recursive: true, force: true }));
    const install = async () => {
      const installation = await createInstallation({
        postgres: "system",
        policies,
        postgresSettings: { shared_buffers: "256MB", max_wal_size: "2GB" },
      });
      closers.push(() => installation.stop());
      await fill(installation, scale);
      return installation;
    };
    const installation = await install();
    await writeFile(
      join(folder, "rows.tsv"),
      Array.from({ length: scale.rows }, (_, index) => `${rowOf(index + 1)}\n`).join(""),
    );
    const { postgres } = installation;
    let forwarder: Forwarder | undefined;
    if (far.length > 0) {
      await serveTls(installation);
      forwarder = await startForwarder(host, postgres.port);
      closers.push(() => forwarder?.close());
    }
    const site = createSite(folder, postgres, host, forwarder?.port ?? postgres.port, far);
    // What goes over a network is encrypted on every path, what stays on the machine on none but where it has to be.
    const direct = { ...site.direct, PGSSLMODE: far.length > 0 ? "require" : "disable" };
    const paths: Path[] = [
      { name: "direct", environment: direct, pids: () => [], close: async () => undefined },
    ];
    const add = async (name: string, tools: readonly Tool[], start: () => Promise<Path>) => {
      const missing = missingLine(tools);
      if (missing !== undefined) {
        say(`Without ${name}: ${missing}`);
        return;
      }
      const path = await unlessInterrupted(start());
      closers.push(() => path.close());
      paths.push(path);
    };
    await add("ssh -L", ["ssh", "sshd", "ssh-keygen"], () => startSsh(site));
    if (far.length === 0) {
      await add("PgBouncer", ["pgbouncer"], () => startPgbouncer(site));
      await add("a bare relay", ["openssl"], () => startBare(site));
    }
    if (hasUnrecorded) {
      await add("jitdb without records", ["openssl"], async () => {
        const program = await buildUnrecorded();
        return await startJitdb(site, await install(), program);
      });
    }
    await add("jitdb", ["openssl"], () => startJitdb(site, installation));
    return { site, paths, close };
  } catch (error) {
    await close();
    throw error;
  }
}

/** The table that all measures read, and who may. */
async function fill(installation: Installation, { rows }: Scale): Promise<void> {
  await installation.asSuperuser(`
    CREATE TABLE app.bench (aid int PRIMARY KEY, abalance int, filler text);
    INSERT INTO app.bench SELECT i, 0, repeat('x', ${rowBytes - 4} - length(i::text))
      FROM generate_series(1, ${rows}) AS i;`);
  await installation.asSuperuser("VACUUM ANALYZE app.bench");
  await installation.asSuperuser(grantAll);
}

/** From now on the database answers requests for TLS. */
async function serveTls(installation: Installation): Promise<void> {
  const { postgres } = installation;
  const { uid, gid } = await stat(postgres.dataFolder);
  const files = ["server.key", "server.crt"].map((name) => join(postgres.dataFolder, name));
  const [key = "", cert = ""] = files;
  const make = ["req", "-new", "-x509", "-days", "2", "-nodes", "-newkey", "ec"];
  const curve = ["-pkeyopt", "ec_paramgen_curve:prime256v1", "-subj", "/CN=bench"];
  await execa("openssl", [...make, ...curve, "-keyout", key, "-out", cert]);
  for (const file of files) {
    await chown(file, uid, gid);
    await chmod(file, 0o600);
  }
  await installation.asSuperuser("ALTER SYSTEM SET ssl = on");
  postgres.reload();
}

/** The table came behind the profile's one-time SQL. */
const grantAll = `
  DO $$ DECLARE role text; BEGIN
    FOR role IN SELECT rolname FROM pg_roles WHERE rolname LIKE 'jitdb\\_prod%' LOOP
      EXECUTE format('GRANT ALL ON ALL TABLES IN SCHEMA app TO %I', role);
    END LOOP;
  END $$`;
