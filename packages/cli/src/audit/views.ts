// How the audit looks: a line a happening for people, a line a record for programs, all fields where they are asked for.

import type { AuditRecordView } from "@jitdb/shared/api/audit";
import type { Column } from "../table.ts";
import { calendarDay, clean, clockTime, pad, truncate, widthOf } from "../text.ts";
import { markOf, textOf, timeOf } from "./record.ts";
import { describeOutcomes, describeStatement } from "./statement.ts";
import type { Happening, Story } from "./story.ts";
import { describeEvent, fieldsOf, listFields } from "./words.ts";

const gap = "  ";
/** So much of a statement is shown, whatever its outcome takes. */
const shortestText = 12;

export interface TimelineOptions {
  /** Cells a line. */
  readonly width: number;
  /** Epoch ms; what happened on another day has its date. */
  readonly now: number;
  /** Whether outcomes are among the records: where a filter keeps them away, nothing can be said of them. */
  readonly outcomes: boolean;
}

interface Cells {
  readonly time: string;
  readonly who: string;
  readonly database: string;
  readonly mark: string;
  readonly happening: Happening;
}

/**
 * The heading, then a line a happening: time, person, database, a mark of break-glass, and words cut to the width. Of a statement the text is cut,
 * and what became of it stays. A column in which nothing stands is left out.
 */
export function drawTimeline(
  happenings: readonly Happening[],
  story: Story,
  { width, now, outcomes }: TimelineOptions,
): [string, ...string[]] {
  const today = calendarDay(new Date(now).toISOString());
  const days = happenings.map(({ record }) => calendarDay(timeOf(record)));
  const isDated = days.some((day) => day !== today);
  const rows = happenings.map((happening, index): Cells => {
    const { record } = happening;
    const time = clockTime(timeOf(record));
    return {
      time: isDated ? `${days[index]} ${time}` : time,
      who: nameCell(record, "person", width),
      database: nameCell(record, "database", width),
      mark: markOf(record),
      happening,
    };
  });
  const widths = {
    time: widest("TIME", rows, ({ time }) => time),
    who: widest("WHO", rows, ({ who }) => who),
    database: widest("DATABASE", rows, ({ database }) => database),
    mark: widest("MARK", rows, ({ mark }) => mark),
  };
  const names = ["time", "who", "database", "mark"] as const;
  const draw = (cells: Readonly<Record<(typeof names)[number], string>>) =>
    names
      .filter((name) => widths[name] > 0)
      .map((name) => pad(cells[name], widths[name]) + gap)
      .join("");
  return [
    `${draw({ time: "TIME", who: "WHO", database: "DATABASE", mark: "MARK" })}WHAT`,
    ...rows.map(({ happening, ...cells }) => {
      const start = draw(cells);
      return start + drawWhat(happening, story, width - widthOf(start), outcomes);
    }),
  ];
}

/** A name on so narrow a screen that words have to fit beside it gives way; `--full` shows it whole. */
function nameCell(record: AuditRecordView, field: string, width: number): string {
  return truncate(clean(textOf(record, field)), Math.max(8, Math.floor(width / 6)));
}

function widest(heading: string, rows: readonly Cells[], cell: (row: Cells) => string): number {
  const width = Math.max(0, ...rows.map((row) => widthOf(cell(row))));
  return width === 0 ? 0 : Math.max(width, heading.length);
}

function drawWhat(
  { record, outcomes }: Happening,
  story: Story,
  width: number,
  tellsOutcomes: boolean,
): string {
  if (!record.kind.startsWith("statement.")) {
    return truncate(oneLine(describeEvent(record)), width);
  }
  const text = oneLine(describeStatement(record, story));
  const hasOutcome = record.kind === "statement.intent" || outcomes.length > 0;
  if (record.kind !== "statement.outcome" && !(hasOutcome && tellsOutcomes)) {
    return truncate(text, width);
  }
  const results = record.kind === "statement.outcome" ? [record] : outcomes;
  const end = oneLine(`  → ${describeOutcomes(results)}`, { trim: false });
  const shown = truncate(text, Math.max(shortestText, width - widthOf(end)));
  return truncate(shown + end, width);
}

/** Text of others on one line: white space of any kind is one space, and what is left of control characters is shown. */
function oneLine(text: string, { trim = true } = {}): string {
  return trim ? clean(text.trim().replaceAll(/[ \t\r\n]+/g, " ")) : clean(text);
}

/**
 * A block a happening: its number, time and kind, then every field, texts with their line ends. A statement says what runs,
 * values decoded, and each outcome with the fields of its record.
 */
export function drawFull({ record, outcomes }: Happening, story: Story): string[] {
  const { seq, at, kind, ...fields } = record;
  const isMeant = kind === "statement.intent" && record["protocol"] !== "query";
  const entries = [
    ...fieldsOf({ ...fields, seq, at, kind }).filter(
      ([name]) => !["seq", "at", "kind"].includes(name),
    ),
    ...(isMeant ? [["runs", describeStatement(record, story)] as const] : []),
    ...outcomes.map(
      (outcome) =>
        [
          "outcome",
          `${describeOutcomes([outcome])}\n${outcome.seq}  ${outcome.at}  ${listFields(outcome, { full: true })}`,
        ] as const,
    ),
  ];
  const width = Math.max(...entries.map(([name]) => name.length));
  const margin = " ".repeat(width + 4);
  return [
    clean(`${seq}  ${at}  ${kind}`),
    ...entries.map(([name, value]) => {
      const [first = "", ...others] = value.replaceAll("\t", "    ").split(/\r?\n/);
      return [
        `  ${clean(name).padEnd(width)}  ${clean(first)}`,
        ...others.map((each) => margin + clean(each)),
      ].join("\n");
    }),
    "",
  ];
}

/** For pipes: number, exact time, person, database, kind, a statement's text or the fields that no column shows, and the mark. */
export function plainColumns(
  story: Story,
  { full }: { readonly full: boolean },
): Column<AuditRecordView>[] {
  const what = (record: AuditRecordView) => {
    const isText = ["statement.intent", "statement.parse"].includes(record.kind);
    return isText && !full ? describeStatement(record, story) : listFields(record, { full });
  };
  return [
    { heading: "SEQ", show: (record) => String(record.seq) },
    { heading: "TIME", show: (record) => record.at },
    { heading: "WHO", show: (record) => textOf(record, "person") },
    { heading: "DATABASE", show: (record) => textOf(record, "database") },
    { heading: "KIND", show: (record) => record.kind },
    { heading: "WHAT", show: what },
    { heading: "MARK", show: markOf },
  ];
}
