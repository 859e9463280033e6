// A PostgreSQL client for tests that speaks messages through a stream of the tunnel.

import {
  type ErrorFields,
  parseCommandComplete,
  parseErrorResponse,
  parseNoticeResponse,
} from "../../packages/shared/src/postgres/backend.ts";
import { type Message, MessageCollector } from "../../packages/shared/src/postgres/decoder.ts";
import { encodeQuery } from "../../packages/shared/src/postgres/encoder.ts";
import { backendMessages } from "../../packages/shared/src/postgres/messages.ts";
import { parseDataRow } from "../../packages/shared/src/postgres/rows.ts";
import {
  encodeStartupMessage,
  protocolVersions,
} from "../../packages/shared/src/postgres/startup.ts";
import type { Agent, AgentStream } from "./agent.ts";

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** A start-up packet; parameters in order, repetitions allowed. */
export function startUp(
  parameters: readonly (readonly [string, string])[] = [["user", "anybody"]],
): Uint8Array {
  return encodeStartupMessage({
    version: protocolVersions.v3_0,
    parameters: parameters.map(([name, value]) => ({ name, value: encoder.encode(value) })),
  });
}

export interface Result {
  readonly rows: (string | null)[][];
  readonly tags: string[];
  readonly error: ErrorFields | undefined;
}

export class WireClient<Stream extends Pick<AgentStream, "read" | "write"> = AgentStream> {
  readonly stream: Stream;
  /** What came before the first ReadyForQuery, and that. */
  readonly greeting: Message[] = [];
  readonly #messages = new MessageCollector("backend", 64 * 1024 * 1024);

  constructor(stream: Stream) {
    this.stream = stream;
  }

  /** Opens a session and reads to the first ReadyForQuery. */
  static async open(agent: Agent, grant: string, packet = startUp()): Promise<WireClient> {
    const client = new WireClient(agent.open("session", grant, packet));
    await client.stream.opened();
    client.greeting.push(...(await client.until(backendMessages.ReadyForQuery)));
    return client;
  }

  async send(...messages: Uint8Array[]): Promise<void> {
    await this.stream.write(Buffer.concat(messages));
  }

  /** The next message; undefined at the stream's end. */
  async next(): Promise<Message | undefined> {
    for (;;) {
      const message = this.#messages.next();
      if (message !== undefined) {
        return { type: message.type, body: message.body.slice() };
      }
      const chunk = await this.stream.read();
      if (chunk === undefined) {
        return undefined;
      }
      this.#messages.push(chunk);
    }
  }

  /** Messages up to and with one of this type, or to the end. */
  async until(type: number): Promise<Message[]> {
    const messages: Message[] = [];
    for (let message = await this.next(); message; message = await this.next()) {
      messages.push(message);
      if (message.type === type) {
        break;
      }
    }
    return messages;
  }

  async query(sql: string): Promise<Result> {
    await this.send(encodeQuery(sql));
    return this.result();
  }

  /** Reads to ReadyForQuery. */
  async result(): Promise<Result> {
    return toResult(await this.until(backendMessages.ReadyForQuery));
  }

  /** Reads to the end; gives the last error. */
  async lastError(): Promise<ErrorFields | undefined> {
    return toResult(await this.until(-1)).error;
  }

  /** Messages of the warnings among these. */
  static notices(messages: readonly Message[]): ErrorFields[] {
    return messages
      .filter(({ type }) => type === backendMessages.NoticeResponse)
      .map(({ body }) => parseNoticeResponse(body));
  }
}

function toResult(messages: readonly Message[]): Result {
  const of = (type: number) => messages.filter((message) => message.type === type);
  const error = of(backendMessages.ErrorResponse).at(-1);
  return {
    rows: of(backendMessages.DataRow).map(({ body }) =>
      parseDataRow(body).map((value) => (value === null ? null : decoder.decode(value))),
    ),
    tags: of(backendMessages.CommandComplete).map(({ body }) => parseCommandComplete(body).tag),
    error: error === undefined ? undefined : parseErrorResponse(error.body),
  };
}
