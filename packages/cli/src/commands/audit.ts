// `jitdb audit`: the newest records of the journal, oldest first.

import type { AuditRecordView } from "@jitdb/shared/api/audit";
import type { CommandModule, CommandOptions } from "../command-list.ts";
import type { Context } from "../context.ts";
import { addPageOptions, optionText, type Page, parsePage, sayMore } from "../listing.ts";
import type { Column } from "../table.ts";
import { relative } from "../text.ts";

export interface AuditOptions {
  readonly filter: AuditFilter;
  readonly page: Page;
  readonly json: boolean;
}

const filters = ["kind", "person", "database", "grant", "session"] as const;
type AuditFilter = { readonly [Name in (typeof filters)[number]]?: string };

export const auditCommand: CommandModule = {
  define: (command) =>
    addPageOptions(
      command
        .option("--kind <kind>", "one kind of record, such as statement.intent")
        .option("--person <name>", "what one person did")
        .option("--database <name>", "what happened on one database")
        .option("--grant <id>", "what happened under one grant")
        .option("--session <id>", "what happened in one session"),
    ).addHelpText(
      "after",
      "\nExample:\n  jitdb audit --database prod-orders --kind statement.intent",
    ),
  run: (context, args, options) => runAudit(context, parseAudit(args, options)),
};

/** @throws JitdbError `usage.invalid` */
export function parseAudit(_args: readonly string[], options: CommandOptions): AuditOptions {
  const given = filters.flatMap((name) => {
    const value = optionText(options, name);
    return value === undefined ? [] : [[name, value]];
  });
  return {
    filter: Object.fromEntries(given),
    page: parsePage(options),
    json: options["json"] === true,
  };
}

export async function runAudit(context: Context, options: AuditOptions): Promise<void> {
  const { terminal } = context;
  const list = await (await context.api()).audit({ ...options.filter, ...options.page });
  if (options.json) {
    terminal.json(list);
    return;
  }
  if (list.records.length === 0) {
    const filtered = Object.keys(options.filter).length > 0;
    terminal.say(filtered ? "No record matches. Leave out a filter." : "The journal is empty.");
    return;
  }
  terminal.table(auditColumns(context.clock.now()), list.records);
  sayMore(terminal, list.next);
}

function auditColumns(now: number): Column<AuditRecordView>[] {
  return [
    { heading: "SEQ", show: (record) => String(record.seq) },
    {
      heading: "WHEN",
      show: (record) => relative(record.at, now),
      plain: (record) => record.at,
    },
    { heading: "WHO", show: (record) => field(record, "person") },
    { heading: "DATABASE", show: (record) => field(record, "database") },
    { heading: "KIND", show: (record) => record.kind },
    { heading: "WHAT", show: describe },
  ];
}

function field(record: AuditRecordView, name: string): string {
  const value = record[name];
  return typeof value === "string" ? value : "";
}

/** In a column of their own, or the journal's own book-keeping. */
const notShown = new Set([
  ...["seq", "at", "kind", "person", "database"],
  ...["prev", "outbox", "occurredAt"],
]);

/** A statement's text; of other records the fields that no column shows. */
function describe(record: AuditRecordView): string {
  const text = field(record, "text");
  if (text !== "") {
    return text;
  }
  return Object.entries(record)
    .filter(([name, value]) => !notShown.has(name) && value !== null && value !== "")
    .map(([name, value]) => `${name}=${typeof value === "string" ? value : JSON.stringify(value)}`)
    .join(" ");
}
