// Decides who is calling: an access token, and a proof that the caller holds the key that the token is bound to (RFC 9449 §7).

import { type ErrorCode, JitdbError } from "@jitdb/shared/errors";
import type { Clock, DeviceId, PersonId } from "@jitdb/shared/ids";
import type { Store } from "../store/store.ts";
import { administrators, type Caller } from "./caller.ts";
import { artifactId } from "./oauth/artifacts.ts";
import { proofAlgorithms, type UsedProofs, verifyProof } from "./proof.ts";

export interface Credentials {
  readonly method: string;
  /** The full public URL of what is called, without query. */
  readonly url: string;
  /** The `Authorization` header as it came. */
  readonly authorization?: string | undefined;
  /** The `DPoP` header as it came. */
  readonly proof?: string | undefined;
  readonly address: string;
}

export interface Authenticator {
  /**
   * For API calls, WebSocket upgrades and AUTH frames (method GET, the tunnel's URL, `DPoP <token>`).
   * Person, groups and device are read anew each time, so that what was taken away is gone with the next call.
   * @throws JitdbError `login.required`, `login.expired`, `login.proof`, `login.disabled`.
   */
  authenticate(credentials: Credentials): Promise<Caller>;
}

/** The `WWW-Authenticate` header that belongs to an error of the authenticator (RFC 9449 §7.1); undefined for others. */
export function challengeFor(code: ErrorCode): string | undefined {
  const errors: Partial<Record<ErrorCode, string>> = {
    "login.required": "",
    "login.expired": 'error="invalid_token", ',
    "login.proof": 'error="invalid_dpop_proof", ',
  };
  const error = errors[code];
  return error === undefined ? undefined : `DPoP ${error}algs="${proofAlgorithms.join(" ")}"`;
}

export interface AuthenticatorOptions {
  readonly store: Store;
  readonly clock: Clock;
  readonly usedProofs: UsedProofs;
}

/** Authenticates against the store, without the provider. */
export class TokenAuthenticator implements Authenticator {
  readonly #store: Store;
  readonly #clock: Clock;
  readonly #usedProofs: UsedProofs;

  constructor({ store, clock, usedProofs }: AuthenticatorOptions) {
    this.#store = store;
    this.#clock = clock;
    this.#usedProofs = usedProofs;
  }

  async authenticate(credentials: Credentials): Promise<Caller> {
    const accessToken = parseAuthorization(credentials.authorization);
    if (credentials.proof === undefined) {
      throw new JitdbError("login.proof", "The call carries no proof of the device's key.");
    }
    const { method, url, proof, address } = credentials;
    const { device, jti } = await verifyProof(proof, { method, url, accessToken }, this.#clock);
    const owner = await this.#ownerOf(device);
    const tokenExpiresAt = await this.#checkToken(accessToken, device);
    // Only a call that is good in all else uses up its proof: a stranger can't fill the table.
    if (!(await this.#usedProofs.claim(device, jti))) {
      throw new JitdbError("login.proof", "The proof of the device's key was used before.");
    }
    const groups = await this.#groupsOf(owner.person_id);
    return {
      personId: owner.person_id,
      name: owner.name,
      groups,
      administrator: groups.includes(administrators),
      deviceId: device,
      deviceLabel: owner.label,
      deviceConfirmed: owner.confirmed_at !== null,
      tokenExpiresAt,
      address,
    };
  }

  async #ownerOf(device: DeviceId) {
    const owner = await this.#store.db
      .selectFrom("devices")
      .innerJoin("people", "people.id", "devices.person_id")
      .where("devices.id", "=", device)
      .select(["person_id", "name", "disabled_at", "label", "confirmed_at", "revoked_at"])
      .executeTakeFirst();
    if (owner === undefined) {
      throw new JitdbError("login.expired", "This device is not logged in.");
    }
    if (owner.disabled_at !== null) {
      throw new JitdbError("login.disabled", `The account of ${owner.name} is disabled.`);
    }
    if (owner.revoked_at !== null) {
      throw new JitdbError("login.expired", "This device was revoked.");
    }
    return owner;
  }

  /** Gives the token's end, epoch milliseconds. */
  async #checkToken(accessToken: string, device: DeviceId): Promise<number> {
    // The join finds nothing once the login has ended, also for a token that was being issued at that moment.
    const token = await this.#store.db
      .selectFrom("oauth_artifacts as token")
      .innerJoin("oauth_artifacts as login", "login.grant_id", "token.grant_id")
      .where("login.model", "=", "Grant")
      .where("token.model", "=", "AccessToken")
      .where("token.id", "=", artifactId(accessToken))
      .select(["token.uid", "token.expires_at"])
      .executeTakeFirst();
    if (token === undefined || token.expires_at === null || token.expires_at <= this.#clock.now()) {
      throw new JitdbError("login.expired", "The login has expired or was ended.");
    }
    if (token.uid !== device) {
      throw new JitdbError("login.proof", "The login belongs to another device's key.");
    }
    return token.expires_at;
  }

  async #groupsOf(person: PersonId): Promise<string[]> {
    const rows = await this.#store.db
      .selectFrom("memberships")
      .select("group_name")
      .where("person_id", "=", person)
      .orderBy("group_name")
      .execute();
    return rows.map((row) => row.group_name);
  }
}

function parseAuthorization(authorization: string | undefined): string {
  if (authorization === undefined) {
    throw new JitdbError("login.required", "The call carries no login.");
  }
  // SECURITY: every token here is bound to a key; as a bearer token it would work for whoever found it in a log.
  const match = /^DPoP ([A-Za-z0-9._~+/-]{1,512}=*)$/i.exec(authorization);
  if (match?.[1] === undefined) {
    throw new JitdbError("login.required", "The call's login is not of the kind DPoP.");
  }
  return match[1];
}
