// Whether this server works, for load balancers. Says nothing that a stranger may not know.

import type { FastifyInstance } from "fastify";
import type { AppPorts } from "../app.ts";

export function healthRoutes(app: FastifyInstance, { store, journal }: HealthPorts): void {
  app.get("/healthz", async (_request, reply) => {
    await store.db.selectFrom("settings").select("key").limit(1).execute();
    // Without its journal the server refuses every statement.
    return await reply.code(journal.failed ? 503 : 200).send({ ok: !journal.failed });
  });
}

type HealthPorts = Pick<AppPorts, "store" | "journal">;
