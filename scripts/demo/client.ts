// How alice queries in the demo: psql on what `jitdb connect` prints, or `jitdb sql` where there is no psql.

import { existsSync } from "node:fs";
import { delimiter, join } from "node:path";
import { execa } from "execa";
import type { Person } from "../../test/support/person.ts";
import type { ProgramOptions } from "../../test/support/programs.ts";
import type { Running } from "./screen.ts";

export interface Client {
  /** The command as a person would type it, to be shown. */
  show(sql: string): string;
  /** Runs it. The caller waits for its end. */
  run(sql: string): Running;
}

/** psql, unless it is not installed or JITDB_DEMO_CLIENT=builtin says otherwise. */
export function hasPsql(): boolean {
  const folders = (process.env["PATH"] ?? "").split(delimiter);
  const isForced = process.env["JITDB_DEMO_CLIENT"] === "builtin";
  return !isForced && folders.some((folder) => existsSync(join(folder, "psql")));
}

/** @param line what `jitdb connect` printed to be pasted into another terminal */
export function psqlClient(person: Person, line: string): Client {
  const command = (sql: string) => `${line} -c "${sql}"`;
  return {
    show: command,
    run: (sql) =>
      execa("sh", ["-c", command(sql)], {
        cwd: person.home,
        reject: false,
        extendEnv: false,
        env: { PATH: process.env["PATH"] ?? "", HOME: person.home, LANG: "C.UTF-8" },
        input: "",
      }),
  };
}

export function builtinClient(
  person: Person,
  database: string,
  terminal: Pick<ProgramOptions, "env" | "isMerged">,
): Client {
  return {
    show: (sql) => `jitdb sql ${database} -c "${sql}"`,
    run: (sql) => person.start(["sql", database, "-c", sql], { input: "", ...terminal }),
  };
}
