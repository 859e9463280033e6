// Answers on sockets that no framework has: refused upgrades, and bytes that are no HTTP.

import { STATUS_CODES } from "node:http";
import type { Duplex } from "node:stream";
import type { JitdbError } from "@jitdb/shared/errors";
import { challengeFor } from "../identity/authenticator.ts";
import { errorBody } from "./errors.ts";

/** Answers with plain HTTP, in the API's form, and closes. */
export function refuse(socket: Duplex, error: JitdbError, requestId: string): void {
  const body = JSON.stringify(errorBody(error, requestId));
  const challenge = challengeFor(error.code);
  const head = [
    `HTTP/1.1 ${error.forms.http} ${STATUS_CODES[error.forms.http] ?? "Error"}`,
    "Connection: close",
    "Content-Type: application/json; charset=utf-8",
    `Content-Length: ${Buffer.byteLength(body)}`,
    ...(challenge === undefined ? [] : [`WWW-Authenticate: ${challenge}`]),
  ];
  socket.once("finish", () => socket.destroy());
  socket.end(`${head.join("\r\n")}\r\n\r\n${body}`);
}
