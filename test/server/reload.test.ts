// Reloading a server that runs: the command, the signal, and everything that can be wrong with the file. A real process.

import { once } from "node:events";
import { mkdtemp, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect, type TLSSocket } from "node:tls";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { createAuthority } from "../support/certificates.ts";
import { eventually } from "../support/eventually.ts";
import {
  type Child,
  type Ended,
  runProgram,
  startProgram,
  waitForOutput,
} from "../support/programs.ts";

let folder: string;
let file: string;
let server: Child;
let log: string;
let url: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "jitdb-reload-"));
  file = join(folder, "jitdb.yaml");
  await run("init", "--listen", `127.0.0.1:${await freePort()}`);
  await start();
}, 30_000);

afterEach(async () => {
  server.kill("SIGKILL");
  await server;
  await rm(folder, { recursive: true, force: true });
});

async function start(): Promise<void> {
  log = "";
  server = startProgram("jitdb-server", ["start"], { home: folder });
  server.stderr?.on("data", (chunk) => {
    log += String(chunk);
  });
  [, url = ""] = await waitForOutput(server, "stdout", /^Ready: (\S+)$/m);
}

async function run(...args: string[]): Promise<Ended> {
  return await runProgram("jitdb-server", args, { home: folder });
}

async function freePort(): Promise<number> {
  const holder = createServer().listen(0, "127.0.0.1");
  await new Promise((resolve) => holder.once("listening", resolve));
  const address = holder.address();
  await new Promise((resolve) => holder.close(resolve));
  return typeof address === "object" && address !== null ? address.port : 0;
}

async function change(from: string | RegExp, to: string): Promise<void> {
  await writeFile(file, (await readFile(file, "utf8")).replace(from, to));
}

interface ConfigRecord {
  readonly kind: string;
  readonly by?: string;
  readonly found?: readonly string[];
}

/** The records of what became of the file. */
async function records(): Promise<ConfigRecord[]> {
  const names = await readdir(join(folder, "data", "journal"));
  const texts = names.sort().map((name) => readFile(join(folder, "data", "journal", name), "utf8"));
  const lines = (await Promise.all(texts)).join("").split("\n");
  return lines
    .filter((line) => line.includes('"kind":"config.'))
    .map((line) => JSON.parse(line) as ConfigRecord);
}

const policy = `policies:
  - { name: read, who: { groups: [developers] }, profiles: [read-only], maxDuration: 1h, approval: automatic }
`;

describe("jitdb-server reload", () => {
  it("puts the policies of the file in force, and names what waits for a restart", async () => {
    await change(/^policies:.*$/m, policy);
    await change(/^databases:.*$/m, "tunnel: { ping: 6s }\ndatabases: {}");
    const { exitCode, stdout, stderr } = await run("reload");
    expect(stdout).toBe("tunnel: needs a restart.");
    expect(stderr).toMatch(
      /warning: databases: there are no databases\.[\s\S]*\n.*jitdb\.yaml is in force: 1 policy\.$/,
    );
    expect(exitCode).toBe(0);
    expect(log).toContain('"msg":"configuration reloaded"');
    expect(await records()).toMatchObject([
      { kind: "config.loaded" },
      { kind: "config.reloaded", by: "console", restart: ["tunnel"] },
    ]);
  });

  it("ends with 2 for a broken file, says every problem to the caller and in the log, and the server goes on", async () => {
    await change(/^policies:.*$/m, "policies:\n  - name: read\nlistne: 1");
    const { exitCode, stdout, stderr } = await run("reload");
    expect(exitCode).toBe(2);
    expect(stdout).toBe("");
    expect(stderr).toMatch(
      /^error: jitdb\.yaml has \d problems; the rules of before stay in force:\njitdb\.yaml:\d+:\d+: .*/,
    );
    for (const problem of [
      /jitdb\.yaml:\d+:\d+: policies\[0\]: profiles is missing\./,
      /unknown key \\?"listne\\?"/,
    ]) {
      expect(stderr).toMatch(problem);
      expect(log).toMatch(problem);
    }
    expect(await records()).toMatchObject([{ kind: "config.loaded" }, { kind: "config.refused" }]);
    await change("policies:\n  - name: read\nlistne: 1", "policies: []");
    expect((await run("reload")).exitCode).toBe(0);
  });

  it("says so where the file is gone, and goes on when it is back", async () => {
    await rename(file, `${file}.away`);
    const { exitCode, stderr } = await run("reload");
    expect(exitCode).toBe(2);
    expect(stderr).toContain("There is no jitdb.yaml.");
    await rename(`${file}.away`, file);
    expect((await run("reload")).exitCode).toBe(0);
  });

  it("does one after the other where two come at once, each whole", async () => {
    const ended = await Promise.all([run("reload"), run("reload"), run("reload")]);
    expect(ended.map(({ exitCode }) => exitCode)).toEqual([0, 0, 0]);
    expect((await records()).map(({ kind }) => kind)).toEqual([
      "config.loaded",
      ...Array.from({ length: 3 }, () => "config.reloaded"),
    ]);
  });

  it("says that no server runs, also beside a socket that a killed one left", async () => {
    server.kill("SIGKILL");
    await server;
    const { exitCode, stderr } = await run("reload");
    expect(exitCode).toBe(7);
    expect(stderr).toMatch(
      /^error: No server listens in .*data\.\nhint: Start it with `jitdb-server start --config jitdb\.yaml`/,
    );
  });
});

it("shows a renewed certificate to whoever connects from then on, and cuts nobody off", async () => {
  server.kill("SIGTERM");
  await server;
  const authority = await createAuthority("jitdb reload");
  try {
    const put = async (name: string) => {
      const { cert, key } = await authority.issue(name);
      await writeFile(join(folder, "server.crt"), cert);
      await writeFile(join(folder, "server.key"), key, { mode: 0o600 });
    };
    await put("old.example.com");
    await change(/^databases:.*$/m, "tls: { cert: server.crt, key: server.key }\ndatabases: {}");
    await start();
    const { port } = new URL(url);
    const before = await shownBy(Number(port));
    await put("new.example.com");
    expect((await run("reload")).stdout).toBe("");
    const after = await shownBy(Number(port));
    expect([before.name, after.name]).toEqual(["old.example.com", "new.example.com"]);
    before.socket.write("GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    const [answer] = (await once(before.socket, "data")) as [Buffer];
    expect(answer.toString()).toMatch(/^HTTP\/1\.1 200 /);
    before.socket.destroy();
    after.socket.destroy();
  } finally {
    await authority.remove();
  }
}, 30_000);

/** The name in the certificate of whoever listens there, and the connection. */
async function shownBy(port: number): Promise<{ name: string | undefined; socket: TLSSocket }> {
  const socket = connect({ port, host: "127.0.0.1", rejectUnauthorized: false });
  await once(socket, "secureConnect");
  const { CN } = socket.getPeerCertificate().subject;
  return { name: String(CN), socket };
}

describe("SIGHUP", () => {
  const isLast = async (wanted: string) => {
    const last = (await records()).at(-1);
    return last?.kind === wanted && last.by === "signal";
  };

  it("reloads, leaves the rules of before where the file is broken, and never ends the server", async () => {
    await change(/^policies:.*$/m, policy);
    server.kill("SIGHUP");
    await eventually("it was reloaded", () => isLast("config.reloaded"));
    await change("approval: automatic", "approval: automatc");
    server.kill("SIGHUP");
    await eventually("it was refused", () => isLast("config.refused"));
    expect(log).toContain("the rules of before stay");
    server.kill("SIGTERM");
    expect((await server).exitCode).toBe(0);
  });
});
