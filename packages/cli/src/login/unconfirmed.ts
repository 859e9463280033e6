// What a person does about a device that nobody has vouched for.

import type { MeView } from "@jitdb/shared/api/people";
import { deviceArgument } from "@jitdb/shared/ids";
import type { Terminal } from "../terminal.ts";
import { line } from "../text.ts";

/** Says it on stderr, each way with its command. Says nothing where the device is confirmed. */
export function sayUnconfirmed(terminal: Terminal, { person, device }: MeView): void {
  if (device.confirmed) {
    return;
  }
  const ways = [
    ["on a device that you use already", line`jitdb devices confirm ${deviceArgument(device.id)}`],
    ["or have a request from here approved", "jitdb request <database> --for 30m"],
    ["or, as the first administrator, on the server", line`jitdb-server devices confirm ${person}`],
  ] as const;
  terminal.say(
    "This device is new. Until somebody vouches for it, it gets nothing without an approval",
  );
  terminal.say("and decides on nothing:");
  for (const [where, command] of ways) {
    terminal.say(`  ${where}:`);
    terminal.say(`    ${command}`);
  }
}
