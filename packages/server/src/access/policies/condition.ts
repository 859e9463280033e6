// A policy's `when:` in CEL (cel-spec): compiled and type-checked when the file is loaded, evaluated under a time bound.

import { Environment, EvaluationError, ParseError } from "@marcbachmann/cel-js";
import { countSteps, maxSteps } from "./cost.ts";
import { isTimeout, maxRuleMs, runBounded } from "./time-bound.ts";

/** What a condition may look at; the names are those that it uses. */
export interface ConditionFacts {
  /** Who asks; empty where a service does. */
  readonly person: string;
  /** The service that asks; empty where a person does. */
  readonly service: string;
  readonly groups: readonly string[];
  /** `id`: the thumbprint of its key. What a device calls itself is no fact. */
  readonly device: { readonly id: string; readonly confirmed: boolean };
  readonly database: { readonly name: string; readonly labels: Readonly<Record<string, string>> };
  readonly profile: string;
  /** How long is asked for, begun minutes counted whole. */
  readonly minutes: number;
  readonly reason: string;
  /** Epoch ms of the moment at which the grant would begin. */
  readonly start: number;
  readonly recent: RecentGrants;
}

/** What the person or service had before, on the database that is asked for and on all of them. */
export interface RecentGrants {
  readonly here: RecentSpans;
  readonly anywhere: RecentSpans;
}

/** In the last 24 hours, and in the last 7 days. */
interface RecentSpans {
  readonly day: RecentUse;
  readonly week: RecentUse;
}

export interface RecentUse {
  readonly grants: number;
  /** Of their time, begun minutes counted whole. */
  readonly minutes: number;
}

export const noRecentGrants: RecentGrants = {
  here: { day: { grants: 0, minutes: 0 }, week: { grants: 0, minutes: 0 } },
  anywhere: { day: { grants: 0, minutes: 0 }, week: { grants: 0, minutes: 0 } },
};

/** As messages list it. */
export const factNames =
  "person, service, groups, device.id, device.confirmed, database.name, database.labels, profile, minutes, reason, start, and recent.here or recent.anywhere with .day or .week and .grants or .minutes";

export type ConditionResult =
  | { readonly holds: boolean }
  /** It could not be evaluated; `failure` is a sentence that says why. */
  | { readonly failure: string };

export type Condition = (facts: ConditionFacts) => ConditionResult;

export type CompiledCondition =
  | { readonly ok: true; readonly condition: Condition }
  /** `offset`: where in the text, in UTF-16 units. */
  | { readonly ok: false; readonly problem: string; readonly offset: number };

const use = { grants: "int", minutes: "int" };
const spans = { day: use, week: use };

const environment = new Environment({
  limits: { maxAstNodes: 1000, maxDepth: 50, maxListElements: 1000, maxMapEntries: 1000 },
})
  .registerVariable("person", "string")
  .registerVariable("service", "string")
  .registerVariable("groups", "list<string>")
  .registerVariable("device", { schema: { id: "string", confirmed: "bool" } })
  .registerVariable("database", { schema: { name: "string", labels: "map<string, string>" } })
  .registerVariable("profile", "string")
  .registerVariable("minutes", "int")
  .registerVariable("reason", "string")
  .registerVariable("start", "google.protobuf.Timestamp")
  .registerVariable("recent", { schema: { here: spans, anywhere: spans } });

/** Compiles a condition, which has to be a bool. */
export function compileCondition(text: string): CompiledCondition {
  try {
    const program = environment.parse(text);
    const { valid, type, error } = program.check();
    if (!valid) {
      return { ok: false, problem: summaryOf(error), offset: error?.range?.start ?? 0 };
    }
    if (type !== "bool") {
      return { ok: false, problem: `is a ${type}, where true or false is wanted`, offset: 0 };
    }
    const { steps, offset } = countSteps(program.ast);
    if (steps > maxSteps) {
      const problem = `can take ${steps} steps, and ${maxSteps} are the most: loop over shorter lists`;
      return { ok: false, problem, offset };
    }
    return { ok: true, condition: (facts) => evaluate(program, facts) };
  } catch (error) {
    const offset = error instanceof ParseError ? (error.range?.start ?? 0) : 0;
    return { ok: false, problem: summaryOf(error), offset };
  }
}

function evaluate(program: (facts: object) => unknown, facts: ConditionFacts): ConditionResult {
  const values = {
    ...facts,
    groups: [...facts.groups],
    database: { name: facts.database.name, labels: new Map(Object.entries(facts.database.labels)) },
    minutes: BigInt(facts.minutes),
    start: new Date(facts.start),
    recent: {
      here: toSpans(facts.recent.here),
      anywhere: toSpans(facts.recent.anywhere),
    },
  };
  try {
    return { holds: runBounded(() => program(values)) === true };
  } catch (error) {
    return {
      failure: isTimeout(error) ? `took more than ${maxRuleMs} ms` : summaryOf(error),
    };
  }
}

/** CEL's int is a bigint. */
function toSpans({ day, week }: RecentSpans): object {
  const toUse = ({ grants, minutes }: RecentUse) => ({
    grants: BigInt(grants),
    minutes: BigInt(minutes),
  });
  return { day: toUse(day), week: toUse(week) };
}

function summaryOf(error: unknown): string {
  const known = error instanceof ParseError || error instanceof EvaluationError;
  if (known || (error instanceof Error && "summary" in error)) {
    return String(error.summary);
  }
  return error instanceof Error ? error.message : String(error);
}
