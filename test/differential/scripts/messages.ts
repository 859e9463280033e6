// Messages in the words of scripts: text instead of bytes, and what is seldom needed left out.

import {
  encodeBind,
  encodeClose,
  encodeDescribe,
  encodeExecute,
  encodeParse,
  encodeQuery,
} from "@jitdb/shared/postgres/encoder";
import { frontendMessages } from "@jitdb/shared/postgres/messages";
import { encodeMessage } from "@jitdb/shared/postgres/writer";
import type { RawSession } from "../raw-session.ts";
import type { World } from "../script.ts";

/** One session that sends these texts, each as a Query of its own. */
export function queries(...texts: readonly (string | Uint8Array)[]) {
  return async (world: World): Promise<void> => {
    const session = await world.open();
    await ask(session, ...texts);
    await session.end();
  };
}

export async function ask(
  session: RawSession,
  ...texts: readonly (string | Uint8Array)[]
): Promise<void> {
  for (const text of texts) {
    await session.ask(encodeQuery(text));
  }
}

/** One session that sends these lists of messages, each answered before the next is sent. */
export function pipelines(...lists: readonly (readonly Uint8Array[])[]) {
  return async (world: World): Promise<void> => {
    const session = await world.open();
    for (const messages of lists) {
      await session.ask(...messages);
    }
    await session.end();
  };
}

/** A statement with its parameters, run at once. */
export function run(text: string, parameters: readonly (string | null)[] = []): Uint8Array[] {
  return [parse(text), bind(parameters), describe("portal"), execute()];
}

export const bytes = (text: string) => new TextEncoder().encode(text);

export function parse(text: string | Uint8Array, statement = "", types: number[] = []): Uint8Array {
  return encodeParse({
    statement: bytes(statement),
    text: typeof text === "string" ? bytes(text) : text,
    parameterTypes: types,
  });
}

export interface BindOptions {
  readonly portal?: string;
  readonly statement?: string;
  /** 0 text, 1 binary; as the protocol has it, one for all or one each. */
  readonly formats?: number[];
  readonly results?: number[];
}

export function bind(
  parameters: readonly (string | Uint8Array | null)[] = [],
  { portal = "", statement = "", formats = [], results = [] }: BindOptions = {},
): Uint8Array {
  return encodeBind({
    portal: bytes(portal),
    statement: bytes(statement),
    parameterFormats: formats,
    parameters: parameters.map((value) => (typeof value === "string" ? bytes(value) : value)),
    resultFormats: results,
  });
}

export function execute(portal = "", maxRows = 0): Uint8Array {
  return encodeExecute({ portal: bytes(portal), maxRows });
}

export function describe(kind: "statement" | "portal", name = ""): Uint8Array {
  return encodeDescribe({ kind, name: bytes(name) });
}

export function close(kind: "statement" | "portal", name = ""): Uint8Array {
  return encodeClose({ kind, name: bytes(name) });
}

export const flush = () => encodeMessage(frontendMessages.Flush);

export const copyData = (data: string | Uint8Array) =>
  encodeMessage(frontendMessages.CopyData, typeof data === "string" ? bytes(data) : data);

export const copyDone = () => encodeMessage(frontendMessages.CopyDone);

/** Any type byte, any length word, any body. */
export function broken(type: number, length: number, body: Uint8Array = new Uint8Array()): Buffer {
  const header = Buffer.alloc(5);
  header.writeUInt8(type);
  header.writeUInt32BE(length >>> 0, 1);
  return Buffer.concat([header, body]);
}
