// Logins under way: what a person finds behind the code that a device shows (RFC 8628 §3.3), and their yes or no.

import type { Clock, PersonId } from "@jitdb/shared/ids";
import type { Kysely, Selectable } from "kysely";
import * as z from "zod";
import type { Trail } from "../../audit/trail.ts";
import type { Store } from "../../store/store.ts";
import type { Tables } from "../../store/tables.ts";
import type { Person } from "../people.ts";

/** Eight letters without vowels, so that no code is a word; shown in two groups. */
export const userCodeForm = { charset: "base-20", mask: "****-****" } as const;

/** What a device without a label is called. */
const unnamed = "unnamed device";

/** A login that waits for a person's decision. */
export interface PendingLogin {
  /** As the device shows it: XXXX-XXXX. */
  readonly userCode: string;
  readonly label: string;
  /** Where the device asked from. */
  readonly address: string;
  /** Epoch milliseconds. */
  readonly requestedAt: number;
  /** Epoch milliseconds. */
  readonly expiresAt: number;
  /** Whether it wants the person to prove anew who they are (`jitdb login --again`). */
  readonly again: boolean;
}

export type LoginLookup =
  | { readonly state: "pending"; readonly login: PendingLogin }
  /** No device was given this code, or it was long ago. */
  | { readonly state: "unknown" }
  | { readonly state: "expired" }
  /** Approved or denied before: a code works once. */
  | { readonly state: "decided" };

export interface DeviceLoginsOptions {
  readonly store: Store;
  readonly clock: Clock;
  readonly trail: Trail;
  /** Makes the provider's record of a login, which the device's tokens then belong to; gives its id. */
  readonly createLogin: (person: PersonId) => Promise<string>;
}

export class DeviceLogins {
  readonly #store: Store;
  readonly #clock: Clock;
  readonly #trail: Trail;
  readonly #createLogin: DeviceLoginsOptions["createLogin"];

  constructor({ store, clock, trail, createLogin }: DeviceLoginsOptions) {
    this.#store = store;
    this.#clock = clock;
    this.#trail = trail;
    this.#createLogin = createLogin;
  }

  /** `typed` in any case, with or without its dash. */
  async find(typed: string): Promise<LoginLookup> {
    const row = await selectCode(this.#store.db, typed);
    return row === undefined ? { state: "unknown" } : this.#read(row);
  }

  /** Lets the device in as `person`, who proved at `provenAt` (epoch milliseconds) who they are. False: the code has expired or was decided meanwhile, or the account was disabled. */
  async approve(userCode: string, person: Person, provenAt: number): Promise<boolean> {
    const grantId = await this.#createLogin(person.id);
    const approved = await this.#store.transaction(async (tx) => {
      const enabled = await tx
        .selectFrom("people")
        .select("id")
        .where("id", "=", person.id)
        .where("disabled_at", "is", null)
        .executeTakeFirst();
      const authTime = Math.floor(provenAt / 1000);
      const decision = { accountId: person.id, grantId, authTime };
      return enabled !== undefined && (await this.#decide(tx, userCode, decision)) !== undefined;
    });
    if (!approved) {
      await this.#store.db.deleteFrom("oauth_artifacts").where("grant_id", "=", grantId).execute();
    }
    return approved;
  }

  /** Turns the device away. False: the code has expired or was decided meanwhile. */
  async deny(userCode: string, person: Person, address: string): Promise<boolean> {
    const denied = await this.#store.transaction(async (tx) => {
      const decision = { error: "access_denied", errorDescription: `${person.name} said no.` };
      const login = await this.#decide(tx, userCode, decision);
      if (login !== undefined) {
        const reason = `The login of "${login.label}" from ${login.address} was not theirs.`;
        await this.#trail.stage(tx, { kind: "login.denied", person: person.name, address, reason });
      }
      return login !== undefined;
    });
    await this.#trail.drain();
    return denied;
  }

  async #decide(
    tx: Kysely<Tables>,
    userCode: string,
    decision: Decision,
  ): Promise<PendingLogin | undefined> {
    const row = await selectCode(tx, userCode);
    const lookup = row && this.#read(row);
    if (row === undefined || lookup?.state !== "pending") {
      return undefined;
    }
    const payload = { ...readPayload(row), ...decision };
    const scope = payload.params.scope ?? defaultScope;
    const decided = await tx
      .updateTable("oauth_artifacts")
      .set({
        payload: JSON.stringify({ ...payload, scope }),
        grant_id: decision.grantId ?? null,
        uid: decision.accountId ?? null,
      })
      .where("model", "=", "DeviceCode")
      .where("id", "=", row.id)
      // The payload that was read: of two decisions at once, the second changes nothing.
      .where("payload", "=", row.payload)
      .returning("id")
      .executeTakeFirst();
    return decided && lookup.login;
  }

  #read(row: CodeRow): LoginLookup {
    const payload = readPayload(row);
    const expiresAt = row.expires_at ?? 0;
    if (payload.error !== undefined || payload.accountId !== undefined) {
      return { state: "decided" };
    }
    if (expiresAt <= this.#clock.now()) {
      return { state: "expired" };
    }
    const { params, deviceInfo, userCode, iat } = payload;
    return {
      state: "pending",
      login: {
        userCode: `${userCode.slice(0, 4)}-${userCode.slice(4)}`,
        label: params.device_label ?? unnamed,
        address: deviceInfo.address,
        requestedAt: deviceInfo.requestedAt ?? iat * 1000,
        expiresAt,
        again: params.login_again === "true",
      },
    };
  }
}

/** What a device asks for that names no scope; all that there is. */
export const defaultScope = "openid offline_access";

/** The name of the parameter is the device's own; 80 characters that take up space and do nothing else. */
export const deviceLabel = z
  .string()
  // SECURITY: neither control characters nor those that turn the direction of the text or hide it.
  .regex(/^[^\p{C}\p{Zl}\p{Zp}]{1,80}$/u);

/** The label of a device code's request parameters, or what stands in for it. */
export function labelOf(params: unknown): string {
  return codeParams.safeParse(params).data?.device_label ?? unnamed;
}

/** Whether a device code was asked for on the server's own host. */
export function isLocal(info: unknown): boolean {
  return codeDevice.safeParse(info).data?.local ?? false;
}

/** When whoever let the device in had last proven who they are, epoch milliseconds. */
export function authTimeOf(source: unknown): number {
  return Number((source as { authTime?: unknown }).authTime ?? 0) * 1000;
}

interface Decision {
  accountId?: PersonId;
  grantId?: string;
  authTime?: number;
  error?: string;
  errorDescription?: string;
}

type CodeRow = Selectable<Tables["oauth_artifacts"]>;

const codeParams = z.looseObject({
  scope: z.string().optional(),
  device_label: deviceLabel.optional(),
  login_again: z.string().optional(),
});
const codeDevice = z.looseObject({
  address: z.string(),
  local: z.boolean(),
  /** Epoch milliseconds. */
  requestedAt: z.number().optional(),
});
/** The part of the provider's device codes that we look at. */
const codePayload = z.looseObject({
  iat: z.number(),
  userCode: z.string().length(8),
  params: codeParams,
  deviceInfo: codeDevice,
  accountId: z.string().optional(),
  error: z.string().optional(),
});

function readPayload(row: CodeRow) {
  return codePayload.parse(JSON.parse(row.payload));
}

async function selectCode(db: Kysely<Tables>, typed: string): Promise<CodeRow | undefined> {
  return await db
    .selectFrom("oauth_artifacts")
    .selectAll()
    .where("model", "=", "DeviceCode")
    .where("user_code", "=", typed.toUpperCase().replaceAll(/[^A-Z0-9]/g, ""))
    .executeTakeFirst();
}
