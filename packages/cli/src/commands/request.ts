// `jitdb request`: asks for access to a database and, unless told otherwise, waits for the answer.

import type { RequestView } from "@jitdb/shared/api/access";
import type { RequestPreview } from "@jitdb/shared/api/previews";
import { formatDuration, parseDuration } from "@jitdb/shared/duration";
import { JitdbError } from "@jitdb/shared/errors";
import type { NewRequest } from "../api.ts";
import { describeApproved } from "../approved.ts";
import type { CommandModule, CommandOptions } from "../command-list.ts";
import type { Context } from "../context.ts";
import { addJsonOption, optionText } from "../listing.ts";
import { describePreview } from "../requests/preview.ts";
import { parseStart } from "../start-time.ts";
import { clean, line, relative } from "../text.ts";
import { waitForDecision } from "../waiting.ts";

export interface RequestOptions {
  readonly database: string | undefined;
  readonly durationSeconds: number | undefined;
  readonly profile: string | undefined;
  readonly reason: string;
  /** As it was written. */
  readonly at: string | undefined;
  readonly breakGlass: boolean;
  readonly wait: boolean;
  /** Say what would come of it, and ask for nothing. */
  readonly dryRun: boolean;
  readonly json: boolean;
}

export const requestCommand: CommandModule = {
  define: (command) =>
    addJsonOption(
      command
        .argument("[database]", "which one; `jitdb databases` lists them")
        .option("--for <duration>", "for how long: 30m, 2h, 1h30m; else as long as the policy says")
        .option("--profile <name>", "with which privileges; read-only where there is a choice")
        .option("--reason <text>", "why; approvers and the audit will read it")
        .option("--at <time>", 'begin later: 22:00, or "2026-11-24 22:00"')
        .option(
          "--break-glass",
          "an emergency: access at once, reviewed afterwards; needs --reason",
        )
        .option("--no-wait", "do not wait for the decision")
        .option("--dry-run", "show what would come of it, and ask for nothing"),
    ).addHelpText(
      "after",
      "\nPrints the request's id. Ends with 0 when approved, 5 when denied, 6 when lapsed or withdrawn." +
        "\n\n--dry-run shows the rule that decides, who could approve and how long that usually takes, and the" +
        "\nstatements that would make the database user. What a rule refuses it refuses as well." +
        '\n\nExamples:\n  jitdb request prod-orders --for 30m --reason "order 4711 is stuck"' +
        "\n  jitdb request prod-orders --for 30m --dry-run",
    ),
  run: (context, args, options) => runRequest(context, parseRequest(args, options)),
};

/** @throws JitdbError `usage.duration` */
export function parseRequest(args: readonly string[], options: CommandOptions): RequestOptions {
  const duration = optionText(options, "for");
  return {
    database: args[0],
    durationSeconds: duration === undefined ? undefined : parseDuration(duration) / 1000,
    profile: optionText(options, "profile"),
    reason: optionText(options, "reason") ?? "",
    at: optionText(options, "at"),
    breakGlass: options["breakGlass"] === true,
    wait: options["wait"] !== false,
    dryRun: options["dryRun"] === true,
    json: options["json"] === true,
  };
}

export async function runRequest(context: Context, options: RequestOptions): Promise<void> {
  const { terminal } = context;
  const input = {
    database: options.database ?? (await askForDatabase(context)),
    durationSeconds: options.durationSeconds,
    profile: options.profile,
    reason: options.reason,
    startsAt: options.at === undefined ? undefined : parseStart(options.at, context.clock.now()),
    breakGlass: options.breakGlass || undefined,
  };
  const api = await context.api();
  if (options.dryRun) {
    const preview = await withDuration(context, input, (full) => api.previewRequest(full));
    showPreview(context, preview, options);
    return;
  }
  const asked = await withDuration(context, input, (full) => api.createRequest(full));
  const duration = formatDuration(asked.durationSeconds * 1000);
  terminal.say(line`Asked for ${asked.database} (${asked.profile}) for ${duration}.`);
  if (!options.json) {
    terminal.out(asked.id);
  }
  const waits = options.wait && asked.state === "pending";
  const request = waits ? await awaited(context, asked) : asked;
  if (options.json) {
    terminal.json(request);
  }
  sayOutcome(context, request);
}

/** Who says nothing of how long, and finds that the policy does not either, is asked for it in a terminal. */
async function withDuration<T>(
  context: Context,
  input: NewRequest,
  send: (input: NewRequest) => Promise<T>,
): Promise<T> {
  try {
    return await send(input);
  } catch (error) {
    const isMissing = error instanceof JitdbError && error.code === "usage.duration";
    if (!(isMissing && input.durationSeconds === undefined && context.terminal.interactive)) {
      throw error;
    }
  }
  return await send({ ...input, durationSeconds: await askForDuration(context) });
}

function showPreview(
  { terminal, clock }: Context,
  preview: RequestPreview,
  { json }: Pick<RequestOptions, "json">,
): void {
  if (json) {
    terminal.json(preview);
    return;
  }
  for (const text of describePreview(preview, clock.now())) {
    terminal.out(text);
  }
  terminal.say("Nothing was asked for. Without --dry-run it is.");
}

async function askForDatabase(context: Context): Promise<string> {
  const { terminal } = context;
  if (!terminal.interactive) {
    throw new JitdbError("usage.invalid", "Which database? `jitdb request` needs its name here.", {
      hint: "Write `jitdb request <database> --for 30m`; `jitdb databases` lists them.",
    });
  }
  const { databases } = await (await context.api()).databases();
  if (databases.length === 0) {
    throw new JitdbError("policy.no_match", "No policy lets you ask for a database.", {
      hint: "Ask an administrator for one.",
    });
  }
  return await (await terminal.prompts()).select(
    "Which database?",
    databases.map(({ name, profiles }) => ({
      value: name,
      label: line`${name} (${profiles.map((profile) => profile.name).join(", ")})`,
    })),
  );
}

async function askForDuration(context: Context): Promise<number> {
  const prompts = await context.terminal.prompts();
  const answer = await prompts.input("For how long?", {
    default: "30m",
    check: (text) => {
      try {
        parseDuration(text);
        return undefined;
      } catch (error) {
        return error instanceof JitdbError ? `${error.message} ${error.hint}` : String(error);
      }
    },
  });
  return parseDuration(answer) / 1000;
}

/** Waits behind a spinner; Ctrl-C ends the waiting and leaves the request. */
async function awaited(context: Context, asked: RequestView): Promise<RequestView> {
  const { terminal } = context;
  const { id, approvals } = asked;
  const who = approvals.groups.length === 0 ? "an approver" : approvals.groups.join(" or ");
  const count = approvals.needed > 1 ? `${approvals.needed} approvals` : "approval";
  const signal = context.interruption();
  const lapses = relative(asked.lapsesAt, context.clock.now());
  const spinner = await terminal.spinner(
    line`Waiting for ${count} by ${who}; the request lapses ${lapses}. Ctrl-C stops the waiting, not the request.`,
  );
  try {
    return await waitForDecision(context, await context.api(), id, signal);
  } catch (error) {
    if (signal.aborted) {
      throw stoppedWaiting(id, error);
    }
    throw error;
  } finally {
    spinner.stop();
  }
}

function stoppedWaiting(id: string, cause: unknown): JitdbError {
  return new JitdbError("local.interrupted", `Stopped waiting; ${clean(id)} is still pending.`, {
    hint: `Look with \`jitdb requests\`, take it back with \`jitdb withdraw ${clean(id)}\`.`,
    cause,
  });
}

/** @throws JitdbError `request.denied`, `request.lapsed`: the exit code is the verdict. */
function sayOutcome(context: Context, request: RequestView): void {
  const { terminal } = context;
  const { id, database, decidedBy, decisionReason } = request;
  switch (request.state) {
    case "pending":
      terminal.say(line`${id} waits for its decision. Look with \`jitdb requests\`.`);
      return;
    case "approved": {
      const by = decidedBy === null ? "" : ` by ${decidedBy}`;
      terminal.say(line`Approved${by} for ${describeApproved(request)}.`);
      if (request.breakGlass) {
        terminal.say("This was break-glass: somebody else reviews what you do with it.");
      }
      if (request.startsAt !== null && Date.parse(request.startsAt) > context.clock.now()) {
        const begins = relative(request.startsAt, context.clock.now());
        terminal.say(
          line`It begins ${begins}; until then \`jitdb release ${database}\` takes it back.`,
        );
        return;
      }
      terminal.say(line`Go on with \`jitdb psql ${database}\` or \`jitdb connect ${database}\`.`);
      return;
    }
    case "denied": {
      const because =
        decisionReason === null || decisionReason === "" ? "." : `: ${decisionReason}`;
      throw new JitdbError("request.denied", `Denied by ${decidedBy ?? "the server"}${because}`);
    }
    case "withdrawn":
      throw new JitdbError("request.lapsed", `${id} was withdrawn.`);
    case "lapsed":
      throw new JitdbError("request.lapsed", `${id} lapsed: nobody decided in time.`);
  }
}
