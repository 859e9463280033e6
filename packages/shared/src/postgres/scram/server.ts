// The server's side of SCRAM-SHA-256, without channel binding: how the agent's listener checks its local clients.
// Sources: RFC 5802, RFC 7677. Every failure ends in the same error, whatever its cause.

import { JitdbError } from "../../errors.ts";
import { encodeLatin1, encodeText } from "../writer.ts";
import { decodeBase64, encodeBase64 } from "./base64.ts";
import { type ScramCrypto, scramKeyBytes, xor } from "./crypto.ts";
import { checkNonce, messageText, nonceBytes, parseAttributes, scramError } from "./grammar.ts";
import type { ScramVerifier } from "./verifier.ts";

/** One exchange: `first` answers SASLInitialResponse, `final` answers SASLResponse or throws. Each is called once. */
export class ScramServer {
  readonly #crypto: ScramCrypto;
  readonly #verifier: ScramVerifier;
  #gs2Header = "";
  #nonce = "";
  #firstMessages: string | undefined;

  /** @param verifier for a user that does not exist: `mockVerifier`, so that the exchange takes the same course */
  constructor(crypto: ScramCrypto, verifier: ScramVerifier) {
    this.#crypto = crypto;
    this.#verifier = verifier;
  }

  /**
   * @param clientFirst the client-first-message; the user's name in it is ignored, as PostgreSQL does
   * @returns the server-first-message
   * @throws JitdbError `postgres.auth` if it is malformed, binds a channel, or acts for another user
   */
  first(clientFirst: Uint8Array): Uint8Array {
    if (this.#firstMessages !== undefined) {
      throw scramError("it is out of order");
    }
    const text = messageText(clientFirst);
    // `y` is a client that could bind the channel but was not offered to; a name after the first comma is an authzid.
    const gs2Header = /^[ny],,/.exec(text)?.[0];
    if (gs2Header === undefined) {
      throw scramError("its channel binding or authorization identity is not supported");
    }
    const clientFirstBare = text.slice(gs2Header.length);
    const [, clientNonce = ""] = parseAttributes(clientFirstBare, ["n", "r"]);
    checkNonce(clientNonce);
    const { salt, iterations } = this.#verifier;
    this.#gs2Header = gs2Header;
    this.#nonce = clientNonce + encodeBase64(this.#crypto.randomBytes(nonceBytes));
    const serverFirst = `r=${this.#nonce},s=${encodeBase64(salt)},i=${iterations}`;
    this.#firstMessages = `${clientFirstBare},${serverFirst}`;
    return encodeText(serverFirst);
  }

  /**
   * @param clientFinal the client-final-message
   * @returns the server-final-message: the client has proved that it knows the password
   * @throws JitdbError `local.password` if it has not; `postgres.auth` if the message is malformed
   */
  final(clientFinal: Uint8Array): Uint8Array {
    const firstMessages = this.#firstMessages;
    if (firstMessages === undefined || this.#nonce === "") {
      throw scramError("it is out of order");
    }
    const text = messageText(clientFinal);
    const [binding, nonce] = parseAttributes(text, ["c", "r"]);
    if (binding !== encodeBase64(encodeText(this.#gs2Header)) || nonce !== this.#nonce) {
      throw scramError("it does not belong to this exchange");
    }
    this.#nonce = "";
    const proofStart = text.lastIndexOf(",p=");
    const proof = decodeBase64(text.slice(proofStart + 3));
    if (proofStart === -1 || proof?.length !== scramKeyBytes) {
      throw scramError("its proof is malformed");
    }
    const authMessage = encodeLatin1(`${firstMessages},${text.slice(0, proofStart)}`);
    this.#checkProof(proof, authMessage);
    const signature = this.#crypto.hmacSha256(this.#verifier.serverKey, authMessage);
    return encodeText(`v=${encodeBase64(signature)}`);
  }

  #checkProof(proof: Uint8Array, authMessage: Uint8Array): void {
    const crypto = this.#crypto;
    const { storedKey } = this.#verifier;
    const clientKey = xor(proof, crypto.hmacSha256(storedKey, authMessage));
    if (!crypto.timingSafeEqual(crypto.sha256(clientKey), storedKey)) {
      throw new JitdbError("local.password", "The password for the local listener is wrong.");
    }
  }
}
