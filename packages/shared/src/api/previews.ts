// What would come of a request, as the API shows it: the request's own input, and nothing changes.

import * as z from "zod";
import { instant, name } from "./wire.ts";

export const requestPreview = z.object({
  database: name,
  profile: name,
  durationSeconds: z.number().int(),
  /** The rule that decides. */
  policy: z.string(),
  /** What the profile allows, in plain words. */
  privileges: z.string(),
  /** How a grant on the profile can leave something behind, each completing "A grant …"; empty: it cannot. */
  leavesTraces: z.array(z.string()),
  /** The start that was asked for; null: as soon as it is granted. */
  startsAt: instant.nullable(),
  /** Who has to approve, in order; empty: it would be granted at once. */
  stages: z.array(
    z.object({
      name: z.string().nullable(),
      groups: z.array(z.string()),
      needed: z.number().int(),
      /** Who could approve now, by name; the first of them where they are many. */
      approvers: z.array(name),
      /** How many could. */
      approverCount: z.number().int(),
    }),
  ),
  /** Whether so many different people could give all approvals: one person counts once, whatever the stages. */
  enough: z.boolean(),
  /** Whether somebody has to approve only because nobody has confirmed the device that asks. */
  vouching: z.boolean(),
  /** When it would lapse without a decision; null: it would be granted at once. */
  lapsesAt: instant.nullable(),
  /** How long such requests waited for a decision; null: there are too few to say. */
  usualWait: z
    .object({
      medianSeconds: z.number().int(),
      /** Of so many that somebody decided. */
      decided: z.number().int(),
      /** So many more nobody decided in time. */
      lapsed: z.number().int(),
    })
    .nullable(),
  /** Who would have to look at it afterwards, and within which time; null: not by break-glass. */
  review: z.object({ groups: z.array(z.string()), withinSeconds: z.number().int() }).nullable(),
  /** The very same request that already waits. */
  waiting: z.string().nullable(),
  /** The statements that would make the database user, in order, with marks for what is secret or not known yet. */
  statements: z.array(z.string()),
  /** Why there are no statements to show, and perhaps would be no access; null: there are. */
  problem: z.string().nullable(),
});
export type RequestPreview = z.infer<typeof requestPreview>;
