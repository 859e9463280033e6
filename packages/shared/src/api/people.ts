// Who is calling, and the devices that people log in with.

import * as z from "zod";
import { instant, name } from "./wire.ts";

export const meView = z.object({
  person: name,
  groups: z.array(name),
  administrator: z.boolean(),
  device: z.object({ id: z.string(), label: z.string(), confirmed: z.boolean() }),
  tokenExpiresAt: instant,
  server: z.object({ version: z.string(), time: instant }),
});
export type MeView = z.infer<typeof meView>;

/** A device that is not revoked, and that is confirmed or logged in. */
export const deviceView = z.object({
  /** Its key's thumbprint (RFC 7638). */
  id: z.string(),
  person: name,
  /** What it calls itself; trusted by nothing. */
  label: z.string(),
  confirmed: z.boolean(),
  /** Whether it is the one that calls. */
  current: z.boolean(),
  firstAddress: z.string(),
  firstSeenAt: instant,
});
export type DeviceView = z.infer<typeof deviceView>;
export const deviceList = z.object({ devices: z.array(deviceView) });
