// What records say, in the words of an auditor, a line each. Values are those of others: whoever prints them cleans them.

import type { AuditRecordView } from "@jitdb/shared/api/audit";
import { formatDuration } from "@jitdb/shared/duration";
import { clockTime } from "../text.ts";
import { numberOf, textOf, textsOf } from "./record.ts";
import { showTime } from "./statement.ts";

/** One record in words; statements excepted, which `describeStatement` tells. Of a kind that is not known: its fields. */
export function describeEvent(record: AuditRecordView): string {
  return words[record.kind]?.(new Fields(record)) ?? `${record.kind} ${listFields(record)}`.trim();
}

/** In a column of their own. */
const columns = new Set(["seq", "at", "kind", "person", "database", "breakGlass"]);
/** Of use to the journal and to programs, not to readers. */
const bookKeeping = new Set([
  ...["prev", "outbox", "occurredAt", "device", "digest", "masked", "recentOutbox"],
]);

/** `name=value …` of what no column shows; book-keeping and hashes only with `full`. */
export function listFields(record: AuditRecordView, { full = false } = {}): string {
  return fieldsOf(record)
    .filter(([name]) => !columns.has(name) && (full || !bookKeeping.has(name)))
    .map(([name, value]) => `${name}=${value}`)
    .join(" ");
}

/** All fields that hold something, as text. */
export function fieldsOf(record: AuditRecordView): [string, string][] {
  return Object.entries(record)
    .filter(([, value]) => value !== undefined && value !== null && value !== "")
    .map(([name, value]) => [name, typeof value === "string" ? value : JSON.stringify(value)]);
}

/** The fields of one record, put as parts of a sentence that are empty where the field is missing. */
class Fields {
  readonly #record: AuditRecordView;

  constructor(record: AuditRecordView) {
    this.#record = record;
  }

  text(name: string): string {
    return textOf(this.#record, name);
  }

  number(name: string): number {
    return numberOf(this.#record, name) ?? 0;
  }

  is(name: string): boolean {
    return this.#record[name] === true;
  }

  list(name: string, separator = ", "): string {
    return textsOf(this.#record, name).join(separator);
  }

  /** ` before value`. */
  with(before: string, name: string): string {
    const value = this.text(name);
    return value === "" ? "" : ` ${before} ${value}`;
  }

  /** `: value`. */
  why(name = "reason"): string {
    const value = this.text(name);
    return value === "" ? "" : `: ${value}`;
  }

  /** ` for 30m`. */
  get duration(): string {
    const ms = this.number("durationMs");
    return ms > 0 ? ` for ${formatDuration(ms)}` : "";
  }

  /** `; transactions may finish until 12:30`, of a soft end. */
  until(name: string): string {
    const until = this.text(name);
    return until === "" ? "" : `; transactions may finish until ${clockTime(until)}`;
  }

  /** `, 3.0 s late`, where it is worth a word. */
  get lateness(): string {
    const ms = this.number("latenessMs");
    return ms > 1000 ? `, ${showTime(ms)} late` : "";
  }
}

const sessionEnds: Readonly<Record<string, string>> = {
  client_closed: " by the client",
  database_closed: " by the database",
  expired: ": the time was over",
  drained: ": the time was over, and its transaction finished",
  revoked: ": the grant was revoked",
  person_disabled: ": the login or the account was ended",
  tunnel_lost: ": the connection to the agent was lost",
  protocol: ": somebody broke the protocol",
  audit_unavailable: ": the audit could not be written",
  server_stopped: ": the server stopped",
  failed: ": it failed",
};

const words: Readonly<Record<string, (fields: Fields) => string>> = {
  "server.started": (r) => `server ${r.text("version")} started${r.with("at", "host")}`,
  "server.stopped": (r) => `server stopped${r.why()}`,
  "config.loaded": (r) => `configuration loaded${r.with("from", "file")}`,
  "config.reloaded": (r) =>
    `configuration reloaded${r.with("from", "file")}; waits for a restart: ${r.list("restart") || "nothing"}`,
  "config.refused": (r) =>
    `configuration not reloaded${r.with("from", "file")}, the rules of before stay: ${r.list("found")}`,
  "store.opened": () => "store opened",
  "journal.segment": () => "a new file of the journal begins",
  "journal.recovered": (r) =>
    `${r.number("bytes")} bytes of a write that a crash cut off were removed from the journal`,

  "person.added": (r) => `account made${r.with("by", "by")}, groups: ${r.list("groups") || "none"}`,
  "person.disabled": (r) => `account disabled${r.with("by", "by")}`,
  "person.enabled": (r) => `account enabled${r.with("by", "by")}`,
  "person.groups_changed": (r) =>
    `groups set${r.with("by", "by")} to ${r.list("groups") || "none"}`,
  "setup.created": (r) => `set-up link made${r.with("by", "by")}`,
  "setup.used": (r) => `password chosen with a set-up link${r.with("from", "address")}`,

  "login.succeeded": (r) => `logged in${r.with("by", "method")}${r.with("from", "address")}`,
  "login.failed": (r) =>
    `login failed${r.with("as", "name")}${r.with("from", "address")}${r.why()}`,
  "login.denied": (r) => `login turned away${r.with("from", "address")}${r.why()}`,
  "login.logged_out": (r) => `logged out${r.with("from", "address")}`,
  "login.reuse_detected": (r) =>
    `login ended: its refresh token came a second time${r.with("from", "address")}`,
  "device.seen": (r) => `new device${r.why("label")}`,
  "device.confirmed": (r) => `device confirmed${r.with("by", "by")}${r.why("how")}`,
  "device.revoked": (r) => `device revoked${r.with("by", "by")}`,
  "device.refused": (r) => `may not ${r.text("action") || "change"} a device${r.why()}`,

  "request.created": (r) =>
    `asked for ${r.text("profile")}${r.duration}${r.why()} (${r.text("request")})`,
  "request.refused": (r) =>
    r.text("action") === ""
      ? `${r.is("dryRun") ? "tried to ask" : "asked"} for ${r.text("profile") || "access"}${r.duration} and was refused${r.why()}`
      : `may not ${r.text("action")} ${r.text("request") || r.text("grant")}${r.why()}`,
  "request.approved": (r) =>
    `${r.text("request")} approved${r.duration}${r.with("by", "by")}${r.why("comment")}`,
  "request.granted": (r) => `${r.text("request")} granted${r.with("under policy", "policy")}`,
  "request.denied": (r) => `${r.text("request")} denied${r.with("by", "by")}${r.why()}`,
  "request.withdrawn": (r) => `${r.text("request")} withdrawn`,
  "request.lapsed": (r) => `${r.text("request")} lapsed: nobody decided in time`,

  "grant.started": (r) =>
    `got ${r.text("profile")} until ${clockTime(r.text("endsAt"))} (${r.text("grant")})`,
  "grant.ended": (r) =>
    r.text("end") === "revoked"
      ? `${r.text("grant")} revoked${r.with("by", "by")}${r.why()}${r.lateness}`
      : `${r.text("grant")} ended: its time was over${r.lateness}${r.until("drainingUntil")}`,

  "user.planned": (r) => `database user ${r.text("user")} planned`,
  "user.created": (r) => `database user ${r.text("user")} made`,
  "user.password_renewed": (r) =>
    `database user ${r.text("user")} had set its own password: it gets another`,
  "user.extended": (r) =>
    `database user ${r.text("user")} is good until ${clockTime(r.text("validUntil"))}`,
  "user.draining": (r) => `database user ${r.text("user")} logs in no more${r.until("until")}`,
  "user.locked": (r) => `database user ${r.text("user")} locked out${r.lateness}`,
  "user.terminated": (r) => `${r.number("backends")} sessions of ${r.text("user")} terminated`,
  "user.cleaned": (r) => `cleaned up after ${r.text("user")}: ${r.list("steps", "; ")}`,
  "user.dropped": (r) => `database user ${r.text("user")} gone${r.lateness}`,
  "user.quarantined": (r) => `database user ${r.text("user")} can't be removed${r.why("error")}`,
  "user.stranger_terminated": (r) =>
    `a login as ${r.text("user")} past the gateway terminated${r.with("from", "clientAddress")}`,

  "traces.none": (r) => `${r.text("grant")} left nothing behind`,
  "traces.found": (r) =>
    `${r.text("grant")} left ${r.number("traces")} traces: ${r.list("found", "; ") || r.list("gaps", " ")}`,
  "traces.signed": (r) =>
    `what ${r.text("grant")} left was signed${r.with("by", "by")}${r.why("comment")}`,

  "tunnel.opened": (r) => `agent connected${r.with("from", "address")}`,
  "tunnel.parked": (r) => `agent's connection lost, sessions wait${r.why()}`,
  "tunnel.resumed": (r) => `agent is back${r.with("from", "address")}`,
  "tunnel.resume_refused": (r) => `agent could not resume${r.why()}`,
  "tunnel.closed": (r) => `agent disconnected${r.why()}`,
  "tunnel.refused": (r) => `agent refused${r.with("from", "address")}${r.why()}`,

  "session.opened": (r) =>
    `session opened${r.with("with", "application")}${r.with("from", "address")} (${r.text("session")})`,
  "session.draining": (r) => `the time is over${r.until("until")} (${r.text("session")})`,
  "session.refused": (r) => `session refused${r.why()}`,
  "session.closed": (r) => {
    const end = sessionEnds[r.text("end")] ?? r.why("end");
    const count = r.number("statements");
    const statements = count === 1 ? "1 statement" : `${count} statements`;
    return `session closed${end}, ${statements}, ${showTime(r.number("durationMs"))} (${r.text("session")})`;
  },
  "session.cancel": (r) =>
    r.text("reason") === "" ? "cancelled what was running" : `could not cancel${r.why()}`,
};
