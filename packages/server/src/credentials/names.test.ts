import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { createUserName, describeUserName, userNamePattern } from "./names.ts";

const random = { bytes: (count: number) => new Uint8Array(count).fill(31) };

describe("names of ephemeral users", () => {
  test("say whose they are and fit into 32 bytes", () => {
    expect(createUserName(random, "ab1", "alice")).toBe("jit_ab1_alice_zzzzzzzzzzzzz");
    expect(createUserName(random, "abcde", "Anne-Marie.O'Neil@example.org")).toBe(
      "jit_abcde_annemari_zzzzzzzzzzzzz",
    );
    expect(createUserName(random, "ab1", "李")).toBe("jit_ab1_x_zzzzzzzzzzzzz");
    expect(describeUserName("abcde", "Anne-Marie")).toBe("jit_abcde_annemari_<random>");
  });

  test("are at most 32 bytes of plain ASCII and match their own installation alone, whatever the person is called", () => {
    const installation = fc.stringMatching(/^[a-z0-9]{1,5}$/);
    fc.assert(
      fc.property(
        installation,
        installation,
        fc.string({ unit: "grapheme" }),
        (own, other, person) => {
          const name = createUserName(random, own, person);
          expect(name).toMatch(/^[a-z0-9_]{1,32}$/);
          expect(name).toMatch(new RegExp(userNamePattern(own)));
          expect(new RegExp(userNamePattern(other)).test(name)).toBe(own === other);
        },
      ),
    );
  });
});
