// What grants left behind, and signing it: somebody who could have approved the grant, and is not its person, says that
// they have looked (invariant 33). Nothing makes a comparison open again.

import { JitdbError } from "@jitdb/shared/errors";
import type { GrantId } from "@jitdb/shared/ids";
import type { Caller } from "../../identity/caller.ts";
import type { ComparisonState } from "../../store/tables.ts";
import type { Change } from "../change.ts";
import { approverGroups, glassMark } from "../requests/row.ts";
import { refuseUnconfirmed, type Standing, standingOf } from "../standing.ts";

export type ComparisonInput = "find_nothing" | "find" | "sign";

/** A missing cell: there is nothing to compare or to sign. */
export const comparisonTable = {
  taken: { find_nothing: "clean", find: "open" },
  clean: {},
  open: { sign: "signed" },
  signed: {},
} as const satisfies Record<ComparisonState, Partial<Record<ComparisonInput, ComparisonState>>>;

export interface Signature {
  /** Of what the person was shown. */
  readonly digest: string;
  readonly comment: string;
}

/** Who may sign what a grant left: those who decide on its request, and administrators; on their own grants nobody. */
export function maySign(
  { groups, administrator }: Pick<Standing, "groups" | "administrator">,
  personId: string,
  grant: { readonly person_id: string; readonly approver_groups: string },
): boolean {
  const decides = approverGroups(grant).some((group) => groups.includes(group));
  return grant.person_id !== personId && (administrator || decides);
}

/**
 * Signs what a grant left behind.
 * @throws JitdbError `grant.unknown` for one that the caller may not see, `access.own_request`, `device.unconfirmed`,
 * `traces.not_open` when there is nothing to sign (yet, or any more), or other things than the person was shown
 */
export async function signTraces(
  change: Change,
  caller: Caller,
  id: string,
  { digest, comment }: Signature,
): Promise<void> {
  const { tx, now, record, hint } = change;
  const standing = await standingOf(tx, caller);
  const grant = await selectForSigning(change, id);
  // SECURITY: by person, not by device or login: who left it does not declare it harmless.
  if (grant?.person_id === caller.personId) {
    throw new JitdbError("access.own_request", `The grant ${id} is your own.`, {
      hint: "Somebody else has to look at what it left, and sign it.",
    });
  }
  if (grant === undefined || !maySign(standing, caller.personId, grant)) {
    throw new JitdbError("grant.unknown", `There is no grant ${id} that you may sign.`);
  }
  refuseUnconfirmed(standing, caller);
  const state = grant.state ?? "taken";
  const cells: Partial<Record<ComparisonInput, ComparisonState>> = comparisonTable[state];
  if (cells.sign === undefined) {
    throw notOpen(id, state, grant.signer);
  }
  const signed = await tx
    .updateTable("comparisons")
    .set({
      state: cells.sign,
      signed_by: caller.personId,
      signed_at: now,
      signed_comment: comment,
    })
    .where("grant_id", "=", grant.id)
    .where("state", "=", state)
    .where("digest", "=", digest)
    .returning("traces")
    .executeTakeFirst();
  if (signed === undefined) {
    throw new JitdbError("traces.not_open", `What ${id} left is not what you were shown.`);
  }
  await record({
    kind: "traces.signed",
    person: grant.person_name,
    device: grant.device_id,
    database: grant.database_name,
    grant: grant.id,
    ...glassMark(grant),
    address: caller.address,
    by: caller.name,
    traces: (JSON.parse(signed.traces) as unknown[]).length,
    digest,
    comment,
  });
  hint("grant", grant.id);
}

async function selectForSigning({ tx }: Change, id: string) {
  return await tx
    .selectFrom("grants")
    .innerJoin("requests", "requests.id", "grants.request_id")
    .innerJoin("people", "people.id", "grants.person_id")
    .leftJoin("comparisons", "comparisons.grant_id", "grants.id")
    .leftJoin("people as signers", "signers.id", "comparisons.signed_by")
    .select([
      "grants.id",
      "grants.person_id",
      "grants.device_id",
      "grants.database_name",
      "requests.approver_groups",
      "requests.break_glass",
      "people.name as person_name",
      "comparisons.state",
      "signers.name as signer",
    ])
    .where("grants.id", "=", id as GrantId)
    .executeTakeFirst();
}

function notOpen(id: string, state: ComparisonState, signer: string | null): JitdbError {
  const words = {
    taken: `What ${id} left is not known yet.`,
    clean: `${id} left nothing behind: there is nothing to sign.`,
    open: `What ${id} left is open.`,
    signed: `What ${id} left was signed by ${signer ?? "somebody"} already.`,
  } as const;
  return new JitdbError("traces.not_open", words[state], {
    hint: `See it with \`jitdb grants show ${id}\`.`,
  });
}
