import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Keychain, keychainLimits } from "./keychain.ts";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "jitdb-keychain-"));
});
afterAll(() => rm(folder, { recursive: true }));

async function helper(name: string, source: string): Promise<Keychain> {
  const path = join(folder, `${name}.mjs`);
  await writeFile(path, source);
  return new Keychain(path);
}

describe("Keychain", () => {
  it("kills a helper that hangs and ignores signals, at the deadline", async () => {
    const keychain = await helper(
      "hangs",
      'process.on("SIGTERM", () => {}); setInterval(() => {}, 1000);',
    );
    const started = performance.now();
    await expect(keychain.get("x")).rejects.toMatchObject({
      code: "local.storage",
      message: "The keychain can't be used: it did not answer within 1.5 s.",
    });
    expect(performance.now() - started).toBeLessThan(keychainLimits.deadlineMs + 1000);
  });

  it("takes a helper that crashes for a system without a keychain", async () => {
    const keychain = await helper("crashes", "process.abort();");
    await expect(keychain.get("x")).rejects.toMatchObject({
      message: "The keychain can't be used: this system has none.",
    });
  });

  it("gives orders on stdin and never in arguments (invariant 37)", async () => {
    const keychain = await helper(
      "echoes",
      `import { text } from "node:stream/consumers";
       const order = await text(process.stdin);
       process.stdout.write(JSON.stringify({ value: order + process.argv.slice(2).length }));`,
    );
    expect(await keychain.get("https://one.example.com")).toBe(
      '{"service":"jitdb","verb":"get","account":"https://one.example.com"}0',
    );
  });

  it("refuses an item that is larger than Windows takes", async () => {
    const keychain = await helper("unused", "");
    const value = "x".repeat(keychainLimits.maxItemBytes + 1);
    await expect(keychain.set("x", value)).rejects.toMatchObject({ code: "local.storage" });
  });
});
