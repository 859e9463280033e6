// `jitdb help exit-codes`: the one table of exit codes.

import { exitCodes } from "@jitdb/shared/errors";
import type { Terminal } from "../terminal.ts";

const meanings: Readonly<Record<keyof typeof exitCodes, string>> = {
  ok: "done; a request that was waited for is approved",
  internal: "something went wrong inside jitdb, or with its files",
  usage: "the command line or the configuration is wrong",
  login: "no login, or one that is over",
  refused: "you may not do this",
  denied: "the request was denied",
  lapsed: "the request lapsed or was withdrawn",
  network: "the server can't be reached, or the connection was lost",
  ended: "the grant is over: expired or revoked",
  notFound: "no such database, request, grant or program",
  conflict: "somebody was faster, something is in use, or a limit is reached",
  database: "the database is down or set up wrongly",
  interrupted: "interrupted with Ctrl-C",
};

/** Prints the table of exit codes as data. */
export function describeExitCodes(terminal: Terminal): void {
  const rows = Object.entries(meanings) as [keyof typeof exitCodes, string][];
  terminal.table(
    [
      { heading: "CODE", show: ([name]) => String(exitCodes[name]) },
      { heading: "MEANS", show: ([, meaning]) => meaning },
    ],
    rows,
  );
}
