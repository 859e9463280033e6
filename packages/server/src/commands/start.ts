// jitdb-server start: the server, until a signal ends it.

import type { Command } from "commander";
import type { Logger } from "pino";
import { formatProblem, requireConfig } from "../config/load.ts";
import { createLogger } from "../logger.ts";
import type { RunningServer } from "../server.ts";
import { systemPorts } from "../system.ts";
import { configOption } from "./options.ts";
import type { Terminal } from "./terminal.ts";

/** Sessions are told and rows are closed within it; then the process ends all the same. */
const closeTimeoutMs = 10_000;

export function defineStart(command: Command, terminal: Terminal): void {
  command
    .addOption(configOption())
    .action((options: { readonly config: string }) => start(options.config, terminal));
}

async function start(configFile: string, terminal: Terminal): Promise<void> {
  const server = await launch(configFile, terminal);
  process.on("SIGHUP", () => reload(server));
  await runUntilSignal(server, terminal, () => terminal.print(`Ready: ${server.url}`));
}

function reload(server: RunningServer): void {
  try {
    server.reload("signal");
  } catch {
    // Whoever sends a signal hears no answer: log and audit have every problem, and the rules of before stay.
  }
}

/** Starts the server of a configuration file; warnings go to the person. */
export async function launch(configFile: string, terminal: Terminal): Promise<RunningServer> {
  const { config, problems, digest } = requireConfig(configFile);
  for (const problem of problems) {
    terminal.say(formatProblem(problem));
  }
  // Loaded here, because no other command needs the half of it.
  const { startServer } = await import("../server.ts");
  const logger = terminalLogger(terminal);
  return await startServer(config, {
    ...systemPorts(),
    logger,
    source: { file: configFile, digest },
  });
}

function terminalLogger(terminal: Terminal): Logger {
  const write = (line: string) => terminal.say(line.replace(/\n$/, ""));
  return createLogger({ write }, terminal.interactive ? "readable" : "json");
}

/**
 * Resolves when SIGINT or SIGTERM came and everything is closed. A second signal ends the process at once.
 * @param announce says that the server is ready; called once a signal would end it in order
 */
export async function runUntilSignal(
  server: RunningServer,
  terminal: Terminal,
  announce: () => void,
): Promise<void> {
  const signalled = new Promise<NodeJS.Signals>((resolve) => {
    process.once("SIGINT", resolve);
    process.once("SIGTERM", resolve);
  });
  announce();
  const signal = await signalled;
  terminal.say(`${signal}: closing. Once more ends it at once.`);
  const abort = () => process.exit(130);
  process.once("SIGINT", abort);
  process.once("SIGTERM", abort);
  const deadline = setTimeout(() => {
    terminal.say(`Not everything closed within ${closeTimeoutMs / 1000} seconds.`);
    process.exit(1);
  }, closeTimeoutMs);
  try {
    await server.close(signal);
  } finally {
    clearTimeout(deadline);
    process.off("SIGINT", abort);
    process.off("SIGTERM", abort);
  }
}
