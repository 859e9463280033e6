// `jitdb devices`: one's devices; vouching for a new one from a known one, and taking one away.

import type { DeviceView } from "@jitdb/shared/api/people";
import { JitdbError } from "@jitdb/shared/errors";
import { Argument } from "commander";
import type { CommandModule, CommandOptions } from "../command-list.ts";
import type { Context } from "../context.ts";
import { addJsonOption } from "../listing.ts";
import type { Column } from "../table.ts";
import { clean, line, relative } from "../text.ts";

const actions = ["confirm", "revoke"] as const;

export type DevicesOptions =
  | { readonly action: "list"; readonly json: boolean }
  | { readonly action: (typeof actions)[number]; readonly device: string; readonly json: boolean };

export const devicesCommand: CommandModule = {
  define: (command) =>
    addJsonOption(
      command
        .addArgument(new Argument("[action]", "without one they are listed").choices(actions))
        .argument("[device]", "the device's id or its beginning; behind `--` if it starts with -"),
    ).addHelpText(
      "after",
      "\nA new device is confirmed from one that is confirmed already. Compare its id with what the new one shows.\n\nExamples:\n  jitdb devices\n  jitdb devices confirm w1F1qVsb\n  jitdb devices revoke w1F1qVsb",
    ),
  run: (context, args, options) => runDevices(context, parseDevices(args, options)),
};

/** @throws JitdbError `usage.invalid` for a missing id: what is vouched for is named, never guessed */
export function parseDevices(
  [given, device]: readonly string[],
  options: CommandOptions,
): DevicesOptions {
  const json = options["json"] === true;
  const action = actions.find((each) => each === given);
  if (action === undefined) {
    return { action: "list", json };
  }
  if (device === undefined) {
    throw new JitdbError(
      "usage.invalid",
      `Which device? \`jitdb devices ${action}\` needs its id.`,
      {
        hint: `Write \`jitdb devices ${action} <id>\`; \`jitdb devices\` lists them.`,
      },
    );
  }
  return { action, device, json };
}

export async function runDevices(context: Context, options: DevicesOptions): Promise<void> {
  const { terminal } = context;
  const api = await context.api();
  const list = await api.devices();
  if (options.action === "list") {
    if (options.json) {
      terminal.json(list);
    } else {
      terminal.table(deviceColumns(context.clock.now()), list.devices);
    }
    return;
  }
  const id = resolveDevice(options.device, list.devices);
  const device =
    options.action === "confirm" ? await api.confirmDevice(id) : await api.revokeDevice(id);
  if (options.json) {
    terminal.json(device);
    return;
  }
  const seen = relative(device.firstSeenAt, context.clock.now());
  const what = options.action === "confirm" ? "Confirmed" : "Revoked";
  terminal.say(
    line`${what}: ${device.label} of ${device.person}, first seen ${seen} at ${device.firstAddress} (${device.id}).`,
  );
}

/** What is not among one's own goes to the server as it is: administrators revoke other people's, too. */
function resolveDevice(given: string, devices: readonly DeviceView[]): string {
  const matches = devices.filter(({ id }) => id.startsWith(given));
  if (matches.length > 1) {
    const ids = matches.map(({ id }) => id).join(", ");
    throw new JitdbError("usage.ambiguous", `"${clean(given)}" may mean ${ids}.`, {
      hint: "Write more of the id.",
    });
  }
  return matches[0]?.id ?? given;
}

function deviceColumns(now: number): Column<DeviceView>[] {
  return [
    { heading: "ID", show: ({ id }) => id },
    { heading: "DEVICE", show: ({ label, current }) => (current ? `${label}, this one` : label) },
    { heading: "STATE", show: ({ confirmed }) => (confirmed ? "confirmed" : "unconfirmed") },
    { heading: "FIRST FROM", show: ({ firstAddress }) => firstAddress },
    {
      heading: "FIRST SEEN",
      show: ({ firstSeenAt }) => relative(firstSeenAt, now),
      plain: ({ firstSeenAt }) => firstSeenAt,
    },
  ];
}
