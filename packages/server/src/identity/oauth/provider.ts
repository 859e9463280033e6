// The OAuth 2.0 authorization server: oidc-provider with one public client, the device flow, and tokens bound to keys.
// The browser's side of the device flow is ours (pages/); the provider never talks to a browser.

import type { EventEmitter } from "node:events";
import type { Clock, PersonId } from "@jitdb/shared/ids";
import { type Account, type Configuration, errors, Provider } from "oidc-provider";
import type { IdentityConfig } from "../../config/identity.ts";
import type { Devices } from "../devices.ts";
import type { People } from "../people.ts";
import { proofAlgorithms, type UsedProofs } from "../proof.ts";
import { type AdapterOptions, createAdapterFactory } from "./adapter.ts";
import { currentCall } from "./calls.ts";
import {
  authTimeOf,
  defaultScope,
  deviceLabel,
  isLocal,
  labelOf,
  userCodeForm,
} from "./device-logins.ts";
import { polling } from "./polling.ts";
import {
  addServiceGrants,
  checkAssertion,
  exchangeGrant,
  isServiceGrant,
  type ServiceGrantsOptions,
  serviceClients,
} from "./service-grants.ts";
import { type DeriveKey, deriveSigningKey } from "./signing-key.ts";

/** The one client, made for the CLI; announced in the discovery document as `jitdb_client_id`. */
const clientId = "jitdb-cli";

/** Paths below the public URL. Discovery stands at the root, so that the server's address is the issuer. */
export const paths = {
  discovery: ["/.well-known/openid-configuration", "/.well-known/oauth-authorization-server"],
  deviceAuthorization: "/oauth/device_authorization",
  token: "/oauth/token",
  revocation: "/oauth/revoke",
  keys: "/oauth/jwks",
  /** Where people type the code. */
  verification: "/device",
} as const;

/** Seconds. */
const lifetimes = {
  accessToken: 10 * 60,
  /** A service comes again; its token is never refreshed. */
  service: 60 * 60,
  /** Counted anew at each rotation. */
  refreshToken: 30 * 24 * 60 * 60,
  deviceCode: 10 * 60,
  /** A login ends then, however often it was refreshed. */
  login: 365 * 24 * 60 * 60,
} as const;

const deviceGrant = "urn:ietf:params:oauth:grant-type:device_code";

export interface ProviderOptions extends AdapterOptions, ServiceGrantsOptions {
  readonly identity: IdentityConfig;
  /** Scheme, host and port, no trailing slash. */
  readonly publicUrl: string;
  readonly deriveKey: DeriveKey;
  readonly people: People;
  readonly devices: Devices;
  readonly clock: Clock;
  readonly usedProofs: UsedProofs;
  /** Devices that log in on the server's own host need nobody else to vouch for them. */
  readonly confirmLocalDevices: boolean;
  /** Gets what went wrong inside the provider; the device hears `server_error`. */
  readonly onError: (error: unknown) => void;
}

export async function createProvider(options: ProviderOptions): Promise<Provider> {
  const provider = new Provider(options.publicUrl, await configure(options));
  // SECURITY: the provider builds its URLs, and what proofs are compared with, from the Host header. They are ours.
  Object.defineProperties(provider.request, {
    href: { value: `${options.publicUrl}/` },
    origin: { value: options.publicUrl },
  });
  provider.use(async (context, next) => {
    await next();
    if (paths.discovery.some((path) => path === context.path)) {
      tidyDiscovery(context.body);
    }
  });
  provider.on("device_authorization.success", (_context, answer: Record<string, unknown>) => {
    answer["interval"] = polling.intervalMs / 1000;
  });
  provider.on("server_error", (_context, error) => options.onError(error));
  addServiceGrants(provider, options);
  const koa: EventEmitter = provider;
  koa.on("error", options.onError);
  return provider;
}

/** Makes the record of a login that a person approved; the device's tokens belong to it. */
export async function createLogin(provider: Provider, person: PersonId): Promise<string> {
  const login = new provider.Grant({ accountId: person, clientId });
  login.addOIDCScope(defaultScope);
  return await login.save();
}

async function configure(options: ProviderOptions): Promise<Configuration> {
  const { deriveKey } = options;
  return {
    adapter: createAdapterFactory(options),
    clients: [
      {
        client_id: clientId,
        client_name: "jitdb",
        application_type: "native",
        token_endpoint_auth_method: "none",
        grant_types: [deviceGrant, "refresh_token", exchangeGrant],
        response_types: [],
        redirect_uris: [],
        scope: defaultScope,
        id_token_signed_response_alg: "ES256",
        dpop_bound_access_tokens: true,
      },
      ...serviceClients(options.identity),
    ],
    clientBasedCORS: () => false,
    clockTolerance: 0,
    cookies: { keys: [Buffer.from(deriveKey("identity/cookies", 32)).toString("base64url")] },
    jwks: { keys: [await deriveSigningKey(deriveKey)] },
    scopes: defaultScope.split(" "),
    claims: { openid: ["sub"] },
    enabledJWA: {
      dPoPSigningAlgValues: proofAlgorithms as ("ES256" | "EdDSA" | "Ed25519")[],
      idTokenSigningAlgValues: ["ES256"],
      clientAuthSigningAlgValues: ["ES256", "PS256", "RS256", "EdDSA", "Ed25519"],
    },
    clientAuthMethods: ["none", "private_key_jwt"],
    assertJwtClientAuthClaimsAndHeader: async (_context, claims) =>
      checkAssertion(claims, options.publicUrl, options.clock.now()),
    formats: { bitsOfOpaqueRandomness: 256 },
    routes: {
      device_authorization: paths.deviceAuthorization,
      token: paths.token,
      revocation: paths.revocation,
      jwks: paths.keys,
      code_verification: paths.verification,
    },
    ttl: {
      AccessToken: (_context, { gty }) =>
        isServiceGrant(gty) ? lifetimes.service : lifetimes.accessToken,
      RefreshToken: lifetimes.refreshToken,
      DeviceCode: lifetimes.deviceCode,
      IdToken: lifetimes.accessToken,
      // Of a service, the token ends first: each login has one.
      Grant: lifetimes.login,
    },
    features: {
      devInteractions: { enabled: false },
      userinfo: { enabled: false },
      rpInitiatedLogout: { enabled: false },
      resourceIndicators: { enabled: false },
      pushedAuthorizationRequests: { enabled: false },
      revocation: {
        enabled: true,
        // A service's own client would have to prove itself with a key that a job does not keep for its logout.
        allowedPolicy: (_context, client, token) =>
          token.clientId === client.clientId ||
          ("gty" in token && isServiceGrant(String(token.gty))),
      },
      dPoP: { enabled: true },
      deviceFlow: {
        enabled: true,
        ...userCodeForm,
        deviceInfo: () => {
          const { address, local } = currentCall().call;
          // The provider's own time of a code is in whole seconds.
          return { address, local, requestedAt: options.clock.now() };
        },
      },
    },
    extraParams: {
      login_again: null,
      device_label(_context, value) {
        if (value !== undefined && !deviceLabel.safeParse(value).success) {
          throw new errors.InvalidRequest("device_label must be 1 to 80 printable characters");
        }
      },
    },
    // DPoP-bound refresh tokens would be kept as they are otherwise.
    rotateRefreshToken: true,
    issueRefreshToken: (_context, _client, source) => source.scopes.has("offline_access"),
    revokeGrantPolicy: () => true,
    findAccount: async (_context, id, source) => await findAccount(id as PersonId, source, options),
    renderError(context, out) {
      context.body = out;
    },
    discovery: { jitdb_client_id: clientId },
  };
}

/** Asked before tokens are issued: whether this person may have them on this device, which is recorded by then. */
async function findAccount(
  id: PersonId,
  source: unknown,
  { people, devices, confirmLocalDevices }: ProviderOptions,
): Promise<Account | undefined> {
  const { call, endpoint } = currentCall();
  const person = await people.find(id);
  if (
    endpoint !== "token" ||
    call.device === undefined ||
    person === undefined ||
    person.disabled
  ) {
    return undefined;
  }
  const welcome = isDeviceCode(source)
    ? await devices.enrol({
        device: call.device,
        person,
        label: labelOf(source.params),
        address: call.address,
        // Both where it asked and where it fetches the tokens: a code that was passed on is not the host's.
        method: person.company ? "company" : "password",
        authenticatedAt: authTimeOf(source),
        vouchedFor: confirmLocalDevices && call.local && isLocal(source.deviceInfo),
      })
    : await devices.isUsable(call.device, id);
  if (!welcome) {
    throw new errors.AccessDenied("this device's key was revoked or belongs to somebody else");
  }
  return { accountId: id, claims: () => ({ sub: id }) };
}

function isDeviceCode(source: unknown): source is { params: unknown; deviceInfo: unknown } {
  return (source as { kind?: unknown } | undefined)?.kind === "DeviceCode";
}

/** Takes out what the provider announces though it is not mounted. */
function tidyDiscovery(document: unknown): void {
  const announced = document as Record<string, unknown>;
  delete announced["authorization_endpoint"];
  delete announced["code_challenge_methods_supported"];
  delete announced["authorization_response_iss_parameter_supported"];
  Object.assign(announced, {
    response_types_supported: [],
    response_modes_supported: [],
    grant_types_supported: [deviceGrant, "refresh_token", "client_credentials", exchangeGrant],
    token_endpoint_auth_methods_supported: ["none", "private_key_jwt"],
  });
}
