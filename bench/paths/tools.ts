// Programs that the bench needs, and what to do where one is missing.

import { existsSync } from "node:fs";
import { delimiter, join } from "node:path";

/** Debian's package of each program. */
const packages = {
  ssh: "openssh-client",
  "ssh-keygen": "openssh-client",
  sshd: "openssh-server",
  pgbouncer: "pgbouncer",
  pgbench: "postgresql",
  psql: "postgresql-client",
  openssl: "openssl",
  gcc: "gcc libc6-dev",
  ip: "iproute2",
} as const;

export type Tool = keyof typeof packages;

/** Folders that are on root's path only. */
const more = ["/usr/sbin", "/sbin"];

export function findTool(tool: Tool): string | undefined {
  const folders = [...(process.env["PATH"] ?? "").split(delimiter), ...more];
  return folders.map((folder) => join(folder, tool)).find((file) => existsSync(file));
}

/** Tools of these that are missing, with the line that brings them; undefined where all are there. */
export function missingLine(tools: readonly Tool[]): string | undefined {
  const missing = tools.filter((tool) => findTool(tool) === undefined);
  const names = [...new Set(missing.map((tool) => packages[tool]))].join(" ");
  return missing.length === 0
    ? undefined
    : `${missing.join(", ")} missing: apt-get install ${names}`;
}
