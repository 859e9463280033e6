// Who is calling: every route of the API has a caller before its handler runs.

import { JitdbError } from "@jitdb/shared/errors";
import type { FastifyInstance, FastifyRequest } from "fastify";
import type { Authenticator } from "../identity/authenticator.ts";
import type { Caller } from "../identity/caller.ts";

const callers = new WeakMap<FastifyRequest, Caller>();

/** Authenticates every call to the routes of `scope`, before its body is read. */
export function requireCaller(
  scope: FastifyInstance,
  authenticator: Authenticator,
  publicUrl: string,
): void {
  scope.addHook("onRequest", async (request) => {
    const { authorization, dpop } = request.headers;
    const caller = await authenticator.authenticate({
      method: request.method,
      url: calledUrl(publicUrl, request.url),
      authorization,
      proof: Array.isArray(dpop) ? dpop.join(", ") : dpop,
      address: request.ip,
    });
    callers.set(request, caller);
  });
}

/** @throws JitdbError `login.required` on a route that nobody put behind {@link requireCaller} */
export function callerOf(request: FastifyRequest): Caller {
  const caller = callers.get(request);
  if (caller === undefined) {
    throw new JitdbError("login.required", "The call carries no login.");
  }
  return caller;
}

/**
 * What the caller's proof has to name as its `htu` (RFC 9449 §4.2): no query, no fragment.
 * SECURITY: built from the configuration, never from Host, so that a proof for another server is none for this one.
 */
export function calledUrl(publicUrl: string, target: string): string {
  return publicUrl + target.replace(/[?#].*$/s, "");
}
