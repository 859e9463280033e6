// Requests to try conditions with: what nobody can prove of an expression may still be seen. Made of the texts and numbers
// that stand in the conditions, in every run the same. Pure.

import type { Policy } from "../../../config/config.ts";
import type { Asker, PolicyQuestion, PolicyTarget } from "../../policy.ts";
import type { RecentGrants, RecentUse } from "../condition.ts";

const minuteMs = 60_000;
const hourMs = 60 * minuteMs;
const monday = Date.UTC(2026, 10, 23);

/** What conditions may tell apart. */
export interface Palette {
  readonly texts: readonly string[];
  readonly numbers: readonly number[];
  readonly minutes: readonly number[];
  readonly starts: readonly number[];
}

/** Collects what stands in the conditions of policies. */
export function paletteOf(policies: readonly Policy[]): Palette {
  const conditions = policies.flatMap(({ when }) => when ?? []);
  const texts = conditions.flatMap(textsIn);
  const numbers = conditions.flatMap((text) => (text.match(/\b\d{1,6}\b/g) ?? []).map(Number));
  const near = [...new Set([0, ...numbers.flatMap((number) => [number - 1, number, number + 1])])];
  const longest = policies.map(({ maxDurationMs }) => Math.floor(maxDurationMs / minuteMs));
  const moments = texts.map((text) => Date.parse(text)).filter((at) => !Number.isNaN(at));
  return {
    texts: [...new Set(texts)],
    numbers: near.filter((number) => number >= 0),
    minutes: [...new Set([1, 30, ...near, ...longest])].filter((minutes) => minutes > 0),
    starts: [
      // Every sixth hour of a week, and a minute before and after the moments that are named.
      ...Array.from({ length: 28 }, (_, index) => monday + index * 6 * hourMs),
      ...moments.flatMap((at) => [at - minuteMs, at + minuteMs]),
    ],
  };
}

/** String literals, and what a pattern such as `^INC-[0-9]+$` would match. */
function textsIn(condition: string): string[] {
  return Array.from(
    condition.matchAll(/"([^"]*)"|'([^']*)'/g),
    ([, one, other]) => one ?? other ?? "",
  ).flatMap((text) => [
    text,
    text.replaceAll(/[$^]|\\b/g, "").replaceAll(/\[[^\]]*\][+*]?|\\[dw][+*]?|\.[+*]/g, "1"),
  ]);
}

/**
 * As many requests as are wanted: the first is plain, the others are put together by chance that is none.
 * @param moreGroups whether a member of a group may be in further ones that the conditions name
 */
export function sampleRequests(
  palette: Palette,
  asker: Asker,
  database: PolicyTarget,
  profile: string,
  { count, moreGroups }: { readonly count: number; readonly moreGroups: boolean },
): PolicyQuestion[] {
  const plain = plainRequest(asker, database, profile);
  const pick = picker();
  const isMember = asker.person === "";
  const others = Array.from({ length: count - 1 }, (): PolicyQuestion => {
    const text = pick(["", ...palette.texts]);
    const more =
      moreGroups && isMember ? [pick(["", ...palette.texts]), pick(["", ...palette.texts])] : [];
    const recent = (): RecentUse => ({
      grants: pick(palette.numbers),
      minutes: pick(palette.numbers),
    });
    const spans = () => ({ day: recent(), week: recent() });
    return {
      ...plain,
      person: isMember && moreGroups ? pick(["somebody", ...palette.texts]) : plain.person,
      groups: [...asker.groups, ...more.filter((group) => group !== "")],
      durationMs: pick(palette.minutes) * minuteMs,
      reason: pick(["", "because", text, `${text} because`, `because of ${text}`]),
      start: pick(palette.starts),
      deviceConfirmed: pick([true, false]),
      deviceId: pick(["", ...palette.texts]),
      recent: { here: spans(), anywhere: spans() } satisfies RecentGrants,
    };
  });
  return [plain, ...others];
}

export function plainRequest(
  asker: Asker,
  database: PolicyTarget,
  profile: string,
): PolicyQuestion {
  const person = asker.person === "" ? "somebody" : asker.person;
  const start = monday + 10 * hourMs;
  const rest = { durationMs: 30 * minuteMs, reason: "because", start, deviceConfirmed: true };
  return { ...asker, person, database, profile, ...rest };
}

/** A linear congruential generator (Numerical Recipes' constants): the same samples in each run of `check`. */
function picker(): <T>(from: readonly [T, ...T[]] | readonly T[]) => T {
  let state = 1;
  return <T>(from: readonly T[]): T => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    const picked = from[Math.floor((state / 2 ** 32) * from.length)];
    return picked as T;
  };
}
