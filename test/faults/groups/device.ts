// What `jitdb` keeps on the device: folder, files, keychain.

import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { FaultGroup } from "../fault.ts";
import { startSilentSocket } from "../listeners.ts";
import type { Scene } from "../scene.ts";

const command = "jitdb databases";

export const device: FaultGroup = {
  title: "The device",
  faults: [
    {
      condition: "a folder of jitdb that others may enter",
      arrange: (scene) => mkdir(join(scene.home, ".jitdb"), { mode: 0o755 }).then(() => undefined),
      command,
      stderr: [
        "error: <home>/.jitdb is open to other users (mode 0755).",
        "hint: Run `chmod 700 '<home>/.jitdb'`.",
      ],
      exit: 1,
    },
    {
      condition: "a login file that others may read",
      arrange: (scene) => keepLogin(scene, "file", { credentials: "{}", mode: 0o644 }),
      command,
      stderr: [
        "error: <home>/.jitdb/credentials.json is open to other users (mode 0644).",
        "hint: Run `chmod 600 '<home>/.jitdb/credentials.json'`.",
      ],
      exit: 1,
    },
    {
      condition: "a file where the folder of jitdb should be",
      arrange: (scene) => writeFile(join(scene.home, ".jitdb"), ""),
      command,
      stderr: [
        "error: <home>/.jitdb is not a folder.",
        "hint: Move it out of the way, or set JITDB_HOME to another folder.",
      ],
      exit: 1,
    },
    {
      condition: "a damaged login file",
      arrange: (scene) => keepLogin(scene, "file", { credentials: '{"https://jitdb.exam' }),
      command,
      stderr: [
        "error: What is kept in <home>/.jitdb/credentials.json is damaged.",
        "hint: Remove it, then run `jitdb login`.",
      ],
      exit: 1,
    },
    {
      condition: "a login file of another version",
      arrange: (scene) => {
        const credentials = JSON.stringify({ "https://jitdb.example.com": { token: "old" } });
        return keepLogin(scene, "file", { credentials });
      },
      command,
      stderr: [
        "error: What is kept in <home>/.jitdb/credentials.json is damaged.",
        "hint: Remove it, then run `jitdb login`.",
      ],
      exit: 1,
    },
    {
      condition: "a keychain that hangs",
      arrange: async (scene) => {
        await keepLogin(scene, "keychain");
        await startSilentSocket(scene, join(scene.home, "bus"));
        scene.env["JITDB_HOME"] = undefined;
        scene.env["DBUS_SESSION_BUS_ADDRESS"] = `unix:path=${join(scene.home, "bus")}`;
      },
      command,
      stderr: [
        "error: The keychain can't be used: it did not answer within 1.5 s.",
        "hint: Unlock it, or keep logins in a file: JITDB_KEYCHAIN=off jitdb login.",
      ],
      exit: 1,
    },
    {
      condition: "a login in the keychain, and JITDB_KEYCHAIN=off",
      arrange: async (scene) => {
        await keepLogin(scene, "keychain");
        scene.env["JITDB_HOME"] = undefined;
      },
      command: `JITDB_KEYCHAIN=off ${command}`,
      stderr: [
        "error: The login rests in the keychain, which JITDB_KEYCHAIN=off keeps away.",
        "hint: Run `jitdb login`.",
      ],
      exit: 3,
    },
  ],
};

interface Kept {
  readonly credentials?: string;
  readonly mode?: number;
}

/** A login to https://jitdb.example.com, as `jitdb login` would have left it. */
async function keepLogin(
  scene: Scene,
  restsIn: "file" | "keychain",
  { credentials, mode = 0o600 }: Kept = {},
): Promise<void> {
  const folder = join(scene.home, ".jitdb");
  await mkdir(folder, { mode: 0o700 });
  const server = "https://jitdb.example.com";
  const servers = { current: server, servers: { [server]: { person: "alice", restsIn } } };
  await writeFile(join(folder, "servers.json"), JSON.stringify(servers), { mode: 0o600 });
  if (credentials !== undefined) {
    await writeFile(join(folder, "credentials.json"), credentials, { mode });
  }
}
