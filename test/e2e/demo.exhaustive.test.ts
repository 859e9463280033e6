import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { execa } from "execa";
import { describe, expect, it } from "vitest";
import { waitForOutput } from "../support/programs.ts";

const root = join(import.meta.dirname, "..", "..");
const demosFolder = join(root, ".jitdb-demo");

/** The folder of the demo that this process runs. */
function folderOf(pid: number): string | undefined {
  const names = existsSync(demosFolder) ? readdirSync(demosFolder) : [];
  return names
    .map((name) => join(demosFolder, name))
    .find((folder) => {
      const file = join(folder, "pid");
      return existsSync(file) && readFileSync(file, "utf8").trim() === String(pid);
    });
}

describe("the demo", () => {
  it.each([
    ["Ctrl-C", "SIGINT", 130],
    ["the end of its terminal", "SIGHUP", 129],
  ] as const)("leaves nothing behind after %s in the middle of it", async (_, signal, exitCode) => {
    const demo = execa(process.execPath, [join(root, "scripts", "demo.ts"), "--once"], {
      reject: false,
    });
    const pid = demo.pid ?? Number.NaN;
    await waitForOutput(demo, "stdout", /alice logs in/);
    const folder = folderOf(pid) ?? "";
    const postmaster = readdirSync(folder).find((name) => name.startsWith("jitdb-pg-")) ?? "";
    const file = join(folder, postmaster, "data", "postmaster.pid");
    const databasePid = Number(readFileSync(file, "utf8").split("\n")[0]);
    demo.kill(signal);
    expect((await demo).exitCode).toBe(exitCode);
    expect(existsSync(folder)).toBe(false);
    expect(() => process.kill(databasePid, 0)).toThrow("ESRCH");
  });
});
