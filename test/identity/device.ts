// A device as the tests need it: it logs in as the CLI does, and can also lie in every part of a proof.
// Signs with node's crypto alone, so that the server is not checked with the library that it checks with.

import {
  createHash,
  createHmac,
  generateKeyPairSync,
  type KeyObject,
  randomUUID,
  sign,
} from "node:crypto";
import { Browser, type Page } from "../support/browser.ts";

export interface Started {
  readonly device_code: string;
  readonly user_code: string;
  readonly verification_uri: string;
  readonly verification_uri_complete: string;
  readonly expires_in: number;
  readonly interval: number;
}

export interface Tokens {
  readonly access_token: string;
  readonly refresh_token: string;
  readonly token_type: string;
}

export interface Answer {
  readonly status: number;
  readonly body: Record<string, unknown>;
  readonly headers: Headers;
}

/** What a proof says, where it is to say something else than the truth. */
export interface Lies {
  readonly header?: Record<string, unknown>;
  readonly payload?: Record<string, unknown>;
  /** Signs with HMAC and this secret instead of the key. */
  readonly secret?: string;
  /** Leaves the signature out. */
  readonly unsigned?: boolean;
}

const deviceGrant = "urn:ietf:params:oauth:grant-type:device_code";

export class TestDevice {
  readonly #url: string;
  readonly #privateKey: KeyObject;
  readonly jwk: Record<string, unknown>;
  readonly #algorithm: "ES256" | "EdDSA";

  constructor(url: string, algorithm: "ES256" | "EdDSA" = "ES256") {
    this.#url = url;
    this.#algorithm = algorithm;
    const { privateKey, publicKey } =
      algorithm === "ES256"
        ? generateKeyPairSync("ec", { namedCurve: "P-256" })
        : generateKeyPairSync("ed25519");
    this.#privateKey = privateKey;
    this.jwk = { ...publicKey.export({ format: "jwk" }) };
  }

  get privateJwk(): Record<string, unknown> {
    return { ...this.#privateKey.export({ format: "jwk" }) };
  }

  /** The thumbprint of RFC 7638, which is the device's id. */
  get id(): string {
    const { crv, kty, x, y } = this.jwk;
    return createHash("sha256").update(JSON.stringify({ crv, kty, x, y })).digest("base64url");
  }

  proof(method: string, url: string, accessToken?: string, lies: Lies = {}): string {
    const ath =
      accessToken === undefined
        ? undefined
        : createHash("sha256").update(accessToken).digest("base64url");
    const header = { typ: "dpop+jwt", alg: this.#algorithm, jwk: this.jwk, ...lies.header };
    const iat = Math.floor(Date.now() / 1000);
    const payload = { jti: randomUUID(), htm: method, htu: url, iat, ath, ...lies.payload };
    const input = `${encode(header)}.${encode(payload)}`;
    return `${input}.${this.#sign(input, lies)}`;
  }

  /** Asks for a code. */
  async start(parameters: Record<string, string> = {}, headers: Record<string, string> = {}) {
    return await this.#post(
      "/oauth/device_authorization",
      { client_id: "jitdb-cli", scope: "openid offline_access", ...parameters },
      headers,
    );
  }

  async begin(label = "jitdb on alice-laptop (linux)"): Promise<Started> {
    const { status, body } = await this.start({ device_label: label });
    if (status !== 200) {
      throw new Error(JSON.stringify(body));
    }
    return body as unknown as Started;
  }

  async poll(started: Started, proof?: string): Promise<Answer> {
    return await this.token({ grant_type: deviceGrant, device_code: started.device_code }, proof);
  }

  async refresh(refreshToken: string, proof?: string): Promise<Answer> {
    return await this.token({ grant_type: "refresh_token", refresh_token: refreshToken }, proof);
  }

  async token(parameters: Record<string, string>, proof?: string): Promise<Answer> {
    const dpop = proof ?? this.proof("POST", `${this.#url}/oauth/token`);
    return await this.#post("/oauth/token", { client_id: "jitdb-cli", ...parameters }, { dpop });
  }

  async logOut(token: string): Promise<Answer> {
    return await this.#post("/oauth/revoke", { client_id: "jitdb-cli", token });
  }

  /** Calls the API, with a proof and headers that may be wrong. */
  async call(
    accessToken: string,
    options: { proof?: string; scheme?: string; lies?: Lies } = {},
  ): Promise<Answer> {
    const url = `${this.#url}/api/v1/me`;
    const dpop = options.proof ?? this.proof("GET", url, accessToken, options.lies);
    const authorization = `${options.scheme ?? "DPoP"} ${accessToken}`;
    return await toAnswer(await fetch(url, { headers: { authorization, dpop } }));
  }

  /** The whole login, as somebody whose password is known. */
  async logIn(name: string, password: string, label?: string): Promise<Tokens> {
    const started = await this.begin(label);
    await letIn(started, name, password);
    const { status, body } = await this.poll(started);
    if (status !== 200) {
      throw new Error(JSON.stringify(body));
    }
    return body as unknown as Tokens;
  }

  async #post(
    path: string,
    parameters: Record<string, string>,
    headers: Record<string, string> = {},
  ): Promise<Answer> {
    const body = new URLSearchParams(parameters);
    return await toAnswer(await fetch(this.#url + path, { method: "POST", headers, body }));
  }

  #sign(input: string, lies: Lies): string {
    if (lies.unsigned) {
      return "";
    }
    if (lies.secret !== undefined) {
      return createHmac("sha256", lies.secret).update(input).digest("base64url");
    }
    const key = { key: this.#privateKey, dsaEncoding: "ieee-p1363" } as const;
    const digest = this.#algorithm === "ES256" ? "sha256" : null;
    return sign(digest, Buffer.from(input), key).toString("base64url");
  }
}

/** Opens the link that the device shows and logs in: gives the page with the question. */
export async function openConfirmPage(
  started: Started,
  name: string,
  password: string,
  browser = new Browser(),
): Promise<Page> {
  const page = await browser.open(started.verification_uri_complete);
  return await browser.press(page, /^log in$/i, { name, password });
}

/** Says yes to a device. */
export async function letIn(started: Started, name: string, password: string): Promise<Page> {
  const browser = new Browser();
  return await browser.press(await openConfirmPage(started, name, password, browser), /^yes/i);
}

function encode(value: unknown): string {
  return Buffer.from(JSON.stringify(value)).toString("base64url");
}

async function toAnswer(response: Response): Promise<Answer> {
  const text = await response.text();
  const body = text.startsWith("{") ? JSON.parse(text) : { text };
  return { status: response.status, body, headers: response.headers };
}
