// Reads the start-up parameter `options` as the server does: words, switches as getopt takes them apart, settings.
// Which settings a client may have is not decided here. Strings are one character (U+0000 … U+00FF) a byte.
// Sources: PostgreSQL's pg_split_opts, process_postgres_switches, set_plan_disabling_options and ParseLongOption; getopt(3).

import { JitdbError } from "@jitdb/shared/errors";
import type { StartupParameter } from "@jitdb/shared/postgres/startup";

interface Switch {
  readonly takesArgument: boolean;
  /** @throws JitdbError `postgres.start_up` for an argument that the server refuses, too */
  readonly read: (argument: string) => readonly StartupParameter[];
}

/** Which kind of plan `-f` turns off. */
const plans: Readonly<Record<string, string>> = {
  s: "enable_seqscan",
  i: "enable_indexscan",
  o: "enable_indexonlyscan",
  b: "enable_bitmapscan",
  t: "enable_tidscan",
  n: "enable_nestloop",
  m: "enable_mergejoin",
  h: "enable_hashjoin",
};

const ignored = () => [];

/**
 * What each switch of `postgres` means to a session. Missing are those that the server refuses, too: they are settings of the
 * server or of the superuser.
 */
const switches: Readonly<Record<string, Switch>> = {
  c: { takesArgument: true, read: (argument) => [parseSetting("-c ", argument)] },
  "-": { takesArgument: true, read: (argument) => [parseSetting("--", argument)] },
  e: { takesArgument: false, read: () => [setting("datestyle", "euro")] },
  f: { takesArgument: true, read: turnOffPlan },
  S: { takesArgument: true, read: (argument) => [setting("work_mem", argument)] },
  b: { takesArgument: false, read: ignored },
  C: { takesArgument: true, read: ignored },
  D: { takesArgument: true, read: ignored },
  E: { takesArgument: false, read: ignored },
  j: { takesArgument: false, read: ignored },
  n: { takesArgument: false, read: ignored },
  r: { takesArgument: true, read: ignored },
  T: { takesArgument: false, read: ignored },
  v: { takesArgument: true, read: ignored },
};

/**
 * The settings that `options` asks for, in their order.
 * @throws JitdbError `postgres.start_up`
 */
export function parseOptions(options: string): StartupParameter[] {
  const words = splitOptions(options);
  const settings: StartupParameter[] = [];
  for (let word = words.shift(); word !== undefined; word = words.shift()) {
    if (word === "--" && words.length === 0) {
      break;
    }
    // A word that is no switch would be the name of a database, and so would all that stands behind "--".
    if (!word.startsWith("-") || word === "-" || word === "--") {
      throw refused(`the option "${printable(word)}" cannot be used here`);
    }
    settings.push(...readSwitches(word.slice(1), words));
  }
  return settings;
}

/** One word: any number of switches, of which the last may have its argument here or in the next word, which is then taken. */
function readSwitches(letters: string, next: string[]): StartupParameter[] {
  const settings: StartupParameter[] = [];
  let rest = letters;
  while (rest !== "") {
    const letter = rest.charAt(0);
    const found = Object.hasOwn(switches, letter) ? switches[letter] : undefined;
    if (found === undefined) {
      throw refused(`the option "-${printable(letter)}" cannot be used here`);
    }
    rest = rest.slice(1);
    if (found.takesArgument) {
      const argument = rest === "" ? next.shift() : rest;
      if (argument === undefined) {
        throw refused(`the option "-${letter}" requires an argument`);
      }
      settings.push(...found.read(argument));
      break;
    }
    settings.push(...found.read(""));
  }
  return settings;
}

function turnOffPlan(argument: string): StartupParameter[] {
  const plan = Object.hasOwn(plans, argument.charAt(0)) ? plans[argument.charAt(0)] : undefined;
  if (plan === undefined) {
    throw refused(`the option "-f ${printable(argument)}" names no kind of plan`);
  }
  return [setting(plan, "false")];
}

const space = /[ \t\n\v\f\r]/;

/** Words between white space; a backslash takes the next character as it is, and is gone where none follows. */
function splitOptions(options: string): string[] {
  const words: string[] = [];
  let word: string | undefined;
  let isEscaped = false;
  for (const character of options) {
    if (!isEscaped && space.test(character)) {
      words.push(...(word === undefined ? [] : [word]));
      word = undefined;
    } else if (!isEscaped && character === "\\") {
      word ??= "";
      isEscaped = true;
    } else {
      word = (word ?? "") + character;
      isEscaped = false;
    }
  }
  return word === undefined ? words : [...words, word];
}

/** `name=value`, in which a dash counts as an underscore up to the first `=`. */
function parseSetting(written: string, text: string): StartupParameter {
  const split = text.indexOf("=");
  if (split < 1) {
    throw refused(`"${written}${printable(text)}" requires a value`);
  }
  return setting(text.slice(0, split).replaceAll("-", "_"), text.slice(split + 1));
}

function setting(name: string, value: string): StartupParameter {
  // One character a byte, so this gives back the exact bytes.
  return { name, value: Uint8Array.from(value, (character) => character.charCodeAt(0)) };
}

/** The error for a start-up that asks for what a client may not have. */
export function refused(why: string): JitdbError {
  return new JitdbError("postgres.start_up", `The connection was refused: ${why}.`);
}

/** Bytes of a client for a message that people read. */
export function printable(text: string): string {
  return text.replaceAll(/[^\x20-\x7e]/g, "?").slice(0, 100);
}
