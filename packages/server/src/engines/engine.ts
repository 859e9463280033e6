// What an engine gives the server. Engines stand side by side; another one is a folder and a line in a list.

import type { DatabaseConfig } from "../config/config.ts";
import type { Executor } from "../credentials/executor.ts";

export interface SetupOptions {
  /** Addresses or CIDR ranges that gateways connect from; for the database's own access rules. */
  readonly gatewayAddresses: readonly string[];
  /**
   * Password verifier for the admin role. Absent: the script asks whoever runs it.
   * SECURITY: a verifier, so that a script in a ticket or a shell history holds no password.
   */
  readonly adminVerifier?: string;
}

export interface Engine {
  readonly name: DatabaseConfig["engine"];
  /** The port through which ephemeral users of a database are made and ended. Connects when first needed; `close` it. */
  createExecutor(database: DatabaseConfig): Executor;
  /** What a DBA runs once, in the engine's own language; may be run again. */
  setupSql(database: DatabaseConfig, options: SetupOptions): string;
}
