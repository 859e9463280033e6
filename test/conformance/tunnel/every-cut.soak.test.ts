// As cuts.test.ts, at every single byte of a conversation in memory, and at every forty-third where sockets
// take their time: each connection keeps its port for a minute, and a machine has some thirty thousand.

import { expect, it } from "vitest";
import { type Cut, carriers, type Direction } from "./carriers.ts";
import { measure, survive } from "./cuts.ts";

const directions: readonly Direction[] = ["toGateway", "toAgent"];

it.each(Object.keys(carriers))("a cut at byte after byte is survived over %s", async (name) => {
  const carrier = await (carriers[name]?.() ?? Promise.reject(new Error(name)));
  try {
    for (const direction of directions) {
      const { [direction]: total } = await measure(carrier);
      const stride = name === "memory" ? 1 : 43;
      const count = Math.floor(total / stride);
      const cuts = Array.from({ length: count }, (_, n): Cut[] => [
        { direction, bytes: n * stride },
      ]);
      expect(await survive(carrier, cuts)).toBeGreaterThan(count);
    }
  } finally {
    await carrier.close();
  }
});
