// The provider's endpoints in fastify. Only what the device flow needs is mounted; each request is checked for what the
// provider leaves open, then handed over as it came.

import type { IncomingMessage, ServerResponse } from "node:http";
import { isIP } from "node:net";
import { toJitdbError } from "@jitdb/shared/errors";
import type { Clock } from "@jitdb/shared/ids";
import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import { Guesses } from "../guesses.ts";
import { type ProvenKey, verifyProof } from "../proof.ts";
import { announceCall } from "./calls.ts";
import { paths } from "./provider.ts";

/** Device codes that may be asked for; they also bound how many can be guessed at. */
const codeLimits = { windowMs: 10 * 60 * 1000, perAddress: 100, overall: 1000 } as const;

export interface OauthOptions {
  readonly provider: { callback(): Handler };
  readonly clock: Clock;
  readonly publicUrl: string;
}

type Handler = (request: IncomingMessage, response: ServerResponse) => unknown;

/** Adds the endpoints to a fastify scope of their own. */
export function addOauth(scope: FastifyInstance, options: OauthOptions): void {
  const { clock, publicUrl } = options;
  const handler = options.provider.callback();
  const codes = new Guesses(clock, {
    ...codeLimits,
    perTarget: codeLimits.overall,
    // A refused device hears about it; no login has failed.
    onLock: () => {},
  });

  // The provider reads the bodies itself.
  scope.removeAllContentTypeParsers();
  scope.addContentTypeParser("*", (_request, _body, done) => done(null));

  for (const path of [...paths.discovery, paths.keys]) {
    scope.get(path, (request, reply) => pass(request, reply));
  }
  scope.post(paths.revocation, (request, reply) => pass(request, reply));
  scope.post(paths.deviceAuthorization, async (request, reply) => {
    if (!codes.take(request.ip)) {
      reply.header("retry-after", Math.ceil(codes.waitMs / 1000));
      return refuse(reply, 429, "temporarily_unavailable", "too many logins were started");
    }
    return pass(request, reply);
  });
  scope.post(paths.token, async (request, reply) => {
    const proof = request.headers["dpop"];
    if (typeof proof !== "string") {
      return refuse(reply, 400, "invalid_dpop_proof", "a DPoP proof is required (RFC 9449)");
    }
    try {
      const url = publicUrl + paths.token;
      return pass(request, reply, await verifyProof(proof, { method: "POST", url }, clock));
    } catch (error) {
      return refuse(reply, 400, "invalid_dpop_proof", toJitdbError(error).message);
    }
  });

  function pass(request: FastifyRequest, reply: FastifyReply, key?: ProvenKey): FastifyReply {
    announceCall(request.raw, {
      address: request.ip,
      local: isLoopback(new URL(publicUrl).hostname) && isDirect(request),
      ...(key && { device: key.device, proofId: key.jti }),
    });
    reply.hijack();
    handler(request.raw, reply.raw);
    return reply;
  }
}

/** The form of all of OAuth's errors (RFC 6749 §5.2). */
function refuse(
  reply: FastifyReply,
  status: number,
  error: string,
  description: string,
): FastifyReply {
  return reply
    .code(status)
    .headers({ "cache-control": "no-store" })
    .send({ error, error_description: description });
}

/** Whether the socket itself ends on this host, with no proxy that might speak for somebody elsewhere. */
function isDirect(request: FastifyRequest): boolean {
  const forwarded = ["forwarded", "via", "x-forwarded-for", "x-real-ip"];
  return (
    isLoopback(request.raw.socket.remoteAddress ?? "") &&
    forwarded.every((header) => request.headers[header] === undefined)
  );
}

function isLoopback(host: string): boolean {
  const bare = host.replace(/^\[|\]$/g, "").replace(/^::ffff:/i, "");
  return bare === "localhost" || bare === "::1" || (isIP(bare) === 4 && bare.startsWith("127."));
}
