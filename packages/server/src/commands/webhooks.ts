// jitdb-server webhooks: sends a signed message to a webhook now, so that nobody has to wait for an event to see whether it arrives.

import { JitdbError } from "@jitdb/shared/errors";
import { randomBase32 } from "@jitdb/shared/ids";
import type { Command } from "commander";
import { requireConfig } from "../config/load.ts";
import { webhookSender } from "../outbox/webhook.ts";
import { systemPorts } from "../system.ts";
import { configOption } from "./options.ts";
import type { Terminal } from "./terminal.ts";

export function addWebhooks(program: Command, terminal: Terminal): void {
  program
    .command("webhooks")
    .description("look after webhooks")
    .command("test <name>")
    .description("send a signed message of the type webhook.test")
    .addOption(configOption())
    .action((name: string, { config }: { config: string }) => sendTest(name, config, terminal));
}

/** @throws JitdbError `usage.invalid` for an unknown name, `server.unreachable` where it did not arrive */
async function sendTest(name: string, file: string, terminal: Terminal): Promise<void> {
  const { webhooks } = requireConfig(file).config;
  const webhook = webhooks.find((one) => one.name === name);
  if (webhook === undefined) {
    const known = webhooks.map((one) => one.name).join(", ") || "none";
    const hint = `Known in ${file}: ${known}.`;
    throw new JitdbError("usage.invalid", `There is no webhook ${name}.`, { hint });
  }
  const { clock, random } = systemPorts();
  const type = "webhook.test";
  const timestamp = new Date(clock.now()).toISOString();
  const body = JSON.stringify({ type, timestamp, data: {} });
  const id = `msg_${randomBase32(random, 26)}`;
  try {
    await webhookSender(webhook, clock).send({ id, type, body }, new AbortController().signal);
  } catch (error) {
    throw notTaken(name, error);
  }
  terminal.say(`${name} took the message ${id}.`);
}

function notTaken(name: string, cause: unknown): JitdbError {
  const why = cause instanceof Error ? cause.message : "not reachable";
  const hint = `Mend webhooks.${name} or its endpoint, then run \`jitdb-server webhooks test ${name}\` again.`;
  return new JitdbError("server.unreachable", `The message did not arrive: ${why}.`, {
    cause,
    hint,
  });
}
