// The CLI as a child process with a throwaway home that is logged in to a fake server.

import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Secret } from "@jitdb/shared/secret";
import { execa } from "execa";
import { openCredentials } from "../../packages/cli/src/login/credentials.ts";
import { generateDeviceKey } from "../../packages/cli/src/login/proof.ts";
import { type RunningPostgres, startPostgres } from "../support/postgres.ts";
import { compileCache, programs } from "../support/programs.ts";
import type { FakeServer } from "./fake-server.ts";

export interface Home {
  readonly path: string;
  remove(): Promise<void>;
}

/** A home with a login; the token outlives any test. */
export async function createHome(server: FakeServer): Promise<Home> {
  const path = await mkdtemp(join(tmpdir(), "jitdb-home-"));
  await openCredentials({ home: path, keychain: false }).add(server.address, "alice", {
    key: await generateDeviceKey(),
    refreshToken: new Secret("refresh"),
    accessToken: new Secret("access"),
    accessTokenExpiresAt: Date.now() + 3_600_000,
    clientId: "jitdb-cli",
  });
  return { path, remove: () => rm(path, { recursive: true, force: true }) };
}

export interface CliOptions {
  readonly input?: string;
  readonly env?: Readonly<Record<string, string | undefined>>;
}

/** Starts `jitdb` with the arguments; ended by its pid if the test's process ends. */
export function jitdb(home: Home, args: readonly string[], options: CliOptions = {}) {
  return execa(process.execPath, [programs.jitdb, ...args], {
    reject: false,
    input: options.input ?? "",
    env: {
      JITDB_HOME: home.path,
      NO_COLOR: "1",
      LC_ALL: "C.UTF-8",
      NODE_COMPILE_CACHE: compileCache,
      ...options.env,
    },
  });
}

/** A PostgreSQL that asks for no password, as the fake gateway needs it. */
export async function startTrustingPostgres(): Promise<RunningPostgres> {
  const postgres = await startPostgres({ version: "system" });
  await writeFile(join(postgres.dataFolder, "pg_hba.conf"), "host all all 127.0.0.1/32 trust\n");
  postgres.reload();
  return postgres;
}
