// What can be done to devices from the server's console: the operator there vouches for them, or takes them away.

import { deviceView } from "@jitdb/shared/api/people";
import { name } from "@jitdb/shared/api/wire";
import { JitdbError } from "@jitdb/shared/errors";
import { deviceArgument } from "@jitdb/shared/ids";
import * as z from "zod";
import type { People } from "../identity/people.ts";
import { type KnownDevice, operator, type Vouching } from "../identity/vouching.ts";

/** An id, or its beginning; absent where only one can be meant. */
const device = z.string().min(1).max(60).optional();

export const deviceCommand = z.discriminatedUnion("do", [
  z.object({ do: z.literal("list") }),
  z.object({ do: z.literal("confirm"), person: name, device }),
  z.object({ do: z.literal("revoke"), person: name, device }),
]);
export type DeviceCommand = z.infer<typeof deviceCommand>;

export const deviceAnswer = z.object({ devices: z.array(deviceView.omit({ current: true })) });
export type DeviceAnswer = z.infer<typeof deviceAnswer>;

type Naming = Exclude<DeviceCommand, { do: "list" }>;

/** @throws JitdbError `person.unknown`, `device.unknown`, `usage.ambiguous` with the list of what may be meant */
export async function runDeviceCommand(
  vouching: Vouching,
  people: People,
  command: DeviceCommand,
): Promise<DeviceAnswer> {
  if (command.do === "list") {
    return { devices: (await vouching.list()).map(toView) };
  }
  const { id } = await people.get(command.person);
  const meant = pick(await vouching.list(id), command);
  const changed = await vouching[command.do](operator, meant.id);
  return { devices: [toView(changed)] };
}

function pick(devices: readonly KnownDevice[], command: Naming): KnownDevice {
  const { person, device: given } = command;
  const waiting =
    command.do === "confirm" ? devices.filter(({ confirmed }) => !confirmed) : devices;
  const candidates =
    given === undefined ? waiting : devices.filter(({ id }) => id.startsWith(given));
  const [only, ...others] = candidates;
  if (only === undefined) {
    const what = given === undefined ? missing[command.do] : `device ${given}`;
    throw new JitdbError("device.unknown", `${person} has no ${what}.`, {
      hint: `A device is there once ${person} has logged in with it; \`jitdb-server devices list\` shows all.`,
    });
  }
  if (others.length > 0) {
    const lines = candidates.map((each) => `\n  ${describeDevice(toView(each))}`);
    throw new JitdbError(
      "usage.ambiguous",
      `${person} has ${candidates.length} devices that may be meant:${lines.join("")}`,
      {
        hint: `Name the one you mean, such as \`jitdb-server devices ${command.do} ${person} ${deviceArgument(only.id)}\`.`,
      },
    );
  }
  return only;
}

const missing = { confirm: "device that waits to be confirmed", revoke: "device" } as const;

function toView({
  personId: _,
  firstSeenAt,
  ...rest
}: KnownDevice): DeviceAnswer["devices"][number] {
  return { ...rest, firstSeenAt: new Date(firstSeenAt).toISOString() };
}

/** What an operator compares before they vouch for it. */
export function describeDevice({
  id,
  label,
  firstAddress,
  firstSeenAt,
}: DeviceAnswer["devices"][number]): string {
  return `${label}, first seen at ${firstAddress} on ${firstSeenAt} (${id})`;
}
