// The company's identity provider, spoken to over OpenID Connect with the code flow, PKCE, state and nonce. Knows what it
// says of a person; neither our accounts nor our pages.

import { JitdbError } from "@jitdb/shared/errors";
import type { Clock, Random } from "@jitdb/shared/ids";
import { createRemoteJWKSet, customFetch, jwtVerify } from "jose";
import * as oidc from "openid-client";
import type { CompanyConfig } from "../config/identity.ts";
import { boundedFetch, type Fetch, namedAddress } from "./outgoing.ts";
import { tokenAlgorithms } from "./services.ts";

/** Where the identity provider sends the browser back to, below the public URL. */
export const returnPath = "/device/company/return";

const limits = {
  timeoutSeconds: 10,
  discoveryMs: 60 * 60 * 1000,
  maxGroups: 2000,
  /** A login there that is older is asked for again; as long as a browser stays logged in here. */
  maxAgeSeconds: 8 * 60 * 60,
  maxLogoutTokenLength: 8192,
  maxLogoutTokenAgeSeconds: 10 * 60,
} as const;

const logoutEvent = "http://schemas.openid.net/event/backchannel-logout";

/** What ties the answer to the question; stays on this server. */
export interface CompanyQuestion {
  readonly state: string;
  readonly nonce: string;
  readonly verifier: string;
}

/** What the company says of a person. */
export interface CompanyPerson {
  /** Issuer, a space, subject: the only thing that accounts are matched by. */
  readonly subject: string;
  /** What they are called there; undefined where it says nothing that is text. */
  readonly name: string | undefined;
  /** Groups of this server, out of the configuration's map. */
  readonly groups: readonly string[];
  /** The session there, where it has a name. */
  readonly session: string | undefined;
  /** When they proved who they are, epoch milliseconds; 0 where the provider does not say. */
  readonly provenAt: number;
}

/** A logout token that is the company's, and what keeps it from being obeyed twice. */
export interface Logout {
  readonly subject?: string;
  readonly session?: string;
  /** Names the token. */
  readonly id: string;
  /** How long it could be sent again. */
  readonly goodForMs: number;
}

export interface CompanyOptions {
  readonly config: CompanyConfig;
  readonly clock: Clock;
  readonly random: Random;
  readonly publicUrl: string;
  /** The network; for tests another one. */
  readonly fetch?: Fetch;
  /** Seconds that each answer of the provider may take. */
  readonly timeoutSeconds?: number;
}

export class Company {
  readonly #options: CompanyOptions;
  readonly #fetch: Fetch;
  readonly #timeoutSeconds: number;
  #discovered: { readonly found: Promise<oidc.Configuration>; readonly at: number } | undefined;
  #keys: { readonly at: string; readonly set: ReturnType<typeof createRemoteJWKSet> } | undefined;

  constructor(options: CompanyOptions) {
    this.#options = options;
    this.#fetch = boundedFetch(options.fetch);
    this.#timeoutSeconds = options.timeoutSeconds ?? limits.timeoutSeconds;
  }

  /**
   * Where the browser goes to log in. `again`: the person has to prove anew who they are.
   * @throws JitdbError `login.provider` where the issuer does not answer as it should
   */
  async ask(again: boolean): Promise<{ readonly url: URL; readonly question: CompanyQuestion }> {
    const { config, publicUrl } = this.#options;
    const question = { state: this.#word(), nonce: this.#word(), verifier: this.#word() };
    const server = await this.#discover();
    const parameters = {
      redirect_uri: publicUrl + returnPath,
      scope: config.scopes.join(" "),
      state: question.state,
      nonce: question.nonce,
      code_challenge: await oidc.calculatePKCECodeChallenge(question.verifier),
      code_challenge_method: "S256",
      // With it, the provider has to say when the login was (OpenID Connect Core §3.1.2.1).
      max_age: String(again ? 0 : limits.maxAgeSeconds),
      ...(again && { prompt: "login" }),
    };
    try {
      // SECURITY: throws for an address that is not https://, such as javascript:, which the browser would run as ours.
      return { url: oidc.buildAuthorizationUrl(server, parameters), question };
    } catch (cause) {
      throw toRefusal(cause);
    }
  }

  /**
   * Who came back. `search` is the query of the address that they came back to.
   * @throws JitdbError `login.provider` where the issuer does not answer, `login.company` where what it says is refused
   */
  async hear(search: string, question: CompanyQuestion): Promise<CompanyPerson> {
    const server = await this.#discover();
    try {
      // SECURITY: built on the configured address; the Host header could name another.
      const url = new URL(returnPath + search, this.#options.publicUrl);
      const tokens = await oidc.authorizationCodeGrant(server, url, {
        pkceCodeVerifier: question.verifier,
        expectedState: question.state,
        expectedNonce: question.nonce,
        idTokenExpected: true,
      });
      const claims = tokens.claims();
      if (claims === undefined) {
        throw refused("it named nobody");
      }
      const { groupsClaim } = this.#options.config;
      const more =
        claims[groupsClaim] === undefined && server.serverMetadata().userinfo_endpoint !== undefined
          ? await oidc.fetchUserInfo(server, tokens.access_token, claims.sub)
          : {};
      return this.#read({ ...more, ...claims });
    } catch (cause) {
      throw toRefusal(cause);
    }
  }

  /**
   * Checks a logout token (OpenID Connect Back-Channel Logout 1.0 §2.6), but for whether it was obeyed before.
   * @throws Error for any that is not to be obeyed
   */
  async verifyLogout(token: string): Promise<Logout> {
    const { config, clock } = this.#options;
    if (token.length > limits.maxLogoutTokenLength) {
      throw new Error("The logout token is too long.");
    }
    const { payload } = await jwtVerify(token, await this.#openKeys(), {
      issuer: config.issuer,
      audience: config.clientId,
      algorithms: tokenAlgorithms,
      requiredClaims: ["iat", "jti", "events"],
      maxTokenAge: limits.maxLogoutTokenAgeSeconds,
      clockTolerance: 30,
      currentDate: new Date(clock.now()),
    });
    const { events, nonce, sub, sid, jti } = payload;
    // SECURITY: an ID token, which many have seen, must not pass for a logout token.
    if (nonce !== undefined || !isRecord(events) || !isRecord(events[logoutEvent])) {
      throw new Error("The token is no logout token.");
    }
    const subject = typeof sub === "string" ? { subject: `${config.issuer} ${sub}` } : {};
    const session = typeof sid === "string" ? { session: sid } : {};
    if (sub === undefined && sid === undefined) {
      throw new Error("The logout token names nobody.");
    }
    const goodForMs = (limits.maxLogoutTokenAgeSeconds + 60) * 1000;
    return { ...subject, ...session, id: `${config.issuer} ${String(jti)}`, goodForMs };
  }

  #read(claims: Readonly<Record<string, unknown>>): CompanyPerson {
    const { config, clock } = this.#options;
    const theirs = claims[config.groupsClaim];
    if (!Array.isArray(theirs) || theirs.length > limits.maxGroups) {
      throw refused(`it sent no list of groups as its claim ${config.groupsClaim}`);
    }
    if (config.requiredGroup !== undefined && !theirs.includes(config.requiredGroup)) {
      throw refused(`the account there is not in the group ${config.requiredGroup}`);
    }
    // SECURITY: only what the operator named counts; a group called admins over there makes no administrator here.
    const groups = Object.entries(config.groups).filter(([name]) => theirs.includes(name));
    const name = claims[config.nameClaim];
    const provenAt = claims["auth_time"];
    return {
      subject: `${config.issuer} ${String(claims["sub"])}`,
      name: typeof name === "string" ? name : undefined,
      groups: [...new Set(groups.map(([, group]) => group))].toSorted(),
      session: typeof claims["sid"] === "string" ? claims["sid"] : undefined,
      // SECURITY: without a time, the login counts as old: rules that ask for a fresh one are not met.
      provenAt: typeof provenAt === "number" ? Math.min(provenAt * 1000, clock.now()) : 0,
    };
  }

  /** Kept for an hour; a failure is not kept, so that the next login tries again. */
  async #discover(): Promise<oidc.Configuration> {
    const now = this.#options.clock.now();
    const known = this.#discovered;
    const current =
      known !== undefined && now - known.at < limits.discoveryMs
        ? known
        : { found: this.#fetchConfiguration(), at: now };
    this.#discovered = current;
    try {
      return await current.found;
    } catch (cause) {
      // Others may have waited for the same answer, and one of them may have asked again already.
      if (this.#discovered === current) {
        this.#discovered = undefined;
      }
      throw toRefusal(cause);
    }
  }

  async #fetchConfiguration(): Promise<oidc.Configuration> {
    const { issuer, clientId, clientSecret } = this.#options.config;
    const local = issuer.startsWith("http:") ? [oidc.allowInsecureRequests] : [];
    return await oidc.discovery(
      new URL(issuer),
      clientId,
      undefined,
      oidc.ClientSecretBasic(clientSecret.reveal()),
      {
        timeout: this.#timeoutSeconds,
        execute: [...local, oidc.enableNonRepudiationChecks],
        [oidc.customFetch]: (url, init) => this.#fetch(url, init as RequestInit),
      },
    );
  }

  async #openKeys() {
    const { jwks_uri } = (await this.#discover()).serverMetadata();
    const at = namedAddress(this.#options.config.issuer, jwks_uri);
    if (this.#keys?.at !== at.href) {
      const timeoutDuration = this.#timeoutSeconds * 1000;
      const set = createRemoteJWKSet(at, { timeoutDuration, [customFetch]: this.#fetch });
      this.#keys = { at: at.href, set };
    }
    return this.#keys.set;
  }

  #word(): string {
    return Buffer.from(this.#options.random.bytes(32)).toString("base64url");
  }
}

function toRefusal(cause: unknown): JitdbError {
  if (cause instanceof JitdbError) {
    return cause;
  }
  // SECURITY: neither its code nor its description is shown: whoever made the link wrote them.
  if (cause instanceof oidc.AuthorizationResponseError) {
    return refused("it turned the login down", cause);
  }
  if (cause instanceof oidc.ResponseBodyError) {
    const code = answeredCodes.find((each) => each === cause.error) ?? "an error";
    const message = `The company's login answered this server with ${code}.`;
    return new JitdbError("login.provider", message, { cause, hint: compareHint });
  }
  const code = cause instanceof Error && "code" in cause ? String(cause.code) : "";
  if (forgedCodes.includes(code)) {
    const reason = "what it sent is not for this login, or cannot be verified";
    return refused(reason, cause, compareHint);
  }
  const what = code === "OAUTH_TIMEOUT" ? "is too slow" : "does not answer as it should";
  return new JitdbError("login.provider", `The company's login ${what}.`, { cause });
}

/** RFC 6749 §5.2; others would be the provider's own words. */
const answeredCodes = [
  "invalid_client",
  "invalid_grant",
  "invalid_request",
  "invalid_scope",
  "unauthorized_client",
  "unsupported_grant_type",
];

/** openid-client's codes for answers and ID tokens that are another's, of another time, or made up. */
const forgedCodes = [
  "OAUTH_INVALID_RESPONSE",
  "OAUTH_JSON_ATTRIBUTE_COMPARISON_FAILED",
  "OAUTH_JWT_CLAIM_COMPARISON_FAILED",
  "OAUTH_JWT_TIMESTAMP_CHECK_FAILED",
  "OAUTH_KEY_SELECTION_FAILED",
];

const compareHint =
  "Run `jitdb login` again. If it stays so, an administrator compares identity.company in jitdb.yaml, and the server's clock, with the company's provider.";

function refused(reason: string, cause?: unknown, hint?: string): JitdbError {
  return new JitdbError("login.company", `The company's login was refused: ${reason}.`, {
    cause,
    ...(hint !== undefined && { hint }),
  });
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
