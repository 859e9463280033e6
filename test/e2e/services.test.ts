// examples/ci.sh as a CI system runs it: no terminal, no person, a key or a token, and a real database at the other end.

import { generateKeyPairSync, type KeyObject, randomUUID, sign } from "node:crypto";
import { once } from "node:events";
import { chmod, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { RequestView } from "@jitdb/shared/api/access";
import { execa } from "execa";
import { afterAll, beforeAll, expect, test } from "vitest";
import { eventually } from "../support/eventually.ts";
import { programs } from "../support/programs.ts";
import { Company } from "./company.ts";

const script = join(import.meta.dirname, "..", "..", "examples", "ci.sh");

const policies = `
  - name: nightly-reads
    who: { services: [nightly] }
    databases: [prod-orders]
    profiles: [read-only]
    maxDuration: 10m
    approval: automatic
  - name: migrations
    who: { services: [ci-migrations] }
    databases: [prod-orders]
    profiles: [read-write]
    maxDuration: 10m
    approval: { groups: [admins] }
    reasonRequired: true
`;

const own = generateKeyPairSync("ec", { namedCurve: "P-256" });
const ci = generateKeyPairSync("ec", { namedCurve: "P-256" });

/** What a webhook hears of the jobs' sessions. */
const heard: { readonly type: string; readonly data: Readonly<Record<string, unknown>> }[] = [];
let receiver: Server;
let issuer: Server;
let issuerUrl: string;
let secrets: string | undefined;
let company: Company;
beforeAll(async () => {
  issuer = createServer((request, response) => {
    const keys = [{ ...ci.publicKey.export({ format: "jwk" }), kid: "ci", alg: "ES256" }];
    const discovery = { issuer: issuerUrl, jwks_uri: `${issuerUrl}/keys` };
    response.end(JSON.stringify(request.url === "/keys" ? { keys } : discovery));
  });
  issuer.listen(0, "127.0.0.1");
  await once(issuer, "listening");
  issuerUrl = `http://127.0.0.1:${(issuer.address() as AddressInfo).port}`;
  receiver = createServer(async (request, response) => {
    heard.push(JSON.parse(Buffer.concat(await request.toArray()).toString()));
    response.end();
  });
  receiver.listen(0, "127.0.0.1");
  await once(receiver, "listening");
  secrets = await mkdtemp(join(tmpdir(), "jitdb-"));
  const secret = `whsec_${Buffer.alloc(32, 7).toString("base64")}`;
  await writeFile(join(secrets, "hook"), secret, { mode: 0o600 });
  company = await Company.found({
    policies,
    sections: sections(),
  });
});
afterAll(async () => {
  await company?.close();
  issuer?.close();
  receiver?.close();
  if (secrets !== undefined) {
    await rm(secrets, { recursive: true });
  }
});

function sections(): string {
  const { kty, crv, x, y } = own.publicKey.export({ format: "jwk" });
  return `
identity:
  services:
    nightly:
      keys: [{ kty: ${kty}, crv: ${crv}, x: ${x}, y: ${y} }]
    ci-migrations:
      tokens:
        issuer: ${issuerUrl}
        audience: jitdb
        claims: { repository: example/orders }
webhooks:
  chat:
    url: http://127.0.0.1:${(receiver.address() as AddressInfo).port}/
    secret: \${file:${secrets}/hook}
    events: [session.*]
`;
}

/** A token as a CI system makes it for a job. */
function token(key: KeyObject, claims: object = {}): string {
  const iat = Math.floor(Date.now() / 1000);
  const right = { iss: issuerUrl, aud: "jitdb", repository: "example/orders", jti: randomUUID() };
  const input = [
    { alg: "ES256", kid: "ci" },
    { ...right, iat, exp: iat + 300, ...claims },
  ]
    .map((part) => Buffer.from(JSON.stringify(part)).toString("base64url"))
    .join(".");
  const signature = sign("sha256", Buffer.from(input), { key, dsaEncoding: "ieee-p1363" });
  return `${input}.${signature.toString("base64url")}`;
}

let jobs = 0;

/** Starts the script in a folder of its own, with the credential in a file. */
async function startJob(
  service: string,
  profile: string,
  sql: string,
  credential: { readonly key: string } | { readonly token: string },
) {
  jobs += 1;
  const folder = join(company.installation.folder, `job-${jobs}`);
  await mkdir(join(folder, "bin"), { recursive: true });
  const program = join(folder, "bin", "jitdb");
  await writeFile(program, `#!/bin/sh\nexec '${process.execPath}' '${programs.jitdb}' "$@"\n`);
  await chmod(program, 0o755);
  const [name, text] =
    "key" in credential ? ["JITDB_KEY", credential.key] : ["JITDB_TOKEN", credential.token];
  await writeFile(join(folder, "credential"), `${text}\n`, { mode: 0o600 });
  await writeFile(join(folder, "work.sql"), sql);
  return execa(script, ["prod-orders", profile, "5m", "work.sql"], {
    cwd: folder,
    reject: false,
    extendEnv: false,
    stdin: "ignore",
    env: {
      PATH: `${join(folder, "bin")}:${process.env["PATH"]}`,
      HOME: folder,
      TMPDIR: folder,
      JITDB_SERVER: company.installation.url,
      JITDB_SERVICE: service,
      JITDB_REASON: "https://ci.example.com/jobs/17",
      [name]: join(folder, "credential"),
    },
  });
}

const privateJwk = () => JSON.stringify(own.privateKey.export({ format: "jwk" }));

test("a job with its service's key reads at once, gives the access back and leaves nothing", async () => {
  const job = await startJob("nightly", "read-only", "SELECT count(*) AS n FROM app.orders;", {
    key: privateJwk(),
  });
  expect(job).toMatchObject({ exitCode: 0 });
  expect(job.stdout).toMatch(/\bn\b[\s\S]*\d+/);
  const journal = await company.journal();
  expect(journal.of("login.succeeded").at(-1)).toMatchObject({
    person: "nightly",
    method: "service key",
  });
  expect(journal.of("statement.intent").at(-1)).toMatchObject({
    person: "nightly",
    text: "SELECT count(*) AS n FROM app.orders;",
  });
  await eventually("the webhook hears of its session", () => heard.length === 2);
  expect(heard).toMatchObject([
    { type: "session.opened", data: { person: "nightly", database: "prod-orders" } },
    { type: "session.closed", data: { person: "nightly", statements: 1 } },
  ]);
  expect(String(job.stderr)).toContain("Logged out of");
  expect(String(job.stderr)).not.toContain("could not be told");
  await eventually(
    "its user is gone",
    async () => (await company.installation.ephemeralUsers()).length === 0,
  );
  const { stdout } = await execa("find", [company.installation.folder, "-path", "*job-1/tmp*"]);
  expect(stdout).toBe("");
  expect(await company.installation.serverCommand(["users", "list"])).toMatch(/^nightly +service/m);
});

test("a job with its CI's token waits for a person's approval, and writes", async () => {
  const job = startJob(
    "ci-migrations",
    "read-write",
    "UPDATE app.orders SET item = item WHERE id = 1;",
    { token: token(ci.privateKey) },
  );
  const asked: { request?: RequestView | undefined } = {};
  await eventually("it asks", async () => {
    const { requests }: { requests: RequestView[] } = JSON.parse(
      await company.bob.expect(["requests", "--all", "--json"]),
    );
    asked.request = requests.find(({ state }) => state === "pending");
    return asked.request !== undefined;
  });
  expect(asked.request).toMatchObject({
    person: "ci-migrations",
    reason: "https://ci.example.com/jobs/17",
  });
  await company.bob.expect(["approve", asked.request?.id ?? ""]);
  const { exitCode, stderr } = await job;
  expect([exitCode, String(stderr)]).toEqual([0, expect.stringContaining("Approved by bob")]);
});

test("a job that is refused, or whose token is another job's, ends with the code that says so", async () => {
  const work = "SELECT 1;";
  const denied = startJob("ci-migrations", "read-write", work, { token: token(ci.privateKey) });
  await eventually("it asks", async () => {
    const [id] = (
      await company.bob.expect(["requests", "--inbox", "--json"]).catch(() => "")
    ).match(/req_\w+/) ?? [undefined];
    return (
      id !== undefined && (await company.bob.run(["deny", id, "--reason", "freeze"])).exitCode === 0
    );
  });
  expect(await denied).toMatchObject({ exitCode: 5 });
  const fork = token(ci.privateKey, { repository: "example/fork" });
  const stolen = await startJob("ci-migrations", "read-write", work, { token: fork });
  expect(stolen.exitCode).toBe(3);
  expect(String(stolen.stderr)).toContain("its claim repository is not the one");
  const stranger = generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey;
  const key = JSON.stringify(stranger.export({ format: "jwk" }));
  const unknown = await startJob("nightly", "read-only", work, { key });
  expect([unknown.exitCode, String(unknown.stderr)]).toEqual([
    3,
    expect.stringContaining("The server does not know that key of nightly."),
  ]);
  const beyond = await startJob("nightly", "read-write", work, { key: privateJwk() });
  expect(beyond.exitCode).toBe(4);
});

test("the page for operators names the script that was run here", async () => {
  const docs = await readFile(
    join(import.meta.dirname, "..", "..", "docs", "operations.md"),
    "utf8",
  );
  expect(docs).toContain("examples/ci.sh");
});
