// The HTTP side as one fastify app: limits, headers, log lines, and the order in which the routes are mounted.

import { createServer, type RequestListener, type Server } from "node:http";
import { createServer as createTlsServer } from "node:https";
import type { Duplex } from "node:stream";
import fastifyHelmet from "@fastify/helmet";
import { JitdbError } from "@jitdb/shared/errors";
import { type Clock, type Random, randomBase32 } from "@jitdb/shared/ids";
import Fastify, { type FastifyBaseLogger, type FastifyInstance, LogController } from "fastify";
import { serializerCompiler, validatorCompiler } from "fastify-type-provider-zod";
import type { AccessService } from "../access/service.ts";
import type { Journal } from "../audit/journal.ts";
import type { AuditShipper } from "../audit/search/shipper.ts";
import type { Config } from "../config/config.ts";
import type { Gateway } from "../gateway/gateway.ts";
import type { Authenticator } from "../identity/authenticator.ts";
import type { Vouching } from "../identity/vouching.ts";
import type { Store } from "../store/store.ts";
import { AllowedMethods } from "./allowed-methods.ts";
import { requireCaller } from "./authentication.ts";
import { answerError, installErrorBorder } from "./errors.ts";
import { TrustedProxies } from "./proxies.ts";
import { refuse } from "./refusal.ts";
import { auditRoutes } from "./routes/audit.ts";
import { databaseRoutes } from "./routes/databases.ts";
import { deviceRoutes } from "./routes/devices.ts";
import { grantRoutes } from "./routes/grants.ts";
import { healthRoutes } from "./routes/health.ts";
import { meRoutes } from "./routes/me.ts";
import { requestRoutes } from "./routes/requests.ts";
import { sessionRoutes } from "./routes/sessions.ts";

export const httpLimits = {
  /** The largest body of the API is a request's reason. */
  maxBodyBytes: 64 * 1024,
  maxHeaderBytes: 16 * 1024,
  /** A client that sends its head or body drop by drop (slowloris) is cut off. */
  headersTimeoutMs: 10_000,
  requestTimeoutMs: 30_000,
  keepAliveTimeoutMs: 30_000,
} as const;

export interface AppPorts {
  readonly config: Pick<Config, "publicUrl" | "tls" | "trustedProxies">;
  readonly logger: FastifyBaseLogger;
  readonly clock: Clock;
  readonly random: Random;
  readonly version: string;
  readonly authenticator: Authenticator;
  readonly access: AccessService;
  readonly vouching: Vouching;
  readonly store: Pick<Store, "db">;
  readonly journal: Pick<Journal, "id" | "failed">;
  readonly shipper: Pick<AuditShipper, "catchUp">;
  readonly gateway: Pick<Gateway, "parkedSessions" | "rowsWritten">;
  /** Mounts login: the authorization server and its pages. */
  readonly login: (app: FastifyInstance) => Promise<void>;
}

/** Builds the app; nothing listens yet. */
export async function createApp(ports: AppPorts): Promise<FastifyInstance> {
  const { config, logger, random } = ports;
  const proxies = new TrustedProxies(config.trustedProxies);
  const app: FastifyInstance = Fastify({
    serverFactory: (handler) => createHttpServer(config, handler),
    loggerInstance: logger,
    logController: new LogController({ disableRequestLogging: true }),
    bodyLimit: httpLimits.maxBodyBytes,
    trustProxy: (address) => proxies.trusts(address),
    requestIdHeader: false,
    genReqId: () => randomBase32(random, 12),
    clientErrorHandler: (error, socket) => refuseGarbage(error, socket),
    frameworkErrors: (error, request, reply) => answerError(error, request, reply),
  });
  app.setValidatorCompiler(validatorCompiler);
  app.setSerializerCompiler(serializerCompiler);
  const allowedMethods = new AllowedMethods(app);
  installErrorBorder(app, allowedMethods);
  logAnswers(app);
  await app.register(fastifyHelmet, {
    // No page of this server runs a script or is framed; forms go to this server alone.
    contentSecurityPolicy: {
      useDefaults: false,
      directives: {
        "default-src": ["'none'"],
        "style-src": ["'self'"],
        "img-src": ["'self'"],
        "form-action": ["'self'"],
        "frame-ancestors": ["'none'"],
        "base-uri": ["'none'"],
      },
    },
    strictTransportSecurity: config.publicUrl.startsWith("https:"),
    referrerPolicy: { policy: "no-referrer" },
  });
  healthRoutes(app, ports);
  await ports.login(app);
  await app.register(
    (api, _options, done) => {
      mountApi(api, ports);
      done();
    },
    { prefix: "/api/v1" },
  );
  return app;
}

function mountApi(api: FastifyInstance, ports: AppPorts): void {
  requireCaller(api, ports.authenticator, ports.config.publicUrl);
  // Answers are about one caller at one moment.
  api.addHook("onSend", async (_request, reply) => {
    void reply.header("cache-control", "no-store");
  });
  meRoutes(api, ports);
  deviceRoutes(api, ports);
  databaseRoutes(api, ports);
  requestRoutes(api, ports);
  grantRoutes(api, ports);
  sessionRoutes(api, ports);
  auditRoutes(api, ports);
}

function createHttpServer(config: AppPorts["config"], handler: RequestListener): Server {
  const limits = {
    maxHeaderSize: httpLimits.maxHeaderBytes,
    headersTimeout: httpLimits.headersTimeoutMs,
    requestTimeout: httpLimits.requestTimeoutMs,
    keepAliveTimeout: httpLimits.keepAliveTimeoutMs,
    connectionsCheckingInterval: 2000,
  };
  if (config.tls === undefined) {
    return createServer(limits, handler);
  }
  const { cert, key } = config.tls;
  return createTlsServer({ ...limits, cert, key: key.reveal(), minVersion: "TLSv1.2" }, handler);
}

/** Bytes that are no HTTP, or heads that came too slowly or grew too large. */
function refuseGarbage(error: NodeJS.ErrnoException, socket: Duplex): void {
  if (error.code === "ECONNRESET" || !socket.writable) {
    socket.destroy();
  } else {
    refuse(socket, new JitdbError("usage.invalid", "This is no request that HTTP knows."), "");
  }
}

/** SECURITY: the route's pattern instead of the path: paths and queries can hold set-up tokens and user codes. */
function logAnswers(app: FastifyInstance): void {
  app.addHook("onResponse", async (request, reply) => {
    const fields = {
      method: request.method,
      route: request.routeOptions.url ?? "(unknown)",
      status: reply.statusCode,
      ms: Math.round(reply.elapsedTime),
      address: request.ip,
    };
    request.log.info(fields, "answered");
  });
}
