import { JitdbError } from "@jitdb/shared/errors";
import { describe, expect, it } from "vitest";
import { Trouble, troubleTimes } from "./trouble.ts";

const away = new JitdbError("database.unavailable", "orders cannot be reached.", {
  detail: "ECONNREFUSED",
});
const refused = new JitdbError("database.misconfigured", "orders refuses the admin role.");

function scene() {
  const said: string[] = [];
  const log = {
    warn: (fields: object, text: string) => said.push(`warn ${text} ${JSON.stringify(fields)}`),
    info: (fields: object, text: string) => said.push(`info ${text} ${JSON.stringify(fields)}`),
  };
  const clock = { time: 1000, now: () => clock.time };
  const trouble = new Trouble({ name: "orders", clock, log: log as never });
  return { said, clock, trouble };
}

describe("trouble with a database", () => {
  it("is said once, however many meet it, and once more when it is over", () => {
    const { said, clock, trouble } = scene();
    for (let times = 0; times < 100; times += 1) {
      trouble.met(away);
      clock.time += 100;
    }
    trouble.over();
    trouble.over();
    expect(said).toEqual([
      'warn orders cannot be reached. {"database":"orders","code":"database.unavailable","detail":"ECONNREFUSED"}',
      'info orders works again. {"database":"orders","lastedMs":10000}',
    ]);
  });

  it("is said again when it becomes something else, and each minute", () => {
    const { said, clock, trouble } = scene();
    trouble.met(away);
    trouble.met(refused);
    trouble.met(new JitdbError(refused.code, refused.message, { detail: "in other words" }));
    expect(said).toHaveLength(2);
    clock.time += troubleTimes.reminderMs;
    trouble.met(refused);
    trouble.met(refused);
    expect(said).toHaveLength(3);
  });

  it("is new when it comes back", () => {
    const { said, trouble } = scene();
    trouble.met(away);
    trouble.over();
    trouble.met(away);
    expect(said).toHaveLength(3);
  });
});
