// `jitdb inbox`: shows what waits for one's decision, waits for more, rings, and lets one decide.

import type { RequestView } from "@jitdb/shared/api/access";
import type { Api } from "../api.ts";
import type { CommandModule, CommandOptions } from "../command-list.ts";
import type { Context } from "../context.ts";
import { maxLimit } from "../listing.ts";
import { sayUnconfirmed } from "../login/unconfirmed.ts";
import { Inbox } from "../requests/inbox.ts";
import { type InboxListener, InboxWatch } from "../requests/inbox-watch.ts";
import { line, roughly } from "../text.ts";
import { requestColumns, runRequests } from "./requests.ts";

export interface InboxOptions {
  readonly once: boolean;
  readonly quiet: boolean;
  readonly json: boolean;
}

export const inboxCommand: CommandModule = {
  define: (command) =>
    command
      .option("--once", "list what waits now, and end")
      .option("--quiet", "do not ring the terminal's bell")
      .option("--json", "print each request as a line of JSON, and ask nothing")
      .addHelpText(
        "after",
        "\nIn a terminal each request is shown with the keys of `jitdb approve`. Elsewhere, and with --json, each is printed" +
          "\nas a line. It goes on until q or Ctrl-C, over a lost network, too." +
          "\n\nExamples:\n  jitdb inbox\n  jitdb inbox --json | jq --unbuffered -r .id",
      ),
  run: (context, _args, options) => runInbox(context, parseInbox(options)),
};

export function parseInbox(options: CommandOptions): InboxOptions {
  return {
    once: options["once"] === true,
    quiet: options["quiet"] === true,
    json: options["json"] === true,
  };
}

export async function runInbox(context: Context, options: InboxOptions): Promise<void> {
  if (options.once) {
    await listOnce(context, options);
    return;
  }
  const { terminal } = context;
  const signal = context.interruption();
  const api = await context.api();
  const asks = terminal.interactive && !options.json;
  const print = asks ? () => undefined : printer(context, options);
  const watch = new InboxWatch(context, api, listenerOf(context, options, print));
  const stop = new AbortController();
  const running = watch.run(AbortSignal.any([signal, stop.signal]));
  const failed = new Promise<never>((_, reject) => {
    running.catch(reject);
  });
  // It has failed when nobody asks any more, too.
  failed.catch(() => undefined);
  try {
    await Promise.race([watch.looked(), running]);
    if (watch.requests.some(({ canDecide }) => !canDecide)) {
      sayUnconfirmed(terminal, await api.me());
    }
    await (asks && !signal.aborted
      ? decide(context, { api, watch, signal, failed, rings: !options.quiet })
      : running);
  } finally {
    stop.abort();
  }
}

async function decide(
  context: Context,
  parts: {
    readonly api: Api;
    readonly watch: InboxWatch;
    readonly signal: AbortSignal;
    readonly failed: Promise<never>;
    readonly rings: boolean;
  },
): Promise<void> {
  const keyboard = context.terminal.openKeyboard();
  try {
    await new Inbox({ context, keyboard, ...parts }).run();
  } finally {
    keyboard.close();
  }
}

/**
 * SECURITY: of a request that comes while another is on the screen nothing is said, or its name would stand above keys that
 * decide on the other one.
 */
function listenerOf(
  { terminal }: Context,
  { quiet }: InboxOptions,
  print: (request: RequestView) => void,
): InboxListener {
  return {
    fresh: (requests, isFirstLook) => {
      requests.forEach(print);
      if (!isFirstLook && !quiet) {
        terminal.ring();
      }
    },
    away: (error) => terminal.say(line`Connection lost, trying again. (${error.message})`),
    back: (awayMs) => terminal.say(`Back after ${roughly(awayMs)}.`),
  };
}

function printer(
  { terminal, clock }: Context,
  { json }: InboxOptions,
): (request: RequestView) => void {
  return (request) => {
    if (json) {
      terminal.jsonLine(request);
    } else {
      terminal.table(requestColumns(clock.now()), [request]);
    }
  };
}

async function listOnce(context: Context, { json }: InboxOptions): Promise<void> {
  if (!json) {
    await runRequests(context, { scope: "inbox", page: { limit: maxLimit }, json });
    return;
  }
  const api = await context.api();
  const { requests } = await api.requests({ scope: "inbox", limit: maxLimit });
  for (const request of requests.toReversed()) {
    context.terminal.jsonLine(request);
  }
}
