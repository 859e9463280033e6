// A grant in words, for whoever has to judge it: how it came about, what became of it, and what it left behind. Every
// line is safe to print.

import type { GrantDetail, TraceView } from "@jitdb/shared/api/traces";
import { formatDuration } from "@jitdb/shared/duration";
import { calendarDay, clean, clockTime, line, relative } from "../text.ts";

export function describeGrant(detail: GrantDetail, now: number): string[] {
  const { grant, request, userName, sessions, obstacle } = detail;
  const asked = formatDuration(request.durationSeconds * 1000);
  const open = sessions.open === 0 ? "none open" : `${sessions.open} open`;
  return [
    line`${grant.id}: ${grant.person} on ${grant.database} (${grant.profile})`,
    fact(
      "asked",
      line`${moment(request.createdAt)} for ${asked}: ${request.reason || "no reason"}`,
    ),
    fact("device", clean(request.device.label)),
    ...request.approvals.given.map(({ person, at, comment }) =>
      fact("approved", line`by ${person} ${moment(at)}${comment === "" ? "" : `: ${comment}`}`),
    ),
    ...(request.approvals.given.length === 0 ? [fact("approved", "by the policy alone")] : []),
    fact("time", line`${moment(grant.startsAt)} to ${moment(grant.endsAt)}`),
    ...describeEnd(detail, now),
    ...describeReview(grant),
    fact("user", line`${userName}: ${grant.user}`),
    fact("sessions", `${sessions.total}, ${open}, ${counted(sessions.statements, "statement")}`),
    fact("records", line`jitdb audit --grant ${grant.id}`),
    ...(grant.userProblem === null ? [] : ["", clean(grant.userProblem)]),
    ...(obstacle === null ? [] : describeObstacle(obstacle)),
    "",
    ...describeTraces(detail),
  ];
}

function describeEnd({ grant }: GrantDetail, now: number): string[] {
  if (grant.endedAt === null) {
    return [];
  }
  const by = grant.endedBy === null ? "" : ` by ${grant.endedBy}`;
  const why = grant.endReason === null || grant.endReason === "" ? "" : `: ${grant.endReason}`;
  return [fact("ended", line`${relative(grant.endedAt, now)}, ${grant.end ?? ""}${by}${why}`)];
}

function describeReview({ review }: GrantDetail["grant"]): string[] {
  if (review === null) {
    return [];
  }
  const { groups, dueAt, signedBy, signedAt, comment } = review;
  const why = comment === null || comment === "" ? "" : `: ${comment}`;
  return [
    signedBy === null
      ? fact(
          "mark",
          line`break-glass; open until ${groups.join(" or ")} signs, due ${moment(dueAt)}`,
        )
      : fact("mark", line`break-glass; signed by ${signedBy} ${moment(signedAt ?? "")}${why}`),
  ];
}

/** A script is printed as it is, line by line: it is there to be run. */
function describeObstacle({ problem, sql }: NonNullable<GrantDetail["obstacle"]>): string[] {
  return [
    "What stands in the way:",
    ...problem.split("\n").map((text) => `  ${clean(text)}`),
    ...(sql === null ? [] : ["A superuser removes it with this script for psql:"]),
    ...(sql === null ? [] : sql.trimEnd().split("\n")).map((text) => `  ${clean(text)}`),
  ];
}

/** What the grant left behind, and whether somebody has signed it. */
export function describeTraces({ grant, comparison }: GrantDetail): string[] {
  const { traces, gaps } = comparison;
  return [
    heading(grant, comparison),
    ...gaps.map((gap) => line`  not compared: ${gap}`),
    ...traces.flatMap((trace, index) => ["", ...describeTrace(trace, index + 1, grant.id)]),
  ];
}

function heading(
  { id, traces: state }: GrantDetail["grant"],
  { traces, waitsFor, signedBy, signedAt, comment, canSign }: GrantDetail["comparison"],
): string {
  const found =
    traces.length === 0
      ? "Nothing is known to be left behind, but not all could be compared"
      : `Left behind: ${counted(traces.length, "trace")}`;
  switch (state) {
    case "none":
      return "Left behind: nothing.";
    case "unknown":
      return "Left behind: never compared; there is no snapshot of its beginning.";
    case "pending":
      return line`Left behind: not known yet. ${waitsFor ?? ""}`.trimEnd();
    case "open": {
      const next = canSign ? ` Sign with \`jitdb grants sign ${id}\`.` : "";
      return line`${found}; nobody has signed it.${next}`;
    }
    case "signed": {
      const why = comment === null || comment === "" ? "" : `: ${comment}`;
      return line`${found}; signed by ${signedBy ?? ""} ${moment(signedAt ?? "")}${why}`;
    }
  }
}

const risks = {
  acts: " (can act when others use it)",
  rights: " (gives rights)",
  data: "",
} as const satisfies Record<TraceView["risk"], string>;

function describeTrace(trace: TraceView, number: number, own: string): string[] {
  const { change, kind, identity, database, owner, detail, risk, look, undo } = trace;
  const where = database === null ? "" : ` in ${database}`;
  const whose = owner === null ? "" : `, of ${owner}`;
  const what = detail === "" ? "" : `, ${detail}`;
  return [
    line`${number}. ${change} ${kind} ${identity}${where}${whose}${what}${risks[risk]}`,
    ...describeMaker(trace, own).map((text) => `   ${text}`),
    ...(look === null ? [] : [line`   look: ${look};`]),
    ...(undo === null ? [] : [line`   undo: ${undo};`]),
  ];
}

function describeMaker({ maker, candidates }: TraceView, own: string): string[] {
  const others = candidates.filter(({ grant }) => grant !== maker.grant);
  const atTheTime = others.map(({ person, grant }) => line`${person} (${grant})`).join(", ");
  const grant = maker.grant === null || maker.grant === own ? "" : ` (${maker.grant})`;
  const when = maker.at === null ? "" : ` ${moment(maker.at)}`;
  const statement = maker.statement === null ? "" : `, statement ${maker.statement}${when}`;
  const text = maker.text === null ? [] : [clean(`  ${maker.text.replaceAll(/\s+/g, " ").trim()}`)];
  switch (maker.certainty) {
    case "owner":
      return [
        line`made by ${maker.person ?? "this grant"}: its user owned it${statement}`,
        ...text,
      ];
    case "statement":
      return maker.person === null
        ? ["a statement of another grant names it"]
        : [line`named by a statement of ${maker.person}${grant}${statement}`, ...text];
    case "none":
      return [
        "not by a statement of a grant on record",
        ...(atTheTime === "" ? [] : [`grants at the time: ${atTheTime}`]),
      ];
  }
}

function fact(name: string, text: string): string {
  return `  ${name.padEnd(8)}  ${text}`;
}

function moment(instant: string): string {
  return `${calendarDay(instant)} ${clockTime(instant)}`;
}

function counted(number: number, noun: string): string {
  return `${number === 0 ? "no" : number} ${noun}${number === 1 ? "" : "s"}`;
}
