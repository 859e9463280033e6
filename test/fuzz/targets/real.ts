// Real servers: the same mutated client directly and through a gateway. The server's own log is the oracle of what ran.

import { once } from "node:events";
import { readFileSync } from "node:fs";
import type { Socket } from "node:net";
import type { GrantId } from "@jitdb/shared/ids";
import { encodeQuery, encodeSync } from "@jitdb/shared/postgres/encoder";
import pg from "pg";
import { loggingSettings, statementsInLog } from "../../e2e/server-log.ts";
import type { Agent } from "../../gateway/agent.ts";
import { createRig, type Rig } from "../../gateway/rig.ts";
import { WireClient } from "../../gateway/wire-client.ts";
import {
  type PostgresVersion,
  type RunningPostgres,
  startPostgres,
} from "../../support/postgres.ts";
import { clientStream } from "../grammar.ts";
import { bytesOf } from "../input.ts";
import { mutateMessages, splitMessages } from "../mutate.ts";
import { holds, stepsOf, type Target } from "../target.ts";

/** A server that says nothing for so long is waiting for more. */
const silenceMs = 250;
const fence = "fence-of-the-case";

export function realTarget(version: PostgresVersion): Target {
  let running: Promise<Place> | undefined;
  return {
    name: `real-${version}`,
    about:
      "What a real server logs is in the audit, and its answers are those that a direct client gets, as far as the gateway lets it go.",
    deadlineMs: 20_000,
    make(dice) {
      const made = clientStream(dice);
      return stepsOf(
        "client",
        dice.oneIn(3) ? made : mutateMessages(dice, made, clientStream(dice)),
      );
    },
    async run(input) {
      running ??= Place.start(version);
      const place = await running;
      const bytes = Buffer.concat([
        bytesOf(input, "client"),
        encodeSync(),
        encodeQuery(`SELECT '${fence}'`),
      ]);
      const direct = await place.direct(bytes);
      const tunnelled = await place.tunnelled(bytes);
      place.checkLog();
      checkAnswers(direct, tunnelled.bytes, tunnelled.isCut);
    },
    async close() {
      await (await running)?.close();
      running = undefined;
    },
  };
}

/** Types of the messages, in order; what comes at any time left out. */
function typesOf(bytes: Uint8Array): string {
  const types = splitMessages(bytes).map((message) => String.fromCharCode(message[0] ?? 0));
  return types.filter((type) => !"NSA".includes(type)).join("");
}

/** The gateway may refuse more than the server does: then it cuts what is otherwise the same, most often with its own error. */
function checkAnswers(direct: Uint8Array, tunnelled: Uint8Array, isCut: boolean): void {
  const expected = typesOf(direct);
  const found = typesOf(tunnelled);
  const isRefused = isCut && expected.startsWith(found.replace(/E$/, ""));
  holds(found === expected || isRefused, "A direct client gets other answers", found, expected);
}

/** A server, a gateway in front of it, and two users of the same rights: one for each way. */
class Place {
  readonly #postgres: RunningPostgres;
  readonly #rig: Rig;
  readonly #agent: Agent;
  readonly #grant: GrantId;
  readonly #directGrant: GrantId;
  #logged = 0;

  private constructor(
    postgres: RunningPostgres,
    rig: Rig,
    agent: Agent,
    grants: readonly [GrantId, GrantId],
  ) {
    this.#postgres = postgres;
    this.#rig = rig;
    this.#agent = agent;
    [this.#grant, this.#directGrant] = grants;
  }

  static async start(version: PostgresVersion): Promise<Place> {
    const postgres = await startPostgres({ version, settings: loggingSettings });
    const rig = await createRig(postgres);
    await rig.superuser("CREATE TABLE t (id int); GRANT ALL ON t TO PUBLIC");
    const grants = [await rig.grant("alice"), await rig.grant("alice")] as const;
    return new Place(postgres, rig, await rig.agent("alice"), grants);
  }

  /** What the server answers without anything in between. */
  async direct(bytes: Uint8Array): Promise<Uint8Array> {
    const { host, port } = this.#postgres;
    const user = this.#rig.userOf(this.#directGrant);
    const client = new pg.Client({
      host,
      port,
      database: "postgres",
      user: user.userName,
      password: user.password.reveal(),
    });
    await client.connect();
    // From here on its socket is ours.
    const { stream } = (client as unknown as { connection: { stream: Socket } }).connection;
    stream.removeAllListeners().on("error", () => undefined);
    const received: Uint8Array[] = [];
    stream.on("data", (chunk: Uint8Array) => received.push(chunk));
    const ended = once(stream, "close").then(() => true);
    stream.write(bytes);
    await untilQuiet(received, ended);
    stream.destroy();
    return Buffer.concat(received);
  }

  /** The same through the gateway, behind its greeting. */
  async tunnelled(bytes: Uint8Array): Promise<{ bytes: Uint8Array; isCut: boolean }> {
    const { stream } = await WireClient.open(this.#agent, this.#grant);
    const received: Uint8Array[] = [];
    const ended = (async () => {
      for (let chunk = await stream.read(); chunk; chunk = await stream.read()) {
        received.push(chunk);
      }
      return true;
    })();
    await stream.write(bytes);
    await untilQuiet(received, ended);
    const isCut = stream.ended !== undefined;
    if (!isCut) {
      stream.reset();
    }
    return { bytes: Buffer.concat(received), isCut };
  }

  /** Everything that the server has logged for the tunnel's user since the last time is on record. */
  checkLog(): void {
    const log = readFileSync(this.#postgres.serverLog, "utf8");
    const { userName } = this.#rig.userOf(this.#grant);
    const ran = statementsInLog(log.slice(this.#logged), new RegExp(`^${userName}$`));
    this.#logged = log.lastIndexOf("\n") + 1;
    const texts = new Set(this.#texts());
    const missing = ran.filter(
      (statement) => !texts.has(statement) && !isBehindName(statement, texts),
    );
    holds(missing.length === 0, "The server ran what is not on record", missing);
  }

  /** Texts that intents name. */
  #texts(): string[] {
    const parses = this.#rig.records("statement.parse").map(({ text }) => text);
    const intents = this.#rig.records("statement.intent").flatMap((intent) => {
      if (intent.protocol === "execute") {
        return intent.candidates.map(({ text }) => text);
      }
      return intent.protocol === "query" ? [intent.text] : [];
    });
    return [...parses, ...intents].filter((text) => typeof text === "string");
  }

  async close(): Promise<void> {
    await this.#rig.close();
    await this.#postgres.stop();
  }
}

/** A statement's or portal's name with a colon in it stands in front of the text. */
function isBehindName(statement: string, texts: ReadonlySet<string>): boolean {
  return [...texts].some((text) => text !== "" && statement.endsWith(`: ${text}`));
}

/** Until the fence was answered, or the end, or nothing comes any more. */
async function untilQuiet(received: readonly Uint8Array[], ended: Promise<boolean>): Promise<void> {
  for (let count = -1, isOver = false; !isOver; ) {
    const isAnswered = Buffer.concat(received).toString("latin1").includes(fence);
    isOver = received.length === count || isAnswered;
    count = received.length;
    if (!isOver) {
      const silent = new Promise<boolean>((resolve) => setTimeout(resolve, silenceMs, false));
      isOver = await Promise.race([ended, silent]);
    }
  }
}
