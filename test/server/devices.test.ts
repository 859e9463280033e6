// Who vouches for devices, and who takes them away: the console's commands both ways, and the people's own.

import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Installation, startInstallation } from "../support/installation.ts";
import { Person } from "../support/person.ts";
import { type Ended, runProgram, waitForOutput } from "../support/programs.ts";

let installation: Installation;

beforeAll(async () => {
  installation = await startInstallation({ postgres: "system" });
}, 60_000);
afterAll(async () => await installation?.stop());

async function onServer(...args: string[]): Promise<Ended> {
  return await runProgram("jitdb-server", ["devices", ...args], {
    home: installation.serverFolder,
  });
}

/** The same person on another machine, or a thief with what they phished. */
async function elsewhere({ name, password }: Person, machine: string): Promise<Person> {
  const home = join(installation.folder, `${name}-${machine}`);
  await mkdir(home, { mode: 0o700 });
  const there = new Person(name, home, password);
  await there.login(installation.url);
  return there;
}

interface Shown {
  readonly id: string;
  readonly person: string;
  readonly label: string;
  readonly confirmed: boolean;
  readonly firstSeenAt: string;
}

async function currentDevice(person: Person): Promise<{ id: string; confirmed: boolean }> {
  return JSON.parse(await person.expect(["whoami", "--json"])).device;
}

async function shown(id: string): Promise<Shown> {
  const { stdout } = await onServer("list", "--json");
  const all: Shown[] = JSON.parse(stdout);
  const device = all.find((each) => each.id === id);
  if (device === undefined) {
    throw new Error(`The list lacks ${id}: ${stdout}`);
  }
  return device;
}

/** As an argument: a thumbprint may begin with a dash. */
const named = (id: string) => ["--", id];

describe("jitdb-server devices", () => {
  test.each([
    ["while a server runs", "vera", true],
    ["while none runs", "walt", false],
  ])("lists, confirms and revokes %s", async (_name, name, running) => {
    const person = await installation.addLoggedIn(name, ["developers"]);
    const { id } = await currentDevice(person);
    if (!running) {
      await installation.stopServer();
    }
    const { label, firstSeenAt } = await shown(id);
    const list = await onServer("list");
    expect(list.exitCode).toBe(0);
    expect(list.stdout.split("\n")).toContainEqual(
      expect.stringMatching(new RegExp(`^${name} +unconfirmed  .*  127\\.0\\.0\\.1  .*Z  ${id}$`)),
    );
    const described = `${name}'s device: ${label}, first seen at 127.0.0.1 on ${firstSeenAt} (${id})`;
    expect(await onServer("confirm", name)).toEqual({
      exitCode: 0,
      stdout: "",
      stderr: `Confirmed ${described}.`,
    });
    expect(await shown(id)).toMatchObject({ person: name, confirmed: true });
    expect(await onServer("confirm", name)).toEqual({
      exitCode: 9,
      stdout: "",
      stderr:
        `error: ${name} has no device that waits to be confirmed.\n` +
        `hint: A device is there once ${name} has logged in with it; \`jitdb-server devices list\` shows all.`,
    });
    expect(await onServer("revoke", name)).toEqual({
      exitCode: 0,
      stdout: "",
      stderr: `Revoked ${described}. Its logins and sessions are ended.`,
    });
    expect((await onServer("list")).stdout).not.toContain(id);
    if (!running) {
      await installation.startServer();
    }
    expect(await person.run(["whoami"])).toMatchObject({ exitCode: 3 });
  });

  test("names the devices that may be meant, and takes the beginning of an id", async () => {
    const rita = await installation.addLoggedIn("rita", ["developers"]);
    const other = await elsewhere(rita, "other");
    const ids = await Promise.all(
      [rita, other].map(async (each) => (await currentDevice(each)).id),
    );
    const { exitCode, stderr } = await onServer("confirm", "rita");
    expect(exitCode).toBe(2);
    expect(stderr).toMatch(/^error: rita has 2 devices that may be meant:\n {2}.*\n {2}.*\nhint: /);
    for (const id of ids) {
      expect(stderr).toContain(
        `, first seen at 127.0.0.1 on ${(await shown(id)).firstSeenAt} (${id})`,
      );
    }
    const beginning = ids[1]?.slice(0, 20) ?? "";
    expect(await onServer("confirm", "rita", ...named(beginning))).toMatchObject({ exitCode: 0 });
    expect(await currentDevice(other)).toMatchObject({ confirmed: true });
    expect(await currentDevice(rita)).toMatchObject({ confirmed: false });
  });

  test("refuses a person or a device that is not there", async () => {
    expect(await onServer("confirm", "nobody")).toMatchObject({
      exitCode: 9,
      stderr: expect.stringMatching(/^error: There is no person called nobody\./),
    });
    expect(await onServer("revoke", "root", "nothing")).toMatchObject({
      exitCode: 9,
      stderr: expect.stringMatching(/^error: root has no device nothing\.\nhint: /),
    });
    expect(await onServer("confirm", "Alice!")).toMatchObject({
      exitCode: 2,
      stderr: expect.stringMatching(/^error: The person "Alice!" will not do: lower-case letters/),
    });
  });

  test("revoke ends what is open on the device at once (invariant 4)", async () => {
    const alice = await installation.addLoggedIn("alice", ["developers"], { confirmed: true });
    await alice.expect(["request", "prod-orders", "--for", "30m"]);
    const connected = alice.start(["connect", "prod-orders"]);
    try {
      await waitForOutput(connected, "stdout", /\S.*\n/);
      await onServer("revoke", "alice");
      const { exitCode, stderr } = await connected;
      expect({ exitCode, stderr }).toMatchObject({
        exitCode: 3,
        stderr: expect.stringContaining("The login of this device was ended."),
      });
    } finally {
      connected.kill("SIGKILL");
      await connected;
    }
  });
});

describe("jitdb devices", () => {
  test("lets a known device vouch for a new one, and never the other way round (invariant 2)", async () => {
    const kim = await installation.addLoggedIn("kim", ["developers"], { confirmed: true });
    const phone = await elsewhere(kim, "phone");
    const known = await currentDevice(kim);
    const fresh = await currentDevice(phone);
    for (const id of [known.id, fresh.id]) {
      expect(await phone.run(["devices", "confirm", ...named(id)])).toMatchObject({ exitCode: 4 });
    }
    expect(await phone.run(["devices", "revoke", ...named(known.id)])).toMatchObject({
      exitCode: 4,
    });
    const { stderr } = await phone.run(["whoami"]);
    expect(stderr).toContain(fresh.id);
    expect(await kim.run(["devices", "confirm", ...named(fresh.id.slice(0, 12))])).toMatchObject({
      exitCode: 0,
      stderr: expect.stringMatching(/^Confirmed: .* of kim, first seen .* ago at 127\.0\.0\.1 \(/),
    });
    expect(await currentDevice(phone)).toMatchObject({ confirmed: true });
    await phone.expect(["devices", "revoke", ...named(known.id)]);
    expect(await kim.run(["whoami"])).toMatchObject({ exitCode: 3 });
  });
});

test("two phished logins, a requester's and an approver's, open nothing (invariants 2 and 27)", async () => {
  const mia = await installation.addLoggedIn("mia", ["developers"], { confirmed: true });
  const ned = await installation.addLoggedIn("ned", ["dba", "admins"]);
  const asker = await elsewhere(mia, "thief");
  const decider = await elsewhere(ned, "thief");
  const request = ["request", "prod-orders", "--for", "5m", "--no-wait", "--json"];
  for (const profile of ["read-only", "read-write"]) {
    const { id, state } = JSON.parse(await asker.expect([...request, "--profile", profile]));
    expect(state).toBe("pending");
    expect(await decider.run(["approve", id])).toMatchObject({
      exitCode: 4,
      stderr: expect.stringMatching(
        /error: Nobody has confirmed this device yet\.\nhint: Run `jitdb devices confirm .*`jitdb-server devices confirm ned`\.$/,
      ),
    });
    expect(await decider.run(["deny", id])).toMatchObject({ exitCode: 4 });
  }
  const asking = await asker.run(["sql", "prod-orders", "--command", "SELECT 1"]);
  expect(asking.exitCode).toBe(9);
  const refused = await ned.expect([
    "audit",
    "--kind",
    "request.refused",
    "--person",
    "ned",
    "--json",
  ]);
  const { records } = JSON.parse(refused);
  expect(records.map(({ action, code }: Record<string, unknown>) => [action, code]).sort()).toEqual(
    [
      ["approve", "device.unconfirmed"],
      ["approve", "device.unconfirmed"],
      ["deny", "device.unconfirmed"],
      ["deny", "device.unconfirmed"],
    ],
  );
});
