// jitdb-server audit: whether the journal is whole, and signed checkpoints of it to be kept elsewhere. Reads the files alone, so that it
// works beside a running server and on a copy.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { JitdbError } from "@jitdb/shared/errors";
import type { Command } from "commander";
import { checkpointKey, readCheckpoint, signCheckpoint } from "../audit/journal/checkpoint.ts";
import { verifyJournal } from "../audit/journal/verify.ts";
import type { Config } from "../config/config.ts";
import { requireConfig } from "../config/load.ts";
import { deriveKey } from "../derive-key.ts";
import { systemPorts } from "../system.ts";
import { configOption } from "./options.ts";
import type { Terminal } from "./terminal.ts";

export function defineAudit(audit: Command, terminal: Terminal): void {
  audit
    .command("verify")
    .description("verify the journal's chain, from the first record to the last")
    .addOption(configOption())
    .option("--checkpoints <file>", "kept elsewhere; shows a cut tail and a journal written anew")
    .action((options: { config: string; checkpoints?: string }) => verify(options, terminal));
  audit
    .command("checkpoint")
    .description("verify the journal, and print a signed line that says where it stands")
    .addOption(configOption())
    .action((options: { config: string }) => checkpoint(options, terminal));
}

async function verify(
  { config: file, checkpoints }: { readonly config: string; readonly checkpoints?: string },
  terminal: Terminal,
): Promise<void> {
  const { config } = requireConfig(file);
  const key = keyOf(config);
  const lines = checkpoints === undefined ? [] : linesOf(checkpoints);
  const { head, journal } = await standOf(
    config,
    lines.map((line) => readCheckpoint(line, key)),
  );
  const count = lines.length === 1 ? "1 checkpoint" : `${lines.length} checkpoints`;
  const known = checkpoints === undefined ? "" : `, and agrees with ${count}`;
  terminal.say(`The journal ${journal} is whole up to record ${head.seq}${known}.`);
}

async function checkpoint({ config: file }: { config: string }, terminal: Terminal): Promise<void> {
  const { config } = requireConfig(file);
  const { head, journal } = await standOf(config, []);
  if (head.seq === 0) {
    throw new JitdbError("usage.invalid", "The journal has no record yet.", {
      hint: "Start the server first.",
    });
  }
  const at = new Date(systemPorts().clock.now()).toISOString();
  terminal.print(JSON.stringify(signCheckpoint({ journal, ...head, at }, keyOf(config))));
}

/** @throws JitdbError `audit.unavailable` where the journal is not whole, or can't be read */
async function standOf(config: Config, anchors: Parameters<typeof verifyJournal>[1]) {
  const folder = join(config.dataFolder, "journal");
  const verdict = await verifyJournal(folder, anchors).catch((cause: unknown) => {
    throw new JitdbError("audit.unavailable", `The journal in ${folder} cannot be read.`, {
      cause,
      hint: "Run this as the server's user, or name its configuration with --config.",
    });
  });
  if (!verdict.whole) {
    throw new JitdbError("audit.unavailable", `The journal is not whole. ${verdict.message}`, {
      hint: "Keep the files as they are, and compare them with a back-up.",
    });
  }
  return verdict;
}

function keyOf({ masterKey }: Config) {
  return checkpointKey(deriveKey(masterKey, "audit/checkpoints", 32));
}

function linesOf(file: string): string[] {
  try {
    return readFileSync(file, "utf8")
      .split("\n")
      .filter((line) => line !== "");
  } catch (error) {
    throw unreadable(file, error);
  }
}

function unreadable(file: string, cause: unknown): JitdbError {
  const hint = "Name a file of lines that `jitdb-server audit checkpoint` printed.";
  return new JitdbError("usage.invalid", `The file ${file} cannot be read.`, { cause, hint });
}
