import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { inspect } from "node:util";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { fixtureCertificate, fixtureKey } from "./client-certificate-fixture.ts";
import { formatProblem, loadConfig, requireConfig } from "./load.ts";
import { exampleSections, renderConfig } from "./template.ts";

let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "jitdb-config-"));
  secretFile("master.key", `${Buffer.alloc(32, 7).toString("base64")}\n`);
  secretFile("password", "hunter2hunter2\n");
});

afterEach(() => rmSync(folder, { recursive: true, force: true }));

function secretFile(name: string, text: string, mode = 0o600): void {
  writeFileSync(join(folder, name), text);
  chmodSync(join(folder, name), mode);
}

function load(yaml: string, environment: Record<string, string> = {}) {
  writeFileSync(join(folder, "jitdb.yaml"), yaml);
  return loadConfig(join(folder, "jitdb.yaml"), environment);
}

/** Problems as a person sees them, without the folder. */
function problemsOf(yaml: string, environment: Record<string, string> = {}): string[] {
  return load(yaml, environment).problems.map((problem) =>
    formatProblem(problem).replaceAll(`${folder}/`, ""),
  );
}

const key = `masterKey: \${file:master.key}\n`;
const orders = `${key}databases:
  orders:
    host: localhost
    database: orders
    tls: {mode: disable}
    admin: {password: "\${file:password}"}
`;
const policy = `policies:
  - name: read
    who: {groups: [developers]}
    profiles: [read-only]
    maxDuration: 1h
    approval: automatic
`;
const sound = `${orders}${policy}`;

describe("a sound configuration", () => {
  it("comes with every default filled in", () => {
    const { config, problems } = load(sound);
    expect(problems).toEqual([]);
    expect(config).toMatchObject({
      listen: { host: "127.0.0.1", port: 7480 },
      publicUrl: "http://127.0.0.1:7480",
      trustedProxies: [],
      dataFolder: join(folder, "data"),
      audit: { durability: "write", maxTextBytes: 16_777_216 },
      devices: { confirm: "approval" },
      tunnel: { pingMs: 5000, silenceMs: 10_000, parkedMs: 120_000, busyMs: 30_000 },
    });
    const database = config?.databases.get("orders");
    expect(database).toMatchObject({ port: 5432, admin: { user: "jitdb_admin" }, labels: {} });
    expect([...(database?.profiles.values() ?? [])]).toMatchObject([
      { name: "read-only", privileges: "read-only", group: "jitdb_orders_read_only" },
      { name: "read-write", privileges: "read-write", group: "jitdb_orders_read_write" },
    ]);
    expect(config?.policies).toMatchObject([
      {
        databases: ["*"],
        maxDurationMs: 3_600_000,
        approval: { kind: "automatic" },
        requestLifetimeMs: 86_400_000,
        reasonRequired: false,
        drainMs: 0,
      },
    ]);
  });

  it("may end grants softly, for ten minutes at the most", () => {
    const soft = (drain: string) => load(`${sound}    end: { drain: ${drain} }\n`);
    expect(soft("60s").config?.policies).toMatchObject([{ drainMs: 60_000 }]);
    expect(soft("10m").problems).toEqual([]);
    expect(soft("11m").problems).toMatchObject([{ message: expect.stringContaining("10m") }]);
    expect(soft("0s").problems).toHaveLength(1);
  });

  it("takes secrets from files without their last newline, and prints none of them (invariant 37)", () => {
    const { config } = load(sound);
    expect(config?.databases.get("orders")?.admin.password.reveal()).toBe("hunter2hunter2");
    const key = Buffer.alloc(32, 7).toString("base64");
    expect(config?.masterKey.key.reveal()).toBe(key);
    for (const printed of [inspect(config, { depth: 9 }), JSON.stringify(config)]) {
      expect(printed).not.toContain("hunter2hunter2");
      expect(printed).not.toContain(key);
    }
  });

  it("takes secrets from the environment", () => {
    const { config } = load(sound.replace(`\${file:password}`, `\${env:ORDERS}`), { ORDERS: "s3" });
    expect(config?.databases.get("orders")?.admin.password.reveal()).toBe("s3");
  });

  it("has a digest of the file that changes with the file and not with the secrets", () => {
    const first = load(sound).digest;
    secretFile("password", "another one");
    expect(load(sound).digest).toBe(first);
    expect(load(`${sound}\n`).digest).not.toBe(first);
  });

  it("cuts group names that PostgreSQL would cut, and keeps them apart", () => {
    const name = `a${"b".repeat(62)}`;
    const { config } = load(sound.replace("  orders:", `  ${name}:`));
    const groups = [...(config?.databases.get(name)?.profiles.values() ?? [])].map(
      ({ group }) => group,
    );
    expect(groups.map((group) => group.length)).toEqual([63, 63]);
    expect(new Set(groups).size).toBe(2);
  });
});

describe("how to log in to a database", () => {
  /** The database with these sections in the place of its own tls. */
  const withTls = (tls: string, login = "") =>
    sound.replace("tls: {mode: disable}", `tls: {${tls}}\n    ${login}`);
  const pair = "cert: client.crt, key: client.key";

  beforeEach(() => {
    secretFile("client.crt", fixtureCertificate);
    secretFile("client.key", fixtureKey);
  });

  it("is SCRAM alone unless more is asked for", () => {
    const database = load(sound).config?.databases.get("orders");
    expect(database?.allowedLogins).toBeUndefined();
    expect(database?.tls).toEqual({ mode: "disable" });
  });

  it.each([
    ["files", pair],
    // biome-ignore lint/suspicious/noTemplateCurlyInString: this is how references are written
    ["references", 'cert: "${file:client.crt}", key: "${file:client.key}"'],
  ])("may be with a client certificate out of %s", (_, written) => {
    const { config, problems } = load(withTls(`mode: verify-full, ${written}`));
    expect(problems).toEqual([]);
    const { tls } = config?.databases.get("orders") ?? {};
    expect(tls?.client?.cert.trim()).toBe(fixtureCertificate.trim());
    expect(tls?.client?.key.reveal().trim()).toBe(fixtureKey.trim());
    expect(inspect(config, { depth: null })).not.toContain("PRIVATE KEY");
  });

  it("may be by certificate, MD5 or clear text where a verified TLS is", () => {
    const login = "login: {allow: [certificate, md5, password]}";
    const { config, problems } = load(withTls(`mode: verify-ca, ${pair}`, login));
    expect(problems).toEqual([]);
    expect(config?.databases.get("orders")?.allowedLogins).toEqual([
      "certificate",
      "md5",
      "password",
    ]);
  });

  it.each([
    [
      "MD5 without TLS",
      withTls("mode: disable", "login: {allow: [md5]}"),
      /the login md5 is for TLS alone\./,
    ],
    [
      "a certificate alone to whoever answers",
      withTls(`mode: require, ${pair}`, "login: {allow: [certificate]}"),
      /a login by certificate alone needs a certificate, and a database that proves who it is\./,
    ],
    [
      "a certificate that is not there",
      withTls("mode: verify-full", "login: {allow: [certificate]}"),
      /a login by certificate alone needs a certificate/,
    ],
    [
      "clear text to whoever answers, with a warning",
      withTls("mode: require", "login: {allow: [password]}"),
      /with tls mode require, whoever poses as orders can ask for passwords by password\./,
    ],
    ["a certificate without a key", withTls("cert: client.crt"), /has no key\./],
    ["a key without a certificate", withTls("key: client.key"), /has no cert\./],
    [
      "a certificate without TLS",
      withTls(`mode: disable, ${pair}`),
      /a client certificate is for TLS alone\./,
    ],
    [
      "a key that is not the certificate's",
      withTls("cert: client.crt, key: client.crt"),
      /is not the key of the certificate\./,
    ],
    [
      "an unknown way",
      withTls("mode: require", "login: {allow: [trust]}"),
      /must be one of: md5, password, certificate\./,
    ],
  ])("is refused as %s", (_, yaml, problem) => {
    expect(problemsOf(yaml)).toEqual([expect.stringMatching(problem)]);
  });

  it("is refused with a key that everybody can read", () => {
    chmodSync(join(folder, "client.key"), 0o644);
    expect(problemsOf(withTls(pair))).toEqual([
      expect.stringContaining("client.key is open to everybody (mode 0644)."),
    ]);
  });

  it("never repeats what a reference gave as the name of a file", () => {
    // biome-ignore lint/suspicious/noTemplateCurlyInString: this is how references are written
    const problems = problemsOf(withTls('cert: client.crt, key: "${file:password}"'));
    expect(problems).toEqual([expect.stringContaining("what it refers to is no PEM text.")]);
    expect(problems.join()).not.toContain("hunter2");
  });
});

describe("the template", () => {
  const values = { listen: "127.0.0.1:7480", confirmDevices: "approval" } as const;

  it("is a sound configuration but for being empty", () => {
    expect(problemsOf(renderConfig({ ...values, sections: exampleSections }))).toEqual([
      "jitdb.yaml:35:12: warning: databases: there are no databases.\n    Add one under databases:.",
      "jitdb.yaml:54:11: warning: policies: there are no policies, so every request will be refused.\n    Add one under policies:.",
    ]);
  });

  it("holds an example that is sound once it is uncommented", () => {
    secretFile("prod-orders.password", "x");
    const example = exampleSections
      .replace("databases: {}", "databases:")
      .replace("policies: []", "policies:")
      .replaceAll(/^#( {2}.*)$/gm, "$1");
    const { config, problems } = load(renderConfig({ ...values, sections: example }));
    expect(problems).toEqual([]);
    expect(config?.policies).toHaveLength(2);
  });
});

/** Each row: what the case is, the file, and exactly what is said about it. */
const cases: readonly (readonly [string, string, readonly string[]])[] = [
  [
    "an unknown key, with the nearest known one",
    `listne: 127.0.0.1:1\n${sound}`,
    ['jitdb.yaml:1:1: unknown key "listne".\n    Did you mean "listen"?'],
  ],
  [
    "an unknown key that is near to none",
    sound.replace("maxDuration: 1h", "maxDuration: 1h\n    colour: red"),
    [
      'jitdb.yaml:13:5: policies[0]: unknown key "colour".\n    Known here: name, who, databases, labels, profiles, maxDuration, defaultDuration, approval, requestLifetime, reasonRequired, reason, when, hours, end, extend, perDay, stepUp, breakGlass.',
    ],
  ],
  [
    "a missing key",
    sound.replace("    host: localhost\n", ""),
    ['jitdb.yaml:3:3: databases.orders: host is missing.\n    Add "host:" here.'],
  ],
  [
    "a password in clear, without repeating it",
    sound.replace(`"\${file:password}"`, "hunter2"),
    [
      `jitdb.yaml:7:23: databases.orders.admin.password: a secret never stands in the configuration itself. Write \${file:path} or \${env:NAME}.`,
    ],
  ],
  [
    "a reference with something around it",
    sound.replace(`\${file:password}`, `x\${file:password}`),
    [
      `jitdb.yaml:7:23: a reference must be the whole value.\n    Write \${env:NAME} or \${file:path} with nothing around it.`,
    ],
  ],
  [
    "an environment variable that is not set",
    sound.replace(`\${file:password}`, `\${env:NOPE}`),
    ["jitdb.yaml:7:23: the environment variable NOPE is not set.\n    Set it: export NOPE=…"],
  ],
  [
    "a secret's file that is not there",
    sound.replace(`\${file:password}`, `\${file:nope}`),
    ["jitdb.yaml:7:23: nope does not exist.\n    Looked for nope. Create it, or name another."],
  ],
  [
    "durations that are none",
    sound.replace("maxDuration: 1h", "maxDuration: 1h1h"),
    [
      "jitdb.yaml:12:18: policies[0].maxDuration: must be a duration between 1s and 365d, such as 30m, 2h or 1h30m.",
    ],
  ],
  [
    "a port that is none",
    sound.replace("host: localhost", "host: localhost\n    port: 99999"),
    ["jitdb.yaml:5:11: databases.orders.port: a port is a whole number from 1 to 65535."],
  ],
  [
    "a policy for a database that is not there",
    sound.replace("profiles: [read-only]", "databases: [ordres]\n    profiles: [read-only]"),
    [
      'jitdb.yaml:11:17: policies[0].databases[0]: "ordres" matches no database.\n    Did you mean "orders"?',
    ],
  ],
  [
    "a policy for a profile that none of its databases has",
    sound.replace("profiles: [read-only]", "profiles: [read-onyl]"),
    [
      'jitdb.yaml:11:16: policies[0].profiles[0]: none of this policy\'s databases has a profile "read-onyl".\n    Did you mean "read-only"?',
    ],
  ],
  [
    "two policies of one name",
    `${sound}${policy.replace("policies:\n", "")}`,
    [
      'jitdb.yaml:14:11: policies[1].name: "read" is the name of policies[0], too.\n    Give each policy a name of its own.',
    ],
  ],
  [
    "two databases of one name",
    `${sound.replace(policy, "")}  orders: {}\n${policy}`,
    ["jitdb.yaml:8:3: Map keys must be unique."],
  ],
  [
    "profiles that would share a group",
    sound.replace(
      "    host: localhost",
      "    profiles: {read-only: {group: app}, read-write: {group: app}}\n    host: localhost",
    ),
    [
      "jitdb.yaml:4:53: databases.orders.profiles.read-write: its group app is that of orders/read-only, too: each would have the other's rights.\n    Name another with group:.",
    ],
  ],
  [
    "a custom profile that says nothing of its privileges",
    sound.replace("    host:", "    profiles: {read-only: {}, report: {}}\n    host:"),
    [
      'jitdb.yaml:4:39: databases.orders.profiles.report: says nothing of its privileges.\n    Add "privileges:" with one of: read-only, read-write, admin.',
    ],
  ],
  [
    "plain HTTP off loopback",
    `listen: 0.0.0.0:80\npublicUrl: http://jitdb.example.com\n${sound}`,
    [
      "jitdb.yaml:1:9: listen: plain HTTP is refused off loopback.\n    Add tls: {cert, key}, or trustedProxies where a proxy in front speaks TLS.",
      "jitdb.yaml:2:12: publicUrl: plain HTTP is refused off loopback.\n    Use https://.",
    ],
  ],
  [
    "https that nothing speaks",
    `publicUrl: https://jitdb.example.com\n${sound}`,
    [
      "jitdb.yaml:1:12: publicUrl: starts with https://, but nothing speaks TLS.\n    Add tls: {cert, key}, or trustedProxies where a proxy in front speaks TLS.",
    ],
  ],
  [
    "a master key that is none, without repeating it",
    sound.replace(`\${file:master.key}`, `\${file:password}`),
    [
      "jitdb.yaml:1:12: masterKey: this is no master key: 32 bytes in base64, alone or as {id, key}.\n    Make one: openssl rand -base64 32",
    ],
  ],
  [
    "YAML that is none",
    `${sound}  - [\n`,
    [
      "jitdb.yaml:15:1: Flow sequence in block collection must be sufficiently indented and end with a ].",
    ],
  ],
  [
    "an empty file",
    "",
    [
      'jitdb.yaml:1:1: masterKey is missing.\n    Add "masterKey:" here.',
      "jitdb.yaml:1:1: warning: databases: there are no databases.\n    Add one under databases:.",
      "jitdb.yaml:1:1: warning: policies: there are no policies, so every request will be refused.\n    Add one under policies:.",
    ],
  ],
  [
    "rows that would travel in clear text, as a warning",
    sound.replace("host: localhost", "host: db.example.com"),
    [
      "jitdb.yaml:6:17: warning: databases.orders.tls.mode: rows travel to orders in clear text.\n    Use verify-full with the authority that signed the database's certificate.",
    ],
  ],
];

describe("problems", () => {
  it.each(cases)("names %s", (_name, yaml, expected) => {
    expect(problemsOf(yaml)).toEqual(expected);
  });

  it("refuses a secret that everybody may read", () => {
    secretFile("password", "x", 0o644);
    expect(problemsOf(sound)).toEqual([
      "jitdb.yaml:7:23: password is open to everybody (mode 0644).\n    Run: chmod 600 password",
    ]);
  });

  it("refuses a secret that is empty", () => {
    secretFile("password", "\n");
    expect(problemsOf(sound)).toEqual([
      "jitdb.yaml:7:23: password is empty.\n    Write into password.",
    ]);
  });

  it("finds mistakes of all sections in one run", () => {
    const lines = problemsOf(
      `${sound.replace("database: orders", "databse: orders").replace("1h", "soon")}foo: 1\n`,
    ).map((problem) => problem.split(" ")[0]);
    expect(lines).toEqual([
      "jitdb.yaml:3:3:",
      "jitdb.yaml:5:5:",
      "jitdb.yaml:12:18:",
      "jitdb.yaml:14:1:",
    ]);
  });

  it("come together in one error with the command that proves the mended file", () => {
    const file = join(folder, "jitdb.yaml");
    load(`a: 1\nb: 2\n${sound}`);
    expect(() => requireConfig(file)).toThrow(
      expect.objectContaining({
        code: "config.invalid",
        message: expect.stringMatching(/has 2 problems:\n.*:1:1: .*\n.*\n.*:2:1: /),
        hint: `Mend jitdb.yaml, then run \`jitdb-server check --config ${file}\`.`,
      }),
    );
  });

  it("say how to get a file where there is none", () => {
    expect(() => loadConfig(join(folder, "nope.yaml"))).toThrow(
      expect.objectContaining({
        code: "config.invalid",
        hint: "Write one with `jitdb-server init`, or name another with --config.",
      }),
    );
  });
});
