// A server for tests of the agent: the API's routes for one grant, and a gateway that passes streams to a real PostgreSQL
// without checking anything. What it was asked for, it remembers.

import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { type AddressInfo, connect, type Socket } from "node:net";
import type { GrantView } from "@jitdb/shared/api/access";
import { encodeStartupMessage, parseStartupPacket } from "@jitdb/shared/postgres/startup";
import { encodeText } from "@jitdb/shared/postgres/writer";
import type { TunnelEvent } from "@jitdb/shared/tunnel/events";
import type { NoticeMap, OpenMap, ResetMap } from "@jitdb/shared/tunnel/maps";
import { TunnelSession } from "@jitdb/shared/tunnel/session";
import { type WebSocket, WebSocketServer } from "ws";
import type { RunningPostgres } from "../support/postgres.ts";

export interface FakeServerOptions {
  /** Lets everybody in without a password: `trustEverybody`. */
  readonly postgres?: RunningPostgres;
  readonly grant?: Partial<GrantView>;
}

/** What a stream of the fake gateway does; the default talks to PostgreSQL. */
interface StreamEnd {
  data(bytes: Uint8Array): void;
  writable(): void;
  peerClosed(): void;
  gone(): void;
}

export class FakeServer {
  grant: GrantView;
  /** Answers to OPEN with RESET while it is set. */
  refusal: ResetMap | undefined;
  /** Takes OPEN and never answers. */
  isMute = false;
  /** Opens WebSockets and says nothing on them. */
  isSilent = false;
  readonly opens: OpenMap[] = [];
  readonly authorizations: string[] = [];
  /** Bytes that came from agents in streams. */
  upstreamBytes = 0;
  readonly #postgres: RunningPostgres | undefined;
  readonly #http = createServer((request, response) => this.#answer(request, response));
  readonly #websockets = new WebSocketServer({
    noServer: true,
    perMessageDeflate: false,
    handleProtocols: (offered) => [...offered][0] ?? false,
  });
  readonly tunnels = new Set<FakeTunnel>();

  private constructor(options: FakeServerOptions) {
    this.#postgres = options.postgres;
    this.grant = { ...liveGrant(), ...options.grant };
    this.#http.on("upgrade", (request, socket, head) => {
      this.#websockets.handleUpgrade(request, socket, head, (websocket) => {
        this.authorizations.push(request.headers.authorization ?? "");
        if (request.url === "/api/v1/tunnel" && !this.isSilent) {
          const tunnel = new FakeTunnel(websocket, this, this.#postgres);
          this.tunnels.add(tunnel);
          websocket.on("close", () => this.tunnels.delete(tunnel));
        }
      });
    });
  }

  static async start(options: FakeServerOptions = {}): Promise<FakeServer> {
    const server = new FakeServer(options);
    server.#http.listen(0, "127.0.0.1");
    await once(server.#http, "listening");
    return server;
  }

  get address(): string {
    return `http://127.0.0.1:${(this.#http.address() as AddressInfo).port}`;
  }

  notice(notice: NoticeMap): void {
    for (const tunnel of this.tunnels) {
      tunnel.notice(notice);
    }
  }

  /** Cuts every WebSocket as a network that goes away would. */
  cut(): void {
    for (const client of this.#websockets.clients) {
      client.terminate();
    }
  }

  async stop(): Promise<void> {
    if (!this.#http.listening) {
      return;
    }
    this.cut();
    this.#http.closeAllConnections();
    this.#http.close();
    await once(this.#http, "close");
  }

  #answer(request: IncomingMessage, response: ServerResponse): void {
    const isList = request.url?.startsWith("/api/v1/grants?") === true;
    const body = isList ? { grants: [this.grant], next: null } : this.grant;
    response.setHeader("content-type", "application/json").end(JSON.stringify(body));
  }
}

class FakeTunnel {
  readonly #socket: WebSocket;
  readonly #server: FakeServer;
  readonly #postgres: RunningPostgres | undefined;
  readonly #session = new TunnelSession({ role: "gateway", software: "fake" });
  readonly #streams = new Map<number, StreamEnd>();
  readonly tokens: string[] = [];

  constructor(socket: WebSocket, server: FakeServer, postgres: RunningPostgres | undefined) {
    this.#socket = socket;
    this.#server = server;
    this.#postgres = postgres;
    socket.on("message", (data) => {
      for (const event of this.#session.receive(data as Buffer, Date.now())) {
        this.#handle(event);
      }
      this.flush();
    });
    socket.on("close", () => {
      for (const stream of this.#streams.values()) {
        stream.gone();
      }
    });
    this.flush();
  }

  notice(notice: NoticeMap): void {
    this.#session.notice(notice);
    this.flush();
  }

  goAway(map: ResetMap): void {
    this.#session.goAway(map);
    this.flush();
    this.#socket.close(1001);
  }

  flush(): void {
    for (let chunks = this.#session.takeOutput(); chunks; chunks = this.#session.takeOutput()) {
      this.#socket.send(Buffer.concat(chunks));
    }
  }

  #handle(event: TunnelEvent): void {
    switch (event.type) {
      case "open":
        this.#open(event.stream, event.open);
        return;
      case "auth":
        this.tokens.push(event.auth.accessToken.reveal());
        return;
      case "data":
        this.#server.upstreamBytes += event.bytes.byteLength;
        this.#streams.get(event.stream)?.data(event.bytes);
        return;
      case "writable":
        this.#streams.get(event.stream)?.writable();
        return;
      case "peerClosed":
        this.#streams.get(event.stream)?.peerClosed();
        return;
      case "closed":
      case "reset":
        this.#streams.get(event.stream)?.gone();
        this.#streams.delete(event.stream);
        return;
      default:
        return;
    }
  }

  #open(id: number, open: OpenMap): void {
    this.#server.opens.push(open);
    const { refusal, isMute } = this.#server;
    if (isMute) {
      return;
    }
    if (refusal !== undefined || this.#postgres === undefined) {
      this.#session.reset(id, refusal ?? { code: "database.unavailable", message: "No database." });
      return;
    }
    const socket = connect({ host: "127.0.0.1", port: this.#postgres.port, noDelay: true });
    socket.on("error", () => undefined);
    socket.write(open.kind === "cancel" ? open.startup : asSuperuser(open.startup));
    this.#pass(id, socket, open.kind === "session");
  }

  #pass(id: number, socket: Socket, isSession: boolean): void {
    const session = this.#session;
    let isLoggedIn = !isSession;
    if (!isSession) {
      session.opened(id, { session: "ses_cancel" });
    }
    socket.on("data", (chunk) => {
      if (!isLoggedIn) {
        isLoggedIn = true;
        session.opened(id, { session: `ses_${id}` });
      }
      if (!session.write(id, chunk)) {
        socket.pause();
      }
      this.flush();
    });
    socket.on("close", () => {
      session.close(id);
      this.flush();
    });
    this.#streams.set(id, {
      data: (bytes) => {
        socket.write(bytes, () => {
          session.consumed(id, bytes.byteLength);
          this.flush();
        });
      },
      writable: () => socket.resume(),
      peerClosed: () => {
        if (isSession) {
          socket.end();
        }
      },
      gone: () => socket.destroy(),
    });
  }
}

/** The client's start-up with the database's real user in the place of the person's name, as the gateway does. */
function asSuperuser(startup: Uint8Array): Uint8Array {
  const packet = parseStartupPacket(startup);
  if (packet.kind !== "startup") {
    throw new Error("A session began without a start-up packet.");
  }
  const parameters = packet.parameters.map(({ name, value }) =>
    ["user", "database"].includes(name) ? { name, value: encodeText("postgres") } : { name, value },
  );
  return encodeStartupMessage({ version: packet.version, parameters });
}

function liveGrant(): GrantView {
  return {
    id: "grt_7k2m9x4qab3d",
    requestId: "req_7k2m9x4q",
    person: "alice",
    database: "prod-orders",
    engine: "postgres",
    databaseName: "orders",
    profile: "read-only",
    state: "active",
    startsAt: new Date(Date.now() - 60_000).toISOString(),
    endsAt: new Date(Date.now() + 29 * 60_000).toISOString(),
    endedAt: null,
    end: null,
    endReason: null,
    endedBy: null,
    user: "ready",
    userProblem: null,
    review: null,
    openSessions: 0,
    traces: "pending",
    drainingUntil: null,
  };
}
