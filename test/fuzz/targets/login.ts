// The login to a database that may be anybody: an honest server's messages, changed, left out, repeated and mixed.

import { setImmediate as nextTurn } from "node:timers/promises";
import { encodeStartupMessage, protocolVersions } from "@jitdb/shared/postgres/startup";
import { excerpt } from "../corpus.ts";
import { Dice, digest } from "../dice.ts";
import { Chunks, FakeDatabase, honestLogin, password } from "../fake-database.ts";
import { type Input, step } from "../input.ts";
import { mutateBytes, mutateMessages } from "../mutate.ts";
import { codeOfError, holds, type Target } from "../target.ts";
import { FuzzedGateway, MemoryClient } from "./gateway-session.ts";

/** Beyond it the fake server thinks that the gateway waits for more. */
const answerMs = 15;
const loginMs = 15_000;

/** The message of an honest login that proves that the server knows the password. */
const proof = 2;
/** Type, length and code of an authentication request. */
const requestHeaderBytes = 9;

const startup = encodeStartupMessage({
  version: protocolVersions.v3_0,
  parameters: [{ name: "user", value: Buffer.from("me") }],
});

let running: { database: FakeDatabase; gateway: FuzzedGateway } | undefined;

export const loginTarget: Target = {
  name: "login",
  about:
    "A server that did not prove that it knows the password is never believed nor told it, and every login ends, in a session or one of our errors.",
  make(dice) {
    const all = honestLogin().map((_, index) => step("honest", Uint8Array.of(index)));
    const start = dice.oneIn(10) ? dice.below(all.length) : 0;
    return all.slice(start).flatMap((honest) => {
      if (!dice.oneIn(4)) {
        return [honest];
      }
      const noise = mutateMessages(
        dice,
        excerpt(dice, "server").slice(0, 3),
        excerpt(dice, "server"),
      );
      return dice.pick([
        [step("mutated", Uint8Array.of(honest.bytes[0] ?? 0, ...dice.bytes(4)))],
        [step("mutated", Uint8Array.of(dice.below(all.length), ...dice.bytes(4)))],
        [step("server", Buffer.concat(noise)), honest],
        [honest, honest],
        [],
      ]);
    });
  },
  async run(input) {
    running ??= { database: await FakeDatabase.start(), gateway: new FuzzedGateway() };
    const { database, gateway } = running;
    const told = { isProved: false, bytes: [] as Uint8Array[] };
    const served = new Promise<void>((resolve) => {
      let isFirst = true;
      database.onConnection = (socket) => {
        if (!isFirst) {
          socket.destroy();
          return;
        }
        isFirst = false;
        const chunks = new Chunks(socket);
        void serve(input, chunks, (bytes) => socket.write(bytes), told).then(() => {
          told.bytes.push(...chunks.all);
          socket.destroySoon();
          resolve();
        });
      };
    });
    const client = new MemoryClient();
    const code = await gateway.open(database.config, startup, client, loginMs).then(
      async (session) => {
        session.abandon("tunnel_lost");
        await session.closed;
        return undefined;
      },
      (error: unknown) => codeOfError(error),
    );
    database.disconnect();
    await served;
    holds(code !== undefined || told.isProved, "A server was believed that proved nothing");
    const sent = Buffer.concat(told.bytes);
    holds(!sent.includes(password), "The password went out", sent);
  },
  async close() {
    await running?.database.close();
    running = undefined;
  },
};

/** Plays the server; notes whether an honest proof went out. */
async function serve(
  input: Input,
  chunks: Chunks,
  write: (bytes: Uint8Array) => void,
  told: { isProved: boolean },
): Promise<void> {
  const honest = honestLogin();
  let last: Uint8Array = await chunks.next(answerMs);
  for (const { kind, bytes } of input) {
    const index = bytes[0] ?? 0;
    const message = kind === "server" ? bytes : makeHonest(honest[index], last);
    const sent =
      kind === "mutated" ? mutateBytes(new Dice(digest(bytes)), message, bytes) : message;
    const signature = Buffer.from(message.subarray(requestHeaderBytes));
    told.isProved ||=
      kind !== "server" &&
      index === proof &&
      signature.length > 0 &&
      Buffer.from(sent).includes(signature);
    write(sent);
    const answer = await answerTo(honest[index + 1], chunks);
    last = answer.length > 0 ? answer : last;
  }
}

/** What the gateway says before the next message, if it has to. */
async function answerTo(next: { readonly waits: boolean } | undefined, chunks: Chunks) {
  await nextTurn();
  return next?.waits === true ? await chunks.next(answerMs) : new Uint8Array(0);
}

/** Nothing where the client's last message is none that can be answered. */
function makeHonest(
  honest: ReturnType<typeof honestLogin>[number] | undefined,
  last: Uint8Array,
): Uint8Array {
  try {
    return honest?.make(last) ?? new Uint8Array(0);
  } catch {
    return new Uint8Array(0);
  }
}
