// `ssh -L`: an own sshd and a client that forwards a port to the database.

import { existsSync } from "node:fs";
import { chmod, copyFile, mkdir, writeFile } from "node:fs/promises";
import { userInfo } from "node:os";
import { join } from "node:path";
import { execa, execaSync } from "execa";
import { eventually } from "../../test/support/eventually.ts";
import { freePort } from "../../test/support/installation.ts";
import type { Site } from "../site.ts";
import type { Path } from "./path.ts";
import { findTool } from "./tools.ts";

export async function startSsh(site: Site): Promise<Path> {
  const folder = join(site.folder, "ssh");
  await mkdir(folder, { mode: 0o700 });
  const file = (name: string) => join(folder, name);
  for (const name of ["host", "user"]) {
    await execa("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-f", file(name)]);
  }
  await copyFile(file("user.pub"), file("authorized_keys"));
  await chmod(file("authorized_keys"), 0o600);
  const port = await freePort();
  const forwarded = await freePort();
  await writeFile(
    file("sshd_config"),
    [
      `ListenAddress ${site.host}:${port}`,
      `HostKey ${file("host")}`,
      `AuthorizedKeysFile ${file("authorized_keys")}`,
      `PidFile ${file("sshd.pid")}`,
      ...["StrictModes no", "UsePAM no", "PasswordAuthentication no", "PermitRootLogin yes"],
    ].join("\n"),
  );
  if (userInfo().uid === 0) {
    await mkdir("/run/sshd", { recursive: true });
  }
  const start = (command: readonly string[]) => {
    const [program = "", ...args] = command;
    return execa(program, args, { reject: false, stdin: "ignore" });
  };
  const sshd = start([findTool("sshd") ?? "sshd", "-D", "-e", "-f", file("sshd_config")]);
  await eventually("sshd listens", async () => existsSync(file("sshd.pid")));
  const client = start([
    ...site.far,
    ...["ssh", "-N", "-i", file("user"), "-p", String(port), "-o", "BatchMode=yes"],
    ...["-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null"],
    ...["-o", "ExitOnForwardFailure=yes", "-o", `IdentitiesOnly=yes`],
    ...["-L", `127.0.0.1:${forwarded}:127.0.0.1:${site.postgres.port}`],
    `${userInfo().username}@${site.host}`,
  ]);
  const environment = { ...site.direct, PGHOST: "127.0.0.1", PGPORT: String(forwarded) };
  await site.untilAnswers(environment);
  return {
    name: "ssh",
    environment: { ...environment, PGSSLMODE: "disable" },
    pids: () => [client.pid ?? 0, ...childrenOf(sshd.pid ?? 0)],
    async close() {
      const sessions = childrenOf(sshd.pid ?? 0).reverse();
      client.kill();
      await client;
      // Whose connection has lost its network with the namespaces of a long path would not hear of its end.
      sessions.forEach(end);
      await sshd;
    },
  };
}

/** A process, and those below it: sshd works for each connection in processes of its own. */
function childrenOf(pid: number): number[] {
  const { stdout } = execaSync("ps", ["-eo", "pid=,ppid="]);
  const parents = stdout.split("\n").map((line) => line.trim().split(/\s+/).map(Number));
  const found = [pid];
  for (const one of found) {
    found.push(...parents.flatMap(([child, parent]) => (parent === one && child ? [child] : [])));
  }
  return found;
}

function end(pid: number): void {
  try {
    process.kill(pid);
  } catch {
    // It has ended by itself.
  }
}
