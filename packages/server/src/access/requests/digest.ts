// What an approval covers, as one value: whoever changes a request after it was approved has another digest.

import { createHash } from "node:crypto";
import type { DeviceId, GrantId, PersonId } from "@jitdb/shared/ids";

/** Named as the columns of `requests`, so that a row is one. */
export interface Approvable {
  readonly person_id: PersonId;
  readonly device_id: DeviceId;
  readonly database_name: string;
  readonly profile: string;
  readonly duration_ms: number;
  readonly reason: string;
  /** Epoch ms of the start that was asked for, or of the end that an extension begins at. */
  readonly starts_at?: number | null;
  readonly break_glass?: number;
  readonly extends_grant?: GrantId | null;
}

/** SHA-256 (hex) over a canonical form: a JSON array in fixed order, so that no two requests share one by moving a comma. */
export function requestDigest(request: Approvable): string {
  const { starts_at = null, break_glass = 0, extends_grant = null } = request;
  const isPlain = starts_at === null && break_glass === 0 && extends_grant === null;
  const canonical = JSON.stringify([
    // What a request could not ask for then is not in v1, so that one that waited through an upgrade is still the same.
    isPlain ? "jitdb.request.v1" : "jitdb.request.v2",
    request.person_id,
    request.device_id,
    request.database_name,
    request.profile,
    request.duration_ms,
    request.reason,
    ...(isPlain ? [] : [starts_at, break_glass, extends_grant]),
  ]);
  return createHash("sha256").update(canonical).digest("hex");
}
