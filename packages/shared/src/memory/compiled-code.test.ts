import { expect, it } from "vitest";
import { keepCompiledCode } from "./compiled-code.ts";

function flagsOf(v8Version: string): string[] {
  const flags: string[] = [];
  keepCompiledCode({ setFlagsFromString: (flag) => flags.push(flag), v8Version });
  return flags;
}

it("says nothing to a V8 that does not know it", () => {
  expect(flagsOf("12.4.254.21-node.56")).toEqual([]);
  expect(flagsOf("13.6.233.17-node.51")).not.toEqual([]);
  expect(flagsOf("14.0.1")).not.toEqual([]);
});
