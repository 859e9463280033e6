// Commands of the server's console. The running server carries them out, through its control socket; where none runs, this
// process does.

import { JitdbError } from "@jitdb/shared/errors";
import type * as z from "zod";
import type { Config } from "../config/config.ts";
import { requireConfig } from "../config/load.ts";
import type { StateCommand } from "../control/commands.ts";
import { callControl } from "../control/socket.ts";

/** What the command line made of a command, checked. @throws JitdbError `usage.invalid` */
export function checkCommand<T>(schema: z.ZodType<T>, command: object, help: string): T {
  const checked = schema.safeParse(command);
  if (!checked.success) {
    const [issue] = checked.error.issues;
    const field = String(issue?.path[0]);
    const given = JSON.stringify(Object.entries(command).find(([name]) => name === field)?.[1]);
    const message = `The ${field} ${given} will not do: ${issue?.message}.`;
    throw new JitdbError("usage.invalid", message, { hint: `See \`${help}\`.` });
  }
  return checked.data;
}

/**
 * The server that listens does it, else this process, with the store.
 * @param answer the form of this command's answer
 * @throws JitdbError what the command throws; `store.held` where a server has the store and does not listen
 */
export async function runOnConsole<T>(
  configFile: string,
  command: StateCommand,
  answer: z.ZodType<T>,
): Promise<T> {
  const { config } = requireConfig(configFile);
  const answered = await callControl(config.dataFolder, command);
  return answer.parse(answered ?? (await runOnStore(config, command)));
}

async function runOnStore(config: Config, command: StateCommand): Promise<unknown> {
  // Loaded here: most of the program, for something that a running server does in its stead.
  const { runWithState } = await import("./with-state.ts");
  return await runWithState(config, command);
}
