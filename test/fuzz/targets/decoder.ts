// Framing of both directions: MessageWalker and MessageCollector over mutated captures, in whatever pieces they come.

import { type Message, MessageCollector, MessageWalker } from "@jitdb/shared/postgres/decoder";
import { headerBytes, type Sender } from "@jitdb/shared/postgres/messages";
import { excerpt } from "../corpus.ts";
import { Dice, digest } from "../dice.ts";
import { clientStream } from "../grammar.ts";
import { cutAtRandom, mutateBytes, mutateMessages } from "../mutate.ts";
import { codeOf, holds, same, stepsOf, type Target } from "../target.ts";
import { allocatedBy } from "./allocations.ts";

/** Largest message that the collector keeps here. */
const cap = 4096;

export const decoderTarget: Target = {
  name: "decoder",
  about:
    "Any split of any bytes gives the same messages or the same error, forwards the exact bytes, and allocates no more than came.",
  make(dice) {
    const side = dice.pick(["client", "server"] as const);
    const messages = side === "client" && dice.oneIn(2) ? clientStream(dice) : excerpt(dice, side);
    const other = dice.pick(["client", "server"] as const);
    const changed = mutateMessages(dice, messages, excerpt(dice, other));
    const bytes = Buffer.concat(changed);
    const last = dice.oneIn(4) ? mutateBytes(dice, bytes, dice.bytes(20)) : bytes;
    return stepsOf(side, [last]);
  },
  run(input) {
    for (const { kind, bytes } of input) {
      checkSide(kind === "server" ? "backend" : "frontend", bytes);
    }
  },
};

function checkSide(sender: Sender, bytes: Uint8Array): void {
  const dice = new Dice(digest(bytes));
  const whole = walk(sender, [bytes]);
  const pieces = cutAtRandom(dice, bytes);
  same(walk(sender, pieces), whole, "Another split gives other messages");

  const collected = collect(sender, [bytes]);
  same(collect(sender, pieces), collected, "Another split collects other messages");
  const expected = whole.messages
    .slice(0, collected.messages.length)
    .map(({ type, length }) => ({ type, length }));
  const found = collected.messages.map(({ type, body }) => ({ type, length: body.length + 4 }));
  same(found, expected, "Collector and walker disagree");

  const allocated = allocatedBy(() => collect(sender, pieces));
  const most = bytes.length + cap + headerBytes * (pieces.length + 2);
  holds(allocated <= most, "More was allocated than came", allocated, most);
}

interface Walked {
  readonly messages: { readonly type: number; readonly length: number; missing: number }[];
  readonly code: string | undefined;
  readonly isAtEnd: boolean;
}

/** Walks, and checks that what is forwarded is the stream as far as it was taken. */
function walk(sender: Sender, chunks: readonly Uint8Array[]): Walked {
  const walker = new MessageWalker(sender);
  const messages: Walked["messages"] = [];
  const forwarded: Uint8Array[] = [];
  const take = (chunk: Uint8Array) => {
    walker.push(chunk);
    for (let part = walker.next(); part; part = walker.next()) {
      holds(part.end > part.start, "A segment is empty");
      holds(walker.isBetweenMessages === part.last, "A message is both whole and not");
      forwarded.push(part.carried.slice(), chunk.subarray(part.start, part.end));
      const { type, length, remaining } = part;
      if (part.first) {
        messages.push({ type, length, missing: remaining });
      } else {
        messages[messages.length - 1] = { type, length, missing: remaining };
      }
    }
  };
  const code = codeOf(() => chunks.forEach(take));
  holds(
    code === undefined || code === "postgres.protocol",
    "The walker throws something else",
    code,
  );
  const passed = Buffer.concat(forwarded);
  const stream = Buffer.concat(chunks);
  holds(stream.subarray(0, passed.length).equals(passed), "Forwarded bytes differ", passed, stream);
  const isAtEnd = code === undefined && walker.isAtEnd;
  holds(!isAtEnd || passed.length === stream.length, "The end is not the end", passed, stream);
  return { messages, code, isAtEnd };
}

function collect(sender: Sender, chunks: readonly Uint8Array[]) {
  const collector = new MessageCollector(sender, cap);
  const messages: Message[] = [];
  const code = codeOf(() => {
    for (const chunk of chunks) {
      collector.push(chunk);
      for (let message = collector.next(); message; message = collector.next()) {
        messages.push({ type: message.type, body: Buffer.from(message.body) });
      }
    }
  });
  const codes = [undefined, "postgres.protocol", "postgres.too_large"];
  holds(codes.includes(code), "The collector throws something else", code);
  return { messages, code, isAtEnd: code === undefined && collector.isAtEnd };
}
