// What waits for the caller's decision, kept up to date: events as hints, asking as the truth. It bears any time without the
// server, and says when that begins and when it ends.

import type { RequestView } from "@jitdb/shared/api/access";
import { JitdbError } from "@jitdb/shared/errors";
import type { Api } from "../api.ts";
import type { Context } from "../context.ts";
import { Hints } from "../waiting.ts";
import { differs } from "./decide.ts";

/** More than anybody decides on. */
const allOfThem = 500;

export interface InboxListener {
  /** Told of requests that were not there at the look before, oldest first. */
  fresh(requests: readonly RequestView[], isFirstLook: boolean): void;
  /** The server does not answer any more. */
  away(error: JitdbError): void;
  back(awayMs: number): void;
}

type InboxApi = Pick<Api, "requests" | "request" | "watch">;

export class InboxWatch {
  readonly #context: Pick<Context, "clock" | "pause">;
  readonly #api: InboxApi;
  readonly #listener: InboxListener;
  readonly #seen = new Set<string>();
  #requests: readonly RequestView[] = [];
  #isFirstLook = true;
  #awaySince: number | undefined;
  #next = createTurn();

  constructor(context: Pick<Context, "clock" | "pause">, api: InboxApi, listener: InboxListener) {
    this.#context = context;
    this.#api = api;
    this.#listener = listener;
  }

  /** As the last look found them, oldest first. */
  get requests(): readonly RequestView[] {
    return this.#requests;
  }

  /** Resolves at the next look that the server answers. */
  looked(): Promise<void> {
    return this.#next.done;
  }

  /**
   * Looks until the signal aborts.
   * @throws JitdbError of the first look; later on what time does not mend, such as `login.expired`
   */
  async run(signal: AbortSignal): Promise<void> {
    const hints = new Hints(this.#api, ({ type }) => type === "request.changed");
    try {
      while (!signal.aborted) {
        await hints.open();
        await this.#look();
        await hints.pause(this.#context.pause, signal);
      }
    } catch (error) {
      if (!signal.aborted) {
        throw error;
      }
    } finally {
      hints.close();
    }
  }

  /** Resolves when a request is not what it was. */
  async changeOf(known: RequestView): Promise<RequestView> {
    for (;;) {
      const looked = this.looked();
      const listed = this.#requests.find(({ id }) => id === known.id);
      const now = listed ?? (await this.#ask(known));
      if (differs(known, now)) {
        return now;
      }
      await looked;
    }
  }

  /** What became of one that is no longer listed; as it was, while that cannot be said. */
  async #ask(known: RequestView): Promise<RequestView> {
    try {
      return await this.#api.request(known.id);
    } catch (error) {
      if (!(error instanceof JitdbError)) {
        throw error;
      }
      return error.code === "request.unknown" ? { ...known, canDecide: false } : known;
    }
  }

  async #look(): Promise<void> {
    const query = { scope: "inbox", state: "pending", limit: allOfThem } as const;
    try {
      const { requests } = await this.#api.requests(query);
      this.#found(requests.toReversed());
    } catch (error) {
      if (!(error instanceof JitdbError && error.forms.http >= 500) || this.#isFirstLook) {
        throw error;
      }
      if (this.#awaySince === undefined) {
        this.#awaySince = this.#context.clock.now();
        this.#listener.away(error);
      }
    }
  }

  #found(requests: readonly RequestView[]): void {
    if (this.#awaySince !== undefined) {
      this.#listener.back(this.#context.clock.now() - this.#awaySince);
      this.#awaySince = undefined;
    }
    const fresh = requests.filter(({ id, canDecide }) => canDecide && !this.#seen.has(id));
    for (const { id } of fresh) {
      this.#seen.add(id);
    }
    this.#requests = requests;
    if (fresh.length > 0) {
      this.#listener.fresh(fresh, this.#isFirstLook);
    }
    this.#isFirstLook = false;
    const looked = this.#next;
    this.#next = createTurn();
    looked.finish();
  }
}

function createTurn(): { readonly done: Promise<void>; readonly finish: () => void } {
  let finish: () => void = () => undefined;
  const done = new Promise<void>((resolve) => {
    finish = resolve;
  });
  return { done, finish };
}
