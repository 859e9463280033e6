import { describe, expect, it } from "vitest";
import { createLogger } from "./logger.ts";

function logged(form: "readable" | "json", fields: object, message = "said"): string {
  const lines: string[] = [];
  createLogger({ write: (line) => lines.push(line) }, form).info(fields, message);
  return lines.join("");
}

describe("the log", () => {
  it.each([
    ["at the top", { authorization: "canary" }],
    ["in headers", { req: { headers: { dpop: "canary", cookie: "canary" } } }],
    ["one level down", { login: { token: "canary", password: "canary" } }],
    ["two levels down", { a: { b: { secret: "canary", query: "canary" } } }],
  ])("redacts secrets %s of what is logged (invariant 37)", (_name, fields) => {
    for (const form of ["json", "readable"] as const) {
      expect(logged(form, fields)).toContain("[redacted]");
      expect(logged(form, fields)).not.toContain("canary");
    }
  });

  it("has one readable line for a message and its values", () => {
    const line = logged("readable", { address: "127.0.0.1", count: 2 });
    expect(line).toMatch(/^\d\d:\d\d:\d\d info {2}said address=127\.0\.0\.1 count=2\n$/);
  });

  it("lets no value forge a line or steer a terminal", () => {
    const line = logged("readable", { name: "a\n12:00:00 info  forged\u001b[2J" }, "b\nc\u001b[2J");
    expect(line.match(/\n/g)).toHaveLength(1);
    expect(line).not.toContain("\u001b");
  });

  it("keeps the stack of an error", () => {
    expect(logged("readable", { err: new Error("broken") })).toMatch(
      /\n {4}Error: broken\n {8}at /,
    );
  });
});
