// The agent's listener without a network: local programs that may be anything, on either door, and a gateway that answers.

import { Socket } from "node:net";
import { setImmediate as nextTurn } from "node:timers/promises";
import { JitdbError } from "@jitdb/shared/errors";
import { encodeSaslInitialResponse, encodeSaslResponse } from "@jitdb/shared/postgres/encoder";
import { ScramClient } from "@jitdb/shared/postgres/scram/client";
import { deriveKeys, type ScramKeys } from "@jitdb/shared/postgres/scram/verifier";
import { Secret } from "@jitdb/shared/secret";
import { frontLimits, PostgresFront } from "../../../packages/cli/src/agent/postgres/front.ts";
import { scramCrypto } from "../../../packages/cli/src/agent/postgres/scram-crypto.ts";
import type { OpenStream, StreamReceiver } from "../../../packages/cli/src/agent/stream.ts";
import { captures, excerpt } from "../corpus.ts";
import type { Dice } from "../dice.ts";
import { bytesOf, type Step, step } from "../input.ts";
import { cutAtRandom, mutateBytes, mutateMessages, splitMessages } from "../mutate.ts";
import { holds, type Target } from "../target.ts";
import { startUpPacket } from "./parsers.ts";

const password = "the-local-password";
/** A client that says nothing is gone after this. */
const startUpTimeoutMs = 40;
const closeMs = 15_000;

/** What no PostgreSQL client says. */
const strangers = [
  "GET / HTTP/1.1\r\nHost: localhost:5432\r\n\r\n",
  "POST / HTTP/1.1\r\nContent-Length: 100000\r\n\r\n",
  "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
  "SSH-2.0-OpenSSH_9.2\r\n",
  "\x10\x2f\x00\x04MQTT",
];

let front: Promise<PostgresFront> | undefined;
let openStream: OpenStream = () => Promise.reject(new JitdbError("tunnel.lost", "No case runs."));

export const frontTarget: Target = {
  name: "front",
  about:
    "Nothing of a local program goes upstream before it has proved the password, exact bytes pass both ways behind it, and every socket closes.",
  make(dice) {
    const opening = dice.oneIn(3) ? captured(dice) : startUpPacket(dice);
    const first = dice.oneIn(10) ? Buffer.from(dice.pick(strangers), "latin1") : opening;
    const client = mutateMessages(dice, excerpt(dice, "client"), excerpt(dice, "client"));
    const server = mutateMessages(dice, excerpt(dice, "server"), excerpt(dice, "server"));
    const said = cutAtRandom(dice, Buffer.concat(client)).slice(0, 20);
    const answered = cutAtRandom(dice, Buffer.concat(server)).slice(0, 20);
    return [
      step(dice.pick(["tcp", "tcp", "socket"])),
      ...cutAtRandom(dice, first)
        .slice(0, 40)
        .map((chunk) => step("client", chunk)),
      ...(dice.oneIn(3) ? [] : [step("login")]),
      ...(dice.oneIn(4) ? [] : [step("opened")]),
      ...mixed(
        dice,
        said.map((chunk) => step("client", chunk)),
        answered,
      ),
      ...(dice.oneIn(60) ? [step("silent")] : []),
    ];
  },
  async run(input) {
    front ??= PostgresFront.create(
      {
        openStream: (kind, startup, receiver) => openStream(kind, startup, receiver),
        password: new Secret(password),
      },
      { ...frontLimits, startUpTimeoutMs },
    );
    const listener = await front;
    const door = input[0]?.kind === "socket" ? "socket" : "tcp";
    const upstream = new Upstream();
    openStream = upstream.open;
    const socket = new FakeSocket();
    listener.accept(socket, door);
    let isIn = door === "socket";
    for (const { kind, bytes } of input) {
      if (kind === "login") {
        isIn = (await logIn(socket)) || isIn;
      } else {
        play(kind, bytes, socket, upstream);
      }
      await nextTurn();
      holds(isIn || upstream.opened === 0, "Something went upstream before the login");
    }
    // A client that was let in may be silent for as long as it likes.
    if (upstream.isAccepted || !input.some(({ kind }) => kind === "silent")) {
      socket.say(null);
    }
    upstream.letGo();
    const isClosed = await socket.closedWithin(closeMs);
    holds(isClosed, "A client's socket does not close");
    upstream.check(Buffer.concat(socket.said), socket, bytesOf(input, "server"));
  },
};

function captured(dice: Dice): Uint8Array {
  const { startup } = dice.pick(captures);
  return dice.oneIn(3) ? mutateBytes(dice, startup, dice.pick(captures).startup) : startup;
}

/** Both directions at once, and sometimes an end in between. */
function mixed(dice: Dice, said: Step[], answered: Uint8Array[]): Step[] {
  const steps: Step[] = [];
  const answers = answered.map((chunk) => step("server", chunk));
  while (said.length + answers.length > 0) {
    const next = dice.oneIn(2) ? said.shift() : answers.shift();
    steps.push(...(next === undefined ? [] : [next]));
    if (dice.oneIn(40)) {
      steps.push(step(dice.pick(["peerClosed", "refused", "drained"])));
    }
  }
  return steps;
}

function play(kind: string, bytes: Uint8Array, socket: FakeSocket, upstream: Upstream): void {
  const { receiver, isAccepted } = upstream;
  const actions: Readonly<Record<string, () => void>> = {
    client: () => socket.say(bytes),
    opened: () => upstream.accept(socket),
    server: () => isAccepted && receiver?.data(Uint8Array.from(bytes)),
    drained: () => isAccepted && receiver?.writable(),
    peerClosed: () => receiver?.peerClosed(),
    refused: () => receiver?.ended(new JitdbError("grant.expired", "It is over.")),
  };
  actions[kind]?.();
}

const keysBySalt = new Map<string, Promise<ScramKeys>>();

/** An honest login behind whatever the client has said; whether the front has let it in. */
async function logIn(socket: FakeSocket): Promise<boolean> {
  const request = await socket.answer(10);
  if (request === undefined) {
    return false;
  }
  const scram = new ScramClient(scramCrypto, { mechanisms: ["SCRAM-SHA-256"] });
  const { mechanism } = scram;
  socket.say(encodeSaslInitialResponse({ mechanism, data: scram.first() }));
  const first = await socket.answer(11);
  if (first === undefined) {
    return false;
  }
  const { salt, iterations } = scram.challenge(first);
  const key = Buffer.from(salt).toString("hex");
  const keys = keysBySalt.get(key) ?? deriveKeys(scramCrypto, password, salt, iterations);
  keysBySalt.set(key, keys);
  socket.say(encodeSaslResponse(scram.respond(await keys)));
  return (await socket.answer(12)) !== undefined;
}

/** A client's socket without a network: what the front writes is kept. */
class FakeSocket extends Socket {
  readonly said: Uint8Array[] = [];
  readonly written: Uint8Array[] = [];

  constructor() {
    super({ allowHalfOpen: true });
  }

  override _read(): void {
    // `say` pushes.
  }

  override _write(chunk: Uint8Array | string, _: BufferEncoding, done: () => void): void {
    this.written.push(Buffer.from(chunk as string, "latin1"));
    done();
  }

  override _writev(chunks: readonly { chunk: Uint8Array | string }[], done: () => void): void {
    this.written.push(...chunks.map(({ chunk }) => Buffer.from(chunk as string, "latin1")));
    done();
  }

  say(bytes: Uint8Array | null): void {
    if (!this.destroyed && !this.readableEnded) {
      this.said.push(bytes ?? new Uint8Array(0));
      this.push(bytes === null ? null : Buffer.from(bytes));
    }
  }

  /** The data of an authentication request of this code, when it comes within some turns. */
  async answer(code: number): Promise<Uint8Array | undefined> {
    for (let turn = 0; turn < 5; turn += 1) {
      const messages = splitMessages(Buffer.concat(this.written.map((one) => withoutN(one))));
      const found = messages.find((one) => one[0] === 0x52 && one[8] === code);
      if (found !== undefined) {
        return found.subarray(9);
      }
      await nextTurn();
    }
    return undefined;
  }

  async closedWithin(ms: number): Promise<boolean> {
    // What is not read keeps the end from being seen, as with a real one.
    if (!this.destroyed) {
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, ms);
        this.once("close", () => {
          clearTimeout(timer);
          resolve();
        });
      });
    }
    return this.destroyed;
  }
}

/** Answers to encryption requests are single letters. */
function withoutN(written: Uint8Array): Uint8Array {
  return written.length === 1 && written[0] === 0x4e ? written.subarray(1) : written;
}

/** The tunnel's side of a case. */
class Upstream {
  opened = 0;
  isAccepted = false;
  receiver: StreamReceiver | undefined;
  #startup: Uint8Array = new Uint8Array(0);
  readonly #bytes: Uint8Array[] = [];
  #isOver = false;
  /** Bytes that the client was sent before the gateway let it in. */
  #before = 0;

  readonly open: OpenStream = async (kind, startup, receiver) => {
    this.opened += 1;
    holds(kind === "session", "A cancel request of nobody went upstream");
    this.#startup = Uint8Array.from(startup);
    this.receiver = receiver;
    return {
      write: (bytes) => {
        this.#bytes.push(Uint8Array.from(bytes));
        return true;
      },
      consumed: () => undefined,
      close: () => this.#end(),
      reset: () => {
        this.#isOver = true;
      },
    };
  };

  accept({ written }: FakeSocket): void {
    if (this.receiver !== undefined && !this.isAccepted && !this.#isOver) {
      this.isAccepted = true;
      this.#before = Buffer.concat(written).length;
      this.receiver.opened();
    }
  }

  /** The gateway refuses what it has not let in, when the case is over. */
  letGo(): void {
    if (!this.isAccepted) {
      this.receiver?.ended(new JitdbError("grant.expired", "It is over."));
    }
  }

  #end(): void {
    if (!this.#isOver) {
      this.#isOver = true;
      setImmediate(() => this.receiver?.ended(undefined));
    }
  }

  check(said: Buffer, socket: FakeSocket, server: Uint8Array): void {
    if (this.opened === 0) {
      return;
    }
    const bytes = Buffer.concat(this.#bytes);
    holds(isIn(said, this.#startup), "Another start-up went upstream", this.#startup);
    holds(isIn(said, bytes), "Other bytes went upstream", bytes);
    if (this.isAccepted) {
      checkAnswers(Buffer.concat(socket.written).subarray(this.#before), server);
    }
  }
}

function isIn(said: Buffer, bytes: Uint8Array): boolean {
  return said.includes(Buffer.from(bytes));
}

/** The client sees the beginning of the server's exact bytes, and then at most one error of ours, between messages. */
function checkAnswers(written: Buffer, server: Uint8Array): void {
  for (let length = Math.min(server.length, written.length); length >= 0; length -= 1) {
    const start = server.subarray(0, length);
    const rest = written.subarray(length);
    const isError = rest[0] === 0x45 && splitMessages(rest).length === 1;
    const isBetween = rest.length === 0 || (isError && splitMessages(start).every(isWholeMessage));
    if (isBetween && written.subarray(0, length).equals(start)) {
      return;
    }
  }
  holds(false, "The server's bytes were changed", written.subarray(-200));
}

function isWholeMessage(message: Uint8Array): boolean {
  return message.length >= 5 && Buffer.from(message).readInt32BE(1) + 1 === message.length;
}
