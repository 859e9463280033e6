// jitdb-server reload: has the running server read its file again.

import { JitdbError } from "@jitdb/shared/errors";
import type { Command } from "commander";
import { dataFolderOf } from "../config/load.ts";
import { reloadAnswer } from "../control/reload.ts";
import { callControl } from "../control/socket.ts";
import { configOption } from "./options.ts";
import type { Terminal } from "./terminal.ts";

export function defineReload(command: Command, terminal: Terminal): void {
  command
    .addOption(configOption())
    .action((options: { readonly config: string }) => reload(options.config, terminal));
}

/** @throws JitdbError `config.invalid` where the server refuses the file, `server.unreachable` where none runs */
async function reload(configFile: string, terminal: Terminal): Promise<void> {
  const dataFolder = dataFolderOf(configFile);
  const answered = await callControl(dataFolder, { reload: { do: "now" } });
  if (answered === undefined) {
    throw new JitdbError("server.unreachable", `No server listens in ${dataFolder}.`, {
      hint: `Start it with \`jitdb-server start --config ${configFile}\`, which reads the file; one that runs elsewhere reloads on SIGHUP.`,
    });
  }
  const { file, policies, restart, closed, warnings } = reloadAnswer.parse(answered);
  for (const warning of warnings) {
    terminal.say(warning);
  }
  for (const key of restart) {
    terminal.print(`${key}: needs a restart.`);
  }
  for (const target of closed) {
    terminal.print(`${target}: nobody can ask for it before a restart.`);
  }
  const count = `${policies === 0 ? "no" : policies} ${policies === 1 ? "policy" : "policies"}`;
  terminal.say(`${file} is in force: ${count}.`);
}
