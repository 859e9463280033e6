// GET /audit: administrators search everything, everybody else what they did themselves, and grants that they have to judge.

import { auditList, auditQuery } from "@jitdb/shared/api/audit";
import { JitdbError } from "@jitdb/shared/errors";
import type { FastifyInstance } from "fastify";
import type { ZodTypeProvider } from "fastify-type-provider-zod";
import { listRecords } from "../../audit/search/queries.ts";
import type { Caller } from "../../identity/caller.ts";
import type { AppPorts } from "../app.ts";
import { callerOf } from "../authentication.ts";

/** Records that statements left meanwhile are shipped first, unless that takes longer: who asks sees what was. */
const patienceMs = 2000;

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
        await shipper.catchUp(patienceMs);
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
