// What logins leave in the store: device codes, tokens, the logins ("grants" in OAuth) that they belong to, browser sessions.
// Knows neither OAuth's rules nor the provider.

import { hash } from "node:crypto";
import type { Clock, PersonId } from "@jitdb/shared/ids";
import type { Kysely, Selectable } from "kysely";
import type { Store } from "../../store/store.ts";
import type { Tables } from "../../store/tables.ts";

export type Model =
  | "AccessToken"
  | "BrowserSession"
  | "DeviceCode"
  | "Grant"
  | "RefreshToken"
  // Never made, as their endpoints are not mounted; the provider knows them all the same.
  | (string & {});

/** The members that have a column of their own; the rest is the provider's. */
export interface ArtifactPayload {
  [member: string]: unknown;
  accountId?: string | undefined;
  /** The thumbprint of the key that a token is bound to. */
  jkt?: string | undefined;
  grantId?: string | undefined;
  userCode?: string | undefined;
}

export interface Artifact {
  readonly payload: ArtifactPayload;
  /** Epoch milliseconds. */
  readonly expiresAt: number;
  readonly consumedAt: number | null;
}

/** How long an expired artifact is still found, so that its holder hears that it expired and not that it never was. */
const rememberExpiredMs = 10 * 60 * 1000;

/** `value` is what the holder shows: a token, a code, a cookie. SECURITY: only its hash is kept, so a stolen store opens nothing. */
export class Artifacts {
  readonly #store: Store;
  readonly #clock: Clock;

  constructor(store: Store, clock: Clock) {
    this.#store = store;
    this.#clock = clock;
  }

  async save(
    model: Model,
    value: string,
    payload: ArtifactPayload,
    lifetimeMs: number,
  ): Promise<void> {
    const columns = {
      payload: JSON.stringify({ ...payload, jti: undefined }),
      grant_id: model === "Grant" ? value : (payload.grantId ?? null),
      user_code: payload.userCode ?? null,
      // Whose it is: the device's where it is bound to one, else the person's.
      uid: payload.jkt ?? payload.accountId ?? null,
      expires_at: this.#clock.now() + lifetimeMs,
    };
    await this.#store.db
      .insertInto("oauth_artifacts")
      .values({ model, id: artifactId(value), ...columns, consumed_at: null })
      .onConflict((conflict) => conflict.columns(["model", "id"]).doUpdateSet(columns))
      .execute();
  }

  /** Expired ones, too, for a while. */
  async find(model: Model, value: string): Promise<Artifact | undefined> {
    const row = await this.#store.db
      .selectFrom("oauth_artifacts")
      .selectAll()
      .where("model", "=", model)
      .where("id", "=", artifactId(value))
      .executeTakeFirst();
    return row && toArtifact(row);
  }

  /** Marks it as used. False: it was before, or is gone. */
  async consume(model: Model, value: string): Promise<boolean> {
    const row = await this.#store.db
      .updateTable("oauth_artifacts")
      .set({ consumed_at: this.#clock.now() })
      .where("model", "=", model)
      .where("id", "=", artifactId(value))
      .where("consumed_at", "is", null)
      .returning("id")
      .executeTakeFirst();
    return row !== undefined;
  }

  async delete(model: Model, value: string): Promise<void> {
    await this.#store.db
      .deleteFrom("oauth_artifacts")
      .where("model", "=", model)
      .where("id", "=", artifactId(value))
      .execute();
  }

  /** The refresh tokens of a login that were used at `since` (epoch milliseconds) or later. */
  async usedRefreshTokens(grantId: string, since: number): Promise<ArtifactPayload[]> {
    const rows = await this.#store.db
      .selectFrom("oauth_artifacts")
      .select("payload")
      .where("grant_id", "=", grantId)
      .where("model", "=", "RefreshToken")
      .where("consumed_at", ">=", since)
      .execute();
    return rows.map((row) => JSON.parse(row.payload));
  }

  /** Forgets what nobody can use any more. */
  async purge(): Promise<void> {
    const now = this.#clock.now();
    await this.#store.db
      .deleteFrom("oauth_artifacts")
      .where("expires_at", "<", now - rememberExpiredMs)
      .execute();
    await this.#store.db.deleteFrom("used_proofs").where("expires_at", "<", now).execute();
  }
}

/** The primary key under which the holder's `value` is kept. */
export function artifactId(value: string): string {
  return hash("sha256", value, "base64url");
}

/** Ends all logins of a person: tokens on every device, device codes under way and browser sessions. */
export async function endLoginsOf(tx: Kysely<Tables>, person: PersonId): Promise<void> {
  const devices = await tx
    .selectFrom("devices")
    .select("id")
    .where("person_id", "=", person)
    .execute();
  await tx
    .deleteFrom("oauth_artifacts")
    .where("uid", "in", [person, ...devices.map((device) => device.id)])
    .execute();
}

function toArtifact(row: Selectable<Tables["oauth_artifacts"]>): Artifact {
  return {
    payload: JSON.parse(row.payload),
    expiresAt: row.expires_at ?? 0,
    consumedAt: row.consumed_at,
  };
}
