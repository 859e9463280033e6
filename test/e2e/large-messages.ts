// Single messages as large as one likes, both ways, sent and read piece by piece: nobody here holds one of them.

import {
  encodeBind,
  encodeExecute,
  encodeParse,
  encodeQuery,
  encodeSync,
} from "@jitdb/shared/postgres/encoder";
import { backendMessages, frontendMessages } from "@jitdb/shared/postgres/messages";
import { encodeText, int32 } from "@jitdb/shared/postgres/writer";
import { copyMessage, drain, type Wire } from "./wire.ts";

export interface LargeMessage {
  readonly name: string;
  /** Sends or receives one message with at least so many bytes; rejects where it does not come through as it is. */
  readonly pass: (wire: Wire, bytes: number) => Promise<void>;
}

const none = new Uint8Array(0);

export const largeMessages: readonly LargeMessage[] = [
  {
    name: "a Query",
    async pass(wire, bytes) {
      const parts = [encodeText("SELECT 'behind it'"), encodeText(";\0")] as const;
      await sendLarge(wire, frontendMessages.Query, parts, " ", bytes);
      await expectRow(wire, "behind it");
    },
  },
  {
    name: "a Bind",
    async pass(wire, bytes) {
      const text = encodeText("SELECT octet_length($1::text)");
      await wire.send(encodeParse({ statement: none, text, parameterTypes: [] }));
      // The message of a Bind with no value in it, around one that is as long as one likes.
      const whole = encodeBind({
        portal: none,
        statement: none,
        parameterFormats: [],
        parameters: [none],
        resultFormats: [],
      }).subarray(5);
      const at = whole.length - 6;
      const parts = [
        Buffer.concat([whole.subarray(0, at), int32(bytes)]),
        whole.subarray(at + 4),
      ] as const;
      await sendLarge(wire, frontendMessages.Bind, parts, "bind ", bytes);
      await wire.send(encodeExecute({ portal: none, maxRows: 0 }), encodeSync());
      await expectRow(wire, String(bytes));
    },
  },
  {
    name: "a client's CopyData",
    async pass(wire, bytes) {
      await wire.send(encodeQuery("COPY app.lines FROM STDIN WHERE false"));
      await wire.until(backendMessages.CopyInResponse);
      const line = `${"c".repeat(1023)}\n`;
      await sendLarge(wire, frontendMessages.CopyData, [none, none], line, bytes);
      await wire.send(copyMessage(frontendMessages.CopyDone));
      const { tags, error } = await wire.result();
      check(tags[0] === "COPY 0", error?.message ?? tags.join());
    },
  },
  {
    name: "a DataRow",
    async pass(wire, bytes) {
      const received = await drain(wire, `SELECT repeat('d', ${bytes})`);
      check(received > bytes && received < bytes + 200, `${received} bytes came`);
    },
  },
  {
    name: "a server's CopyData",
    async pass(wire, bytes) {
      const received = await drain(wire, `COPY (SELECT repeat('e', ${bytes})) TO STDOUT`);
      check(received > bytes && received < bytes + 200, `${received} bytes came`);
    },
  },
];

/** One message: its head, a filling of so many bytes, and its tail. */
async function sendLarge(
  wire: Wire,
  type: number,
  [head, tail]: readonly [Uint8Array, Uint8Array],
  filling: string,
  bytes: number,
): Promise<void> {
  const header = Buffer.alloc(5);
  header.writeUInt8(type);
  header.writeUInt32BE(4 + head.length + bytes + tail.length, 1);
  await wire.send(header, head);
  const piece = Buffer.alloc(1024 * 1024, filling);
  for (let left = bytes; left > 0; left -= piece.length) {
    await wire.stream.write(piece.subarray(0, left));
  }
  await wire.send(tail);
}

async function expectRow(wire: Wire, value: string): Promise<void> {
  const { rows, error } = await wire.result();
  check(rows[0]?.[0] === value, error?.message ?? JSON.stringify(rows).slice(0, 100));
}

function check(isRight: boolean, otherwise: string): void {
  if (!isRight) {
    throw new Error(otherwise);
  }
}
