// Every limit of the gateway.

import type { TunnelConfig } from "../config/config.ts";
import type { Rate } from "../rate-limit.ts";
import type { ParkingLimits } from "./tunnels/parking.ts";
import type { TunnelEndOptions } from "./tunnels/tunnel-end.ts";

export interface GatewayLimits {
  readonly tunnel: TunnelEndOptions;
  /** Tunnels whose WebSocket is lost. */
  readonly parking: ParkingLimits;
  /** Per tunnel. Generous: a client that connects for each statement opens hundreds of sessions a second. */
  readonly opens: Rate;
  readonly cancels: Rate;
  /** Tokens live for minutes. */
  readonly auths: Rate;
  /** Sessions of one grant at a time. A database's own limit is `maxConnections` in the configuration. */
  readonly maxSessionsPerGrant: number;
  /** How often the ends of grants and tokens are looked for. Reads look on their own. */
  readonly tickMs: number;
  /** How often a user that is still being made is asked for, and how many times. */
  readonly userRetryMs: number;
  readonly userRetries: number;
  /** A backend of ours is no stranger for so long after its session: it may need the time to leave. */
  readonly ownedAfterMs: number;
}

export const gatewayLimits: GatewayLimits = {
  tunnel: {
    pingIntervalMs: 5000,
    silenceMs: 10_000,
    maxBufferedBytes: 1_048_576,
    maxStreams: 256,
  },
  parking: {
    parkedMs: 120_000,
    busyMs: 30_000,
    maxOfPerson: 8,
    maxTunnels: 1000,
    maxBytes: 268_435_456,
  },
  opens: { burst: 1000, perSecond: 500 },
  cancels: { burst: 20, perSecond: 5 },
  auths: { burst: 5, perSecond: 0.2 },
  maxSessionsPerGrant: 100,
  tickMs: 200,
  userRetryMs: 200,
  userRetries: 25,
  ownedAfterMs: 1000,
};

/** With what the configuration says of agents that fall silent; without it, the limits above. */
export function limitsOf({ pingMs, silenceMs, parkedMs, busyMs }: TunnelConfig): GatewayLimits {
  const { tunnel, parking } = gatewayLimits;
  return {
    ...gatewayLimits,
    tunnel: { ...tunnel, pingIntervalMs: pingMs, silenceMs },
    parking: { ...parking, parkedMs, busyMs },
  };
}
