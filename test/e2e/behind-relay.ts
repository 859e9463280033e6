// Puts a relay between an installation's server and its PostgreSQL.

import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Installation } from "../support/installation.ts";
import { PostgresRelay } from "../support/postgres-relay.ts";

/** For an installation whose server has not started: from now on its configuration names the relay. The caller closes it. */
export async function startRelay({ postgres, serverFolder }: Installation): Promise<PostgresRelay> {
  const relay = await PostgresRelay.start(postgres);
  const file = join(serverFolder, "jitdb.yaml");
  const written = await readFile(file, "utf8");
  await writeFile(file, written.replace(`port: ${postgres.port}\n`, `port: ${relay.port}\n`));
  return relay;
}
