// What `check` says of a policy by itself, with its line and column.

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { formatProblem, loadConfig } from "./load.ts";

let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "jitdb-policies-"));
  const key = Buffer.alloc(32, 7).toString("base64");
  writeFileSync(join(folder, "master.key"), key, { mode: 0o600 });
});

afterEach(() => rmSync(folder, { recursive: true, force: true }));

const sound = `masterKey: \${file:master.key}
databases:
  orders:
    host: localhost
    database: orders
    tls: {mode: disable}
    admin: {password: "\${file:master.key}"}
policies:
  - name: read
    who: {groups: [developers]}
    profiles: [read-only]
    maxDuration: 1h
    approval: automatic
`;

test.each([
  [
    "a default duration that is longer than the longest",
    sound.replace("maxDuration: 1h", "maxDuration: 1h\n    defaultDuration: 2h"),
    ["jitdb.yaml:13:22: policies[0].defaultDuration: is longer than maxDuration.\n    At most 1h."],
  ],
  [
    "a service that is not there, and one that is named as a person",
    sound
      .replace("who: {groups: [developers]}", "who: {services: [nightyl], people: [nightly]}")
      .replace(
        "databases:",
        "identity: {services: {nightly: {keys: [{kty: OKP, crv: Ed25519, x: AA}]}}}\ndatabases:",
      ),
    [
      'jitdb.yaml:11:22: policies[0].who.services[0]: there is no service "nightyl".\n    Did you mean "nightly"?',
      "jitdb.yaml:11:41: policies[0].who.people[0]: nightly is a service.\n    Name it under services: instead.",
    ],
  ],
  [
    "a service that is there, beside something that can't be read",
    sound
      .replace("who: {groups: [developers]}", "who: {services: [nightly]}")
      .replace(
        "databases:",
        "identity: {services: {nightly: {keys: [{kty: OKP, crv: Ed25519, x: AA}]}}}\ntunnel: {ping: soon}\ndatabases:",
      ),
    [expect.stringContaining("tunnel.ping")],
  ],
  [
    "a condition that loops over more than is good for the server",
    `${sound}    when: groups.all(a, groups.all(b, groups.all(c, a != b)))\n`,
    [
      expect.stringMatching(
        /^jitdb\.yaml:14:11: policies\[0\]\.when: can take \d+ steps, and 100000 are the most: loop over shorter lists\.\n/,
      ),
    ],
  ],
])("names %s", (_title, yaml, expected) => {
  const file = join(folder, "jitdb.yaml");
  writeFileSync(file, yaml);
  const problems = loadConfig(file, {}).problems.map((problem) =>
    formatProblem(problem).replaceAll(`${folder}/`, ""),
  );
  expect(problems).toEqual(expected);
});

test("takes a default duration up to the longest", () => {
  const file = join(folder, "jitdb.yaml");
  writeFileSync(file, `${sound}    defaultDuration: 1h\n`);
  const { config, problems } = loadConfig(file, {});
  expect(problems).toEqual([]);
  expect(config?.policies).toMatchObject([{ defaultDurationMs: 3_600_000 }]);
});
