// `jitdb whoami`: who is logged in, where, and from which device.

import type { CommandModule } from "../command-list.ts";
import type { Context } from "../context.ts";
import { addJsonOption } from "../listing.ts";
import { sayUnconfirmed } from "../login/unconfirmed.ts";
import { line } from "../text.ts";

export interface WhoamiOptions {
  readonly json: boolean;
}

export const whoamiCommand: CommandModule = {
  define: addJsonOption,
  run: (context, _args, options) => runWhoami(context, { json: options["json"] === true }),
};

export async function runWhoami(context: Context, options: WhoamiOptions): Promise<void> {
  const { terminal } = context;
  const address = await context.server();
  const me = await (await context.api()).me();
  if (options.json) {
    terminal.json({ ...me, server: { address, ...me.server } });
    return;
  }
  terminal.out(line`${me.person} at ${address}`);
  terminal.out(line`groups: ${me.groups.length === 0 ? "none" : me.groups.join(", ")}`);
  terminal.out(line`device: ${me.device.label}${me.device.confirmed ? "" : ", not confirmed yet"}`);
  terminal.out(line`server version: ${me.server.version}`);
  sayUnconfirmed(terminal, me);
}
