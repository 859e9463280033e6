// `npm run demo`: the whole job against a real PostgreSQL, by the real commands, with two people who log in through the
// served pages. Everything lives in a folder of its own inside the clone, and is gone at the end.

import { once } from "node:events";
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, rmdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type Installation, startInstallation } from "../test/support/installation.ts";
import type { Person } from "../test/support/person.ts";
import { findPostgres, type PostgresVersion } from "../test/support/postgres.ts";
import { startProgram, waitForOutput } from "../test/support/programs.ts";
import { build } from "./build.ts";
import { builtinClient, type Client, hasPsql, psqlClient } from "./demo/client.ts";
import { type Running, Screen } from "./demo/screen.ts";
import { root } from "./root.ts";

const database = "prod-orders";
const demosFolder = join(root, ".jitdb-demo");
/** A grant's end is due at once and may be a second late; the rest is for slow machines. */
const endDeadlineMs = 15_000;

const policies = `
  # Reading is for developers, at once. Writing needs one of the DBAs.
  - name: developers-read
    who: { groups: [developers] }
    databases: ["prod-*"]
    profiles: [read-only]
    maxDuration: 1h
    approval: automatic
  - name: developers-write
    who: { groups: [developers] }
    databases: [${database}]
    profiles: [read-write]
    maxDuration: 30m
    approval: { count: 1, groups: [admins] }
    reasonRequired: true
`;

const screen = new Screen();
const started = performance.now();

/** Ends what is open, in reverse order, whatever happened. */
const closers: (() => Promise<unknown>)[] = [];
let finishing: Promise<void> | undefined;

// Listeners that stay: execa ends a process that a signal reaches and that has no other listener for it left.
process.on("SIGINT", () => void finish(130));
process.on("SIGTERM", () => void finish(143));
// The terminal was closed: nothing can be said there any more, and everything is still to be ended.
process.on("SIGHUP", () => void finish(129));
process.stdout.on("error", () => undefined);
process.stderr.on("error", () => undefined);
try {
  await demonstrate();
  const isOnce = process.argv.includes("--once") || !process.stdout.isTTY;
  if (!isOnce) {
    screen.say("\nCtrl-C ends it all and removes the folder.");
    await once(process, "SIGINT");
  }
  await finish(0);
} catch (error) {
  if (finishing === undefined) {
    process.stderr.write(
      `\nThe demo failed: ${error instanceof Error ? error.stack : String(error)}\n`,
    );
  }
  await finish(1);
}

async function demonstrate(): Promise<void> {
  const { installation, alice, bob } = await prepare();
  await logIn(alice, installation);
  await logIn(bob, installation);
  await confirmDevice(bob, installation);
  await requestAndApprove(alice, bob);
  const grant = await connectAndQuery(alice, installation);
  screen.title("The audit has every statement, recorded before the database saw it.");
  await show(bob, ["audit", "--database", database, "--limit", "12"]);
  await grant.seeItEnd();
  await seeThatNothingIsLeft(alice, installation);
  await offerToTry(installation, [alice, bob]);
}

/** Which PostgreSQL: the machine's own, else the one in npm's package. */
async function choosePostgres(): Promise<PostgresVersion> {
  const isForced = process.env["JITDB_DEMO_POSTGRES"] === "embedded";
  return !isForced && (await findPostgres("system")) !== undefined ? "system" : "embedded";
}

async function prepare() {
  const postgres = await choosePostgres();
  screen.title("A throwaway PostgreSQL, a jitdb-server, and two people.");
  await build();
  const folder = await createFolder();
  const installation = await startInstallation({ postgres, folder, policies });
  closers.push(() => installation.stop());
  screen.say(
    `PostgreSQL ${installation.postgres.majorVersion} with the database orders at port ${installation.postgres.port}; jitdb-server at ${installation.url}.`,
  );
  const [alice, bob] = await Promise.all([
    installation.addPerson("alice", ["developers"]),
    installation.addPerson("bob", ["admins"]),
  ]);
  screen.say(
    "alice is a developer, bob an administrator. Both chose a password behind their set-up link.",
  );
  return { installation, alice, bob };
}

/** A folder for this run. Those of runs that were killed are removed. */
async function createFolder(): Promise<string> {
  await mkdir(demosFolder, { recursive: true });
  for (const name of await readdir(demosFolder)) {
    if (!isAlive(await readFile(join(demosFolder, name, "pid"), "utf8").catch(() => ""))) {
      await rm(join(demosFolder, name), { recursive: true, force: true });
    }
  }
  const folder = await mkdtemp(join(demosFolder, "run-"));
  closers.push(() => rm(folder, { recursive: true, force: true }));
  // Readable, so that PostgreSQL, which does not run as root, may enter; each home inside is its owner's alone.
  await chmod(folder, 0o755);
  await writeFile(join(folder, "pid"), String(process.pid));
  return folder;
}

function isAlive(pid: string): boolean {
  try {
    return process.kill(Number.parseInt(pid, 10), 0);
  } catch {
    // No such process, or no number.
    return false;
  }
}

async function logIn(person: Person, { url }: Installation): Promise<void> {
  screen.title(`${person.name} logs in: the CLI shows a code, the browser asks who it is.`);
  screen.command(person.name, `jitdb login ${url}`);
  const child = person.start(["login", url], screen.terminal);
  screen.follow(person.name, child);
  const [link = ""] = await waitForOutput(child, "stdout", /https?:\/\/\S*user_code=\S+/);
  const page = await person.confirmLogin(link);
  screen.say(
    `         (in the browser: name, password, "Yes, let it in". ${page.text.slice(0, 80)}…)`,
  );
  await succeed(child, "jitdb login");
}

/** An operator vouches for the device of the first one who decides; after that, people vouch for each other. */
async function confirmDevice({ name }: Person, { serverFolder }: Installation): Promise<void> {
  screen.title(
    `The operator asks ${name} whether that was them. Until then the login decides on nothing.`,
  );
  screen.command("server", `jitdb-server devices confirm ${name}`);
  const child = startProgram("jitdb-server", ["devices", "confirm", name], { home: serverFolder });
  screen.follow("server", child);
  await succeed(child, "jitdb-server devices confirm");
}

async function requestAndApprove(alice: Person, bob: Person): Promise<void> {
  screen.title(
    "alice asks for a minute of writing, with a reason. bob decides, in a terminal of his own.",
  );
  const args = ["request", database, "--profile", "read-write", "--for", "1m"];
  screen.command(alice.name, `jitdb ${args.join(" ")} --reason "order 17 is stuck"`);
  const asking = alice.start([...args, "--reason", "order 17 is stuck"], screen.terminal);
  screen.follow(alice.name, asking);
  await waitForOutput(asking, "stdout", /Waiting for approval/);
  await show(bob, ["requests", "--inbox"]);
  const inbox: { requests: { id: string }[] } = JSON.parse(
    await bob.expect(["requests", "--inbox", "--json"]),
  );
  await show(bob, ["approve", inbox.requests[0]?.id ?? "", "--comment", "go ahead"]);
  await succeed(asking, "jitdb request");
}

async function connectAndQuery(alice: Person, { url }: Installation) {
  const isPsql = hasPsql();
  screen.title(
    isPsql
      ? "alice connects, and pastes the line into another terminal."
      : "alice queries. There is no psql here, so `jitdb sql` does it.",
  );
  const connection = isPsql ? await connect(alice) : undefined;
  const client = connection?.client ?? builtinClient(alice, database, screen.terminal);
  await query(alice, client, "SELECT id, item, status FROM app.orders WHERE id = 17");
  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  screen.say(
    `         (the first row came ${seconds} s after the start of the demo; the server is ${url})`,
  );
  await query(alice, client, "UPDATE app.orders SET status = 'paid' WHERE id = 17");
  await query(alice, client, "SELECT current_user, count(*) FROM app.orders GROUP BY 1");
  return {
    seeItEnd: () => seeSessionEnd(alice, client, connection?.child),
  };
}

async function connect(alice: Person) {
  screen.command(alice.name, `jitdb connect ${database}`);
  const child = alice.start(["connect", database], screen.terminal);
  closers.push(async () => {
    child.kill("SIGINT");
    await child;
  });
  screen.follow(alice.name, child);
  const ready = /(psql "[^"\n]+")[\s\S]*--show-password/;
  const [, line = ""] = await waitForOutput(child, "stdout", ready);
  return { child, client: psqlClient(alice, line) };
}

async function query(person: Person, client: Client, sql: string): Promise<void> {
  screen.command(person.name, client.show(sql));
  const child = client.run(sql);
  screen.follow(person.name, child);
  await succeed(child, client.show(sql));
}

/** A query that would run for an hour, in the middle of which the minute is over. */
async function seeSessionEnd(
  alice: Person,
  client: Client,
  connection: Running | undefined,
): Promise<void> {
  screen.title("The minute ends in the middle of a query.");
  const sql = "SELECT pg_sleep(3600)";
  screen.command(alice.name, client.show(sql));
  const report = client.run(sql);
  screen.follow(alice.name, report);
  const { exitCode } = await within(60_000 + endDeadlineMs, report, "the end of alice's session");
  check(exitCode !== 0, "alice's query was cut off");
  if (connection !== undefined) {
    const { exitCode: connectExit } = await within(endDeadlineMs, connection, "the end of connect");
    check(connectExit === 0, "`jitdb connect` ended by itself");
  }
}

async function seeThatNothingIsLeft(alice: Person, installation: Installation): Promise<void> {
  screen.title("And nothing is left in the database.");
  const deadline = performance.now() + endDeadlineMs;
  let users = await installation.ephemeralUsers();
  while (users.length > 0 && performance.now() < deadline) {
    users = await installation.ephemeralUsers();
  }
  screen.command(
    "dba",
    `psql -d orders -c "SELECT rolname FROM pg_roles WHERE rolname LIKE 'jit\\_%'"`,
  );
  screen.output("dba", users.length === 0 ? "(0 rows)" : users.join("\n"));
  check(users.length === 0, "the ephemeral role is gone");
  await show(alice, ["grants", "--all"]);
}

/** Files that make a terminal alice's or bob's. */
async function offerToTry(installation: Installation, people: readonly Person[]): Promise<void> {
  if (process.argv.includes("--once") || !process.stdout.isTTY) {
    screen.title("Done. `npm run demo` in a terminal leaves it all running for you to try.");
    return;
  }
  screen.title("Everything is still running. Try it in another terminal:");
  const bin = join(root, "bin");
  for (const { name, home, password } of people) {
    const file = join(installation.folder, `be-${name}`);
    const settings = [
      `export JITDB_HOME="${join(home, ".jitdb")}" PATH="${bin}:$PATH"`,
      `PS1='${name}$ '`,
    ];
    await writeFile(file, `${settings.join("\n")}\n`);
    screen.say(`  . ${file}      # now you are ${name} (password: ${password})`);
  }
  screen.say("  jitdb request prod-orders --for 10m");
  screen.say(`The server's folder, with its jitdb.yaml: ${installation.serverFolder}`);
}

/** Runs a command of a person to its good end, shown. */
async function show(person: Person, args: readonly string[]): Promise<void> {
  const shown = args.map((arg) => (/^[\w=./:-]+$/.test(arg) ? arg : `"${arg}"`)).join(" ");
  screen.command(person.name, `jitdb ${shown}`);
  const child = person.start(args, { input: "", ...screen.terminal });
  screen.follow(person.name, child);
  await succeed(child, `jitdb ${shown}`);
}

async function succeed(child: Running, what: string): Promise<void> {
  const { exitCode } = await within(60_000, child, what);
  check(exitCode === 0, `${what} ends with 0, not with ${String(exitCode)}`);
}

function check(isTrue: boolean, what: string): void {
  if (!isTrue) {
    throw new Error(`Expected that ${what}.`);
  }
}

async function within<T>(ms: number, work: PromiseLike<T>, what: string): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what} did not come within ${ms / 1000} s.`)), ms);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** The first call counts: a demonstration that is stopped fails, too, while all is being ended. */
function finish(exitCode: number): Promise<void> {
  finishing ??= endAll(exitCode);
  return finishing;
}

async function endAll(exitCode: number): Promise<void> {
  for (const close of closers.splice(0).reverse()) {
    await close().catch((error: unknown) => {
      process.stderr.write(`Closing: ${String(error)}\n`);
    });
  }
  await rmdir(demosFolder).catch(() => {
    // Another demo is running in it.
  });
  process.exit(exitCode);
}
