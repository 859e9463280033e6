// The commands of jitdb-server as child processes in throwaway folders.

import { createHmac } from "node:crypto";
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { createServer as createHttpServer, type IncomingMessage } from "node:http";
import { type AddressInfo, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import {
  type Child,
  type Ended,
  runProgram,
  startProgram,
  waitForOutput,
} from "../support/programs.ts";

let folder: string;
let children: Child[];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "jitdb-commands-"));
  children = [];
});

afterEach(async () => {
  for (const child of children) {
    child.kill("SIGKILL");
    await child;
  }
  await rm(folder, { recursive: true, force: true });
});

async function run(args: readonly string[], input = ""): Promise<Ended> {
  return await runProgram("jitdb-server", args, { home: folder, input });
}

/** Starts a server of the folder's configuration, and waits until it is ready. In a box, for a child is a promise of its end. */
async function start(): Promise<{ readonly child: Child }> {
  const child = startProgram("jitdb-server", ["start"], { home: folder });
  children.push(child);
  child.stderr?.resume();
  await waitForOutput(child, "stdout", /^Ready: /m);
  return { child };
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await new Promise((resolve) => server.once("listening", resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  return typeof address === "object" && address !== null ? address.port : 0;
}

async function initialise(...args: string[]): Promise<Ended> {
  return await run(["init", "--listen", `127.0.0.1:${await freePort()}`, ...args]);
}

async function journal(): Promise<string> {
  const files = await readdir(join(folder, "data", "journal"));
  const texts = files.map((file) => readFile(join(folder, "data", "journal", file), "utf8"));
  return (await Promise.all(texts)).join("");
}

describe("init", () => {
  it("writes an installation for its owner's eyes, and prints the set-up link alone", async () => {
    const { exitCode, stdout, stderr } = await initialise("--admin", "root.admin");
    expect(exitCode).toBe(0);
    expect(stdout).toMatch(/^http:\/\/127\.0\.0\.1:\d+\/setup\/[\w-]{43}\n?$/);
    expect(stderr).toContain("jitdb-server start --config jitdb.yaml");
    expect(stderr).toContain("  jitdb-server devices confirm root.admin --config jitdb.yaml");
    expect((await stat(join(folder, "master.key"))).mode & 0o777).toBe(0o600);
    expect((await stat(join(folder, "data"))).mode & 0o777).toBe(0o700);
    expect(await journal()).toContain('"kind":"person.added"');
    expect(await readFile(join(folder, ".gitignore"), "utf8")).toBe("/master.key\n/data/\n");
  });

  it("takes the administrator's password from stdin", async () => {
    const port = await freePort();
    const args = ["init", "--admin-password-stdin", "--listen", `127.0.0.1:${port}`];
    const { exitCode, stdout } = await run(args, "correct horse battery\n");
    expect([exitCode, stdout]).toEqual([0, ""]);
    const { stdout: list } = await run(["users", "list"]);
    expect(list).toBe("admin  active    admins");
  });

  it("writes nothing when the password will not do", async () => {
    const { exitCode, stderr } = await run(["init", "--admin-password-stdin"], "short\n");
    expect(exitCode).toBe(2);
    expect(stderr).toMatch(/^error: A password needs at least 12 characters\.\nhint: /);
    expect(await readdir(folder)).toEqual([]);
  });

  it("takes everything back when the address will not do", async () => {
    const { exitCode, stderr } = await run(["init", "--public-url", "http://jitdb.example.com"]);
    expect(exitCode).toBe(2);
    expect(stderr).toContain("plain HTTP is refused off loopback");
    expect(await readdir(folder)).toEqual([]);
  });

  it("never overwrites, and says what is there", async () => {
    await initialise();
    const before = await readFile(join(folder, "jitdb.yaml"), "utf8");
    const { exitCode, stderr } = await initialise();
    expect(exitCode).toBe(2);
    expect(stderr).toContain(`${folder} holds jitdb.yaml, master.key, data already.`);
    expect(await readFile(join(folder, "jitdb.yaml"), "utf8")).toBe(before);
  });
});

describe("check", () => {
  it("proves the file that init wrote", async () => {
    await initialise();
    const { exitCode, stdout } = await run(["check"]);
    expect(exitCode).toBe(0);
    expect(stdout).toContain("warning: databases: there are no databases.");
  });

  it("ends with 1 where a test case fails, and says where, and what came instead", async () => {
    await initialise();
    const file = join(folder, "jitdb.yaml");
    const database = `{host: localhost, database: orders, admin: {password: "\${file:master.key}"}}`;
    const config = (await readFile(file, "utf8")).replace(
      "databases: {}",
      `databases: {prod: ${database}}`,
    );
    const given = "{person: alice, database: prod, profile: read-only, for: 1h}";
    await writeFile(file, `${config}\ntests: [{given: ${given}, expect: {outcome: automatic}}]\n`);
    const { exitCode, stdout, stderr } = await run(["check", "--offline"]);
    expect(stdout).toMatch(
      /^jitdb\.yaml:\d+:9: tests\[0\], prod: expected automatic; came refused: No policy lets you ask for prod\.$/m,
    );
    expect(stderr).toContain("jitdb.yaml is sound. Of its 1 case 1 failed.");
    expect(exitCode).toBe(1);
  });

  it("prints every problem with its line, and ends with 2", async () => {
    await writeFile(join(folder, "jitdb.yaml"), `listne: x\nmasterKey: \${env:NOPE_KEY}\n`);
    const { exitCode, stdout } = await run(["check", "--offline"]);
    expect(exitCode).toBe(2);
    expect(stdout.split("\n").slice(0, 4)).toEqual([
      'jitdb.yaml:1:1: unknown key "listne".',
      '    Did you mean "listen"?',
      expect.stringMatching(/^jitdb\.yaml:/),
      expect.any(String),
    ]);
    expect(stdout).toContain(
      "jitdb.yaml:2:12: the environment variable NOPE_KEY is not set.\n    Set it: export NOPE_KEY=…",
    );
  });
});

describe("start", () => {
  it("says who holds the store, and leaves the holder alone", async () => {
    await initialise();
    const { child: holder } = await start();
    const { exitCode, stderr } = await run(["start"]);
    expect(exitCode).toBe(10);
    expect(stderr).toMatch(
      new RegExp(
        `error: The store in ${folder}/data is in use by process ${holder.pid} on .*, which listens on http://127.0.0.1:\\d+, since .*\nhint: `,
      ),
    );
    holder.kill("SIGTERM");
    expect((await holder).exitCode).toBe(0);
  });

  it("stops on a signal, records it, and can be started again", async () => {
    await initialise();
    for (const signal of ["SIGINT", "SIGTERM"] as const) {
      const { child: server } = await start();
      server.kill(signal);
      expect((await server).exitCode).toBe(0);
    }
    const kinds = [...(await journal()).matchAll(/"kind":"(server|config)\.(\w+)"/g)];
    expect(kinds.map(([, noun, verb]) => `${noun}.${verb}`)).toEqual([
      "config.loaded",
      "server.started",
      "server.stopped",
      "config.loaded",
      "server.started",
      "server.stopped",
    ]);
  });

  it("names the port that is in use, and lets go of the store", async () => {
    const port = await freePort();
    await run(["init", "--listen", `127.0.0.1:${port}`]);
    const blocker = createServer().listen(port, "127.0.0.1");
    try {
      const { exitCode, stderr } = await run(["start"]);
      expect(exitCode).toBe(10);
      expect(stderr).toContain(`error: 127.0.0.1:${port} is in use.\nhint: Change listen:`);
    } finally {
      await new Promise((resolve) => blocker.close(resolve));
    }
    await start();
  });

  it("refuses a broken configuration with every problem", async () => {
    await initialise();
    await writeFile(join(folder, "jitdb.yaml"), "a: 1\n");
    const { exitCode, stderr } = await run(["start"]);
    expect(exitCode).toBe(2);
    expect(stderr).toMatch(/^error: jitdb\.yaml has 2 problems:\njitdb\.yaml:1:1: /);
    expect(stderr).toContain("hint: Mend jitdb.yaml, then run `jitdb-server check");
  });
});

describe("users", () => {
  it.each([
    ["while a server runs", true],
    ["while none runs", false],
  ])("works %s", async (_name, running) => {
    await initialise();
    if (running) {
      await start();
    }
    const added = await run(["users", "add", "alice", "--groups", "developers", "dba"]);
    expect(added.exitCode).toBe(0);
    expect(added.stdout).toMatch(/^http:\/\/127\.0\.0\.1:\d+\/setup\/[\w-]{43}$/);
    const again = await run(["users", "add", "alice"]);
    expect(again.exitCode).toBe(10);
    expect(again.stderr).toMatch(/^error: There is already a person called alice\.\nhint: /);
    await run(["users", "groups", "alice", "developers"]);
    await run(["users", "disable", "alice"]);
    const { stdout } = await run(["users", "list"]);
    expect(stdout).toBe("admin  invited   admins\nalice  disabled  developers");
    await run(["users", "enable", "alice"]);
    expect((await run(["users", "setup-link", "alice"])).stdout).toContain("/setup/");
    const json: unknown = JSON.parse((await run(["users", "list", "--json"])).stdout);
    expect(json).toContainEqual({
      name: "alice",
      groups: ["developers"],
      companyGroups: [],
      disabled: false,
      hasPassword: false,
      company: false,
      service: false,
    });
    expect(await journal()).toContain('"kind":"person.disabled"');
  });

  it("says so where no policy names a group", async () => {
    await initialise();
    const slip = ["users", "add", "alice", "--groups", "develpers", "oncall", "admins"];
    expect((await run(slip)).stderr).not.toContain("No policy");
    const file = join(folder, "jitdb.yaml");
    const policies = `policies:
  - name: readers
    who: { groups: [developers] }
    databases: ["*"]
    profiles: ["*"]
    maxDuration: 1h
    approval: automatic
    when: '"oncall" in groups'`;
    const written = await readFile(file, "utf8");
    await writeFile(file, written.replace("policies: []", policies));
    const { stderr } = await run(["users", "groups", "alice", ...slip.slice(4), "elsewhere"]);
    expect(stderr).toContain("No policy names the group develpers. Did you mean developers?\n");
    expect(stderr).toContain("No policy names the group elsewhere.");
    expect(stderr).not.toContain("group oncall");
  });

  it("works after a server was killed", async () => {
    await initialise();
    const { child: server } = await start();
    server.kill("SIGKILL");
    await server;
    expect((await run(["users", "list"])).stdout).toBe("admin  invited   admins");
  });

  it("refuses a name that is none", async () => {
    await initialise();
    const { exitCode, stderr } = await run(["users", "add", "Alice!"]);
    expect(exitCode).toBe(2);
    expect(stderr).toMatch(/^error: The name "Alice!" will not do: lower-case letters/);
  });
});

describe("the command line", () => {
  it("suggests the nearest command and database", async () => {
    const { exitCode, stderr } = await run(["strat"]);
    expect([exitCode, stderr]).toEqual([
      2,
      "error: Unknown command 'strat'.\nhint: Did you mean start?",
    ]);
  });

  it("tells its version", async () => {
    const { exitCode, stdout } = await run(["--version"]);
    expect([exitCode, stdout]).toEqual([0, expect.stringMatching(/^\d+\.\d+\.\d+$/)]);
  });
});

describe("webhooks test", () => {
  it("sends a signed message, says whether it was taken, and names the webhooks that there are", async () => {
    await initialise("--admin", "root.admin");
    const key = Buffer.alloc(32, 7);
    let status = 204;
    const requests: { readonly headers: IncomingMessage["headers"]; readonly body: string }[] = [];
    const receiver = createHttpServer(async (request, response) => {
      const body = Buffer.concat(await request.toArray()).toString();
      requests.push({ headers: request.headers, body });
      response.writeHead(status).end();
    });
    await new Promise<void>((done) => receiver.listen(0, "127.0.0.1", done));
    try {
      const { port } = receiver.address() as AddressInfo;
      const file = join(folder, "jitdb.yaml");
      const written = (await readFile(file, "utf8")).replace(/^webhooks:.*$/m, "");
      const secret = `whsec_${key.toString("base64")}`;
      await writeFile(join(folder, "tickets.key"), secret, { mode: 0o600 });
      const webhook = `{ url: "http://127.0.0.1:${port}/", secret: "$\{file:tickets.key}" }`;
      const section = `webhooks:\n  tickets: ${webhook}\n`;
      await writeFile(file, `${written}\n${section}`);

      const taken = await run(["webhooks", "test", "tickets"]);
      expect(taken.stderr).toMatch(/^tickets took the message msg_\w+\.$/);
      expect(taken.exitCode).toBe(0);
      const [{ headers, body } = { headers: {}, body: "" }] = requests;
      expect(JSON.parse(body)).toMatchObject({ type: "webhook.test" });
      const { "webhook-id": id, "webhook-timestamp": timestamp } = headers;
      const signature = createHmac("sha256", key)
        .update(`${id}.${timestamp}.${body}`)
        .digest("base64");
      expect(headers["webhook-signature"]).toBe(`v1,${signature}`);

      status = 503;
      const refused = await run(["webhooks", "test", "tickets"]);
      expect(refused.exitCode).not.toBe(0);
      expect(refused.stderr).toContain("The message did not arrive");
      expect(refused.stderr).not.toContain(secret);

      const unknown = await run(["webhooks", "test", "chat"]);
      expect(unknown.exitCode).toBe(2);
      expect(unknown.stderr).toContain("Known in the configuration: tickets.");
    } finally {
      receiver.close();
    }
  });
});

describe("audit", () => {
  it("signs where the journal stands, and shows by that that its tail was cut (invariant 26)", async () => {
    await initialise("--admin", "root.admin");
    const checkpoint = await run(["audit", "checkpoint"]);
    expect(checkpoint.exitCode).toBe(0);
    const kept = join(folder, "kept.jsonl");
    await writeFile(kept, `${checkpoint.stdout}\n`);
    const whole = await run(["audit", "verify", "--checkpoints", kept]);
    expect(whole.stderr).toMatch(
      /^The journal jrn_\w+ is whole up to record \d+, and agrees with 1 checkpoint\.$/,
    );
    expect(whole.exitCode).toBe(0);

    const [segment = ""] = await readdir(join(folder, "data", "journal"));
    const file = join(folder, "data", "journal", segment);
    const lines = (await readFile(file, "utf8")).split("\n");
    await writeFile(file, `${lines.slice(0, -2).join("\n")}\n`);
    expect((await run(["audit", "verify"])).exitCode).toBe(0);
    const cut = await run(["audit", "verify", "--checkpoints", kept]);
    expect(cut.exitCode).not.toBe(0);
    expect(cut.stderr).toContain("its tail is missing");

    const missing = await run(["audit", "verify", "--checkpoints", "nowhere"]);
    expect(missing.stderr).toContain("error: The file nowhere cannot be read.");
  });
});
