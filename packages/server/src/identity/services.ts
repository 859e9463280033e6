// Services: CI jobs and scheduled work that ask for access under the same rules as people, and decide on nothing. They are
// written in the configuration, have no password, no group and no browser, and come in with a key or a token of their CI.

import { hash } from "node:crypto";
import { JitdbError } from "@jitdb/shared/errors";
import { type Clock, createPersonId, type PersonId, type Random } from "@jitdb/shared/ids";
import { createRemoteJWKSet, customFetch, decodeJwt, errors, jwtVerify } from "jose";
import type { Journal } from "../audit/journal.ts";
import type { IdentityConfig, ServiceConfig } from "../config/identity.ts";
import type { Store } from "../store/store.ts";
import { boundedFetch, namedAddress } from "./outgoing.ts";
import type { People } from "./people.ts";
import type { UsedProofs } from "./proof.ts";

/** Asymmetric ones only. SECURITY: with HS256, a public key would be a secret that everybody knows. */
export const tokenAlgorithms = ["RS256", "PS256", "ES256", "ES384", "EdDSA", "Ed25519"];

const limits = {
  timeoutMs: 10_000,
  maxTokenLength: 16_384,
  maxTokenAgeMs: 60 * 60 * 1000,
} as const;

export interface ServicesOptions {
  readonly store: Store;
  readonly clock: Clock;
  readonly random: Random;
  readonly journal: Pick<Journal, "record">;
  readonly usedProofs: UsedProofs;
  readonly identity: IdentityConfig;
  readonly people: Pick<People, "disable">;
}

type TokenRule = NonNullable<ServiceConfig["tokens"]>;

export class Services {
  readonly #options: ServicesOptions;
  readonly #keys = new Map<string, ReturnType<typeof createRemoteJWKSet>>();

  constructor(options: ServicesOptions) {
    this.#options = options;
  }

  /**
   * Makes the accounts of the configuration's services, and disables those that it no longer names: their grants end, too.
   * One that comes back stays disabled until somebody enables it.
   * @throws JitdbError `config.invalid` where a person has a service's name
   */
  async synchronise(): Promise<void> {
    const { store, clock, random, identity, people } = this.#options;
    const names = Object.keys(identity.services);
    const gone = await store.transaction(async (tx) => {
      for (const name of names) {
        await tx
          .insertInto("people")
          .values({
            id: createPersonId(random),
            name,
            kind: "service",
            password_hash: null,
            setup_token_hash: null,
            setup_expires_at: null,
            disabled_at: null,
            created_at: clock.now(),
          })
          .onConflict((conflict) => conflict.column("name").doNothing())
          .execute();
      }
      const accounts = await tx
        .selectFrom("people")
        .select(["name", "kind", "disabled_at"])
        .execute();
      // SECURITY: a service with a person's name would ask, and decide, as that person.
      const taken = accounts.find(({ name, kind }) => kind !== "service" && names.includes(name));
      if (taken !== undefined) {
        throw new JitdbError("config.invalid", `The service ${taken.name} has a person's name.`, {
          hint: "Give the service another name below identity.services.",
        });
      }
      return accounts.filter(
        ({ name, kind, disabled_at }) =>
          kind === "service" && disabled_at === null && !names.includes(name),
      );
    });
    for (const { name } of gone) {
      await people.disable(name, "configuration");
    }
  }

  /** The account of a service that may log in now. */
  async find(name: string): Promise<{ readonly id: PersonId; readonly name: string } | undefined> {
    if (!Object.hasOwn(this.#options.identity.services, name)) {
      return undefined;
    }
    return await this.#options.store.db
      .selectFrom("people")
      .select(["id", "name"])
      .where("name", "=", name)
      .where("kind", "=", "service")
      .where("disabled_at", "is", null)
      .executeTakeFirst();
  }

  /**
   * Checks a CI system's token for the service that the caller names. Good once: whoever finds it in a log is late.
   * @throws JitdbError `login.service` that says what does not fit, `login.provider` where the issuer does not answer
   */
  async verifyToken(name: string, token: string): Promise<void> {
    const services = this.#options.identity.services;
    const rule = Object.hasOwn(services, name) ? services[name]?.tokens : undefined;
    if (rule === undefined) {
      throw refused(name, "no service of this name takes tokens");
    }
    const payload = await this.#verify(name, rule, token);
    for (const [claim, expected] of Object.entries(rule.claims)) {
      if (payload[claim] !== expected) {
        throw refused(name, `its claim ${claim} is not the one of the configuration`);
      }
    }
    const { clock, usedProofs } = this.#options;
    const restMs = (payload.exp ?? 0) * 1000 - clock.now();
    // SECURITY: the signed part, as ECDSA signatures can be rewritten without the key.
    const signed = hash("sha256", token.slice(0, token.lastIndexOf(".")), "base64url");
    if (!(await usedProofs.claim(`token of ${rule.issuer}`, signed, restMs + 120_000))) {
      throw refused(name, "it was used before; fetch a new one");
    }
  }

  /** Puts a refused login on record. */
  recordRefusal(name: string, reason: string, address: string): void {
    this.#options.journal.record({ kind: "login.failed", name, reason, address });
  }

  async #verify(name: string, rule: TokenRule, token: string) {
    if (token.length > limits.maxTokenLength) {
      throw refused(name, "it is too long");
    }
    try {
      // Before anything is fetched: nobody makes this server call out with a token of no interest.
      if (decodeJwt(token).iss !== rule.issuer) {
        throw refused(name, "another issuer made it");
      }
      const { payload } = await jwtVerify(token, await this.#keysOf(rule.issuer), {
        issuer: rule.issuer,
        audience: rule.audience,
        algorithms: tokenAlgorithms,
        requiredClaims: ["exp", "iat"],
        maxTokenAge: limits.maxTokenAgeMs / 1000,
        clockTolerance: 30,
        currentDate: new Date(this.#options.clock.now()),
      });
      return payload;
    } catch (cause) {
      throw toRefusal(name, rule, cause);
    }
  }

  async #keysOf(issuer: string) {
    const known = this.#keys.get(issuer);
    if (known !== undefined) {
      return known;
    }
    const keys = await openKeys(issuer);
    this.#keys.set(issuer, keys);
    return keys;
  }
}

/** The keys of an OpenID Connect issuer, as its discovery document names them. */
async function openKeys(issuer: string): Promise<ReturnType<typeof createRemoteJWKSet>> {
  const at = `${issuer.replace(/\/$/, "")}/.well-known/openid-configuration`;
  const response = await fetchJson(at);
  const document: unknown = await response.json();
  const { issuer: named, jwks_uri } = document as { issuer?: unknown; jwks_uri?: unknown };
  // SECURITY: as OpenID Connect Discovery §4.3 has it; another issuer's document would bring that one's keys.
  if (named !== issuer) {
    throw new Error(`The discovery document at ${at} is not that of ${issuer}.`);
  }
  return createRemoteJWKSet(namedAddress(issuer, jwks_uri), {
    timeoutDuration: limits.timeoutMs,
    [customFetch]: fetchJson,
  });
}

async function fetchJson(url: string, init?: RequestInit): Promise<Response> {
  const signal = AbortSignal.timeout(limits.timeoutMs);
  const response = await boundedFetch()(url, { ...init, signal });
  if (response.status !== 200) {
    throw new Error(`${url} answered ${response.status}.`);
  }
  return response;
}

function toRefusal(name: string, rule: TokenRule, cause: unknown): JitdbError {
  if (cause instanceof JitdbError) {
    return cause;
  }
  if (cause instanceof errors.JWTClaimValidationFailed) {
    return refused(name, `its claim ${cause.claim} does not fit`, cause);
  }
  if (cause instanceof errors.JWTExpired) {
    return refused(name, "it has expired", cause);
  }
  const judged =
    cause instanceof errors.JOSEError &&
    !(cause instanceof errors.JWKSTimeout || cause instanceof errors.JWKSInvalid);
  return judged
    ? refused(name, "its signature cannot be verified", cause)
    : new JitdbError("login.provider", `${rule.issuer} does not answer as it should.`, { cause });
}

function refused(name: string, reason: string, cause?: unknown): JitdbError {
  return new JitdbError("login.service", `The token for ${name} was refused: ${reason}.`, {
    cause,
  });
}
