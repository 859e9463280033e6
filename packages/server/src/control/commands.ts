// Every command of the server's console, as it goes over the control socket, and who carries it out.

import { z } from "zod";
import type { People } from "../identity/people.ts";
import type { Vouching } from "../identity/vouching.ts";
import { type DeviceAnswer, deviceCommand, runDeviceCommand } from "./devices.ts";
import { runUserCommand, type UserAnswer, userCommand } from "./users.ts";

export const controlCommand = z.union([
  z.object({ users: userCommand }),
  z.object({ devices: deviceCommand }),
]);
export type ControlCommand = z.infer<typeof controlCommand>;

export interface ControlParts {
  readonly people: People;
  readonly vouching: Vouching;
  readonly publicUrl: string;
}

export async function runControlCommand(
  { people, vouching, publicUrl }: ControlParts,
  command: ControlCommand,
): Promise<UserAnswer | DeviceAnswer> {
  return "users" in command
    ? await runUserCommand(people, publicUrl, command.users)
    : await runDeviceCommand(vouching, people, command.devices);
}
