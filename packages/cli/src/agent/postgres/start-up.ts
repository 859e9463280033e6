// What a client says before it is served: encryption requests, its start-up or cancel packet, the proof of the local
// password. Nothing of this reaches the gateway.

import type { Socket } from "node:net";
import { JitdbError } from "@jitdb/shared/errors";
import { MessageCollector } from "@jitdb/shared/postgres/decoder";
import {
  encodeAuthenticationSasl,
  encodeAuthenticationSaslContinue,
  encodeAuthenticationSaslFinal,
} from "@jitdb/shared/postgres/encoder";
import { parseSaslInitialResponse } from "@jitdb/shared/postgres/frontend";
import { frontendMessages } from "@jitdb/shared/postgres/messages";
import { ScramServer } from "@jitdb/shared/postgres/scram/server";
import type { ScramVerifier } from "@jitdb/shared/postgres/scram/verifier";
import {
  type CancelRequest,
  StartupDecoder,
  type StartupMessage,
} from "@jitdb/shared/postgres/startup";
import { scramCrypto } from "./scram-crypto.ts";

const mechanism = "SCRAM-SHA-256";

/** Largest message of the password exchange; SCRAM's own limit is smaller. */
const maxPasswordMessageLength = 8192;

/** A client's first packet, and what came behind it in the same chunk. */
export interface Opening {
  readonly packet: StartupMessage | CancelRequest;
  readonly rest: Uint8Array;
}

/**
 * Reads up to the packet that says what the client wants, and refuses encryption on the way: a loopback and a private
 * socket need none.
 * @throws JitdbError `postgres.protocol` for what is no PostgreSQL client, `postgres.version` for an old or a future one
 */
export async function readOpening(socket: Socket): Promise<Opening> {
  const decoder = new StartupDecoder();
  for (;;) {
    const packet = decoder.push(await readChunk(socket));
    if (packet?.kind === "startup" || packet?.kind === "cancel") {
      return { packet, rest: decoder.rest };
    }
    if (packet !== undefined) {
      socket.write("N");
    }
  }
}

/**
 * Lets the client prove the password by SCRAM-SHA-256.
 * @param rest bytes that were read with the start-up packet
 * @returns bytes that were read with the last answer
 * @throws JitdbError `local.password`, `postgres.auth`, `postgres.protocol`, `postgres.too_large`
 */
export async function checkPassword(
  socket: Socket,
  verifier: ScramVerifier,
  rest: Uint8Array,
): Promise<Uint8Array> {
  const messages = new MessageCollector("frontend", maxPasswordMessageLength);
  messages.push(rest);
  const scram = new ScramServer(scramCrypto, verifier);

  socket.write(encodeAuthenticationSasl([mechanism]));
  const initial = parseSaslInitialResponse(await readAnswer(socket, messages));
  if (initial.mechanism !== mechanism || initial.data === null) {
    throw new JitdbError("postgres.auth", `Only ${mechanism} is offered here.`);
  }
  socket.write(encodeAuthenticationSaslContinue(scram.first(initial.data)));
  const final = scram.final(await readAnswer(socket, messages));
  socket.write(encodeAuthenticationSaslFinal(final));
  return messages.takeRest();
}

async function readAnswer(socket: Socket, messages: MessageCollector): Promise<Uint8Array> {
  for (;;) {
    const message = messages.next();
    if (message === undefined) {
      messages.push(await readChunk(socket));
    } else if (message.type === frontendMessages.SASLResponse) {
      return message.body;
    } else {
      throw new JitdbError("postgres.protocol", "A client sent something else than its password.");
    }
  }
}

/** The next bytes of a socket that nobody has set flowing. */
async function readChunk(socket: Socket): Promise<Uint8Array> {
  for (;;) {
    const chunk: Uint8Array | null = socket.read();
    if (chunk !== null) {
      return chunk;
    }
    if (socket.readableEnded || socket.destroyed) {
      throw new JitdbError("postgres.protocol", "The client left before it was served.");
    }
    await readableOrOver(socket);
  }
}

/** By plain listeners: an abort signal and three promises for each chunk took a tenth of what a connection costs here. */
function readableOrOver(socket: Socket): Promise<void> {
  return new Promise((resolve) => {
    const events = ["readable", "end", "close"];
    const settle = () => {
      for (const event of events) {
        socket.off(event, settle);
      }
      resolve();
    };
    for (const event of events) {
      socket.on(event, settle);
    }
  });
}
