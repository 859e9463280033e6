import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { JitdbError } from "../errors.ts";
import { Secret } from "../secret.ts";
import type { MapType } from "./frame.ts";
import { tunnelLimits } from "./limits.ts";
import { decodeMap, encodeMap, mapSchemas } from "./maps.ts";

const types = Object.keys(mapSchemas) as MapType[];

const toBytes = (text: string) => new TextEncoder().encode(text);
const toText = (payload: Uint8Array) => new TextDecoder().decode(payload);

function failureOf(action: () => unknown): JitdbError | undefined {
  try {
    action();
    return undefined;
  } catch (error) {
    if (error instanceof JitdbError) {
      return error;
    }
    throw error;
  }
}

describe("maps", () => {
  it("carry bytes as base64 on the wire and as bytes in memory", () => {
    const open = {
      engine: "postgres",
      kind: "session",
      grant: "grt_1",
      startup: Uint8Array.of(0, 3, 0, 0, 255),
    } as const;
    const payload = encodeMap("OPEN", open);
    expect(toText(payload)).toBe(
      '{"engine":"postgres","kind":"session","grant":"grt_1","startup":"AAMAAP8="}',
    );
    expect(decodeMap("OPEN", payload)).toEqual(open);
    const spare = {
      id: "spr_1",
      engine: "postgres",
      grant: "grt_1",
      startup: Uint8Array.of(0, 255),
      greeting: Uint8Array.of(82),
    };
    expect(decodeMap("SPARE", encodeMap("SPARE", spare))).toEqual(spare);
  });

  it("carry every other type there and back", () => {
    const hello = { version: 1, software: "jitdb 0.1.0", maxStreams: 8, windowBytes: 262_144 };
    const notice = {
      kind: "expiring",
      grant: "grt_1",
      expiresAt: "2026-11-23T10:00:00.000Z",
      message: "Five minutes left.",
    } as const;
    const failure = { code: "grant.expired", message: "It is over.", hint: "Ask again." };
    expect(decodeMap("HELLO", encodeMap("HELLO", hello))).toEqual(hello);
    expect(decodeMap("OPENED", encodeMap("OPENED", { session: "ses_1" }))).toEqual({
      session: "ses_1",
    });
    expect(decodeMap("NOTICE", encodeMap("NOTICE", notice))).toEqual(notice);
    expect(decodeMap("RESET", encodeMap("RESET", failure))).toEqual(failure);
    expect(decodeMap("GOAWAY", encodeMap("GOAWAY", failure))).toEqual(failure);
  });

  it("keep an access token where nothing prints it (invariant 37)", () => {
    const payload = encodeMap("AUTH", { accessToken: new Secret("canary"), proof: "p" });
    expect(toText(payload)).toBe('{"accessToken":"canary","proof":"p"}');
    const auth = decodeMap("AUTH", payload);
    expect(auth.accessToken.reveal()).toBe("canary");
    expect(JSON.stringify(auth)).not.toContain("canary");
  });

  it("say which keys are wrong and never what was in them (invariant 37)", () => {
    for (const text of ['{"accessToken":["canary"],"proof":1}', '{"accessToken":"canary"']) {
      const failure = failureOf(() => decodeMap("AUTH", toBytes(text)));
      expect(failure?.code).toBe("tunnel.protocol");
      expect(`${failure?.stack} ${failure?.cause}`).not.toContain("canary");
    }
  });

  it("ignore keys that they do not know", () => {
    const payload = toBytes('{"session":"ses_1","later":{"a":1},"__proto__":{"b":2}}');
    expect(decodeMap("OPENED", payload)).toEqual({ session: "ses_1" });
  });

  it("make one line of a text and cut it at its limit, sent or received (invariant 24)", () => {
    const message = `a\r\nb\u001b]52;c\u0007${"x".repeat(tunnelLimits.maxTextChars)}`;
    const sent = toText(encodeMap("RESET", { code: "internal", message }));
    const received = decodeMap("RESET", toBytes(JSON.stringify({ code: "internal", message })));
    expect(JSON.parse(sent)).toEqual(received);
    expect(received.message).toMatch(/^a {2}b \]52;c x+$/);
    expect(received.message).toHaveLength(tunnelLimits.maxTextChars);
  });

  it("hold an announcement of the largest size that there is", () => {
    const greeting = new Uint8Array(tunnelLimits.maxSpareBytes);
    const [id, grant] = ["i".repeat(128), "g".repeat(128)];
    const spare = { id, engine: "postgres", grant, startup: new Uint8Array(0), greeting };
    expect(decodeMap("SPARE", encodeMap("SPARE", spare))).toEqual(spare);
  });

  it("are refused when they are over the limit of a frame", () => {
    const startup = new Uint8Array(tunnelLimits.maxMapPayloadBytes);
    const open = { engine: "postgres", kind: "session", grant: "g", startup } as const;
    expect(failureOf(() => encodeMap("OPEN", open))?.code).toBe("tunnel.too_large");
  });

  it("are refused when a value is not what the schema asks for", () => {
    const wrong: [MapType, string][] = [
      ["HELLO", '{"version":0,"software":"x","windowBytes":1}'],
      ["HELLO", '{"version":1,"software":"x","windowBytes":0}'],
      ["HELLO", `{"version":1,"software":"x","windowBytes":${tunnelLimits.maxWindowBytes + 1}}`],
      ["HELLO", '{"version":1,"software":"x","windowBytes":1,"maxStreams":0}'],
      ["OPEN", '{"engine":"postgres","kind":"other","grant":"g","startup":""}'],
      ["OPEN", '{"engine":"postgres","kind":"session","grant":"g","startup":"A!"}'],
      ["OPEN", '{"engine":"Post\\u0000","kind":"session","grant":"g","startup":""}'],
      ["NOTICE", '{"kind":"expired","grant":"g","expiresAt":"tomorrow","message":""}'],
      ["RESET", '{"code":"<b>","message":""}'],
      ["OPEN", '{"engine":"postgres","kind":"session","grant":"g","startup":"","spare":""}'],
      ["SPARE", '{"id":"s","engine":"postgres","grant":"g","startup":""}'],
      ["SPENT", "{}"],
      ["OPENED", "[]"],
      ["OPENED", "null"],
      ["OPENED", '\ufeff{"session":"s"}'],
    ];
    for (const [type, text] of wrong) {
      expect(failureOf(() => decodeMap(type, toBytes(text)))?.code).toBe("tunnel.protocol");
    }
    expect(failureOf(() => encodeMap("OPENED", { session: "" }))?.code).toBe("tunnel.protocol");
  });

  it("turn any bytes into a value or one of our errors (invariant 14)", () => {
    const texts = fc.oneof(fc.json(), fc.constant("[".repeat(60_000))).map(toBytes);
    fc.assert(
      fc.property(
        fc.constantFrom(...types),
        fc.oneof(fc.uint8Array({ maxLength: 50 }), texts),
        (type, payload) => {
          const failure = failureOf(() => decodeMap(type, payload));
          expect([undefined, "tunnel.protocol"]).toContain(failure?.code);
        },
      ),
    );
  });
});
