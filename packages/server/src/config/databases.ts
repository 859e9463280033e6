// One database's section, defaults filled in: TLS, groups and schemas of its profiles.

import { createHash, createPrivateKey, X509Certificate } from "node:crypto";
import { isAbsolute, resolve } from "node:path";
import { Secret } from "@jitdb/shared/secret";
import { isLoopback } from "./addresses.ts";
import type {
  ClientCertificate,
  DatabaseConfig,
  DatabaseTlsConfig,
  LoginMethod,
  Privileges,
  ProfileConfig,
  TlsMode,
} from "./config.ts";
import type { ConfigDocument } from "./document.ts";
import { readPlainFile, readSecretFile } from "./references.ts";
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
    ...(input.login.allow.length > 0 && { allowedLogins: input.login.allow }),
    admin: input.admin,
    labels: input.labels,
    profiles: new Map(profiles.map((profile) => [profile.name, profile])),
    ...(input.maxConnections !== undefined && { maxConnections: input.maxConnections }),
    spareSessions: input.spareSessions,
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

/** How the gateway speaks to the database below PostgreSQL's messages, and what a login may be there. */
function resolveTls(
  document: ConfigDocument,
  folder: string,
  name: string,
  { host, tls, login }: DatabaseInput,
): DatabaseTlsConfig {
  const path = ["databases", name, "tls"];
  const { mode, ca, cert, key } = tls ?? { mode: isAbsolute(host) ? "disable" : "verify-full" };
  if (isAbsolute(host) && mode !== "disable") {
    const fix = "Take tls out: nothing leaves this machine through a Unix socket.";
    document.error(path, "a Unix socket carries no TLS.", fix);
    return { mode: "disable" };
  }
  if (mode === "disable" && !(isAbsolute(host) || isLoopback(host))) {
    document.warning(
      [...path, "mode"],
      `rows travel to ${name} in clear text.`,
      "Use verify-full with the authority that signed the database's certificate.",
    );
  }
  checkLogins(document, name, { mode, hasCertificate: cert !== undefined }, login.allow);
  const authorities = ca && readPem(document, [...path, "ca"], folder, ca, readPlainFile);
  const client = readClientCertificate(document, path, folder, { mode, cert, key });
  return { mode, ...(authorities && { ca: authorities.reveal() }), ...(client && { client }) };
}

/**
 * SECURITY: whoever asks for a password in these ways gets enough to log in with, at least where it can be undone. So it
 * has to be the database that asks.
 */
function checkLogins(
  document: ConfigDocument,
  name: string,
  { mode, hasCertificate }: { readonly mode: TlsMode; readonly hasCertificate: boolean },
  allowed: readonly LoginMethod[],
): void {
  const isVerified = mode === "verify-ca" || mode === "verify-full";
  for (const [index, method] of allowed.entries()) {
    const path = ["databases", name, "login", "allow", index];
    if (mode === "disable") {
      document.error(
        path,
        `the login ${method} is for TLS alone.`,
        "Use tls: {mode: verify-full}.",
      );
    } else if (method === "certificate" && !(isVerified && hasCertificate)) {
      document.error(
        path,
        "a login by certificate alone needs a certificate, and a database that proves who it is.",
        "Add tls: {mode: verify-full, cert, key}.",
      );
    } else if (!isVerified) {
      document.warning(
        path,
        `with tls mode ${mode}, whoever poses as ${name} can ask for passwords by ${method}.`,
        "Use verify-full, or SCRAM-SHA-256.",
      );
    }
  }
}

function readClientCertificate(
  document: ConfigDocument,
  path: readonly string[],
  folder: string,
  { mode, cert, key }: NonNullable<DatabaseInput["tls"]>,
): ClientCertificate | undefined {
  if (cert === undefined && key === undefined) {
    return undefined;
  }
  if (cert === undefined || key === undefined) {
    const missing = cert === undefined ? "cert" : "key";
    document.error(path, `has no ${missing}.`, "A client certificate is two files: cert and key.");
    return undefined;
  }
  if (mode === "disable") {
    document.error(path, "a client certificate is for TLS alone.", "Use mode: verify-full.");
    return undefined;
  }
  const certificate = readPem(document, [...path, "cert"], folder, cert, readPlainFile);
  const privateKey = readPem(document, [...path, "key"], folder, key, readSecretFile);
  if (certificate === undefined || privateKey === undefined) {
    return undefined;
  }
  if (!areOnePair(certificate, privateKey)) {
    const fix = "Name both of one pair, in PEM; the key without a passphrase.";
    document.error([...path, "key"], "is not the key of the certificate.", fix);
    return undefined;
  }
  return { cert: certificate.reveal(), key: privateKey };
}

/** PEM text: what a reference gave, or what stands in the file that is named. */
function readPem(
  document: ConfigDocument,
  path: readonly string[],
  folder: string,
  input: string | Secret,
  read: typeof readPlainFile,
): Secret | undefined {
  if (input instanceof Secret && input.reveal().includes("-----BEGIN ")) {
    return input;
  }
  // SECURITY: what a reference gives may be a secret of another kind, so it is not repeated as the name of a file.
  if (input instanceof Secret) {
    document.error(path, "what it refers to is no PEM text.", "Name the right file.");
    return undefined;
  }
  const file = read(input, resolve(folder, input));
  if (!file.ok) {
    document.error(path, file.problem, file.fix);
    return undefined;
  }
  return file.value;
}

function areOnePair(certificate: Secret, key: Secret): boolean {
  try {
    return new X509Certificate(certificate.reveal()).checkPrivateKey(
      createPrivateKey(key.reveal()),
    );
  } catch {
    // One of them is no PEM of its kind, or the key is encrypted: no pair either way.
    return false;
  }
}
