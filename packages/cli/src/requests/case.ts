// A request as somebody sees it who has to decide on it: who, what, why, what the person had before, and what is unusual.

import type { RequestBackground, RequestView, StatementKinds } from "@jitdb/shared/api/access";
import { formatDuration } from "@jitdb/shared/duration";
import type { Terminal } from "../terminal.ts";
import { clean, line, relative, wrapFact } from "../text.ts";

type Fact = readonly [label: string, text: string];

/** What is decided on, so that an approver sees it even when the id came by chat. */
export function sayWhatIsAsked(terminal: Terminal, request: RequestView, now: number): void {
  const { person, database, profile, device, reason, leavesTraces } = request;
  const duration = formatDuration(request.durationSeconds * 1000);
  const more = request.extendsGrant === null ? "" : " more";
  terminal.say(line`${person} asks for ${database} (${profile}) for ${duration}${more}.`);
  const begins = request.extendsGrant === null ? request.startsAt : null;
  sayFacts(terminal, [
    ...(begins === null ? [] : [["begins", `${relative(begins, now)} (${begins})`] as const]),
    ["reason", reason === "" ? "none given" : reason],
    [
      "device",
      `${device.label}${device.confirmed ? "" : ", never confirmed before: an approval confirms it"}`,
    ],
    // So that an approver knows that there may be something to sign afterwards.
    ...(leavesTraces.length === 0
      ? []
      : [
          [
            "traces",
            `this profile can leave some; a grant ${leavesTraces.join(", and ")}`,
          ] as const,
        ]),
    ...describeApprovals(request),
  ]);
}

/** What the profile allows, what the person had before, and what is not as usual. */
export function sayBackground(
  terminal: Terminal,
  request: RequestView,
  { privileges, lastGrants, unusual }: RequestBackground,
  now: number,
): void {
  // Others than deciders are not told.
  const isKnown = request.canDecide || lastGrants.length > 0;
  sayFacts(terminal, [
    ...(privileges === "" ? [] : [["may", privileges] as const]),
    ...lastGrants.map((grant) => ["before", describePast(grant, now)] as const),
    ...(isKnown && lastGrants.length === 0 ? [["before", "no grant at all"] as const] : []),
  ]);
  if (unusual.length > 0) {
    const { yellow } = terminal.style;
    const text = unusual.map((one) => sayUnusual(one, request)).join("; ");
    sayFacts(terminal, [["unusual", text]], yellow);
  }
}

/** All of it, and until when it waits. */
export function sayCase(
  terminal: Terminal,
  request: RequestView,
  background: RequestBackground,
  now: number,
): void {
  sayWhatIsAsked(terminal, request, now);
  sayBackground(terminal, request, background, now);
  sayFacts(terminal, [["lapses", relative(request.lapsesAt, now)]]);
}

function sayFacts(
  terminal: Terminal,
  facts: readonly Fact[],
  style: (text: string) => string = (text) => text,
): void {
  const { talkColumns } = terminal;
  for (const [label, text] of facts) {
    const lines =
      talkColumns === undefined ? [`${label}: ${clean(text)}`] : wrapFact(label, text, talkColumns);
    for (const each of lines) {
      terminal.say(style(each));
    }
  }
}

/** Of one that several have to approve: who has, and who is still missing. */
function describeApprovals({ approvals }: RequestView): Fact[] {
  const { needed, given, stages } = approvals;
  if (needed < 2 && given.length === 0) {
    return [];
  }
  const missing = stages
    .filter((stage) => stage.missing > 0)
    .map(
      ({ missing: count, groups, name }) =>
        `${count} of ${groups.join(" or ")}${name === null ? "" : ` (${name})`}`,
    );
  return [
    ...given.map(
      ({ person, comment }): Fact => [
        "approved",
        `by ${person}${comment === "" ? "" : `: ${comment}`}`,
      ],
    ),
    ...(missing.length === 0 ? [] : [["needs", missing.join(", then ")] as const]),
  ];
}

function describePast(grant: RequestBackground["lastGrants"][number], now: number): string {
  const had = `${grant.database} (${grant.profile}) for ${formatDuration(grant.durationSeconds * 1000)}`;
  const kinds = grant.kinds === null ? "" : describeKinds(grant.kinds);
  // A session's own number is known when it is closed; what is on record is known at once.
  const counted = Object.values(grant.kinds ?? {}).reduce((sum, count) => sum + count, 0);
  const statements = count(Math.max(grant.statements, counted), "statement");
  const ran = `${statements} in ${count(grant.sessions, "session")}`;
  return `${had}, ${relative(grant.startsAt, now)}; ${ran}${kinds === "" ? "" : `: ${kinds}`}`;
}

/** `10 reads, 3 writes, 1 schema change`; of a long grant its newest thousand. */
function describeKinds({ reads, writes, schema, others, failed }: StatementKinds): string {
  return [
    [reads, count(reads, "read")] as const,
    [writes, count(writes, "write")] as const,
    [schema, count(schema, "schema change")] as const,
    [others, `${others} other`] as const,
    [failed, `${failed} failed`] as const,
  ]
    .filter(([number]) => number > 0)
    .map(([, text]) => text)
    .join(", ");
}

function sayUnusual(
  unusual: RequestBackground["unusual"][number],
  { person, database, profile }: RequestView,
): string {
  switch (unusual) {
    case "first_database":
      return `${person}'s first use of ${database}`;
    case "first_profile":
      return `${person}'s first use of ${profile} on ${database}`;
    case "hour":
      return `at an hour at which ${person} had no access before`;
    case "length":
      return `longer than nine in ten of ${person}'s grants`;
  }
}

function count(number: number, what: string): string {
  return `${number} ${what}${number === 1 ? "" : "s"}`;
}
