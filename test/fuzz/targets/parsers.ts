// Bodies of messages: every parser over mutated bodies, and what can be encoded again against the bytes that it came from.

import * as backend from "@jitdb/shared/postgres/backend";
import * as encoder from "@jitdb/shared/postgres/encoder";
import * as frontend from "@jitdb/shared/postgres/frontend";
import { backendMessages, frontendMessages } from "@jitdb/shared/postgres/messages";
import * as rows from "@jitdb/shared/postgres/rows";
import * as startup from "@jitdb/shared/postgres/startup";
import { captures, excerpt } from "../corpus.ts";
import { type Dice, digest, Dice as SeededDice } from "../dice.ts";
import { clientStream } from "../grammar.ts";
import type { Step } from "../input.ts";
import { cutAtRandom, mutateBytes, splitMessages } from "../mutate.ts";
import { codeOf, holds, same, type Target } from "../target.ts";
import { allocatedBy } from "./allocations.ts";

type Parser = (body: Uint8Array) => unknown;

/** A parser, with the encoder of what it gives where there is one. */
type Row = readonly [Parser, ((value: never) => Uint8Array)?];

const clientParsers = new Map<number, readonly Row[]>([
  [
    frontendMessages.Query,
    [[frontend.parseQuery, ({ text }: frontend.Query) => encoder.encodeQuery(text)]],
  ],
  [frontendMessages.Parse, [[frontend.parseParse, encoder.encodeParse]]],
  [frontendMessages.Bind, [[frontend.parseBind, encoder.encodeBind]]],
  [frontendMessages.Execute, [[frontend.parseExecute, encoder.encodeExecute]]],
  [frontendMessages.Describe, [[frontend.parseDescribe, encoder.encodeDescribe]]],
  [frontendMessages.Close, [[frontend.parseClose, encoder.encodeClose]]],
  [frontendMessages.FunctionCall, [[frontend.parseFunctionCall, encoder.encodeFunctionCall]]],
  [frontendMessages.CopyFail, [[frontend.parseCopyFail]]],
  [frontendMessages.Sync, [[frontend.parseEmpty, encoder.encodeSync]]],
  [
    frontendMessages.PasswordMessage,
    [[frontend.parseSaslInitialResponse, encoder.encodeSaslInitialResponse]],
  ],
]);

const serverParsers = new Map<number, readonly Row[]>([
  [backendMessages.Authentication, [[backend.parseAuthentication]]],
  [backendMessages.BackendKeyData, [[backend.parseBackendKeyData, encoder.encodeBackendKeyData]]],
  [backendMessages.NegotiateProtocolVersion, [[backend.parseNegotiateProtocolVersion]]],
  [backendMessages.ParameterStatus, [[backend.parseParameterStatus]]],
  [backendMessages.ReadyForQuery, [[backend.parseReadyForQuery, encoder.encodeReadyForQuery]]],
  [backendMessages.CommandComplete, [[backend.parseCommandComplete]]],
  [backendMessages.ErrorResponse, [[backend.parseErrorResponse]]],
  [backendMessages.NoticeResponse, [[backend.parseNoticeResponse]]],
  [backendMessages.NotificationResponse, [[backend.parseNotificationResponse]]],
  [backendMessages.RowDescription, [[rows.parseRowDescription]]],
  [backendMessages.DataRow, [[rows.parseDataRow]]],
  [backendMessages.ParameterDescription, [[rows.parseParameterDescription]]],
  [backendMessages.FunctionCallResponse, [[rows.parseFunctionCallResponse]]],
  [backendMessages.CopyInResponse, [[rows.parseCopyResponse]]],
]);

export const parsersTarget: Target = {
  name: "parsers",
  about:
    "Every body ends in a value or in postgres.protocol; encoded again it is the same bytes; start-up packets come out of any split.",
  make(dice) {
    if (dice.oneIn(4)) {
      return [{ kind: "startup", bytes: startUpPacket(dice) }];
    }
    const side = dice.pick(["client", "server"] as const);
    const parsers = side === "client" ? clientParsers : serverParsers;
    const messages = side === "client" && dice.oneIn(2) ? clientStream(dice) : excerpt(dice, side);
    const known = messages.filter((message) => parsers.has(message[0] ?? 0));
    const message = known.length === 0 ? dice.bytes(9) : dice.pick(known);
    const type = dice.oneIn(4) ? dice.pick([...parsers.keys()]) : (message[0] ?? 0);
    const body = mutateBytes(dice, message.subarray(5), dice.bytes(16));
    return [{ kind: side, bytes: Buffer.concat([Uint8Array.of(type), body]) }];
  },
  run(input) {
    for (const one of input) {
      if (one.kind === "startup") {
        checkStartUp(one.bytes);
      } else {
        checkBody(one);
      }
    }
  },
};

/** @param bytes the message's type and its body, without a length */
function checkBody({ kind, bytes }: Step): void {
  const type = bytes[0] ?? 0;
  const body = bytes.slice(1);
  const parsers = (kind === "client" ? clientParsers : serverParsers).get(type) ?? [];
  for (const [parse, encode] of parsers) {
    let value: unknown;
    let code: string | undefined;
    const allocated = allocatedBy(() => {
      code = codeOf(() => {
        value = parse(body);
      });
    });
    holds(
      code === undefined || code === "postgres.protocol",
      "A parser throws something else",
      code,
    );
    holds(allocated <= body.length + 64, "A parser allocates more than came", allocated);
    if (code === undefined && encode !== undefined) {
      const again = splitMessages(encode(value as never))[0] ?? new Uint8Array(0);
      same([...again.subarray(5)], [...body], "Encoded again, it is something else");
    }
  }
}

const packets = [
  startup.encodeSslRequest(),
  startup.encodeGssEncRequest(),
  startup.encodeCancelRequest({ processId: 7, secret: Uint8Array.of(1, 2, 3, 4) }),
  startup.encodeCancelRequest({ processId: -1, secret: new Uint8Array(256) }),
];

export function startUpPacket(dice: Dice): Uint8Array {
  const some = dice.several(1, 3, () =>
    dice.oneIn(2) ? dice.pick(captures).startup : dice.pick(packets),
  );
  const bytes = Buffer.concat(some);
  return dice.oneIn(4) ? bytes : mutateBytes(dice, bytes, dice.pick(captures).startup);
}

function checkStartUp(bytes: Uint8Array): void {
  const whole = readPackets([bytes]);
  const dice = new SeededDice(digest(bytes));
  const pieces = readPackets(cutAtRandom(dice, bytes));
  // What comes behind a request in the same chunk is refused, and can't be told in another one: the last packets may differ.
  const shared = Math.min(whole.packets.length, pieces.packets.length);
  same(
    pieces.packets.slice(0, shared),
    whole.packets.slice(0, shared),
    "Another split gives other start-up packets",
  );
  holds(whole.allocated <= bytes.length + 10_000 + 64, "A start-up allocates too much");
}

function readPackets(chunks: readonly Uint8Array[]) {
  const packets: unknown[] = [];
  let code: string | undefined;
  const allocated = allocatedBy(() => {
    code = codeOf(() => {
      const decoder = new startup.StartupDecoder();
      for (const chunk of chunks) {
        const packet = decoder.push(chunk);
        if (packet !== undefined) {
          packets.push(packet);
        }
        if (packet?.kind === "startup" || packet?.kind === "cancel") {
          return;
        }
      }
    });
  });
  const codes = [undefined, "postgres.protocol", "postgres.version"];
  holds(codes.includes(code), "A start-up throws something else", code);
  const last = packets.at(-1) as startup.StartupPacket | undefined;
  if (last?.kind === "startup" && last.parameters.every(({ name }) => name !== "")) {
    const again = codeOf(() => startup.encodeStartupMessage(last));
    holds(again === undefined, "A start-up cannot be encoded again", again);
  }
  return { packets, allocated };
}
