// Who is logged in in a browser. One cookie: before the login it ties forms to the browser, after it it is the login.

import { createHmac, timingSafeEqual } from "node:crypto";
import type { Clock, PersonId, Random } from "@jitdb/shared/ids";
import type { Artifacts } from "../oauth/artifacts.ts";
import type { People, Person } from "../people.ts";

/** How long a browser need not ask for the password again. It always asks for the click. */
const browserSessionMs = 8 * 60 * 60 * 1000;

const cookieBytes = 32;

export interface SessionsOptions {
  readonly artifacts: Artifacts;
  readonly people: People;
  readonly clock: Clock;
  readonly random: Random;
  /** 32 bytes that only this installation has. */
  readonly formKey: Uint8Array;
  readonly publicUrl: string;
}

/** What a request's cookie says. */
export interface Visitor {
  readonly cookie: string;
  /** Whether the browser does not have the cookie yet. */
  readonly fresh: boolean;
  /** Who is logged in. */
  readonly person: Person | undefined;
  /** When they proved it, epoch milliseconds; 0 for nobody. */
  readonly provenAt: number;
}

export class Sessions {
  readonly #options: SessionsOptions;
  readonly #secure: boolean;

  constructor(options: SessionsOptions) {
    this.#options = options;
    this.#secure = options.publicUrl.startsWith("https:");
  }

  /** Reads a `Cookie` header. */
  async visitor(header: string | undefined): Promise<Visitor> {
    const cookie = this.#parse(header);
    if (cookie === undefined) {
      return { cookie: this.#createCookie(), fresh: true, person: undefined, provenAt: 0 };
    }
    const { artifacts, people, clock } = this.#options;
    const session = await artifacts.find("BrowserSession", cookie);
    const id = session?.payload.accountId;
    if (session === undefined || id === undefined || session.expiresAt <= clock.now()) {
      return { cookie, fresh: false, person: undefined, provenAt: 0 };
    }
    const person = await people.find(id as PersonId);
    return {
      cookie,
      fresh: false,
      person: person?.disabled === false ? person : undefined,
      provenAt: Number(session.payload["provenAt"] ?? 0),
    };
  }

  /**
   * Logs the browser in; gives its new cookie. `provenAt`: when the person proved who they are, epoch milliseconds.
   * SECURITY: a new one, so that nobody can plant a cookie before the login and own the session after it.
   */
  async logIn(person: Person, provenAt = this.#options.clock.now()): Promise<string> {
    const cookie = this.#createCookie();
    const payload = { accountId: person.id, provenAt };
    await this.#options.artifacts.save("BrowserSession", cookie, payload, browserSessionMs);
    return cookie;
  }

  async logOut(visitor: Visitor): Promise<void> {
    await this.#options.artifacts.delete("BrowserSession", visitor.cookie);
  }

  /** The hidden field that proves that a form was served to this browser. */
  formToken(cookie: string): string {
    return createHmac("sha256", this.#options.formKey).update(cookie).digest("base64url");
  }

  isFormToken(cookie: string, token: string): boolean {
    const expected = Buffer.from(this.formToken(cookie));
    const given = Buffer.from(token);
    return given.length === expected.length && timingSafeEqual(given, expected);
  }

  /** A `Set-Cookie` header. */
  setCookie(cookie: string): string {
    // Lax, not Strict: a link from a chat opens with the session; forms carry a token of their own.
    const attributes = "Path=/; HttpOnly; SameSite=Lax";
    return `${this.#name}=${cookie}; ${attributes}${this.#secure ? "; Secure" : ""}`;
  }

  /** SECURITY: the prefix keeps other hosts of the same domain from setting this cookie. */
  get #name(): string {
    return this.#secure ? "__Host-jitdb" : "jitdb";
  }

  #parse(header: string | undefined): string | undefined {
    for (const pair of (header ?? "").split(";")) {
      const [name, value] = pair.trim().split("=", 2);
      if (name === this.#name && value !== undefined && /^[\w-]{43}$/.test(value)) {
        return value;
      }
    }
    return undefined;
  }

  #createCookie(): string {
    return Buffer.from(this.#options.random.bytes(cookieBytes)).toString("base64url");
  }
}
