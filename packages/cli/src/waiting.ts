// Waits until a request is decided: events as hints, asking as the truth.

import type { RequestView } from "@jitdb/shared/api/access";
import type { ServerEvent } from "@jitdb/shared/api/events";
import { JitdbError } from "@jitdb/shared/errors";
import type { Api, EventFeed } from "./api.ts";
import type { Context } from "./context.ts";

/** How often to ask. */
export const waitingLimits = {
  /** While events come. */
  relaxedMs: 15_000,
  /** While they do not. */
  eagerMs: 2000,
  /** How long the server may be away before waiting is given up. */
  patienceMs: 300_000,
} as const;

/**
 * The request once it is no longer pending, or once `isOver` says so.
 * @throws JitdbError `local.interrupted` when the signal aborts; network errors once the server was away for too long.
 */
export async function waitForDecision(
  context: Pick<Context, "clock" | "pause">,
  api: Pick<Api, "request" | "watch">,
  id: string,
  signal: AbortSignal,
  isOver: (request: RequestView) => boolean = ({ state }) => state !== "pending",
): Promise<RequestView> {
  const hints = new Hints(api, (event) => isAbout(event, id));
  let lastAnswerAt = context.clock.now();
  try {
    for (;;) {
      await hints.open();
      signal.throwIfAborted();
      const request = await askPatiently(api, id, context.clock.now() - lastAnswerAt);
      if (request !== undefined) {
        lastAnswerAt = context.clock.now();
        if (isOver(request)) {
          return request;
        }
      }
      await hints.pause(context.pause, signal);
    }
  } catch (error) {
    if (signal.aborted) {
      throw interrupted(error);
    }
    throw error;
  } finally {
    hints.close();
  }
}

function isAbout(event: ServerEvent, id: string): boolean {
  return event.type === "request.changed" && event.request.id === id;
}

function interrupted(cause: unknown): JitdbError {
  return new JitdbError("local.interrupted", "Interrupted.", { cause });
}

/** The request, or undefined while the server is away and that is still bearable. */
async function askPatiently(
  api: Pick<Api, "request">,
  id: string,
  awayMs: number,
): Promise<RequestView | undefined> {
  try {
    return await api.request(id);
  } catch (error) {
    const away = error instanceof JitdbError && error.code === "server.unreachable";
    if (away && awayMs < waitingLimits.patienceMs) {
      return undefined;
    }
    throw error;
  }
}

/** Cuts pauses short when an event says that something changed. Whoever opens it closes it. */
export class Hints {
  readonly #api: Pick<Api, "watch">;
  readonly #matters: (event: ServerEvent) => boolean;
  #feed: EventFeed | undefined;
  #changed = new AbortController();
  /** Once in every pause that was waited out: a feed that always ends at once must not make a loop of questions. */
  #wakesAtEnd = true;

  constructor(api: Pick<Api, "watch">, matters: (event: ServerEvent) => boolean) {
    this.#api = api;
    this.#matters = matters;
  }

  async open(): Promise<void> {
    if (this.#feed?.open === true) {
      return;
    }
    try {
      this.#feed = await this.#api.watch(
        (event) => {
          if (this.#matters(event)) {
            this.#changed.abort();
          }
        },
        () => this.#ended(),
      );
    } catch {
      // Without events waiting goes on by asking more often, and asking reports what is really wrong.
      this.#feed = undefined;
    }
  }

  async pause(pause: Context["pause"], signal: AbortSignal): Promise<void> {
    const changed = this.#changed.signal;
    const ms = this.#feed?.open === true ? waitingLimits.relaxedMs : waitingLimits.eagerMs;
    try {
      await pause(ms, AbortSignal.any([signal, changed]));
      this.#wakesAtEnd = true;
    } catch (error) {
      if (!changed.aborted) {
        throw error;
      }
    }
    if (changed.aborted) {
      this.#changed = new AbortController();
    }
  }

  close(): void {
    this.#feed?.close();
  }

  /** Perhaps the server is gone: whoever waits should know. */
  #ended(): void {
    if (this.#wakesAtEnd) {
      this.#wakesAtEnd = false;
      this.#changed.abort();
    }
  }
}
