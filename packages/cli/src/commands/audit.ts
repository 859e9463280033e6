// `jitdb audit`: the newest records of the journal, oldest first, and with --follow those that come.

import type { AuditRecordView } from "@jitdb/shared/api/audit";
import { Story } from "../audit/story.ts";
import { drawFull, drawTimeline, plainColumns } from "../audit/views.ts";
import type { CommandModule, CommandOptions } from "../command-list.ts";
import type { Context } from "../context.ts";
import { addPageOptions, maxLimit, optionText, type Page, parsePage, sayMore } from "../listing.ts";

export interface AuditOptions {
  readonly filter: AuditFilter;
  readonly page: Page;
  readonly full: boolean;
  readonly follow: boolean;
  readonly json: boolean;
}

const filters = ["kind", "person", "database", "grant", "session"] as const;
type AuditFilter = { readonly [Name in (typeof filters)[number]]?: string };

/** Between looks for new records. */
const followMs = 1000;

export const auditCommand: CommandModule = {
  define: (command) =>
    addPageOptions(
      command
        .option("--person <name>", "what one person did")
        .option("--database <name>", "what happened on one database")
        .option("--grant <id>", "what happened under one grant")
        .option("--session <id>", "what happened in one session")
        .option("--kind <kind>", "one kind of record (session.opened) or a family (session)")
        .option("--full", "every field, whole texts")
        .option("--follow", "go on with what happens, until Ctrl-C"),
    ).addHelpText(
      "after",
      "\nA terminal shows a line for each thing that happened, a pipe a tab-separated line for each record:" +
        "\nnumber, time, person, database, kind, text or fields, and break-glass where it was that. Administrators see everything," +
        "\nreviewers what was done under the grants that they review (--grant), others what they did." +
        "\n--limit counts records: a statement has two or more." +
        "\n\nExamples:\n  jitdb audit --database prod-orders --follow\n  jitdb audit --kind statement.intent | grep -i delete",
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
    full: options["full"] === true,
    follow: options["follow"] === true,
    json: options["json"] === true,
  };
}

export async function runAudit(context: Context, options: AuditOptions): Promise<void> {
  const { terminal } = context;
  const { filter, page } = options;
  const list = await (await context.api()).audit({ ...filter, ...page });
  const show = choosePrinter(context, options);
  if (options.json && !options.follow) {
    terminal.json(list);
    return;
  }
  show(list.records);
  if (options.follow) {
    await follow(context, options, list.records, show);
    return;
  }
  if (list.records.length === 0) {
    const filtered = Object.keys(filter).length > 0;
    terminal.say(filtered ? "No record matches. Leave out a filter." : "The journal is empty.");
  }
  sayMore(terminal, list.next);
  const mayHideOlder = page.after === undefined && list.records.length === page.limit;
  if (mayHideOlder && terminal.showsData) {
    terminal.say(
      `Only the newest are shown. More: --limit ${maxLimit}; all, from the first: --after 0.`,
    );
  }
}

type Print = (records: readonly AuditRecordView[]) => void;

function choosePrinter(context: Context, { json, full, filter }: AuditOptions): Print {
  const { terminal } = context;
  if (json) {
    return (records) => {
      for (const record of records) {
        terminal.jsonLine(record);
      }
    };
  }
  const story = new Story();
  if (!terminal.showsData) {
    return (records) => {
      story.tell(records);
      terminal.table(plainColumns(story, { full }), records);
    };
  }
  if (full) {
    return (records) => {
      for (const text of story.tell(records).flatMap((one) => drawFull(one, story))) {
        terminal.out(text);
      }
    };
  }
  let hasHeading = false;
  return (records) => {
    const happenings = story.tell(records);
    if (happenings.length === 0) {
      return;
    }
    const [heading, ...lines] = drawTimeline(happenings, story, {
      width: terminal.columns,
      now: context.clock.now(),
      outcomes: filter.kind === undefined || filter.kind === "statement",
    });
    for (const text of hasHeading ? lines : [terminal.heading(heading), ...lines]) {
      terminal.out(text);
    }
    hasHeading = true;
  };
}

/** Asks for what is new until Ctrl-C. */
async function follow(
  context: Context,
  { filter, page }: AuditOptions,
  first: readonly AuditRecordView[],
  show: Print,
): Promise<void> {
  const api = await context.api();
  const stop = context.interruption();
  let last = first.at(-1)?.seq;
  while (!stop.aborted) {
    const after = last === undefined ? page.after : String(last);
    const { records } = await api.audit({
      ...filter,
      limit: maxLimit,
      ...(after === undefined ? {} : { after }),
    });
    show(records);
    last = records.at(-1)?.seq ?? last;
    try {
      await context.pause(followMs, stop);
    } catch (error) {
      // Ctrl-C is how following ends.
      if (!stop.aborted) {
        throw error;
      }
    }
  }
}
