// An agent for tests: a TunnelSession on a real WebSocket, without listeners or clients.

import { once } from "node:events";
import { WebSocket } from "ws";
import { JitdbError } from "../../packages/shared/src/errors.ts";
import type { Secret } from "../../packages/shared/src/secret.ts";
import { decodeFrames, encodeFrame } from "../../packages/shared/src/tunnel/frame.ts";
import {
  decodeMap,
  encodeMap,
  type GoAwayMap,
  type HelloMap,
  type NoticeMap,
  type ResetMap,
  type SpareMap,
} from "../../packages/shared/src/tunnel/maps.ts";
import { TunnelSession } from "../../packages/shared/src/tunnel/session.ts";

export interface AgentOptions {
  readonly windowBytes?: number;
  /** Says that it speaks this revision of the protocol, instead of the newest. */
  readonly version?: number;
}

export class Agent {
  readonly session: TunnelSession;
  ws: WebSocket;
  readonly notices: NoticeMap[] = [];
  /** Announced sessions, and ids of those that were taken back. */
  readonly spares: SpareMap[] = [];
  readonly spent: string[] = [];
  goaway: GoAwayMap | undefined;
  hello: HelloMap | undefined;
  /** Of the last resumption: streams that could not go on. */
  lost: number | undefined;
  /** The WebSocket's close code. */
  closed: Promise<number>;
  readonly #streams = new Map<number, AgentStream>();
  readonly #waiting = new Set<() => void>();
  #isResumable = false;

  private constructor(ws: WebSocket, windowBytes: number | undefined) {
    this.ws = ws;
    this.session = new TunnelSession({
      role: "agent",
      software: "test agent",
      ...(windowBytes === undefined ? {} : { windowBytes }),
    });
    this.closed = this.#bind(ws);
  }

  #bind(ws: WebSocket): Promise<number> {
    ws.on("message", (data) => ws === this.ws && this.#receive(data as Buffer));
    ws.on("close", () => {
      if (ws === this.ws && !this.#isResumable) {
        for (const stream of this.#streams.values()) {
          stream.end({ code: "tunnel.lost", message: "The tunnel was lost." });
        }
      }
      this.#tell();
    });
    return new Promise((resolve) => ws.once("close", (code) => resolve(code)));
  }

  /** Cuts the WebSocket as a network would, and keeps its streams for `resume`. */
  async lose(): Promise<void> {
    this.#isResumable = true;
    this.ws.terminate();
    await this.closed;
    this.session.detach();
  }

  /** Goes on with another WebSocket, after `lose`; `ticket` instead of the one of the last HELLO. */
  async resume(url: string, ticket = this.hello?.ticket?.value): Promise<void> {
    if (ticket === undefined) {
      throw new Error("the gateway gave no ticket");
    }
    this.ws = new WebSocket(url, "jitdb.tunnel.v1", { perMessageDeflate: false });
    this.closed = this.#bind(this.ws);
    this.lost = undefined;
    await once(this.ws, "open");
    this.session.attach({ resume: ticket });
    this.flush();
    await this.until(() => this.lost !== undefined || this.ws.readyState === WebSocket.CLOSED);
  }

  /** Comes back after `lose`, but the network fails again before the gateway's answer is heard: no new ticket, still lost. */
  async resumeUnheard(url: string, ticket: Secret): Promise<void> {
    const ws = new WebSocket(url, "jitdb.tunnel.v1", { perMessageDeflate: false });
    await once(ws, "open");
    const answered = once(ws, "message");
    this.session.attach({ resume: ticket });
    for (let chunks = this.session.takeOutput(); chunks; chunks = this.session.takeOutput()) {
      ws.send(Buffer.concat(chunks));
    }
    await answered;
    const closed = once(ws, "close");
    ws.terminate();
    await closed;
    this.session.detach();
  }

  /** Connects and exchanges HELLOs. */
  static async connect(url: string, options: AgentOptions = {}): Promise<Agent> {
    const ws = new WebSocket(url, "jitdb.tunnel.v1", { perMessageDeflate: false });
    const agent = new Agent(ws, options.windowBytes);
    await once(ws, "open");
    if (options.version !== undefined) {
      ws.send(withVersion(options.version, Buffer.concat(agent.session.takeOutput() ?? [])));
    }
    agent.flush();
    await agent.until(() => agent.hello !== undefined || ws.readyState === WebSocket.CLOSED);
    return agent;
  }

  open(
    kind: "session" | "cancel",
    grant: string,
    startup: Uint8Array,
    spare?: string,
  ): AgentStream {
    const id = this.session.open({ engine: "postgres", kind, grant, startup, spare });
    const stream = new AgentStream(id, this);
    this.#streams.set(id, stream);
    this.flush();
    return stream;
  }

  flush(): void {
    if (this.ws.readyState !== WebSocket.OPEN) {
      return;
    }
    for (let chunks = this.session.takeOutput(); chunks; chunks = this.session.takeOutput()) {
      this.ws.send(Buffer.concat(chunks));
    }
  }

  /** Resolves when something that came makes it true. */
  async until(isTrue: () => boolean): Promise<void> {
    while (!isTrue()) {
      await new Promise<void>((resolve) => this.#waiting.add(resolve));
    }
  }

  async close(): Promise<void> {
    this.ws.close();
    await this.closed;
  }

  #receive(data: Buffer): void {
    for (const event of this.session.receive(data, 0)) {
      switch (event.type) {
        case "hello":
          this.hello = event.hello;
          break;
        case "resumed":
          this.lost = event.lost;
          break;
        case "notice":
          this.notices.push(event.notice);
          break;
        case "spare":
          this.spares.push(event.spare);
          break;
        case "spent":
          this.spent.push(event.spent.id);
          break;
        case "goaway":
          this.goaway = event.goaway;
          break;
        case "opened":
          this.#streams.get(event.stream)?.open(event.opened.session);
          break;
        case "data":
          this.#streams.get(event.stream)?.take(event.bytes);
          break;
        case "peerClosed":
          this.#streams.get(event.stream)?.end(undefined);
          break;
        case "reset":
          this.#streams.get(event.stream)?.end(event.reset);
          break;
        case "writable":
          this.#streams.get(event.stream)?.credit();
          break;
        default:
      }
    }
    this.flush();
    this.#tell();
  }

  #tell(): void {
    const waiting = [...this.#waiting];
    this.#waiting.clear();
    for (const resolve of waiting) {
      resolve();
    }
  }
}

/** A stream as the agent sees it. Reading it with `read` gives credit; nothing else does. */
export class AgentStream {
  readonly id: number;
  readonly agent: Agent;
  sessionId: string | undefined;
  /** Set when the gateway has closed or reset the stream. */
  ended: { readonly reset: ResetMap | undefined } | undefined;
  #chunks: Uint8Array[] = [];
  #isWritable = true;

  constructor(id: number, agent: Agent) {
    this.id = id;
    this.agent = agent;
  }

  /** @throws JitdbError with the code of the gateway's RESET */
  async opened(): Promise<string> {
    await this.agent.until(() => this.sessionId !== undefined || this.ended !== undefined);
    if (this.sessionId === undefined) {
      const { code = "internal", message = "", hint } = this.ended?.reset ?? {};
      throw new JitdbError(code as "internal", message, { hint });
    }
    return this.sessionId;
  }

  /** The next bytes; undefined at the end. */
  async read(): Promise<Uint8Array | undefined> {
    await this.agent.until(() => this.#chunks.length > 0 || this.ended !== undefined);
    const chunk = this.#chunks.shift();
    if (chunk !== undefined) {
      this.agent.session.consumed(this.id, chunk.byteLength);
      this.agent.flush();
    }
    return chunk;
  }

  /** Resolves when the gateway takes more. */
  async write(bytes: Uint8Array): Promise<void> {
    this.#isWritable = this.agent.session.write(this.id, bytes);
    this.agent.flush();
    await this.agent.until(() => this.#isWritable || this.ended !== undefined);
  }

  /** Resolves when the gateway has closed or reset the stream, read or not. */
  async untilEnded(): Promise<ResetMap | undefined> {
    await this.agent.until(() => this.ended !== undefined);
    return this.ended?.reset;
  }

  close(): void {
    this.agent.session.close(this.id);
    this.agent.flush();
  }

  reset(): void {
    this.agent.session.reset(this.id, { code: "local.interrupted", message: "The client left." });
    this.agent.flush();
  }

  get unreadBytes(): number {
    return this.#chunks.reduce((sum, chunk) => sum + chunk.byteLength, 0);
  }

  open(sessionId: string): void {
    this.sessionId = sessionId;
  }

  take(bytes: Uint8Array): void {
    this.#chunks.push(bytes);
  }

  credit(): void {
    this.#isWritable = true;
  }

  end(reset: ResetMap | undefined): void {
    this.ended ??= { reset };
  }
}

/** The HELLO that the message is, of an agent of another revision. */
function withVersion(version: number, message: Uint8Array): Uint8Array {
  const [frame] = decodeFrames(message);
  if (frame?.type !== "HELLO") {
    throw new Error("An agent begins with HELLO.");
  }
  const payload = encodeMap("HELLO", { ...decodeMap("HELLO", frame.payload), version });
  return encodeFrame({ ...frame, payload });
}
