// One request on the screen, and the keys that decide on it. Whatever happens to it meanwhile is told, and then its keys do
// nothing any more.

import type { RequestBackground, RequestView } from "@jitdb/shared/api/access";
import { sentence } from "@jitdb/shared/api/wire";
import { formatDuration } from "@jitdb/shared/duration";
import { JitdbError } from "@jitdb/shared/errors";
import type { Api, Approval } from "../api.ts";
import { describeApproved } from "../approved.ts";
import type { Context } from "../context.ts";
import type { Keyboard } from "../keyboard.ts";
import type { Terminal } from "../terminal.ts";
import { line } from "../text.ts";
import { sayCase } from "./case.ts";
import { shorterThan } from "./shorter.ts";

export type Outcome =
  /** The caller's yes or no counts. */
  | { readonly kind: "decided" }
  | { readonly kind: "left" }
  /** Somebody or something was faster; this is what it is now. */
  | { readonly kind: "gone"; readonly request: RequestView };

export interface Deciding {
  readonly keyboard: Keyboard;
  /** Resolves when the request is not what it was: decided, no longer the caller's to decide, or approved by one more. */
  readonly changes: (known: RequestView) => Promise<RequestView>;
  /** Ctrl-C. */
  readonly signal: AbortSignal;
  /** What a yes is for, where the command line said so. */
  readonly preset?: Approval;
  /**
   * So long after the request came onto the screen keys do nothing.
   * SECURITY: a key that was meant for the one before would decide on this one.
   */
  readonly settleMs?: number;
  /** What a failed call leaves undecided goes on where this says so; else it is thrown. */
  readonly bears?: (error: JitdbError) => boolean;
}

type DecideApi = Pick<Api, "approve" | "deny" | "request" | "requestBackground" | "audit">;

/** @throws JitdbError of a call that failed; `local.interrupted` at Ctrl-C: then nothing was decided */
export async function decideOn(
  context: Context,
  api: DecideApi,
  request: RequestView,
  deciding: Deciding,
): Promise<Outcome> {
  const background = await api.requestBackground(request.id);
  const decision = new Decision(context, api, request, background, deciding);
  return await decision.run();
}

/** Whether the caller can still decide on it. */
export function isOpen({ state, canDecide }: RequestView): boolean {
  return state === "pending" && canDecide;
}

/** Whether an approver has to look again: it is over, or one more has approved. */
export function differs(known: RequestView, now: RequestView): boolean {
  return (
    now.state !== known.state ||
    now.canDecide !== known.canDecide ||
    now.approvals.given.length !== known.approvals.given.length
  );
}

/** What a yes came to. */
export function sayApproved(terminal: Terminal, request: RequestView): void {
  if (request.state === "approved") {
    const { person, database } = request;
    terminal.say(line`Approved: ${person} has ${database} for ${describeApproved(request)}.`);
    return;
  }
  const missing = request.approvals.needed - request.approvals.given.length;
  const approvals = missing === 1 ? "approval is" : "approvals are";
  terminal.say(line`Your approval counts; ${missing} more ${approvals} needed.`);
}

class Decision {
  readonly #context: Context;
  readonly #api: DecideApi;
  readonly #background: RequestBackground;
  readonly #deciding: Deciding;
  #request: RequestView;
  #shownAt = 0;
  /** One watch for all questions about the same. */
  #watched: { readonly known: RequestView; readonly change: Promise<RequestView> } | undefined;

  constructor(
    context: Context,
    api: DecideApi,
    request: RequestView,
    background: RequestBackground,
    deciding: Deciding,
  ) {
    this.#context = context;
    this.#api = api;
    this.#request = request;
    this.#background = background;
    this.#deciding = deciding;
  }

  async run(): Promise<Outcome> {
    this.#show();
    for (;;) {
      this.#context.terminal.say(this.#keys());
      const outcome = await this.#step();
      if (outcome !== undefined) {
        return outcome;
      }
    }
  }

  #show(): void {
    const { terminal, clock } = this.#context;
    sayCase(terminal, this.#request, this.#background, clock.now());
    this.#shownAt = clock.now();
  }

  #keys(): string {
    const { bold } = this.#context.terminal.style;
    const { durationSeconds, profile } = this.#deciding.preset ?? {};
    const time =
      durationSeconds === undefined ? "" : ` for ${formatDuration(durationSeconds * 1000)}`;
    const narrow = profile === undefined ? "" : ` with ${profile}`;
    return [
      `${bold("[y]")} approve${time}${line`${narrow}`}`,
      `${bold("[s]")} shorten`,
      `${bold("[d]")} deny`,
      `${bold("[l]")} look closer`,
      `${bold("[Enter]")} leave it`,
    ].join("  ");
  }

  async #step(): Promise<Outcome | undefined> {
    const key = await this.#nextKey();
    if (typeof key !== "string") {
      return this.#changed(key);
    }
    switch (key) {
      case "y":
      case "a":
        return await this.#attempt(() => this.#approve({}));
      case "s":
        return await this.#shorten();
      case "d":
        return await this.#attempt(() => this.#deny());
      case "l":
        return await this.#attempt(() => this.#look());
      case "q":
      case "enter":
        return { kind: "left" };
      default:
        return undefined;
    }
  }

  /** The next key, or what has become of the request before one came. */
  async #nextKey(): Promise<string | RequestView> {
    const { keyboard, signal, settleMs = 0 } = this.#deciding;
    const stop = new AbortController();
    const either = AbortSignal.any([signal, stop.signal]);
    const key = async () => {
      for (;;) {
        const pressed = await keyboard.next(either);
        if (this.#context.clock.now() - this.#shownAt >= settleMs) {
          return pressed;
        }
      }
    };
    try {
      return await Promise.race([key(), this.#change()]);
    } catch (error) {
      if (signal.aborted) {
        throw undecided(this.#request, error);
      }
      throw error;
    } finally {
      stop.abort();
    }
  }

  #change(): Promise<RequestView> {
    const known = this.#request;
    if (this.#watched?.known !== known) {
      const change = this.#deciding.changes(known);
      // Nobody may be waiting when it fails.
      change.catch(() => undefined);
      this.#watched = { known, change };
    }
    return this.#watched.change;
  }

  #changed(request: RequestView): Outcome | undefined {
    if (!isOpen(request)) {
      return { kind: "gone", request };
    }
    this.#request = request;
    this.#context.terminal.say("Somebody else has approved; it is still yours to decide:");
    this.#show();
    return undefined;
  }

  async #shorten(): Promise<Outcome | undefined> {
    const { terminal } = this.#context;
    const choices = shorterThan(this.#request.durationSeconds);
    const { bold } = terminal.style;
    const offered = choices.map(
      (seconds, index) => `${bold(`[${index + 1}]`)} ${formatDuration(seconds * 1000)}`,
    );
    terminal.say(["Approve for how long?", ...offered, `${bold("[Esc]")} back`].join("  "));
    const key = await this.#nextKey();
    if (typeof key !== "string") {
      return this.#changed(key);
    }
    const durationSeconds = /^[1-9]$/.test(key) ? choices[Number(key) - 1] : undefined;
    return durationSeconds === undefined
      ? undefined
      : await this.#attempt(() => this.#approve({ durationSeconds }));
  }

  async #approve(over: Partial<Approval>): Promise<Outcome> {
    const preset = this.#deciding.preset ?? { comment: "" };
    const approved = await this.#api.approve(this.#request.id, { ...preset, ...over });
    sayApproved(this.#context.terminal, approved);
    return { kind: "decided" };
  }

  async #deny(): Promise<Outcome> {
    const { terminal } = this.#context;
    const prompts = await terminal.prompts();
    const reason = await this.#deciding.keyboard.lend(() =>
      prompts.input("Why? (may be empty; Ctrl-C: not at all)", { check: complaintAbout }),
    );
    const { person, database } = await this.#api.deny(this.#request.id, { reason });
    terminal.say(line`Denied: ${person} does not get ${database}.`);
    return { kind: "decided" };
  }

  async #look(): Promise<undefined> {
    // Few look closer, and it takes all of the audit's words.
    const { lookCloser } = await import("./closer.ts");
    await lookCloser(this.#context, this.#api, this.#request, this.#background);
  }

  /** A call that comes too late is no error: it is told what happened. */
  async #attempt(work: () => Promise<Outcome | undefined>): Promise<Outcome | undefined> {
    try {
      return await work();
    } catch (error) {
      if (!(error instanceof JitdbError)) {
        throw error;
      }
      if (error.code === "local.interrupted") {
        throw undecided(this.#request, error);
      }
      const now = tooLate.has(error.code) ? await this.#api.request(this.#request.id) : undefined;
      if (now !== undefined && now.state !== "pending") {
        return { kind: "gone", request: now };
      }
      if (this.#deciding.bears?.(error) !== true) {
        throw error;
      }
      this.#context.terminal.error(error, { json: false });
      return undefined;
    }
  }
}

const tooLate: ReadonlySet<string> = new Set(["request.decided", "request.lapsed"]);

function undecided({ id }: RequestView, cause: unknown): JitdbError {
  return new JitdbError("local.interrupted", line`Nothing was decided; ${id} still waits.`, {
    hint: line`Decide with \`jitdb approve ${id}\` or \`jitdb deny ${id}\`.`,
    cause,
  });
}

function complaintAbout(reason: string): string | undefined {
  return sentence.safeParse(reason).success
    ? undefined
    : "One line of at most 500 characters, without control characters.";
}
