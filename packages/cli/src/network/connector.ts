// The one way out: connections to a server, direct or through an HTTP CONNECT tunnel of the proxy, with TLS to the server inside.
// Nothing else of the CLI opens a connection to another machine.

import type { IncomingMessage } from "node:http";
import { connect as connectTcp, isIP, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import { JitdbError } from "@jitdb/shared/errors";
import type { Inlet } from "@jitdb/shared/inlet";
import { bareHost, refusePlainHttp } from "./address.ts";
import { toConnectionError } from "./failure.ts";
import { request } from "./http.ts";
import { type ProxySettings, proxyFor } from "./proxy.ts";

/** Idle before the kernel asks whether the other side is still there. */
const keepAliveMs = 60_000;

/** The proxy's tunnel that a connection goes through, and the memory that it reads into. */
type Carrier = { readonly socket?: Socket; readonly inlet?: Inlet | undefined };

export class Connector {
  readonly #proxy: ProxySettings;
  readonly #authorities: readonly string[] | undefined;
  readonly #timeoutMs: number;
  /** TLS sessions by origin: the next connection to it is made with less work. */
  readonly #sessions = new Map<string, Buffer>();

  /**
   * @param authorities in PEM; undefined leaves node's own
   * @param timeoutMs from the first packet to a connection that is ready, with proxy and TLS
   */
  constructor(proxy: ProxySettings, authorities: readonly string[] | undefined, timeoutMs: number) {
    this.#proxy = proxy;
    this.#authorities = authorities;
    this.#timeoutMs = timeoutMs;
  }

  /**
   * Makes one connection for HTTP or a WebSocket to the origin of `target`, an http(s) address. It is the caller's, to destroy it, too.
   * It reads through `inlet`, if there is one, which is bound to it.
   * @throws JitdbError `server.insecure`, `server.unreachable` of a proxy; other errors as Node has them
   */
  async connect(target: URL, inlet?: Inlet): Promise<Socket> {
    refusePlainHttp(target);
    const deadline = AbortSignal.timeout(this.#timeoutMs);
    const proxy = proxyFor(target, this.#proxy);
    const carrier =
      proxy === undefined
        ? { inlet }
        : { inlet, socket: await this.#through(proxy, target, deadline) };
    const socket = await this.#open(target, carrier, deadline);
    inlet?.bind(socket);
    return socket;
  }

  /** Resolves when the connection is ready for its first byte. */
  async #open(url: URL, { socket: inner, inlet }: Carrier, deadline: AbortSignal): Promise<Socket> {
    const host = bareHost(url.hostname);
    const options = { host, ...(inlet !== undefined && { onread: inlet.onread }) };
    if (url.protocol === "http:") {
      const socket = connectTcp({ ...options, port: Number(url.port || 80) });
      return await ready(socket, "connect", deadline);
    }
    const session = this.#sessions.get(url.origin);
    const socket = connectTls({
      ...options,
      port: Number(url.port || 443),
      ALPNProtocols: ["http/1.1"],
      ...(isIP(host) === 0 && { servername: host }),
      ...(this.#authorities !== undefined && { ca: [...this.#authorities] }),
      ...(session !== undefined && { session }),
      ...(inner !== undefined && { socket: inner }),
    });
    socket.on("session", (next) => this.#sessions.set(url.origin, next));
    return await ready(socket, "secureConnect", deadline);
  }

  /** Asks the proxy for a tunnel (RFC 9110 §9.3.6) and gives its socket. */
  async #through(proxy: string, target: URL, deadline: AbortSignal): Promise<Socket> {
    const address = URL.parse(proxy.includes("://") ? proxy : `http://${proxy}`);
    if (address === null || !["http:", "https:"].includes(address.protocol)) {
      throw new JitdbError("usage.invalid", "HTTPS_PROXY is not an address.", {
        hint: "Set it like http://proxy.example.com:3128.",
      });
    }
    const authority = `${target.hostname}:${target.port || 443}`;
    try {
      const socket = await this.#open(address, {}, deadline);
      const { statusCode } = await askForTunnel(socket, authority, address, deadline);
      if (statusCode !== 200) {
        socket.destroy();
        throw refused(address, authority, statusCode);
      }
      return socket;
    } catch (thrown) {
      throw toConnectionError(thrown, `the proxy ${address.host}`);
    }
  }
}

/** Resolves when `event` says that the socket can be used. Whoever has it after that may listen for errors; none is thrown at the process. */
function ready(
  socket: Socket,
  event: "connect" | "secureConnect",
  deadline: AbortSignal,
): Promise<Socket> {
  socket.setNoDelay(true).setKeepAlive(true, keepAliveMs);
  return new Promise((resolve, reject) => {
    const settle = endAt(deadline, socket);
    socket.on("error", reject).on("close", () => {
      settle();
      reject(new Error("The connection was closed before it was ready."));
    });
    socket.once(event, () => {
      settle();
      resolve(socket);
    });
  });
}

/** Destroys the socket when its time is over, unless what this returns was called before. */
function endAt(deadline: AbortSignal, socket: Socket): () => void {
  const giveUp = () => socket.destroy(deadline.reason);
  deadline.addEventListener("abort", giveUp, { once: true });
  return () => deadline.removeEventListener("abort", giveUp);
}

/** The proxy's answer; behind one of 200 the socket is the tunnel's. */
async function askForTunnel(
  socket: Socket,
  authority: string,
  proxy: URL,
  deadline: AbortSignal,
): Promise<IncomingMessage> {
  return await new Promise((resolve, reject) => {
    const settle = endAt(deadline, socket);
    const asked = request({
      method: "CONNECT",
      path: authority,
      headers: { host: authority, ...proxyAuthorization(proxy) },
      createConnection: () => socket,
    });
    asked.on("error", reject).on("close", () => {
      settle();
      reject(new Error("The proxy closed the connection without an answer."));
    });
    asked.on("connect", (answer, _socket, head) => {
      // Nobody has been asked anything yet: a proxy that talks already is none.
      if (head.length > 0) {
        socket.unshift(head);
      }
      resolve(answer);
    });
    asked.end();
  });
}

function proxyAuthorization(address: URL): Record<string, string> {
  if (address.username === "") {
    return {};
  }
  const pair = `${decodeURIComponent(address.username)}:${decodeURIComponent(address.password)}`;
  return { "proxy-authorization": `Basic ${Buffer.from(pair).toString("base64")}` };
}

function refused(proxy: URL, authority: string, status: number | undefined): JitdbError {
  return new JitdbError(
    "server.unreachable",
    `The proxy ${proxy.host} refuses to connect to ${authority} (${status}).`,
    {
      hint:
        status === 407
          ? "Put user and password into HTTPS_PROXY: http://user:password@host:port."
          : "Ask whoever runs the proxy to allow it, or go around the proxy: put the host into NO_PROXY.",
    },
  );
}
