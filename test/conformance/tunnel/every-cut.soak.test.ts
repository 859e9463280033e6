// As cuts.test.ts, at every single byte of a conversation.

import { expect, it } from "vitest";
import { type Cut, carriers, type Direction } from "./carriers.ts";
import { measure, survive } from "./cuts.ts";

const directions: readonly Direction[] = ["toGateway", "toAgent"];

it.each(Object.keys(carriers))("a cut at each byte is survived over %s", async (name) => {
  const carrier = await (carriers[name]?.() ?? Promise.reject(new Error(name)));
  try {
    for (const direction of directions) {
      const { [direction]: total } = await measure(carrier);
      const cuts = Array.from({ length: total }, (_, bytes): Cut[] => [{ direction, bytes }]);
      expect(await survive(carrier, cuts)).toBeGreaterThan(total);
    }
  } finally {
    await carrier.close();
  }
});
