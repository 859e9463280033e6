// GET /databases: what the caller may ask for.

import { databaseList } from "@jitdb/shared/api/access";
import type { FastifyInstance } from "fastify";
import type { ZodTypeProvider } from "fastify-type-provider-zod";
import type { AppPorts } from "../app.ts";
import { callerOf } from "../authentication.ts";

export function databaseRoutes(api: FastifyInstance, { access }: Pick<AppPorts, "access">): void {
  api
    .withTypeProvider<ZodTypeProvider>()
    .get("/databases", { schema: { response: { 200: databaseList } } }, async (request) => ({
      databases: await access.databasesFor(callerOf(request)),
    }));
}
