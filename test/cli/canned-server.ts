// A server of canned answers for tests of the built CLI: discovery, a token endpoint that rotates without mercy, an empty
// list of grants. It knows nothing of proofs; the real server's tests do.

import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { text } from "node:stream/consumers";

export class CannedServer {
  /** Refresh tokens that were redeemed, in order. */
  readonly redeemed: string[] = [];
  /** Called before a refresh is answered; may never resolve. */
  beforeRefresh: () => Promise<void> = () => Promise.resolve();
  #current = "refresh-0";
  readonly #server: Server;

  private constructor() {
    this.#server = createServer((request, response) => {
      const path = new URL(request.url ?? "/", this.url).pathname;
      const answer = (status: number, body: unknown) =>
        response
          .writeHead(status, { "content-type": "application/json" })
          .end(JSON.stringify(body));
      if (path === "/.well-known/oauth-authorization-server") {
        answer(200, { issuer: this.url, token_endpoint: `${this.url}/token` });
      } else if (path === "/token") {
        void text(request).then(async (body) => {
          const given = new URLSearchParams(body).get("refresh_token") ?? "";
          await this.beforeRefresh();
          answer(...this.#rotate(given));
        });
      } else {
        answer(200, { grants: [], next: null });
      }
    });
  }

  static async start(): Promise<CannedServer> {
    const canned = new CannedServer();
    await new Promise<void>((resolve) => canned.#server.listen(0, "127.0.0.1", resolve));
    return canned;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  close(): void {
    this.#server.closeAllConnections();
    this.#server.close();
  }

  /** A token that was redeemed before ends the login: no grace, so that a second refresher shows. */
  #rotate(given: string): [number, unknown] {
    if (given !== this.#current) {
      return [400, { error: "invalid_grant" }];
    }
    this.redeemed.push(given);
    this.#current = `refresh-${this.redeemed.length}`;
    const lasting = { token_type: "DPoP", expires_in: 600 };
    return [200, { ...lasting, access_token: "access", refresh_token: this.#current }];
  }
}
