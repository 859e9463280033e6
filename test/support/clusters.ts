// Data folders for throwaway PostgreSQL servers: made by initdb, or copied from one that was made before.

import { execFile } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { chown, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { madeOnce } from "./templates.ts";

const run = promisify(execFile);

/** Whom the server runs as. */
export interface Account {
  readonly uid: number;
  readonly gid: number;
}

/** The databases of initdb, as a folder that is made once; undefined where nothing is. */
export async function emptyCluster(
  found: string,
  binaries: string,
  account: Account | undefined,
): Promise<string | undefined> {
  const installed = createHash("sha256").update(found).digest("hex").slice(0, 16);
  return await madeOnce(`cluster-${installed}`, async (folder) => {
    if (account !== undefined) {
      await chown(folder, account.uid, account.gid);
    }
    // In MB: all that is there is copied for each server.
    const password = await runInitdb(binaries, folder, account, ["--wal-segsize=1"]);
    await writeFile(join(folder, "password"), password, { mode: 0o600 });
  });
}

/** Gives the superuser's password. */
export async function copyCluster(cluster: string, home: string): Promise<string> {
  await run("cp", ["-pR", join(cluster, "data"), join(home, "data")]);
  return await readFile(join(cluster, "password"), "utf8");
}

/** Makes the data folder, and gives the superuser's password. */
export async function runInitdb(
  binaries: string,
  home: string,
  account: Account | undefined,
  more: readonly string[] = [],
): Promise<string> {
  const password = randomBytes(18).toString("base64url");
  const passwordFile = join(home, "initial-password");
  await writeFile(passwordFile, password, { mode: 0o600 });
  if (account !== undefined) {
    await chown(passwordFile, account.uid, account.gid);
  }
  const options = [
    "--username=postgres",
    "--encoding=UTF8",
    "--locale=C",
    "--auth=scram-sha-256",
    "--no-sync",
    ...more,
  ];
  await run(
    join(binaries, "initdb"),
    [...options, `--pwfile=${passwordFile}`, `--pgdata=${join(home, "data")}`],
    { cwd: home, env: plainEnvironment(), ...account },
  );
  await rm(passwordFile);
  return password;
}

/** No PG* variable of ours may steer the server. */
export function plainEnvironment(): NodeJS.ProcessEnv {
  return { PATH: process.env["PATH"], LC_ALL: "C", TZ: "UTC" };
}
