// Every command of the server's console, as it goes over the control socket, and who carries it out.

import * as z from "zod";
import type { People } from "../identity/people.ts";
import type { Vouching } from "../identity/vouching.ts";
import type { ReloadCause, ReloadReport } from "../reload/reloader.ts";
import { type DeviceAnswer, deviceCommand, runDeviceCommand } from "./devices.ts";
import { reloadCommand } from "./reload.ts";
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
  z.object({ reload: reloadCommand }),
]);
export type ControlCommand = z.infer<typeof controlCommand>;
export type StateCommand = Exclude<ControlCommand, { reload: unknown }>;

export interface ControlParts extends WebhookParts {
  readonly people: People;
  readonly vouching: Vouching;
  readonly publicUrl: string;
}

/** Those that only a running server can carry out. */
export interface RunningControlParts extends ControlParts {
  readonly reload: (by: ReloadCause) => ReloadReport;
}

export async function runControlCommand(
  parts: RunningControlParts,
  command: ControlCommand,
): Promise<UserAnswer | DeviceAnswer | WebhookAnswer | ReloadReport> {
  return "reload" in command ? parts.reload("console") : await runStateCommand(parts, command);
}

/** What can be done to the store, by whoever has it open. */
export async function runStateCommand(
  parts: ControlParts,
  command: StateCommand,
): Promise<UserAnswer | DeviceAnswer | WebhookAnswer> {
  const { people, vouching, publicUrl } = parts;
  if ("users" in command) {
    return await runUserCommand(people, publicUrl, command.users);
  }
  return "devices" in command
    ? await runDeviceCommand(vouching, people, command.devices)
    : await runWebhookCommand(parts, command.webhooks);
}
