// The commands of `jitdb-server`, in the order of the help. A command's file is loaded only when it is run or asked for its help.

import type { Command } from "commander";
import type { Terminal } from "./terminal.ts";

interface CommandEntry {
  readonly name: string;
  readonly summary: string;
  /** Gives what adds arguments, options, commands below it and the work to an empty command. */
  readonly load: () => Promise<(command: Command, terminal: Terminal) => void>;
}

export const commands: readonly CommandEntry[] = [
  {
    name: "try",
    summary: "set up jitdb for a database of yours, in a folder of its own, and start it",
    load: async () => (await import("./try.ts")).defineTry,
  },
  {
    name: "init",
    summary: "write jitdb.yaml, a master key and the first administrator",
    load: async () => (await import("./init.ts")).defineInit,
  },
  {
    name: "start",
    summary: "run the server",
    load: async () => (await import("./start.ts")).defineStart,
  },
  {
    name: "reload",
    summary: "have the running server put the policies of its file in force",
    load: async () => (await import("./reload.ts")).defineReload,
  },
  {
    name: "check",
    summary: "prove the configuration and the set-up of its databases",
    load: async () => (await import("./check.ts")).defineCheck,
  },
  {
    name: "policy",
    summary: "ask the policies of the configuration",
    load: async () => (await import("./policy.ts")).definePolicy,
  },
  {
    name: "users",
    summary: "manage the accounts of people",
    load: async () => (await import("./users.ts")).defineUsers,
  },
  {
    name: "devices",
    summary: "vouch for people's devices",
    load: async () => (await import("./devices.ts")).defineDevices,
  },
  {
    name: "database",
    summary: "prepare databases",
    load: async () => (await import("./database.ts")).defineDatabase,
  },
  {
    name: "audit",
    summary: "look after the journal",
    load: async () => (await import("./audit.ts")).defineAudit,
  },
  {
    name: "webhooks",
    summary: "look after webhooks",
    load: async () => (await import("./webhooks.ts")).defineWebhooks,
  },
];
