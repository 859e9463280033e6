// What an approval covers, as one value: whoever changes a request after it was approved has another digest.

import { createHash } from "node:crypto";
import type { DeviceId, PersonId } from "@jitdb/shared/ids";

/** Named as the columns of `requests`, so that a row is one. */
export interface Approvable {
  readonly person_id: PersonId;
  readonly device_id: DeviceId;
  readonly database_name: string;
  readonly profile: string;
  readonly duration_ms: number;
  readonly reason: string;
}

/** SHA-256 (hex) over a canonical form: a JSON array in fixed order, so that no two requests share one by moving a comma. */
export function requestDigest(request: Approvable): string {
  const canonical = JSON.stringify([
    "jitdb.request.v1",
    request.person_id,
    request.device_id,
    request.database_name,
    request.profile,
    request.duration_ms,
    request.reason,
  ]);
  return createHash("sha256").update(canonical).digest("hex");
}
