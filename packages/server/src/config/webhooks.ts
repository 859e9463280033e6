// The `webhooks:` section: who outside hears of events. As it is written, and as the rest of the server sees it.

import { name } from "@jitdb/shared/api/wire";
import { parseDuration } from "@jitdb/shared/duration";
import { Secret } from "@jitdb/shared/secret";
import * as z from "zod";
import { isEventFilter } from "../outbox/events.ts";
import { giveUpMs } from "../outbox/outbox.ts";

const loopback = ["127.0.0.1", "[::1]", "localhost"];

const url = z.preprocess(
  (value) => (value instanceof Secret ? value.reveal() : value),
  z
    .string("must be an address.")
    .max(2000, "is longer than 2000 characters.")
    .refine((value) => {
      const parsed = URL.parse(value);
      // SECURITY: what people ask for, and why, is not for everybody on the way.
      return (
        parsed !== null &&
        parsed.username + parsed.password + parsed.hash === "" &&
        (parsed.protocol === "https:" ||
          (parsed.protocol === "http:" && loopback.includes(parsed.hostname)))
      );
    }, "must be an https:// address without a name, password or fragment; http:// is for this machine alone."),
);

/** `whsec_` and 24 to 64 bytes in base64, as Standard Webhooks writes it. */
const secret = z
  .instanceof(Secret, {
    // biome-ignore lint/suspicious/noTemplateCurlyInString: this is how references are written
    error: "a secret never stands in the configuration itself. Write ${file:path} or ${env:NAME}.",
  })
  .refine((value) => {
    const [, base64 = ""] = /^whsec_([A-Za-z0-9+/]+={0,2})$/.exec(value.reveal().trim()) ?? [];
    const { length } = Buffer.from(base64, "base64");
    return length >= 24 && length <= 64;
  }, 'is no webhook secret. Make one: echo "whsec_$(openssl rand -base64 32)"');

const giveUpRule = "must be a duration between 1m and 30d, such as 12h.";

const giveUp = z.preprocess(
  (value) => (value instanceof Secret ? value.reveal() : value),
  z.string(giveUpRule).transform((value, context) => {
    try {
      const ms = parseDuration(value);
      if (ms >= 60_000 && ms <= 30 * 24 * 60 * 60_000) {
        return ms;
      }
    } catch {
      // parseDuration quotes the text; ours must not.
    }
    context.addIssue(giveUpRule);
    return z.NEVER;
  }),
);

const webhook = z.strictObject({
  url,
  secret,
  events: z
    .array(
      z.string().refine(isEventFilter, "is no event, nor a family such as request.* or grant.*."),
      "must be a list of events, such as [request.*, grant.ended].",
    )
    .min(1, "must name at least one event.")
    .optional(),
  giveUp: giveUp.default(giveUpMs),
});

export const webhooksSchema = z.record(name, webhook).default({});

export interface WebhookConfig {
  readonly name: string;
  readonly url: string;
  /** `whsec_…`, the key in base64. */
  readonly secret: Secret;
  /** Types, and families such as `grant.*`; absent: all. */
  readonly events?: readonly string[];
  /** How long a message is tried for. */
  readonly giveUpMs: number;
}

export function toWebhooks(input: z.infer<typeof webhooksSchema>): WebhookConfig[] {
  return Object.entries(input).map(([name, { events, giveUp, ...rest }]) => ({
    name,
    ...rest,
    giveUpMs: giveUp,
    ...(events && { events }),
  }));
}
