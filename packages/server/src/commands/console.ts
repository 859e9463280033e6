// Commands of the server's console. The running server carries them out, through its control socket; where none runs, this
// process does.

import { JitdbError } from "@jitdb/shared/errors";
import type * as z from "zod";
import { requireConfig } from "../config/load.ts";
import { runStateCommand, type StateCommand } from "../control/commands.ts";
import { callControl } from "../control/socket.ts";
import { Vouching } from "../identity/vouching.ts";
import { openState, type State } from "../state.ts";
import { systemPorts } from "../system.ts";

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
 * Opening the store decides who does it: either this process gets it, or a server has it and listens.
 * @param answer the form of this command's answer
 * @throws JitdbError what the command throws; `store.held` where a server has the store and does not listen
 */
export async function runOnConsole<T>(
  configFile: string,
  command: StateCommand,
  answer: z.ZodType<T>,
): Promise<T> {
  const { config } = requireConfig(configFile);
  const ports = systemPorts();
  let state: State;
  try {
    state = await openState(config, { ...ports, address: "no address (a command)" });
  } catch (error) {
    const answered = isHeld(error) ? await callControl(config.dataFolder, command) : undefined;
    if (answered === undefined) {
      throw error;
    }
    return answer.parse(answered);
  }
  try {
    const vouching = new Vouching({ ...state, ...ports });
    const { publicUrl, webhooks } = config;
    const parts = { ...state, ...ports, vouching, publicUrl, webhooks };
    return answer.parse(await runStateCommand(parts, command));
  } finally {
    await state.close();
  }
}

function isHeld(error: unknown): boolean {
  return error instanceof JitdbError && error.code === "store.held";
}
