// The OAuth side of a login: discovery, device flow (RFC 8628), refresh and revocation, tokens bound to the device's key
// (DPoP, RFC 9449). Knows nothing of terminals or files.

import { JitdbError } from "@jitdb/shared/errors";
import type { Clock } from "@jitdb/shared/ids";
import { Secret } from "@jitdb/shared/secret";
import * as oauth from "oauth4webapi";
import type { Network } from "../network/network.ts";
import { clean, line } from "../text.ts";
import type { Login } from "./credentials.ts";
import { toOAuthError } from "./oauth-error.ts";
import { importDeviceKey } from "./proof.ts";

/** What a person needs to confirm a login. */
export interface DeviceLogin {
  readonly verificationUri: string;
  /** With the code in it, where the server gives one. */
  readonly verificationUriComplete: string | undefined;
  readonly userCode: string;
  /** Epoch milliseconds by this machine's clock. */
  readonly expiresAt: number;
  /** For `OAuth.finish` alone. */
  readonly deviceCode: Secret;
  readonly intervalMs: number;
}

export interface OAuthPorts {
  readonly network: Pick<Network, "fetch">;
  readonly clock: Clock;
  readonly pause: (ms: number, signal?: AbortSignal) => Promise<void>;
}

/** What a service shows for itself: its private key, an ES256 JWK, or a token of its CI. */
export type ServiceCredential =
  | { readonly name: string; readonly key: Secret }
  | { readonly name: string; readonly token: Secret };

interface Issuer {
  readonly metadata: oauth.AuthorizationServer;
  readonly client: oauth.Client;
}

const scope = "openid offline_access";
const defaultClientId = "jitdb-cli";
/** RFC 8628 §3.2 and §3.5. */
const defaultIntervalMs = 5000;
const slowDownMs = 5000;
/** OAuth requires it; every answer of ours carries it. */
const defaultTokenLifeMs = 300_000;

/** One server's authorization server. Every method throws `server.*` where it can't be reached or is none. */
export class OAuth {
  readonly #server: string;
  readonly #ports: OAuthPorts;
  readonly #options: {
    readonly [oauth.customFetch]: Network["fetch"];
    readonly [oauth.allowInsecureRequests]: true;
  };
  #issuer: Promise<Issuer> | undefined;

  /** `server` is the issuer's address, and all that has to be known of it. */
  constructor(server: string, ports: OAuthPorts) {
    this.#server = server;
    this.#ports = ports;
    this.#options = {
      [oauth.customFetch]: (url, init) => ports.network.fetch(url, init),
      // Plain HTTP is refused off loopback by the network itself.
      [oauth.allowInsecureRequests]: true,
    };
  }

  /** Starts a device login. `deviceLabel` is how the verification page calls this device; `again` has the
   * person prove anew who they are, also where the browser knows them. */
  async start(deviceLabel: string, again = false): Promise<DeviceLogin> {
    const { metadata, client } = await this.#discover();
    const started = await this.#guard(async () => {
      const parameters = {
        scope,
        device_label: deviceLabel,
        ...(again && { login_again: "true" }),
      };
      const response = await oauth.deviceAuthorizationRequest(
        metadata,
        client,
        oauth.None(),
        parameters,
        this.#options,
      );
      return await oauth.processDeviceAuthorizationResponse(metadata, client, response);
    });
    return {
      verificationUri: started.verification_uri,
      verificationUriComplete: started.verification_uri_complete,
      userCode: started.user_code,
      expiresAt: this.#ports.clock.now() + started.expires_in * 1000,
      deviceCode: new Secret(started.device_code),
      intervalMs: started.interval === undefined ? defaultIntervalMs : started.interval * 1000,
    };
  }

  /**
   * Asks until the person has confirmed, at once and then at the server's pace. `key` is the device's private key.
   * @throws JitdbError `login.denied`, `login.expired` when the code's time is over, `login.proof` when the server does not
   * take the key (it was revoked, or is another person's); what the signal throws when aborted.
   */
  async finish(login: DeviceLogin, key: Secret, signal: AbortSignal): Promise<Login> {
    let intervalMs = login.intervalMs;
    for (;;) {
      const answer = await this.#poll(login, key);
      if (answer === "slow_down") {
        intervalMs += slowDownMs;
      } else if (answer !== "authorization_pending") {
        return answer;
      }
      if (this.#ports.clock.now() + intervalMs >= login.expiresAt) {
        throw new JitdbError("login.expired", "The code's time is over.");
      }
      await this.#ports.pause(intervalMs, signal);
    }
  }

  /**
   * New tokens for a login. The old refresh token stays good for a minute, so that a lost answer can be asked for again.
   * @throws JitdbError `login.expired` when the server does not know the login any more.
   */
  async refresh(login: Login): Promise<Login> {
    const { refreshToken } = login;
    if (refreshToken === null) {
      throw new JitdbError("login.expired", "The service's login is over.", {
        hint: "Run `jitdb login --service <name>` again.",
      });
    }
    const { metadata, client } = await this.#discover(login.clientId);
    return await this.#token(client, login.key, refreshToken, async (DPoP) => {
      const response = await oauth.refreshTokenGrantRequest(
        metadata,
        client,
        oauth.None(),
        refreshToken.reveal(),
        { ...this.#options, DPoP },
      );
      return await oauth.processRefreshTokenResponse(metadata, client, response);
    });
  }

  /**
   * Logs a service in: with the token of its CI (RFC 8693), or with an assertion that its private key, a JWK, has signed
   * (RFC 7523). `key` is the device's.
   * @throws JitdbError `login.service` with the server's reason
   */
  async service(credential: ServiceCredential, deviceLabel: string, key: Secret): Promise<Login> {
    const { metadata, client } = await this.#discover();
    const [grant, as, parameters, authentication] =
      "token" in credential
        ? ([
            "urn:ietf:params:oauth:grant-type:token-exchange",
            client,
            {
              subject_token: credential.token.reveal(),
              subject_token_type: "urn:ietf:params:oauth:token-type:jwt",
              service: credential.name,
            },
            oauth.None(),
          ] as const)
        : ([
            "client_credentials",
            { ...client, client_id: credential.name },
            {},
            oauth.PrivateKeyJwt((await importDeviceKey(credential.key)).privateKey),
          ] as const);
    try {
      return await this.#token(as, key, null, async (DPoP) => {
        const response = await oauth.genericTokenEndpointRequest(
          metadata,
          as,
          authentication,
          grant,
          { ...parameters, device_label: deviceLabel },
          { ...this.#options, DPoP },
        );
        return await oauth.processGenericTokenEndpointResponse(metadata, as, response);
      });
    } catch (error) {
      throw serviceRefused(error, credential);
    }
  }

  /** Ends the login on the server, and with it every token of its family. */
  async revoke(login: Login): Promise<void> {
    const token = login.refreshToken ?? login.accessToken;
    if (token === null) {
      return;
    }
    // A service's own client would have to be proven with its key, which nobody keeps.
    const clientId = login.refreshToken === null ? undefined : login.clientId;
    const { metadata, client } = await this.#discover(clientId);
    await this.#guard(async () => {
      const response = await oauth.revocationRequest(
        metadata,
        client,
        oauth.None(),
        token.reveal(),
        this.#options,
      );
      await oauth.processRevocationResponse(response);
    });
  }

  async #poll(
    login: DeviceLogin,
    key: Secret,
  ): Promise<Login | "slow_down" | "authorization_pending"> {
    const { metadata, client } = await this.#discover();
    try {
      return await this.#token(client, key, undefined, async (DPoP) => {
        const response = await oauth.deviceCodeGrantRequest(
          metadata,
          client,
          oauth.None(),
          login.deviceCode.reveal(),
          { ...this.#options, DPoP },
        );
        return await oauth.processDeviceCodeResponse(metadata, client, response);
      });
    } catch (error) {
      const cause = error instanceof JitdbError ? error.cause : undefined;
      const answer = cause instanceof oauth.ResponseBodyError ? cause.error : undefined;
      if (answer === "slow_down" || answer === "authorization_pending") {
        return answer;
      }
      if (answer === "invalid_grant") {
        throw keyRefused(error);
      }
      throw error;
    }
  }

  /** A call of the token endpoint, made again once where the server wants a nonce in the proof (RFC 9449 §8). */
  async #token(
    client: oauth.Client,
    key: Secret,
    refreshToken: Secret | null | undefined,
    call: (handle: oauth.DPoPHandle) => Promise<oauth.TokenEndpointResponse>,
  ): Promise<Login> {
    const handle = oauth.DPoP(client, await importDeviceKey(key));
    const tokens = await this.#guard(async () => {
      try {
        return await call(handle);
      } catch (error) {
        if (oauth.isDPoPNonceError(error)) {
          return await call(handle);
        }
        throw error;
      }
    });
    const next =
      tokens.refresh_token === undefined ? refreshToken : new Secret(tokens.refresh_token);
    if (next === undefined) {
      throw new JitdbError("server.unsuitable", `${this.#server} gave no refresh token.`);
    }
    const lifeMs = tokens.expires_in === undefined ? defaultTokenLifeMs : tokens.expires_in * 1000;
    return {
      key,
      refreshToken: next,
      accessToken: new Secret(tokens.access_token),
      accessTokenExpiresAt: this.#ports.clock.now() + lifeMs,
      clientId: client.client_id,
    };
  }

  async #discover(clientId?: string): Promise<Issuer> {
    this.#issuer ??= this.#guard(async () => {
      const issuer = new URL(this.#server);
      const response = await oauth.discoveryRequest(issuer, {
        ...this.#options,
        algorithm: "oauth2",
      });
      if (response.status !== 200) {
        throw new JitdbError("server.unsuitable", `${this.#server} is no jitdb server.`);
      }
      const metadata = await oauth.processDiscoveryResponse(issuer, response);
      const named = metadata["jitdb_client_id"];
      return {
        metadata,
        client: {
          client_id: clientId ?? (typeof named === "string" ? named : defaultClientId),
          // The ID token decides nothing here (the API says who is logged in), so a clock that is off shall not fail it.
          [oauth.clockTolerance]: 86_400,
        },
      };
    });
    return await this.#issuer;
  }

  async #guard<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (thrown) {
      throw toOAuthError(thrown, this.#server, this.#ports.clock.now());
    }
  }
}

/** The server's own reason: nobody sits there who could look it up. */
function serviceRefused(thrown: unknown, credential: ServiceCredential): unknown {
  const cause = thrown instanceof JitdbError ? thrown.cause : undefined;
  if (!(cause instanceof oauth.ResponseBodyError) || cause.status === 429) {
    return thrown;
  }
  const { name } = credential;
  switch (cause.error) {
    case "invalid_grant": {
      const reason = `The server refuses the ${"token" in credential ? "token" : "key"} of ${name}.`;
      const told = "token" in credential ? cause.error_description : undefined;
      return new JitdbError("login.service", clean(told ?? reason), { cause });
    }
    case "invalid_client":
      return new JitdbError("login.service", line`The server does not know that key of ${name}.`, {
        cause,
      });
    case "temporarily_unavailable": {
      const reason = cause.error_description ?? "The token's issuer does not answer.";
      return new JitdbError("login.provider", clean(reason), {
        hint: "Try again in a minute; the same token is good as long as it has not expired.",
        cause,
      });
    }
    default:
      return thrown;
  }
}

function keyRefused(cause: unknown): JitdbError {
  return new JitdbError("login.proof", "The server does not take this device's key.", {
    hint: "Run `jitdb login` again; it begins with a new key.",
    cause,
  });
}
