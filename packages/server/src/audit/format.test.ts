// docs/audit-format.md against the code.

import { spawnSync } from "node:child_process";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { createFolder, openTestJournal } from "./fixtures.ts";

const page = readFileSync(new URL("../../../../docs/audit-format.md", import.meta.url), "utf8");
const command = /```sh\n([^`]*)```/.exec(page)?.[1] ?? "";

const verifyByHand = (folder: string) =>
  spawnSync("sh", ["-c", command], { cwd: folder, encoding: "utf8" });

it("verifies a journal with the documented command (invariant 26)", () => {
  const folder = createFolder();
  const journal = openTestJournal(folder, { segmentBytes: 1000 });
  for (const reason of ["one", '\\ \\\\ % %s "prev":"0"', "x".repeat(5000), "\u001b\r\n"]) {
    journal.record({ kind: "server.stopped", reason });
  }
  journal.close();
  expect(verifyByHand(folder)).toMatchObject({ status: 0, stdout: "The chain is whole.\n" });
  const [segment = ""] = readdirSync(folder).sort();
  const path = join(folder, segment);
  writeFileSync(path, readFileSync(path, "utf8").replace("one", "two"));
  expect(verifyByHand(folder)).toMatchObject({ status: 1 });
});

it("documents every kind that the code has, and no other", () => {
  const source = readFileSync(new URL("record.ts", import.meta.url), "utf8");
  const inCode = [...source.matchAll(/^ {2}"([a-z]+\.[a-z_]+)":/gm)].map((match) => match[1]);
  const table = page.slice(page.indexOf("## Kinds"));
  const rows = [...table.matchAll(/^\| ((?:`[a-z]+\.[a-z_]+`(?:, )?)+) \|/gm)];
  const inDocs = rows.flatMap((row) => (row[1] ?? "").replaceAll("`", "").split(", "));
  expect(inDocs.filter((kind) => kind !== "journal.checkpoint").sort()).toEqual(inCode.sort());
});
