// Every command of the server's console, as it goes over the control socket, and who carries it out.

import { z } from "zod";
import type { People } from "../identity/people.ts";
import type { Vouching } from "../identity/vouching.ts";
import { type DeviceAnswer, deviceCommand, runDeviceCommand } from "./devices.ts";
import { runUserCommand, type UserAnswer, userCommand } from "./users.ts";
import {
  runWebhookCommand,
  type WebhookAnswer,
  type WebhookParts,
  webhookCommand,
} from "./webhooks.ts";

export const controlCommand = z.union([
  z.object({ users: userCommand }),
  z.object({ devices: deviceCommand }),
  z.object({ webhooks: webhookCommand }),
]);
export type ControlCommand = z.infer<typeof controlCommand>;

export interface ControlParts extends WebhookParts {
  readonly people: People;
  readonly vouching: Vouching;
  readonly publicUrl: string;
}

export async function runControlCommand(
  parts: ControlParts,
  command: ControlCommand,
): Promise<UserAnswer | DeviceAnswer | WebhookAnswer> {
  const { people, vouching, publicUrl } = parts;
  if ("users" in command) {
    return await runUserCommand(people, publicUrl, command.users);
  }
  return "devices" in command
    ? await runDeviceCommand(vouching, people, command.devices)
    : await runWebhookCommand(parts, command.webhooks);
}
