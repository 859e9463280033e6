// /devices: the caller's devices, vouching for a new one, and taking one away.

import { type DeviceView, deviceList, deviceView } from "@jitdb/shared/api/people";
import type { FastifyInstance } from "fastify";
import type { ZodTypeProvider } from "fastify-type-provider-zod";
import * as z from "zod";
import type { Caller } from "../../identity/caller.ts";
import type { KnownDevice } from "../../identity/vouching.ts";
import type { AppPorts } from "../app.ts";
import { callerOf } from "../authentication.ts";

const byId = z.object({ id: z.string().max(60) });
const answer = { 200: deviceView };

export function deviceRoutes(api: FastifyInstance, { vouching }: Pick<AppPorts, "vouching">): void {
  const app = api.withTypeProvider<ZodTypeProvider>();

  app.get("/devices", { schema: { response: { 200: deviceList } } }, async (request) => {
    const caller = callerOf(request);
    const devices = await vouching.list(caller.personId);
    return { devices: devices.map((device) => toView(device, caller)) };
  });

  app.post(
    "/devices/:id/confirm",
    { schema: { params: byId, response: answer } },
    async (request) => {
      const caller = callerOf(request);
      return toView(await vouching.confirm(caller, request.params.id), caller);
    },
  );

  app.post(
    "/devices/:id/revoke",
    { schema: { params: byId, response: answer } },
    async (request) => {
      const caller = callerOf(request);
      return toView(await vouching.revoke(caller, request.params.id), caller);
    },
  );
}

function toView({ personId: _, firstSeenAt, ...device }: KnownDevice, caller: Caller): DeviceView {
  return {
    ...device,
    current: device.id === caller.deviceId,
    firstSeenAt: new Date(firstSeenAt).toISOString(),
  };
}
