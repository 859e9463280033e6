// A tunnel's connection cut at many bytes of either direction, over every carrier: nothing lost, nothing doubled, every end heard.

import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Carrier, type Cut, carriers, type Direction } from "./carriers.ts";
import { measure, survive } from "./cuts.ts";

/** Cuts per carrier and direction; the soak tier takes every byte. */
const cutCount = 150;

describe.each(Object.keys(carriers))("over %s", (name) => {
  let carrier: Carrier;
  beforeAll(async () => {
    carrier = await (carriers[name]?.() ?? Promise.reject(new Error(name)));
  });
  afterAll(() => carrier?.close());

  it.each<Direction>(["toGateway", "toAgent"])(
    "a cut at any byte %s is survived: opening, closing, cancelling and refusing, too",
    async (direction) => {
      const { [direction]: total } = await measure(carrier);
      const cuts = Array.from({ length: cutCount }, (_, n): Cut[] => [
        { direction, bytes: Math.floor((total * n) / cutCount) },
      ]);
      expect(await survive(carrier, cuts)).toBeGreaterThan(cutCount);
    },
  );

  it("cuts in a row are survived, also of connections that only begin to go on", async () => {
    const { toGateway, toAgent } = await measure(carrier);
    const least = Math.min(toGateway, toAgent);
    const cuts = Array.from({ length: 10 }, (_, n): Cut[] =>
      Array.from({ length: 30 }, (_unused, k) => ({
        direction: (n + k) % 2 === 0 ? "toGateway" : "toAgent",
        bytes: Math.floor((((n * 30 + k) * 7919) % 1000) * 0.0002 * least),
      })),
    );
    expect(await survive(carrier, cuts)).toBeGreaterThan(100);
  });
});
