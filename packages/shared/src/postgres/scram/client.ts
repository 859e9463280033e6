// The client's side of SCRAM-SHA-256 and SCRAM-SHA-256-PLUS: how the gateway logs in to a database, and `jitdb sql` to the agent.
// Sources: RFC 5802, RFC 7677, RFC 5929 §4 (tls-server-end-point). It derives no key itself: see verifier.ts.

import { JitdbError } from "../../errors.ts";
import { encodeLatin1, encodeText } from "../writer.ts";
import { decodeBase64, encodeBase64 } from "./base64.ts";
import { type ScramCrypto, scramKeyBytes, xor } from "./crypto.ts";
import {
  checkNonce,
  messageText,
  nonceBytes,
  parseAttributes,
  scramError,
  scramLimits,
} from "./grammar.ts";
import type { ScramKeys } from "./verifier.ts";

/** What the server wants the keys to be derived with: the key of a cache of them. */
export interface ScramChallenge {
  readonly salt: Uint8Array;
  readonly iterations: number;
}

export interface ScramClientOptions {
  /** From AuthenticationSASL. */
  readonly mechanisms: readonly string[];
  /** Hash of the server's certificate (tls-server-end-point); undefined without TLS. */
  readonly serverEndPoint?: Uint8Array | undefined;
}

/**
 * One exchange: `first` → SASLInitialResponse, `challenge` of SASLContinue, `respond` → SASLResponse, `verify` SASLFinal.
 * A step out of order is refused, so a server that skips one is, too; success is `isVerified` alone.
 */
export class ScramClient {
  /** For SASLInitialResponse. */
  readonly mechanism: "SCRAM-SHA-256" | "SCRAM-SHA-256-PLUS";
  readonly #crypto: ScramCrypto;
  readonly #gs2Header: string;
  readonly #serverEndPoint: Uint8Array;
  readonly #clientNonce: string;
  #step: "challenge" | "respond" | "verify" | "verified" = "challenge";
  #serverFirst = "";
  #nonce = "";
  #serverSignature: Uint8Array | undefined;

  /**
   * Chooses the mechanism: with channel binding wherever server and connection can.
   * @throws JitdbError `postgres.auth` if the server offers no SCRAM-SHA-256
   */
  constructor(crypto: ScramCrypto, { mechanisms, serverEndPoint }: ScramClientOptions) {
    const bind = serverEndPoint !== undefined && mechanisms.includes("SCRAM-SHA-256-PLUS");
    if (!bind && !mechanisms.includes("SCRAM-SHA-256")) {
      throw new JitdbError("postgres.auth", "The database offers no SCRAM-SHA-256 login.");
    }
    this.mechanism = bind ? "SCRAM-SHA-256-PLUS" : "SCRAM-SHA-256";
    // SECURITY: `y` says "I could bind, and you did not offer it": a server that did offer it then knows that somebody in
    // the middle took the offer away.
    this.#gs2Header = bind
      ? "p=tls-server-end-point,,"
      : serverEndPoint === undefined
        ? "n,,"
        : "y,,";
    this.#serverEndPoint = bind ? serverEndPoint : new Uint8Array(0);
    this.#crypto = crypto;
    this.#clientNonce = encodeBase64(crypto.randomBytes(nonceBytes));
  }

  /** Whether the server has proved that it knows the keys, too. Nothing it said before may be trusted. */
  get isVerified(): boolean {
    return this.#step === "verified";
  }

  /** The client-first-message. The user's name stays empty: PostgreSQL takes the start-up message's. */
  first(): Uint8Array {
    return encodeText(this.#gs2Header + this.#firstBare());
  }

  /**
   * Takes the server-first-message.
   * @throws JitdbError `postgres.auth` if it is malformed, does not extend our nonce, or is out of `scramLimits`
   */
  challenge(serverFirst: Uint8Array): ScramChallenge {
    this.#advance("challenge", "respond");
    const text = messageText(serverFirst);
    const [nonce = "", saltText = "", iterationText = ""] = parseAttributes(text, ["r", "s", "i"]);
    checkNonce(nonce);
    // SECURITY: a nonce without ours is a replay of somebody else's exchange.
    if (!nonce.startsWith(this.#clientNonce) || nonce.length === this.#clientNonce.length) {
      throw scramError("its nonce does not extend the client's");
    }
    const salt = decodeBase64(saltText);
    if (salt === undefined || salt.length === 0 || salt.length > scramLimits.maxSaltBytes) {
      throw scramError("its salt is malformed");
    }
    const iterations = parseIterations(iterationText);
    this.#serverFirst = text;
    this.#nonce = nonce;
    return { salt, iterations };
  }

  /**
   * The client-final-message.
   * @param keys derived with the challenge's salt and iterations
   */
  respond(keys: ScramKeys): Uint8Array {
    this.#advance("respond", "verify");
    const crypto = this.#crypto;
    const withoutProof = `c=${encodeBase64(this.#channelBinding())},r=${this.#nonce}`;
    const authMessage = encodeLatin1(`${this.#firstBare()},${this.#serverFirst},${withoutProof}`);
    const clientSignature = crypto.hmacSha256(crypto.sha256(keys.clientKey), authMessage);
    this.#serverSignature = crypto.hmacSha256(keys.serverKey, authMessage);
    return encodeText(`${withoutProof},p=${encodeBase64(xor(keys.clientKey, clientSignature))}`);
  }

  /**
   * Takes the server-final-message and sets `isVerified`.
   * @throws JitdbError `postgres.auth` if the server refuses, or does not prove that it knows the keys
   */
  verify(serverFinal: Uint8Array): void {
    this.#advance("verify", "verify");
    const text = messageText(serverFinal);
    if (text.startsWith("e=")) {
      throw scramError("the server refused the login");
    }
    const [signatureText = ""] = parseAttributes(text, ["v"]);
    const signature = decodeBase64(signatureText);
    const expected = this.#serverSignature;
    if (
      expected === undefined ||
      signature?.length !== scramKeyBytes ||
      !this.#crypto.timingSafeEqual(signature, expected)
    ) {
      throw scramError("the server's signature is wrong");
    }
    this.#advance("verify", "verified");
  }

  #firstBare(): string {
    return `n=,r=${this.#clientNonce}`;
  }

  #channelBinding(): Uint8Array {
    return Uint8Array.of(...encodeText(this.#gs2Header), ...this.#serverEndPoint);
  }

  #advance(from: "challenge" | "respond" | "verify", to: "respond" | "verify" | "verified"): void {
    if (this.#step !== from) {
      throw scramError("it is out of order");
    }
    this.#step = to;
  }
}

function parseIterations(text: string): number {
  const { minIterations, maxIterations } = scramLimits;
  const iterations = /^[1-9]\d{0,9}$/.test(text) ? Number(text) : Number.NaN;
  if (!(iterations >= minIterations && iterations <= maxIterations)) {
    throw scramError(`its iteration count is not within ${minIterations} and ${maxIterations}`);
  }
  return iterations;
}
