// GET /audit: administrators search everything, everybody else what they did themselves, and grants that they have to judge.

import { auditList, auditQuery } from "@jitdb/shared/api/audit";
import { JitdbError } from "@jitdb/shared/errors";
import type { FastifyInstance } from "fastify";
import type { ZodTypeProvider } from "fastify-type-provider-zod";
import { listRecords } from "../../audit/search/queries.ts";
import type { Caller } from "../../identity/caller.ts";
import type { AppPorts } from "../app.ts";
import { callerOf } from "../authentication.ts";

export function auditRoutes(
  api: FastifyInstance,
  { access, store, journal, shipper }: Pick<AppPorts, "access" | "store" | "journal" | "shipper">,
): void {
  api
    .withTypeProvider<ZodTypeProvider>()
    .get(
      "/audit",
      { schema: { querystring: auditQuery, response: { 200: auditList } } },
      async (request) => {
        const { limit, after, ...filter } = request.query;
        const caller = callerOf(request);
        const reads =
          filter.grant !== undefined && (await access.readsRecords(caller, filter.grant));
        const person = reads ? filter.person : visiblePerson(caller, filter.person);
        // Who asks sees what was.
        await shipper.catchUp();
        return await listRecords(store.db, journal.id, { ...filter, person }, { limit, after });
      },
    );
}

function visiblePerson(caller: Caller, asked: string | undefined): string | undefined {
  if (caller.administrator) {
    return asked;
  }
  if (asked !== undefined && asked !== caller.name) {
    throw new JitdbError("access.forbidden", "Only administrators see what others did.", {
      hint: "Ask without --person to see your own records.",
    });
  }
  return caller.name;
}
