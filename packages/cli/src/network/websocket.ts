// Opens WebSockets to the server: events and tunnel. Same connector as HTTP, so same proxy, NO_PROXY and authorities.

import type { IncomingMessage } from "node:http";
import type { Socket } from "node:net";
import type { Clock } from "@jitdb/shared/ids";
import { Inlet } from "@jitdb/shared/inlet";
import { toApiError } from "../api-error.ts";
import type { Tokens } from "../login/tokens.ts";
import { toConnectionError } from "./failure.ts";
import { FastWebSocket } from "./fast-websocket.ts";
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
) => Promise<FastWebSocket>;

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
): Promise<FastWebSocket> {
  const url = new URL(`${ports.server}${path}`);
  // The handshake is a GET of the https address, and that is what the proof names (RFC 9449 §4.2).
  const { accessToken, proof } = await ports.tokens.authorize("GET", url.href);
  const maxPayload = options.maxPayloadBytes ?? 1024 * 1024;
  const inlet = new Inlet(setImmediate);
  let carrier: Socket | undefined;
  const socket = new FastWebSocket(url.href.replace(/^http/, "ws"), [subprotocol], {
    headers: { authorization: `DPoP ${accessToken.reveal()}`, dpop: proof },
    perMessageDeflate: false,
    followRedirects: false,
    handshakeTimeout: networkLimits.connectTimeoutMs,
    maxPayload,
    createConnection: connectionOf(ports.network, url, inlet, (connected) => {
      carrier = connected;
    }),
  });
  await opened(socket, ports, url);
  if (carrier !== undefined) {
    socket.takeOver(carrier, inlet, maxPayload);
  }
  return socket;
}

/** Node lets a request's connection come later, through a callback; the types of `ws` know only the older form. */
function connectionOf(
  network: Network,
  url: URL,
  inlet: Inlet,
  onConnected: (socket: Socket) => void,
) {
  const connect = (
    _options: unknown,
    callback: (error: Error | null, socket?: unknown) => void,
  ) => {
    network.connect(url, inlet).then((connected) => {
      onConnected(connected);
      callback(null, connected);
    }, callback);
  };
  return connect as unknown as typeof import("node:net").createConnection;
}

function opened(socket: FastWebSocket, ports: WebSocketPorts, url: URL): Promise<void> {
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
      resolve();
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
