// What identity writes into the audit, and the port through which it does.

import type { DeviceId } from "@jitdb/shared/ids";
import type { Kysely } from "kysely";
import type { Tables } from "../store/tables.ts";

/** `person` and `by` are names, `device` is a key's thumbprint. */
export type IdentityEvent =
  | { kind: "person.added"; person: string; groups: readonly string[]; by: string }
  | { kind: "person.disabled"; person: string; by: string }
  | { kind: "person.enabled"; person: string; by: string }
  | { kind: "person.groups_changed"; person: string; groups: readonly string[]; by: string }
  | { kind: "person.link_made"; person: string; by: string }
  | { kind: "person.password_changed"; person: string; by: string }
  | { kind: "setup.used"; person: string; address: string }
  | { kind: "login.succeeded"; person: string; device: DeviceId; label: string; address: string }
  | { kind: "login.failed"; person?: string; address: string; reason: LoginFailure }
  | { kind: "login.denied"; person: string; label: string; address: string }
  | { kind: "login.logged_out"; person: string; device: DeviceId; address: string }
  | { kind: "login.reuse_detected"; person: string; device: DeviceId; address: string }
  | { kind: "device.seen"; person: string; device: DeviceId; label: string; address: string }
  | { kind: "device.confirmed"; person: string; device: DeviceId; by: string }
  | { kind: "device.revoked"; person: string; device: DeviceId; by: string };

/** Why a login came to nothing. */
export type LoginFailure =
  /** Unknown name, wrong password, no password yet or a disabled account: the person is not told which. */
  | "password"
  | "rate_limited"
  /** The device's key belongs to somebody else, or was revoked. */
  | "device";

export interface IdentityAudit {
  /** Records what the transaction changes, in the same transaction. */
  stage(tx: Kysely<Tables>, event: IdentityEvent): Promise<void>;
  /** Moves what was staged to the journal; after the commit. */
  drain(): Promise<void>;
  /** Records at once what changes nothing in the store. */
  record(event: IdentityEvent): void;
}
