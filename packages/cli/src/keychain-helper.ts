// The helper process that alone touches the OS keychain: a hung D-Bus would hang its process beyond any exit, and this
// one may be killed. Reads one JSON order on stdin, prints one JSON answer on stdout; secrets never stand in argv.

import { text } from "node:stream/consumers";
import * as z from "zod";

const order = z.discriminatedUnion("verb", [
  z.object({ verb: z.literal("get"), service: z.string(), account: z.string() }),
  z.object({
    verb: z.literal("set"),
    service: z.string(),
    account: z.string(),
    value: z.string(),
  }),
  z.object({ verb: z.literal("delete"), service: z.string(), account: z.string() }),
]);

async function obey(input: z.infer<typeof order>): Promise<string | null> {
  // Loading fails where the system's library is missing, and that is an answer too.
  const { default: keytar } = await import("keytar");
  switch (input.verb) {
    case "get":
      return await keytar.getPassword(input.service, input.account);
    case "set":
      await keytar.setPassword(input.service, input.account, input.value);
      return null;
    case "delete":
      await keytar.deletePassword(input.service, input.account);
      return null;
  }
}

try {
  const value = await obey(order.parse(JSON.parse(await text(process.stdin))));
  process.stdout.write(JSON.stringify({ value }));
} catch (error) {
  process.stdout.write(JSON.stringify({ error: error instanceof Error ? error.message : "" }));
}
