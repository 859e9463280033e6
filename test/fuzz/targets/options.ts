// The start-up packet's `options`, against a transcription of how the server reads them: pg_split_opts, getopt as
// process_postgres_switches calls it, and ParseLongOption.

import { encodeStartupMessage, protocolVersions } from "@jitdb/shared/postgres/startup";
import { readStartUp } from "../../../packages/server/src/engines/postgres/session/start-up.ts";
import { isAllowedStartUpSetting } from "../../../packages/server/src/engines/postgres/start-up-settings.ts";
import { step } from "../input.ts";
import { codeOf, holds, same, type Target } from "../target.ts";

const pieces = [
  "-c",
  "-c ",
  "--",
  " ",
  " ",
  "\t",
  "\v",
  "\\",
  "\\ ",
  "=",
  "=",
  "-",
  "_",
  "e",
  "1",
  "'",
  "\xa0",
  "work_mem",
  "work-mem=1MB",
  "role",
  "ROLE=x",
  "session_authorization",
  "app.x",
  "search_path=a,b",
  "replication=true",
  "user",
  "log_statement=none",
  "-D",
  "-W 100",
  "geqo=on",
  "\n",
  "-e",
  "-f",
  "n",
  "-S",
  "-P",
  "-jE",
  "-d5",
  "e".repeat(4000),
  " -e".repeat(1500),
  "\\".repeat(4001),
] as const;

/** getopt's string in process_postgres_switches. */
const optstring = "B:bC:c:D:d:EeFf:h:ijk:lN:nOPp:r:S:sTt:v:W:-:";
/** Switches that do nothing outside of the server's own command line. */
const ignored = "bCDEjnrTv";
/** set_plan_disabling_options. */
const plans: Readonly<Record<string, string>> = {
  s: "enable_seqscan=false",
  i: "enable_indexscan=false",
  o: "enable_indexonlyscan=false",
  b: "enable_bitmapscan=false",
  t: "enable_tidscan=false",
  n: "enable_nestloop=false",
  m: "enable_mergejoin=false",
  h: "enable_hashjoin=false",
};
/** How options may end. */
const codes = [undefined, "postgres.start_up", "postgres.replication"];

export const optionsTarget: Target = {
  name: "options",
  about:
    "What is read from `options` is what the server would have read, and never a setting that is not allowed.",
  make: (dice) => [step("options", dice.several(0, 10, () => dice.pick(pieces)).join(""))],
  run(input) {
    for (const { bytes } of input) {
      checkOptions(Buffer.from(bytes).toString("latin1").replaceAll("\0", ""));
    }
  },
};

function checkOptions(options: string): void {
  if (options.length > 9900) {
    return;
  }
  const packet = encodeStartupMessage({
    version: protocolVersions.v3_0,
    parameters: [{ name: "options", value: Buffer.from(options, "latin1") }],
  });
  let found: string[] | undefined;
  const code = codeOf(() => {
    found = readStartUp(packet, { name: "db", database: "db" }).settings.map(
      ({ name, value }) => `${name}=${Buffer.from(value).toString("latin1")}`,
    );
  });
  holds(codes.includes(code), "Options end in another error", code);
  same(found, readAsServer(options), "The server reads the options otherwise");
}

/** The settings in order; undefined for what the server, or our allowlist, refuses. */
function readAsServer(options: string): string[] | undefined {
  const words = splitAsServer(options);
  const settings: string[] = [];
  for (let word = words.shift(); word !== undefined; word = words.shift()) {
    if (word === "--" && words.length === 0) {
      break;
    }
    const found = word === "--" ? undefined : readWord(word, words);
    if (found === undefined) {
      return undefined;
    }
    settings.push(...found);
  }
  return settings;
}

/** The switches of one word; an argument may be the next word, which is taken then. */
function readWord(word: string, words: string[]): string[] | undefined {
  if (word[0] !== "-" || word === "-") {
    return undefined;
  }
  const settings: string[] = [];
  let rest = word.slice(1);
  while (rest !== "") {
    const letter = rest.charAt(0);
    const known = letter === ":" ? -1 : optstring.indexOf(letter);
    const takesArgument = optstring[known + 1] === ":";
    const behind = rest.slice(1);
    const argument = takesArgument && behind === "" ? words.shift() : behind;
    const setting = known === -1 ? undefined : settingOf(letter, argument);
    if (setting === undefined) {
      return undefined;
    }
    settings.push(...setting);
    rest = takesArgument ? "" : behind;
  }
  return settings;
}

/** What a switch sets: nothing for those that are ignored, undefined for those that are refused. */
function settingOf(letter: string, argument: string | undefined): string[] | undefined {
  if (argument === undefined) {
    return undefined;
  }
  if (ignored.includes(letter)) {
    return [];
  }
  const texts: Readonly<Record<string, string | undefined>> = {
    c: argument,
    "-": argument,
    e: "datestyle=euro",
    S: `work_mem=${argument}`,
    f: plans[argument[0] ?? ""],
  };
  const text = texts[letter];
  const setting = text === undefined ? undefined : parseLongOption(text);
  return setting === undefined ? undefined : [setting];
}

function splitAsServer(options: string): string[] {
  const words: string[] = [];
  let at = 0;
  const isSpace = () => at < options.length && " \t\n\v\f\r".includes(options[at] ?? "");
  while (at < options.length) {
    while (isSpace()) {
      at += 1;
    }
    if (at === options.length) {
      break;
    }
    let word = "";
    let isEscaped = false;
    for (; at < options.length && (isEscaped || !isSpace()); at += 1) {
      const character = options[at] ?? "";
      if (!isEscaped && character === "\\") {
        isEscaped = true;
      } else {
        isEscaped = false;
        word += character;
      }
    }
    words.push(word);
  }
  return words;
}

function parseLongOption(text: string): string | undefined {
  const split = text.indexOf("=");
  const name = text.slice(0, Math.max(0, split)).replaceAll("-", "_");
  const isOurs = isAllowedStartUpSetting(name) && name !== "user";
  return split > 0 && isOurs ? `${name}=${text.slice(split + 1)}` : undefined;
}
