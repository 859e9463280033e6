// The parts that `--micro` measures: codec, walker, observer, journal, each as the relay uses it.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openJournal } from "../../packages/server/src/audit/journal.ts";
import { QueryIntent, SessionTexts } from "../../packages/server/src/audit/ordered.ts";
import { Masker } from "../../packages/server/src/audit/statements/masker.ts";
import { Observer } from "../../packages/server/src/engines/postgres/observer/observer.ts";
import { systemPorts } from "../../packages/server/src/system.ts";
import { MessageWalker } from "../../packages/shared/src/postgres/decoder.ts";
import { encodeQuery, encodeReadyForQuery } from "../../packages/shared/src/postgres/encoder.ts";
import { backendMessages } from "../../packages/shared/src/postgres/messages.ts";
import { cstring, encodeMessage } from "../../packages/shared/src/postgres/writer.ts";
import { TunnelSession } from "../../packages/shared/src/tunnel/session.ts";

export interface Micro {
  readonly name: string;
  prepare(): Prepared;
}

export interface Prepared {
  /** Does the work so many times. */
  readonly run: (count: number) => void;
  readonly close?: () => void;
}

const software = "bench";
const statement = "SELECT abalance FROM accounts WHERE aid = 4711";
const statements = Buffer.concat(Array.from({ length: 100 }, () => encodeQuery(statement)));

export const micros: readonly Micro[] = [
  { name: "tunnel: DATA of 100 bytes, both ends", prepare: () => transfer(100) },
  { name: "tunnel: DATA of 16 KB, both ends", prepare: () => transfer(16_384) },
  {
    name: "walker: a message",
    prepare() {
      const walker = new MessageWalker("frontend");
      const perChunk = 100;
      return {
        run(count) {
          for (let done = 0; done < count; done += perChunk) {
            walker.push(statements);
            for (let segment = walker.next(); segment !== undefined; segment = walker.next()) {
              // Each is one message.
            }
          }
        },
      };
    },
  },
  { name: "observer: a statement and its answer", prepare: observe },
  { name: "journal: a record, written", prepare: record },
];

/** A tunnel in memory; `open` gives it so many streams that do nothing. */
export function idleTunnel(streams: number): { open(): void; close(): void } {
  let tunnel: Tunnel | undefined = connect(streams);
  return {
    open() {
      for (let index = 0; index < streams; index += 1) {
        tunnel?.open();
      }
    },
    close() {
      tunnel = undefined;
    },
  };
}

class Tunnel {
  readonly agent: TunnelSession;
  readonly gateway: TunnelSession;

  constructor(maxStreams: number) {
    this.agent = new TunnelSession({ role: "agent", software, maxStreams });
    this.gateway = new TunnelSession({ role: "gateway", software, maxStreams });
  }

  open(): number {
    const id = this.agent.open({
      ...{ engine: "postgres", kind: "session", grant: "grt_bench" },
      startup: new Uint8Array(8),
    });
    this.pass();
    this.gateway.opened(id, { session: "ses_bench" });
    this.pass();
    return id;
  }

  /** Until nobody has more to say. Bytes that come are read at once. */
  pass(): void {
    for (;;) {
      const hasAsked = move(this.agent, this.gateway);
      const hasAnswered = move(this.gateway, this.agent);
      if (!hasAsked && !hasAnswered) {
        return;
      }
    }
  }
}

function connect(maxStreams: number): Tunnel {
  const tunnel = new Tunnel(maxStreams);
  tunnel.pass();
  return tunnel;
}

function move(from: TunnelSession, to: TunnelSession): boolean {
  const chunks = from.takeOutput();
  if (chunks === null) {
    return false;
  }
  for (const event of to.receive(Buffer.concat(chunks), 0)) {
    if (event.type === "data") {
      to.consumed(event.stream, event.bytes.byteLength);
    }
  }
  return true;
}

function transfer(byteCount: number): Prepared {
  const tunnel = connect(1);
  const id = tunnel.open();
  return {
    run(count) {
      for (let index = 0; index < count; index += 1) {
        tunnel.agent.write(id, new Uint8Array(byteCount));
        tunnel.pass();
      }
    },
  };
}

const subject = {
  ...{ person: "alice", device: "dev_bench", database: "orders", grant: "grt_bench" },
  ...{ session: "ses_bench", address: "127.0.0.1" },
};

function observe(): Prepared {
  let appended = 0;
  const observer = new Observer({
    masker: new Masker(Buffer.from("key")),
    settings: new Map(),
    subject,
    journal: {
      append: () => {
        appended += 1;
        return appended;
      },
    },
    clock: { now: () => 0 },
  });
  const question = encodeQuery(statement);
  const answer = Buffer.concat([
    encodeMessage(backendMessages.DataRow, new Uint8Array(20)),
    encodeMessage(backendMessages.CommandComplete, cstring("SELECT 1")),
    encodeReadyForQuery("idle"),
  ]);
  const client = new MessageWalker("frontend");
  const server = new MessageWalker("backend");
  return {
    run(count) {
      for (let index = 0; index < count; index += 1) {
        client.push(question);
        for (let part = client.next(); part !== undefined; part = client.next()) {
          observer.client(question, part);
        }
        observer.received();
        observer.forwarded();
        server.push(answer);
        for (let part = server.next(); part !== undefined; part = server.next()) {
          observer.server(answer, part);
        }
      }
      if (appended < count) {
        throw new Error("The observer has recorded less than it saw.");
      }
    },
  };
}

function record(): Prepared {
  const folder = mkdtempSync(join(tmpdir(), "jitdb-micro-"));
  const { clock, random } = systemPorts();
  const journal = openJournal({ folder, clock, random });
  const texts = new SessionTexts(subject);
  return {
    run(count) {
      for (let index = 0; index < count; index += 1) {
        journal.record(new QueryIntent(texts, "ses_bench.1", statement, undefined, "UTF8"));
      }
    },
    close() {
      journal.close();
      rmSync(folder, { recursive: true });
    },
  };
}
