// One database's section, defaults filled in: TLS, groups and schemas of its profiles.

import { createHash } from "node:crypto";
import { isAbsolute, resolve } from "node:path";
import { isLoopback } from "./addresses.ts";
import type { DatabaseConfig, DatabaseTlsConfig, Privileges, ProfileConfig } from "./config.ts";
import type { ConfigDocument } from "./document.ts";
import { readPlainFile } from "./references.ts";
import { builtInProfiles, type DatabaseInput, type ProfileInput } from "./schema.ts";

const descriptions: Record<Privileges, string> = {
  "read-only": "read tables and views",
  "read-write": "read and change rows",
  admin: "change tables and everything in them",
};

/** Most bytes of a PostgreSQL identifier (NAMEDATALEN - 1). */
const maxIdentifierBytes = 63;

/** Fills in a checked section; what is wrong with files that it names goes to the document. */
export function resolveDatabase(
  document: ConfigDocument,
  folder: string,
  name: string,
  input: DatabaseInput,
): DatabaseConfig {
  const profiles = Object.entries(input.profiles).map(([profileName, profile]) =>
    resolveProfile(document, name, profileName, profile, input.schemas),
  );
  return {
    name,
    engine: input.engine,
    host: input.host,
    port: input.port,
    database: input.database,
    tls: resolveTls(document, folder, name, input),
    admin: input.admin,
    labels: input.labels,
    profiles: new Map(profiles.map((profile) => [profile.name, profile])),
    ...(input.maxConnections !== undefined && { maxConnections: input.maxConnections }),
  };
}

/** The role that a profile's grants hang on, unless the configuration names another. */
export function defaultGroup(database: string, profile: string): string {
  const group = `jitdb_${database}_${profile}`.replaceAll(/[^a-z0-9_]/g, "_");
  if (group.length <= maxIdentifierBytes) {
    return group;
  }
  const hash = createHash("sha256").update(`${database}\0${profile}`).digest("hex").slice(0, 8);
  return `${group.slice(0, maxIdentifierBytes - 9)}_${hash}`;
}

function resolveProfile(
  document: ConfigDocument,
  database: string,
  name: string,
  input: ProfileInput,
  schemas: readonly string[],
): ProfileConfig {
  const privileges = input.privileges ?? builtInProfiles.find((builtIn) => builtIn === name);
  if (privileges === undefined) {
    document.error(
      ["databases", database, "profiles", name],
      "says nothing of its privileges.",
      `Add "privileges:" with one of: ${builtInProfiles.join(", ")}.`,
    );
  }
  return {
    name,
    description: input.description ?? descriptions[privileges ?? "read-only"],
    group: input.group ?? defaultGroup(database, name),
    schemas: input.schemas ?? schemas,
    privileges: privileges ?? "read-only",
    allowPrivileges: input.allowPrivileges,
    leftovers: input.leftovers,
  };
}

function resolveTls(
  document: ConfigDocument,
  folder: string,
  name: string,
  { host, tls }: DatabaseInput,
): DatabaseTlsConfig {
  if (isAbsolute(host)) {
    if (tls !== undefined && tls.mode !== "disable") {
      const fix = "Take tls out: nothing leaves this machine through a Unix socket.";
      document.error(["databases", name, "tls"], "a Unix socket carries no TLS.", fix);
    }
    return { mode: "disable" };
  }
  const { mode, ca } = tls ?? { mode: "verify-full" };
  if (mode === "disable" && !isLoopback(host)) {
    document.warning(
      ["databases", name, "tls", "mode"],
      `rows travel to ${name} in clear text.`,
      "Use verify-full with the authority that signed the database's certificate.",
    );
  }
  if (ca === undefined) {
    return { mode };
  }
  const file = readPlainFile(ca, resolve(folder, ca));
  if (!file.ok) {
    document.error(["databases", name, "tls", "ca"], file.problem, file.fix);
    return { mode };
  }
  return { mode, ca: file.value.reveal() };
}
