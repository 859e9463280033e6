// Raw sessions that break the protocol (row 12 of docs/wire-support.md).

import { encodeQuery, encodeSync } from "@jitdb/shared/postgres/encoder";
import { backendMessages, frontendMessages } from "@jitdb/shared/postgres/messages";
import type { Script } from "../script.ts";
import { bind, broken, bytes, copyData, parse } from "./messages.ts";

const violations: Readonly<Record<string, readonly Uint8Array[]>> = {
  "a type byte that no client sends": [broken(0x79, 4)],
  "a length below its own size": [broken(frontendMessages.Query, 3)],
  "a negative length": [broken(frontendMessages.Query, -1)],
  "no PostgreSQL at all": [bytes("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")],
  "a Query that has no end": [broken(frontendMessages.Query, 12, bytes("SELECT 1"))],
  "bytes behind the end of a Query": [broken(frontendMessages.Query, 14, bytes("SELECT 1\0x"))],
  "a Sync with a body": [broken(frontendMessages.Sync, 6, bytes("xx")), encodeSync()],
  "a Bind that is cut short": [
    broken(frontendMessages.Bind, 10, bytes("\0\0\0\0\0\x01")),
    encodeSync(),
  ],
  "a Bind whose parameter is longer than the message": [
    longerThanItIs(bind(["abc"])),
    encodeSync(),
  ],
  "a Describe of neither statement nor portal": [
    broken(frontendMessages.Describe, 6, bytes("X\0")),
    encodeSync(),
  ],
  "a password long after the login": [
    broken(frontendMessages.PasswordMessage, 11, bytes("secret\0")),
  ],
};

/** A Bind of one parameter of three bytes, whose length says 99. */
function longerThanItIs(message: Uint8Array): Uint8Array {
  const changed = Buffer.from(message);
  changed.writeInt32BE(99, changed.length - 9);
  return changed;
}

const { ErrorResponse } = backendMessages;

export const violationScripts: readonly Script[] = [
  ...Object.entries(violations).map(
    ([what, messages]) =>
      ({
        name: `refuses ${what}`,
        speaks: "raw" as const,
        showsDifference: 12,
        async run(world) {
          const session = await world.open();
          await session.ask(encodeQuery("SELECT 'before'"), parse("SELECT $1::text"), encodeSync());
          await session.send(...messages);
          await session.until(ErrorResponse);
          session.destroy();
        },
      }) satisfies Script,
  ),
  {
    name: "sends COPY data that nobody asked for",
    speaks: "raw",
    async run(world) {
      const session = await world.open();
      await session.ask(copyData("1\n"), encodeQuery("SELECT 1"));
    },
  },
];
