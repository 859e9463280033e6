// A whole session of the gateway: a mutated client, a journal that may fail, and a model of the server behind a socket.

import type { Socket } from "node:net";
import { setImmediate as nextTurn } from "node:timers/promises";
import { JitdbError } from "@jitdb/shared/errors";
import { encodeStartupMessage, protocolVersions } from "@jitdb/shared/postgres/startup";
import type { Session } from "../../../packages/server/src/engines/engine.ts";
import { excerpt } from "../corpus.ts";
import { Chunks, FakeDatabase, honestLogin } from "../fake-database.ts";
import { clientStream } from "../grammar.ts";
import { bytesOf, step } from "../input.ts";
import { cutAtRandom, mutateMessages, splitMessages } from "../mutate.ts";
import { ServerModel } from "../server-model.ts";
import { Broken, holds, type Target } from "../target.ts";
import { FuzzedGateway, MemoryClient, MemoryJournal, never } from "./gateway-session.ts";
import { checkRecorded } from "./oracle.ts";

const deadlineMs = 15_000;

const startup = encodeStartupMessage({
  version: protocolVersions.v3_0,
  parameters: [{ name: "user", value: Buffer.from("me") }],
});

/** What may happen between two chunks of the client. */
const extras = [
  ...["turn", "turn", "turn", "answers", "answers", "notice"],
  ...["full", "server", "end", "drain"],
] as const;

let running: { database: FakeDatabase; gateway: FuzzedGateway } | undefined;

export const backTarget: Target = {
  name: "back",
  about:
    "No statement reaches a database without its record in the journal, also when that fails; exact bytes pass, and every session ends.",
  make(dice) {
    const made = dice.oneIn(6) ? excerpt(dice, "client") : clientStream(dice);
    const messages = dice.oneIn(3) ? made : mutateMessages(dice, made, clientStream(dice));
    const chunks = cutAtRandom(dice, Buffer.concat(messages)).slice(0, 60);
    const pace = dice.oneIn(4) ? [step("pieces")] : [];
    const steps = chunks.flatMap((chunk) => {
      const extra = dice.pick(extras);
      const bytes = extra === "server" ? Buffer.concat(excerpt(dice, "server").slice(0, 2)) : "";
      const isRare = ["full", "server", "end", "drain"].includes(extra);
      const isLeftOut = dice.oneIn(2) || (isRare && !dice.oneIn(6));
      return [step("client", chunk), ...(isLeftOut ? [] : [step(extra, bytes)])];
    });
    return [...pace, ...steps];
  },
  async run(input) {
    running ??= { database: await FakeDatabase.start(), gateway: new FuzzedGateway() };
    const { database, gateway } = running;
    const journal = new MemoryJournal();
    gateway.journal = journal;
    const deadline = never();
    gateway.deadline = deadline;
    const backend = new Backend(journal);
    database.onConnection = (socket) => backend.accept(socket);
    const client = new MemoryClient();
    const session = await gateway.open(database.config, startup, client, deadlineMs);
    session.start();
    const watched = { isClosed: false };
    const closed = session.closed.then((summary) => {
      watched.isClosed = true;
      return summary;
    });
    for (const one of input) {
      if (one.kind === "drain") {
        deadline.endsAt = 0;
        session.expire();
      }
      await play(one.kind, one.bytes, session, backend, journal);
      if (watched.isClosed) {
        break;
      }
    }
    await nextTurn();
    await backend.answered();
    session.clientClosed();
    const { reason } = await inTime(closed, "A session does not end");
    holds(reason?.includes("inside jitdb") !== true, "A session failed inside jitdb", reason);
    database.disconnect();
    backend.check(bytesOf(input, "client"), client.received);
  },
  async close() {
    await running?.database.close();
    running = undefined;
  },
};

async function play(
  kind: string,
  bytes: Uint8Array,
  session: Session,
  backend: Backend,
  journal: MemoryJournal,
): Promise<void> {
  switch (kind) {
    case "client":
      return session.receive(Uint8Array.from(bytes));
    case "answers":
      return await backend.answered();
    case "notice":
      return session.notify({ message: "The grant ends soon.", hint: "Ask again." });
    case "pieces":
      backend.sendsPieces = true;
      return;
    case "full":
      journal.isFull = true;
      return;
    case "server":
      return backend.inject(bytes);
    case "end":
      return session.end("revoked", new JitdbError("grant.revoked", "It was revoked."));
    default:
      await nextTurn();
  }
}

async function inTime<T>(promise: Promise<T>, promised: string): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Broken(promised)), deadlineMs);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** The database's side: a login, then the model. Further connections are cancel requests. */
class Backend {
  readonly #journal: MemoryJournal;
  readonly #model = new ServerModel();
  #socket: Socket | undefined;
  #isHonest = true;
  readonly #received: Uint8Array[] = [];
  readonly #sent: Uint8Array[] = [];
  #failure: unknown;
  /** Whether its messages come in two pieces, a turn apart. */
  sendsPieces = false;
  #pieces: Uint8Array[] = [];

  constructor(journal: MemoryJournal) {
    this.#journal = journal;
  }

  accept(socket: Socket): void {
    if (this.#socket !== undefined) {
      socket.end().resume();
      return;
    }
    this.#socket = socket;
    void this.#logIn(socket);
  }

  async #logIn(socket: Socket): Promise<void> {
    const chunks = new Chunks(socket);
    let last = await chunks.next(deadlineMs);
    const messages = honestLogin();
    for (const [index, { make }] of messages.entries()) {
      socket.write(make(last));
      last = messages[index + 1]?.waits === true ? await chunks.next(deadlineMs) : last;
    }
    socket.on("data", (chunk: Uint8Array) => this.#take(socket, chunk));
    socket.on("end", () => socket.end());
  }

  #take(socket: Socket, chunk: Uint8Array): void {
    this.#received.push(chunk);
    const replies = this.#model.take(chunk);
    try {
      // Who lies about what it confirmed may run anything.
      checkRecorded(this.#journal.kept, this.#model, this.#isHonest ? "late" : "lying");
    } catch (error) {
      this.#failure ??= error;
    }
    this.#write(socket, replies);
  }

  /** Says something that no honest server would. */
  inject(bytes: Uint8Array): void {
    this.#isHonest = false;
    if (this.#socket?.writable === true) {
      this.#write(this.#socket, [bytes]);
    }
  }

  #write(socket: Socket, messages: readonly Uint8Array[]): void {
    for (const message of messages) {
      this.#sent.push(message);
      if (this.sendsPieces) {
        const half = Math.floor(message.length / 2);
        this.#pieces.push(message.subarray(0, half), message.subarray(half));
      } else {
        socket.write(message);
      }
    }
    this.#writePieces(socket);
  }

  #writePieces(socket: Socket): void {
    const piece = this.#pieces.shift();
    if (piece !== undefined && socket.writable) {
      socket.write(piece);
      setImmediate(() => this.#writePieces(socket));
    } else if (this.#model.isOver) {
      socket.end();
    }
  }

  /** What was sent has most likely come to the model, and its answers to the gateway. */
  async answered(): Promise<void> {
    for (let turn = 0; turn < 6 || this.#pieces.length > 0; turn += 1) {
      if (turn > 200) {
        return;
      }
      await nextTurn();
    }
  }

  /** A Terminate of the gateway's own may stand behind whole messages of the client. */
  #hasGoodbye(received: Buffer, clientBytes: Uint8Array): boolean {
    const own = received.subarray(0, Math.max(0, received.length - terminate.length));
    const isClients = own.equals(clientBytes.subarray(0, own.length));
    return isClients && received.subarray(own.length).equals(terminate);
  }

  check(clientBytes: Uint8Array, toClient: readonly Uint8Array[]): void {
    if (this.#failure !== undefined) {
      throw this.#failure;
    }
    const received = Buffer.concat(this.#received);
    const isExact = received.equals(clientBytes.subarray(0, received.length));
    holds(
      isExact || this.#hasGoodbye(received, clientBytes),
      "Other bytes were forwarded",
      received,
    );
    if (this.#isHonest) {
      checkPassed(Buffer.concat(toClient), Buffer.concat(this.#sent));
    }
  }
}

const terminate = Buffer.from("X\0\0\0\x04", "latin1");

/** The client sees the greeting, then the server's exact bytes, with whole messages of ours between its messages alone. */
function checkPassed(toClient: Uint8Array, sent: Uint8Array): void {
  const messages = splitMessages(toClient);
  const greetingEnd = messages.findIndex((message) => message[0] === 0x5a) + 1;
  const passed = messages.slice(greetingEnd).filter((message) => !isOurs(message));
  const bytes = Buffer.concat(passed);
  holds(
    bytes.equals(sent.subarray(0, bytes.length)),
    "The server's bytes were changed",
    bytes,
    sent,
  );
}

/** Warnings and fatal errors: the model sends no such warnings, and its fatal errors say "no". */
function isOurs(message: Uint8Array): boolean {
  const text = Buffer.from(message).toString("latin1");
  return /^N.*VWARNING\0/s.test(text) || (/^E.*VFATAL\0/s.test(text) && !text.includes("\0Mno\0"));
}
