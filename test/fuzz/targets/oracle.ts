// What records must say of what a model of the server ran.

import type {
  AuditEvent,
  AuditKind,
  EventOf,
  RecordedText,
} from "../../../packages/server/src/audit/record.ts";
import type { Ran, ServerModel } from "../server-model.ts";
import { holds, same } from "../target.ts";

export type Records = readonly AuditEvent[];
type Recorded = RecordedText["text"] | undefined;

function of<Kind extends AuditKind>(records: Records, kind: Kind): EventOf<Kind>[] {
  return records.filter((event): event is EventOf<Kind> & AuditEvent => event.kind === kind);
}

/**
 * SECURITY: the heart of it. What the model has begun to run must be on record by now.
 * @param answers `late`: bytes may be on their way to the model; `lying`: besides, something else has answered in its place
 */
export function checkRecorded(
  records: Records,
  model: ServerModel,
  answers: "prompt" | "late" | "lying",
): void {
  const { ran, isOver } = model;
  const intents = of(records, "statement.intent");
  // A server that has given up looks at nothing more.
  holds(
    intents.length === ran.length ||
      ((isOver || answers !== "prompt") && intents.length > ran.length),
    "There is not one intent for each statement",
    intents.length,
    ran.length,
  );
  const intent = intents.at(-1);
  for (const [index, { kind, text }] of ran.entries()) {
    same(intents[index]?.protocol, kind, "An intent is of another kind");
    if (text !== undefined && kind !== "function" && answers !== "lying") {
      holds(
        textsOf(records, index).includes(text),
        "A text ran that no intent names",
        text,
        intent,
      );
    }
  }
}

/** All that an intent says may run; null for what was made by SQL. */
function textsOf(records: Records, index: number): (string | null | undefined)[] {
  const intent = of(records, "statement.intent")[index];
  if (intent?.protocol === "query") {
    return [textOf(records, intent.statement, intent.text)];
  }
  const candidates = intent?.protocol === "execute" ? intent.candidates : [];
  return candidates.map(({ parse, text }) =>
    parse === null ? null : (latin1(text) ?? textOfParse(records, parse)),
  );
}

function textOfParse(records: Records, id: string): string | undefined {
  const parse = of(records, "statement.parse").find(({ statement }) => statement === id);
  const candidates = of(records, "statement.intent").flatMap((intent) =>
    intent.protocol === "execute" ? intent.candidates : [],
  );
  return (
    textOf(records, id, parse?.text) ?? latin1(candidates.find((one) => one.parse === id)?.text)
  );
}

export function checkOutcomes(records: Records, ran: readonly Ran[]): void {
  const outcomes = of(records, "statement.outcome");
  for (const [index, intent] of of(records, "statement.intent").entries()) {
    const own = outcomes.filter(({ statement }) => statement === intent.statement);
    const last = own.at(-1);
    const expected = ran[index];
    holds(last !== undefined, "A statement has no outcome", intent);
    if (last === undefined || expected === undefined) {
      continue;
    }
    same(last.result, expected.result, "An outcome differs from the model's");
    if (typeof last.parse === "string" && expected.text !== undefined) {
      same(textOfParse(records, last.parse), expected.text, "An outcome names another statement");
    }
    holds(
      last.parse !== null || typeof expected.text !== "string",
      "An outcome says that it was prepared by SQL",
      expected.text,
    );
  }
}

/** The text of a record; a long one stands in chunks, all of which have to be there. */
function textOf(records: Records, id: string, text: Recorded): string | undefined {
  if (typeof text !== "object" || !("parts" in text)) {
    return latin1(text);
  }
  const chunks = of(records, "statement.chunk").filter(({ statement }) => statement === id);
  same(chunks.length, text.parts, "A long text is not whole in the journal");
  return chunks.map((chunk) => latin1(chunk.text)).join("");
}

/** Recorded bytes as the model keeps them. */
function latin1(text: Recorded): string | undefined {
  if (typeof text === "string") {
    return Buffer.from(text, "utf8").toString("latin1");
  }
  return text !== undefined && "base64" in text
    ? Buffer.from(String(text.base64), "base64").toString("latin1")
    : undefined;
}
