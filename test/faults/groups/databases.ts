// The database behind it all is away, full or set up wrongly.

import { setTimeout as delay } from "node:timers/promises";
import type { FaultGroup } from "../fault.ts";
import type { Scene } from "../scene.ts";
import { as, grantToRead, userIsReady, type World } from "../world.ts";

/** The company of these tests has one DBA: what `check` says of that while its server runs. */
const oneDba = [
  "jitdb.yaml:48:5: warning: the policy bob-reads can't be approved for any request: it wants 1 of dba (bob), and nobody approves twice or what they asked themselves.",
  "jitdb.yaml:61:5: warning: the policy developers-write can't be approved for requests of bob: it wants 1 of dba (bob), and nobody approves twice or what they asked themselves.",
  "jitdb.yaml:68:5: warning: the policy contractors-read can't be approved for any request: it wants 2 of dba (bob), and nobody approves twice or what they asked themselves.",
];

export const databases: FaultGroup<World> = {
  title: "The database",
  faults: [
    {
      condition: "a database that is down at the request",
      arrange: async (scene, world) => {
        as(scene, world.alice, world);
        await takeDown(scene, world);
        scene.after(() => world.alice.run(["revoke", "prod-orders"]));
      },
      command: "jitdb request prod-orders --for 30m",
      stdout: ["<id>"],
      stderr: [
        "Asked for prod-orders (read-only) for 30m.",
        "Approved for 30m.",
        "Go on with `jitdb psql prod-orders` or `jitdb connect prod-orders`.",
      ],
      exit: 0,
    },
    {
      condition: "a database that is down while its user is to be made",
      arrange: async (scene, world) => {
        as(scene, world.alice, world);
        await takeDown(scene, world);
        await grantToRead(scene, world.alice);
        await userIsLate(world);
      },
      meanwhile: async (scene, { installation }) => {
        await scene.printed("stderr", /keeps trying/);
        await installation.postgres.restart();
      },
      command: 'jitdb sql prod-orders -c "select 1 as answer"',
      stdout: [" answer", "--------", "      1", "(1 row)"],
      stderr: [
        "The database user for prod-orders is being made. The database did not let its user be made yet. jitdb keeps trying.",
      ],
      exit: 0,
      deadlineMs: 40_000,
    },
    {
      condition: "a database that is down at the connection",
      arrange: async (scene, world) => {
        as(scene, world.alice, world);
        await userIsReady(world.alice, await grantToRead(scene, world.alice));
        await takeDown(scene, world);
      },
      command: 'jitdb sql prod-orders -c "select 1"',
      stderr: [
        "error: The database prod-orders cannot be reached.",
        "hint: Wait until the database is back; the grant is kept and `jitdb connect` can be run again.",
      ],
      exit: 11,
    },
    {
      condition: "a database that crashes in the middle of a statement",
      arrange: async (scene, world) => {
        as(scene, world.alice, world);
        await userIsReady(world.alice, await grantToRead(scene, world.alice));
      },
      meanwhile: async (scene, world) => {
        const sleeping = "SELECT pid FROM pg_stat_activity WHERE wait_event = 'PgSleep'";
        while ((await world.installation.asSuperuser(sleeping)).length === 0) {
          await delay(50);
        }
        await takeDown(scene, world);
      },
      command: 'jitdb sql prod-orders -c "select pg_sleep(60)"',
      stderr: [
        "warning: terminating connection due to immediate shutdown command",
        "error: The database closed the connection.",
        "hint: Wait until the database is back; the grant is kept and `jitdb connect` can be run again.",
      ],
      exit: 11,
    },
    {
      condition: "a database that is down at the end of a grant",
      arrange: async (scene, world) => {
        as(scene, world.alice, world);
        const grant = await grantToRead(scene, world.alice);
        await userIsReady(world.alice, grant);
        await takeDown(scene, world);
        await world.alice.expect(["revoke", grant]);
        scene.name("grant", grant);
        await userIsLate(world);
      },
      command: "jitdb grants --all --limit 1",
      stdout: [
        "<grant>\talice\tprod-orders\tread-only\trevoked\t<time>\tending\t0\tThe database did not let its user be removed yet. jitdb keeps trying.\tpending",
      ],
      stderr: ["There is more: add --after <time>-<grant>, or a larger --limit."],
      exit: 0,
    },
    {
      condition: "an admin password that the database refuses",
      arrange: async (scene, { installation }) => {
        scene.home = installation.serverFolder;
        const [row] = await installation.asSuperuser<{ rolpassword: string }>(
          "SELECT rolpassword FROM pg_authid WHERE rolname = 'jitdb_admin'",
        );
        await installation.asSuperuser("ALTER ROLE jitdb_admin PASSWORD 'another'");
        scene.after(() =>
          installation.asSuperuser(`ALTER ROLE jitdb_admin PASSWORD '${row?.rolpassword}'`),
        );
      },
      command: "jitdb-server check",
      stdout: [
        ...oneDba,
        'prod-orders: prod-orders refuses the server\'s admin role. (password authentication failed for user "jitdb_admin")',
        "    Run what `jitdb-server database sql prod-orders` prints, as a superuser.",
      ],
      stderr: ["jitdb.yaml is sound. 1 database looked at: 1 problem."],
      exit: 2,
    },
    {
      condition: "a database without its set-up",
      arrange: async (scene, { installation }) => {
        scene.home = installation.serverFolder;
        await installation.asSuperuser("ALTER ROLE jitdb_admin NOCREATEROLE");
        scene.after(() => installation.asSuperuser("ALTER ROLE jitdb_admin CREATEROLE"));
      },
      command: "jitdb-server check",
      stdout: [
        ...oneDba,
        "prod-orders: The admin role may not make roles.",
        "    Run what `jitdb-server database sql prod-orders` prints, as a superuser.",
        "prod-orders: warning: Before PostgreSQL 16 a role with CREATEROLE can give itself everything but superuser, the server's programs included.",
        "    Guard the admin's password as a superuser's, or upgrade the database.",
        'prod-orders: warning: pg_hba.conf lets ephemeral users in past the gateway: over TCP by "host all all 127.0.0.1 scram-sha-256". A user with a password of its own is ended within a second, not refused.',
        "    Put the pg_hba.conf lines at the end of that SQL in front of the others. Run what `jitdb-server database sql prod-orders` prints, as a superuser.",
        'prod-orders: warning: pg_hba.conf lets ephemeral users in past the gateway: through the Unix socket by "local all all scram-sha-256". A user with a password of its own is ended within a second, not refused.',
        "    Put the pg_hba.conf lines at the end of that SQL in front of the others. Run what `jitdb-server database sql prod-orders` prints, as a superuser.",
      ],
      stderr: ["jitdb.yaml is sound. 1 database looked at: 1 problem."],
      exit: 2,
    },
  ],
};

/** Crashes the database; it comes back with the end of the scene, or before. */
async function takeDown(scene: Scene, { installation }: World): Promise<void> {
  const { postgres } = installation;
  await postgres.crash();
  scene.after(async () => {
    if (!(await answers(installation))) {
      await postgres.restart();
    }
  });
}

async function answers(installation: World["installation"]): Promise<boolean> {
  return await installation.asSuperuser("SELECT 1").then(
    () => true,
    () => false,
  );
}

/** Resolves when alice can see that the database keeps her grant's user from being made or removed. */
async function userIsLate({ alice }: World): Promise<void> {
  while (!(await alice.expect(["grants", "--all", "--limit", "1"])).includes("keeps trying")) {
    await delay(100);
  }
}
