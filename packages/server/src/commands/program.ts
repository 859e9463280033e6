// The command line as a tree of commands. Parsing the arguments happens here and in the commands, errors are shown in main.ts.

import { Command } from "commander";
import { version } from "../version.ts";
import { addAudit } from "./audit.ts";
import { addCheck } from "./check.ts";
import { addDatabase } from "./database.ts";
import { addDevices } from "./devices.ts";
import { addInit } from "./init.ts";
import { addPolicy } from "./policy.ts";
import { addReload } from "./reload.ts";
import { addStart } from "./start.ts";
import type { Terminal } from "./terminal.ts";
import { addTry } from "./try.ts";
import { addUsers } from "./users.ts";
import { addWebhooks } from "./webhooks.ts";

/** Throws commander's CommanderError instead of ending the process. */
export function createProgram(terminal: Terminal): Command {
  const program = new Command("jitdb-server")
    .description("Just-in-time database access: the control plane and the gateway.")
    .version(version)
    .exitOverride()
    .showSuggestionAfterError()
    .configureOutput({
      writeOut: (text) => terminal.print(text.trimEnd()),
      writeErr: (text) => terminal.say(text.trimEnd()),
      // main.ts says it, in the form of every other error.
      outputError: () => undefined,
    });
  addTry(program, terminal);
  addInit(program, terminal);
  addStart(program, terminal);
  addReload(program, terminal);
  addCheck(program, terminal);
  addPolicy(program, terminal);
  addUsers(program, terminal);
  addDevices(program, terminal);
  addDatabase(program, terminal);
  addAudit(program, terminal);
  addWebhooks(program, terminal);
  return program;
}
