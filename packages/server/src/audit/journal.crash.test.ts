import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { expect, it, onTestFinished } from "vitest";
import { skip } from "../../../../test/support/skip.ts";
import { createFolder, openTestJournal, readRecords } from "./fixtures.ts";

const writer = fileURLToPath(new URL("crash-writer.ts", import.meta.url));

/** Lets a child append until it has said `lines` times how far it is, kills it, and gives the last number it said. */
async function appendUntilKilled(folder: string, lines: number): Promise<number> {
  const child = spawn(process.execPath, [writer, folder], { stdio: ["ignore", "pipe", "inherit"] });
  onTestFinished(() => {
    child.kill("SIGKILL");
  });
  let said = "";
  child.stdout.on("data", (chunk) => {
    said += chunk;
    if (said.split("\n").length > lines) {
      child.kill("SIGKILL");
    }
  });
  await once(child, "close");
  return Number(said.split("\n").at(-2));
}

it("has every flushed record and a whole chain after SIGKILL at any point (invariants 20 and 26)", async () => {
  const folder = createFolder();
  for (const lines of [1, 2, 40, 777, 3000]) {
    const flushed = await appendUntilKilled(folder, lines);
    openTestJournal(folder).close();
    expect(readRecords(folder).length).toBeGreaterThanOrEqual(flushed);
  }
}, 30_000);

it("refuses on a full disk and goes on when there is room (invariant 20)", (context) => {
  const folder = createFolder();
  const mounted = spawnSync("/bin/mount", [
    "-t",
    "tmpfs",
    "-o",
    "size=64k,mode=700",
    "tmpfs",
    folder,
  ]);
  if (mounted.status !== 0) {
    // journal.test.ts shows the same with a file system of its own.
    skip(context, "only root may mount a small disk");
  }
  onTestFinished(() => {
    spawnSync("/bin/umount", [folder]);
  });
  const journal = openTestJournal(folder, { segmentBytes: 16_000 });
  const event = { kind: "server.stopped", reason: "x".repeat(900) } as const;
  const fill = () => {
    for (;;) {
      journal.record(event);
    }
  };
  expect(fill).toThrow(expect.objectContaining({ code: "audit.unavailable" }));
  const kept = readRecords(folder).length;
  expect(kept).toBe(journal.flushedSeq);
  spawnSync("/bin/mount", ["-o", "remount,size=256k", folder]);
  journal.record(event);
  expect(readRecords(folder)).toHaveLength(journal.flushedSeq);
  expect(journal.flushedSeq).toBeGreaterThan(kept);
  journal.close();
});
