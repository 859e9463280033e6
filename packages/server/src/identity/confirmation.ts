// The one update that makes a device known, whoever vouches for it.

import type { DeviceId, PersonId } from "@jitdb/shared/ids";
import type { Kysely } from "kysely";
import type { Tables } from "../store/tables.ts";

/**
 * Confirms a device. False, and nothing changed: it was confirmed before, or it was revoked.
 * @param by null: nobody in person, such as the operator at the server
 */
export async function confirmDevice(
  tx: Kysely<Tables>,
  device: DeviceId,
  { by, at }: { readonly by: PersonId | null; readonly at: number },
): Promise<boolean> {
  const confirmed = await tx
    .updateTable("devices")
    .set({ confirmed_at: at, confirmed_by: by })
    .where("id", "=", device)
    .where("confirmed_at", "is", null)
    // Where transactions run beside each other, it may have been revoked since we looked.
    .where("revoked_at", "is", null)
    .returning("id")
    .executeTakeFirst();
  return confirmed !== undefined;
}
