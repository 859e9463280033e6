import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { JitdbError } from "../errors.ts";
import {
  encodeCancelRequest,
  encodeGssEncRequest,
  encodeSslRequest,
  encodeStartupMessage,
  parseStartupPacket,
  protocolVersions,
  StartupDecoder,
  type StartupPacket,
  startupParameter,
} from "./startup.ts";
import { encodeText } from "./writer.ts";

// What psql 15 sent to PostgreSQL 15.18, recorded between the two.
const psqlStartup =
  "0000003e000300007573657200616c69636500646174616261736500706f737467726573006170706c69636174696f6e5f6e616d6500676f6c64656e0000";
const psqlSslRequest = "0000000804d2162f";

function bytes(hex: string): Uint8Array {
  return Uint8Array.from(hex.match(/[0-9a-f]{2}/g) ?? [], (pair) => Number.parseInt(pair, 16));
}

function parameter(name: string, value: string) {
  return { name, value: encodeText(value) };
}

function codeOf(action: () => unknown): string {
  try {
    action();
  } catch (error) {
    return error instanceof JitdbError ? error.code : String(error);
  }
  return "nothing";
}

/** A start-up packet of exactly `length` bytes. */
function startupOf(length: number): Uint8Array {
  const empty = encodeStartupMessage({
    version: protocolVersions.v3_0,
    parameters: [parameter("options", "")],
  }).length;
  const packet = new Uint8Array(length);
  packet.set(encodeText("options"), 8);
  packet.fill(0x20, 16, 16 + length - empty);
  new DataView(packet.buffer).setUint32(0, length);
  new DataView(packet.buffer).setUint32(4, protocolVersions.v3_0);
  return packet;
}

const anyByteName = fc
  .array(fc.integer({ min: 1, max: 255 }), { minLength: 1, maxLength: 12 })
  .map((codes) => String.fromCharCode(...codes));
const anyValue = fc
  .array(fc.integer({ min: 1, max: 255 }), { maxLength: 30 })
  .map((values) => Uint8Array.from(values));
const anyPacket: fc.Arbitrary<StartupPacket> = fc.oneof(
  fc.record({
    kind: fc.constant("startup" as const),
    version: fc.integer({ min: 0x30000, max: 0x3ffff }),
    parameters: fc.array(fc.record({ name: anyByteName, value: anyValue }), { maxLength: 8 }),
  }),
  fc.record({
    kind: fc.constant("cancel" as const),
    processId: fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 }),
    secret: fc.uint8Array({ minLength: 4, maxLength: 256 }),
  }),
  fc.constantFrom({ kind: "ssl" as const }, { kind: "gssenc" as const }),
);

function encode(packet: StartupPacket): Uint8Array {
  switch (packet.kind) {
    case "ssl":
      return encodeSslRequest();
    case "gssenc":
      return encodeGssEncRequest();
    case "cancel":
      return encodeCancelRequest(packet);
    case "startup":
      return encodeStartupMessage(packet);
  }
}

describe("start-up packets", () => {
  test("reads and writes what psql sends", () => {
    const message = {
      version: protocolVersions.v3_0,
      parameters: [
        parameter("user", "alice"),
        parameter("database", "postgres"),
        parameter("application_name", "golden"),
      ],
    };
    expect(parseStartupPacket(bytes(psqlStartup))).toEqual({ kind: "startup", ...message });
    expect(encodeStartupMessage(message)).toEqual(bytes(psqlStartup));
    expect(encodeSslRequest()).toEqual(bytes(psqlSslRequest));
  });

  test("parsing what was encoded gives the same packet, in any split", () => {
    fc.assert(
      fc.property(anyPacket, fc.nat(), (packet, place) => {
        const encoded = encode(packet);
        const at = place % encoded.length;
        const decoder = new StartupDecoder();
        expect(decoder.push(encoded.subarray(0, at))).toBeUndefined();
        expect(decoder.push(encoded.subarray(at))).toEqual(packet);
        expect(decoder.rest).toHaveLength(0);
      }),
    );
  });

  test("random bytes end in a packet, in waiting, or in an error of ours", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 64 }), (tail) => {
        const packet = new Uint8Array(8 + tail.length);
        new DataView(packet.buffer).setUint32(0, packet.length);
        new DataView(packet.buffer).setUint32(4, protocolVersions.v3_2);
        packet.set(tail, 8);
        expect(["nothing", "postgres.protocol"]).toContain(
          codeOf(() => parseStartupPacket(packet)),
        );
        expect(["nothing", "postgres.protocol", "postgres.version"]).toContain(
          codeOf(() => new StartupDecoder().push(tail)),
        );
      }),
    );
  });

  test("goes by the last of a repeated parameter, as the server does", () => {
    const parsed = parseStartupPacket(
      encodeStartupMessage({
        version: protocolVersions.v3_2,
        parameters: [parameter("user", "first"), parameter("user", "last")],
      }),
    );
    expect(parsed.kind === "startup" && startupParameter(parsed, "user")).toEqual(
      encodeText("last"),
    );
    expect(parsed.kind === "startup" && startupParameter(parsed, "USER")).toBeUndefined();
  });

  test.each([
    ["has no terminator", "00000000 00030000 61006200", 12],
    ["has a name without a value", "00000000 00030000 610000", 11],
    ["goes on behind its terminator", "00000000 00030000 6100620000 00", 14],
    ["is an SSLRequest with a tail", "00000009 04d2162f 00", 9],
    ["is a cancel with a key of 3 bytes", "0000000f 04d2162e 00000001 010203", 15],
  ])("refuses a packet that %s", (_, hex, length) => {
    const packet = bytes(hex);
    new DataView(packet.buffer).setUint32(0, length);
    expect(packet).toHaveLength(length);
    expect(codeOf(() => parseStartupPacket(packet))).toBe("postgres.protocol");
  });

  test.each(["00020000", "00040000", "04d21631"])(
    "refuses a start-up of another major version than 3, with the code %s",
    (code) => {
      expect(codeOf(() => parseStartupPacket(bytes(`00000008${code}`)))).toBe("postgres.version");
    },
  );

  test("refuses a cancel key of 257 bytes", () => {
    const packet = encodeCancelRequest({ processId: 1, secret: new Uint8Array(257) });
    expect(codeOf(() => parseStartupPacket(packet))).toBe("postgres.protocol");
  });

  test("takes 10,000 bytes and refuses 10,001 after the first four (invariant 14)", () => {
    const decoder = new StartupDecoder();
    expect(decoder.push(startupOf(10_000))).toMatchObject({ kind: "startup" });
    const over = startupOf(10_001);
    expect(codeOf(() => new StartupDecoder().push(over.subarray(0, 4)))).toBe("postgres.protocol");
    const value = "x".repeat(10_000);
    expect(
      codeOf(() =>
        encodeStartupMessage({
          version: protocolVersions.v3_0,
          parameters: [parameter("options", value)],
        }),
      ),
    ).toBe("postgres.too_large");
  });

  test.each([0, 3, 4, 7, 2 ** 31 - 1, 2 ** 31, 2 ** 32 - 1])(
    "refuses an announced length of %d (invariant 14)",
    (length) => {
      const word = new Uint8Array(4);
      new DataView(word.buffer).setUint32(0, length);
      expect(codeOf(() => new StartupDecoder().push(word))).toBe("postgres.protocol");
    },
  );

  test.each(["GET / HTTP/1.1\r\n", "POST / HTTP/1.1\r\n", "\x16\x03\x01\x02"])(
    "refuses what is not PostgreSQL at its fourth byte: %j (invariant 9)",
    (text) => {
      expect(codeOf(() => new StartupDecoder().push(encodeText(text).subarray(0, 4)))).toBe(
        "postgres.protocol",
      );
    },
  );
});

describe("StartupDecoder", () => {
  const startup = encodeStartupMessage({ version: protocolVersions.v3_0, parameters: [] });
  const packets = {
    ssl: encodeSslRequest(),
    gssenc: encodeGssEncRequest(),
    cancel: encodeCancelRequest({ processId: 1, secret: new Uint8Array(4) }),
    startup,
  };

  test.each([
    ["ssl gssenc startup", "nothing"],
    ["gssenc ssl cancel", "nothing"],
    ["startup", "nothing"],
    ["ssl ssl", "postgres.protocol"],
    ["gssenc ssl gssenc", "postgres.protocol"],
    ["startup startup", "postgres.protocol"],
    ["startup cancel", "postgres.protocol"],
    ["startup ssl", "postgres.protocol"],
    ["ssl startup startup", "postgres.protocol"],
    ["gssenc startup gssenc", "postgres.protocol"],
    ["cancel startup", "postgres.protocol"],
  ])("the sequence %s ends in %s (invariant 12)", (sequence, code) => {
    const decoder = new StartupDecoder();
    const kinds = sequence.split(" ") as (keyof typeof packets)[];
    expect(
      codeOf(() => {
        for (const kind of kinds) {
          decoder.push(packets[kind]);
        }
      }),
    ).toBe(code);
  });

  test.each(["ssl", "gssenc"] as const)(
    "takes no further %s request inside an encrypted connection (invariant 12)",
    (kind) => {
      const decoder = StartupDecoder.encrypted();
      expect(codeOf(() => decoder.push(packets[kind]))).toBe("postgres.protocol");
      expect(StartupDecoder.encrypted().push(startup)).toMatchObject({ kind: "startup" });
    },
  );

  test.each(["ssl", "gssenc", "cancel"] as const)(
    "refuses bytes behind a %s request (invariant 13)",
    (kind) => {
      const both = Uint8Array.of(...packets[kind], ...startup);
      expect(codeOf(() => new StartupDecoder().push(both))).toBe("postgres.protocol");
    },
  );

  test("keeps what follows a start-up message for the message decoder", () => {
    const decoder = new StartupDecoder();
    decoder.push(Uint8Array.of(...startup, 1, 2, 3));
    expect(decoder.rest).toEqual(Uint8Array.of(1, 2, 3));
  });
});
