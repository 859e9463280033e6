// Reads jitdb.yaml: every problem at once, each with its line, or the finished Config. The one place of the server that reads the environment.

import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { basename, dirname, isAbsolute, resolve } from "node:path";
import { JitdbError } from "@jitdb/shared/errors";
import { nearest } from "@jitdb/shared/nearest";
import { Secret } from "@jitdb/shared/secret";
import type * as z from "zod";
import type { PolicyCase } from "../access/policies/cases.ts";
import { toCase } from "./cases.ts";
import { checkServer, checkServices, checkTogether } from "./checks.ts";
import type { Config, MasterKey, ServerTlsConfig, TunnelConfig } from "./config.ts";
import { guessDataFolder } from "./data-folder.ts";
import { resolveDatabase } from "./databases.ts";
import { ConfigDocument, type ConfigProblem, type Path } from "./document.ts";
import { parseMasterKey } from "./master-key.ts";
import { checkPolicy, toPolicy } from "./policies.ts";
import { readPlainFile, readSecretFile } from "./references.ts";
import {
  caseSchema,
  type DatabaseInput,
  databaseSchema,
  type PolicyInput,
  type PolicyOutline,
  policyOutline,
  policySchema,
  type RootInput,
  rootSchema,
} from "./schema.ts";
import { toWebhooks } from "./webhooks.ts";

/** What came of reading a file. `config` is there where no problem is an error. */
export interface LoadedConfig {
  readonly config: Config | undefined;
  /** Where each policy stands, by name. */
  readonly policyPlaces: ReadonlyMap<string, Pick<ConfigProblem, "line" | "column">>;
  /** Its `tests:`. */
  readonly cases: readonly PolicyCase[];
  readonly problems: readonly ConfigProblem[];
  /** As it was named. */
  readonly file: string;
  /** Whether the last line has its end. */
  readonly endsWithLine: boolean;
  /** SHA-256 (hex) of the file's bytes, before anything was filled in: says which configuration was in force, and no secret. */
  readonly digest: string;
}

/**
 * Reads and checks a configuration file.
 * @throws JitdbError `config.invalid` where there is no such file
 */
export function loadConfig(
  file: string,
  environment: Readonly<Record<string, string | undefined>> = process.env,
): LoadedConfig {
  const bytes = readConfigFile(file);
  const digest = createHash("sha256").update(bytes).digest("hex");
  const folder = resolve(dirname(file));
  const document = new ConfigDocument(file, bytes.toString("utf8"), { folder, environment });
  const { config, cases, policyPlaces } = readSections(document, folder);
  const { failed, problems } = document;
  const endsWithLine = bytes.at(-1) === 0x0a;
  return {
    config: failed ? undefined : config,
    policyPlaces,
    cases,
    problems,
    file,
    endsWithLine,
    digest,
  };
}

/**
 * The same, for commands that can't go on without.
 * @throws JitdbError `config.invalid` that lists every problem
 */
export function requireConfig(file: string): LoadedConfig & { readonly config: Config } {
  const loaded = loadConfig(file);
  const { config } = loaded;
  if (config === undefined) {
    const errors = loaded.problems.filter((problem) => problem.severity === "error");
    const count = errors.length === 1 ? "a problem" : `${errors.length} problems`;
    const list = errors.map(formatProblem).join("\n");
    throw new JitdbError("config.invalid", `${file} has ${count}:\n${list}`, {
      hint: `Mend ${basename(file)}, then run \`jitdb-server check --config ${file}\`.`,
    });
  }
  return { ...loaded, config };
}

/** The data folder of a file that may be broken: where its server listens. */
export function dataFolderOf(
  file: string,
  environment: Readonly<Record<string, string | undefined>> = process.env,
): string {
  return guessDataFolder(file, environment);
}

/** `jitdb.yaml:12:3: what is wrong`, and the fix on a line of its own. */
export function formatProblem(problem: ConfigProblem): string {
  const { severity, file, line, column, message, fix } = problem;
  const mark = severity === "warning" ? "warning: " : "";
  return `${file}:${line}:${column}: ${mark}${message}${fix === "" ? "" : `\n    ${fix}`}`;
}

function readConfigFile(file: string): Buffer {
  try {
    return readFileSync(file);
  } catch (error) {
    throw unreadable(file, error);
  }
}

function unreadable(file: string, cause: unknown): JitdbError {
  const code = cause instanceof Error && "code" in cause ? String(cause.code) : "unknown error";
  const message = code === "ENOENT" ? `There is no ${file}.` : `${file} can't be read (${code}).`;
  return new JitdbError("config.invalid", message, {
    cause,
    hint: "Write one with `jitdb-server init`, or name another with --config.",
  });
}

function readSections(
  document: ConfigDocument,
  folder: string,
): Pick<LoadedConfig, "config" | "cases" | "policyPlaces"> {
  // What stands behind a slip of YAML is guesswork.
  if (!document.readable) {
    return { config: undefined, cases: [], policyPlaces: new Map() };
  }
  const written: unknown = document.toJS();
  const root = read(document, [], rootSchema, written ?? {});
  const sections = isRecord(written) ? written : {};
  const databaseInputs = readDatabases(document, sections["databases"]);
  const policyInputs = readPolicies(document, sections["policies"]);
  const outlines = outlinePolicies(sections["policies"]);
  checkTogether(document, databaseInputs, outlines);
  checkServices(document, outlineServices(sections["identity"]), outlines);
  const config = root && assemble(document, folder, root, databaseInputs, policyInputs);
  const places = outlines.map(({ name }, index) => {
    return [name, document.place(["policies", index])] as const;
  });
  const policyPlaces = new Map(places);
  return { config, policyPlaces, cases: readCases(document, sections["tests"], config) };
}

/** What cases refer to is checked where all of it could be read. */
function readCases(
  document: ConfigDocument,
  value: unknown,
  config: Config | undefined,
): PolicyCase[] {
  if (value !== undefined && value !== null && !Array.isArray(value)) {
    document.error(["tests"], "must be a list; each case starts with a dash.");
    return [];
  }
  const items: readonly unknown[] = value ?? [];
  const known = document.failed ? undefined : config;
  return items.flatMap((item, index) => {
    const input = read(document, ["tests", index], caseSchema, item);
    return input && known ? [toCase(document, index, input, known)] : [];
  });
}

function assemble(
  document: ConfigDocument,
  folder: string,
  root: RootInput,
  databaseInputs: ReadonlyMap<string, DatabaseInput | undefined>,
  policyInputs: readonly (PolicyInput | undefined)[],
): Config | undefined {
  const publicUrl = checkServer(document, root);
  const masterKey = readMasterKey(document, root.masterKey);
  const tls = readServerTls(document, folder, root.tls);
  const databases = [...databaseInputs].flatMap(([name, input]) =>
    input === undefined ? [] : [resolveDatabase(document, folder, name, input)],
  );
  if (masterKey === undefined) {
    return undefined;
  }
  return {
    listen: root.listen,
    publicUrl,
    ...(tls && { tls }),
    trustedProxies: root.trustedProxies,
    dataFolder: resolve(folder, root.dataFolder),
    masterKey,
    ...(root.installation !== undefined && { installation: root.installation }),
    audit: root.audit,
    devices: root.devices,
    tunnel: toTunnel(root.tunnel),
    identity: root.identity,
    webhooks: toWebhooks(root.webhooks),
    databases: new Map(databases.map((database) => [database.name, database])),
    policies: policyInputs.flatMap((input) => (input === undefined ? [] : [toPolicy(input)])),
  };
}

/**
 * Checks one section; its problems go to the document. What can be read without the faulty parts comes back all the same,
 * so that the checks across sections find the rest of the problems in the same run.
 */
function read<T>(
  document: ConfigDocument,
  path: Path,
  schema: z.ZodType<T>,
  value: unknown,
): T | undefined {
  const result = schema.safeParse(value);
  if (result.success) {
    return result.data;
  }
  let rest = value;
  for (const issue of result.error.issues) {
    report(document, [...path, ...issue.path], issue);
    const faulty = issue.code === "unrecognized_keys" ? issue.keys : [undefined];
    for (const key of faulty) {
      rest = without(rest, key === undefined ? issue.path : [...issue.path, key]);
    }
  }
  return schema.safeParse(rest).data;
}

/** A copy of a value without what stands at `path`. */
function without(value: unknown, path: Path): unknown {
  const [step, ...rest] = path;
  if (step === undefined || !(isRecord(value) || Array.isArray(value))) {
    return undefined;
  }
  const entries = Object.entries(value).flatMap(([key, child]) => {
    const kept = key === String(step) ? without(child, rest) : child;
    return kept === undefined ? [] : [[key, kept] as const];
  });
  return Array.isArray(value) ? entries.map(([, child]) => child) : Object.fromEntries(entries);
}

function report(document: ConfigDocument, path: Path, issue: z.core.$ZodIssue): void {
  if (issue.code === "unrecognized_keys") {
    const known = issue.message.split(", ");
    for (const key of issue.keys) {
      const near = nearest(key, known);
      const fix = near === undefined ? `Known here: ${issue.message}.` : `Did you mean "${near}"?`;
      document.errorAtKey([...path, key], `unknown key "${key}".`, fix);
    }
  } else if (issue.code === "invalid_key") {
    document.errorAtKey(path, `"${String(path.at(-1))}" is no name.`, nameRule);
  } else if (!document.has(path)) {
    document.missing(path.slice(0, -1), String(path.at(-1)));
  } else {
    document.error(path, issue.message);
  }
}

const nameRule = "A name is lower-case letters, digits, '.', '_' and '-', at most 63.";

function readDatabases(
  document: ConfigDocument,
  value: unknown,
): ReadonlyMap<string, DatabaseInput | undefined> {
  if (value !== undefined && value !== null && !isRecord(value)) {
    document.error(["databases"], "must be a section with a key for each database.");
    return new Map();
  }
  const entries = Object.entries(value ?? {}).map(([name, input]) => {
    const path = ["databases", name];
    if (!/^[a-z0-9][a-z0-9._-]{0,62}$/.test(name)) {
      document.errorAtKey(path, `"${name}" is no name.`, nameRule);
    }
    return [name, read(document, path, databaseSchema, input ?? {})] as const;
  });
  return new Map(entries);
}

function readPolicies(
  document: ConfigDocument,
  value: unknown,
): readonly (PolicyInput | undefined)[] {
  if (value !== undefined && value !== null && !Array.isArray(value)) {
    document.error(["policies"], "must be a list; each policy starts with a dash.");
    return [];
  }
  const items: readonly unknown[] = value ?? [];
  return items.map((item, index) => {
    const input = read(document, ["policies", index], policySchema, item);
    checkPolicy(document, ["policies", index], input);
    return input;
  });
}

/** What policies refer to, also of those that are wrong elsewhere. */
function outlinePolicies(value: unknown): readonly PolicyOutline[] {
  return Array.isArray(value) ? value.map((item) => policyOutline.parse(item)) : [];
}

/** Their names, also where something else of the file is wrong. */
function outlineServices(identity: unknown): Readonly<Record<string, unknown>> {
  const services = isRecord(identity) ? identity["services"] : undefined;
  return isRecord(services) ? services : {};
}

function toTunnel({ ping, silence, park, parkBusy }: RootInput["tunnel"]): TunnelConfig {
  const busyMs = Math.min(parkBusy, park);
  return { pingMs: ping, silenceMs: silence, parkedMs: park, busyMs };
}

function readMasterKey(document: ConfigDocument, text: Secret): MasterKey | undefined {
  const masterKey = parseMasterKey(text);
  if (masterKey === undefined) {
    document.error(
      ["masterKey"],
      "this is no master key: 32 bytes in base64, alone or as {id, key}.",
      "Make one: openssl rand -base64 32",
    );
  }
  return masterKey;
}

function readServerTls(
  document: ConfigDocument,
  folder: string,
  input: RootInput["tls"],
): ServerTlsConfig | undefined {
  if (input === undefined) {
    return undefined;
  }
  const cert = readPlainFile(input.cert, absolute(folder, input.cert));
  const key = readSecretFile(input.key, absolute(folder, input.key));
  for (const [name, file] of [
    ["cert", cert],
    ["key", key],
  ] as const) {
    if (!file.ok) {
      document.error(["tls", name], file.problem, file.fix);
    }
  }
  return cert.ok && key.ok ? { cert: cert.value.reveal(), key: key.value } : undefined;
}

function absolute(folder: string, path: string): string {
  return isAbsolute(path) ? path : resolve(folder, path);
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return (
    typeof value === "object" &&
    value !== null &&
    !Array.isArray(value) &&
    !(value instanceof Secret)
  );
}
