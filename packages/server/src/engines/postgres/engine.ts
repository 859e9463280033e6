// PostgreSQL as an engine.

import type { DatabaseConfig } from "../../config/config.ts";
import type { Executor } from "../../credentials/executor.ts";
import type { Engine, SessionPorts, Sessions, SetupOptions } from "../engine.ts";
import { PostgresExecutor } from "./executor/executor.ts";
import { PostgresSessions } from "./session/sessions.ts";
import { setupSql } from "./setup-sql.ts";

export const postgresEngine = {
  name: "postgres",
  createExecutor: (database: DatabaseConfig): Executor => new PostgresExecutor(database),
  setupSql: (database: DatabaseConfig, options: SetupOptions): string =>
    setupSql(database, options),
  createSessions: (ports: SessionPorts): Sessions => new PostgresSessions(ports),
} satisfies Engine;
