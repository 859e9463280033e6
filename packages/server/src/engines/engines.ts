// The list of engines. Another one is a folder beside this file and a line here.

import { JitdbError } from "@jitdb/shared/errors";
import type { DatabaseConfig } from "../config/config.ts";
import { postgresEngine } from "./postgres/engine.ts";

export const engines = [postgresEngine] as const;

/** The engine of a database. */
export function engineOf({ engine, name }: Pick<DatabaseConfig, "engine" | "name">) {
  const found = engines.find((one) => one.name === engine);
  if (found === undefined) {
    throw new JitdbError("internal", `There is no engine ${engine} for the database ${name}.`);
  }
  return found;
}
