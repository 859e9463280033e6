import { EventEmitter, once } from "node:events";
import { setTimeout as delay } from "node:timers/promises";
import { queryObjects } from "node:v8";
import { describe, expect, it } from "vitest";
import { withDeadline } from "./deadline.ts";

const never = () => new AbortController().signal;

describe("work with a deadline", () => {
  it("gives what the work gives, and leaves nothing that listens", async () => {
    const somebody = new AbortController();
    let seen: AbortSignal | undefined;
    const result = await withDeadline(60_000, somebody.signal, async (signal) => {
      seen = signal;
      return 17;
    });
    somebody.abort();
    expect(result).toBe(17);
    expect(seen?.aborted).toBe(false);
  });

  it("is given up when its time is over", async () => {
    const work = withDeadline(10, never(), (signal) => once(signal, "abort").then(() => signal));
    const { reason } = await work;
    expect(reason).toMatchObject({ message: "not done in 0.01s" });
  });

  it("is given up with the other signal, and at once where that was aborted before", async () => {
    const somebody = new AbortController();
    const work = withDeadline(60_000, somebody.signal, async (signal) => {
      await once(signal, "abort");
      throw signal.reason;
    });
    somebody.abort("enough");
    await expect(work).rejects.toBe("enough");
    const late = withDeadline(60_000, AbortSignal.abort("before"), async (signal) => signal.reason);
    await expect(late).resolves.toBe("before");
  });

  it("keeps no signal of it, also where one deadline stands within another (a session is logged in a million times)", async () => {
    const before = queryObjects(AbortSignal, { format: "count" });
    for (let count = 0; count < 100; count += 1) {
      await withDeadline(60_000, never(), (outer) =>
        withDeadline(50_000, outer, async (inner) => {
          const socket = new EventEmitter();
          setImmediate(() => socket.emit("connect"));
          await once(socket, "connect", { signal: AbortSignal.any([inner, never()]) });
        }),
      );
    }
    await delay(50);
    expect(queryObjects(AbortSignal, { format: "count" }) - before).toBeLessThan(20);
  });
});
