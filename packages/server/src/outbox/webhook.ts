// Sends a message to a webhook, signed by the Standard Webhooks scheme (standardwebhooks.com, specification 1.0.0).

import { createHmac } from "node:crypto";
import type { Clock } from "@jitdb/shared/ids";
import type { Secret } from "@jitdb/shared/secret";
import type { WebhookConfig } from "../config/webhooks.ts";
import { withDeadline } from "../deadline.ts";
import type { Message, Sender } from "./deliveries.ts";

const answerTimeoutMs = 10_000;

/** One webhook as a sender. What it throws says in one line why a message did not arrive. */
export function webhookSender(
  { name, url, secret }: Pick<WebhookConfig, "name" | "url" | "secret">,
  clock: Clock,
  timeoutMs = answerTimeoutMs,
): Sender {
  return {
    name,
    async send(message, signal) {
      const headers = headersOf(message, secret, clock.now());
      const response = await withDeadline(timeoutMs, signal, async (either) => {
        try {
          return await post(url, message, headers, either);
        } catch (cause) {
          const isLate = either.aborted && !signal.aborted;
          const why = isLate ? `no answer in ${timeoutMs / 1000}s` : reasonOf(cause);
          throw new Error(`${new URL(url).host}: ${why}`, { cause });
        }
      });
      // SECURITY: what an endpoint answers is not read, so it can neither fill memory nor speak through our log.
      await response.body?.cancel();
      if (!response.ok) {
        throw new Error(`${new URL(url).host} answered ${response.status}`);
      }
    },
  };
}

function headersOf({ id, body }: Message, secret: Secret, now: number): Record<string, string> {
  const timestamp = String(Math.floor(now / 1000));
  return {
    "content-type": "application/json",
    "user-agent": "jitdb",
    "webhook-id": id,
    "webhook-timestamp": timestamp,
    "webhook-signature": `v1,${sign(secret, `${id}.${timestamp}.${body}`)}`,
  };
}

function sign(secret: Secret, content: string): string {
  const key = Buffer.from(secret.reveal().trim().slice("whsec_".length), "base64");
  return createHmac("sha256", key).update(content).digest("base64");
}

async function post(
  url: string,
  { body }: Message,
  headers: Record<string, string>,
  signal: AbortSignal,
): Promise<Response> {
  return await fetch(url, {
    method: "POST",
    body,
    headers,
    // SECURITY: a redirect would take the message to an address that nobody wrote into the configuration.
    redirect: "manual",
    signal,
  });
}

function reasonOf(error: unknown): string {
  const cause = error instanceof Error ? error.cause : undefined;
  return cause instanceof Error && "code" in cause ? String(cause.code) : "not reachable";
}
