// Reloading from the server's console.

import * as z from "zod";

export const reloadCommand = z.object({ do: z.literal("now") });

export const reloadAnswer = z.object({
  file: z.string(),
  policies: z.number().int(),
  restart: z.array(z.string()),
  closed: z.array(z.string()),
  warnings: z.array(z.string()),
});
