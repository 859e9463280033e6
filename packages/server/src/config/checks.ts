// What no section can know alone: the address against TLS, policies against databases, groups against each other.

import { nearest } from "@jitdb/shared/nearest";
import picomatch from "picomatch";
import { isLoopback } from "./addresses.ts";
import { defaultGroup } from "./databases.ts";
import type { ConfigDocument } from "./document.ts";
import type { DatabaseInput, PolicyOutline, RootInput } from "./schema.ts";

/**
 * Sees to it that neither tokens nor rows cross a network in clear text (DESIGN §2).
 * @returns the public URL, which on loopback may be left out
 */
export function checkServer(document: ConfigDocument, root: RootInput): string {
  const { listen, tls, trustedProxies } = root;
  const scheme = tls === undefined ? "http" : "https";
  const host = listen.host.includes(":") ? `[${listen.host}]` : listen.host;
  const publicUrl = root.publicUrl ?? `${scheme}://${host}:${listen.port}`;
  const url = new URL(publicUrl);
  const encrypted = tls !== undefined || trustedProxies.length > 0;
  const encrypt = "Add tls: {cert, key}, or trustedProxies where a proxy in front speaks TLS.";
  if (!(isLoopback(listen.host) || encrypted)) {
    document.error(["listen"], "plain HTTP is refused off loopback.", encrypt);
  }
  if (url.protocol === "http:" && tls !== undefined) {
    document.error(["publicUrl"], "starts with http://, but tls is configured.", "Use https://.");
  } else if (url.protocol === "http:" && !isLoopback(url.hostname)) {
    document.error(["publicUrl"], "plain HTTP is refused off loopback.", "Use https://.");
  } else if (url.protocol === "https:" && !encrypted) {
    document.error(["publicUrl"], "starts with https://, but nothing speaks TLS.", encrypt);
  }
  return publicUrl;
}

/** Checks that refer across sections. A database that failed by itself is undefined. */
export function checkTogether(
  document: ConfigDocument,
  databases: ReadonlyMap<string, DatabaseInput | undefined>,
  policies: readonly PolicyOutline[],
): void {
  checkGroups(document, databases);
  if (databases.size === 0) {
    document.warning(["databases"], "there are no databases.", "Add one under databases:.");
  }
  if (policies.length === 0) {
    document.warning(
      ["policies"],
      "there are no policies, so every request will be refused.",
      "Add one under policies:.",
    );
  }
  const names = new Map<string, number>();
  for (const [index, policy] of policies.entries()) {
    checkName(document, names, policy.name, index);
    if (databases.size > 0) {
      checkTargets(document, databases, policy, index);
    }
  }
}

/** Services are named as services: `people` names people, who are in the store and not here. */
export function checkServices(
  document: ConfigDocument,
  services: Readonly<Record<string, unknown>>,
  policies: readonly PolicyOutline[],
): void {
  for (const [index, { who }] of policies.entries()) {
    for (const [at, name] of who.services.entries()) {
      if (!Object.hasOwn(services, name)) {
        const path = ["policies", index, "who", "services", at];
        const known = Object.keys(services);
        const fix = known.length === 0 ? "Add it below identity.services." : suggest(name, known);
        document.error(path, `there is no service "${name}".`, fix);
      }
    }
    for (const [at, name] of who.people.entries()) {
      if (Object.hasOwn(services, name)) {
        const path = ["policies", index, "who", "people", at];
        document.error(path, `${name} is a service.`, "Name it under services: instead.");
      }
    }
  }
}

function checkName(
  document: ConfigDocument,
  names: Map<string, number>,
  name: string,
  index: number,
): void {
  const first = names.get(name);
  if (first === undefined || name === "") {
    names.set(name, index);
    return;
  }
  const message = `"${name}" is the name of policies[${first}], too.`;
  document.error(["policies", index, "name"], message, "Give each policy a name of its own.");
}

function checkTargets(
  document: ConfigDocument,
  databases: ReadonlyMap<string, DatabaseInput | undefined>,
  policy: PolicyOutline,
  index: number,
): void {
  const names = [...databases.keys()];
  for (const [at, glob] of policy.databases.entries()) {
    if (!names.some(matcher([glob]))) {
      const path = ["policies", index, "databases", at];
      document.error(path, `"${glob}" matches no database.`, suggest(glob, names));
    }
  }
  const globs = policy.databases.length === 0 ? ["*"] : policy.databases;
  const targets = names.filter(matcher(globs));
  // A target that failed by itself may have had the profile.
  if (targets.length > 0 && targets.every((name) => databases.get(name) !== undefined)) {
    const profiles = new Set(
      targets.flatMap((name) => Object.keys(databases.get(name)?.profiles ?? {})),
    );
    for (const [at, glob] of policy.profiles.entries()) {
      if (![...profiles].some(matcher([glob]))) {
        const path = ["policies", index, "profiles", at];
        const message = `none of this policy's databases has a profile "${glob}".`;
        document.error(path, message, suggest(glob, profiles));
      }
    }
  }
}

/** As access/policy.ts reads globs: a leading `!` means nothing. */
function matcher(globs: readonly string[]): (name: string) => boolean {
  const matches = picomatch([...globs], { nonegate: true });
  return (name) => matches(name);
}

function suggest(word: string, known: Iterable<string>): string {
  const near = nearest(word, known);
  return near === undefined ? `There are: ${[...known].join(", ")}.` : `Did you mean "${near}"?`;
}

/** SECURITY: a group that two profiles of one cluster share gives each the other's rights. */
function checkGroups(
  document: ConfigDocument,
  databases: ReadonlyMap<string, DatabaseInput | undefined>,
): void {
  const owners = new Map<string, string>();
  for (const [name, database] of databases) {
    for (const [profile, { group }] of Object.entries(database?.profiles ?? {})) {
      const role = group ?? defaultGroup(name, profile);
      const cluster = `${database?.host}\0${database?.port}\0${role}`;
      const owner = owners.get(cluster);
      if (owner === undefined) {
        owners.set(cluster, `${name}/${profile}`);
      } else {
        document.error(
          ["databases", name, "profiles", profile],
          `its group ${role} is that of ${owner}, too: each would have the other's rights.`,
          "Name another with group:.",
        );
      }
    }
  }
}
