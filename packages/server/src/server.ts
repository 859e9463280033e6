// The composition root: opens every part in order, hands each the others as ports, and closes them in reverse on every path.

import { once } from "node:events";
import { JitdbError } from "@jitdb/shared/errors";
import type { Clock, Random } from "@jitdb/shared/ids";
import { tidyingLimits } from "@jitdb/shared/memory/tidying";
import { tunnelLimits } from "@jitdb/shared/tunnel/limits";
import type { FastifyInstance } from "fastify";
import type { Logger } from "pino";
import { AccessService } from "./access/service.ts";
import { AuditShipper } from "./audit/search/shipper.ts";
import { Masker } from "./audit/statements/masker.ts";
import { loadParsedSecrets } from "./audit/statements/parsed-secrets.ts";
import { Closers } from "./closers.ts";
import type { Config } from "./config/config.ts";
import { type RunningControlParts, runControlCommand } from "./control/commands.ts";
import { serveControl } from "./control/socket.ts";
import { planUser } from "./credentials/ledger.ts";
import { Credentials } from "./credentials/service.ts";
import { deriveKey } from "./derive-key.ts";
import { Endings } from "./endings.ts";
import { engines } from "./engines/engines.ts";
import { scramCrypto } from "./engines/postgres/scram-crypto.ts";
import { Gateway } from "./gateway/gateway.ts";
import { limitsOf } from "./gateway/limits.ts";
import { createApp } from "./http/app.ts";
import { useCertificate } from "./http/certificate.ts";
import { TrustedProxies } from "./http/proxies.ts";
import { Events, eventLimits } from "./http/websockets/events.ts";
import { serveWebSockets, type WebSocketEndpoint } from "./http/websockets/upgrades.ts";
import { createIdentity, type Identity } from "./identity/identity.ts";
import { tidying } from "./memory.ts";
import { Deliveries } from "./outbox/deliveries.ts";
import { webhookSender } from "./outbox/webhook.ts";
import { type ReloadCause, Reloader, type ReloadReport } from "./reload/reloader.ts";
import { repeat } from "./repeat.ts";
import { installationOf, openState, type State } from "./state.ts";
import { version } from "./version.ts";

/** Tunnels of one person at a time; each carries all of one agent's clients. */
const maxTunnelsPerPerson = 32;
const identitySweepMs = 60_000;
const eventTickMs = 1000;
/** How long answers that are under way may take when the server stops. */
const answerTimeoutMs = 1000;

export interface ServerPorts {
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  /** Which file the configuration came from, and the SHA-256 (hex) of its bytes; for the audit. */
  readonly source: { readonly file: string; readonly digest: string };
}

export interface RunningServer {
  /** What people call it: the configuration's publicUrl. */
  readonly url: string;
  /** Ends every session with a message, records why, and lets go of everything. May be called once. */
  close(reason: string): Promise<void>;
  /**
   * Reads the file again and puts its policies in force.
   * @throws JitdbError `config.invalid`, `audit.unavailable`: the rules of before stay
   */
  reload(by: ReloadCause): ReloadReport;
}

/**
 * Starts a server; nothing is left open when a step fails.
 * @throws JitdbError `store.held`, `store.damaged`, `store.newer`, `local.storage`, `local.port_in_use`, `audit.unavailable`
 */
export async function startServer(config: Config, ports: ServerPorts): Promise<RunningServer> {
  const closers = new Closers();
  try {
    const state = await openState(config, { ...ports, address: config.publicUrl });
    closers.add(() => state.close());
    const looks = setInterval(() => tidying.look(), tidyingLimits.intervalMs).unref();
    closers.add(() => clearInterval(looks));
    let reason = "stopped";
    const reloader = await open(config, ports, state, closers, () => reason);
    return {
      url: config.publicUrl,
      reload: (by) => reloader.reload(by),
      async close(why) {
        reason = why;
        await closers.close();
      },
    };
  } catch (error) {
    await closers.close();
    throw error;
  }
}

async function open(
  config: Config,
  ports: ServerPorts,
  state: State,
  closers: Closers,
  closeReason: () => string,
): Promise<Reloader> {
  const { logger } = ports;
  const shipper = ship(state, logger, closers);
  deliver(config, ports, state, closers);
  const identity = await openIdentity(config, ports, state, closers);
  const installation = await installationOf(state, config, ports.random);
  const { gateway, credentials } = await openGateway(
    config,
    ports,
    state,
    installation,
    identity,
    closers,
  );
  const access = createAccess(config, ports, state, installation, credentials);
  const endings = new Endings({ ...state, ...ports, access, gateway });
  closers.add(() => endings.stop());
  const events = new Events({ ...state, ...ports, access });
  const ticks = repeat(
    async () => {
      await events.tick();
      return eventTickMs;
    },
    report(logger, "events"),
  );
  closers.add(() => ticks.stop());
  const { authenticator, vouching } = identity;
  const login = (app: FastifyInstance) => identity.mount(app);
  const app = await createApp({
    ...ports,
    ...state,
    config,
    access,
    gateway,
    shipper,
    vouching,
    authenticator,
    login,
    version,
  });
  closers.add(() => app.close());
  closers.add(() => stopListening(app));
  const { file, digest } = ports.source;
  const reloader = new Reloader({
    running: config,
    file,
    access,
    journal: state.journal,
    logger,
    useCertificate: (tls) => useCertificate(app.server, tls),
  });
  const reload = (by: ReloadCause) => reloader.reload(by);
  closers.add(await listenForCommands(config, { ...state, ...ports, vouching, reload }, logger));
  const upgrades = serveWebSockets(app.server, {
    ...state,
    ...ports,
    publicUrl: config.publicUrl,
    proxies: new TrustedProxies(config.trustedProxies),
    authenticator,
    endpoints: [tunnelEndpoint(gateway), eventEndpoint(events)],
  });
  closers.add(() => upgrades.close());
  closers.add(() => events.close());
  closers.add(() => gateway.close(closeReason()));
  await listen(app, config);

  state.journal.record({ kind: "config.loaded", digest, file });
  state.journal.record({ kind: "server.started", version, host: config.publicUrl });
  logger.info({ url: config.publicUrl, version, installation }, "started");
  closers.add(() => {
    logger.info({ reason: closeReason() }, "stopping");
    state.journal.record({ kind: "server.stopped", reason: closeReason() });
  });
  return reloader;
}

function ship(state: State, logger: Logger, closers: Closers): AuditShipper {
  const { store, journal, journalFolder: folder } = state;
  const onError = report(logger, "shipping the journal");
  const shipper = new AuditShipper({ store, journal, folder, onError });
  shipper.start();
  closers.add(() => shipper.stop());
  return shipper;
}

function deliver(config: Config, ports: ServerPorts, state: State, closers: Closers): void {
  const senders = config.webhooks.map((webhook) => webhookSender(webhook, ports.clock));
  const onError = report(ports.logger, "delivering events");
  const deliveries = new Deliveries({ ...state, ...ports, senders, onError });
  deliveries.start();
  closers.add(() => deliveries.stop());
}

async function openIdentity(
  config: Config,
  ports: ServerPorts,
  state: State,
  closers: Closers,
): Promise<Identity> {
  const identity = await createIdentity({
    ...state,
    ...ports,
    deriveKey: (label, bytes) => deriveKey(config.masterKey, label, bytes),
    publicUrl: config.publicUrl,
    devices: config.devices,
    identity: config.identity,
    onError: report(ports.logger, "login"),
  });
  const sweeps = repeat(
    async () => {
      await identity.sweep();
      return identitySweepMs;
    },
    report(ports.logger, "forgetting expired logins"),
  );
  closers.add(() => sweeps.stop());
  return identity;
}

/** Gateway and credentials need each other: users for sessions, and sessions to tell strangers from. */
async function openGateway(
  config: Config,
  ports: ServerPorts,
  state: State,
  installation: string,
  { authenticator }: Identity,
  closers: Closers,
): Promise<{ readonly gateway: Gateway; readonly credentials: Credentials }> {
  const { logger: log } = ports;
  const credentials: Credentials = new Credentials({
    ...state,
    ...ports,
    log,
    config,
    installation,
    engines,
    crypto: scramCrypto,
    sessions: {
      loginsSettled: (database) => gateway.loginsSettled(database),
      ownedBackends: (database) => gateway.ownedBackends(database),
      isDraining: (grantId) => gateway.isDraining(grantId),
    },
  });
  const gateway = new Gateway(
    {
      ...state,
      ...ports,
      log,
      config,
      engines,
      masker: new Masker(
        deriveKey(config.masterKey, "masked secrets", 32),
        await loadParsedSecrets(),
      ),
      maxTextBytes: config.audit.maxTextBytes,
      authenticator,
      credentials,
    },
    limitsOf(config.tunnel),
  );
  await gateway.reconcile();
  closers.add(() => credentials.stop());
  await credentials.start();
  return { gateway, credentials };
}

function createAccess(
  config: Config,
  ports: ServerPorts,
  state: State,
  installation: string,
  credentials: Credentials,
): AccessService {
  const keyId = config.masterKey.id;
  return new AccessService({
    ...state,
    ...ports,
    config,
    waysToLeaveTraces: (database, profile) => credentials.waysToLeaveTraces(database, profile),
    describeCreation: (database, profile, person) =>
      credentials.describeCreation(database, profile, person),
    planUser: (tx, plan) => planUser(tx, { ...plan, installation, keyId }, ports),
  });
}

/** Commands on this machine are a comfort: without their socket they need the server stopped, and it runs all the same. */
async function listenForCommands(
  config: Config,
  parts: Omit<RunningControlParts, "publicUrl" | "webhooks">,
  logger: Logger,
): Promise<() => Promise<void>> {
  const { dataFolder, publicUrl, webhooks } = config;
  try {
    return await serveControl(dataFolder, (command) =>
      runControlCommand({ ...parts, publicUrl, webhooks }, command),
    );
  } catch (error) {
    logger.warn(
      { err: error },
      "no control socket: `jitdb-server users`, `devices` and `webhooks` need the server stopped, `reload` a SIGHUP",
    );
    return async () => undefined;
  }
}

function tunnelEndpoint(gateway: Gateway): WebSocketEndpoint {
  return {
    path: "/api/v1/tunnel",
    subprotocol: "jitdb.tunnel.v1",
    maxMessageBytes: tunnelLimits.maxMessageBytes,
    maxPerPerson: maxTunnelsPerPerson,
    accept: (socket, caller) => gateway.accept(socket, caller),
  };
}

function eventEndpoint(events: Events): WebSocketEndpoint {
  const { maxMessageBytes, maxPerPerson } = eventLimits;
  return {
    path: "/api/v1/events",
    subprotocol: "jitdb.events.v1",
    maxMessageBytes,
    maxPerPerson,
    accept: (socket, caller) => events.accept(socket, caller),
  };
}

async function listen(app: FastifyInstance, { listen: address }: Config): Promise<void> {
  await app.ready();
  app.server.listen(address);
  try {
    await once(app.server, "listening");
  } catch (error) {
    throw refusedAddress(address, error);
  }
}

/** fastify closes only servers that it made listen itself. Answers under way get a moment. */
async function stopListening({ server }: FastifyInstance): Promise<void> {
  if (!server.listening) {
    return;
  }
  const closed = once(server, "close");
  server.close();
  server.closeIdleConnections();
  const deadline = setTimeout(() => server.closeAllConnections(), answerTimeoutMs);
  await closed;
  clearTimeout(deadline);
}

function refusedAddress({ host, port }: Config["listen"], cause: unknown): JitdbError {
  const code = cause instanceof Error && "code" in cause ? String(cause.code) : "unknown error";
  const hint = "Change listen: in the configuration, or end the program that holds the port.";
  return code === "EADDRINUSE"
    ? new JitdbError("local.port_in_use", `${host}:${port} is in use.`, { cause, hint })
    : new JitdbError("config.invalid", `Can't listen on ${host}:${port} (${code}).`, {
        cause,
        hint,
      });
}

function report(logger: Logger, what: string): (error: unknown) => void {
  return (error) => logger.error({ err: error }, `${what} failed`);
}
