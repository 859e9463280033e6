// How services get tokens: client credentials with a signed assertion (RFC 7523 §2.2), which the provider checks, and token
// exchange (RFC 8693) for the tokens of CI systems, which services.ts checks. Either way the token is bound to a key, short, and alone:
// there is no refresh token, as the service can come again.

import { JitdbError, toJitdbError } from "@jitdb/shared/errors";
import { type ClientMetadata, errors, type KoaContextWithOIDC, type Provider } from "oidc-provider";
import type { IdentityConfig } from "../../config/identity.ts";
import type { Devices } from "../devices.ts";
import type { UsedProofs } from "../proof.ts";
import type { Services } from "../services.ts";
import { currentCall } from "./calls.ts";
import { labelOf } from "./device-logins.ts";

export const exchangeGrant = "urn:ietf:params:oauth:grant-type:token-exchange";
const keyGrant = "client_credentials";
const subjectTokenTypes = [
  "urn:ietf:params:oauth:token-type:jwt",
  "urn:ietf:params:oauth:token-type:id_token",
];

/** How long an assertion may be good for. */
const maxAssertionMs = 5 * 60 * 1000;

export interface ServiceGrantsOptions {
  readonly services: Services;
  readonly devices: Devices;
  readonly usedProofs: UsedProofs;
}

/** The OAuth clients of services that have keys. */
export function serviceClients(identity: IdentityConfig): ClientMetadata[] {
  return Object.entries(identity.services).flatMap(([name, { keys }]) =>
    keys === undefined
      ? []
      : [
          {
            client_id: name,
            token_endpoint_auth_method: "private_key_jwt" as const,
            jwks: { keys: keys as never },
            grant_types: [keyGrant],
            response_types: [],
            redirect_uris: [],
            id_token_signed_response_alg: "ES256",
            dpop_bound_access_tokens: true,
          },
        ],
  );
}

/** Whether a token was given to a service. */
export function isServiceGrant(grant: string | undefined): boolean {
  return grant === keyGrant || grant === exchangeGrant;
}

/** What the provider leaves open about an assertion. */
export function checkAssertion(claims: Record<string, unknown>, issuer: string, now: number): void {
  // SECURITY: for this server alone; one that names two servers could be passed on by the other.
  const { aud, exp } = claims;
  if (aud !== issuer && aud !== `${issuer}/oauth/token`) {
    throw new errors.InvalidClientAuth("aud must be this server's address and nothing else");
  }
  if (typeof exp !== "number" || exp * 1000 > now + maxAssertionMs) {
    throw new errors.InvalidClientAuth("exp must be at most five minutes ahead");
  }
}

/** Adds both grants to the provider. */
export function addServiceGrants(provider: Provider, options: ServiceGrantsOptions): void {
  provider.registerGrantType(
    keyGrant,
    (context) => issue(provider, context, String(context.oidc.client?.clientId), keyGrant, options),
    ["device_label"],
  );
  provider.registerGrantType(
    exchangeGrant,
    async (context) => {
      const { subject_token, subject_token_type, service } = context.oidc.params ?? {};
      if (!subjectTokenTypes.includes(String(subject_token_type))) {
        throw new errors.InvalidRequest("subject_token_type must be that of a JWT");
      }
      const name = String(service);
      try {
        await options.services.verifyToken(name, String(subject_token));
      } catch (error) {
        throw refuse(options.services, name, error);
      }
      await issue(provider, context, name, exchangeGrant, options);
    },
    ["subject_token", "subject_token_type", "service", "device_label"],
  );
}

async function issue(
  provider: Provider,
  context: KoaContextWithOIDC,
  name: string,
  method: string,
  { services, devices, usedProofs }: ServiceGrantsOptions,
): Promise<void> {
  const { device, proofId, address } = currentCall().call;
  if (device === undefined || proofId === undefined || !(await usedProofs.claim(device, proofId))) {
    throw new errors.InvalidDpopProof("DPoP proof JWT Replay detected");
  }
  const service = await services.find(name);
  const { client } = context.oidc;
  if (service === undefined || client === undefined) {
    const error = new JitdbError("login.disabled", `The service ${name} may not log in.`);
    throw refuse(services, name, error);
  }
  const label = labelOf(context.oidc.params);
  const welcome = await devices.enrol({
    device,
    person: service,
    label,
    address,
    // The service's own credential vouches for the key that it brings.
    vouchedFor: true,
    method: method === keyGrant ? "service key" : "token exchange",
  });
  if (!welcome) {
    throw new errors.AccessDenied("this device's key was revoked or belongs to somebody else");
  }
  const login = new provider.Grant({ accountId: service.id, clientId: client.clientId });
  login.addOIDCScope("openid");
  const grantId = await login.save();
  const token = new provider.AccessToken({
    accountId: service.id,
    client,
    grantId,
    gty: method,
    scope: "openid",
  } as ConstructorParameters<typeof provider.AccessToken>[0]);
  token.setThumbprint("jkt", device);
  context.body = {
    access_token: await token.save(),
    token_type: "DPoP",
    expires_in: token.expiration,
    ...(method === exchangeGrant && {
      issued_token_type: "urn:ietf:params:oauth:token-type:access_token",
    }),
  };
}

function refuse(services: Services, name: string, error: unknown): Error {
  const { code, message } = toJitdbError(error);
  services.recordRefusal(name.slice(0, 63), message, currentCall().call.address);
  return code === "login.provider"
    ? new errors.TemporarilyUnavailable(message)
    : new errors.CustomOIDCProviderError("invalid_grant", message);
}
