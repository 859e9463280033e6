// `jitdb-server` on the operator's console.

import { chmod, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { ordersConfig } from "../../support/installation.ts";
import { runProgram, startProgram, waitForOutput } from "../../support/programs.ts";
import type { FaultGroup } from "../fault.ts";
import { freePort, startGreeter } from "../listeners.ts";
import type { Scene } from "../scene.ts";

export const server: FaultGroup = {
  title: "The server's console",
  faults: [
    {
      condition: "a misspelt command of jitdb-server",
      command: "jitdb-server strat",
      stderr: ["error: Unknown command 'strat'.", "hint: Did you mean start?"],
      exit: 2,
    },
    {
      condition: "no configuration in the folder",
      command: "jitdb-server start",
      stderr: [
        "error: There is no jitdb.yaml.",
        "hint: Write one with `jitdb-server init`, or name another with --config.",
      ],
      exit: 2,
    },
    {
      condition: "a configuration that is no YAML",
      arrange: async (scene) => {
        await writeFile(join(scene.home, "jitdb.yaml"), "listen: 127.0.0.1:7480\ndatabases: [\n");
      },
      command: "jitdb-server start",
      stderr: [
        "error: jitdb.yaml has a problem:",
        "jitdb.yaml:3:1: Flow sequence in block collection must be sufficiently indented and end with a ].",
        "hint: Mend jitdb.yaml, then run `jitdb-server check --config jitdb.yaml`.",
      ],
      exit: 2,
    },
    {
      condition: "a configuration with several slips",
      arrange: async (scene) => {
        const policy =
          '  - { who: { groups: [devs] }, databases: ["prod-order"], profiles: [reed-only] }';
        await writeFile(
          join(scene.home, "jitdb.yaml"),
          [
            "listen: 0.0.0.0:7480",
            `masterkey: ${keyReference}`,
            ordersConfig({ host: "127.0.0.1", port: 5432 }).trimEnd(),
            "policies:",
            policy,
            "",
          ].join("\n"),
        );
      },
      command: "jitdb-server check --offline",
      stdout: [
        "jitdb.yaml:1:1: masterKey is missing.",
        '    Add "masterKey:" here.',
        'jitdb.yaml:2:1: unknown key "masterkey".',
        '    Did you mean "masterKey"?',
        "jitdb.yaml:2:12: master.key does not exist.",
        "    Looked for <home>/master.key. Create it, or name another.",
        "jitdb.yaml:11:17: orders.password does not exist.",
        "    Looked for <home>/orders.password. Create it, or name another.",
        "jitdb.yaml:18:5: policies[0]: name is missing.",
        '    Add "name:" here.',
        "jitdb.yaml:18:5: policies[0]: maxDuration is missing.",
        '    Add "maxDuration:" here.',
        "jitdb.yaml:18:5: policies[0]: approval is missing.",
        '    Add "approval:" here.',
        'jitdb.yaml:18:44: policies[0].databases[0]: "prod-order" matches no database.',
        '    Did you mean "prod-orders"?',
      ],
      stderr: ["jitdb.yaml has to be mended before databases can be looked at."],
      exit: 2,
    },
    {
      condition: "a master key that is gone",
      arrange: async (scene) => {
        await initialise(scene);
        await rm(join(scene.home, "master.key"));
      },
      command: "jitdb-server start",
      stderr: [
        "error: jitdb.yaml has a problem:",
        "jitdb.yaml:3:12: master.key does not exist.",
        "    Looked for <home>/master.key. Create it, or name another.",
        "hint: Mend jitdb.yaml, then run `jitdb-server check --config jitdb.yaml`.",
      ],
      exit: 2,
    },
    {
      condition: "a master key that others may read",
      arrange: async (scene) => {
        await initialise(scene);
        await chmod(join(scene.home, "master.key"), 0o644);
      },
      command: "jitdb-server start",
      stderr: [
        "error: jitdb.yaml has a problem:",
        "jitdb.yaml:3:12: master.key is open to everybody (mode 0644).",
        "    Run: chmod 600 <home>/master.key",
        "hint: Mend jitdb.yaml, then run `jitdb-server check --config jitdb.yaml`.",
      ],
      exit: 2,
    },
    {
      condition: "a port that another program holds",
      arrange: async (scene) => initialise(scene, await startGreeter(scene, "")),
      command: "jitdb-server start",
      stderr: [
        "error: 127.0.0.1:<port> is in use.",
        "hint: Change listen: in the configuration, or end the program that holds the port.",
      ],
      exit: 10,
    },
    {
      condition: "a second server on the same store",
      arrange: async (scene) => {
        await initialise(scene);
        const first = startProgram("jitdb-server", ["start"], { home: scene.home });
        scene.after(async () => {
          first.kill("SIGKILL");
          await first;
        });
        first.stderr?.resume();
        await waitForOutput(first, "stdout", /^Ready: /m);
      },
      command: "jitdb-server start",
      stderr: [
        "error: The store in <home>/data is in use by process <pid> on <host>, which listens on http://127.0.0.1:<port>, since <time>.",
        "hint: Stop the other server first, or start it with another data folder.",
      ],
      exit: 10,
    },
    {
      condition: "a store that is damaged",
      arrange: async (scene) => {
        await initialise(scene);
        const file = join(scene.home, "data", "store.sqlite");
        await writeFile(file, "not a database, whatever its name says".repeat(200));
      },
      command: "jitdb-server start",
      stderr: [
        "error: The store <home>/data/store.sqlite is damaged.",
        "hint: Restore the store from a backup.",
      ],
      exit: 1,
    },
    {
      condition: "an installation where there is one already",
      arrange: (scene) => initialise(scene),
      command: "jitdb-server init",
      stderr: [
        "error: <home> holds jitdb.yaml, master.key, data already.",
        "hint: Start it with `jitdb-server start --config <home>/jitdb.yaml`, or choose another --folder.",
      ],
      exit: 2,
    },
    {
      condition: "a password for the administrator that is too short",
      command: "printf 'short\\n' | jitdb-server init --admin-password-stdin",
      stderr: [
        "error: A password needs at least 12 characters.",
        "hint: Four or five words that do not belong together are easy to keep and hard to guess.",
      ],
      exit: 2,
    },
    {
      condition: "a person of that name already",
      arrange: (scene) => initialise(scene),
      command: "jitdb-server users add admin",
      stderr: [
        "error: There is already a person called admin.",
        "hint: Choose another name, or see `jitdb-server users list`.",
      ],
      exit: 10,
    },
    {
      condition: "a person who is not there",
      arrange: (scene) => initialise(scene),
      command: "jitdb-server users disable alcie",
      stderr: [
        "error: There is no person called alcie.",
        "hint: List them with `jitdb-server users list`.",
      ],
      exit: 9,
    },
    {
      condition: "a name that is none",
      arrange: (scene) => initialise(scene),
      command: "jitdb-server users add Alice!",
      stderr: [
        "error: The name \"Alice!\" will not do: lower-case letters, digits, '.', '_' and '-', at most 63, starting with a letter or digit.",
        "hint: See `jitdb-server users --help`.",
      ],
      exit: 2,
    },
    {
      condition: "SQL for a database that is not configured",
      arrange: (scene) => initialise(scene),
      command: "jitdb-server database sql prod-ordres",
      stderr: ['error: There is no database "prod-ordres".', 'hint: Did you mean "prod-orders"?'],
      exit: 9,
    },
    {
      condition: "a check while the database is down",
      arrange: async (scene) => {
        const port = await freePort();
        scene.name("port", port);
        await initialise(scene, undefined, port);
      },
      command: "jitdb-server check",
      stdout: [
        "prod-orders: prod-orders cannot be reached at the moment. (connect ECONNREFUSED 127.0.0.1:<port>)",
        "    Start the database, or mend host, port and tls of prod-orders.",
      ],
      stderr: ["jitdb.yaml is sound. 1 database looked at: 1 problem."],
      exit: 2,
    },
    {
      condition: "a trial of a database that is down",
      arrange: async (scene) => scene.name("port", await freePort()),
      command: "jitdb-server try postgres://127.0.0.1:<port>/orders",
      stderr: [
        "error: No PostgreSQL answers at 127.0.0.1:<port>.",
        "hint: Check host and port in the URL; psql with the same URL should work.",
      ],
      exit: 11,
    },
    {
      condition: "a trial of something that is no PostgreSQL URL",
      command: "jitdb-server try mysql://127.0.0.1/orders",
      stderr: [
        "error: This is no PostgreSQL URL.",
        "hint: Write it as postgres://user@host:5432/database.",
      ],
      exit: 2,
    },
  ],
};

/** An installation in the scene's home, with a database that need not be there; on a free port unless one is named. */
async function initialise(scene: Scene, port?: number, databasePort = 1): Promise<void> {
  const listen = `127.0.0.1:${port ?? (await freePort())}`;
  const { exitCode, stderr } = await runProgram("jitdb-server", ["init", "--listen", listen], {
    home: scene.home,
  });
  if (exitCode !== 0) {
    throw new Error(stderr);
  }
  await writeFile(join(scene.home, "orders.password"), "secret", { mode: 0o600 });
  await writeFile(
    join(scene.home, "jitdb.yaml"),
    [
      `listen: ${listen}`,
      "dataFolder: data",
      `masterKey: ${keyReference}`,
      ordersConfig({ host: "127.0.0.1", port: databasePort }).trimEnd(),
      "policies:",
      "  - name: developers-read",
      "    who: { groups: [developers] }",
      "    databases: [prod-orders]",
      "    profiles: [read-only]",
      "    maxDuration: 1h",
      "    approval: automatic",
      "",
    ].join("\n"),
  );
}

// biome-ignore lint/suspicious/noTemplateCurlyInString: this is how references are written
const keyReference = "${file:master.key}";
