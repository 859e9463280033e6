// `jitdb databases`: what the caller may ask for, a line a profile.

import type { DatabaseView } from "@jitdb/shared/api/access";
import { formatDuration } from "@jitdb/shared/duration";
import type { CommandModule } from "../command-list.ts";
import type { Context } from "../context.ts";
import { addJsonOption } from "../listing.ts";
import type { Column } from "../table.ts";

export interface DatabasesOptions {
  readonly json: boolean;
}

interface Row {
  readonly database: DatabaseView;
  readonly profile: DatabaseView["profiles"][number];
}

const columns: readonly Column<Row>[] = [
  { heading: "DATABASE", show: ({ database }) => database.name },
  { heading: "ENGINE", spare: true, show: ({ database }) => database.engine },
  { heading: "PROFILE", show: ({ profile }) => profile.name },
  { heading: "AT MOST", show: ({ profile }) => formatDuration(profile.maxDurationSeconds * 1000) },
  { heading: "APPROVAL", show: ({ profile }) => profile.approval },
  { heading: "WHAT IT GIVES", spare: true, show: ({ profile }) => profile.description },
  {
    heading: "LEAVES TRACES",
    show: ({ profile }) => (profile.leavesTraces.length > 0 ? "yes" : ""),
    plain: ({ profile }) => (profile.leavesTraces.length > 0 ? "yes" : "no"),
  },
];

export const databasesCommand: CommandModule = {
  define: addJsonOption,
  run: (context, _args, options) => runDatabases(context, { json: options["json"] === true }),
};

export async function runDatabases(context: Context, options: DatabasesOptions): Promise<void> {
  const { terminal } = context;
  const list = await (await context.api()).databases();
  if (options.json) {
    terminal.json(list);
    return;
  }
  const rows = list.databases.flatMap((database) =>
    database.profiles.map((profile) => ({ database, profile })),
  );
  if (rows.length === 0) {
    terminal.say("No policy lets you ask for a database. Ask an administrator for one.");
    return;
  }
  terminal.table(columns, rows);
}
