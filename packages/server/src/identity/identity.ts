// Identity as one part: who people are, how their devices log in, and who is behind a call.

import type { Clock, Random } from "@jitdb/shared/ids";
import type { FastifyInstance } from "fastify";
import type { Journal } from "../audit/journal.ts";
import type { Trail } from "../audit/trail.ts";
import type { Bus } from "../bus.ts";
import type { DevicesConfig } from "../config/config.ts";
import type { IdentityConfig } from "../config/identity.ts";
import type { Store } from "../store/store.ts";
import { type Authenticator, TokenAuthenticator } from "./authenticator.ts";
import { Company } from "./company.ts";
import { CompanyAccounts } from "./company-accounts.ts";
import { Devices } from "./devices.ts";
import { Artifacts } from "./oauth/artifacts.ts";
import { DeviceLogins } from "./oauth/device-logins.ts";
import { Logins } from "./oauth/logins.ts";
import { PollingPace } from "./oauth/polling.ts";
import { createLogin, createProvider } from "./oauth/provider.ts";
import { addOauth } from "./oauth/routes.ts";
import type { DeriveKey } from "./oauth/signing-key.ts";
import { addPages } from "./pages/routes.ts";
import { Sessions } from "./pages/sessions.ts";
import type { People } from "./people.ts";
import { UsedProofs } from "./proof.ts";
import { Services } from "./services.ts";
import { Vouching } from "./vouching.ts";

export interface IdentityOptions {
  readonly store: Store;
  readonly clock: Clock;
  readonly random: Random;
  readonly trail: Trail;
  readonly journal: Pick<Journal, "record">;
  readonly bus: Bus;
  readonly people: People;
  /** HKDF from the master key: other bytes for each label. */
  readonly deriveKey: DeriveKey;
  /** Scheme, host and port, no trailing slash. */
  readonly publicUrl: string;
  readonly devices: DevicesConfig;
  readonly identity: IdentityConfig;
  /** Gets failures inside the OAuth provider, for the server's log. */
  readonly onError: (error: unknown) => void;
}

export interface Identity {
  readonly devices: Devices;
  readonly vouching: Vouching;
  readonly authenticator: Authenticator;
  /**
   * Adds the OAuth endpoints, discovery at the root, and the pages below /device and /setup, in scopes of their own.
   * `request.ip` must be the client's (fastify's `trustProxy`), and paths below /setup must stay out of logs.
   */
  mount(app: FastifyInstance): Promise<void>;
  /** Forgets what has expired; to be called every minute or so. */
  sweep(): Promise<void>;
}

export async function createIdentity(options: IdentityOptions): Promise<Identity> {
  const { store, clock, random, people, publicUrl, deriveKey } = options;
  const artifacts = new Artifacts(store, clock);
  const usedProofs = new UsedProofs(store, clock);
  const devices = new Devices(options);
  const services = new Services({ ...options, usedProofs });
  await services.synchronise();
  const provider = await createProvider({
    publicUrl,
    deriveKey,
    people,
    devices,
    services,
    identity: options.identity,
    clock,
    artifacts,
    usedProofs,
    logins: new Logins(options),
    pace: new PollingPace(clock),
    confirmLocalDevices: options.devices.confirm === "loopback",
    onError: options.onError,
  });
  const deviceLogins = new DeviceLogins({
    ...options,
    createLogin: (person) => createLogin(provider, person),
  });
  const sessions = new Sessions({
    artifacts,
    people,
    clock,
    random,
    publicUrl,
    formKey: deriveKey("identity/forms", 32),
  });
  const company = options.identity.company;
  const companyLogin = company && {
    company: new Company({ config: company, clock, random, publicUrl }),
    accounts: new CompanyAccounts({ ...options, artifacts, usedProofs }),
    artifacts,
  };
  const pages = {
    ...options,
    deviceLogins,
    sessions,
    companyLogin,
    companyButton: company?.button,
  };
  return {
    devices,
    vouching: new Vouching(options),
    authenticator: new TokenAuthenticator({ store, clock, usedProofs }),
    async mount(app) {
      await app.register(async (scope) => addOauth(scope, { provider, clock, publicUrl }));
      await app.register(async (scope) => addPages(scope, pages));
    },
    sweep: () => artifacts.purge(),
  };
}
