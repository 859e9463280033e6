// Carries out a command of the console in this process, where no server runs.

import type { Config } from "../config/config.ts";
import { runStateCommand, type StateCommand } from "../control/commands.ts";
import { Vouching } from "../identity/vouching.ts";
import { openState } from "../state.ts";
import { systemPorts } from "../system.ts";

/** @throws JitdbError what the command throws; `store.held` where another process has the store */
export async function runWithState(config: Config, command: StateCommand): Promise<unknown> {
  const ports = systemPorts();
  const state = await openState(config, { ...ports, address: "no address (a command)" });
  try {
    const vouching = new Vouching({ ...state, ...ports });
    const { publicUrl, webhooks } = config;
    return await runStateCommand({ ...state, ...ports, vouching, publicUrl, webhooks }, command);
  } finally {
    await state.close();
  }
}
