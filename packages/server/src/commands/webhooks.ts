// jitdb-server webhooks: what each webhook has not taken yet, having it tried again, and a signed message now, so that nobody
// has to wait for an event to see whether it arrives.

import { JitdbError } from "@jitdb/shared/errors";
import { randomBase32 } from "@jitdb/shared/ids";
import type { Command } from "commander";
import { requireConfig } from "../config/load.ts";
import {
  unknownWebhook,
  type WebhookAnswer,
  webhookAnswer,
  webhookCommand,
} from "../control/webhooks.ts";
import { webhookSender } from "../outbox/webhook.ts";
import { systemPorts } from "../system.ts";
import { checkCommand, runOnConsole } from "./console.ts";
import { configOption } from "./options.ts";
import type { Terminal } from "./terminal.ts";

interface WebhookOptions {
  readonly config: string;
  readonly json?: true;
}

export function defineWebhooks(webhooks: Command, terminal: Terminal): void {
  webhooks
    .command("list")
    .description("show what each webhook has not taken yet, and why")
    .addOption(configOption())
    .option("--json", "print JSON")
    .action((options: WebhookOptions) => list(options, terminal));
  webhooks
    .command("retry [name]")
    .description("try what waits now, and what was given up again; of all webhooks, or of one")
    .addOption(configOption())
    .action((name: string | undefined, options: WebhookOptions) => retry(name, options, terminal));
  webhooks
    .command("test <name>")
    .description("send a signed message of the type webhook.test")
    .addOption(configOption())
    .action((name: string, { config }: { config: string }) => sendTest(name, config, terminal));
}

async function list({ config, json }: WebhookOptions, terminal: Terminal): Promise<void> {
  const { webhooks } = await runOnConsole(config, { webhooks: { do: "list" } }, webhookAnswer);
  if (json) {
    terminal.print(JSON.stringify(webhooks));
    return;
  }
  if (webhooks.length === 0) {
    terminal.say(
      "There are no webhooks; docs/operations.md says how to write one into jitdb.yaml.",
    );
  }
  const widest = Math.max(...webhooks.map(({ name }) => name.length), 0);
  for (const webhook of webhooks) {
    terminal.print(`${webhook.name.padEnd(widest)}  ${describe(webhook)}`);
  }
}

function describe(webhook: WebhookAnswer["webhooks"][number]): string {
  const { host, waiting, failed, nextAttemptAt, lastError } = webhook;
  return [
    host ?? "not in jitdb.yaml",
    `${waiting} waiting`,
    `${failed} given up`,
    ...(nextAttemptAt === null ? [] : [`next try ${nextAttemptAt}`]),
    ...(lastError === null ? [] : [lastError]),
  ].join("  ");
}

async function retry(
  name: string | undefined,
  { config }: WebhookOptions,
  terminal: Terminal,
): Promise<void> {
  const command = checkCommand(
    webhookCommand,
    { do: "retry", name },
    "jitdb-server webhooks --help",
  );
  const { webhooks } = await runOnConsole(config, { webhooks: command }, webhookAnswer);
  for (const webhook of webhooks.filter(({ host }) => host !== null)) {
    const what = webhook.waiting === 1 ? "1 message is" : `${webhook.waiting} messages are`;
    terminal.say(
      webhook.waiting === 0
        ? `${webhook.name} has taken everything.`
        : `${what} sent to ${webhook.name} now; see \`jitdb-server webhooks list\`.`,
    );
  }
}

/** @throws JitdbError `usage.invalid` for an unknown name, `server.unreachable` where it did not arrive */
async function sendTest(name: string, file: string, terminal: Terminal): Promise<void> {
  const { webhooks } = requireConfig(file).config;
  const webhook = webhooks.find((one) => one.name === name);
  if (webhook === undefined) {
    throw unknownWebhook(name, webhooks);
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
