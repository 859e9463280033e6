// Everything that streams do, as one conversation between an agent and a gateway, over connections that break where they are told to.
// Whatever breaks, what both sides have seen in the end is the same: the conversation without a cut is the oracle.

import { createHash } from "node:crypto";
import { Secret } from "@jitdb/shared/secret";
import type { TunnelEvent } from "@jitdb/shared/tunnel/events";
import type { Carrier, Cut } from "./carriers.ts";
import { Endpoint } from "./endpoint.ts";

/** What a stream is for; the gateway reads it from the first byte of OPEN's `startup`. */
export const streamKinds = [
  "echo",
  "push",
  "refuse",
  "breakOff",
  "cancel",
  "leave",
  "ahead",
] as const;
export type StreamKind = (typeof streamKinds)[number];
/** The gateway says what it hears. */
const echoes: ReadonlySet<StreamKind> = new Set(["echo", "ahead"]);

/** Small, so that there are many WINDOWs and ACKs to lose. */
const windowBytes = 2048;
const echoBytes = 20_000;
const pushBytes = 10_000;

/** What one side has seen of one stream. */
export interface Seen {
  readonly kind: StreamKind;
  /** Events but for `data` and `writable`, in their order. */
  readonly events: string[];
  readonly received: string;
}

export interface Outcome {
  readonly agent: readonly Seen[];
  readonly gateway: readonly Seen[];
  /** Connections that were needed. */
  readonly connections: number;
  /** Streams of which a side said that the other had lost them. */
  readonly lost: number;
  /** What both sides remember in the end. */
  readonly remembered: readonly number[];
}

/** One side's end of a stream: writes what it has as fast as it may, and hashes what comes. */
class Voice {
  readonly kind: StreamKind;
  readonly events: string[] = [];
  receivedBytes = 0;
  readonly #hash = createHash("sha256");
  readonly #endpoint: Endpoint;
  readonly #id: number;
  #toWrite: Uint8Array[] = [];
  #isWritable = false;
  #closesBehind = false;

  constructor(kind: StreamKind, endpoint: Endpoint, id: number) {
    this.kind = kind;
    this.#endpoint = endpoint;
    this.#id = id;
  }

  get isOver(): boolean {
    return this.events.includes("closed") || this.events.includes("reset");
  }

  get seen(): Seen {
    return { kind: this.kind, events: this.events, received: this.#hash.copy().digest("hex") };
  }

  start(): void {
    this.#isWritable = true;
    this.#write();
  }

  say(bytes: Uint8Array): void {
    this.#toWrite.push(bytes);
    this.#write();
  }

  closeBehind(): void {
    this.#closesBehind = true;
    this.#write();
  }

  take(bytes: Uint8Array): void {
    this.#hash.update(bytes);
    this.receivedBytes += bytes.byteLength;
    this.#endpoint.do((session) => session.consumed(this.#id, bytes.byteLength));
  }

  resume(): void {
    this.#isWritable = true;
    this.#write();
  }

  #write(): void {
    while (this.#isWritable && !this.isOver) {
      const bytes = this.#toWrite.shift();
      if (bytes === undefined) {
        if (this.#closesBehind) {
          this.#endpoint.do((session) => session.close(this.#id));
        }
        return;
      }
      this.#isWritable = this.#endpoint.do((session) => session.write(this.#id, bytes));
    }
  }
}

/** The bytes of a stream, in pieces of changing sizes. */
function* pieces(total: number, seed: number): Generator<Uint8Array> {
  for (let at = 0, n = seed; at < total; n += 1) {
    const size = Math.min(1 + ((n * 7919) % 1500), total - at);
    yield Uint8Array.from({ length: size }, (_, i) => ((at + i) * 31 + seed) % 251);
    at += size;
  }
}

export function sha256(total: number, seed: number): string {
  const hash = createHash("sha256");
  for (const piece of pieces(total, seed)) {
    hash.update(piece);
  }
  return hash.digest("hex");
}

export class Conversation {
  readonly #carrier: Carrier;
  readonly #cuts: Cut[];
  readonly #voices = { agent: new Map<number, Voice>(), gateway: new Map<number, Voice>() };
  readonly #over: Promise<void>;
  #finish: (error?: unknown) => void = () => undefined;
  #agent!: Endpoint;
  #gateway!: Endpoint;
  #ticket: Secret | undefined;
  #tickets = 0;
  #connections = 0;
  #lost = 0;
  #isOver = false;

  /** @param cuts one for each connection; those behind them are not cut */
  constructor(carrier: Carrier, cuts: readonly Cut[]) {
    this.#carrier = carrier;
    this.#cuts = [...cuts];
    this.#over = new Promise((resolve, reject) => {
      this.#finish = (error) => (error === undefined ? resolve() : reject(error));
    });
  }

  async run(): Promise<Outcome> {
    this.#begin();
    await this.#connect();
    await this.#over;
    const seenBy = (side: "agent" | "gateway") =>
      [...this.#voices[side]].sort(([a], [b]) => a - b).map(([, voice]) => voice.seen);
    return {
      agent: seenBy("agent"),
      gateway: seenBy("gateway"),
      connections: this.#connections,
      lost: this.#lost,
      remembered: [this.#agent, this.#gateway].map(({ session }) => session.streamCount),
    };
  }

  #begin(): void {
    const options = { software: "test", windowBytes };
    this.#agent = new Endpoint({ role: "agent", ...options });
    this.#gateway = new Endpoint({ role: "gateway", ...options, ticket: this.#newTicket() });
    this.#agent.onEvent = (event) => this.#hearAgent(event);
    this.#gateway.onEvent = (event) => this.#hearGateway(event);
    this.#agent.onTurn = () => this.#finishIfOver();
    this.#gateway.onTurn = () => this.#finishIfOver();
    this.#agent.onDetached = () => void this.#connect();
  }

  #newTicket() {
    this.#tickets += 1;
    return { value: new Secret(`ticket ${this.#tickets}`), parkedMs: 1000 };
  }

  async #connect(): Promise<void> {
    for (;;) {
      if (this.#isOver) {
        return;
      }
      this.#connections += 1;
      const cut = this.#cuts.shift();
      const connection = await this.#carrier.connect(cut);
      if (connection === undefined) {
        if (cut === undefined) {
          // Ports run out, for one: trying again would never end.
          this.#finish(new Error("A connection that nobody cut did not come about."));
          return;
        }
        continue;
      }
      if (this.#ticket === undefined) {
        // The first HELLO was never heard: there is nothing to resume.
        if (this.#connections > 1) {
          this.#begin();
        }
        this.#gateway.bind(connection.gateway);
        this.#agent.bind(connection.agent);
      } else {
        this.#gateway.attach(connection.gateway, { ticket: this.#newTicket() });
        this.#agent.attach(connection.agent, { resume: this.#ticket });
      }
      return;
    }
  }

  #hearAgent(event: TunnelEvent): void {
    if (event.type === "hello") {
      const isFirst = this.#ticket === undefined;
      this.#ticket = event.hello.ticket?.value;
      if (isFirst) {
        this.#openAll();
      }
    } else if (event.type === "resumed") {
      this.#lost += event.lost;
    } else if ("stream" in event) {
      const voice = this.#voices.agent.get(event.stream);
      if (voice !== undefined) {
        hear(voice, event);
        this.#actAsAgent(voice, event);
      }
    }
  }

  #openAll(): void {
    for (const [index, kind] of streamKinds.entries()) {
      const id = this.#agent.do((session) =>
        session.open({
          engine: "postgres",
          kind: kind === "cancel" ? "cancel" : "session",
          grant: "grt_1",
          startup: Uint8Array.of(index),
        }),
      );
      const voice = new Voice(kind, this.#agent, id);
      this.#voices.agent.set(id, voice);
      if (kind === "ahead") {
        // It waits for no answer.
        voice.start();
        this.#sayAll(voice);
      }
    }
  }

  #actAsAgent(voice: Voice, event: Extract<TunnelEvent, { stream: number }>): void {
    const { kind } = voice;
    if (event.type === "opened") {
      if (kind === "ahead") {
        // CLOSE has its place behind OPENED.
        voice.closeBehind();
        return;
      }
      voice.start();
      if (kind === "echo" || kind === "breakOff") {
        this.#sayAll(voice);
      }
      if (kind === "echo") {
        voice.closeBehind();
      }
    } else if (event.type === "peerClosed" && !echoes.has(kind)) {
      voice.closeBehind();
    } else if (event.type === "data" && kind === "leave" && voice.receivedBytes > 3000) {
      voice.events.push("reset");
      this.#agent.do((session) =>
        session.reset(event.stream, { code: "local.interrupted", message: "enough" }),
      );
    }
  }

  #sayAll(voice: Voice): void {
    for (const piece of pieces(echoBytes, 1)) {
      voice.say(piece);
    }
  }

  #hearGateway(event: TunnelEvent): void {
    if (event.type === "open") {
      const kind = streamKinds[event.open.startup[0] ?? 0] ?? "echo";
      const voice = new Voice(kind, this.#gateway, event.stream);
      this.#voices.gateway.set(event.stream, voice);
      this.#answer(voice, event.stream);
    } else if ("stream" in event) {
      const voice = this.#voices.gateway.get(event.stream);
      if (voice !== undefined) {
        hear(voice, event);
        this.#actAsGateway(voice, event);
      }
    }
  }

  #answer(voice: Voice, id: number): void {
    if (voice.kind === "refuse") {
      voice.events.push("reset");
      this.#gateway.do((session) =>
        session.reset(id, { code: "grant.expired", message: "It is over." }),
      );
      return;
    }
    this.#gateway.do((session) => session.opened(id, { session: `ses_${id}` }));
    voice.start();
    if (voice.kind === "push" || voice.kind === "leave") {
      for (const piece of pieces(pushBytes, 2)) {
        voice.say(piece);
      }
    }
    if (voice.kind === "push" || voice.kind === "cancel") {
      voice.closeBehind();
    }
  }

  #actAsGateway(voice: Voice, event: Extract<TunnelEvent, { stream: number }>): void {
    if (echoes.has(voice.kind) && event.type === "data") {
      voice.say(event.bytes);
    } else if (echoes.has(voice.kind) && event.type === "peerClosed") {
      voice.closeBehind();
    } else if (voice.kind === "breakOff" && event.type === "data" && !voice.isOver) {
      voice.events.push("reset");
      this.#gateway.do((session) =>
        session.reset(event.stream, { code: "grant.revoked", message: "It is over." }),
      );
    }
  }

  #finishIfOver(): void {
    const { agent, gateway } = this.#voices;
    for (const { failure } of [this.#agent, this.#gateway]) {
      if (failure !== undefined) {
        this.#finish(failure);
      }
    }
    const isOver = [agent, gateway].every(
      (voices) => voices.size === streamKinds.length && [...voices.values()].every((v) => v.isOver),
    );
    const isKnown = [this.#agent, this.#gateway].every(({ session }) => session.streamCount === 0);
    if (isOver && isKnown) {
      this.#isOver = true;
      this.#finish();
    }
  }
}

function hear(voice: Voice, event: Extract<TunnelEvent, { stream: number }>): void {
  if (event.type === "data") {
    voice.take(event.bytes);
  } else if (event.type === "writable") {
    voice.resume();
  } else {
    voice.events.push(event.type);
  }
}

export const expected = { echo: sha256(echoBytes, 1), push: sha256(pushBytes, 2) } as const;
