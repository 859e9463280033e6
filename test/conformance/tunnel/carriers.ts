// What can carry a tunnel's messages, for the one suite that each must pass: memory, a WebSocket over TCP, one over TLS, and those of
// the two programs with their fast lanes.
// A connection can be made to break behind a given byte of either direction, as networks do.

import { once } from "node:events";
import { createServer as createHttpServer } from "node:http";
import { createServer as createHttpsServer } from "node:https";
import {
  type AddressInfo,
  connect as connectTcp,
  createServer,
  type Socket,
  type TcpNetConnectOpts,
} from "node:net";
import { Inlet } from "@jitdb/shared/inlet";
import { tunnelLimits } from "@jitdb/shared/tunnel/limits";
import { type ClientOptions, WebSocket, WebSocketServer } from "ws";
import { FastWebSocket as AgentWebSocket } from "../../../packages/cli/src/network/fast-websocket.ts";
import { FastWebSocket as GatewayWebSocket } from "../../../packages/server/src/http/websockets/fast-websocket.ts";
import { createAuthority } from "../../support/certificates.ts";

export type Direction = "toGateway" | "toAgent";

/** The connection breaks when so many bytes have passed in one direction; no byte more arrives, and none of the other direction. */
export interface Cut {
  readonly direction: Direction;
  readonly bytes: number;
}

/** One end of a connection that carries messages. What comes before `listen` waits for it. */
export interface Pipe {
  send(message: Uint8Array): void;
  listen(listener: { message(message: Uint8Array): void; closed(): void }): void;
  /** Gives the connection up without a goodbye. */
  cut(): void;
}

export interface Connection {
  readonly agent: Pipe;
  readonly gateway: Pipe;
}

export interface Carrier {
  /** A new connection; undefined where it broke before it stood. */
  connect(cut?: Cut): Promise<Connection | undefined>;
  /** Bytes that have passed so far, in both connections and directions. */
  readonly passed: Readonly<Record<Direction, number>>;
  close(): Promise<void>;
}

export const carriers: Readonly<Record<string, () => Promise<Carrier>>> = {
  memory: async () => new MemoryCarrier(),
  TCP: async () => {
    const server = createHttpServer();
    return await WebSocketCarrier.start(server, "ws", {});
  },
  "TCP on the fast lanes": async () => await FastCarrier.start(createHttpServer(), "ws", {}),
  TLS: async () => {
    const authority = await createAuthority("conformance");
    try {
      const { cert, key } = await authority.issue("localhost");
      const server = createHttpsServer({ cert, key });
      return await WebSocketCarrier.start(server, "wss", { ca: authority.cert });
    } finally {
      await authority.remove();
    }
  },
};

/** Collects what comes until somebody listens. */
class Inbox {
  #listener: Parameters<Pipe["listen"]>[0] | undefined;
  readonly #messages: Uint8Array[] = [];
  #isClosed = false;

  listen(listener: Parameters<Pipe["listen"]>[0]): void {
    this.#listener = listener;
    for (const message of this.#messages.splice(0)) {
      listener.message(message);
    }
    if (this.#isClosed) {
      listener.closed();
    }
  }

  message(message: Uint8Array): void {
    if (this.#listener === undefined) {
      this.#messages.push(message);
    } else {
      this.#listener.message(message);
    }
  }

  closed(): void {
    if (!this.#isClosed) {
      this.#isClosed = true;
      this.#listener?.closed();
    }
  }
}

class MemoryCarrier implements Carrier {
  readonly passed = { toGateway: 0, toAgent: 0 };

  connect(cut?: Cut): Promise<Connection> {
    const inboxes = { toGateway: new Inbox(), toAgent: new Inbox() };
    const sent = { toGateway: 0, toAgent: 0 };
    let isCut = false;
    const end = () => {
      isCut = true;
      setImmediate(() => {
        inboxes.toGateway.closed();
        inboxes.toAgent.closed();
      });
    };
    const pipe = (out: Direction, back: Direction): Pipe => ({
      listen: (listener) => inboxes[back].listen(listener),
      cut: end,
      send: (message) => {
        setImmediate(() => {
          if (isCut) {
            return;
          }
          sent[out] += message.byteLength;
          if (cut?.direction === out && sent[out] > cut.bytes) {
            end();
            return;
          }
          this.passed[out] += message.byteLength;
          inboxes[out].message(message);
        });
      },
    });
    return Promise.resolve({
      agent: pipe("toGateway", "toAgent"),
      gateway: pipe("toAgent", "toGateway"),
    });
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}

const settings = { perMessageDeflate: false, maxPayload: tunnelLimits.maxMessageBytes } as const;

/** The gateway's WebSocket server behind a relay that counts bytes and cuts connections, below TLS where there is TLS. */
class WebSocketCarrier implements Carrier {
  readonly passed = { toGateway: 0, toAgent: 0 };
  readonly #http: ReturnType<typeof createHttpServer>;
  readonly #scheme: "ws" | "wss";
  readonly #trust: { readonly ca?: string };
  readonly #websockets = this.listen();
  readonly #relay = createServer((socket) => this.#pass(socket));
  readonly #sockets = new Set<Socket>();
  #cut: Cut | undefined;
  #accepted: Pipe | undefined;

  protected constructor(
    http: ReturnType<typeof createHttpServer>,
    scheme: "ws" | "wss",
    trust: { readonly ca?: string },
  ) {
    this.#http = http;
    this.#scheme = scheme;
    this.#trust = trust;
    this.#websockets.on("connection", (websocket, { socket }) => {
      this.#accepted = this.accept(websocket, socket);
    });
    http.on("upgrade", (request, socket, head) => {
      this.#websockets.handleUpgrade(request, socket, head, (websocket) => {
        this.#websockets.emit("connection", websocket, request);
      });
    });
  }

  static async start(
    http: ReturnType<typeof createHttpServer>,
    scheme: "ws" | "wss",
    trust: { readonly ca?: string },
  ): Promise<WebSocketCarrier> {
    const carrier = new this(http, scheme, trust);
    for (const server of [carrier.#http, carrier.#relay]) {
      server.listen(0, "127.0.0.1");
      await once(server, "listening");
    }
    return carrier;
  }

  async connect(cut?: Cut): Promise<Connection | undefined> {
    this.#cut = cut;
    this.#accepted = undefined;
    const { port } = this.#relay.address() as AddressInfo;
    const { websocket, pipe } = this.dial(`${this.#scheme}://localhost:${port}`, port, {
      ...this.#trust,
      // The certificate is for the name; the relay listens on one family.
      family: 4,
      ...settings,
    });
    const isOpen = await new Promise<boolean>((resolve) => {
      websocket.once("open", () => resolve(true));
      websocket.once("close", () => resolve(false));
    });
    // The server has accepted before its answer can have come.
    return isOpen && this.#accepted ? { agent: pipe, gateway: this.#accepted } : undefined;
  }

  protected listen(): WebSocketServer {
    return new WebSocketServer({ noServer: true, ...settings });
  }

  protected accept(websocket: WebSocket, _socket: Socket): Pipe {
    return createPipe(websocket);
  }

  protected dial(
    url: string,
    _port: number,
    options: ClientOptions,
  ): { readonly websocket: WebSocket; readonly pipe: Pipe } {
    const websocket = new WebSocket(url, options);
    return { websocket, pipe: createPipe(websocket) };
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) {
      socket.destroy();
    }
    for (const server of [this.#websockets, this.#relay, this.#http]) {
      await new Promise((resolve) => server.close(resolve));
    }
  }

  #pass(near: Socket): void {
    const far = connectTcp((this.#http.address() as AddressInfo).port, "127.0.0.1");
    const cut = this.#cut;
    for (const [from, to, direction] of [
      [near, far, "toGateway"],
      [far, near, "toAgent"],
    ] as const) {
      let count = 0;
      this.#sockets.add(from);
      from.setNoDelay(true);
      from.on("error", () => undefined);
      from.on("close", () => {
        this.#sockets.delete(from);
        to.destroy();
      });
      from.on("data", (bytes) => {
        const room = cut?.direction === direction ? cut.bytes - count : Number.POSITIVE_INFINITY;
        count += bytes.length;
        this.passed[direction] += Math.min(bytes.length, room);
        if (bytes.length > room) {
          // What arrived before is read, and not a byte more.
          from.pause();
          to.end(bytes.subarray(0, room), () => from.destroy());
          return;
        }
        if (!to.write(bytes)) {
          from.pause();
          to.once("drain", () => from.resume());
        }
      });
    }
  }
}

/** The WebSockets of the two programs, which take messages past the library. */
class FastCarrier extends WebSocketCarrier {
  protected override listen(): WebSocketServer {
    const server = new WebSocketServer({
      noServer: true,
      WebSocket: GatewayWebSocket,
      ...settings,
    });
    return server as unknown as WebSocketServer;
  }

  protected override accept(websocket: WebSocket, socket: Socket): Pipe {
    const fast = websocket as GatewayWebSocket;
    fast.takeOver(socket, settings.maxPayload);
    return { ...createPipe(fast), send: (message) => fast.sendChunks([message], () => undefined) };
  }

  protected override dial(url: string, port: number, options: ClientOptions) {
    const inlet = new Inlet(setImmediate);
    const socket = connectTcp({
      port,
      host: "127.0.0.1",
      onread: inlet.onread,
    } as TcpNetConnectOpts);
    inlet.bind(socket);
    const websocket = new AgentWebSocket(url, { ...options, createConnection: () => socket });
    websocket.once("open", () => websocket.takeOver(socket, inlet, settings.maxPayload));
    const pipe: Pipe = {
      ...createPipe(websocket),
      send: (message) => websocket.sendChunks([message], () => undefined),
    };
    return { websocket, pipe };
  }
}

function createPipe(websocket: WebSocket): Pipe {
  const inbox = new Inbox();
  websocket.on("message", (data) => inbox.message(data as Buffer));
  websocket.on("error", () => undefined);
  websocket.on("close", () => inbox.closed());
  return {
    listen: (listener) => inbox.listen(listener),
    send: (message) => websocket.send(message, () => undefined),
    cut: () => websocket.terminate(),
  };
}
