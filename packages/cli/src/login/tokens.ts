// Access tokens for the API and both WebSockets: taken from the store, refreshed shortly before they end, by one process
// of this device at a time.

import { JitdbError } from "@jitdb/shared/errors";
import type { Clock, Random } from "@jitdb/shared/ids";
import type { Secret } from "@jitdb/shared/secret";
import type { Credentials, Login } from "./credentials.ts";
import type { OAuth } from "./oauth.ts";
import { createProof, type DeviceKey, importDeviceKey } from "./proof.ts";

/** A token with less time left is refreshed before it is used. */
const minimumLeftMs = 60_000;

/** What a call is authorised with: the token, and the proof for that call alone. */
export interface Authorization {
  readonly accessToken: Secret;
  readonly proof: string;
}

export interface Tokens {
  /**
   * A token and a proof for one call; `url` is absolute.
   * @throws JitdbError `login.required` without a login, `login.expired` when it can't be refreshed, `server.*`
   */
  authorize(method: string, url: string): Promise<Authorization>;
  /** Keeps the nonce that the server wants in proofs from now on (RFC 9449 §8.2). */
  useNonce(nonce: string): void;
}

export interface TokenPorts {
  readonly credentials: Pick<Credentials, "read" | "update" | "exclusively">;
  readonly oauth: Pick<OAuth, "refresh">;
  readonly clock: Clock;
  readonly random: Random;
}

/** The tokens of the login to one server. */
export class StoredTokens implements Tokens {
  readonly #server: string;
  readonly #ports: TokenPorts;
  #login: Login | undefined;
  #key: { readonly text: string; readonly key: DeviceKey } | undefined;
  #nonce: string | undefined;

  constructor(server: string, ports: TokenPorts) {
    this.#server = server;
    this.#ports = ports;
  }

  async authorize(method: string, url: string): Promise<Authorization> {
    const { key, accessToken } = await this.#freshLogin();
    const proof = await createProof(await this.#importKey(key), this.#ports.random, {
      method,
      url,
      accessToken,
      nonce: this.#nonce,
      now: this.#ports.clock.now(),
    });
    return { accessToken, proof };
  }

  useNonce(nonce: string): void {
    this.#nonce = nonce;
  }

  async #freshLogin(): Promise<Login & { accessToken: Secret }> {
    if (!this.#isFresh(this.#login)) {
      this.#login = await this.#ports.credentials.read(this.#server);
    }
    if (this.#login !== undefined && !this.#isFresh(this.#login)) {
      this.#login = await this.#ports.credentials.exclusively(() => this.#refresh());
    }
    if (!hasAccessToken(this.#login)) {
      throw this.#loginRequired();
    }
    return this.#login;
  }

  #loginRequired(): JitdbError {
    return new JitdbError("login.required", `You are not logged in to ${this.#server}.`, {
      hint: `Run \`jitdb login ${this.#server}\`.`,
    });
  }

  /** Under the lock: somebody else may have refreshed while we waited for it. */
  async #refresh(): Promise<Login> {
    const { credentials, oauth } = this.#ports;
    const login = await credentials.read(this.#server);
    if (login === undefined) {
      throw this.#loginRequired();
    }
    if (this.#isFresh(login)) {
      return login;
    }
    const refreshed = await oauth.refresh(login);
    await credentials.update(this.#server, refreshed);
    return refreshed;
  }

  #isFresh(login: Login | undefined): boolean {
    const now = this.#ports.clock.now();
    return hasAccessToken(login) && login.accessTokenExpiresAt - now >= minimumLeftMs;
  }

  async #importKey(key: Secret): Promise<DeviceKey> {
    const text = key.reveal();
    if (this.#key?.text !== text) {
      this.#key = { text, key: await importDeviceKey(key) };
    }
    return this.#key.key;
  }
}

function hasAccessToken(login: Login | undefined): login is Login & { accessToken: Secret } {
  return login !== undefined && login.accessToken !== null;
}
