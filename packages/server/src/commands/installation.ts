// Makes an installation in a folder: configuration, keys, store and first administrator, or nothing at all.

import { existsSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { basename, join, relative, resolve } from "node:path";
import { JitdbError } from "@jitdb/shared/errors";
import type { Clock, Random } from "@jitdb/shared/ids";
import type { Secret } from "@jitdb/shared/secret";
import type { Config } from "../config/config.ts";
import { requireConfig } from "../config/load.ts";
import { createMasterKeyFile } from "../config/master-key.ts";
import { fileNames, renderConfig, type TemplateValues } from "../config/template.ts";
import { showLink } from "../control/users.ts";
import { administrators } from "../identity/caller.ts";
import { checkPassword } from "../identity/passwords.ts";
import { openState } from "../state.ts";

export interface InstallationPlan {
  readonly folder: string;
  readonly template: TemplateValues;
  readonly admin: {
    readonly name: string;
    /** Absent: a set-up link is made instead. */
    readonly password?: Secret | undefined;
  };
  /** Further files, for their owner's eyes, by name. */
  readonly files?: Readonly<Record<string, Secret>>;
}

export interface Installation {
  /** Path of the configuration file. */
  readonly configFile: string;
  readonly config: Config;
  readonly link?: { readonly url: string; readonly expiresAt: string };
}

/**
 * Writes it all; takes everything back when a step fails.
 * @throws JitdbError `usage.invalid` where one of its files is there already
 */
export async function createInstallation(
  plan: InstallationPlan,
  ports: { readonly clock: Clock; readonly random: Random },
): Promise<Installation> {
  const folder = resolve(plan.folder);
  if (plan.admin.password !== undefined) {
    checkPassword(plan.admin.password);
  }
  const names = [...Object.values(fileNames), ...Object.keys(plan.files ?? {})];
  const paths = names.map((name) => join(folder, name));
  refuseExisting(folder, paths);
  const ignoreFile = join(folder, ".gitignore");
  const hasIgnoreFile = existsSync(ignoreFile);
  try {
    writeFiles(folder, plan, ports.random);
    if (!hasIgnoreFile) {
      writeFileSync(ignoreFile, ignoredFiles(plan));
    }
    const configFile = join(folder, fileNames.config);
    const { config } = requireConfig(configFile);
    const link = await addAdministrator(config, plan.admin, ports);
    return { configFile, config, ...(link && { link }) };
  } catch (error) {
    for (const path of hasIgnoreFile ? paths : [...paths, ignoreFile]) {
      rmSync(path, { recursive: true, force: true });
    }
    throw error;
  }
}

function refuseExisting(folder: string, paths: readonly string[]): void {
  const existing = paths.filter((path) => existsSync(path)).map((path) => basename(path));
  if (existing.length > 0) {
    const config = join(folder, fileNames.config);
    throw new JitdbError("usage.invalid", `${folder} holds ${existing.join(", ")} already.`, {
      hint: `Start it with \`jitdb-server start --config ${config}\`, or choose another --folder.`,
    });
  }
}

function writeFiles(folder: string, plan: InstallationPlan, random: Random): void {
  mkdirSync(folder, { recursive: true });
  mkdirSync(join(folder, fileNames.data), { mode: 0o700 });
  const secrets = { [fileNames.masterKey]: createMasterKeyFile(random), ...plan.files };
  for (const [name, content] of Object.entries(secrets)) {
    writeFileSync(join(folder, name), content.reveal(), { mode: 0o600, flag: "wx" });
  }
  writeFileSync(join(folder, fileNames.config), renderConfig(plan.template), { flag: "wx" });
}

/** SECURITY: whoever commits the configuration must not commit its secrets with it. */
function ignoredFiles({ files = {} }: InstallationPlan): string {
  const names = [fileNames.masterKey, `${fileNames.data}/`, ...Object.keys(files)];
  return names.map((name) => `/${name}\n`).join("");
}

async function addAdministrator(
  config: Config,
  { name, password }: InstallationPlan["admin"],
  ports: { readonly clock: Clock; readonly random: Random },
): Promise<Installation["link"]> {
  const state = await openState(config, { ...ports, address: "no address (it is being set up)" });
  try {
    const { link } = await state.people.add({ name, groups: [administrators] }, "console");
    if (password === undefined) {
      return showLink(config.publicUrl, link);
    }
    await state.people.setPassword(name, password);
    return undefined;
  } finally {
    await state.close();
  }
}

/** A path as a person would type it from here. */
export function shownPath(path: string): string {
  const near = relative(process.cwd(), path);
  return near.length < path.length ? near : path;
}
