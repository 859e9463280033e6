// Local doors and database sessions: what ends them, and what keeps them from opening.

import { setTimeout as delay } from "node:timers/promises";
import type { Installation } from "../../support/installation.ts";
import { waitForOutput } from "../../support/programs.ts";
import type { FaultGroup } from "../fault.ts";
import { startGreeter } from "../listeners.ts";
import type { Scene } from "../scene.ts";
import { SmallDisk } from "../small-disk.ts";
import { as, grantToRead, userIsReady, type World } from "../world.ts";

export const sessions: FaultGroup<World> = {
  title: "Sessions",
  faults: [
    {
      condition: "a loopback port that another program holds",
      arrange: async (scene, world) => {
        await liveGrant(scene, world);
        scene.name("port", await startGreeter(scene, ""));
      },
      command: "jitdb connect prod-orders --port <port>",
      stderr: [
        "error: Another program holds port <port>.",
        "hint: Choose another with --port, let jitdb choose with --port 0, or end the program that holds it.",
      ],
      exit: 10,
    },
    {
      condition: "a database that is connected already",
      arrange: async (scene, world) => {
        await liveGrant(scene, world);
        await openDoor(scene, world);
      },
      command: "jitdb connect prod-orders",
      stderr: [
        "error: prod-orders is already connected in process <pid>.",
        "hint: Use that connection, end it with Ctrl-C, or open a second one with --port 0.",
      ],
      exit: 10,
    },
    {
      condition: "a wrong local password",
      needs: "psql",
      arrange: async (scene, world) => {
        await liveGrant(scene, world);
        scene.name("port", await openDoor(scene, world));
      },
      command:
        'PGPASSWORD=guessed psql -X "host=127.0.0.1 port=<port> dbname=orders user=alice" -c "select 1"',
      stderr: [
        'psql: error: connection to server at "127.0.0.1", port <port> failed: FATAL:  The password for the local listener is wrong.',
        "HINT:  Use the password that `jitdb connect` shows for this database.",
      ],
      exit: 2,
    },
    {
      condition: "a program that speaks no PostgreSQL at the loopback port",
      needs: "curl",
      arrange: async (scene, world) => {
        await liveGrant(scene, world);
        scene.name("port", await openDoor(scene, world));
      },
      command: "curl -sS http://127.0.0.1:<port>/",
      stderr: ["curl: (52) Empty reply from server"],
      exit: 52,
    },
    {
      condition: "another database of the same server",
      arrange: liveGrant,
      needs: "psql",
      command: 'jitdb psql prod-orders -X -d postgres -c "select 1"',
      stderr: [
        "prod-orders (read-only), <time> left",
        'psql: error: connection to server on socket "<home>/.jitdb/run/own-<id>/.s.PGSQL.5432" failed: FATAL:  This connection is for prod-orders; the database "postgres" is not part of it.',
        'HINT:  Leave the database\'s name out, or use "prod-orders".',
      ],
      exit: 2,
    },
    {
      condition: "a setting that no session may bring along",
      arrange: liveGrant,
      needs: "psql",
      command: 'PGOPTIONS="-c role=postgres" jitdb psql prod-orders -X -c "select 1"',
      stderr: [
        "prod-orders (read-only), <time> left",
        'psql: error: connection to server on socket "<home>/.jitdb/run/own-<id>/.s.PGSQL.5432" failed: FATAL:  The connection was refused: the parameter "role" cannot be set here.',
        "HINT:  Take the parameter out of the connection string.",
      ],
      exit: 2,
    },
    {
      condition: "psql that is not installed",
      arrange: async (scene, world) => {
        await liveGrant(scene, world);
        scene.env["PATH"] = scene.programsFolder;
      },
      command: "jitdb psql prod-orders",
      stderr: [
        "prod-orders (read-only), <time> left",
        "error: psql is not installed, or not on the PATH.",
        "hint: Install it (Debian: apt install postgresql-client), or use `jitdb sql prod-orders`.",
      ],
      exit: 9,
    },
    {
      condition: "a statement that the profile does not allow",
      arrange: liveGrant,
      command: 'jitdb sql prod-orders -c "delete from app.orders"',
      stderr: ["error: permission denied for table orders (42501)"],
      exit: 1,
    },
    {
      condition: "a grant that is revoked in the middle of a statement",
      arrange: liveGrant,
      meanwhile: async (_scene, { alice, installation }) => {
        await statementRuns(installation);
        await alice.expect(["revoke", "prod-orders", "--reason", "wrong database"]);
      },
      command: 'jitdb sql prod-orders -c "select pg_sleep(60)"',
      stderr: [
        "error: The grant for prod-orders was revoked by alice: wrong database",
        "hint: Talk to who revoked it, or ask again with `jitdb request prod-orders --for 30m`.",
      ],
      exit: 8,
    },
    {
      condition: "a grant that ends in the middle of a statement",
      arrange: (scene, world) => liveGrant(scene, world, "5s"),
      command: 'jitdb sql prod-orders -c "select pg_sleep(60)"',
      stderr: [
        "error: The time for prod-orders is over.",
        "hint: Ask again with `jitdb request prod-orders --for 30m`.",
      ],
      exit: 8,
    },
    {
      condition: "a grant that is revoked while connect runs",
      arrange: liveGrant,
      meanwhile: async (scene, { alice }) => {
        await scene.printed("stderr", /In a GUI/);
        await alice.expect(["revoke", "prod-orders"]);
      },
      command: "jitdb connect prod-orders --port 0",
      stdout: ['  psql "host=<home>/.jitdb/run port=<port> dbname=orders user=alice"'],
      stderr: [
        "prod-orders (read-only) until <time>, <time> left",
        "",
        "In another terminal:",
        "",
        "In a GUI: host 127.0.0.1, port <port>, database orders, user alice,",
        "  password in <home>/.jitdb/passwords/prod-orders-<id>.pgpass, or run again with --show-password",
        "error: The grant for prod-orders was revoked by alice.",
        "hint: Talk to who revoked it, or ask again with `jitdb request prod-orders --for 30m`.",
      ],
      exit: 8,
    },
    {
      condition: "a grant that ends while connect runs",
      arrange: (scene, world) => liveGrant(scene, world, "5s"),
      command: "jitdb connect prod-orders --port 0",
      stdout: ['  psql "host=<home>/.jitdb/run port=<port> dbname=orders user=alice"'],
      stderr: [
        "prod-orders (read-only) until <time>, <time> left",
        "",
        "In another terminal:",
        "",
        "In a GUI: host 127.0.0.1, port <port>, database orders, user alice,",
        "  password in <home>/.jitdb/passwords/prod-orders-<id>.pgpass, or run again with --show-password",
        "The time for prod-orders is over. Ask again with `jitdb request prod-orders --for 30m`.",
      ],
      exit: 0,
    },
    {
      condition: "a server that is started again while connect runs",
      arrange: liveGrant,
      meanwhile: async (scene, { installation }) => {
        await scene.printed("stderr", /In a GUI/);
        await installation.killServer();
        await scene.printed("stderr", /resuming/);
        await installation.startServer();
        await scene.printed("stderr", /Back after/);
        scene.interrupt();
      },
      command: "jitdb connect prod-orders --port 0",
      stdout: ['  psql "host=<home>/.jitdb/run port=<port> dbname=orders user=alice"'],
      stderr: [
        "prod-orders (read-only) until <time>, <time> left",
        "",
        "In another terminal:",
        "",
        "In a GUI: host 127.0.0.1, port <port>, database orders, user alice,",
        "  password in <home>/.jitdb/passwords/prod-orders-<id>.pgpass, or run again with --show-password",
        "Connection lost, resuming…",
        "Back after <time>.",
        "Disconnected. The grant lives on until <time> (<time> left); give it back with `jitdb revoke <id>`.",
      ],
      exit: 0,
    },
    {
      condition: "a server that crashes in the middle of a statement",
      arrange: liveGrant,
      meanwhile: async (_, { installation }) => {
        await statementRuns(installation);
        await installation.killServer();
        await installation.startServer();
      },
      command: 'jitdb sql prod-orders -c "select pg_sleep(60)"',
      stderr: [
        "Connection lost, resuming…",
        "Back after <time>; its session has ended.",
        "error: The connection was lost and could not be resumed.",
        "hint: Run `jitdb connect` again.",
      ],
      exit: 7,
    },
    {
      condition: "a server that is stopped in the middle of a statement",
      arrange: liveGrant,
      meanwhile: async (scene, { installation }) => {
        await statementRuns(installation);
        await installation.stopServer();
        scene.after(() => installation.startServer());
      },
      command: 'jitdb sql prod-orders -c "select pg_sleep(60)"',
      stderr: [
        "error: The server is stopping.",
        "hint: Connect again in a moment; jitdb finds a server that is back by itself.",
      ],
      exit: 7,
    },
    {
      condition: "a person who is disabled in the middle of a statement",
      arrange: liveGrant,
      meanwhile: async (scene, { installation, alice }) => {
        await statementRuns(installation);
        await installation.serverCommand(["users", "disable", "alice"]);
        scene.after(async () => {
          await installation.serverCommand(["users", "enable", "alice"]);
          await alice.login(installation.url);
        });
      },
      command: 'jitdb sql prod-orders -c "select pg_sleep(60)"',
      stderr: [
        "error: The account was disabled.",
        "hint: Ask an administrator to enable the account.",
      ],
      exit: 3,
    },
    {
      condition: "a journal that can't be written: the disk of the server is full",
      needs: "root",
      arrange: async (scene, world) => {
        await disk.start(scene, world.installation);
        await liveGrant(scene, world);
        scene.after(() => disk.free());
      },
      meanwhile: async (scene) => {
        scene.type("select 1 as before;\n");
        await scene.printed("stdout", /1 row/);
        disk.fill();
        // Longer than what is left of the page that the journal's file ends in.
        scene.type(`select 2 as after /* ${"x".repeat(10_000)} */;\n`);
        scene.typeEnd();
      },
      command: "jitdb sql prod-orders",
      stdout: [" before", "--------", "      1", "(1 row)"],
      stderr: [
        "error: The audit journal cannot be written.",
        "hint: Nothing ran. An administrator checks the disk of the audit journal.",
      ],
      exit: 1,
      deadlineMs: 30_000,
    },
    {
      condition: "a full disk that has room again",
      needs: "root",
      arrange: async (scene, world) => {
        await disk.start(scene, world.installation);
        await liveGrant(scene, world);
        scene.after(() => disk.free());
      },
      meanwhile: async (scene, { alice }) => {
        scene.type("select 1 as before;\n");
        await scene.printed("stdout", /1 row/);
        disk.fill();
        const long = `select 2 /* ${"x".repeat(10_000)} */`;
        const refused = await alice.run(["sql", "prod-orders", "-c", long]);
        if (refused.exitCode === 0) {
          throw new Error("A statement ran that was not on record.");
        }
        disk.free();
        scene.type("select 3 as after;\n");
        scene.typeEnd();
      },
      command: "jitdb sql prod-orders",
      stdout: [
        " before",
        "--------",
        "      1",
        "(1 row)",
        "",
        " after",
        "-------",
        "     3",
        "(1 row)",
      ],
      stderr: [],
      exit: 0,
      deadlineMs: 30_000,
    },
  ],
};

const disk = new SmallDisk();

/** The command runs as alice, who may read prod-orders and whose user is there. */
async function liveGrant(scene: Scene, world: World, duration?: string): Promise<void> {
  as(scene, world.alice, world);
  const grant = await grantToRead(scene, world.alice, duration);
  await userIsReady(world.alice, grant);
}

/** Another `jitdb connect` of alice's, as long as the scene lasts; gives its port. */
async function openDoor(scene: Scene, { alice }: World): Promise<string> {
  const child = alice.start(["connect", "prod-orders"]);
  scene.after(async () => {
    child.kill("SIGINT");
    await child;
  });
  const [, port = ""] = await waitForOutput(child, "stderr", /In a GUI: .* port (\d+),/);
  return port;
}

/** Resolves when a statement of a row sleeps in the database. */
async function statementRuns(installation: Installation): Promise<void> {
  const sleeping = "SELECT pid FROM pg_stat_activity WHERE wait_event = 'PgSleep'";
  while ((await installation.asSuperuser(sleeping)).length === 0) {
    await delay(50);
  }
}
