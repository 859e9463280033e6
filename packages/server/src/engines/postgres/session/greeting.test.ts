import { randomBytes } from "node:crypto";
import {
  encodeNoticeResponse,
  encodeParameterStatus,
  encodeReadyForQuery,
} from "@jitdb/shared/postgres/encoder";
import {
  encodeCancelRequest,
  newestProtocolVersion,
  protocolVersions,
} from "@jitdb/shared/postgres/startup";
import { expect, it } from "vitest";
import { greet, greetAgain, readGreeting } from "./greeting.ts";
import type { LoggedIn } from "./login.ts";

const random = { bytes: (count: number) => randomBytes(count) };
const startUp = { version: protocolVersions.v3_0, protocolOptions: [], settings: [] };
const timeZone = (value: string) => encodeParameterStatus({ name: "TimeZone", value });
const encoding = encodeParameterStatus({ name: "client_encoding", value: "UTF8" });
const notice = encodeNoticeResponse({ severity: "NOTICE", code: "00000", message: "Welcome." });

function login(processId: number, greeting: readonly Uint8Array[]): LoggedIn {
  const key = { processId, secret: randomBytes(4) };
  return { version: newestProtocolVersion, key, greeting } as unknown as LoggedIn;
}

it("gives the true process id and a secret of its own, each time another one", () => {
  const one = login(7, [encoding]);
  const [first, second] = [greet(startUp, one, random), greet(startUp, one, random)];
  expect(first.key.data.processId).toBe(7);
  expect(first.key.data.secret).not.toEqual(one.key.secret);
  expect(first.key.data.secret).not.toEqual(second.key.data.secret);
  expect(first.bytes.subarray(-6)).toEqual(Buffer.from(encodeReadyForQuery("idle")));
});

it("leaves nothing to be said to a client that was greeted with the same login", () => {
  const one = login(7, [encoding, notice, timeZone("UTC")]);
  const told = greet(startUp, one, random);
  const again = greetAgain(readGreeting(told.bytes), one);
  expect(again.bytes).toHaveLength(0);
  expect(again.key.isNamedBy(encodeCancelRequest(told.key.data))).toBe(true);
});

it("leaves the parameters that another login has otherwise, and the key as it was told", () => {
  const told = greet(startUp, login(7, [encoding, timeZone("UTC")]), random);
  const other = login(8, [encoding, notice, timeZone("Asia/Tokyo")]);
  const again = greetAgain(readGreeting(told.bytes), other);
  expect(again.bytes).toEqual(Buffer.from(timeZone("Asia/Tokyo")));
  expect(again.key.data).toEqual(told.key.data);
});

it("takes no greeting without a key", () => {
  expect(() => readGreeting(encoding)).toThrow("without a cancel key");
});
