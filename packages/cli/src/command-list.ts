// The commands of `jitdb`, in the order of the help. A command's file is loaded only when it is run or asked for its help.

import type { Command } from "commander";
import type { Context } from "./context.ts";

/** What a command's file exports: how its arguments look, and what it does with them. */
export interface CommandModule {
  /** Adds arguments, options and examples to an empty commander command. */
  define(command: Command): void;
  /**
   * Does the work. `args` are the positional arguments, `options` what commander made of the options that `define` named.
   * @throws JitdbError; its code decides the exit code.
   */
  run(context: Context, args: readonly string[], options: CommandOptions): Promise<void>;
}

/** Options as commander hands them over: text where the option takes a value (a list where it may be repeated), `true` where it is a flag. */
export type CommandOptions = Readonly<
  Record<string, string | boolean | readonly string[] | undefined>
>;

export interface CommandEntry {
  readonly name: string;
  readonly summary: string;
  readonly load: () => Promise<CommandModule>;
}

export const commands: readonly CommandEntry[] = [
  {
    name: "login",
    summary: "log in to a server",
    load: async () => (await import("./commands/login.ts")).loginCommand,
  },
  {
    name: "logout",
    summary: "end this device's login",
    load: async () => (await import("./commands/logout.ts")).logoutCommand,
  },
  {
    name: "whoami",
    summary: "show who is logged in, and where",
    load: async () => (await import("./commands/whoami.ts")).whoamiCommand,
  },
  {
    name: "devices",
    summary: "list your devices, confirm or revoke one",
    load: async () => (await import("./commands/devices.ts")).devicesCommand,
  },
  {
    name: "databases",
    summary: "list what you may ask for",
    load: async () => (await import("./commands/databases.ts")).databasesCommand,
  },
  {
    name: "request",
    summary: "ask for access to a database",
    load: async () => (await import("./commands/request.ts")).requestCommand,
  },
  {
    name: "requests",
    summary: "list requests",
    load: async () => (await import("./commands/requests.ts")).requestsCommand,
  },
  {
    name: "withdraw",
    summary: "take back a request of your own",
    load: async () => (await import("./commands/withdraw.ts")).withdrawCommand,
  },
  {
    name: "inbox",
    summary: "wait for requests to decide on",
    load: async () => (await import("./commands/inbox.ts")).inboxCommand,
  },
  {
    name: "approve",
    summary: "approve somebody's request",
    load: async () => (await import("./commands/approve.ts")).approveCommand,
  },
  {
    name: "deny",
    summary: "deny somebody's request",
    load: async () => (await import("./commands/deny.ts")).denyCommand,
  },
  {
    name: "grants",
    summary: "list grants, show one, sign what it left behind",
    load: async () => (await import("./commands/grants.ts")).grantsCommand,
  },
  {
    name: "extend",
    summary: "ask for more time for a live grant",
    load: async () => (await import("./commands/extend.ts")).extendCommand,
  },
  {
    name: "release",
    summary: "give a grant of your own back",
    load: async () => (await import("./commands/release.ts")).releaseCommand,
  },
  {
    name: "review",
    summary: "list and sign reviews of break-glass",
    load: async () => (await import("./commands/review.ts")).reviewCommand,
  },
  {
    name: "connect",
    summary: "open a database to local programs",
    load: async () => (await import("./commands/connect.ts")).connectCommand,
  },
  {
    name: "psql",
    summary: "run psql on a database",
    load: async () => (await import("./commands/psql.ts")).psqlCommand,
  },
  {
    name: "sql",
    summary: "run SQL on a database, without psql",
    load: async () => (await import("./commands/sql.ts")).sqlCommand,
  },
  {
    name: "revoke",
    summary: "end a grant now",
    load: async () => (await import("./commands/revoke.ts")).revokeCommand,
  },
  {
    name: "sessions",
    summary: "list database sessions",
    load: async () => (await import("./commands/sessions.ts")).sessionsCommand,
  },
  {
    name: "audit",
    summary: "show the audit journal",
    load: async () => (await import("./commands/audit.ts")).auditCommand,
  },
];
