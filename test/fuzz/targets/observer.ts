// The observer between a mutated client and a model of the server that answers late, and behind captures of servers that
// were mutated: what runs is on record before the model has it, and named as the model knows it.

import { ObservedSession } from "../../../packages/server/src/engines/postgres/observer/fixtures.ts";
import { excerpt } from "../corpus.ts";
import { Dice, digest } from "../dice.ts";
import { clientStream } from "../grammar.ts";
import { bytesOf, type Input, type Step, step } from "../input.ts";
import { cutAtRandom, mutateMessages, splitMessages } from "../mutate.ts";
import { ServerModel } from "../server-model.ts";
import { codeOfError, holds, same, type Target } from "../target.ts";
import { checkOutcomes, checkRecorded } from "./oracle.ts";

/** What the observer may throw. */
const refusals = ["postgres.protocol", "postgres.too_large", "limit.reached"];

export const observerTarget: Target = {
  name: "observer",
  about:
    "Every statement that a model of the server runs is in a record made before it was forwarded, and its outcome names it.",
  make(dice) {
    const made = dice.oneIn(6) ? excerpt(dice, "client") : clientStream(dice);
    const messages = dice.oneIn(3) ? made : mutateMessages(dice, made, clientStream(dice));
    return cutIntoTurns(dice, messages);
  },
  run(input) {
    const model = new ServerModel();
    const session = new ObservedSession();
    const due: Uint8Array[] = [];
    const dice = new Dice(digest(bytesOf(input, "client")));
    for (const { kind, bytes } of input) {
      if (kind === "client") {
        if (!forwards(session, bytes)) {
          return;
        }
        due.push(...model.take(bytes));
        checkRecorded(session.records, model, "prompt");
      }
      const arrived = kind === "replies" ? due.splice(0, bytes[0] ?? 0) : [];
      if (!answers(session, dice, arrived)) {
        return;
      }
    }
    if (answers(session, dice, due.splice(0))) {
      session.observer.end("unknown");
      checkOutcomes(session.records, model.ran);
    }
  },
};

/** Some messages of the client, then some of the answers that are due, and so on. */
export function cutIntoTurns(dice: Dice, messages: readonly Uint8Array[]): Input {
  const steps: Step[] = [];
  for (let at = 0; at < messages.length; ) {
    const count = dice.pick([1, 1, 2, 5, 20]);
    const bytes = Buffer.concat(messages.slice(at, at + count));
    steps.push(...cutAtRandom(dice, bytes).map((chunk) => step("client", chunk)));
    steps.push(step("replies", Uint8Array.of(dice.pick([0, 0, 1, 3, 255]))));
    at += count;
  }
  return steps;
}

/** Whether the observer lets the bytes pass. */
function forwards(session: ObservedSession, bytes: Uint8Array): boolean {
  try {
    session.client(bytes);
    return true;
  } catch (error) {
    holds(
      refusals.includes(codeOfError(error)),
      "The observer throws something else",
      String(error),
    );
    session.observer.end("terminated");
    return false;
  }
}

/** Whether the observer goes on behind an honest server's answers. It may give up for statements behind a COPY alone. */
function answers(session: ObservedSession, dice: Dice, replies: readonly Uint8Array[]): boolean {
  try {
    for (const chunk of cutAtRandom(dice, Buffer.concat(replies))) {
      session.server(chunk);
    }
    return true;
  } catch (error) {
    const isAboutCopy = codeOfError(error) === "postgres.protocol" && /COPY/.test(String(error));
    holds(isAboutCopy, "The observer does not understand an honest server", String(error));
    session.observer.end("unknown");
    return false;
  }
}

export const hostileServerTarget: Target = {
  name: "hostile-server",
  about:
    "Whatever a database answers, the observer understands it or ends with one of our errors, and every intent is settled.",
  make(dice) {
    const model = new ServerModel();
    const client = dice.oneIn(4) ? excerpt(dice, "client") : clientStream(dice);
    const answered = client.map((message) => [message, model.take(message)] as const);
    const others = excerpt(dice, "server");
    return answered.flatMap(([message, replies]) => {
      const changed = dice.oneIn(4) ? mutateMessages(dice, replies, others) : replies;
      return [step("client", message), ...changed.map((reply) => step("server", reply))];
    });
  },
  run(input) {
    const session = new ObservedSession();
    for (const { kind, bytes } of input) {
      try {
        for (const chunk of cutAtRandom(new Dice(digest(bytes)), bytes)) {
          kind === "client" ? session.client(chunk) : session.server(chunk);
        }
      } catch (error) {
        const code = codeOfError(error);
        holds(refusals.includes(code), "The observer throws something else", code);
        break;
      }
    }
    session.observer.end("unknown");
    const settled = new Set(session.of("statement.outcome").map(({ statement }) => statement));
    const open = session.of("statement.intent").filter((one) => !settled.has(one.statement));
    same(open.length, 0, "Statements have no outcome");
    const bytes = input.reduce((sum, one) => sum + one.bytes.length, 0);
    const recorded = JSON.stringify(session.records).length;
    const most = 4096 * (splitMessages(bytesOf(input, "client")).length + 1) + 20 * bytes;
    holds(recorded <= most + 600 * splitMessages(bytesOf(input, "server")).length, "Records grow");
  },
};
