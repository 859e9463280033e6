// Every way in which the agent itself refuses or ends a database client: in PostgreSQL's words, with what to do next. What the
// gateway refuses: test/gateway/refusals.test.ts. What becomes of clients while it is away: away.test.ts.

import { once } from "node:events";
import { connect, createServer, type Server, type Socket } from "node:net";
import { JitdbError } from "@jitdb/shared/errors";
import { type ErrorFields, parseErrorResponse } from "@jitdb/shared/postgres/backend";
import { MessageCollector } from "@jitdb/shared/postgres/decoder";
import { encodeReadyForQuery } from "@jitdb/shared/postgres/encoder";
import { backendMessages } from "@jitdb/shared/postgres/messages";
import { encodeStartupMessage, protocolVersions } from "@jitdb/shared/postgres/startup";
import { encodeText } from "@jitdb/shared/postgres/writer";
import { Secret } from "@jitdb/shared/secret";
import { afterEach, describe, expect, it } from "vitest";
import type { Door } from "../../packages/cli/src/agent/engine.ts";
import {
  type FrontLimits,
  frontLimits,
  PostgresFront,
} from "../../packages/cli/src/agent/postgres/front.ts";
import type { AgentStream, StreamReceiver } from "../../packages/cli/src/agent/stream.ts";
import { psql } from "./agent-fixture.ts";

const stream: AgentStream = {
  write: () => true,
  consumed: () => undefined,
  close: () => undefined,
  reset: () => undefined,
};

let front: PostgresFront | undefined;
let listener: Server | undefined;
const sockets: Socket[] = [];

afterEach(async () => {
  for (const socket of sockets.splice(0)) {
    socket.destroy();
  }
  listener?.close();
  await front?.close(new JitdbError("local.interrupted", "The test is over."));
});

function letIn(receiver: StreamReceiver): void {
  receiver.opened();
  receiver.data(encodeReadyForQuery("idle"));
}

/** A front whose server does `serve` with each stream, or lets all in. */
async function open(
  door: Door,
  limits: Partial<FrontLimits> = {},
  serve: (receiver: StreamReceiver) => void = letIn,
): Promise<number> {
  const made = await PostgresFront.create(
    {
      openStream: async (_kind, _startup, receiver) => {
        setImmediate(() => serve(receiver));
        return stream;
      },
      password: new Secret("local-password"),
    },
    { ...frontLimits, ...limits },
  );
  front = made;
  const server = createServer({ allowHalfOpen: true }, (socket) => made.accept(socket, door));
  listener = server;
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  return typeof address === "object" ? (address?.port ?? 0) : 0;
}

function startUp(version: number = protocolVersions.v3_0): Uint8Array {
  return encodeStartupMessage({
    version,
    parameters: [{ name: "user", value: encodeText("alice") }],
  });
}

/** A client that has sent its first bytes. */
async function client(port: number, bytes: Uint8Array = startUp()): Promise<Socket> {
  const socket = connect(port, "127.0.0.1");
  socket.on("error", () => undefined);
  sockets.push(socket);
  await once(socket, "connect");
  socket.write(bytes);
  return socket;
}

/** The error that a client reads last, before its socket ends. */
async function lastError(socket: Socket): Promise<ErrorFields | undefined> {
  const messages = new MessageCollector("backend", 8192);
  let error: ErrorFields | undefined;
  for await (const chunk of socket) {
    messages.push(chunk);
    for (let message = messages.next(); message; message = messages.next()) {
      if (message.type === backendMessages.ErrorResponse) {
        error = parseErrorResponse(message.body.slice());
      }
    }
  }
  return error;
}

describe("a client is told", () => {
  it("when too many connect at the same moment", async () => {
    const port = await open("tcp", { maxStarting: 1 });
    await client(port, new Uint8Array(0));
    expect(await lastError(await client(port, new Uint8Array(0)))).toMatchObject({
      severity: "FATAL",
      code: "53300",
      message: "Too many clients are connecting at this moment.",
      hint: "Try again in a moment.",
    });
  });

  it("when too many are served already", async () => {
    const port = await open("socket", { maxClients: 1 });
    await once(await client(port), "data");
    expect(await lastError(await client(port))).toMatchObject({
      code: "53300",
      message: "1 clients are connected already.",
      hint: "Close what you no longer use, then try again.",
    });
  });

  it("when its password is wrong", async () => {
    const port = await open("tcp");
    const { stderr } = await psql(`host=127.0.0.1 port=${port} user=alice`, "select 1", {
      PGPASSWORD: "guessed",
    });
    expect(stderr).toContain(
      "FATAL:  The password for the local listener is wrong.\nHINT:  Use the password that `jitdb connect` shows for this database.",
    );
  });

  it("when its protocol is another", async () => {
    const port = await open("socket");
    expect(await lastError(await client(port, startUp(0x00040000)))).toMatchObject({
      severity: "FATAL",
      hint: expect.stringMatching(/./),
    });
  });

  it("what the gateway says, with its SQLSTATE and hint", async () => {
    const error = new JitdbError("grant.unknown", "You have no grant.", { hint: "Look." });
    const port = await open("socket", {}, (receiver) => receiver.ended(error));
    expect(await lastError(await client(port))).toMatchObject({
      severity: "FATAL",
      code: "42501",
      message: "You have no grant.",
      hint: "Look.",
    });
  });

  it("when the agent ends", async () => {
    const port = await open("socket");
    const socket = await client(port);
    await once(socket, "data");
    const error = new JitdbError("local.interrupted", "The local jitdb process has ended.", {
      hint: "Start it again with `jitdb connect`.",
    });
    const closed = front?.close(error);
    expect(await lastError(socket)).toMatchObject({
      severity: "FATAL",
      code: "57P01",
      message: "The local jitdb process has ended.",
      hint: "Start it again with `jitdb connect`.",
    });
    socket.end();
    await closed;
  });
});
