// The inbox of somebody who sits there: one request after the other, oldest first, and the keys that decide on them.

import type { RequestView } from "@jitdb/shared/api/access";
import { JitdbError } from "@jitdb/shared/errors";
import type { Api } from "../api.ts";
import type { Context } from "../context.ts";
import type { Keyboard } from "../keyboard.ts";
import { line } from "../text.ts";
import { decideOn, differs, isOpen } from "./decide.ts";
import type { InboxWatch } from "./inbox-watch.ts";
import { describeSettled } from "./settled.ts";

/** A person needs longer than that to read a line. */
export const settleMs = 500;

export interface InboxParts {
  readonly context: Context;
  readonly api: Api;
  readonly watch: InboxWatch;
  readonly keyboard: Keyboard;
  /** Ctrl-C. */
  readonly signal: AbortSignal;
  /** Rejects when the watch has failed. */
  readonly failed: Promise<never>;
  readonly rings: boolean;
}

export class Inbox {
  readonly #parts: InboxParts;
  readonly #done = new Set<string>();
  /** Left undecided, as they were then: one that changes is shown again. */
  readonly #left = new Map<string, RequestView>();

  constructor(parts: InboxParts) {
    this.#parts = parts;
  }

  /** Goes on until the person ends it, by `q` or Ctrl-C. @throws JitdbError as the watch, and of calls that fail for good */
  async run(): Promise<void> {
    const { signal, failed } = this.#parts;
    while (!signal.aborted) {
      const next = this.#open()[0];
      const goesOn = await Promise.race([
        next === undefined ? this.#wait() : this.#decide(next),
        failed,
      ]);
      if (!goesOn) {
        return;
      }
    }
  }

  #open(): RequestView[] {
    return this.#parts.watch.requests.filter((request) => {
      const left = this.#left.get(request.id);
      const isNew = left === undefined || differs(left, request);
      return isOpen(request) && isNew && !this.#done.has(request.id);
    });
  }

  /** Shows one. False: the person has ended it. */
  async #decide(request: RequestView): Promise<boolean> {
    const { context, api, watch, keyboard, signal } = this.#parts;
    const { terminal } = context;
    const count = this.#open().length;
    terminal.say(count === 1 ? "" : `\n${count} wait for you. The oldest:`);
    try {
      const outcome = await decideOn(context, api, request, {
        keyboard,
        signal,
        settleMs,
        changes: (known) => watch.changeOf(known),
        bears,
      });
      switch (outcome.kind) {
        case "decided":
          this.#done.add(request.id);
          break;
        case "left":
          this.#left.set(request.id, request);
          break;
        case "gone":
          this.#tellGone(request, outcome.request);
          break;
      }
      return true;
    } catch (error) {
      return await this.#failedOn(request, error);
    }
  }

  #tellGone({ id }: RequestView, now: RequestView): void {
    this.#parts.context.terminal.say(
      line`${id} is no longer yours to decide. ${describeSettled(now)}`,
    );
    if (now.state === "pending") {
      // It may become theirs again.
      this.#left.set(id, now);
    } else {
      // The watch may not have seen it yet.
      this.#done.add(id);
    }
  }

  /** False: it was Ctrl-C. */
  async #failedOn(request: RequestView, error: unknown): Promise<boolean> {
    if (this.#parts.signal.aborted) {
      return false;
    }
    if (!(error instanceof JitdbError)) {
      throw error;
    }
    if (error.code === "local.interrupted") {
      return false;
    }
    if (error.code === "request.unknown") {
      this.#done.add(request.id);
      return true;
    }
    if (!bears(error)) {
      throw error;
    }
    // It could not even be shown; the watch says that the server is away, and when it is back.
    await Promise.race([this.#parts.watch.looked(), this.#interrupted()]);
    return true;
  }

  /** Until there is something to decide. False: the person has ended it. */
  async #wait(): Promise<boolean> {
    const { context, watch, keyboard, signal } = this.#parts;
    context.terminal.say(this.#describeRest());
    while (this.#open().length === 0) {
      const stop = new AbortController();
      try {
        const key = await Promise.race([
          keyboard.next(AbortSignal.any([signal, stop.signal])),
          watch.looked(),
        ]);
        if (key === "q") {
          return false;
        }
        if (key === "r") {
          this.#left.clear();
        }
      } catch (error) {
        if (signal.aborted) {
          return false;
        }
        throw error;
      } finally {
        stop.abort();
      }
    }
    return true;
  }

  #describeRest(): string {
    const { watch, rings } = this.#parts;
    const waiting = watch.requests.filter(({ id }) => !this.#done.has(id));
    const left = waiting.filter((each) => isOpen(each)).length;
    const others = waiting.length - left;
    const what = left === 0 ? "Nothing waits for you." : `${left} left undecided.`;
    const elsewhere =
      others === 0 ? "" : ` ${others === 1 ? "1 waits" : `${others} wait`} for others first.`;
    const next = rings ? "New requests ring" : "New requests come up here";
    return `\n${what}${elsewhere} ${next}; ${left === 0 ? "" : "r shows those again, "}q ends.`;
  }

  async #interrupted(): Promise<void> {
    const { signal } = this.#parts;
    await new Promise<void>((resolve) => {
      signal.addEventListener("abort", () => resolve(), { once: true });
    });
  }
}

/** What the person can do something about, or time can, while the request stays on the screen. */
function bears({ code }: JitdbError): boolean {
  return code === "login.stale" || !/^(login|local)\./.test(code);
}
