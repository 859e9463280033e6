// `jitdb login`: device flow; the person confirms in a browser, on this machine or any other.

import { readFile } from "node:fs/promises";
import { hostname } from "node:os";
import { text } from "node:stream/consumers";
import { JitdbError } from "@jitdb/shared/errors";
import { Secret } from "@jitdb/shared/secret";
import type { CommandModule, CommandOptions } from "../command-list.ts";
import type { Context } from "../context.ts";
import type { Credentials, Login, Resting } from "../login/credentials.ts";
import type { DeviceLogin } from "../login/oauth.ts";
import { generateDeviceKey } from "../login/proof.ts";
import { sayUnconfirmed } from "../login/unconfirmed.ts";
import { parseServerAddress } from "../network/address.ts";
import { browserCommand, deviceLabel } from "../platform.ts";
import { clean, line, roughly } from "../text.ts";

export interface LoginOptions {
  /** Normalised address; absent: ask, or take the server of before. */
  readonly server: string | undefined;
  /** Prove anew who you are, also where the browser knows you. */
  readonly again: boolean;
  /** Log in as this service, with what the file holds; `-` is standard input. */
  readonly service:
    | { readonly name: string; readonly kind: "key" | "token"; readonly file: string }
    | undefined;
}

export const loginCommand: CommandModule = {
  define: (command) =>
    command
      .argument("[server]", "the server's address; without it the one of the last login")
      .option("--again", "prove anew who you are, where a policy asks for a login that is not old")
      .option("--service <name>", "log in as a service, without a person or a terminal")
      .option("--key <file>", "the service's private key, an ES256 JWK; - reads standard input")
      .option("--token <file>", "a token that the CI issued; - reads standard input")
      .addHelpText(
        "after",
        "\nExamples:\n  jitdb login https://jitdb.example.com\n  jitdb login https://jitdb.example.com --service nightly --key nightly.jwk",
      ),
  run: (context, args, options) => runLogin(context, parseLogin(args, options)),
};

export function parseLogin(args: readonly string[], options: CommandOptions): LoginOptions {
  return {
    server: args[0] === undefined ? undefined : parseServerAddress(args[0]),
    again: options["again"] === true,
    service: parseService(options),
  };
}

function parseService({ service, key, token }: CommandOptions): LoginOptions["service"] {
  if (service === undefined && key === undefined && token === undefined) {
    return undefined;
  }
  const file = key ?? token;
  if (typeof service !== "string" || typeof file !== "string" || (key && token)) {
    throw new JitdbError(
      "usage.invalid",
      "A service logs in with --service and --key or --token.",
      {
        hint: "Write `jitdb login <server> --service <name> --key <file>`, or --token <file>.",
      },
    );
  }
  return { name: service, kind: key === undefined ? "token" : "key", file };
}

export async function runLogin(context: Context, options: LoginOptions): Promise<void> {
  const server = options.server ?? (await knownOrAsked(context));
  const oauth = await context.oauth(server);
  const credentials = await context.credentials();
  // The key of the login before is the device that people have vouched for already.
  const known = await credentials.read(server);
  const key = known?.key ?? (await generateDeviceKey());
  if (options.service !== undefined) {
    await runServiceLogin(context, server, options.service, key);
    return;
  }
  const started = await oauth.start(deviceLabel(hostname()), options.again);
  const login = await confirmed(context, started, async (signal) => {
    try {
      return await oauth.finish(started, key, signal);
    } catch (error) {
      if (known !== undefined && error instanceof JitdbError && error.code === "login.proof") {
        await credentials.remove(server);
      }
      throw error;
    }
  });

  // The login has to rest somewhere before it can be asked whose it is.
  const restsIn = await credentials.add(server, "", login);
  const me = await (await context.api(server)).me();
  const { person } = me;
  await credentials.add(server, person, login);
  sayDone(context, { server, person, restsIn, credentials });
  sayUnconfirmed(context.terminal, me);
}

/** Asks nobody anything. SECURITY: key and token come from a file or a pipe, as arguments are for everybody to read. */
async function runServiceLogin(
  context: Context,
  server: string,
  { name, kind, file }: NonNullable<LoginOptions["service"]>,
  key: Secret,
): Promise<void> {
  const secret = new Secret((await readCredential(file)).trim());
  const oauth = await context.oauth(server);
  const credential = kind === "key" ? { name, key: secret } : { name, token: secret };
  const login = await oauth.service(credential, deviceLabel(hostname()), key);
  const credentials = await context.credentials();
  const restsIn = await credentials.add(server, name, login);
  sayDone(context, { server, person: name, restsIn, credentials });
}

async function readCredential(file: string): Promise<string> {
  try {
    return file === "-" ? await text(process.stdin) : await readFile(file, "utf8");
  } catch (error) {
    throw unreadable(file, error);
  }
}

function unreadable(file: string, cause: unknown): JitdbError {
  return new JitdbError("usage.invalid", `${clean(file)} can't be read.`, {
    hint: "Name a file that holds the key or the token, or - for standard input.",
    cause,
  });
}

/** The server of JITDB_SERVER, `--server` or the last login; a person without one is asked. */
async function knownOrAsked(context: Context): Promise<string> {
  try {
    return await context.server();
  } catch (error) {
    const unknown = error instanceof JitdbError && error.code === "server.none";
    if (!unknown || !context.terminal.interactive) {
      throw error;
    }
  }
  const prompts = await context.terminal.prompts();
  const answer = await prompts.input("Address of the jitdb server:", {
    check: (text) => messageOf(() => parseServerAddress(text)),
  });
  return parseServerAddress(answer);
}

function messageOf(work: () => unknown): string | undefined {
  try {
    work();
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

/** Shows link and code, and waits for the confirmation; Enter opens the browser meanwhile. */
async function confirmed(
  context: Context,
  started: DeviceLogin,
  finish: (signal: AbortSignal) => Promise<Login>,
): Promise<Login> {
  const { terminal } = context;
  const complete = started.verificationUriComplete;
  const browser = browserCommand(complete ?? started.verificationUri, context.environment);
  terminal.say(`Open this page:  ${terminal.style.bold(clean(started.verificationUri))}`);
  terminal.say(`Enter the code:  ${terminal.style.bold(clean(started.userCode))}`);
  if (complete !== undefined) {
    terminal.say(line`Both in one:     ${complete}`);
  }
  const canOpen = terminal.interactive && browser !== undefined;
  if (canOpen) {
    terminal.say("Press Enter to open it in the browser.");
  }
  const signal = context.interruption();
  const left = roughly(started.expiresAt - context.clock.now());
  const stopListening = terminal.onEnter(() => {
    if (canOpen) {
      void openBrowser(browser);
    }
  });
  const spinner = await terminal.spinner(
    `Waiting for you to confirm there; the code holds for ${left}.`,
  );
  try {
    return await finish(signal);
  } catch (error) {
    if (signal.aborted) {
      throw interrupted(error);
    }
    throw error;
  } finally {
    stopListening();
    spinner.stop();
  }
}

function interrupted(cause: unknown): JitdbError {
  return new JitdbError("local.interrupted", "The login was interrupted.", {
    hint: "Run `jitdb login` again.",
    cause,
  });
}

async function openBrowser([program, args]: readonly [string, readonly string[]]): Promise<void> {
  const { execa } = await import("execa");
  // A browser that does not open is no failure: the link stands on the screen.
  await execa(program, args, { stdio: "ignore", detached: true, cleanup: false, reject: false });
}

interface Done {
  readonly server: string;
  readonly person: string;
  readonly restsIn: Resting;
  readonly credentials: Credentials;
}

function sayDone(context: Context, { server, person, restsIn, credentials }: Done): void {
  const { terminal } = context;
  terminal.say(line`Logged in to ${server} as ${person}.`);
  if (restsIn === "file") {
    terminal.say(
      line`The login is kept in ${credentials.home}, in a file that only you can read, and not in a keychain.`,
    );
  }
}
