// The keys of SCRAM-SHA-256 and PostgreSQL's form of them, the verifier that stands in pg_authid.rolpassword.
// Sources: RFC 5802 §3, RFC 7677; PostgreSQL manual, "pg_authid".

import { JitdbError } from "../../errors.ts";
import { encodeText } from "../writer.ts";
import { decodeBase64, encodeBase64 } from "./base64.ts";
import { type ScramCrypto, scramKeyBytes } from "./crypto.ts";
import { preparePassword } from "./saslprep.ts";

/** Bytes of a salt as PostgreSQL makes them. */
export const scramSaltBytes = 16;

/** What a client needs to log in. As secret as the password, and enough without it: worth caching per salt and iterations. */
export interface ScramKeys {
  readonly clientKey: Uint8Array;
  readonly serverKey: Uint8Array;
}

/** What a server keeps to check a client: it can tell the password, but cannot log in by it. */
export interface ScramVerifier {
  readonly iterations: number;
  readonly salt: Uint8Array;
  /** 32 bytes each. */
  readonly storedKey: Uint8Array;
  readonly serverKey: Uint8Array;
}

/** The expensive step: everything else of an exchange is a handful of hashes. */
export async function deriveKeys(
  crypto: ScramCrypto,
  password: string,
  salt: Uint8Array,
  iterations: number,
): Promise<ScramKeys> {
  const salted = await crypto.pbkdf2Sha256(preparePassword(password), salt, iterations);
  return {
    clientKey: crypto.hmacSha256(salted, encodeText("Client Key")),
    serverKey: crypto.hmacSha256(salted, encodeText("Server Key")),
  };
}

/** The server's half of keys that were derived with this salt and these iterations. */
export function toVerifier(
  crypto: ScramCrypto,
  keys: ScramKeys,
  salt: Uint8Array,
  iterations: number,
): ScramVerifier {
  const storedKey = crypto.sha256(keys.clientKey);
  return { iterations, salt, storedKey, serverKey: keys.serverKey };
}

/** @returns what `CREATE ROLE … PASSWORD` takes in place of a password, so that no statement carries it (invariant 36) */
export async function buildVerifier(
  crypto: ScramCrypto,
  password: string,
  salt: Uint8Array,
  iterations: number,
): Promise<string> {
  const keys = await deriveKeys(crypto, password, salt, iterations);
  return formatVerifier(toVerifier(crypto, keys, salt, iterations));
}

/** `SCRAM-SHA-256$<iterations>:<salt>$<StoredKey>:<ServerKey>` */
export function formatVerifier(verifier: ScramVerifier): string {
  const { iterations, salt, storedKey, serverKey } = verifier;
  return `SCRAM-SHA-256$${iterations}:${encodeBase64(salt)}$${encodeBase64(storedKey)}:${encodeBase64(serverKey)}`;
}

const verifierForm =
  /^SCRAM-SHA-256\$(?<iterations>[1-9]\d{0,9}):(?<salt>[^$]+)\$(?<storedKey>[^:]+):(?<serverKey>.+)$/;

/** @throws JitdbError `postgres.auth`; its message does not repeat the text, which is a secret of a kind */
export function parseVerifier(text: string): ScramVerifier {
  const parts = verifierForm.exec(text)?.groups;
  const salt = decodeBase64(parts?.["salt"] ?? "");
  const storedKey = decodeBase64(parts?.["storedKey"] ?? "");
  const serverKey = decodeBase64(parts?.["serverKey"] ?? "");
  if (
    salt === undefined ||
    storedKey?.length !== scramKeyBytes ||
    serverKey?.length !== scramKeyBytes
  ) {
    throw new JitdbError("postgres.auth", "A text is not a SCRAM-SHA-256 verifier.");
  }
  return { iterations: Number(parts?.["iterations"]), salt, storedKey, serverKey };
}

/**
 * A verifier for a user who does not exist, which no password fits: the exchange with such a user then takes the same
 * course as any. SECURITY: it is the same on each try, as a real user's would be, or salts would tell who exists.
 *
 * @param secret at least 16 bytes that only the listener knows, stable as long as real salts are
 */
export function mockVerifier(
  crypto: ScramCrypto,
  secret: Uint8Array,
  user: string,
  iterations: number,
): ScramVerifier {
  const derive = (purpose: string) => crypto.hmacSha256(secret, encodeText(`${purpose}:${user}`));
  return {
    iterations,
    salt: derive("salt").subarray(0, scramSaltBytes),
    storedKey: derive("stored key"),
    serverKey: derive("server key"),
  };
}
