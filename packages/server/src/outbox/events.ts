// Which records of the audit the outside may hear of, and in what form. Knows no receiver.

import type { AuditEvent, AuditKind } from "../audit/record.ts";

/** Types of events; each is the audit's kind of the same name. */
const eventTypes = [
  "request.created",
  "request.approved",
  "request.granted",
  "request.denied",
  "request.withdrawn",
  "request.lapsed",
  "grant.started",
  "grant.extended",
  "grant.ended",
  "review.opened",
  "review.signed",
  "traces.found",
  "traces.signed",
  "device.seen",
  "device.confirmed",
  "device.revoked",
  "session.opened",
  "session.closed",
] as const satisfies readonly AuditKind[];

const types: ReadonlySet<string> = new Set(eventTypes);

/** Whether a text is an event's type, or a family such as `grant.*`. */
export function isEventFilter(text: string): boolean {
  return types.has(text) || eventTypes.some((type) => text === `${familyOf(type)}.*`);
}

/** Whether somebody who named these filters wants an event; who named none wants all, but for those of sessions, which are many. */
export function isWanted(type: string, filters: readonly string[] | undefined): boolean {
  const family = familyOf(type);
  return (
    types.has(type) &&
    (filters === undefined
      ? family !== "session"
      : filters.includes(type) || filters.includes(`${family}.*`))
  );
}

/** The body of a message, as Standard Webhooks has it: `type`, `timestamp`, `data`. Made once: every attempt sends the same bytes. */
export function toBody(
  { kind, outbox: _, occurredAt: __, ...data }: AuditEvent,
  at: number,
): string {
  return JSON.stringify({ type: kind, timestamp: new Date(at).toISOString(), data });
}

function familyOf(type: string): string {
  return type.slice(0, type.indexOf("."));
}
