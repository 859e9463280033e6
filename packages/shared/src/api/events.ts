// What the server tells over the events WebSocket (/api/v1/events, subprotocol jitdb.events.v1): JSON text messages.
// Events are hints: a client that missed one finds the same by asking.

import * as z from "zod";
import { grantView, requestView } from "./access.ts";

export const serverEvent = z.discriminatedUnion("type", [
  z.object({ type: z.literal("request.changed"), request: requestView }),
  z.object({ type: z.literal("grant.changed"), grant: grantView }),
  z.object({ type: z.literal("grant.ending"), grant: grantView, secondsLeft: z.number().int() }),
]);
export type ServerEvent = z.infer<typeof serverEvent>;
