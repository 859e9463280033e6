// Who is calling.

import { z } from "zod";
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
