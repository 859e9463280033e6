// The one way out: every connection of the CLI, HTTP or WebSocket, is made by one connector that knows proxy, authorities
// and deadline; all HTTP goes through one dispatcher on top of it.

import { readFile } from "node:fs/promises";
import type { Socket } from "node:net";
import { getCACertificates } from "node:tls";
import { setFlagsFromString } from "node:v8";
import { JitdbError } from "@jitdb/shared/errors";
import type { Inlet } from "@jitdb/shared/inlet";
import { Agent, buildConnector, Client, fetch, type RequestInit, request } from "undici";
import { refusePlainHttp } from "./address.ts";
import { toConnectionError } from "./failure.ts";
import { type ProxySettings, proxyFor } from "./proxy.ts";

/** Limits of a call. */
export const networkLimits = {
  /** From the first packet to a connection that is ready, with proxy and TLS. */
  connectTimeoutMs: 10_000,
  /** From the request to the last byte of its answer. */
  answerTimeoutMs: 30_000,
  /** How long an idle connection waits for the next call of the same command. */
  keepAliveMs: 2000,
  /** Largest answer that is read: the audit's largest page has room in it. */
  maxAnswerBytes: 64 * 1024 * 1024,
} as const;

export interface NetworkOptions {
  readonly proxy: ProxySettings;
  /** PEM file of authorities to trust besides node's own. */
  readonly caFile?: string | undefined;
}

export interface HttpCall {
  readonly method: "GET" | "POST";
  readonly url: URL;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string | undefined;
}

export interface HttpAnswer {
  readonly status: number;
  header(name: string): string | undefined;
  readonly text: string;
}

/** What fetch-based libraries are given: the platform's signature over our dispatcher. */
export type Fetch = (url: string, options?: unknown) => Promise<Response>;

/** The network as the rest of the CLI sees it. */
export interface Network {
  /** One HTTP call. @throws JitdbError `server.unreachable`, `server.certificate`, `server.unsuitable` */
  call(call: HttpCall): Promise<HttpAnswer>;
  readonly fetch: Fetch;
  /** Makes one connection for a WebSocket, the way HTTP would. It reads through `inlet`. */
  connect(target: buildConnector.Options, inlet: Inlet, callback: buildConnector.Callback): void;
  close(): Promise<void>;
}

/** @throws JitdbError `usage.invalid` for a CA file that can't be read. */
export async function openNetwork(options: NetworkOptions): Promise<Network> {
  const authorities = await readAuthorities(options.caFile);
  // undici reads HTTP with WebAssembly. A handful of answers makes V8 optimize that, in ten megabytes that it never gives back.
  setFlagsFromString("--no-wasm-tier-up");
  setFlagsFromString("--no-wasm-dynamic-tiering");
  const dispatcher = new Agent({
    connect: createConnector(options.proxy, authorities),
    keepAliveTimeout: networkLimits.keepAliveMs,
    headersTimeout: networkLimits.answerTimeoutMs,
    bodyTimeout: networkLimits.answerTimeoutMs,
    maxResponseSize: networkLimits.maxAnswerBytes,
    allowH2: false,
  });
  return {
    connect: (target, inlet, callback) =>
      createConnector(options.proxy, authorities, inlet)(target, callback),
    call: async ({ method, url, headers, body }) => {
      try {
        const answer = await request(url, {
          dispatcher,
          method,
          headers,
          body: body ?? null,
          signal: AbortSignal.timeout(networkLimits.answerTimeoutMs),
        });
        const text = await answer.body.text();
        const header = (name: string) => [answer.headers[name] ?? []].flat()[0];
        return { status: answer.statusCode, header, text };
      } catch (thrown) {
        throw toConnectionError(thrown, url.origin);
      }
    },
    // undici's own fetch: node's built-in one cannot take the dispatcher of another undici version.
    fetch: async (url, init) => {
      const signal = AbortSignal.timeout(networkLimits.answerTimeoutMs);
      return (await fetch(url, { signal, ...(init as RequestInit), dispatcher })) as Response;
    },
    close: () => dispatcher.destroy(),
  };
}

/**
 * A connector for undici and `ws`, and the one place that refuses plain HTTP off loopback: direct, or through an HTTP CONNECT tunnel of the proxy, then TLS to the target inside.
 */
function createConnector(
  proxy: ProxySettings,
  authorities: string[] | undefined,
  inlet?: Inlet,
): buildConnector.connector {
  const connectorOptions: buildConnector.BuildOptions = {
    timeout: networkLimits.connectTimeoutMs,
    allowH2: false,
    ...(authorities === undefined ? {} : { ca: authorities }),
  };
  const toProxy = buildConnector(connectorOptions);
  const direct =
    inlet === undefined ? toProxy : buildConnector({ ...connectorOptions, onread: inlet.onread });
  const open = async (target: buildConnector.Options): Promise<buildConnector.Options> => {
    const url = new URL(`${target.protocol}//${target.host ?? target.hostname}`);
    refusePlainHttp(url);
    const through = proxyFor(url, proxy);
    if (through === undefined) {
      return target;
    }
    const authority = `${url.hostname}:${url.port === "" ? "443" : url.port}`;
    return { ...target, httpSocket: await connectThrough(through, authority, toProxy) };
  };
  return (target, callback) => {
    open(target).then(
      (opened) =>
        direct(opened, (...result: Parameters<buildConnector.Callback>) => {
          if (result[1] !== null) {
            inlet?.bind(result[1]);
          }
          callback(...result);
        }),
      (error: Error) => callback(error, null),
    );
  };
}

/** Asks the proxy for a tunnel (RFC 9110 §9.3.6) and gives its socket. */
async function connectThrough(proxy: string, authority: string, connect: buildConnector.connector) {
  const address = URL.parse(proxy.includes("://") ? proxy : `http://${proxy}`);
  if (address === null) {
    throw new JitdbError("usage.invalid", "HTTPS_PROXY is not an address.", {
      hint: "Set it like http://proxy.example.com:3128.",
    });
  }
  const client = new Client(address.origin, { connect });
  try {
    const { socket, statusCode } = await client.connect({
      path: authority,
      headers: { host: authority, ...proxyAuthorization(address) },
      signal: AbortSignal.timeout(networkLimits.connectTimeoutMs),
    });
    if (statusCode !== 200) {
      socket.destroy();
      throw new JitdbError(
        "server.unreachable",
        `The proxy ${address.host} refuses to connect to ${authority} (${statusCode}).`,
        {
          hint:
            statusCode === 407
              ? "Put user and password into HTTPS_PROXY: http://user:password@host:port."
              : "Ask whoever runs the proxy to allow it, or go around the proxy: put the host into NO_PROXY.",
        },
      );
    }
    return socket as Socket;
  } catch (thrown) {
    throw toConnectionError(thrown, `the proxy ${address.host}`);
  } finally {
    client.destroy().catch(() => {
      // The tunnel's socket has left the client; what remains of it is of no interest.
    });
  }
}

function proxyAuthorization(address: URL): Record<string, string> {
  if (address.username === "") {
    return {};
  }
  const pair = `${decodeURIComponent(address.username)}:${decodeURIComponent(address.password)}`;
  return { "proxy-authorization": `Basic ${Buffer.from(pair).toString("base64")}` };
}

/** Node's own authorities (with NODE_EXTRA_CA_CERTS) and those of the file; undefined leaves node's default alone. */
async function readAuthorities(caFile: string | undefined): Promise<string[] | undefined> {
  if (caFile === undefined) {
    return undefined;
  }
  try {
    const pem = await readFile(caFile, "utf8");
    if (!pem.includes("-----BEGIN CERTIFICATE-----")) {
      throw new Error("it holds no certificate");
    }
    return [...getCACertificates("default"), pem];
  } catch (cause) {
    throw unusableAuthorities(caFile, cause);
  }
}

function unusableAuthorities(caFile: string, cause: unknown): JitdbError {
  return new JitdbError("usage.invalid", `Can't use the CA file ${caFile}.`, {
    hint: "Give a PEM file with --ca or JITDB_CA_FILE.",
    cause,
  });
}
