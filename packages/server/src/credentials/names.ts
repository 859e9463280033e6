// Names of ephemeral users: they say whose they are, fit every engine, and are never used twice.

import { type Random, randomBase32 } from "@jitdb/shared/ids";

/** Lengths in characters, all ASCII; the longest name has 32, which is MySQL's limit. */
export const userNameLimits = { installation: 5, person: 8, random: 13 } as const;

/**
 * `jit_<installation>_<person>_<65 random bits>`, 32 bytes at the most.
 * @param installation 1–5 of [a-z0-9]
 */
export function createUserName(random: Random, installation: string, personName: string): string {
  return nameBefore(installation, personName) + randomBase32(random, userNameLimits.random);
}

/** Such a name with a mark for what is random in it. */
export function describeUserName(installation: string, personName: string): string {
  return `${nameBefore(installation, personName)}<random>`;
}

function nameBefore(installation: string, personName: string): string {
  const person = personName
    .toLowerCase()
    .replaceAll(/[^a-z0-9]/g, "")
    .slice(0, userNameLimits.person);
  return `jit_${installation}_${person || "x"}_`;
}

/**
 * Matches the names of one installation and no other's; valid for JavaScript and for PostgreSQL.
 * SECURITY: anchored at both ends, since what matches is reaped.
 */
export function userNamePattern(installation: string): string {
  return `^jit_${installation}_[a-z0-9]{1,8}_[0-9a-hjkmnp-tv-z]{13}$`;
}
