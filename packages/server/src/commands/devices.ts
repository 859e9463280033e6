// jitdb-server devices: vouching for devices, and taking them away. Whoever may run commands on the server's machine can
// confirm the first administrator's device, which nobody else could.

import type { Command } from "commander";
import {
  type DeviceAnswer,
  type DeviceCommand,
  describeDevice,
  deviceAnswer,
  deviceCommand,
} from "../control/devices.ts";
import { checkCommand, runOnConsole } from "./console.ts";
import { configOption } from "./options.ts";
import type { Terminal } from "./terminal.ts";

interface DeviceOptions {
  readonly config: string;
  readonly json?: true;
}

export function defineDevices(devices: Command, terminal: Terminal): void {
  const run = (command: object, options: DeviceOptions) => manage(command, options, terminal);

  devices
    .command("list")
    .description("list the devices of everybody")
    .addOption(configOption())
    .option("--json", "print JSON")
    .action((options: DeviceOptions) => run({ do: "list" }, options));
  for (const [action, description] of [
    ["confirm", "vouch for a device: ask the person whether it is theirs"],
    ["revoke", "end a device's logins and sessions and refuse it for ever"],
  ] as const) {
    devices
      .command(`${action} <person> [device]`)
      .description(`${description}; its id may be left out where only one can be meant`)
      .addOption(configOption())
      .action((person: string, device: string | undefined, options: DeviceOptions) =>
        run({ do: action, person, device }, options),
      );
  }
}

async function manage(command: object, options: DeviceOptions, terminal: Terminal): Promise<void> {
  const checked = checkCommand(deviceCommand, command, "jitdb-server devices --help");
  const { devices } = await runOnConsole(options.config, { devices: checked }, deviceAnswer);
  if (checked.do !== "list") {
    sayDone(checked, devices, terminal);
  } else if (options.json) {
    terminal.print(JSON.stringify(devices));
  } else {
    printList(devices, terminal);
  }
}

type Devices = DeviceAnswer["devices"];

function sayDone(
  { do: action }: Exclude<DeviceCommand, { do: "list" }>,
  devices: Devices,
  terminal: Terminal,
): void {
  for (const device of devices) {
    const shown = `${device.person}'s device: ${describeDevice(device)}`;
    terminal.say(
      action === "confirm"
        ? `Confirmed ${shown}.`
        : `Revoked ${shown}. Its logins and sessions are ended.`,
    );
  }
}

function printList(devices: Devices, terminal: Terminal): void {
  const widest = (texts: readonly string[]) => Math.max(...texts.map(({ length }) => length), 0);
  const nameWidth = widest(devices.map(({ person }) => person));
  const labelWidth = widest(devices.map(({ label }) => label));
  const addressWidth = widest(devices.map(({ firstAddress }) => firstAddress));
  for (const { person, confirmed, label, firstAddress, firstSeenAt, id } of devices) {
    terminal.print(
      [
        person.padEnd(nameWidth),
        confirmed ? "confirmed  " : "unconfirmed",
        label.padEnd(labelWidth),
        firstAddress.padEnd(addressWidth),
        firstSeenAt,
        id,
      ].join("  "),
    );
  }
}
