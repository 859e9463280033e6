// jitdb as people run it: the built server over TLS, a person who logs in through the served pages, the built agent.

import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { execa } from "execa";
import { freePort, type Installation } from "../../test/support/installation.ts";
import { Person } from "../../test/support/person.ts";
import { programs, waitForOutput } from "../../test/support/programs.ts";
import type { Site } from "../site.ts";
import type { Path } from "./path.ts";

const password = "benches like long passwords";

/** @param installation has its server not started yet; @param unrecorded the program that keeps no records */
export async function startJitdb(
  site: Site,
  installation: Installation,
  unrecorded?: string,
): Promise<Path> {
  const port = await freePort();
  const url = `https://${site.host}:${port}`;
  const { serverFolder, folder } = installation;
  const file = (name: string) => join(serverFolder, name);
  const subject = ["-subj", "/CN=jitdb bench", "-addext", `subjectAltName=IP:${site.host}`];
  const make = ["req", "-new", "-x509", "-days", "2", "-nodes", "-newkey", "ec"];
  const curve = ["-pkeyopt", "ec_paramgen_curve:prime256v1"];
  await execa("openssl", [
    ...make,
    ...curve,
    ...subject,
    "-keyout",
    file("tls.key"),
    "-out",
    file("tls.crt"),
  ]);
  const written = await readFile(file("jitdb.yaml"), "utf8");
  const tls = `tls: { cert: ${file("tls.crt")}, key: ${file("tls.key")} }`;
  const configured = written
    .replace(/^#? ?publicUrl:.*\n/m, "")
    .replace(/^listen:.*$/m, `listen: ${site.host}:${port}\npublicUrl: ${url}\n${tls}`);
  await writeFile(file("jitdb.yaml"), configured);
  const trust = { NODE_EXTRA_CA_CERTS: file("tls.crt") };
  process.env["NODE_TLS_REJECT_UNAUTHORIZED"] = "0";
  await installation.startServer({ entry: unrecorded });
  const home = join(folder, "alice");
  await mkdir(home, { mode: 0o700 });
  const alice = new Person("alice", home, password, trust);
  const link = (
    await installation.serverCommand(["users", "add", "alice", "--groups", "developers"])
  ).trim();
  await alice.browser.press(await alice.browser.open(link), /^Set password$/, {
    password,
    repeat: password,
  });
  const login = await alice.login(url);
  if (login.exitCode !== 0) {
    throw new Error(login.stderr);
  }
  await installation.confirmDevice("alice");
  const ask = ["request", "prod-orders", "--for", "8h", "--profile", "read-write", "--no-wait"];
  await alice.expect(ask);
  const connect = [
    process.execPath,
    programs.jitdb,
    "connect",
    "prod-orders",
    "--json",
    "--port",
    "0",
  ];
  const [program = "", ...args] = [...site.far, ...connect];
  const agent = execa(program, args, {
    reject: false,
    env: { HOME: home, JITDB_HOME: join(home, ".jitdb"), ...trust },
  });
  agent.stderr?.resume();
  const [line] = await waitForOutput(agent, "stdout", /^\{.*\}(?=\n)/);
  const ready: { socket: string; port: number; user: string; database: string; password: string } =
    JSON.parse(line);
  return {
    name: unrecorded === undefined ? "jitdb" : "unrecorded",
    environment: {
      ...{ PGHOST: "127.0.0.1", PGPORT: String(ready.port), PGUSER: ready.user },
      ...{ PGPASSWORD: ready.password, PGDATABASE: ready.database },
      ...{ PGSSLMODE: "disable", PGGSSENCMODE: "disable" },
    },
    pids: () => [agent.pid ?? 0, installation.serverPid ?? 0],
    async close() {
      agent.kill("SIGTERM");
      await agent;
    },
  };
}
