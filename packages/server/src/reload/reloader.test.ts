import { generateKeyPairSync } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { JitdbError } from "@jitdb/shared/errors";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { AccessPorts } from "../access/change.ts";
import type { AuditEvent } from "../audit/record.ts";
import { fixtureCertificate, fixtureKey } from "../config/client-certificate-fixture.ts";
import { loadConfig, requireConfig } from "../config/load.ts";
import { Reloader } from "./reloader.ts";

let folder: string;
let file: string;
let records: AuditEvent[];
let inForce: AccessPorts["config"][];
let shown: string[];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "jitdb-reload-"));
  file = join(folder, "jitdb.yaml");
  secret("master.key", Buffer.alloc(32, 7).toString("base64"));
  secret("password", "hunter2hunter2");
  records = [];
  inForce = [];
  shown = [];
  write(sound);
});

afterEach(() => rmSync(folder, { recursive: true, force: true }));

function secret(name: string, text: string): void {
  writeFileSync(join(folder, name), `${text}\n`, { mode: 0o600 });
}

function write(text: string): void {
  writeFileSync(file, text);
}

const sound = `masterKey: \${file:master.key}
databases:
  orders:
    host: localhost
    database: orders
    tls: { mode: disable }
    admin: { password: "\${file:password}" }
    labels: { env: production }
  people:
    host: localhost
    database: people
    tls: { mode: disable }
    admin: { password: "\${file:password}" }
policies:
  - name: read
    who: { groups: [developers] }
    profiles: [read-only]
    maxDuration: 10h
    approval: automatic
  - name: write
    who: { groups: [developers] }
    databases: [orders]
    profiles: [read-write]
    maxDuration: 30m
    approval: { count: 2, groups: [leads, dba] }
tests:
  - given: { person: alice, groups: [developers], database: orders, profile: read-write, for: 30m }
    expect: { outcome: approval, rule: write }
`;

/** A server that was started with the file as it is now. */
function reloader(journal = { append: keep, record: keep }): Reloader {
  const { config: running } = requireConfig(file);
  return new Reloader({
    running,
    file,
    journal,
    useCertificate: ({ cert }) => shown.push(cert),
    access: { useRules: (rules) => inForce.push(rules) },
    logger: { info() {}, error() {} },
  });
}

function keep(event: AuditEvent): number {
  return records.push(event);
}

function refusal(work: () => unknown): JitdbError {
  try {
    work();
  } catch (error) {
    if (error instanceof JitdbError) {
      return error;
    }
    throw error;
  }
  throw new Error("Nothing was refused.");
}

describe("a sound file", () => {
  it("is in force at once, and on record", () => {
    const server = reloader();
    write(sound.replace("maxDuration: 10h", "maxDuration: 1h"));
    const report = server.reload("console");
    expect(report).toEqual({ file, policies: 2, restart: [], closed: [], warnings: [] });
    expect(inForce).toMatchObject([
      { policies: [{ maxDurationMs: 3_600_000 }, { name: "write" }] },
    ]);
    const { digest } = loadConfig(file);
    const restart: string[] = [];
    const closed: string[] = [];
    expect(records).toEqual([
      { kind: "config.reloaded", file, by: "console", digest, restart, closed },
    ]);
  });

  it("names what waits for a restart, also where a secret changed, which stands nowhere", () => {
    const server = reloader();
    secret("password", "another-password");
    const changed = sound
      .replace("host: localhost", "maxConnections: 5\n    host: localhost")
      .replace("databases:", "listen: 127.0.0.1:7481\ntunnel: { ping: 6s }\ndatabases:");
    write(changed);
    const { restart, closed } = server.reload("signal");
    expect(restart).toEqual([
      "databases.orders",
      "databases.people",
      "listen",
      "publicUrl",
      "tunnel",
    ]);
    expect(closed).toEqual([]);
    expect(JSON.stringify(records)).not.toContain("another-password");
  });

  it("takes over labels and descriptions of databases", () => {
    const server = reloader();
    const described = `labels: { env: staging }\n    profiles: { read-only: { description: Look }, read-write: }`;
    write(sound.replace("labels: { env: production }", described));
    expect(server.reload("console")).toMatchObject({ restart: [], closed: [] });
    const orders = inForce[0]?.databases.get("orders");
    expect(orders?.labels).toEqual({ env: "staging" });
    expect(orders?.profiles.get("read-only")?.description).toBe("Look");
  });

  it.each([
    ["another host", "host: localhost", "host: staging.internal", "orders"],
    ["another database", "database: orders", "database: orders_copy", "orders"],
    [
      "a profile with other privileges",
      "labels: { env: production }",
      "profiles: { read-only: { privileges: admin }, read-write: }",
      "read-only on orders",
    ],
  ])(
    "opens nothing to its rules that is %s behind the same name",
    (_title, before, after, name) => {
      const server = reloader();
      write(sound.replace(before, after));
      expect(server.reload("console")).toMatchObject({
        restart: ["databases.orders"],
        closed: [name],
      });
      const orders = inForce[0]?.databases.get("orders");
      expect(orders?.profiles.has("read-only") ?? false).toBe(false);
    },
  );

  it("closes a database that is gone from it, and does not open one that is new", () => {
    const server = reloader();
    write(sound.replace("  people:", "  persons:"));
    expect(server.reload("console")).toMatchObject({
      restart: ["databases.people", "databases.persons"],
      closed: ["persons"],
    });
    expect([...(inForce[0]?.databases.keys() ?? [])]).toEqual(["orders"]);
  });

  it("is compared with what the server runs, however often it was reloaded", () => {
    const server = reloader();
    write(sound.replace("  people:", "  persons:"));
    server.reload("console");
    write(sound);
    expect(server.reload("console")).toMatchObject({ restart: [], closed: [] });
    expect([...(inForce[1]?.databases.keys() ?? [])]).toEqual(["orders", "people"]);
  });
});

describe("a certificate", () => {
  const tls = "tls: { cert: server.crt, key: server.key }\ndatabases:";

  function certificate(key: string): void {
    writeFileSync(join(folder, "server.crt"), fixtureCertificate);
    secret("server.key", key);
  }

  it("that was renewed is shown at once", () => {
    certificate(fixtureKey);
    write(sound.replace("databases:", tls));
    const server = reloader();
    writeFileSync(join(folder, "server.crt"), `\n${fixtureCertificate}`);
    expect(server.reload("signal").restart).toEqual([]);
    expect(shown).toEqual([`\n${fixtureCertificate}`.replace(/\n$/, "")]);
  });

  it("that its key does not fit leaves everything as it is", () => {
    certificate(fixtureKey);
    write(sound.replace("databases:", tls));
    const server = reloader();
    const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
    certificate(String(privateKey.export({ format: "pem", type: "pkcs8" })));
    expect(refusal(() => server.reload("signal")).message).toContain(
      `${file}: tls: certificate and key can't be used together (`,
    );
    expect([shown, inForce]).toEqual([[], []]);
  });

  it("on a server that was started without any waits for a restart", () => {
    const server = reloader();
    certificate(fixtureKey);
    write(sound.replace("databases:", tls));
    expect(server.reload("console").restart).toEqual(["publicUrl", "tls"]);
  });
});

describe("a broken file", () => {
  it("leaves the rules of before in force, and says every problem where it stands", () => {
    const server = reloader();
    write(
      sound.replace("[read-only]", "[read-olny]").replace("maxDuration: 30m", "maxDuration: 30"),
    );
    const error = refusal(() => server.reload("signal"));
    expect(inForce).toEqual([]);
    expect(error.forms.exit).toBe(2);
    expect(error.message).toBe(
      `${file} has 2 problems; the rules of before stay in force:
${file}:17:16: policies[0].profiles[0]: none of this policy's databases has a profile "read-olny".
    Did you mean "read-only"?
${file}:24:18: policies[1].maxDuration: must be a text.`,
    );
    expect(records).toMatchObject([
      { kind: "config.refused", file, by: "signal", problems: 2, digest: loadConfig(file).digest },
    ]);
  });

  it("is one of which a test case fails", () => {
    const server = reloader();
    write(sound.replace("{ count: 2, groups: [leads, dba] }", "automatic"));
    expect(refusal(() => server.reload("console")).message).toContain(
      `${file}:27:5: tests[0], orders: expected approval; came automatic by the rule write`,
    );
    expect(inForce).toEqual([]);
  });

  it.each([
    ["is not there", () => rmSync(file), "There is no "],
    ["is empty", () => write(""), "masterKey"],
    ["is no text", () => writeFileSync(file, Buffer.alloc(4096, 0xfe)), "jitdb.yaml:"],
    [
      "repeats itself without end",
      () =>
        write(
          `${sound}a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a]\nc: [*b,*b,*b,*b,*b,*b]\n`,
        ),
      "alias",
    ],
  ])("that %s leaves the rules of before in force", (_title, harm, message) => {
    const server = reloader();
    harm();
    const error = refusal(() => server.reload("console"));
    expect([error.code, inForce]).toEqual(["config.invalid", []]);
    expect(error.message).toContain(message);
    expect(records).toMatchObject([{ kind: "config.refused", problems: expect.any(Number) }]);
    write(sound);
    expect(server.reload("console").policies).toBe(2);
  });

  it("that was cut off at any line, or in the middle of one, leaves the rules of before, or is a sound one of whole lines", () => {
    const server = reloader();
    const bytes = Buffer.from(sound);
    const accepted = new Set<number>();
    // Every end of a line, what is just before and behind it, and every fifth byte.
    const lengths = Array.from(bytes.keys()).filter(
      (at) => at % 5 === 0 || [at - 2, at - 1, at].some((near) => bytes[near] === 0x0a),
    );
    for (const length of lengths) {
      writeFileSync(file, bytes.subarray(0, length));
      const before = inForce.length;
      try {
        server.reload("signal");
      } catch (error) {
        expect(error).toMatchObject({ code: "config.invalid" });
        expect(inForce).toHaveLength(before);
        continue;
      }
      const { policies = [] } = loadConfig(file).config ?? {};
      expect(inForce.at(-1)?.policies).toEqual(policies);
      expect(bytes[length - 1]).toBe(0x0a);
      accepted.add(policies.length);
    }
    // All three happen: no policy was there yet, one, or both without their tests.
    expect([...accepted].sort()).toEqual([0, 1, 2]);
    expect(records).toHaveLength(lengths.length);
  }, 30_000);
});

it("leaves the rules of before in force where it cannot put it on record", () => {
  const full = new JitdbError("audit.unavailable", "The disk is full.");
  const server = reloader({
    append: keep,
    record: () => {
      throw full;
    },
  });
  expect(refusal(() => server.reload("console"))).toBe(full);
  expect(inForce).toEqual([]);
  expect(records).toMatchObject([{ kind: "config.refused", found: ["The disk is full."] }]);
  expect(readFileSync(file, "utf8")).toBe(sound);
});
