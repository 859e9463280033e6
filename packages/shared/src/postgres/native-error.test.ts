import { expect, test } from "vitest";
import { catalogue, type ErrorCode, JitdbError } from "../errors.ts";
import { type ErrorFields, parseErrorResponse, parseNoticeResponse } from "./backend.ts";
import { headerBytes } from "./messages.ts";
import { encodeEnd, encodeRefusal, encodeWarning } from "./native-error.ts";

const codes = Object.keys(catalogue) as ErrorCode[];

function fields(message: Uint8Array): ErrorFields {
  return parseErrorResponse(message.subarray(headerBytes));
}

test("every error of the catalogue refuses a client with its SQLSTATE, its message and a hint", () => {
  for (const code of codes) {
    const { sqlstate, hint } = catalogue[code];
    expect(fields(encodeRefusal(new JitdbError(code, `It is ${code}.`)))).toEqual({
      localizedSeverity: "FATAL",
      severity: "FATAL",
      code: sqlstate,
      message: `It is ${code}.`,
      hint,
    });
    expect(sqlstate).toMatch(/^[0-9A-Z]{5}$/);
  }
});

test.each([
  ["limit.reached", "53300", "57P01"],
  ["database.unknown", "3D000", "57P01"],
  ["database.not_ready", "57P03", "57P03"],
  ["database.unavailable", "08006", "08006"],
  ["login.expired", "28000", "57P01"],
  ["login.disabled", "28000", "57P01"],
  ["grant.none", "42501", "57P01"],
  ["grant.expired", "57P01", "57P01"],
  ["tunnel.going_away", "57P01", "57P01"],
  ["tunnel.lost", "08006", "08006"],
  ["audit.unavailable", "58030", "58030"],
  ["postgres.protocol", "08P01", "08P01"],
  ["postgres.too_large", "54000", "54000"],
  ["postgres.replication", "0A000", "57P01"],
  ["internal", "XX000", "XX000"],
] as const)("%s refuses a client with %s, and ends a session with %s", (code, refusal, end) => {
  const error = new JitdbError(code, "It is so.");
  expect(fields(encodeRefusal(error)).code).toBe(refusal);
  expect(fields(encodeEnd(error)).code).toBe(end);
});

test("a NUL in a message or a hint does not keep it from its reader", () => {
  const error = new JitdbError("grant.revoked", "Revoked: a\0b.", { hint: "c\0d" });
  expect(fields(encodeEnd(error))).toMatchObject({
    message: "Revoked: a\ufffdb.",
    hint: "c\ufffdd",
  });
  const warning = encodeWarning("e\0f", "g");
  expect(parseNoticeResponse(warning.subarray(headerBytes))).toMatchObject({
    severity: "WARNING",
    code: "01000",
    message: "e\ufffdf",
  });
});
