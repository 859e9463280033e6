// Opens WebSockets to the server: events and tunnel. Same connector as HTTP, so same proxy, NO_PROXY and authorities.

import type { IncomingMessage } from "node:http";
import type { Clock } from "@jitdb/shared/ids";
import { WebSocket } from "ws";
import { toApiError } from "../api-error.ts";
import type { Tokens } from "../login/tokens.ts";
import { toConnectionError } from "./failure.ts";
import { type Network, networkLimits } from "./network.ts";

export interface WebSocketOptions {
  /** Largest message that is taken from the server; default 1 MiB. */
  readonly maxPayloadBytes?: number;
}

/**
 * Opens a WebSocket to a path of the server, authorised by token and proof, and resolves when it is open.
 * Never compressed. Messages that arrive before the caller listens are not lost: the socket starts paused.
 * Call `resume()` on it once the listeners stand.
 * @throws JitdbError what the server answered (`login.*`, …), or `server.unreachable`, `server.certificate`, `server.unsuitable`.
 */
export type OpenWebSocket = (
  path: string,
  subprotocol: string,
  options?: WebSocketOptions,
) => Promise<WebSocket>;

export interface WebSocketPorts {
  readonly server: string;
  readonly network: Network;
  readonly tokens: Pick<Tokens, "authorize">;
  readonly clock: Clock;
}

/** `OpenWebSocket` with its dependencies. */
export async function openWebSocket(
  ports: WebSocketPorts,
  path: string,
  subprotocol: string,
  options: WebSocketOptions = {},
): Promise<WebSocket> {
  const url = new URL(`${ports.server}${path}`);
  // The handshake is a GET of the https address, and that is what the proof names (RFC 9449 §4.2).
  const { accessToken, proof } = await ports.tokens.authorize("GET", url.href);
  const socket = new WebSocket(url.href.replace(/^http/, "ws"), [subprotocol], {
    headers: { authorization: `DPoP ${accessToken.reveal()}`, dpop: proof },
    perMessageDeflate: false,
    followRedirects: false,
    handshakeTimeout: networkLimits.connectTimeoutMs,
    maxPayload: options.maxPayloadBytes ?? 1024 * 1024,
    createConnection: connectionOf(ports.network, url),
  });
  return await opened(socket, ports, url);
}

/** Node lets a request's connection come later, through a callback; the types of `ws` know only the older form. */
function connectionOf(network: Network, url: URL) {
  const connect = (
    _options: unknown,
    callback: (error: Error | null, socket?: unknown) => void,
  ) => {
    network.connect(
      { hostname: bareHost(url), host: url.host, protocol: url.protocol, port: url.port },
      (error, connected) => (error === null ? callback(null, connected) : callback(error)),
    );
  };
  return connect as unknown as typeof import("node:net").createConnection;
}

function bareHost(url: URL): string {
  return url.hostname.replace(/^\[(.+)\]$/, "$1");
}

function opened(socket: WebSocket, ports: WebSocketPorts, url: URL): Promise<WebSocket> {
  return new Promise((resolve, reject) => {
    const fail = (thrown: unknown) => reject(toConnectionError(thrown, url.origin));
    socket.once("error", fail);
    socket.once("unexpected-response", (_request, response: IncomingMessage) => {
      readText(response).then((text) => {
        const answer = {
          status: response.statusCode ?? 0,
          header: (name: string) => [response.headers[name] ?? []].flat()[0],
          text,
        };
        reject(toApiError(answer, ports.server, ports.clock.now()));
        socket.terminate();
      }, fail);
    });
    socket.once("open", () => {
      socket.off("error", fail);
      socket.pause();
      resolve(socket);
    });
  });
}

/** The beginning of a refusal's body; our own are far shorter. */
async function readText(response: IncomingMessage): Promise<string> {
  let text = "";
  for await (const chunk of response.setEncoding("utf8")) {
    text += chunk as string;
    if (text.length > 64 * 1024) {
      break;
    }
  }
  return text;
}
