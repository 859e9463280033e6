// /grants: what the caller may use, ending it early, and signing what it left behind.

import {
  extendInput,
  grantList,
  grantQuery,
  grantView,
  requestView,
  reviewInput,
  revokeInput,
} from "@jitdb/shared/api/access";
import { grantDetail, signInput } from "@jitdb/shared/api/traces";
import { optionalBody } from "@jitdb/shared/api/wire";
import type { FastifyInstance } from "fastify";
import type { ZodTypeProvider } from "fastify-type-provider-zod";
import * as z from "zod";
import type { AppPorts } from "../app.ts";
import { callerOf } from "../authentication.ts";

const byId = z.object({ id: z.string().max(60) });
const answer = { 200: grantView };

export function grantRoutes(
  api: FastifyInstance,
  { access, gateway }: Pick<AppPorts, "access" | "gateway">,
): void {
  const app = api.withTypeProvider<ZodTypeProvider>();
  /** Grants say how many sessions they have, and whether one still finishes: by rows that are written a moment later. */
  const asOfNow = async <View>(read: () => Promise<View>): Promise<View> => {
    await gateway.rowsWritten();
    return await read();
  };

  app.get(
    "/grants",
    { schema: { querystring: grantQuery, response: { 200: grantList } } },
    async (request) => {
      const list = () => access.listGrants(callerOf(request), request.query);
      const { rows, next } = await asOfNow(list);
      return { grants: [...rows], next };
    },
  );

  app.get("/grants/:id", { schema: { params: byId, response: answer } }, (request) =>
    asOfNow(() => access.getGrant(callerOf(request), request.params.id)),
  );

  app.get(
    "/grants/:id/detail",
    { schema: { params: byId, response: { 200: grantDetail } } },
    (request) => asOfNow(() => access.describeGrant(callerOf(request), request.params.id)),
  );

  app.post(
    "/grants/:id/sign",
    { schema: { params: byId, body: signInput, response: { 200: grantDetail } } },
    (request) => access.sign(callerOf(request), request.params.id, request.body),
  );

  app.post(
    "/grants/:id/revoke",
    { schema: { params: byId, body: optionalBody(revokeInput), response: answer } },
    (request) => access.revoke(callerOf(request), request.params.id, request.body.reason),
  );

  app.post("/grants/:id/release", { schema: { params: byId, response: answer } }, (request) =>
    access.release(callerOf(request), request.params.id),
  );

  app.post(
    "/grants/:id/extend",
    { schema: { params: byId, body: extendInput, response: { 200: requestView } } },
    (request) => {
      const { durationSeconds, reason, endsAt } = request.body;
      const durationMs = durationSeconds === undefined ? undefined : durationSeconds * 1000;
      const input = { durationMs, reason, endsAt: Date.parse(endsAt) };
      return access.extend(callerOf(request), request.params.id, input);
    },
  );

  app.post(
    "/grants/:id/review",
    { schema: { params: byId, body: optionalBody(reviewInput), response: answer } },
    (request) => access.review(callerOf(request), request.params.id, request.body.comment),
  );
}
