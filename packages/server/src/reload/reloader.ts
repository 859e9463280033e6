// Other rules for a server that runs: reads its file again and puts the policies in force, or leaves everything as it is
// and says why. One step that nothing comes between: of two reloads at once the second one reads the file that is there then.

import { resolve } from "node:path";
import { JitdbError, toJitdbError } from "@jitdb/shared/errors";
import type { Logger } from "pino";
import { runCases } from "../access/policies/run-cases.ts";
import type { AccessService } from "../access/service.ts";
import type { Journal } from "../audit/journal.ts";
import type { EventOf } from "../audit/record.ts";
import type { Config, ServerTlsConfig } from "../config/config.ts";
import type { ConfigProblem } from "../config/document.ts";
import { formatProblem, type LoadedConfig, loadConfig } from "../config/load.ts";
import { certificateProblem } from "../http/certificate.ts";
import { closedUntilRestart, openDatabases, waitingForRestart } from "./differences.ts";

export type ReloadCause = "console" | "signal";

export interface ReloadReport {
  /** Absolute path of the file that was read. */
  readonly file: string;
  /** How many policies are in force now. */
  readonly policies: number;
  /** Keys of the file whose change waits for a restart. */
  readonly restart: readonly string[];
  /** What of the file nobody can ask for before a restart. */
  readonly closed: readonly string[];
  /** What `check` warns of in the file, a line each. */
  readonly warnings: readonly string[];
}

export interface ReloaderPorts {
  /** What the server was started with. */
  readonly running: Config;
  /** As it was written at the start. */
  readonly file: string;
  readonly access: Pick<AccessService, "useRules">;
  /** Shows another certificate to whoever connects from now on. */
  readonly useCertificate: (tls: ServerTlsConfig) => void;
  readonly journal: Pick<Journal, "append" | "record">;
  readonly logger: Pick<Logger, "info" | "error">;
}

/** Problems that a record lists; their number is always there. */
const maxRecordedProblems = 20;

export class Reloader {
  readonly #ports: ReloaderPorts;

  constructor(ports: ReloaderPorts) {
    this.#ports = ports;
  }

  /**
   * @throws JitdbError `config.invalid` that lists every problem, `audit.unavailable`: the rules of before stay
   */
  reload(by: ReloadCause): ReloadReport {
    const { file, running, access, logger, useCertificate } = this.#ports;
    const loaded = this.#load(by);
    const errors = problemsOf(loaded);
    const { config, digest } = loaded;
    if (config === undefined || errors.length > 0) {
      throw this.#refuse(by, errors, digest);
    }
    const databases = openDatabases(running.databases, config.databases);
    const restart = waitingForRestart(running, config);
    const closed = closedUntilRestart(databases, config.databases);
    this.#record({ kind: "config.reloaded", digest, file, by, restart, closed });
    access.useRules({ databases, policies: config.policies });
    if (config.tls !== undefined) {
      useCertificate(config.tls);
    }
    const policies = config.policies.length;
    logger.info({ file, digest, by, policies, restart, closed }, "configuration reloaded");
    const warnings = loaded.problems.map(formatProblem);
    return { file: resolve(file), policies, restart, closed, warnings };
  }

  /** On record before it holds: where the journal can't be written, the rules of before stay. */
  #record(reloaded: EventOf<"config.reloaded">): void {
    const { journal } = this.#ports;
    try {
      journal.record(reloaded);
    } catch (error) {
      // The record waits in memory and may be written yet; this one comes behind it and says how it went.
      const { file, by, digest } = reloaded;
      const found = [toJitdbError(error).message];
      journal.append({ kind: "config.refused", file, by, digest, problems: 1, found });
      throw error;
    }
  }

  #load(by: ReloadCause): LoadedConfig {
    try {
      return loadConfig(this.#ports.file);
    } catch (thrown) {
      const { message, code } = toJitdbError(thrown);
      const problem = code === "config.invalid" ? message : `It can't be read: ${String(thrown)}.`;
      throw this.#refuse(by, [problem]);
    }
  }

  #refuse(by: ReloadCause, problems: readonly string[], digest?: string): JitdbError {
    const { file, journal, logger } = this.#ports;
    logger.error({ file, by, problems }, "configuration not reloaded: the rules of before stay");
    const first = problems.slice(0, maxRecordedProblems);
    const count = problems.length;
    const found = { problems: count, found: first, ...(digest !== undefined && { digest }) };
    journal.record({ kind: "config.refused", file, by, ...found });
    const many = count === 1 ? "a problem" : `${count} problems`;
    const message = `${file} has ${many}; the rules of before stay in force:\n${problems.join("\n")}`;
    return new JitdbError("config.invalid", message, {
      hint: "Mend the file, try it with `jitdb-server check`, then run `jitdb-server reload` again.",
    });
  }
}

/** Everything that keeps a file from being put in force, a line each. */
function problemsOf({ config, cases, problems, file, endsWithLine }: LoadedConfig): string[] {
  const errors = problems.filter(({ severity }) => severity === "error");
  if (config === undefined || errors.length > 0) {
    return errors.map(formatProblem);
  }
  const failures = runCases(config, cases).map((failure): ConfigProblem => {
    return { ...failure, severity: "error", file, fix: "" };
  });
  // Written half and cut in the middle of a line, a file may be sound and mean something else: `count: 1` out of `count: 12`.
  const cut = endsWithLine
    ? []
    : [
        `${file}: its last line has no end, so the file may be cut off.\n    End it with a line break.`,
      ];
  const unusable = config.tls && certificateProblem(config.tls);
  const pair =
    unusable === undefined
      ? []
      : [`${file}: tls: certificate and key can't be used together (${unusable}).`];
  return [...cut, ...pair, ...failures.map(formatProblem)];
}
