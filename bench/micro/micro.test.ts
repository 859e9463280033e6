import { describe, expect, it } from "vitest";
import { toMicroTable } from "./micro.ts";
import { idleTunnel, micros } from "./parts.ts";

describe("micro-benchmarks", () => {
  it.each(micros)("$name: does its work as often as it is asked to", ({ prepare }) => {
    const { run, close } = prepare();
    run(3);
    run(100);
    close?.();
  });

  it("opens idle streams", () => {
    const tunnel = idleTunnel(300);
    tunnel.open();
    tunnel.close();
  });

  it("says what has changed since another run", () => {
    const result = { name: "walker", nanoseconds: 200, ratio: 0.5, spread: 1.1 };
    expect(toMicroTable([result], [{ ...result, ratio: 0.4 }])).toBe(
      "part     ns  x yardstick  spread  before  change\n" +
        "walker  200         0.50    1.10    0.40    25 %\n",
    );
  });
});
