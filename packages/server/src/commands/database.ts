// jitdb-server database sql: what a DBA runs once on a database.

import { networkInterfaces } from "node:os";
import { isAbsolute } from "node:path";
import { JitdbError } from "@jitdb/shared/errors";
import { nearest } from "@jitdb/shared/nearest";
import type { Command } from "commander";
import { isLoopback } from "../config/addresses.ts";
import type { Config, DatabaseConfig } from "../config/config.ts";
import { requireConfig } from "../config/load.ts";
import { engineOf } from "../engines/engines.ts";
import { configOption } from "./options.ts";
import type { Terminal } from "./terminal.ts";

interface SqlOptions {
  readonly config: string;
  readonly gateway?: readonly string[];
}

export function defineDatabase(database: Command, terminal: Terminal): void {
  database
    .command("sql <name>")
    .description("print the SQL that a DBA runs once, and the lines for pg_hba.conf")
    .addOption(configOption())
    .option("--gateway <addresses...>", "addresses that this server connects from")
    .action((name: string, options: SqlOptions) => printSql(name, options, terminal));
}

function printSql(name: string, options: SqlOptions, terminal: Terminal): void {
  const { config } = requireConfig(options.config);
  const database = findDatabase(config, name);
  const gatewayAddresses = options.gateway ?? ownAddresses(database);
  terminal.print(engineOf(database).setupSql(database, { gatewayAddresses }));
  if (options.gateway === undefined) {
    const shown = gatewayAddresses.join(", ");
    terminal.say(`Gateway addresses: ${shown}. If the database sees others, name them: --gateway`);
  }
}

function findDatabase(config: Config, name: string): DatabaseConfig {
  const database = config.databases.get(name);
  if (database === undefined) {
    const near = nearest(name, config.databases.keys());
    const known = [...config.databases.keys()].join(", ") || "none";
    throw new JitdbError("database.unknown", `There is no database "${name}".`, {
      hint: near === undefined ? `There are: ${known}.` : `Did you mean "${near}"?`,
    });
  }
  return database;
}

/** The addresses under which a database most likely sees this machine. */
export function ownAddresses({ host }: Pick<DatabaseConfig, "host">): string[] {
  const loopback = ["127.0.0.1/32", "::1/128"];
  if (isAbsolute(host) || isLoopback(host)) {
    return loopback;
  }
  const external = Object.values(networkInterfaces())
    .flatMap((addresses) => addresses ?? [])
    // Link-local addresses hold inside one wire and change.
    .filter(({ internal, address }) => !internal && !address.startsWith("fe80:"))
    .map(({ address, family }) => `${address}/${family === "IPv6" ? 128 : 32}`);
  return external.length > 0 ? external : loopback;
}
