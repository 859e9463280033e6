// PgBouncer in session mode, as most people run it in front of a database.

import { chmod, chown, mkdir, writeFile } from "node:fs/promises";
import { userInfo } from "node:os";
import { join } from "node:path";
import { execa } from "execa";
import { freePort } from "../../test/support/installation.ts";
import type { Site } from "../site.ts";
import type { Path } from "./path.ts";
import { findTool } from "./tools.ts";

export async function startPgbouncer(site: Site): Promise<Path> {
  const folder = join(site.folder, "pgbouncer");
  await mkdir(folder, { mode: 0o755 });
  const { postgres } = site;
  const port = await freePort();
  const config = join(folder, "pgbouncer.ini");
  const users = join(folder, "users.txt");
  await writeFile(users, `"${postgres.superuser}" "${postgres.password}"\n`);
  await writeFile(
    config,
    [
      "[databases]",
      `orders = host=127.0.0.1 port=${postgres.port} dbname=orders`,
      "[pgbouncer]",
      ...[`listen_addr = ${site.host}`, `listen_port = ${port}`, "unix_socket_dir ="],
      ...["auth_type = scram-sha-256", `auth_file = ${users}`, "pool_mode = session"],
      ...[
        "default_pool_size = 40",
        "ignore_startup_parameters = extra_float_digits",
        "verbose = 0",
      ],
    ].join("\n"),
  );
  // PgBouncer refuses to run as root.
  const account =
    userInfo().uid === 0
      ? ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"]
      : [];
  if (account.length > 0) {
    await chmod(site.folder, 0o755);
    for (const file of [folder, config, users]) {
      await chown(file, 65_534, 65_534);
    }
  }
  const [program = "", ...args] = [...account, findTool("pgbouncer") ?? "pgbouncer", "-q", config];
  const child = execa(program, args, { reject: false, stdin: "ignore" });
  const environment = {
    ...site.direct,
    PGHOST: site.host,
    PGPORT: String(port),
    PGSSLMODE: "disable",
  };
  await site.untilAnswers(environment);
  return {
    name: "pgbouncer",
    environment,
    pids: () => [child.pid ?? 0],
    async close() {
      child.kill();
      await child;
    },
  };
}
