// What a command works with: terminal, time, the server's API, logins. The only file that reads the environment.
// Everything costly is made on first use, so that a command pays only for what it touches.

import { randomBytes } from "node:crypto";
import { homedir } from "node:os";
import { resolve } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { exitCodes } from "@jitdb/shared/errors";
import type { Clock, Random } from "@jitdb/shared/ids";
import type { Api } from "./api.ts";
import type { Credentials, Login } from "./login/credentials.ts";
import type { OAuth } from "./login/oauth.ts";
import type { Tokens } from "./login/tokens.ts";
import type { Network } from "./network/network.ts";
import type { ProxySettings } from "./network/proxy.ts";
import type { OpenWebSocket } from "./network/websocket.ts";
import { Terminal } from "./terminal.ts";

/** What the environment says, read once. */
export interface Environment {
  /** Absolute path of the folder that holds servers, logins and sockets. */
  readonly home: string;
  /** Whether the OS keychain may hold the logins: not with JITDB_HOME, which moves all of them, nor with JITDB_KEYCHAIN=off. */
  readonly keychain: boolean;
  /** JITDB_SERVER. */
  readonly server: string | undefined;
  /** JITDB_CA_FILE. NODE_EXTRA_CA_CERTS needs no reading: node itself adds it to the default authorities. */
  readonly caFile: string | undefined;
  readonly proxy: ProxySettings;
  readonly color: boolean;
  /** JITDB_FORCE_TTY: write as to a terminal of so many columns, wherever stdout and stderr go. */
  readonly forcedColumns: number | undefined;
  /** Whether a graphical session is there that a browser could open in; only Linux needs to ask. */
  readonly display: boolean;
}

/** What the command line says about every command. */
export interface ContextOptions {
  /** `--server`: goes before JITDB_SERVER. */
  readonly server?: string | undefined;
  /** `--ca`: goes before JITDB_CA_FILE. */
  readonly caFile?: string | undefined;
}

/** The dependencies of a command. Tests build one of fakes. */
export interface Context {
  readonly environment: Environment;
  readonly terminal: Terminal;
  readonly clock: Clock;
  readonly random: Random;
  /** Exit code of a command that ends without an error; a command that hands on a child's sets it. */
  exitCode: number;
  /** Resolves after `ms`; rejects at once when the signal aborts. */
  pause(ms: number, signal?: AbortSignal): Promise<void>;
  /**
   * Aborted by the first Ctrl-C (or SIGTERM) after the first call; a second one ends the process.
   * Before the first call Ctrl-C ends the process as usual.
   */
  interruption(): AbortSignal;
  /** The address of the server that this command talks to. @throws JitdbError `server.none`, `server.insecure`, `usage.invalid` */
  server(): Promise<string>;
  credentials(): Promise<Credentials>;
  network(): Promise<Network>;
  /** Device login, refresh and logout at one server. */
  oauth(server: string): Promise<Pick<OAuth, keyof OAuth>>;
  /** Access tokens and proofs of possession for `server()`. */
  tokens(): Promise<Tokens>;
  /** The API of that server, by default of `server()`. */
  api(server?: string): Promise<Api>;
  /** Opens an authorised WebSocket to a path of `server()`, through the same proxy and CA as all HTTP. */
  readonly openWebSocket: OpenWebSocket;
  /** Closes idle connections; called once, at the end. */
  close(): Promise<void>;
}

/** Reads the environment. Empty variables count as unset; lower-case proxy names go first, as everywhere. */
export function readEnvironment(
  variables: Readonly<Record<string, string | undefined>>,
  userHome: string,
): Environment {
  const value = (...names: string[]) =>
    names.map((name) => variables[name]).find((text) => text !== undefined && text !== "");
  const home = value("JITDB_HOME");
  return {
    home: resolve(home ?? `${userHome}/.jitdb`),
    keychain: home === undefined && value("JITDB_KEYCHAIN") !== "off",
    server: value("JITDB_SERVER"),
    caFile: value("JITDB_CA_FILE"),
    proxy: {
      // Plain HTTP never leaves the machine, so one proxy is enough; HTTP_PROXY stands in for HTTPS_PROXY.
      proxy: value("https_proxy", "HTTPS_PROXY", "http_proxy", "HTTP_PROXY"),
      noProxy: value("no_proxy", "NO_PROXY") ?? "",
    },
    color: value("NO_COLOR") === undefined && value("TERM") !== "dumb",
    forcedColumns: parseColumns(value("JITDB_FORCE_TTY")),
    display: value("DISPLAY", "WAYLAND_DISPLAY") !== undefined,
  };
}

/** Whatever is no sensible width just switches it on. */
function parseColumns(text: string | undefined): number | undefined {
  if (text === undefined) {
    return undefined;
  }
  return /^\d{2,4}$/.test(text) ? Number(text) : 80;
}

/** The real context: process streams, the system's clock, the network. */
export async function createContext(options: ContextOptions): Promise<Context> {
  const environment = readEnvironment(process.env, homedir());
  const clock: Clock = { now: () => Date.now() };
  const random: Random = { bytes: (count) => randomBytes(count) };

  const credentials = once(async () => {
    const { openCredentials } = await import("./login/credentials.ts");
    return openCredentials(environment);
  });
  const network = once(async () => {
    const { openNetwork } = await import("./network/network.ts");
    return openNetwork({ proxy: environment.proxy, caFile: options.caFile ?? environment.caFile });
  });
  const server = once(async () => {
    const { chooseServer } = await import("./login/servers.ts");
    return chooseServer(options.server ?? environment.server, await credentials());
  });
  const oauth = async (address: string) => {
    const { OAuth } = await import("./login/oauth.ts");
    return new OAuth(address, { network: await network(), clock, pause });
  };
  const tokensOf = perServer(async (address) => {
    const { StoredTokens } = await import("./login/tokens.ts");
    // Loaded for the one command in many whose token has to be refreshed.
    const refresh = async (login: Login) => (await oauth(address)).refresh(login);
    const ports = { credentials: await credentials(), oauth: { refresh }, clock, random };
    return new StoredTokens(address, ports);
  });
  const socketsOf = (address: string): OpenWebSocket => {
    return async (...target) => {
      const { openWebSocket } = await import("./network/websocket.ts");
      const tokens = await tokensOf(address);
      return openWebSocket({ server: address, network: await network(), tokens, clock }, ...target);
    };
  };
  const apiOf = perServer(async (address) => {
    const { HttpApi } = await import("./api.ts");
    const tokens = await tokensOf(address);
    const openWebSocket = socketsOf(address);
    return new HttpApi(address, { network: await network(), tokens, openWebSocket, clock });
  });

  return {
    environment,
    terminal: Terminal.ofProcess(environment),
    clock,
    random,
    exitCode: 0,
    pause,
    interruption: listenOnce(),
    server,
    credentials,
    network,
    oauth,
    tokens: async () => tokensOf(await server()),
    api: async (address) => apiOf(address ?? (await server())),
    openWebSocket: async (...target) => socketsOf(await server())(...target),
    close: async () => {
      if (network.made) {
        // Where it could not be opened, the command has said why, and nothing is left to close.
        await network().then(
          (opened) => opened.close(),
          () => undefined,
        );
      }
    },
  };
}

/** Makes a value at the first call and gives the same one ever after. */
function once<T>(make: () => Promise<T>): { (): Promise<T>; readonly made: boolean } {
  let made: Promise<T> | undefined;
  const get = () => {
    made ??= make();
    return made;
  };
  return Object.defineProperty(get, "made", { get: () => made !== undefined }) as typeof get & {
    readonly made: boolean;
  };
}

/** Makes a value for each server at the first call for it. */
function perServer<T>(make: (server: string) => Promise<T>): (server: string) => Promise<T> {
  const made = new Map<string, Promise<T>>();
  return (server) => {
    const value = made.get(server) ?? make(server);
    made.set(server, value);
    return value;
  };
}

async function pause(ms: number, signal?: AbortSignal): Promise<void> {
  await wait(ms, undefined, signal === undefined ? {} : { signal });
}

function listenOnce(): () => AbortSignal {
  let controller: AbortController | undefined;
  return () => {
    if (controller === undefined) {
      const started = new AbortController();
      controller = started;
      // Never taken off again: ora's own listener ends the process as soon as it finds itself alone.
      const interrupt = () => {
        if (started.signal.aborted) {
          process.exit(exitCodes.interrupted);
        }
        started.abort();
      };
      process.on("SIGINT", interrupt).on("SIGTERM", interrupt);
    }
    return controller.signal;
  };
}
