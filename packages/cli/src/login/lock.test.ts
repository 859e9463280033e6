import { mkdtemp, readdir, rm, utimes, writeFile } from "node:fs/promises";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { lockLimits, withLock } from "./lock.ts";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "jitdb-lock-"));
});
afterEach(() => rm(folder, { recursive: true }));

const noSuchProcess = 2 ** 22 + 1;

describe("withLock", () => {
  it("lets one in at a time and leaves nothing behind", async () => {
    let inside = 0;
    let most = 0;
    const work = async () => {
      inside += 1;
      most = Math.max(most, inside);
      await new Promise((resolve) => setImmediate(resolve));
      inside -= 1;
    };
    await Promise.all(Array.from({ length: 8 }, () => withLock(folder, work)));
    expect(most).toBe(1);
    expect(await readdir(folder)).toEqual([]);
  });

  it("lets go when the work fails", async () => {
    const failing = withLock(folder, () => Promise.reject(new Error("no")));
    await expect(failing).rejects.toThrow("no");
    expect(await withLock(folder, () => Promise.resolve("in"))).toBe("in");
  });

  it("is not blocked by a holder that crashed", async () => {
    const dead = `${noSuchProcess}.00.${encodeURIComponent(hostname())}`;
    await writeFile(join(folder, dead), "");
    expect(await withLock(folder, () => Promise.resolve("in"))).toBe("in");
    expect(await readdir(folder)).toEqual([]);
  });

  it("is not blocked by a live process that took over a dead holder's id", async () => {
    const reused = join(folder, `${process.pid}.00.${encodeURIComponent(hostname())}`);
    await writeFile(reused, "");
    const longAgo = (Date.now() - lockLimits.maxHoldMs - 1000) / 1000;
    await utimes(reused, longAgo, longAgo);
    expect(await withLock(folder, () => Promise.resolve("in"))).toBe("in");
  });

  it("waits for a holder on another machine that shares the home folder", async () => {
    const foreign = join(folder, `${noSuchProcess}.00.another.host`);
    await writeFile(foreign, "");
    let held = true;
    const waiting = withLock(folder, () => Promise.resolve(held));
    // The contender has looked and stepped back once its own file has come and gone.
    await expect.poll(async () => (await readdir(folder)).length, { interval: 1 }).toBe(2);
    held = false;
    await rm(foreign);
    expect(await waiting).toBe(false);
  });
});
