// jitdb-server check: every problem of the configuration and of its databases, each with its fix.

import { exitCodes, toJitdbError } from "@jitdb/shared/errors";
import type { Command } from "commander";
import { analyse } from "../access/policies/analysis/analysis.ts";
import type { Member } from "../access/policies/analysis/shortages.ts";
import type { CaseFailure, PolicyCase } from "../access/policies/cases.ts";
import { runCases } from "../access/policies/run-cases.ts";
import type { Config, DatabaseConfig } from "../config/config.ts";
import { formatProblem, loadConfig } from "../config/load.ts";
import { callControl } from "../control/socket.ts";
import { userAnswer } from "../control/users.ts";
import type { Problem } from "../credentials/executor.ts";
import { engineOf } from "../engines/engines.ts";
import { configOption } from "./options.ts";
import type { Terminal } from "./terminal.ts";

/** A database that has said nothing by then is reported as such. */
const inspectTimeoutMs = 20_000;

interface CheckOptions {
  readonly config: string;
  readonly offline?: true;
}

export function defineCheck(command: Command, terminal: Terminal): void {
  command
    .addOption(configOption())
    .option("--offline", "look at the file only")
    .action(async (options: CheckOptions) => {
      process.exitCode = await check(options, terminal);
    });
}

/** @returns the exit code: 2 where something has to be mended, 1 where all is sound but cases fail */
async function check(options: CheckOptions, terminal: Terminal): Promise<number> {
  const loaded = loadConfig(options.config);
  const { config, cases, problems } = loaded;
  for (const problem of problems) {
    terminal.print(formatProblem(problem));
  }
  if (config === undefined) {
    terminal.say(`${options.config} has to be mended before databases can be looked at.`);
    return exitCodes.usage;
  }
  const members = options.offline ? undefined : await membersOf(config);
  for (const { policy, severity, message } of analyse(config, members)) {
    const { line, column } = loaded.policyPlaces.get(policy) ?? { line: 1, column: 1 };
    const place = `${options.config}:${line}:${column}`;
    terminal.print(`${place}: ${severity}: the policy ${policy} ${message}`);
  }
  const failures = runCases(config, cases);
  for (const failure of failures) {
    terminal.print(formatProblem({ ...failure, severity: "error", file: options.config, fix: "" }));
  }
  const found = options.offline ? [] : await inspectAll(config);
  for (const { database, severity, message, fix } of found) {
    const mark = severity === "warning" ? "warning: " : "";
    terminal.print(`${database}: ${mark}${message}\n    ${fix.replaceAll("\n", "\n    ")}`);
  }
  const errors = found.filter(({ severity }) => severity === "error").length;
  const seen = options.offline
    ? "Databases were not looked at."
    : `${count(config.databases.size, "database")} looked at: ${count(errors, "problem")}.`;
  terminal.say(`${options.config} is sound.${sayCases(cases, failures)} ${seen}`);
  if (errors > 0) {
    return exitCodes.usage;
  }
  return failures.length > 0 ? exitCodes.internal : exitCodes.ok;
}

/** Everybody with an account, by the server that runs; undefined where none does. Opening its store here would bring that up to this version. */
async function membersOf({ dataFolder, identity }: Config): Promise<Member[] | undefined> {
  const answered = await callControl(dataFolder, { users: { do: "list" } });
  if (answered === undefined) {
    return undefined;
  }
  return userAnswer
    .parse(answered)
    .people.filter(({ name, disabled }) => !disabled && !Object.hasOwn(identity.services, name));
}

function sayCases(cases: readonly PolicyCase[], failures: readonly CaseFailure[]): string {
  if (cases.length === 0) {
    return "";
  }
  const failed = new Set(failures.map(({ line, column }) => `${line}:${column}`)).size;
  return ` Of its ${count(cases.length, "case")} ${failed === 0 ? "none" : failed} failed.`;
}

async function inspectAll(config: Config): Promise<(Problem & { readonly database: string })[]> {
  const perDatabase = await Promise.all(
    [...config.databases.values()].map(async (database) =>
      (await inspect(database)).map((problem) => ({ database: database.name, ...problem })),
    ),
  );
  return perDatabase.flat();
}

async function inspect(database: DatabaseConfig): Promise<readonly Problem[]> {
  const executor = engineOf(database).createExecutor(database);
  let timer: NodeJS.Timeout | undefined;
  const silence = new Promise<readonly Problem[]>((resolve) => {
    const message = `no answer within ${inspectTimeoutMs / 1000} seconds.`;
    const fix = "Check that host and port can be reached from here.";
    timer = setTimeout(() => resolve([{ severity: "error", message, fix }]), inspectTimeoutMs);
  });
  try {
    return await Promise.race([executor.inspect(), silence]);
  } catch (thrown) {
    const error = toJitdbError(thrown);
    // On the server's own console the detail helps, and harms nobody.
    const message = [error.message, error.detail].filter(Boolean).join(" ");
    return [{ severity: "error", message, fix: error.hint }];
  } finally {
    clearTimeout(timer);
    await executor.close();
  }
}

function count(number: number, noun: string): string {
  return `${number === 0 ? "No" : number} ${noun}${number === 1 ? "" : "s"}`;
}
