// Values in binary format as a server's send functions write them; test/gateway/statements.test.ts asks a real one.

import fc from "fast-check";
import { expect, it } from "vitest";
import { decodeBinary } from "./values.ts";

const decode = (type: number, hex: string) => decodeBinary(type, Buffer.from(hex, "hex"));

it.each([
  [16, "00", "false"],
  [20, "ffffffffffffffff", "-1"],
  [21, "8000", "-32768"],
  [23, "0000002a", "42"],
  [17, "00ff", "\\x00ff"],
  [25, "6772c3bcc39f", "grüß"],
  [700, "3dcccccd", "0.1"],
  [701, "3fb999999999999a", "0.1"],
  [701, "fff0000000000000", "-Infinity"],
  [1082, "ffffffff", "1999-12-31"],
  [1082, "7fffffff", "infinity"],
  [1114, "0000000000000001", "2000-01-01 00:00:00.000001"],
  [1184, "ffffffffffffffff", "1999-12-31 23:59:59.999999+00"],
  [1700, "0003000100000002" + "00010929" + "1388", "12345.50"],
  [1700, "000000000000000a", "0.0000000000"],
  [1700, "0001ffff40000004" + "0001", "-0.0001"],
  [1700, "00000000c0000000", "NaN"],
  [2950, "00112233445566778899aabbccddeeff", "00112233-4455-6677-8899-aabbccddeeff"],
  [3802, "017b7d", "{}"],
  [
    1007,
    "0000000100000001" + "00000017" + "0000000200000001" + "00000004" + "00000001" + "ffffffff",
    "{1,NULL}",
  ],
  [1009, "0000000100000000" + "00000019" + "0000000100000001" + "00000003" + "612062", '{"a b"}'],
  [1007, "0000000000000000" + "00000017", "{}"],
])("shows a value of type %i, %s, as %s", (type, hex, shown) => {
  expect(decode(type, hex)).toBe(shown);
});

it.each([
  ["a type that is not known", 600, "00"],
  ["bytes that end too early", 23, "00"],
  [
    "an array that counts more than it has",
    1007,
    "0000000200000000" + "00000017" + "7fffffff000000017fffffff00000001",
  ],
])("leaves %s to the hex of it", (_what, type, hex) => {
  expect(decode(type, hex)).toBeUndefined();
});

it("takes any bytes for any type", () => {
  const type = fc.constantFrom(
    16,
    17,
    20,
    21,
    23,
    700,
    701,
    1082,
    1083,
    1114,
    1184,
    1700,
    2950,
    3802,
    1007,
    1009,
  );
  fc.assert(
    fc.property(type, fc.uint8Array({ maxLength: 60 }), (oid, bytes) => {
      expect(typeof (decodeBinary(oid, Buffer.from(bytes)) ?? "")).toBe("string");
    }),
  );
});
