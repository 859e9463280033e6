// Masking of secrets in statements, against PostgreSQL's own parser: what it takes for a password is in no record.

import { createRequire } from "node:module";
import { Masker } from "../../../packages/server/src/audit/statements/masker.ts";
import { loadParsedSecrets } from "../../../packages/server/src/audit/statements/parsed-secrets.ts";
import { Dice, digest } from "../dice.ts";
import { bytesOf, type Input, step } from "../input.ts";
import { mutateBytes } from "../mutate.ts";
import { holds, type Target } from "../target.ts";

/** As much of libpg-query as is used here; it is the server's dependency. */
interface Parser {
  loadModule(): Promise<void>;
  parseSync(text: string): unknown;
}

const server = new URL("../../../packages/server/package.json", import.meta.url);
const parser: Parser = createRequire(server)("libpg-query");
await parser.loadModule();

const canary = "Canary7secret";
const masker = new Masker(Buffer.from("key"), await loadParsedSecrets());
const syntax = { encoding: "UTF8", standardStrings: true } as const;

/** `%` stands for a password as SQL writes one. */
const templates = [
  "CREATE ROLE joe LOGIN PASSWORD %",
  "CREATE USER joe WITH ENCRYPTED PASSWORD % VALID UNTIL 'infinity'",
  "ALTER ROLE joe PASSWORD %",
  "ALTER USER CURRENT_USER WITH PASSWORD %",
  "CREATE GROUP g PASSWORD %",
  "ALTER ROLE joe PASSWORD % NOLOGIN; SELECT 1",
  "CREATE USER MAPPING FOR joe SERVER s OPTIONS (user 'joe', password %)",
  "ALTER USER MAPPING FOR joe SERVER s OPTIONS (SET password %)",
  "CREATE USER MAPPING IF NOT EXISTS FOR PUBLIC SERVER s OPTIONS (password %, sslpassword 'x')",
  "EXPLAIN SELECT 'harmless'; ALTER ROLE \"Joe\" VALID UNTIL '2030-01-01' PASSWORD %",
  "ALTER ROLE joe SET search_path = 'a'; ALTER ROLE joe PASSWORD %",
  "SELECT 'password' AS password; CREATE ROLE x PASSWORD %",
];

const spellings: readonly ((secret: string) => string)[] = [
  (secret) => `'${secret}'`,
  (secret) => `'it''s ${secret}'`,
  (secret) => `E'${secret}'`,
  (secret) => `E'\\'${secret}\\n'`,
  (secret) => `'${secret.slice(0, 4)}'\n  '${secret.slice(4)}'`,
  (secret) => `E'${secret.slice(0, 4)}'\n'${secret.slice(4)}'`,
  (secret) => `U&'${secret}'`,
  (secret) => `U&'d!0061${secret}' UESCAPE '!'`,
  (secret) => `'ä€𝄞${secret}'`,
  (secret) => `'x'/* c */ -- '\n`.concat(`\n'${secret}'`),
];

const noises = [
  " ",
  "\n",
  "\t",
  "\f",
  "\r\n",
  " /* ' */ ",
  " /* /* nested */ ' */ ",
  " -- ' \n",
  " -- PASSWORD \r",
];

/** Statements as a whole that may be put in front. */
const fronts = [
  "",
  "",
  "SELECT 1;",
  "SELECT 'a''b', E'\\'', $$ ' $$, $t$ $$ $t$, \"q\"\"'\";",
  "SELECT $1::text;",
  "-- '\n",
  "/* ' */",
  "SELECT U&'\\0027';",
  "SELECT 'x' 'y';",
  "DO $$ begin end $$;",
];

/** What long texts repeat: what costs more than its length shows here. */
const pieces = [
  "'",
  "''",
  "\\",
  "$",
  "$a",
  "$$",
  "/*",
  "*/",
  "--",
  "\n",
  "a",
  "é",
  "E'",
  "password ",
  "password=",
  "password='",
  "postgres://",
  ":",
  "@",
  "(",
  "dblink(",
  "create role ",
  ";",
  "'a' ",
  "0",
];

export const sqlTarget: Target = {
  name: "sql",
  about:
    "What PostgreSQL's parser takes for a password stands in no record, and a long text takes no longer than its length.",
  deadlineMs: 60_000,
  make(dice) {
    if (dice.oneIn(4000)) {
      return repetition(dice, "repeat");
    }
    const written = dice.pick(spellings)(canary);
    const words = dice
      .pick(templates)
      .split(" ")
      .map((word) => (dice.oneIn(6) ? changeCase(word) : word));
    const text = words.map((word) => word + (dice.oneIn(5) ? dice.pick(noises) : " ")).join("");
    const whole = Buffer.from(dice.pick(fronts) + text.replace("%", () => written));
    return [
      step("sql", dice.oneIn(2) ? mutateBytes(dice, whole, Buffer.from(dice.pick(fronts))) : whole),
    ];
  },
  run(input) {
    for (const { kind, bytes } of input) {
      if (kind === "sql") {
        checkSecret(bytes);
      }
    }
    const front = bytesOf(input, "front");
    for (const { kind, bytes } of input) {
      if (kind === "repeat" || kind === "megabyte") {
        checkLong(front, bytes, kind === "repeat" ? 65_536 : 1_048_576);
      }
    }
  },
};

export const longSqlTarget: Target = {
  ...sqlTarget,
  name: "sql-long",
  about: "A megabyte of anything is masked in time that grows with its length.",
  make: (dice) => repetition(dice, "megabyte"),
};

/** @param kind `repeat` for a text of 64 KiB, `megabyte` for one of that length */
function repetition(dice: Dice, kind: "repeat" | "megabyte"): Input {
  const repeated = dice.several(1, 2, () => dice.pick(pieces)).join("");
  const front = dice.pick(["create role x password '", "dblink('postgres://", "", "'"]);
  return [step("front", front), step(kind, repeated)];
}

function changeCase(word: string): string {
  return word === word.toLowerCase() ? word.toUpperCase() : word.toLowerCase();
}

function checkSecret(bytes: Uint8Array): void {
  const { bytes: masked } = masker.mask(bytes, syntax);
  const pieces = maskInPieces(bytes);
  const text = Buffer.from(bytes).toString("utf8");
  const passwords = text.includes("\0") ? [] : passwordsIn(text).filter((one) => one.length > 5);
  for (const recorded of [Buffer.from(masked).toString("utf8"), pieces]) {
    for (const password of passwords) {
      const shown = [recorded, ...stringsIn(recorded)].some((one) => one.includes(password));
      // A name or a comment may be the same word, and stays.
      holds(!shown || occursElsewhere(text, password), "A password is in the record", recorded);
    }
  }
}

/** As a long statement is masked: in pieces of any size. */
function maskInPieces(bytes: Uint8Array): string {
  const dice = new Dice(digest(bytes));
  const stream = masker.stream(syntax, 1);
  const masked: Uint8Array[] = [];
  for (let at = 0; at < bytes.length; ) {
    const end = at + dice.between(1, 20);
    masked.push(stream.push(bytes.subarray(at, end)).bytes);
    at = end;
  }
  masked.push(stream.finish().bytes);
  return Buffer.concat(masked).toString("utf8");
}

function checkLong(front: Uint8Array, repeated: Uint8Array, length: number): void {
  const count = Math.floor(length / Math.max(1, repeated.length));
  const long = Buffer.concat([front, ...Array.from({ length: count }, () => repeated)]);
  checkCost("A statement", length, () => masker.mask(long, syntax));
  checkCost("A parameter", length, () => masker.maskParameter(long, syntax));
  checkCost("A text in pieces", length, () => {
    const stream = masker.stream(syntax);
    for (let at = 0; at < long.length; at += 65_536) {
      stream.push(long.subarray(at, at + 65_536));
    }
    stream.finish();
  });
}

/** By the processor's time: other processes make it no longer. A mask costs a MAC, which is most of what is allowed. */
function checkCost(what: string, length: number, action: () => void): void {
  const before = process.cpuUsage();
  action();
  const { user, system } = process.cpuUsage(before);
  const ms = (user + system) / 1000;
  holds(ms < 300 + length / 100, `${what} costs more than its length`, ms, length);
}

/** Every value that PostgreSQL's parser takes for a password; none for what it refuses. */
function passwordsIn(text: string): string[] {
  return [...walk(parse(text), "", isPassword)];
}

function stringsIn(text: string): string[] {
  return [...walk(parse(text), "", () => true)];
}

function parse(text: string): unknown {
  try {
    return parser.parseSync(text);
  } catch {
    // Text that the server refuses runs nothing.
    return undefined;
  }
}

function isPassword(name: string): boolean {
  return /^(ssl)?password$/i.test(name);
}

/** String values below a DefElem whose name fits. */
function* walk(
  node: unknown,
  name: string,
  isWanted: (name: string) => boolean,
): Generator<string> {
  if (typeof node !== "object" || node === null) {
    return;
  }
  const fields = node as Record<string, unknown>;
  const here = typeof fields["defname"] === "string" ? fields["defname"] : name;
  if (typeof fields["sval"] === "string" && isWanted(here)) {
    yield fields["sval"];
  }
  for (const value of Object.values(fields)) {
    yield* walk(value, here, isWanted);
  }
}

function occursElsewhere(text: string, password: string): boolean {
  const others = [...walk(parse(text), "", (name) => !isPassword(name))];
  return text.split(password).length > 2 || others.some((one) => one.includes(password));
}
