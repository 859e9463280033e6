// For tests: an identity provider that says whatever a test wants, without a network. Signs with node's crypto alone, so that
// the server is not checked with the library that it checks with.

import { createHmac, generateKeyPairSync, type KeyObject, randomUUID, sign } from "node:crypto";

export const scriptedIssuer = "https://login.example.com";
export const scriptedClient = "jitdb-at-work";

type Claims = Readonly<Record<string, unknown>>;

interface Key {
  readonly kid: string;
  readonly privateKey: KeyObject;
  readonly publicKey: KeyObject;
}

export interface Signing {
  readonly key?: Key;
  /** Signs with HMAC and this secret instead of the key. */
  readonly secret?: string | Buffer;
  readonly unsigned?: true;
}

export function createKey(kid: string): Key {
  return { kid, ...generateKeyPairSync("ec", { namedCurve: "P-256" }) };
}

export class ScriptedCompany {
  readonly issuer: string;
  /** Paths that were asked for. */
  readonly asked: string[] = [];
  /** What it publishes; the first one signs. */
  keys: readonly Key[] = [createKey("first")];
  /** Differences from the right discovery document. */
  document: Claims = {};
  /** Of the login under way. */
  nonce = "";
  /** Differences from the right ID token. */
  idToken: Claims = {};
  signing: Signing = {};
  userinfo: Claims = {};
  /** Answers instead of what is right: by path. */
  answers: Readonly<Record<string, (signal: AbortSignal | null | undefined) => Promise<Response>>> =
    {};

  constructor(issuer = scriptedIssuer) {
    this.issuer = issuer;
  }

  /** The network, in which there is nobody else. */
  readonly fetch = async (url: string, init?: RequestInit): Promise<Response> => {
    const { origin, pathname } = new URL(url);
    this.asked.push(origin === this.issuer ? pathname : url);
    const scripted = this.answers[pathname];
    if (scripted !== undefined) {
      const response = await scripted(init?.signal);
      // As the real one does; the header is what counts.
      if (init?.redirect === "error" && response.headers.has("location")) {
        throw new TypeError("fetch failed", { cause: new Error("unexpected redirect") });
      }
      return response;
    }
    switch (pathname) {
      case "/.well-known/openid-configuration":
        return Response.json(this.#document());
      case "/keys":
        return Response.json({ keys: this.keys.map(toJwk) });
      case "/token":
        return Response.json({
          access_token: "an access token",
          token_type: "Bearer",
          id_token: this.sign(this.#claims(), this.signing),
        });
      case "/userinfo":
        return Response.json({ sub: "s-1", ...this.userinfo });
      default:
        return new Response("", { status: 404 });
    }
  };

  sign(claims: Claims, { key = this.keys[0], secret, unsigned }: Signing = {}): string {
    const alg = unsigned === true ? "none" : secret === undefined ? "ES256" : "HS256";
    const input = [{ alg, kid: key?.kid }, claims]
      .map((part) => Buffer.from(JSON.stringify(part)).toString("base64url"))
      .join(".");
    if (key === undefined || unsigned === true) {
      return `${input}.`;
    }
    const signature =
      secret === undefined
        ? sign("sha256", Buffer.from(input), {
            key: key.privateKey,
            dsaEncoding: "ieee-p1363",
          })
        : createHmac("sha256", secret).update(input).digest();
    return `${input}.${signature.toString("base64url")}`;
  }

  logoutToken(claims: Claims, signing: Signing = {}): string {
    const iat = Math.floor(Date.now() / 1000);
    const events = { "http://schemas.openid.net/event/backchannel-logout": {} };
    const right = { iss: this.issuer, aud: scriptedClient, iat, jti: randomUUID(), events };
    return this.sign({ ...right, ...claims }, signing);
  }

  #document(): Claims {
    return {
      issuer: this.issuer,
      authorization_endpoint: `${this.issuer}/authorize`,
      token_endpoint: `${this.issuer}/token`,
      userinfo_endpoint: `${this.issuer}/userinfo`,
      jwks_uri: `${this.issuer}/keys`,
      id_token_signing_alg_values_supported: ["ES256"],
      ...this.document,
    };
  }

  #claims(): Claims {
    const now = Math.floor(Date.now() / 1000);
    return {
      iss: this.issuer,
      sub: "s-1",
      aud: scriptedClient,
      iat: now,
      exp: now + 300,
      nonce: this.nonce,
      auth_time: now - 60,
      preferred_username: "carol",
      groups: ["Data Developers"],
      ...this.idToken,
    };
  }
}

function toJwk({ kid, publicKey }: Key): Claims {
  return { ...publicKey.export({ format: "jwk" }), kid, alg: "ES256", use: "sig" };
}
