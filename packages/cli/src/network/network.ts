// Calls over HTTP, and connections for WebSockets: all of them are made by one connector. HTTP is Node's own: a library is a megabyte to
// load, and WebAssembly to compile, for one GET.

import { readFile } from "node:fs/promises";
import type { ClientRequest, IncomingMessage } from "node:http";
import type { Socket } from "node:net";
import type { Duplex } from "node:stream";
import { getCACertificates } from "node:tls";
import { JitdbError } from "@jitdb/shared/errors";
import type { Inlet } from "@jitdb/shared/inlet";
import { Connector } from "./connector.ts";
import { toConnectionError } from "./failure.ts";
import { Agent, request } from "./http.ts";
import type { ProxySettings } from "./proxy.ts";

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

export type NetworkLimits = Readonly<Record<keyof typeof networkLimits, number>>;

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

/** What oauth4webapi asks for. */
export interface FetchOptions {
  readonly method: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: URLSearchParams | null | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** The network as the rest of the CLI sees it. */
export interface Network {
  /** One HTTP call. @throws JitdbError `server.unreachable`, `server.certificate`, `server.unsuitable` */
  call(call: HttpCall): Promise<HttpAnswer>;
  /** A call as fetch-based libraries make it. Never follows redirects. @throws as `call` */
  fetch(url: string, options: FetchOptions): Promise<Response>;
  /** Makes one connection for a WebSocket, the way HTTP would. It reads through `inlet`. @throws as {@link Connector.connect} */
  connect(target: URL, inlet: Inlet): Promise<Socket>;
  close(): Promise<void>;
}

/** @throws JitdbError `usage.invalid` for a CA file that can't be read. */
export async function openNetwork(
  { proxy, caFile }: NetworkOptions,
  limits: NetworkLimits = networkLimits,
): Promise<Network> {
  const authorities = await readAuthorities(caFile);
  return new HttpNetwork(new Connector(proxy, authorities, limits.connectTimeoutMs), limits);
}

type Answer = { readonly response: IncomingMessage; readonly body: Buffer };

class HttpNetwork implements Network {
  readonly #connector: Connector;
  readonly #limits: NetworkLimits;
  readonly #agents = new Map<string, OriginAgent>();

  constructor(connector: Connector, limits: NetworkLimits) {
    this.#connector = connector;
    this.#limits = limits;
  }

  async call({ method, url, headers, body }: HttpCall): Promise<HttpAnswer> {
    const answer = await this.#ask(url, { method, headers }, body);
    const fields = answer.response.headers;
    return {
      status: answer.response.statusCode ?? 0,
      header: (name) => [fields[name] ?? []].flat()[0],
      text: answer.body.toString("utf8"),
    };
  }

  async fetch(url: string, { method, headers, body, signal }: FetchOptions): Promise<Response> {
    const { response, body: bytes } = await this.#ask(
      new URL(url),
      { method, headers, signal },
      body?.toString(),
    );
    const fields = new Headers();
    for (const [name, values] of Object.entries(response.headersDistinct)) {
      for (const value of values ?? []) {
        fields.append(name, value);
      }
    }
    const { statusCode: status = 0 } = response;
    // By the standard these have no body, not even an empty one.
    const hasBody = ![204, 205, 304].includes(status);
    return new Response(hasBody ? new Uint8Array(bytes) : null, { status, headers: fields });
  }

  connect(target: URL, inlet: Inlet): Promise<Socket> {
    return this.#connector.connect(target, inlet);
  }

  async close(): Promise<void> {
    for (const agent of this.#agents.values()) {
      agent.destroy();
    }
  }

  #agentOf(url: URL): OriginAgent {
    const agent =
      this.#agents.get(url.origin) ??
      new OriginAgent(() => this.#connector.connect(url), this.#limits.keepAliveMs);
    this.#agents.set(url.origin, agent);
    return agent;
  }

  async #ask(
    url: URL,
    { method, headers, signal }: FetchOptions,
    body: string | undefined,
  ): Promise<Answer> {
    const timeout = AbortSignal.timeout(this.#limits.answerTimeoutMs);
    const whole = signal === undefined ? timeout : AbortSignal.any([timeout, signal]);
    try {
      const asked = request({
        agent: this.#agentOf(url),
        method,
        path: `${url.pathname}${url.search}`,
        headers: { ...headers, host: url.host },
        signal: whole,
      });
      asked.end(body);
      const response = await answered(asked);
      return { response, body: await this.#readBody(response, url) };
    } catch (thrown) {
      // An answer that breaks off because its time is over says only that it broke off.
      throw toConnectionError(whole.aborted ? whole.reason : thrown, url.origin);
    }
  }

  /** @throws JitdbError `server.unsuitable` for more than anybody has to say */
  async #readBody(response: IncomingMessage, { origin }: URL): Promise<Buffer> {
    const chunks: Buffer[] = [];
    let length = 0;
    for await (const chunk of response as AsyncIterable<Buffer>) {
      chunks.push(chunk);
      length += chunk.length;
      if (length > this.#limits.maxAnswerBytes) {
        throw new JitdbError("server.unsuitable", `${origin} sends an answer that has no end.`);
      }
    }
    return Buffer.concat(chunks, length);
  }
}

/** Keeps the connections of one origin for its next calls. */
class OriginAgent extends Agent {
  readonly #connect: () => Promise<Socket>;

  constructor(connect: () => Promise<Socket>, keepAliveMs: number) {
    super({ keepAlive: true, timeout: keepAliveMs });
    this.#connect = connect;
  }

  override createConnection(
    _options: unknown,
    callback: (error: Error | null, socket: Duplex) => void,
  ): undefined {
    this.#connect().then(
      (socket) => callback(null, socket),
      // There is no socket to give; the type has no form for that.
      (error: Error) => callback(error, undefined as unknown as Duplex),
    );
  }
}

function answered(asked: ClientRequest): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    asked.on("response", resolve).on("error", reject);
    // An answer that is none, as one that changes the protocol, ends without a word.
    asked.on("close", () => reject(new Error("The connection was closed without an answer.")));
  });
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
