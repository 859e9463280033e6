// Which request or grant a person means: by id, by its beginning, by database, or by asking.

import type { GrantView, RequestView } from "@jitdb/shared/api/access";
import { formatDuration } from "@jitdb/shared/duration";
import { JitdbError } from "@jitdb/shared/errors";
import { nearest } from "@jitdb/shared/nearest";
import type { Api } from "./api.ts";
import type { Context } from "./context.ts";
import { clean, line, relative, truncate } from "./text.ts";

/** Enough for any list that a person chooses from. */
const allOfThem = 500;

/**
 * The id that `given` means among `ids`: itself, or what it is the beginning of; the prefix (`req_`) may be left out.
 * What matches nothing comes back with its prefix, for the server to refuse.
 * @throws JitdbError `usage.ambiguous`
 */
export function resolveId(given: string, prefix: string, ids: readonly string[]): string {
  const lower = given.trim().toLowerCase();
  const wanted = lower.startsWith(prefix) ? lower : `${prefix}${lower}`;
  const matches = ids.includes(wanted) ? [wanted] : ids.filter((id) => id.startsWith(wanted));
  if (matches.length > 1) {
    throw new JitdbError(
      "usage.ambiguous",
      `"${clean(given)}" may mean ${matches.slice(0, 5).join(", ")}.`,
      { hint: "Write more of the id." },
    );
  }
  return matches[0] ?? wanted;
}

/**
 * The request to decide on. Without an id the person is asked, where there is one to ask.
 * @throws JitdbError `usage.invalid` without id and terminal, `request.unknown`, `usage.ambiguous`
 */
export async function pickRequest(
  context: Context,
  id: string | undefined,
  { scope, verb }: { readonly scope: "inbox" | "mine"; readonly verb: string },
): Promise<RequestView> {
  const { terminal } = context;
  if (id === undefined && !terminal.interactive) {
    throw new JitdbError("usage.invalid", `Which request? \`jitdb ${verb}\` needs its id here.`, {
      hint: `Write \`jitdb ${verb} <id>\`; \`jitdb requests${scope === "inbox" ? " --inbox" : ""}\` lists them.`,
    });
  }
  const api = await context.api();
  const { requests } = await api.requests({ scope, state: "pending", limit: allOfThem });
  if (id !== undefined) {
    const resolved = resolveId(
      id,
      "req_",
      requests.map((request) => request.id),
    );
    return requests.find((request) => request.id === resolved) ?? (await api.request(resolved));
  }
  if (requests.length === 0) {
    throw new JitdbError("request.unknown", "No request is waiting.", {
      hint: "See the others with `jitdb requests --all`.",
    });
  }
  const now = context.clock.now();
  const chosen = await (await terminal.prompts()).select(
    `Which request do you want to ${verb}?`,
    requests.map((request) => ({
      value: request.id,
      label: truncate(describeRequest(request, now), (terminal.talkColumns ?? 80) - markCells),
    })),
  );
  return requests.find((request) => request.id === chosen) ?? (await api.request(chosen));
}

/** What stands before a choice, and a rest. */
const markCells = 4;

/** SECURITY: on one line, which is cut: a reason that goes on in the next one would look like a choice of its own. */
function describeRequest(request: RequestView, now: number): string {
  const { id, person, database, profile, durationSeconds, reason, createdAt } = request;
  const duration = formatDuration(durationSeconds * 1000);
  return line`${id}  ${person}: ${database} (${profile}) for ${duration}, asked ${relative(createdAt, now)}  ${reason.replaceAll(/\s+/g, " ")}`.trimEnd();
}

/**
 * The live grant to use: the only one of the caller's, the only one on `database` (which may also be the grant's id or its
 * beginning), or the one that the person chooses. By its whole id also one that has ended: its state says so.
 * @throws JitdbError `grant.none`, `grant.unknown`; `usage.ambiguous` where several are live and nobody can be asked.
 */
export async function pickGrant(context: Context, database?: string): Promise<GrantView> {
  const api = await context.api();
  const { grants } = await api.grants({ scope: "mine", state: "active", limit: allOfThem });
  const matching = database === undefined ? grants : matchGrants(grants, database);
  if (matching.length === 0) {
    if (database?.startsWith("grt_")) {
      return await endedGrant(api, database);
    }
    throw noGrant(database, grants);
  }
  return await chooseGrant(context, matching, "Which grant?");
}

async function endedGrant(api: Pick<Api, "grant">, id: string): Promise<GrantView> {
  const grant = await api.grant(id);
  if (grant.state === "active") {
    throw new JitdbError("grant.unknown", line`The grant ${id} is ${grant.person}'s, not yours.`);
  }
  return grant;
}

/** The only grant of the list, or the one that the person chooses. @throws JitdbError `usage.ambiguous` */
export async function chooseGrant(
  context: Context,
  grants: readonly GrantView[],
  question: string,
): Promise<GrantView> {
  const [first, ...others] = grants;
  if (first !== undefined && others.length === 0) {
    return first;
  }
  if (!context.terminal.interactive) {
    const names = grants
      .slice(0, 5)
      .map((each) => line`${each.id} (${each.database}, ${each.profile})`);
    throw new JitdbError("usage.ambiguous", `Several grants are live: ${names.join(", ")}.`, {
      hint: grants.every(({ database }) => database === first?.database)
        ? "Name the id of the one you mean."
        : "Name the database or the grant's id.",
    });
  }
  const now = context.clock.now();
  const chosen = await (await context.terminal.prompts()).select(
    question,
    grants.map((each) => ({
      value: each.id,
      label: line`${each.id}  ${each.person}: ${each.database} (${each.profile}), ${describeTime(each, now)}`,
    })),
  );
  return grants.find((each) => each.id === chosen) ?? (await (await context.api()).grant(chosen));
}

function describeTime({ endsAt, endedAt, end }: GrantView, now: number): string {
  return endedAt === null
    ? `ends ${relative(endsAt, now)}`
    : `${end ?? "ended"} ${relative(endedAt, now)}`;
}

/** Grants on the database of that name, else those whose id begins so. */
export function matchGrants(grants: readonly GrantView[], given: string): GrantView[] {
  const onDatabase = grants.filter((grant) => grant.database === given);
  if (onDatabase.length > 0) {
    return onDatabase;
  }
  const lower = given.toLowerCase();
  const wanted = lower.startsWith("grt_") ? lower : `grt_${lower}`;
  return grants.filter((grant) => grant.id.startsWith(wanted));
}

function noGrant(database: string | undefined, grants: readonly GrantView[]): JitdbError {
  if (database === undefined) {
    return new JitdbError("grant.none", "You have no live grant.");
  }
  const live = [...new Set(grants.map((each) => each.database))];
  const others = live.length === 0 ? "" : ` Live are: ${live.join(", ")}.`;
  const meant = nearest(database, live);
  const ask = `\`jitdb request ${clean(database)} --for 30m\``;
  return new JitdbError("grant.none", `You have no live grant for ${clean(database)}.${others}`, {
    hint:
      meant === undefined
        ? `Ask for access with ${ask}.`
        : `Did you mean ${meant}? If not, ask for access with ${ask}.`,
  });
}
