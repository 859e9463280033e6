// Ids that people read and type: a prefix that says what it is, and base32 without look-alikes.

/** Crockford's base32 in lower case: no i, l, o, u. */
const alphabet = "0123456789abcdefghjkmnpqrstvwxyz";

declare const brand: unique symbol;
type Id<Name extends string> = string & { readonly [brand]: Name };

export type PersonId = Id<"person">;
export type DeviceId = Id<"device">;
export type RequestId = Id<"request">;
export type GrantId = Id<"grant">;
export type SessionId = Id<"session">;
export type EphemeralUserId = Id<"ephemeral user">;

/** Where randomness comes from: the shells give node's, tests give a seeded one. */
export interface Random {
  /** `count` fresh random bytes, owned by the caller. */
  bytes(count: number): Uint8Array;
}

/** Where time comes from: epoch milliseconds. */
export interface Clock {
  now(): number;
}

/** `count` base32 characters, five random bits each. */
export function randomBase32(random: Random, count: number): string {
  return Array.from(random.bytes(count), (byte) => alphabet[byte & 31]).join("");
}

const prefixes = {
  person: "usr",
  request: "req",
  grant: "grt",
  session: "ses",
  ephemeralUser: "eph",
} as const;

function createId<T extends string>(random: Random, prefix: string, length: number): T {
  return `${prefix}_${randomBase32(random, length)}` as T;
}

export const createPersonId = (random: Random): PersonId => createId(random, prefixes.person, 12);
export const createRequestId = (random: Random): RequestId => createId(random, prefixes.request, 8);
export const createGrantId = (random: Random): GrantId => createId(random, prefixes.grant, 12);
export const createSessionId = (random: Random): SessionId =>
  createId(random, prefixes.session, 16);
export const createEphemeralUserId = (random: Random): EphemeralUserId =>
  createId(random, prefixes.ephemeralUser, 16);

/** A device's id as people type it behind a command: thumbprints may begin with the dash of an option. */
export function deviceArgument(id: string): string {
  return id.startsWith("-") ? `-- ${id}` : id;
}
