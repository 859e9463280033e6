// The server's own certificate, which may be renewed while it runs: connections that are there go on, new ones get the new one.

import type { Server } from "node:http";
import { Server as TlsServer } from "node:https";
import { createSecureContext } from "node:tls";
import type { ServerTlsConfig } from "../config/config.ts";

/** What keeps a certificate and a key from being used together; undefined: nothing. */
export function certificateProblem({ cert, key }: ServerTlsConfig): string | undefined {
  try {
    createSecureContext({ cert, key: key.reveal() });
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

/** Does nothing to a server that speaks plain HTTP. */
export function useCertificate(server: Server, { cert, key }: ServerTlsConfig): void {
  if (server instanceof TlsServer) {
    server.setSecureContext({ cert, key: key.reveal(), minVersion: "TLSv1.2" });
  }
}
