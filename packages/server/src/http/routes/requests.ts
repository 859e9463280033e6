// /requests: asking for access, and deciding on what others ask.

import {
  approveInput,
  denyInput,
  type RequestInput,
  requestBackground,
  requestInput,
  requestList,
  requestQuery,
  requestView,
} from "@jitdb/shared/api/access";
import { requestPreview } from "@jitdb/shared/api/previews";
import { optionalBody } from "@jitdb/shared/api/wire";
import type { FastifyInstance } from "fastify";
import type { ZodTypeProvider } from "fastify-type-provider-zod";
import * as z from "zod";
import type { Ask } from "../../access/requests/ask.ts";
import type { AppPorts } from "../app.ts";
import { callerOf } from "../authentication.ts";

const byId = z.object({ id: z.string().max(60) });
const answer = { 200: requestView };

export function requestRoutes(
  api: FastifyInstance,
  { access, gateway, shipper }: Pick<AppPorts, "access" | "gateway" | "shipper">,
): void {
  const app = api.withTypeProvider<ZodTypeProvider>();

  app.post(
    "/requests",
    { schema: { body: requestInput, response: { 201: requestView } } },
    async (request, reply) => {
      const view = await access.request(callerOf(request), toAsk(request.body));
      return await reply.code(201).send(view);
    },
  );

  app.post(
    "/requests/preview",
    { schema: { body: requestInput, response: { 200: requestPreview } } },
    (request) => access.preview(callerOf(request), toAsk(request.body)),
  );

  app.get(
    "/requests",
    { schema: { querystring: requestQuery, response: { 200: requestList } } },
    async (request) => {
      const { rows, next } = await access.listRequests(callerOf(request), request.query);
      return { requests: [...rows], next };
    },
  );

  app.get("/requests/:id", { schema: { params: byId, response: answer } }, (request) =>
    access.getRequest(callerOf(request), request.params.id),
  );

  app.get(
    "/requests/:id/background",
    { schema: { params: byId, response: { 200: requestBackground } } },
    async (request) => {
      // Whoever decides sees what the person has done up to now, also a moment ago.
      await Promise.all([gateway.rowsWritten(), shipper.catchUp()]);
      return await access.requestBackground(callerOf(request), request.params.id);
    },
  );

  app.post(
    "/requests/:id/approve",
    { schema: { params: byId, body: optionalBody(approveInput), response: answer } },
    async (request) => {
      const { durationSeconds, ...approval } = request.body;
      const durationMs = durationSeconds === undefined ? undefined : durationSeconds * 1000;
      return await access.approve(callerOf(request), request.params.id, {
        ...approval,
        durationMs,
      });
    },
  );

  app.post(
    "/requests/:id/deny",
    { schema: { params: byId, body: optionalBody(denyInput), response: answer } },
    (request) => access.deny(callerOf(request), request.params.id, request.body.reason),
  );

  app.post("/requests/:id/withdraw", { schema: { params: byId, response: answer } }, (request) =>
    access.withdraw(callerOf(request), request.params.id),
  );
}

function toAsk({ durationSeconds, startsAt, ...asked }: RequestInput): Ask {
  return {
    ...asked,
    durationMs: durationSeconds === undefined ? undefined : durationSeconds * 1000,
    startsAt: startsAt === undefined ? undefined : Date.parse(startsAt),
  };
}
