import { createHash, createHmac, pbkdf2, timingSafeEqual } from "node:crypto";
import { promisify } from "node:util";
import fc from "fast-check";
import { beforeEach, describe, expect, test } from "vitest";
import { JitdbError } from "../../errors.ts";
import { encodeText } from "../writer.ts";
import { decodeBase64, encodeBase64 } from "./base64.ts";
import { ScramClient } from "./client.ts";
import type { ScramCrypto } from "./crypto.ts";
import { preparePassword } from "./saslprep.ts";
import { ScramServer } from "./server.ts";
import {
  buildVerifier,
  deriveKeys,
  formatVerifier,
  mockVerifier,
  parseVerifier,
  toVerifier,
} from "./verifier.ts";

const pbkdf2Async = promisify(pbkdf2);

/** Node's functions, and "random" bytes that are the next of those given. */
function cryptoWith(...random: readonly Uint8Array[]): ScramCrypto {
  const queue = [...random];
  return {
    sha256: (data) => new Uint8Array(createHash("sha256").update(data).digest()),
    hmacSha256: (key, data) => new Uint8Array(createHmac("sha256", key).update(data).digest()),
    pbkdf2Sha256: async (password, salt, iterations) =>
      new Uint8Array(await pbkdf2Async(password, salt, iterations, 32, "sha256")),
    randomBytes: (count) => queue.shift() ?? new Uint8Array(count).fill(7),
    timingSafeEqual,
  };
}

const crypto = cryptoWith();
const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
const base64 = (value: string) => decodeBase64(value) ?? new Uint8Array(0);

function codeOf(action: () => unknown): string {
  try {
    action();
  } catch (error) {
    return error instanceof JitdbError ? error.code : String(error);
  }
  return "nothing";
}

// A login of psql 15 to PostgreSQL 15.18 with the password `secret-pw`, recorded between the two; with the server's verifier.
const recorded = {
  verifier:
    "SCRAM-SHA-256$4096:Kl2emMLKdCRumOxcehgX7w==$IqgHp93fiYIKR+iI/ABAl8EeiwNRLPb2U0cUc+trmOA=:Mp7PhUz9ErOdtEFwcmagBJuQiYKjSSVVMZFmi2yvUKM=",
  clientNonce: "qc0v9HXvBFxQ712hToqsIjbN",
  serverNonce: "jPuyGZmy0jVMtyknbXWc1TsN",
  clientFirst: "n,,n=,r=qc0v9HXvBFxQ712hToqsIjbN",
  serverFirst:
    "r=qc0v9HXvBFxQ712hToqsIjbNjPuyGZmy0jVMtyknbXWc1TsN,s=Kl2emMLKdCRumOxcehgX7w==,i=4096",
  clientFinal:
    "c=biws,r=qc0v9HXvBFxQ712hToqsIjbNjPuyGZmy0jVMtyknbXWc1TsN,p=TOHW8cEA3oyRomM757NgcCkWKKY+hdRkjsKrGeT8zQ0=",
  serverFinal: "v=LSI/7LKSwBy52K7q9XZ1i0EK+E7eYq4dwn/W0u0cbIE=",
};

// RFC 7677 §3: user "user", password "pencil".
const rfc7677 = {
  authMessage:
    "n=user,r=rOprNGfwEbeRWgbNEkqO,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0",
  salt: "W22ZaJ0SNY7soEsUEjb6gQ==",
  proof: "dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
  signature: "6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=",
};

function recordedClient(): ScramClient {
  return new ScramClient(cryptoWith(base64(recorded.clientNonce)), {
    mechanisms: ["SCRAM-SHA-256"],
  });
}

describe("keys and verifiers", () => {
  test("gives the proof and the signature of RFC 7677 §3", async () => {
    const salt = base64(rfc7677.salt);
    const keys = await deriveKeys(crypto, "pencil", salt, 4096);
    const { storedKey, serverKey } = toVerifier(crypto, keys, salt, 4096);
    const message = encodeText(rfc7677.authMessage);
    const signature = crypto.hmacSha256(storedKey, message);
    const proof = keys.clientKey.map((byte, index) => byte ^ (signature[index] ?? 0));
    expect(encodeBase64(proof)).toBe(rfc7677.proof);
    expect(encodeBase64(crypto.hmacSha256(serverKey, message))).toBe(rfc7677.signature);
  });

  test("builds the verifier that PostgreSQL builds", async () => {
    const { salt } = parseVerifier(recorded.verifier);
    expect(await buildVerifier(crypto, "secret-pw", salt, 4096)).toBe(recorded.verifier);
  });

  // Read from pg_authid of PostgreSQL 15.18 after CREATE ROLE … PASSWORD in clear text.
  test.each([
    [
      "maps spaces, soft hyphens and compatibility characters",
      "p\u00e4\u00a0\u2168\u00adz",
      "SCRAM-SHA-256$4096:O/YsynZbX5s1awXrESKcbg==$grKhRciAbHYuyg6xWWkA1uuirB4lPydtsNnhsiksZWQ=:hrozhvydZJmY7l6ayL6245NPI2s8UAUioN2rby9ptmg=",
    ],
    [
      "leaves a password with a prohibited character as it is",
      "bad\u200e",
      "SCRAM-SHA-256$4096:Fon4nKeCirt9jFQ7w41xBg==$MEaMl05eJ43/Xn7LVX/4z+hMWxmPOW8I0cU+vFGAYwc=:geHEGtDOOeuX+hNL8rqpAkkgqaAFuizjyka+HmyLyy4=",
    ],
    [
      "takes characters that are younger than SASLprep",
      "emoji\u{1F600}",
      "SCRAM-SHA-256$4096:dHl24hXsfFAzWd4e4PH+Xw==$2oWwBCQ2+ZD7xdThjg0yeqf0B5SrMIDm/PIVxJ4ziw8=:mSq/BJN8F40G230GHpJ+I0O4sGLsiaf7UJUFO6/ufLI=",
    ],
  ])("%s, as PostgreSQL does", async (_, password, verifier) => {
    const { salt, iterations } = parseVerifier(verifier);
    expect(await buildVerifier(crypto, password, salt, iterations)).toBe(verifier);
  });

  test("leaves ASCII passwords as they are", () => {
    expect(text(preparePassword("aZ 09~"))).toBe("aZ 09~");
  });

  test("parsing a verifier and formatting it gives the same text", () => {
    expect(formatVerifier(parseVerifier(recorded.verifier))).toBe(recorded.verifier);
  });

  test.each([
    "",
    "md5d41d8cd98f00b204e9800998ecf8427e",
    recorded.verifier.replace("4096", "0"),
    recorded.verifier.replace("Kl2e", "K*2e"),
    recorded.verifier.slice(0, -5),
  ])("refuses %j as a verifier", (bad) => {
    expect(codeOf(() => parseVerifier(bad))).toBe("postgres.auth");
  });

  test("base64 agrees with the host's, and decoding takes that spelling alone", () => {
    fc.assert(
      fc.property(fc.uint8Array(), fc.string(), (bytes, other) => {
        const encoded = encodeBase64(bytes);
        expect(encoded).toBe(Buffer.from(bytes).toString("base64"));
        expect(decodeBase64(encoded)).toEqual(bytes);
        const decoded = decodeBase64(other);
        expect(decoded === undefined || encodeBase64(decoded) === other).toBe(true);
      }),
      { examples: [[Uint8Array.of(0), "AB=="]] },
    );
  });
});

describe("ScramClient", () => {
  test("logs in as psql does, byte for byte, and checks the server's signature (invariant 17)", async () => {
    const client = recordedClient();
    expect(text(client.first())).toBe(recorded.clientFirst);
    const { salt, iterations } = client.challenge(encodeText(recorded.serverFirst));
    const keys = await deriveKeys(crypto, "secret-pw", salt, iterations);
    expect(text(client.respond(keys))).toBe(recorded.clientFinal);
    expect(client.isVerified).toBe(false);
    client.verify(encodeText(recorded.serverFinal));
    expect(client.isVerified).toBe(true);
  });

  const nonces = recorded.clientNonce + recorded.serverNonce;
  test.each([
    ["2^31 iterations", `r=${nonces},s=QUJD,i=2147483648`],
    ["more iterations than the limit", `r=${nonces},s=QUJD,i=1000001`],
    ["fewer iterations than RFC 7677 allows", `r=${nonces},s=QUJD,i=4095`],
    ["iterations that are no number", `r=${nonces},s=QUJD,i=4096x`],
    ["a negative iteration count", `r=${nonces},s=QUJD,i=-1`],
    ["a nonce that does not extend ours", `r=${recorded.serverNonce},s=QUJD,i=4096`],
    ["our nonce alone", `r=${recorded.clientNonce},s=QUJD,i=4096`],
    ["a long nonce", `r=${nonces}${"x".repeat(512)},s=QUJD,i=4096`],
    ["a nonce with a space", `r=${nonces} ,s=QUJD,i=4096`],
    ["a message above the limit", `r=${nonces},s=${"QUJD".repeat(1_024)},i=4096`],
    ["a salt above the limit", `r=${nonces},s=${"QUJD".repeat(342)},i=4096`],
    ["no salt", `r=${nonces},s=,i=4096`],
    ["a salt that is not base64", `r=${nonces},s=????,i=4096`],
    ["a mandatory extension", `m=x,r=${nonces},s=QUJD,i=4096`],
    ["a mandatory extension at the end", `r=${nonces},s=QUJD,i=4096,m=x`],
    ["attributes out of order", `s=QUJD,r=${nonces},i=4096`],
    ["nothing", ""],
  ])("refuses %s (invariant 17)", (_, serverFirst) => {
    expect(codeOf(() => recordedClient().challenge(encodeText(serverFirst)))).toBe("postgres.auth");
  });

  test("takes the limits themselves and further attributes", () => {
    const serverFirst = `r=${nonces},s=QUJD,i=1000000,x=y`;
    expect(recordedClient().challenge(encodeText(serverFirst)).iterations).toBe(1_000_000);
  });

  test.each([
    ["a wrong signature", `v=${encodeBase64(new Uint8Array(32))}`],
    ["a short signature", "v=QUJD"],
    ["an error", "e=invalid-proof"],
    ["nothing", ""],
  ])("refuses a server that ends with %s (invariant 17)", (_, serverFinal) => {
    const client = recordedClient();
    client.challenge(encodeText(recorded.serverFirst));
    client.respond({ clientKey: new Uint8Array(32), serverKey: new Uint8Array(32) });
    expect(codeOf(() => client.verify(encodeText(serverFinal)))).toBe("postgres.auth");
    expect(client.isVerified).toBe(false);
  });

  test("refuses a server that skips a step (invariant 17)", () => {
    const client = recordedClient();
    expect(codeOf(() => client.verify(encodeText(recorded.serverFinal)))).toBe("postgres.auth");
    expect(client.isVerified).toBe(false);
    client.challenge(encodeText(recorded.serverFirst));
    expect(codeOf(() => client.challenge(encodeText(recorded.serverFirst)))).toBe("postgres.auth");
  });

  test.each([
    [
      ["SCRAM-SHA-256-PLUS", "SCRAM-SHA-256"],
      true,
      "SCRAM-SHA-256-PLUS",
      "p=tls-server-end-point,,",
    ],
    [["SCRAM-SHA-256"], true, "SCRAM-SHA-256", "y,,"],
    [["SCRAM-SHA-256-PLUS", "SCRAM-SHA-256"], false, "SCRAM-SHA-256", "n,,"],
  ])("offered %j with a certificate (%j) uses %s and says %s", (mechanisms, tls, chosen, gs2) => {
    const serverEndPoint = tls ? Uint8Array.of(0xff, 0x00) : undefined;
    const client = new ScramClient(crypto, { mechanisms, serverEndPoint });
    expect(client.mechanism).toBe(chosen);
    const first = text(client.first());
    expect(first.startsWith(`${gs2}n=,r=`)).toBe(true);
    const nonce = first.slice(first.indexOf("r=") + 2);
    client.challenge(encodeText(`r=${nonce}x,s=QUJD,i=4096`));
    const keys = { clientKey: new Uint8Array(32), serverKey: new Uint8Array(32) };
    const binding = tls && chosen.endsWith("PLUS") ? [0xff, 0x00] : [];
    const expected = encodeBase64(Uint8Array.of(...encodeText(gs2), ...binding));
    expect(text(client.respond(keys)).startsWith(`c=${expected},r=`)).toBe(true);
  });

  test.each([[[]], [["SCRAM-SHA-1"]], [["SCRAM-SHA-256-PLUS"]]])(
    "refuses a server that offers only %j (invariant 17)",
    (mechanisms) => {
      expect(codeOf(() => new ScramClient(crypto, { mechanisms }))).toBe("postgres.auth");
    },
  );
});

describe("ScramServer", () => {
  let server: ScramServer;
  beforeEach(() => {
    const random = cryptoWith(base64(recorded.serverNonce));
    server = new ScramServer(random, parseVerifier(recorded.verifier));
  });

  test("answers psql as PostgreSQL does, byte for byte", () => {
    expect(text(server.first(encodeText(recorded.clientFirst)))).toBe(recorded.serverFirst);
    expect(text(server.final(encodeText(recorded.clientFinal)))).toBe(recorded.serverFinal);
  });

  test("refuses a wrong proof, and a second try in the same exchange", () => {
    server.first(encodeText(recorded.clientFirst));
    const wrong = recorded.clientFinal.replace("p=T", "p=U");
    expect(codeOf(() => server.final(encodeText(wrong)))).toBe("local.password");
    expect(codeOf(() => server.final(encodeText(recorded.clientFinal)))).toBe("postgres.auth");
  });

  test("refuses any password for a user who does not exist, with the same salt on each try (invariant 8)", async () => {
    const secret = new Uint8Array(16).fill(1);
    const verifier = mockVerifier(crypto, secret, "nobody", 4096);
    expect(mockVerifier(crypto, secret, "nobody", 4096)).toEqual(verifier);
    expect(mockVerifier(crypto, secret, "somebody", 4096).salt).not.toEqual(verifier.salt);
    const mock = new ScramServer(crypto, verifier);
    const client = recordedClient();
    const { salt, iterations } = client.challenge(mock.first(client.first()));
    const proof = client.respond(await deriveKeys(crypto, "secret-pw", salt, iterations));
    expect(codeOf(() => mock.final(proof))).toBe("local.password");
  });

  test.each([
    ["binds a channel", recorded.clientFirst.replace("n,,", "p=tls-server-end-point,,")],
    ["acts for another user", recorded.clientFirst.replace("n,,", "n,a=root,")],
    ["demands an extension", recorded.clientFirst.replace("n,,", "n,,m=x,")],
    ["has no nonce", "n,,n=,r="],
    ["has a long nonce", `n,,n=,r=${"x".repeat(513)}`],
    ["is empty", ""],
  ])("refuses a first message that %s", (_, message) => {
    expect(codeOf(() => server.first(encodeText(message)))).toBe("postgres.auth");
  });

  test.each([
    ["changes the header", recorded.clientFinal.replace("c=biws", "c=eSws")],
    ["changes the nonce", recorded.clientFinal.replace("r=q", "r=Q")],
    ["has a short proof", recorded.clientFinal.slice(0, -4)],
    ["has no proof", recorded.clientFinal.replace(/,p=.*/, "")],
  ])("refuses a final message that %s", (_, message) => {
    server.first(encodeText(recorded.clientFirst));
    expect(codeOf(() => server.final(encodeText(message)))).toBe("postgres.auth");
  });

  test("refuses a second first message, and a final one before it", () => {
    expect(codeOf(() => server.final(encodeText(recorded.clientFinal)))).toBe("postgres.auth");
    server.first(encodeText(recorded.clientFirst));
    expect(codeOf(() => server.first(encodeText(recorded.clientFirst)))).toBe("postgres.auth");
  });

  test("client and server agree on any password, and random messages end in our errors", async () => {
    await fc.assert(
      fc.asyncProperty(fc.string({ unit: "binary" }), fc.uint8Array(), async (password, junk) => {
        const salt = new Uint8Array(16);
        const keys = await deriveKeys(crypto, password, salt, 4096);
        const client = recordedClient();
        const peer = new ScramServer(crypto, toVerifier(crypto, keys, salt, 4096));
        client.challenge(peer.first(client.first()));
        client.verify(peer.final(client.respond(keys)));
        expect(client.isVerified).toBe(true);
        expect(codeOf(() => recordedClient().challenge(junk))).toBe("postgres.auth");
        const fresh = new ScramServer(crypto, toVerifier(crypto, keys, salt, 4096));
        expect(codeOf(() => fresh.first(junk))).toBe("postgres.auth");
      }),
      { numRuns: 30 },
    );
  });
});
