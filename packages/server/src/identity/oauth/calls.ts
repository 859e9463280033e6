// What fastify knows about a request and the provider, which sees only node's request, asks for.

import type { IncomingMessage } from "node:http";
import type { DeviceId } from "@jitdb/shared/ids";
import { Provider } from "oidc-provider";

export interface Call {
  /** Where it comes from; a trusted proxy's word counts. */
  readonly address: string;
  /** Whether it was made on the server's own host, to a server that serves that host alone. */
  readonly local: boolean;
  /** The key that proved itself, at the token endpoint. */
  readonly device?: DeviceId;
  /** The id of the proof that it did so with. */
  readonly proofId?: string;
}

const calls = new WeakMap<IncomingMessage, Call>();

/** To be called before the provider gets the request. */
export function announceCall(request: IncomingMessage, call: Call): void {
  calls.set(request, call);
}

/** The call that the provider is working on, wherever in its stack, and the endpoint's name. */
export function currentCall(): { call: Call; endpoint: string } {
  const context = Provider.ctx;
  const call = context && calls.get(context.req);
  if (call === undefined) {
    throw new Error("The provider works on a request that nobody announced.");
  }
  return { call, endpoint: context?.oidc.route ?? "" };
}
