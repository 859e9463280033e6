// What can be done to webhooks from the server's console: seeing what waits, and having it tried again.

import { name } from "@jitdb/shared/api/wire";
import { JitdbError } from "@jitdb/shared/errors";
import type { Clock } from "@jitdb/shared/ids";
import * as z from "zod";
import type { Bus } from "../bus.ts";
import type { WebhookConfig } from "../config/webhooks.ts";
import { backlogs, retryNow } from "../outbox/backlog.ts";
import type { Store } from "../store/store.ts";

export const webhookCommand = z.discriminatedUnion("do", [
  z.object({ do: z.literal("list") }),
  z.object({ do: z.literal("retry"), name: name.optional() }),
]);
export type WebhookCommand = z.infer<typeof webhookCommand>;

export const webhookAnswer = z.object({
  webhooks: z.array(
    z.object({
      name,
      /** SECURITY: without the path, which is the secret of many a chat; null: no longer configured. */
      host: z.string().nullable(),
      waiting: z.number().int(),
      failed: z.number().int(),
      nextAttemptAt: z.iso.datetime().nullable(),
      lastError: z.string().nullable(),
    }),
  ),
});
export type WebhookAnswer = z.infer<typeof webhookAnswer>;

export interface WebhookParts {
  readonly store: Pick<Store, "db">;
  readonly bus: Pick<Bus, "emit">;
  readonly clock: Clock;
  readonly webhooks: readonly WebhookConfig[];
}

/** @throws JitdbError `usage.invalid` for a webhook that is not configured */
export async function runWebhookCommand(
  { store, bus, clock, webhooks }: WebhookParts,
  command: WebhookCommand,
): Promise<WebhookAnswer> {
  if (command.do === "retry") {
    const meant = webhooks.filter(
      (each) => command.name === undefined || each.name === command.name,
    );
    if (command.name !== undefined && meant.length === 0) {
      throw unknownWebhook(command.name, webhooks);
    }
    for (const webhook of meant) {
      await retryNow(store.db, clock, webhook);
      bus.emit({ type: "outbox", id: webhook.name });
    }
  }
  const all = await backlogs(store.db, webhooks);
  const shown = all.map(({ nextAttemptAt, ...rest }) => {
    const webhook = webhooks.find((each) => each.name === rest.name);
    return {
      ...rest,
      host: webhook === undefined ? null : new URL(webhook.url).host,
      nextAttemptAt: nextAttemptAt === null ? null : new Date(nextAttemptAt).toISOString(),
    };
  });
  const isNamed = command.do === "retry" && command.name !== undefined;
  return { webhooks: isNamed ? shown.filter((each) => each.name === command.name) : shown };
}

export function unknownWebhook(
  given: string,
  webhooks: readonly Pick<WebhookConfig, "name">[],
): JitdbError {
  const known = webhooks.map((one) => one.name).join(", ") || "none";
  return new JitdbError("usage.invalid", `There is no webhook ${given}.`, {
    hint: `Known in the configuration: ${known}.`,
  });
}
