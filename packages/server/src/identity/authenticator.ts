// Decides who is calling: an access token, and a proof that the caller holds the key that the token is bound to (RFC 9449 §7).

import type { Caller } from "./caller.ts";

export interface Credentials {
  readonly method: string;
  /** The full public URL of what is called, without query. */
  readonly url: string;
  /** The `Authorization` header as it came. */
  readonly authorization?: string | undefined;
  /** The `DPoP` header as it came. */
  readonly proof?: string | undefined;
  readonly address: string;
}

export interface Authenticator {
  /**
   * For API calls, WebSocket upgrades and AUTH frames (method GET, the tunnel's URL, `DPoP <token>`).
   * Person, groups and device are read anew each time, so that what was taken away is gone with the next call.
   * @throws JitdbError `login.required`, `login.expired`, `login.proof`, `login.disabled`.
   */
  authenticate(credentials: Credentials): Promise<Caller>;
}
