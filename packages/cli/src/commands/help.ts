// `jitdb help`: the tables of exit codes and of environment variables, and what to do next.

import { exitCodes } from "@jitdb/shared/errors";
import type { Context } from "../context.ts";
import type { Credentials } from "../login/credentials.ts";
import type { Terminal } from "../terminal.ts";
import { line } from "../text.ts";

/** What each exit code means; `exitCodes` has their numbers. */
export const meanings: Readonly<Record<keyof typeof exitCodes, string>> = {
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

/** The environment variables that are heard, and what each does. */
export const variables: readonly (readonly [string, string])[] = [
  ["JITDB_HOME", "folder of servers, logins and sockets instead of ~/.jitdb; no keychain then"],
  ["JITDB_SERVER", "the server to talk to; --server goes before it"],
  ["JITDB_CA_FILE", "PEM file of a CA to trust as well; --ca goes before it"],
  ["NODE_EXTRA_CA_CERTS", "the same, for every program that runs on Node"],
  ["JITDB_KEYCHAIN", "off: keep logins in a file that only you can read"],
  ["JITDB_FORCE_TTY", "a number of columns: write as to a terminal so wide, asking nothing"],
  ["HTTPS_PROXY, HTTP_PROXY", "the proxy of all connections"],
  ["NO_PROXY", "hosts that are reached without it"],
  ["NO_COLOR", "no colours"],
];

/** Topics of `jitdb help` that are no commands, printed as data. */
export const topics: Readonly<Record<string, (terminal: Terminal) => void>> = {
  "exit-codes": (terminal) => {
    terminal.table(
      [
        { heading: "CODE", show: ([name]) => String(exitCodes[name]) },
        { heading: "MEANS", show: ([, meaning]) => meaning },
      ],
      Object.entries(meanings) as [keyof typeof exitCodes, string][],
    );
  },
  environment: (terminal) => {
    terminal.table(
      [
        { heading: "VARIABLE", show: ([name]) => name },
        { heading: "MEANS", show: ([, meaning]) => meaning },
      ],
      variables,
    );
  },
};

interface NextStepContext extends Pick<Context, "terminal"> {
  credentials(): Promise<Pick<Credentials, "servers">>;
}

/** What whoever typed `jitdb` alone does next. Asks no server: it has to answer at once. */
export async function sayNextStep(context: NextStepContext): Promise<void> {
  const { current, servers } = await (await context.credentials()).servers();
  const login = current === null ? undefined : servers[current];
  context.terminal.say(
    current === null || login === undefined
      ? "\nYou are not logged in. Begin with `jitdb login <server>`."
      : line`\nYou are logged in to ${current} as ${login.person}. See what you may ask for with \`jitdb databases\`.`,
  );
}
