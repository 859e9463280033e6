// Who is behind a call, as every other part of the server sees it. Made fresh for each call by the authenticator.

import type { DeviceId, PersonId } from "@jitdb/shared/ids";

/** Members of this group administer the server: they see everything and revoke anything. */
export const administrators = "admins";

export interface Caller {
  readonly personId: PersonId;
  readonly name: string;
  /** Sorted. */
  readonly groups: readonly string[];
  /** Member of the group `admins`. */
  readonly administrator: boolean;
  /** The thumbprint (RFC 7638) of the key that signed the call's proof. */
  readonly deviceId: DeviceId;
  /** What the device calls itself; for people to read, trusted by nothing. */
  readonly deviceLabel: string;
  readonly deviceConfirmed: boolean;
  /** Epoch milliseconds. */
  readonly tokenExpiresAt: number;
  /** Where the call comes from; a trusted proxy's word counts. */
  readonly address: string;
}
