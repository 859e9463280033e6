// Webhooks of a whole server: a receiver of its own checks signatures by the scheme's text, and hears everything once it is up.

import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import { createServer as createTlsServer } from "node:https";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { RequestView } from "@jitdb/shared/api/access";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { AuditKind } from "../../packages/server/src/audit/record.ts";
import { webhookAnswer } from "../../packages/server/src/control/webhooks.ts";
import { createAuthority } from "../support/certificates.ts";
import { eventually } from "../support/eventually.ts";
import { freePort } from "../support/installation.ts";
import { runProgram } from "../support/programs.ts";
import { AccessRig, type Client } from "./rig.ts";

const key = Buffer.alloc(32, 7);
const secret = `whsec_${key.toString("base64")}`;

/**
 * Verifies a message by the text of the scheme (Standard Webhooks 1.0.0, "Signature scheme"), with Web Crypto alone.
 * @throws Error that says what does not hold
 */
async function verify(headers: Headers, body: string): Promise<void> {
  const id = headers.get("webhook-id") ?? "";
  const timestamp = headers.get("webhook-timestamp") ?? "";
  if (!/^\d{10}$/.test(timestamp) || Math.abs(Date.now() / 1000 - Number(timestamp)) > 300) {
    throw new Error(`The timestamp ${timestamp} is not of now.`);
  }
  const algorithm = { name: "HMAC", hash: "SHA-256" };
  const imported = await crypto.subtle.importKey("raw", key, algorithm, false, ["verify"]);
  const signed = new TextEncoder().encode(`${id}.${timestamp}.${body}`);
  for (const part of (headers.get("webhook-signature") ?? "").split(" ")) {
    const [version, signature = ""] = part.split(",", 2);
    const bytes = Uint8Array.from(atob(signature), (character) => character.charCodeAt(0));
    if (version === "v1" && (await crypto.subtle.verify("HMAC", imported, bytes, signed))) {
      return;
    }
  }
  throw new Error("No signature fits.");
}

interface Heard {
  readonly id: string;
  readonly type: string;
  readonly data: Readonly<Record<string, unknown>>;
}

/** Takes messages, each verified, on a port that it may leave and come back to. */
class Receiver {
  readonly heard: Heard[] = [];
  readonly problems: unknown[] = [];
  /** What it answers; a 200 takes the message. */
  status = 200;
  calls = 0;
  #server: Server | undefined;

  async listen(port: number): Promise<void> {
    this.#server = createServer(async (request, response) => {
      this.calls += 1;
      const body = Buffer.concat(await request.toArray()).toString();
      const headers = new Headers(request.headers as Record<string, string>);
      try {
        await verify(headers, body);
        if (this.status === 200) {
          const { type, data } = JSON.parse(body);
          this.heard.push({ id: headers.get("webhook-id") ?? "", type, data });
        }
      } catch (error) {
        this.problems.push(error);
      }
      response.writeHead(this.status, { location: "/elsewhere" }).end("words that nobody reads");
    });
    this.#server.listen(port, "127.0.0.1");
    await once(this.#server, "listening");
  }

  of(request: string): string[] {
    return this.heard.filter(({ data }) => data["request"] === request).map(({ type }) => type);
  }

  async close(): Promise<void> {
    this.#server?.closeAllConnections();
    this.#server?.close();
    this.#server = undefined;
  }
}

const policies = `
  - name: reading
    who: { groups: [developers] }
    profiles: [read-only]
    maxDuration: 1h
    approval: { groups: [dba] }
  - name: emergency
    who: { groups: [developers] }
    profiles: [read-write]
    maxDuration: 1h
    approval: automatic
    breakGlass: { review: { groups: [dba] } }
`;

describe("a webhook", () => {
  let port: number;
  let receiver: Receiver;
  let rig: AccessRig;
  let alice: Client;
  let bob: Client;
  beforeEach(async () => {
    port = await freePort();
    receiver = new Receiver();
    rig = await AccessRig.open({
      policies,
      people: { alice: ["developers"], bob: ["dba"] },
      files: { hook: secret },
      sections: `webhooks:
  tickets:
    url: http://127.0.0.1:${port}/hook?token=x
    secret: \${file:hook}
    events: [request.*, grant.*, review.*]
`,
    });
    [alice, bob] = await Promise.all([rig.logIn("alice"), rig.logIn("bob")]);
  });
  afterEach(async () => {
    await rig?.close();
    await receiver.close();
  });

  const list = async () =>
    webhookAnswer.parse(await rig.console({ webhooks: { do: "list" } })).webhooks[0];
  const retry = () => rig.console({ webhooks: { do: "retry", name: "tickets" } });

  async function liveAndEnd(): Promise<string> {
    const { id } = await alice.ask();
    const { body } = await bob.call<RequestView>("POST", `/requests/${id}/approve`);
    await alice.call("POST", `/grants/${body.grantId}/release`);
    return id;
  }

  const whole = ["request.created", "request.approved", "request.granted", "grant.started"];

  test("that is down hears everything later, in order, verified, over restarts of both", async () => {
    const first = await liveAndEnd();
    const denied = (await alice.ask({ reason: "INC-8" })).id;
    await bob.call("POST", `/requests/${denied}/deny`);
    await eventually("an attempt has failed", async () => (await list())?.lastError !== null);
    expect(await list()).toMatchObject({
      name: "tickets",
      host: `127.0.0.1:${port}`,
      failed: 0,
      lastError: `127.0.0.1:${port}: ECONNREFUSED`,
    });
    await rig.stop();
    await rig.start();
    const second = await liveAndEnd();
    const waiting = (await list())?.waiting ?? 0;

    await receiver.listen(port);
    receiver.status = 503;
    await retry();
    await eventually("it was asked", () => receiver.calls > 0);
    await eventually("its answer is told", async () =>
      /answered 503/.test((await list())?.lastError ?? ""),
    );
    expect(receiver.heard).toEqual([]);
    receiver.status = 200;
    await retry();
    await eventually("all is taken", async () => (await list())?.waiting === 0);

    expect(receiver.problems).toEqual([]);
    expect(receiver.of(first)).toEqual(whole);
    expect(receiver.of(second)).toEqual(whole);
    expect(receiver.of(denied)).toEqual(["request.created", "request.denied"]);
    // As many as there were, each once: nothing is lost, and nothing that was taken comes again.
    expect(receiver.heard).toHaveLength(waiting);
    expect(new Set(receiver.heard.map(({ id }) => id)).size).toBe(waiting);
    const kinds = [...new Set(receiver.heard.map(({ type }) => type as AuditKind))];
    const records = await Promise.all(kinds.map((kind) => rig.records(kind)));
    expect(records.flat()).toHaveLength(waiting);
    await rig.stop();
    await rig.start();
    expect(await list()).toMatchObject({ waiting: 0, failed: 0, lastError: null });
    expect(receiver.heard).toHaveLength(waiting);
  });

  test("hears at once what happens, with the mark of break-glass and nobody's secrets", async () => {
    await receiver.listen(port);
    const { id, grantId } = await alice.ask({ profile: "read-write", breakGlass: true });
    await alice.call("POST", `/grants/${grantId}/release`);
    await eventually("the end is told", () =>
      receiver.heard.some(({ type }) => type === "grant.ended"),
    );
    expect(receiver.heard.map(({ type, data }) => [type, data["breakGlass"]])).toEqual([
      ["request.created", true],
      ["request.granted", true],
      ["grant.started", true],
      ["review.opened", true],
      ["grant.ended", true],
    ]);
    expect(receiver.of(id)).toHaveLength(4);
    const told = JSON.stringify(receiver.heard);
    expect(told).not.toContain(alice.tokens.access_token);
    expect(told).not.toContain(key.toString("base64"));
  });

  test("is told apart from others by name alone, and the wrong name changes nothing", async () => {
    await expect(rig.console({ webhooks: { do: "retry", name: "chat" } })).rejects.toMatchObject({
      code: "usage.invalid",
      message: "There is no webhook chat.",
      hint: "Known in the configuration: tickets.",
    });
  });

  test("that sends elsewhere is not followed", async () => {
    const elsewhere = new Receiver();
    await receiver.listen(port);
    receiver.status = 307;
    await alice.ask();
    await eventually("it was asked", async () =>
      /answered 307$/.test((await list())?.lastError ?? ""),
    );
    expect([receiver.calls, elsewhere.calls, receiver.heard.length]).toEqual([1, 0, 0]);
  });
});

test("a webhook's certificate is verified, name and authority, before a byte of the message is sent", async () => {
  const authority = await createAuthority("Webhook Test CA");
  const folder = await mkdtemp(join(tmpdir(), "jitdb-hooks-"));
  const { cert, key: privateKey } = await authority.issue("localhost");
  let calls = 0;
  const server = createTlsServer({ cert, key: privateKey }, (request, response) => {
    calls += 1;
    request.resume();
    response.end();
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const run = async (args: readonly string[], ca?: string) =>
    await runProgram("jitdb-server", args, {
      home: folder,
      ...(ca !== undefined && { env: { NODE_EXTRA_CA_CERTS: ca } }),
    });
  try {
    await run(["init", "--admin", "ada"]);
    await writeFile(join(folder, "hook"), secret, { mode: 0o600 });
    await writeFile(join(folder, "ca.pem"), authority.cert);
    const hook = (name: string) => `{ url: "https://${name}:${port}/", secret: "\${file:hook}" }`;
    const file = join(folder, "jitdb.yaml");
    await writeFile(
      file,
      `masterKey: \${file:master.key}\nwebhooks:\n  right: ${hook("localhost")}\n  name: ${hook("127.0.0.1")}\n`,
    );
    const ca = join(folder, "ca.pem");
    const strange = await run(["webhooks", "test", "right"]);
    expect(strange.exitCode).not.toBe(0);
    expect(strange.stderr).toMatch(/localhost:\d+: (UNABLE_TO|SELF_SIGNED|DEPTH_ZERO)\w+/);
    const misnamed = await run(["webhooks", "test", "name"], ca);
    expect(misnamed.exitCode).not.toBe(0);
    expect(misnamed.stderr).toContain("ERR_TLS_CERT_ALTNAME_INVALID");
    expect(calls).toBe(0);
    expect(await run(["webhooks", "test", "right"], ca)).toMatchObject({ exitCode: 0 });
    expect(calls).toBe(1);
    const listed = await run(["webhooks", "list"]);
    expect(listed.stdout).toMatch(/^name +127\.0\.0\.1:\d+ {2}0 waiting {2}0 given up\nright /);
    expect((await run(["webhooks", "retry"])).stderr).toBe(
      "name has taken everything.\nright has taken everything.",
    );
  } finally {
    server.closeAllConnections();
    server.close();
    await authority.remove();
    await rm(folder, { recursive: true });
  }
});
