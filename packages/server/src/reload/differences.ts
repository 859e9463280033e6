// What a changed file means for a server that runs: what holds at once, and what waits for a restart. Pure.

import { isDeepStrictEqual } from "node:util";
import { Secret } from "@jitdb/shared/secret";
import type { Config, DatabaseConfig, ProfileConfig } from "../config/config.ts";

type Databases = Config["databases"];

/** The keys of the file, such as `listen` or `databases.prod-orders`, whose change takes effect at the next start only. */
export function waitingForRestart(running: Config, next: Config): string[] {
  const { databases, identity, webhooks, policies: _, tls, ...plain } = running;
  const sections = Object.keys({ ...plain, ...next }).filter(
    (key) => key in plain || !(key in running || key === "tls"),
  );
  const changed = sections.filter((key) => !isSame(entry(running, key), entry(next, key)));
  return [
    ...changed,
    // Another certificate is used at once; to begin with TLS, or to end it, is another matter.
    ...((tls === undefined) === (next.tls === undefined) ? [] : ["tls"]),
    ...(isSame(identity.company, next.identity.company) ? [] : ["identity.company"]),
    ...changedNames("identity.services", identity.services, next.identity.services),
    ...changedNames("webhooks", byName(webhooks), byName(next.webhooks)),
    ...changedNames("databases", mapped(databases, fixedParts), mapped(next.databases, fixedParts)),
  ].sort();
}

/**
 * The databases that people may ask for from now on: those of the running server that are the same in the file, with the
 * file's labels and descriptions.
 *
 * SECURITY: the file's policies were written for the file's databases. A database that is gone from it, or is another one
 * behind the same name, would be opened by rules that nobody meant for it; so would a profile with other privileges.
 */
export function openDatabases(running: Databases, next: Databases): Databases {
  return new Map(
    [...running].flatMap(([name, database]) => {
      const written = next.get(name);
      return written !== undefined && isSame(target(database), target(written))
        ? [[name, withWords(database, written)] as const]
        : [];
    }),
  );
}

/** What the file has, and nobody can ask for before a restart: `prod-orders`, or `read-write on prod-orders`. */
export function closedUntilRestart(open: Databases, next: Databases): string[] {
  return [...next].flatMap(([name, { profiles }]) => {
    const database = open.get(name);
    return database === undefined
      ? [name]
      : [...profiles.keys()]
          .filter((profile) => !database.profiles.has(profile))
          .map((profile) => `${profile} on ${name}`);
  });
}

function withWords(database: DatabaseConfig, written: DatabaseConfig): DatabaseConfig {
  const profiles = [...database.profiles].flatMap(([name, profile]) => {
    const other = written.profiles.get(name);
    return other !== undefined && isSame(rights(profile), rights(other))
      ? [[name, { ...profile, description: other.description }] as const]
      : [];
  });
  return { ...database, labels: written.labels, profiles: new Map(profiles) };
}

function target({ engine, host, port, database }: DatabaseConfig): unknown {
  return { engine, host, port, database };
}

function rights({ group, schemas, privileges, allowPrivileges }: ProfileConfig): unknown {
  return { group, schemas, privileges, allowPrivileges };
}

/** A database without what a reload takes over. */
function fixedParts({ labels: _, profiles, ...rest }: DatabaseConfig): unknown {
  const fixed = [...profiles].map(([name, { description: __, ...profile }]) => [name, profile]);
  return { ...rest, profiles: Object.fromEntries(fixed) };
}

function changedNames(
  section: string,
  before: Readonly<Record<string, unknown>>,
  after: Readonly<Record<string, unknown>>,
): string[] {
  const names = new Set([...Object.keys(before), ...Object.keys(after)]);
  return [...names]
    .filter((name) => !isSame(before[name], after[name]))
    .map((name) => `${section}.${name}`);
}

function mapped(
  databases: Databases,
  toValue: (database: DatabaseConfig) => unknown,
): Record<string, unknown> {
  return Object.fromEntries([...databases].map(([name, each]) => [name, toValue(each)]));
}

function byName(list: readonly { readonly name: string }[]): Record<string, unknown> {
  return Object.fromEntries(list.map((each) => [each.name, each]));
}

function entry(config: Config, key: string): unknown {
  return Object.entries(config).find(([name]) => name === key)?.[1];
}

function isSame(one: unknown, other: unknown): boolean {
  return isDeepStrictEqual(revealed(one), revealed(other));
}

/** Secrets hide their text from comparisons, too. Nothing of it leaves this file. */
function revealed(value: unknown): unknown {
  if (value instanceof Secret) {
    return { secret: value.reveal() };
  }
  if (Array.isArray(value)) {
    return value.map(revealed);
  }
  return typeof value === "object" && value !== null
    ? Object.fromEntries(Object.entries(value).map(([key, child]) => [key, revealed(child)]))
    : value;
}
