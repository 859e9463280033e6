import { Secret } from "@jitdb/shared/secret";
import { describe, expect, test } from "vitest";
import { deriveDatabaseKey, derivePassword } from "./keys.ts";

const master = (fill: number) => ({
  id: "key-1",
  key: new Secret(Buffer.alloc(32, fill).toString("base64")),
});

function password(fill: number, database: string, userName: string, generation: number): string {
  return derivePassword(deriveDatabaseKey(master(fill), database), {
    userName,
    generation,
  }).reveal();
}

describe("passwords of ephemeral users", () => {
  test("are the same whenever they are derived", () => {
    expect(password(1, "orders", "jit_a", 1)).toBe(password(1, "orders", "jit_a", 1));
  });

  test("differ with master key, database, user and generation", () => {
    const all = [
      password(1, "orders", "jit_a", 1),
      password(2, "orders", "jit_a", 1),
      password(1, "billing", "jit_a", 1),
      password(1, "orders", "jit_b", 1),
      password(1, "orders", "jit_a", 2),
      password(1, "orders", "jit_a1", 2),
    ];
    expect(new Set(all).size).toBe(all.length);
  });

  test("are 43 printable ASCII characters, and print as redacted", () => {
    expect(password(1, "orders", "jit_a", 1)).toMatch(/^[A-Za-z0-9_-]{43}$/);
    const secret = derivePassword(new Uint8Array(32), { userName: "x", generation: 1 });
    expect(JSON.stringify({ secret })).toBe('{"secret":"[secret]"}');
  });
});
