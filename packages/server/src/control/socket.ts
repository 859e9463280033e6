// The control socket: how commands on the server's machine reach the server that has the store. A Unix socket in the data
// folder, which only its owner may enter; one JSON line each way.

import { once } from "node:events";
import { chmodSync, rmSync } from "node:fs";
import { connect, createServer, type Socket } from "node:net";
import { join, relative } from "node:path";
import { isErrorCode, JitdbError, toJitdbError } from "@jitdb/shared/errors";
import * as z from "zod";
import { type ControlCommand, controlCommand } from "./commands.ts";

const limits = { maxLineBytes: 1024 * 1024, timeoutMs: 10_000 } as const;

const reply = z.union([
  z.object({ error: z.object({ code: z.string(), message: z.string(), hint: z.string() }) }),
  z.object({ answer: z.unknown() }),
]);

/**
 * Listens in a data folder whose store this process holds.
 * @returns what closes it
 */
export async function serveControl(
  dataFolder: string,
  run: (command: ControlCommand) => Promise<unknown>,
): Promise<() => Promise<void>> {
  const path = socketPath(dataFolder);
  // Left there by a server that was killed; the store's lock says that none is alive.
  rmSync(path, { force: true });
  const server = createServer((socket) => void serve(socket, run));
  server.listen(path);
  await once(server, "listening");
  chmodSync(path, 0o600);
  return async () => {
    server.close();
    await once(server, "close");
  };
}

/**
 * Has the running server do it.
 * @returns the answer, in the form that belongs to the command; undefined where no server listens
 * @throws JitdbError what the server answered
 */
export async function callControl(dataFolder: string, command: ControlCommand): Promise<unknown> {
  const socket = connect(socketPath(dataFolder));
  try {
    await once(socket, "connect");
  } catch {
    // Not there, or left over from a server that was killed: nobody listens, whatever the reason.
    return undefined;
  }
  socket.write(`${JSON.stringify(command)}\n`);
  const answered = reply.parse(JSON.parse(await readLine(socket)));
  socket.destroy();
  if ("error" in answered) {
    const { code, message, hint } = answered.error;
    throw new JitdbError(isErrorCode(code) ? code : "internal", message, { hint });
  }
  return answered.answer;
}

/** SECURITY: the folder's mode (0700) keeps others out already while the socket has none yet. */
function socketPath(dataFolder: string): string {
  const absolute = join(dataFolder, "control.sock");
  // A socket's path has room for about a hundred bytes; from nearby the same place has a short name.
  const near = relative(process.cwd(), absolute);
  return near.length < absolute.length ? near : absolute;
}

async function serve(
  socket: Socket,
  run: (command: ControlCommand) => Promise<unknown>,
): Promise<void> {
  socket.on("error", () => socket.destroy());
  try {
    const command = controlCommand.parse(JSON.parse(await readLine(socket)));
    socket.end(`${JSON.stringify({ answer: await run(command) })}\n`);
  } catch (thrown) {
    const { code, message, hint } = toJitdbError(thrown);
    socket.end(`${JSON.stringify({ error: { code, message, hint } })}\n`);
  }
}

/** @throws JitdbError `server.unreachable` where no whole line comes in time */
async function readLine(socket: Socket): Promise<string> {
  socket.setTimeout(limits.timeoutMs, () => socket.destroy());
  let text = "";
  try {
    for await (const chunk of socket.setEncoding("utf8").iterator({ destroyOnReturn: false })) {
      text += chunk;
      if (text.includes("\n") || text.length > limits.maxLineBytes) {
        break;
      }
    }
  } catch (error) {
    throw silent(error);
  }
  const end = text.indexOf("\n");
  if (end < 0) {
    throw silent();
  }
  return text.slice(0, end);
}

function silent(cause?: unknown): JitdbError {
  return new JitdbError("server.unreachable", "The control socket gave no answer.", {
    cause,
    hint: "Try again; the server's log has the detail.",
  });
}
