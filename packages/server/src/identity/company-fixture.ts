// For tests: a company's identity provider, a real oidc-provider on a loopback port that logs in whomever the test says.

import { generateKeyPairSync, randomUUID, sign } from "node:crypto";
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { Secret } from "@jitdb/shared/secret";
import { Provider } from "oidc-provider";
import { type CompanyConfig, identitySchema } from "../config/identity.ts";

const clientId = "jitdb-at-work";
const clientSecret = "a secret for tests";

export interface CompanyServer {
  readonly config: CompanyConfig;
  /** Who sits at the keyboard: their subject, and what the company says of them. */
  person: { readonly sub: string; readonly claims: Readonly<Record<string, unknown>> };
  /** How often somebody had to prove who they are. */
  readonly logins: number;
  /** The sessions there that its answers named, the newest last. */
  readonly sessions: readonly string[];
  /** A token as the company signs it for back-channel logouts. */
  logoutToken(claims: Readonly<Record<string, unknown>>): string;
  close(): Promise<void>;
}

/** Starts one that sends browsers back to `publicUrl`, which need not be known yet. */
export async function startCompany(publicUrl: () => string): Promise<CompanyServer> {
  const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const server = createServer((request, response) => void answer(request, response));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const issuer = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  let person: CompanyServer["person"] = { sub: "nobody", claims: {} };
  const sessions: string[] = [];
  let logins = 0;
  let provider: Provider | undefined;

  const open = () => {
    const opened = new Provider(issuer, {
      clients: [
        {
          client_id: clientId,
          client_secret: clientSecret,
          redirect_uris: [`${publicUrl()}/device/company/return`],
          id_token_signed_response_alg: "ES256",
          backchannel_logout_uri: `${publicUrl()}/oauth/company/logout`,
          // Its ID tokens name the session then.
          backchannel_logout_session_required: true,
        },
      ],
      jwks: {
        keys: [{ ...privateKey.export({ format: "jwk" }), kty: "EC", alg: "ES256", use: "sig" }],
      },
      cookies: { keys: ["cookies of a test"] },
      claims: { openid: ["sub"], profile: ["preferred_username", "groups"] },
      features: { devInteractions: { enabled: false }, backchannelLogout: { enabled: true } },
      interactions: { url: (_context, { uid }) => `/interaction/${uid}` },
      findAccount: (_context, sub) => ({
        accountId: sub,
        claims: () => ({ sub, ...person.claims }),
      }),
      async loadExistingGrant({ oidc }) {
        const grant = new oidc.provider.Grant({
          clientId,
          accountId: oidc.session?.accountId ?? person.sub,
        });
        grant.addOIDCScope("openid profile");
        await grant.save();
        return grant;
      },
    });
    opened.on("authorization.success", ({ oidc }) => {
      sessions.push(String(oidc.session?.sidFor(clientId)));
    });
    return opened;
  };

  async function answer(
    request: Parameters<Provider["interactionFinished"]>[0],
    response: Parameters<Provider["interactionFinished"]>[1],
  ): Promise<void> {
    provider ??= open();
    if (request.url?.startsWith("/interaction/")) {
      logins += 1;
      await provider.interactionFinished(request, response, { login: { accountId: person.sub } });
    } else {
      await provider.callback()(request, response);
    }
  }

  const config = identitySchema.parse({
    company: {
      issuer,
      clientId,
      clientSecret: new Secret(clientSecret),
      groups: { "Data Developers": "developers", DBA: "dba" },
      button: "Log in with Example Inc.",
    },
  }).company;
  if (config === undefined) {
    throw new Error("The configuration has no company.");
  }
  return {
    config,
    get person() {
      return person;
    },
    set person(next) {
      person = next;
    },
    sessions,
    get logins() {
      return logins;
    },
    logoutToken(claims) {
      const iat = Math.floor(Date.now() / 1000);
      const events = { "http://schemas.openid.net/event/backchannel-logout": {} };
      const payload = { iss: issuer, aud: clientId, iat, jti: randomUUID(), events, ...claims };
      const input = [{ alg: "ES256", typ: "logout+jwt" }, payload]
        .map((part) => Buffer.from(JSON.stringify(part)).toString("base64url"))
        .join(".");
      const key = { key: privateKey, dsaEncoding: "ieee-p1363" } as const;
      return `${input}.${sign("sha256", Buffer.from(input), key).toString("base64url")}`;
    },
    async close() {
      server.closeAllConnections();
      server.close();
      await once(server, "close");
    },
  };
}
