// `jitdb connect`: opens local doors to a database and keeps them open until the grant ends or Ctrl-C.

import { exitCodes, JitdbError } from "@jitdb/shared/errors";
import { type Addresses, addressesOf, psqlLine } from "../agent/addresses.ts";
import { endedByPerson, type ListeningAgent, openDoors, startAgent } from "../agent/agent.ts";
import type { GrantWatch } from "../agent/grant-watch.ts";
import { stablePort } from "../agent/listener.ts";
import { type LocalPassword, openLocalPassword } from "../agent/local-password.ts";
import { tellOfNetwork } from "../agent/network-words.ts";
import { usableGrant } from "../agent/usable-grant.ts";
import type { CommandModule, CommandOptions } from "../command-list.ts";
import type { Context } from "../context.ts";
import { addJsonOption, optionText } from "../listing.ts";
import type { Spinner, Terminal } from "../terminal.ts";
import { line, roughly } from "../text.ts";

export interface ConnectOptions {
  readonly database: string | undefined;
  /** Undefined: the database's stable one; 0: any. */
  readonly port: number | undefined;
  readonly showPassword: boolean;
  readonly json: boolean;
}

export const connectCommand: CommandModule = {
  define: (command) =>
    addJsonOption(
      command
        .argument("[database]", "which one; may be left out where one grant is live")
        .option("--port <number>", "loopback port instead of the database's own; 0 for any")
        .option("--show-password", "print the local password, for a GUI"),
    ).addHelpText(
      "after",
      "\nKeeps running until the grant ends (exit code 0; 8 when revoked) or Ctrl-C (0)." +
        "\nWith --json: one line {host, port, socket, user, password, database, url, expiresAt, grant} when ready," +
        '\nand one line {"ended": "expired" | "revoked" | "interrupted" | "failed"} at the end.' +
        "\n\nExample:\n  jitdb connect prod-orders",
    ),
  run: (context, args, options) => runConnect(context, parseConnect(args, options)),
};

/** @throws JitdbError `usage.invalid` for what is no port */
export function parseConnect(args: readonly string[], options: CommandOptions): ConnectOptions {
  const port = optionText(options, "port");
  if (port !== undefined && !(/^\d{1,5}$/.test(port) && Number(port) <= 65_535)) {
    throw new JitdbError("usage.invalid", `"${port}" is not a port.`, {
      hint: "Write a number from 1 to 65535, or 0 for any free port.",
    });
  }
  return {
    database: args[0],
    port: port === undefined ? undefined : Number(port),
    showPassword: options["showPassword"] === true,
    json: options["json"] === true,
  };
}

export async function runConnect(context: Context, options: ConnectOptions): Promise<void> {
  const { terminal, random } = context;
  const { home } = context.environment;
  const grant = await usableGrant(context, options.database);
  const server = await context.server();
  const password = await openLocalPassword(home, server, grant.database, random);
  const interruption = context.interruption();
  const shown: { status?: Status } = {};
  const say = (text: string) => (shown.status ?? terminal).say(text);
  const network = tellOfNetwork(say, "open sessions have ended");
  const agent = await startAgent(context, grant, network);
  const port = options.port ?? stablePort(home, server, grant.database);
  let doors: ListeningAgent;
  try {
    doors = await openDoors(context, agent, password.password, port);
  } catch (error) {
    agent.close(endedByPerson());
    throw error;
  }
  showReady(context, doors, password, options);
  const status = new Status(terminal, doors.watch, options.json);
  shown.status = status;
  const end = await Promise.race([doors.failed, aborted(interruption)]);
  status.stop();
  await doors.shut(end ?? endedByPerson());
  finish(terminal, doors.watch, end, options.json);
}

function showReady(
  context: Context,
  { listener, watch: { grant, leftMs } }: ListeningAgent,
  { password, file }: LocalPassword,
  { json, showPassword }: ConnectOptions,
): void {
  const { terminal } = context;
  const addresses = addressesOf(listener, grant);
  if (json) {
    const { host, port, socket, user, database, url } = addresses;
    const secret = password.reveal();
    const { endsAt: expiresAt, id } = grant;
    terminal.jsonLine({
      host,
      port,
      socket,
      user,
      password: secret,
      database,
      url,
      expiresAt,
      grant: id,
    });
    return;
  }
  const until = clockTime(grant.endsAt);
  terminal.say(line`${grant.database} (${grant.profile}) until ${until}, ${roughly(leftMs)} left`);
  terminal.say("\nIn another terminal:");
  terminal.out(line`  ${psqlLine(addresses, file)}`);
  terminal.say(`\nIn a GUI:${describeForGui(addresses)}`);
  terminal.say(
    showPassword
      ? `  password ${password.reveal()}`
      : line`  password in ${file}, or run again with --show-password`,
  );
}

function describeForGui({ host, port, database, user }: Addresses): string {
  return line` host ${host}, port ${port}, database ${database}, user ${user},`;
}

/** What a terminal shows while the doors are open: the time left on a line of its own, and a word before it runs out. */
class Status {
  readonly #terminal: Terminal;
  readonly #watch: GrantWatch;
  readonly #hasLine: boolean;
  readonly #timer: NodeJS.Timeout;
  #line: Spinner | undefined;
  #isStopped = false;
  #warnedMs: number;

  constructor(terminal: Terminal, watch: GrantWatch, isQuiet: boolean) {
    this.#terminal = terminal;
    this.#watch = watch;
    this.#hasLine = terminal.interactive && !isQuiet;
    // A grant that begins with less has been shown how little it is.
    this.#warnedMs = dueWarning(watch.leftMs);
    this.#timer = setInterval(() => void this.#update(), 1000);
  }

  /** Says something; the line comes back below it. */
  say(text: string): void {
    this.#line?.stop();
    this.#line = undefined;
    this.#terminal.say(text);
  }

  stop(): void {
    this.#isStopped = true;
    clearInterval(this.#timer);
    this.#line?.stop();
  }

  async #update(): Promise<void> {
    this.#warn();
    if (!this.#hasLine) {
      return;
    }
    const text = `${roughly(this.#watch.leftMs)} left; Ctrl-C disconnects.`;
    this.#line ??= await this.#terminal.spinner(text);
    this.#line.update(text);
    if (this.#isStopped) {
      this.#line.stop();
    }
  }

  #warn(): void {
    const { leftMs, grant } = this.#watch;
    const due = dueWarning(leftMs);
    if (due < this.#warnedMs && leftMs > 0) {
      const { database } = grant;
      this.say(
        line`${database} ends in ${roughly(leftMs)}. For more time run \`jitdb request ${database} --for 30m\`.`,
      );
    }
    // An extended grant is warned of anew.
    this.#warnedMs = due;
  }
}

/** The time before the end whose warning is due with so much left; infinite where none is. */
function dueWarning(leftMs: number): number {
  return warnings.find((ms) => leftMs <= ms) ?? Number.POSITIVE_INFINITY;
}

/** Times before the end at which it is said; the smallest first. */
const warnings: readonly number[] = [60_000, 300_000];

/** Says why it ended. @throws JitdbError for all ends but those that were to be expected */
function finish(
  terminal: Terminal,
  { grant, leftMs }: GrantWatch,
  end: JitdbError | undefined,
  json: boolean,
): void {
  if (json) {
    terminal.jsonLine({ ended: endName(end) });
  }
  if (end === undefined) {
    terminal.say(
      line`Disconnected. The grant lives on until ${clockTime(grant.endsAt)} (${roughly(leftMs)} left); give it back with \`jitdb revoke ${grant.id}\`.`,
    );
    return;
  }
  if (end.forms.exit !== exitCodes.ended || end.code !== "grant.expired") {
    throw end;
  }
  terminal.say(line`${end.message} ${end.hint}`);
}

function endName(end: JitdbError | undefined): string {
  switch (end?.code) {
    case undefined:
      return "interrupted";
    case "grant.expired":
      return "expired";
    case "grant.revoked":
      return "revoked";
    default:
      return "failed";
  }
}

/** An instant as this machine's wall clock shows it. */
function clockTime(instant: string): string {
  const date = new Date(instant);
  return [date.getHours(), date.getMinutes()]
    .map((part) => String(part).padStart(2, "0"))
    .join(":");
}

function aborted(signal: AbortSignal): Promise<undefined> {
  return new Promise((resolve) => {
    if (signal.aborted) {
      resolve(undefined);
    }
    signal.addEventListener("abort", () => resolve(undefined), { once: true });
  });
}
