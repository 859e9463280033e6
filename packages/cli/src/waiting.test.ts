import type { ServerEvent } from "@jitdb/shared/api/events";
import { JitdbError } from "@jitdb/shared/errors";
import { describe, expect, it } from "vitest";
import { sampleRequest } from "./fakes.ts";
import { waitForDecision, waitingLimits } from "./waiting.ts";

const never = new AbortController().signal;
const approved = sampleRequest({ state: "approved" });

/** A clock that pauses move. */
function createTime() {
  const time = { ms: 0, pauses: [] as number[] };
  return {
    time,
    context: {
      clock: { now: () => time.ms },
      pause: (ms: number) => {
        time.pauses.push(ms);
        time.ms += ms;
        return Promise.resolve();
      },
    },
  };
}

const noFeed = () => Promise.reject(new JitdbError("server.unreachable", "No events."));

describe("waitForDecision", () => {
  it("asks often without events and goes on until the request is decided", async () => {
    const { context, time } = createTime();
    const answers = [sampleRequest(), sampleRequest(), approved];
    const request = () => Promise.resolve(answers.shift() ?? approved);
    const decided = await waitForDecision(
      context,
      { request, watch: noFeed },
      "req_7k2m9x4q",
      never,
    );
    expect(decided).toBe(approved);
    expect(time.pauses).toEqual([waitingLimits.eagerMs, waitingLimits.eagerMs]);
  });

  it("asks at once when an event says so, and closes the feed", async () => {
    let tell: (event: ServerEvent) => void = () => undefined;
    let closed = false;
    let state = sampleRequest();
    const pause = (ms: number, signal?: AbortSignal) => {
      expect(ms).toBe(waitingLimits.relaxedMs);
      state = approved;
      tell({ type: "request.changed", request: sampleRequest({ id: "req_other000" }) });
      expect(signal?.aborted).toBe(false);
      tell({ type: "request.changed", request: approved });
      return signal?.aborted === true ? Promise.reject(signal.reason) : Promise.resolve();
    };
    const api = {
      request: () => Promise.resolve(state),
      watch: (onEvent: typeof tell) => {
        tell = onEvent;
        return Promise.resolve({
          open: true,
          close: () => {
            closed = true;
          },
        });
      },
    };
    const context = { clock: { now: () => 0 }, pause };
    expect(await waitForDecision(context, api, "req_7k2m9x4q", never)).toBe(approved);
    expect(closed).toBe(true);
  });

  it("asks at once when the events end, but not again and again where they always end at once", async () => {
    let end: () => void = () => undefined;
    const log: string[] = [];
    const answers = [sampleRequest(), sampleRequest(), sampleRequest(), approved];
    const pause = (ms: number, signal?: AbortSignal) => {
      end();
      log.push(signal?.aborted === true ? "woken" : `waited ${ms}`);
      return signal?.aborted === true ? Promise.reject(signal.reason) : Promise.resolve();
    };
    const api = {
      request: () => Promise.resolve(answers.shift() ?? approved),
      watch: (_: unknown, onEnd?: () => void) => {
        end = onEnd ?? end;
        return Promise.resolve({ open: false, close: () => undefined });
      },
    };
    const context = { clock: { now: () => 0 }, pause };
    expect(await waitForDecision(context, api, "req_7k2m9x4q", never)).toBe(approved);
    expect(log).toEqual(["woken", `waited ${waitingLimits.eagerMs}`, "woken"]);
  });

  it("bears a server that restarts, but not for ever", async () => {
    const { context, time } = createTime();
    const request = noFeed;
    await expect(
      waitForDecision(context, { request, watch: noFeed }, "req_7k2m9x4q", never),
    ).rejects.toMatchObject({ code: "server.unreachable" });
    expect(time.ms).toBe(waitingLimits.patienceMs);
  });

  it("does not bear other errors", async () => {
    const { context } = createTime();
    const request = () => Promise.reject(new JitdbError("login.expired", "Over."));
    await expect(
      waitForDecision(context, { request, watch: noFeed }, "req_7k2m9x4q", never),
    ).rejects.toMatchObject({ code: "login.expired" });
  });
});
