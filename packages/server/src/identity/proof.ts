// DPoP proofs (RFC 9449 §4): a signed statement that the caller holds a key, made for one call.

import { hash } from "node:crypto";
import { JitdbError } from "@jitdb/shared/errors";
import type { Clock, DeviceId } from "@jitdb/shared/ids";
import { calculateJwkThumbprint, EmbeddedJWK, type JWTPayload, jwtVerify } from "jose";
import type { Kysely } from "kysely";
import type { Store } from "../store/store.ts";
import type { Tables } from "../store/tables.ts";

/** Signatures that a proof may have. Ed25519 is the newer name of what EdDSA means here (RFC 9864). */
export const proofAlgorithms = ["ES256", "EdDSA", "Ed25519"];

/** How far a proof's time may be from the server's, either way. */
const proofWindowMs = 60_000;

const maxProofLength = 8192;
const maxJtiLength = 256;

export interface ProvenKey {
  /** The key's thumbprint (RFC 7638). */
  readonly device: DeviceId;
  /** The proof's own id; may be used once. */
  readonly jti: string;
}

export interface ProofContext {
  readonly method: string;
  /** The public URL without query. */
  readonly url: string;
  /** Absent where no token goes along, as at the token endpoint. */
  readonly accessToken?: string | undefined;
}

/**
 * Checks everything about a proof except that it is new.
 * @throws JitdbError `login.proof`
 */
export async function verifyProof(
  proof: string,
  context: ProofContext,
  clock: Clock,
): Promise<ProvenKey> {
  if (proof.length > maxProofLength) {
    throw refused("it is too long");
  }
  const { payload, jwk } = await verifySignature(proof, clock);
  const { htm, htu, iat, jti, ath, nonce } = payload;
  if (htm !== context.method) {
    throw refused("it was made for another method");
  }
  if (typeof htu !== "string" || URL.parse(htu)?.href !== new URL(context.url).href) {
    throw refused("it was made for another URL");
  }
  if (typeof iat !== "number" || !(Math.abs(clock.now() - iat * 1000) <= proofWindowMs)) {
    throw refused("its time is too far from the server's");
  }
  if (typeof jti !== "string" || jti === "" || jti.length > maxJtiLength) {
    throw refused("it has no usable id");
  }
  // This server gives out no nonces, so a proof with one was made for somebody else.
  if (nonce !== undefined) {
    throw refused("its nonce is not the server's");
  }
  const { accessToken } = context;
  if (accessToken !== undefined && ath !== hash("sha256", accessToken, "base64url")) {
    throw refused("it was made for another token");
  }
  return { device: (await calculateJwkThumbprint(jwk)) as DeviceId, jti };
}

async function verifySignature(proof: string, clock: Clock) {
  try {
    // SECURITY: the algorithm is on our list, never the sender's choice ("none", HS256 with the public key as secret),
    // and EmbeddedJWK takes public keys only.
    const { payload, protectedHeader } = await jwtVerify<JWTPayload>(proof, EmbeddedJWK, {
      algorithms: proofAlgorithms,
      typ: "dpop+jwt",
      currentDate: new Date(clock.now()),
    });
    if (protectedHeader.jwk === undefined) {
      throw new Error("EmbeddedJWK has let a proof without a key through.");
    }
    return { payload, jwk: protectedHeader.jwk };
  } catch (cause) {
    throw refused("its signature cannot be verified", cause);
  }
}

function refused(reason: string, cause?: unknown): JitdbError {
  return new JitdbError("login.proof", `The proof of the device's key was refused: ${reason}.`, {
    cause,
  });
}

/** Remembers, across restarts, which proofs were used, for as long as they could be used again (RFC 9449 §11.1). */
export class UsedProofs {
  readonly #store: Store;
  readonly #clock: Clock;

  constructor(store: Store, clock: Clock) {
    this.#store = store;
    this.#clock = clock;
  }

  /**
   * False: this proof was used before. `owner` is the key's thumbprint, or the OAuth client; `goodForMs` how long it could
   * be used again, where that is longer than a proof's time. `db` may be a transaction: what it does and the claim are
   * kept together, or neither.
   */
  async claim(
    owner: string,
    jti: string,
    goodForMs = 0,
    db: Kysely<Tables> = this.#store.db,
  ): Promise<boolean> {
    const row = await db
      .insertInto("used_proofs")
      .values({
        id: hash("sha256", `${owner} ${jti}`, "base64url"),
        // A proof from the edge of the future is good for twice the window.
        expires_at: this.#clock.now() + Math.max(goodForMs, 2 * proofWindowMs),
      })
      .onConflict((conflict) => conflict.column("id").doNothing())
      .returning("id")
      .executeTakeFirst();
    return row !== undefined;
  }
}
