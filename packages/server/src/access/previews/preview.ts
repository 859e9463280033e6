// What would come of a request: which rule decides, who could approve, how long that takes, and what would be done in the
// database. Changes nothing; refuses as the request itself would.

import type { RequestPreview } from "@jitdb/shared/api/previews";
import type { Caller } from "../../identity/caller.ts";
import type { AccessPorts } from "../change.ts";
import type { Policies } from "../policy.ts";
import { type Ask, findSame, planRequest, refuseTooMany } from "../requests/ask.ts";
import { approversOf, canComplete } from "./approvers.ts";
import { usualWait } from "./usual-wait.ts";

/** Names that are listed of those who could approve. */
const maxNames = 20;

/**
 * SECURITY: the plan comes first and throws what asking throws, so that whoever may not ask learns nothing more. Whoever may
 * is told names of colleagues, and of the database what the grant would show them anyway.
 * @throws JitdbError as `ask`
 */
export async function previewRequest(
  ports: AccessPorts,
  policies: Policies,
  caller: Caller,
  input: Ask,
): Promise<RequestPreview> {
  const { store, clock, config } = ports;
  const look = { tx: store.db, now: clock.now() };
  const plan = await planRequest(ports, policies, look, caller, input);
  const { policy, stages, fields } = plan;
  const { database_name: database, profile } = fields;
  const same = await findSame(look, fields.digest);
  if (same === undefined) {
    await refuseTooMany(look, caller);
  }
  const asking = { personId: caller.personId, throughGroups: plan.throughGroups };
  const staffed = await Promise.all(
    stages.map(async ({ name, groups, count }) => ({
      name: name ?? null,
      groups: [...groups],
      needed: count,
      approvers: await approversOf(look.tx, asking, groups),
    })),
  );
  const waits = stages.length > 0;
  const creation = await ports.describeCreation(database, profile, caller.name);
  return {
    database,
    profile,
    durationSeconds: Math.floor(fields.duration_ms / 1000),
    policy: policy.name,
    privileges: config.databases.get(database)?.profiles.get(profile)?.description ?? "",
    leavesTraces: [...ports.waysToLeaveTraces(database, profile)],
    startsAt: input.startsAt === undefined ? null : new Date(input.startsAt).toISOString(),
    stages: staffed.map(({ approvers, ...stage }) => ({
      ...stage,
      approvers: approvers.slice(0, maxNames),
      approverCount: approvers.length,
    })),
    enough: canComplete(staffed),
    vouching: waits && policy.approval.kind === "automatic",
    lapsesAt: waits ? new Date(fields.lapses_at).toISOString() : null,
    usualWait: waits ? await usualWait(look.tx, { policy: policy.name, database }) : null,
    review:
      policy.breakGlass === undefined
        ? null
        : {
            groups: [...policy.breakGlass.reviewGroups],
            withinSeconds: Math.floor(policy.breakGlass.withinMs / 1000),
          },
    waiting: same?.id ?? null,
    ...("problem" in creation
      ? { statements: [], problem: creation.problem }
      : { statements: [...creation.statements], problem: null }),
  };
}
