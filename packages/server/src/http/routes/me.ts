// GET /me: who the server takes the caller for.

import { meView } from "@jitdb/shared/api/people";
import type { FastifyInstance } from "fastify";
import type { ZodTypeProvider } from "fastify-type-provider-zod";
import type { AppPorts } from "../app.ts";
import { callerOf } from "../authentication.ts";

export function meRoutes(api: FastifyInstance, { clock, version }: MePorts): void {
  api
    .withTypeProvider<ZodTypeProvider>()
    .get("/me", { schema: { response: { 200: meView } } }, async (request) => {
      const caller = callerOf(request);
      return {
        person: caller.name,
        groups: [...caller.groups],
        administrator: caller.administrator,
        device: {
          id: caller.deviceId,
          label: caller.deviceLabel,
          confirmed: caller.deviceConfirmed,
        },
        tokenExpiresAt: new Date(caller.tokenExpiresAt).toISOString(),
        server: { version, time: new Date(clock.now()).toISOString() },
      };
    });
}

type MePorts = Pick<AppPorts, "clock" | "version">;
