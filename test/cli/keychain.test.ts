// The real keychain through the built helper: gnome-keyring on a D-Bus session of its own.

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { execa } from "execa";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { programs } from "../support/programs.ts";

const helper = join(programs.jitdb, "..", "keychain-helper.js");
const item = { service: "jitdb-test", account: "https://one.example.com" };

const tools = await Promise.all(
  ["dbus-run-session", "gnome-keyring-daemon"].map((name) =>
    execa(name, ["--version"], { reject: false }),
  ),
);
const isMissing = tools.some(({ exitCode }) => exitCode === undefined);
if (isMissing && process.env["CI"] === "true") {
  throw new Error("Under CI dbus-run-session and gnome-keyring-daemon have to be installed.");
}

let home: string;
beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), "jitdb-keyring-"));
});
afterAll(() => rm(home, { recursive: true }));

const environment = () => ({
  PATH: process.env["PATH"] ?? "",
  HOME: home,
  XDG_RUNTIME_DIR: home,
});

/** Runs the helper once an order, all within one session with an unlocked keyring. */
async function ask(orders: readonly object[]): Promise<unknown[]> {
  const unlock =
    'printf "\\n" | gnome-keyring-daemon --unlock --components=secrets >/dev/null 2>&1';
  const obey = 'while IFS= read -r order; do printf "%s" "$order" | "$0" "$1"; echo; done';
  const { stdout } = await execa(
    "dbus-run-session",
    ["--", "sh", "-c", `${unlock}; ${obey}`, process.execPath, helper],
    {
      input: orders.map((order) => `${JSON.stringify(order)}\n`).join(""),
      extendEnv: false,
      env: environment(),
      timeout: 20_000,
    },
  );
  return stdout.split("\n").map((answer) => JSON.parse(answer));
}

describe.skipIf(isMissing)("the keychain helper", () => {
  it("keeps a value, gives it back, and forgets it", async () => {
    const value = '{"refreshToken":"canary"}';
    const answers = await ask([
      { verb: "get", ...item },
      { verb: "set", ...item, value },
      { verb: "get", ...item },
      { verb: "delete", ...item },
      { verb: "get", ...item },
    ]);
    const nothing = { value: null };
    expect(answers).toEqual([nothing, nothing, { value }, nothing, nothing]);
  });
});

it("answers with an error where there is no session bus", async () => {
  const { stdout } = await execa(process.execPath, [helper], {
    input: JSON.stringify({ verb: "get", ...item }),
    extendEnv: false,
    env: { ...environment(), DBUS_SESSION_BUS_ADDRESS: `unix:path=${home}/none` },
    timeout: 20_000,
  });
  expect(JSON.parse(stdout)).toHaveProperty("error");
});
