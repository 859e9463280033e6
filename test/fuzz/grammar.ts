// Streams of client messages that a grammar makes: what pipelining clients send, with every statement's text its own, so
// that it can be told which of them ran. The statements are a few that server-model.ts and a real server both understand.

import {
  encodeBind,
  encodeClose,
  encodeCopyFail,
  encodeDescribe,
  encodeExecute,
  encodeFunctionCall,
  encodeParse,
  encodeQuery,
  encodeSync,
  encodeTerminate,
} from "@jitdb/shared/postgres/encoder";
import { frontendMessages } from "@jitdb/shared/postgres/messages";
import type { Dice } from "./dice.ts";
import { withLength } from "./mutate.ts";

const long = "n".repeat(63);
/** The second of the long ones is cut to the first by the server. */
const names = ["", "", "a", "a", "b", long, `${long}x`];

/** What single statements do; server-model.ts says how. */
const statements = [
  "SELECT 1",
  "SELECT 1",
  "SELECT generate_series(1, 5)",
  "SELECT 1/0",
  "SELEC",
  "BEGIN",
  "COMMIT",
  "ROLLBACK",
  "COPY t FROM STDIN",
  "COPY (SELECT 1) TO STDOUT",
  "PREPARE a AS SELECT 1",
  "EXECUTE a",
  "DEALLOCATE a",
  "DEALLOCATE ALL",
  "DECLARE b CURSOR FOR SELECT 1",
  "CLOSE b",
  "DISCARD ALL",
  "SET client_encoding TO 'UTF8'",
] as const;

const several = ["SELECT 1; SELECT 1", "SELECT 1; SELECT 1/0; SELECT 1", "SELECT 1; SELEC", ""];

/** The OID of `abs(int)`, in every PostgreSQL. */
export const absOid = 1397;

export function clientStream(dice: Dice): Uint8Array[] {
  let count = 0;
  const mark = (text: string) => {
    count += 1;
    // Long texts are recorded in pieces, as they come.
    const padding = dice.oneIn(2000) ? " ".repeat(dice.pick([262_100, 600_000])) : "";
    return `${padding}${text} /* ${count} */`;
  };
  return [...dice.several(1, 14, () => part(dice, mark)).flat(), encodeSync()];
}

type Mark = (text: string) => string;

/** Messages that mean something together. */
function part(dice: Dice, mark: Mark): Uint8Array[] {
  const choice = dice.below(12);
  if (choice < 3) {
    return [encodeQuery(mark(dice.pick([...statements, ...several])))];
  }
  if (choice < 7) {
    return extended(dice, mark);
  }
  if (choice < 8) {
    return dice.oneIn(3) ? renaming(dice, mark) : copy(dice, mark);
  }
  return [single(dice, mark)];
}

function extended(dice: Dice, mark: Mark): Uint8Array[] {
  const statement = Buffer.from(dice.pick(names));
  const portal = Buffer.from(dice.pick(names));
  const text = Buffer.from(mark(dice.pick(statements)));
  const all = [
    encodeParse({ statement, text, parameterTypes: [] }),
    encodeDescribe({ kind: "statement", name: statement }),
    bind(portal, statement),
    encodeDescribe({ kind: "portal", name: portal }),
    ...dice.several(1, 2, () => encodeExecute({ portal, maxRows: dice.pick([0, 0, 2, -1]) })),
    encodeSync(),
  ];
  return all.filter(() => !dice.oneIn(5));
}

/** A name that SQL gives another meaning, in one run of messages or in several. */
function renaming(dice: Dice, mark: Mark): Uint8Array[] {
  const name = Buffer.from("a");
  const change = (text: string) =>
    dice.oneIn(2)
      ? [encodeQuery(mark(text))]
      : [
          encodeParse({
            statement: Buffer.of(),
            text: Buffer.from(mark(text)),
            parameterTypes: [],
          }),
          bind(Buffer.of(), Buffer.of()),
          encodeExecute({ portal: Buffer.of(), maxRows: 0 }),
          ...(dice.oneIn(2) ? [encodeSync()] : []),
        ];
  const text = Buffer.from(mark("SELECT generate_series(1, 5)"));
  const all = [
    [encodeParse({ statement: name, text, parameterTypes: [] })],
    dice.oneIn(2) ? [encodeSync()] : [],
    change(dice.pick(["DEALLOCATE a", "DEALLOCATE ALL", "DISCARD ALL"])),
    change("PREPARE a AS SELECT 1"),
    [bind(Buffer.of(), name), encodeExecute({ portal: Buffer.of(), maxRows: 0 }), encodeSync()],
  ];
  return all.filter(() => !dice.oneIn(12)).flat();
}

function copy(dice: Dice, mark: Mark): Uint8Array[] {
  const start = dice.oneIn(2)
    ? [encodeQuery(mark("COPY t FROM STDIN"))]
    : extended(dice, () => mark("COPY t FROM STDIN"));
  const line = withLength(frontendMessages.CopyData, Buffer.from("1\n"));
  const end = dice.pick([withLength(frontendMessages.CopyDone, Buffer.of()), encodeCopyFail("no")]);
  return [...start, ...dice.several(0, 3, () => line), ...(dice.oneIn(5) ? [] : [end])];
}

function single(dice: Dice, mark: Mark): Uint8Array {
  const name = Buffer.from(dice.pick(names));
  const other = Buffer.from(dice.pick(names));
  const kind = dice.pick(["statement", "portal"] as const);
  const text = Buffer.from(mark(dice.pick(statements)));
  return dice.pick([
    () => encodeSync(),
    () => encodeSync(),
    () => encodeParse({ statement: name, text, parameterTypes: [] }),
    () => bind(name, other),
    () => encodeExecute({ portal: name, maxRows: 0 }),
    () => encodeClose({ kind, name }),
    () => encodeDescribe({ kind, name }),
    () => withLength(frontendMessages.Flush, Buffer.of()),
    () => withLength(frontendMessages.CopyDone, Buffer.of()),
    () => withLength(frontendMessages.CopyData, Buffer.from("1\n")),
    () => functionCall(),
    () => (dice.oneIn(10) ? encodeTerminate() : encodeSync()),
  ])();
}

function bind(portal: Uint8Array, statement: Uint8Array): Uint8Array {
  return encodeBind({
    portal,
    statement,
    parameterFormats: [],
    parameters: [],
    resultFormats: [],
  });
}

function functionCall(): Uint8Array {
  return encodeFunctionCall({
    functionOid: absOid,
    argumentFormats: [0],
    arguments: [Buffer.from("-5")],
    resultFormat: 0,
  });
}
