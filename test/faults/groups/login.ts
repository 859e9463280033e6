// Logins: refused, over, out of time, and who may not log in any more.

import { cp, rm } from "node:fs/promises";
import { join } from "node:path";
import { Person } from "../../support/person.ts";
import type { FaultGroup } from "../fault.ts";
import { startSilentSocket } from "../listeners.ts";
import type { Scene } from "../scene.ts";
import { as, asCopyOf, type World } from "../world.ts";

const loginLink = /https?:\/\/\S*user_code=\S+/;

export const login: FaultGroup<World> = {
  title: "The login",
  faults: [
    {
      condition: "a login that is turned away in the browser",
      arrange: (scene, { installation }) => scene.name("server", installation.url),
      meanwhile: async (scene, { alice }) => {
        const [link] = await scene.printed("stderr", loginLink);
        const page = await alice.browser.open(link);
        await alice.browser.press(page, /turn it away/);
      },
      command: "jitdb login <server>",
      stderr: [
        "Open this page:  <server>/device",
        "Enter the code:  <code>",
        "Both in one:     <server>/device?user_code=<code>",
        "Waiting for you to confirm there; the code holds for 10m.",
        "error: The login was denied in the browser.",
        "hint: Run `jitdb login` again and confirm the code in the browser.",
      ],
      exit: 3,
    },
    {
      condition: "a login that is left with Ctrl-C",
      arrange: (scene, { installation }) => scene.name("server", installation.url),
      meanwhile: async (scene) => {
        await scene.printed("stderr", /Waiting/);
        scene.interrupt();
      },
      command: "jitdb login <server>",
      stderr: [
        "Open this page:  <server>/device",
        "Enter the code:  <code>",
        "Both in one:     <server>/device?user_code=<code>",
        "Waiting for you to confirm there; the code holds for 10m.",
        "error: The login was interrupted.",
        "hint: Run `jitdb login` again.",
      ],
      exit: 130,
    },
    {
      condition: "a keychain that hangs at the login",
      arrange: async (scene, { installation }) => {
        scene.name("server", installation.url);
        await hangKeychain(scene);
      },
      meanwhile: async (scene, { alice }) => {
        const [link] = await scene.printed("stderr", loginLink);
        await alice.confirmLogin(link);
      },
      command: "jitdb login <server>",
      stderr: [
        "Open this page:  <server>/device",
        "Enter the code:  <code>",
        "Both in one:     <server>/device?user_code=<code>",
        "Waiting for you to confirm there; the code holds for 10m.",
        "Logged in to <server> as alice.",
        "The login is kept in <home>/.jitdb, in a file that only you can read, and not in a keychain.",
        "This device is new. Until somebody vouches for it, it gets nothing without an approval",
        "and decides on nothing:",
        "  on a device that you use already:",
        "    jitdb devices confirm <device>",
        "  or have a request from here approved:",
        "    jitdb request <database> --for 30m",
        "  or, as the first administrator, on the server:",
        "    jitdb-server devices confirm alice",
      ],
      exit: 0,
    },
    {
      condition: "another address than the server's publicUrl",
      arrange: (scene, { installation }) => {
        scene.name("server", installation.url.replace("127.0.0.1", "localhost"));
        scene.name("public url", installation.url);
      },
      command: "jitdb login <server>",
      stderr: [
        "error: The server at <server> calls itself <public url>.",
        "hint: Use that address: `jitdb login <public url>`.",
      ],
      exit: 7,
    },
    {
      condition: "a login that was ended elsewhere",
      arrange: async (scene, world) => {
        const { installation, alice } = world;
        scene.name("server", installation.url);
        await new Person("alice", scene.home, alice.password).login(installation.url);
        const kept = join(scene.home, "kept");
        await cp(join(scene.home, ".jitdb"), kept, { recursive: true });
        await new Person("alice", scene.home, alice.password).expect(["logout"]);
        await rm(join(scene.home, ".jitdb"), { recursive: true });
        await cp(kept, join(scene.home, ".jitdb"), { recursive: true });
      },
      command: "jitdb databases",
      stderr: ["error: The login has expired or was ended.", "hint: Run `jitdb login` again."],
      exit: 3,
    },
    {
      condition: "a device that nobody has vouched for",
      arrange: async (scene, { installation, bob }) => {
        await new Person("bob", scene.home, bob.password).login(installation.url);
      },
      command: "jitdb approve req_00000000",
      stderr: [
        "error: There is no request <id> that you may see.",
        "hint: List them with `jitdb requests`.",
      ],
      exit: 9,
    },
    {
      condition: "a clock that is an hour ahead",
      arrange: async (scene, world) => {
        await asCopyOf(scene, world.alice, world);
        shiftClock(scene, 3_600_000);
      },
      command: "jitdb databases",
      stderr: [
        "error: The server does not accept this device's proof. This machine's clock is 1h ahead of the server's.",
        "hint: Check this machine's clock, then run `jitdb login` again.",
      ],
      exit: 3,
    },
    {
      condition: "a clock that is an hour behind",
      arrange: async (scene, world) => {
        await asCopyOf(scene, world.alice, world);
        shiftClock(scene, -3_600_000);
      },
      command: "jitdb databases",
      stderr: [
        "error: The proof of the device's key was refused: its time is too far from the server's. This machine's clock is 1h behind the server's.",
        "hint: Check this machine's clock, then run `jitdb login` again.",
      ],
      exit: 3,
    },
    {
      condition: "a server that was stopped",
      arrange: async (scene, world) => {
        as(scene, world.alice, world);
        await world.installation.stopServer();
        scene.after(() => world.installation.startServer());
      },
      command: "jitdb databases",
      stderr: [
        "error: Can't reach <server>: nothing listens there.",
        "hint: Check the address, your network and HTTPS_PROXY, then run the same command again.",
      ],
      exit: 7,
    },
    {
      condition: "a person who was disabled",
      arrange: async (scene, world) => {
        as(scene, world.dave, world);
        await world.installation.serverCommand(["users", "disable", "dave"]);
        scene.after(() => world.installation.serverCommand(["users", "enable", "dave"]));
      },
      command: "jitdb databases",
      stderr: [
        "error: The account of dave is disabled.",
        "hint: Ask an administrator to enable the account.",
      ],
      exit: 3,
    },
    {
      condition: "a person who was enabled again, with the old login",
      arrange: async (scene, world) => {
        as(scene, world.dave, world);
      },
      command: "jitdb databases",
      stderr: ["error: The login has expired or was ended.", "hint: Run `jitdb login` again."],
      exit: 3,
    },
  ],
};

/** The command's keychain takes calls and never answers. */
async function hangKeychain(scene: Scene): Promise<void> {
  const bus = join(scene.home, "bus");
  await startSilentSocket(scene, bus);
  scene.env["JITDB_HOME"] = undefined;
  scene.env["DBUS_SESSION_BUS_ADDRESS"] = `unix:path=${bus}`;
}

/** The command's clock differs from everybody else's. */
function shiftClock(scene: Scene, ms: number): void {
  const code = `const now = Date.now; Date.now = () => now() + ${ms};`;
  scene.env["NODE_OPTIONS"] = `--import=data:text/javascript,${encodeURIComponent(code)}`;
}
