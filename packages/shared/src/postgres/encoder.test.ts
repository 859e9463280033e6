import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { JitdbError } from "../errors.ts";
import * as backend from "./backend.ts";
import * as encoder from "./encoder.ts";
import * as frontend from "./frontend.ts";
import { headerBytes } from "./messages.ts";
import * as rows from "./rows.ts";
import { encodeMessage, encodeText, int32 } from "./writer.ts";

function bytes(hex: string): Uint8Array {
  return Uint8Array.from(hex.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16));
}

function bodyOf(message: Uint8Array): Uint8Array {
  const length = new DataView(message.buffer).getUint32(1);
  expect(message).toHaveLength(1 + length);
  return message.subarray(headerBytes);
}

function codeOf(action: () => unknown): string {
  try {
    action();
  } catch (error) {
    return error instanceof JitdbError ? error.code : String(error);
  }
  return "nothing";
}

const anyInt32 = fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 });
const anyOid = fc.integer({ min: 0, max: 2 ** 32 - 1 });
const anyFormats = fc.array(fc.constantFrom(0, 1), { maxLength: 4 });
const anyCstring = fc
  .array(fc.integer({ min: 1, max: 255 }), { maxLength: 20 })
  .map((values) => Uint8Array.from(values));
const anyText = fc
  .string({ unit: "grapheme", maxLength: 20 })
  .filter((text) => !text.includes("\0"));
const anyValues = fc.array(fc.option(fc.uint8Array({ maxLength: 20 }), { nil: null }), {
  maxLength: 6,
});
const anyTarget = fc.record({
  kind: fc.constantFrom("statement" as const, "portal" as const),
  name: anyCstring,
});

describe("what PostgreSQL 15.18 and psql 15 said, recorded between the two", () => {
  test("reads RowDescription, DataRow, CommandComplete and ReadyForQuery", () => {
    expect(
      rows.parseRowDescription(
        bytes(
          "00026f6e6500000000000000000000170004ffffffff00006e6f7468696e670000000000000000000019ffffffffffff0000",
        ),
      ),
    ).toEqual([
      {
        name: "one",
        tableOid: 0,
        columnNumber: 0,
        typeOid: 23,
        typeSize: 4,
        typeModifier: -1,
        format: 0,
      },
      {
        name: "nothing",
        tableOid: 0,
        columnNumber: 0,
        typeOid: 25,
        typeSize: -1,
        typeModifier: -1,
        format: 0,
      },
    ]);
    expect(rows.parseDataRow(bytes("00020000000131ffffffff"))).toEqual([encodeText("1"), null]);
    expect(backend.parseCommandComplete(bytes("53454c454354203100"))).toEqual({
      tag: "SELECT 1",
      rows: 1,
    });
    expect(backend.parseReadyForQuery(bytes("49"))).toBe("idle");
  });

  test("reads an ErrorResponse, and writes one with the same fields", () => {
    const body = bytes(
      "534552524f5200564552524f5200433432373033004d636f6c756d6e20226e6f70652220646f6573206e6f74206578697374005038004670617273655f72656c6174696f6e2e63004c3336363500526572726f724d697373696e67436f6c756d6e0000",
    );
    const fields = {
      localizedSeverity: "ERROR",
      severity: "ERROR",
      code: "42703",
      message: 'column "nope" does not exist',
      position: "8",
      file: "parse_relation.c",
      line: "3665",
      routine: "errorMissingColumn",
    };
    expect(backend.parseErrorResponse(body)).toEqual(fields);
    expect(encoder.encodeErrorResponse(fields)).toEqual(encodeMessage(0x45, body));
  });

  test("writes the SASL offer, a query and the end as they do", () => {
    expect(encoder.encodeAuthenticationSasl(["SCRAM-SHA-256"])).toEqual(
      bytes("52000000170000000a534352414d2d5348412d3235360000"),
    );
    expect(encoder.encodeQuery("SELECT nope")).toEqual(bytes("510000001053454c454354206e6f706500"));
    expect(encoder.encodeAuthenticationOk()).toEqual(bytes("520000000800000000"));
    expect(encoder.encodeReadyForQuery("idle")).toEqual(bytes("5a0000000549"));
    expect(encoder.encodeTerminate()).toEqual(bytes("5800000004"));
    expect(encoder.encodeSync()).toEqual(bytes("5300000004"));
  });

  test("reads psql's SASLInitialResponse, ParameterStatus and CopyOutResponse", () => {
    const message = bytes(
      "7000000036534352414d2d5348412d32353600000000206e2c2c6e3d2c723d71633076394858764246785137313268546f7173496a624e",
    );
    const response = frontend.parseSaslInitialResponse(bodyOf(message));
    expect(response.mechanism).toBe("SCRAM-SHA-256");
    expect(encoder.encodeSaslInitialResponse(response)).toEqual(message);
    expect(backend.parseParameterStatus(bytes("54696d655a6f6e65004574632f55544300"))).toEqual({
      name: "TimeZone",
      value: "Etc/UTC",
    });
    expect(rows.parseCopyResponse(bytes("0000010000"))).toEqual({ format: 0, columnFormats: [0] });
  });
});

describe("parsing what was encoded gives the same value", () => {
  function roundTrip<T>(
    name: string,
    values: fc.Arbitrary<T>,
    encode: (value: T) => Uint8Array,
    parse: (body: Uint8Array) => unknown,
  ): void {
    test(name, () => {
      fc.assert(
        fc.property(values, (value) => {
          expect(parse(bodyOf(encode(value)))).toEqual(value);
        }),
      );
    });
  }

  roundTrip(
    "Query",
    fc.record({ text: anyCstring }),
    (v) => encoder.encodeQuery(v.text),
    frontend.parseQuery,
  );
  roundTrip(
    "Parse",
    fc.record({ statement: anyCstring, text: anyCstring, parameterTypes: fc.array(anyOid) }),
    encoder.encodeParse,
    frontend.parseParse,
  );
  roundTrip(
    "Bind",
    fc.record({
      portal: anyCstring,
      statement: anyCstring,
      parameterFormats: anyFormats,
      parameters: anyValues,
      resultFormats: anyFormats,
    }),
    encoder.encodeBind,
    frontend.parseBind,
  );
  roundTrip("Describe", anyTarget, encoder.encodeDescribe, frontend.parseDescribe);
  roundTrip("Close", anyTarget, encoder.encodeClose, frontend.parseClose);
  roundTrip(
    "Execute",
    fc.record({ portal: anyCstring, maxRows: anyInt32 }),
    encoder.encodeExecute,
    frontend.parseExecute,
  );
  roundTrip(
    "FunctionCall",
    fc.record({
      functionOid: anyOid,
      argumentFormats: anyFormats,
      arguments: anyValues,
      resultFormat: fc.constantFrom(0, 1),
    }),
    encoder.encodeFunctionCall,
    frontend.parseFunctionCall,
  );
  roundTrip("CopyFail", anyText, encoder.encodeCopyFail, (body) =>
    new TextDecoder().decode(frontend.parseCopyFail(body)),
  );
  roundTrip(
    "AuthenticationSASL",
    fc.array(anyText.filter((text) => text !== "")),
    encoder.encodeAuthenticationSasl,
    (body) => {
      const request = backend.parseAuthentication(body);
      return request.kind === "sasl" ? request.mechanisms : request;
    },
  );
  roundTrip(
    "BackendKeyData",
    fc.record({ processId: anyInt32, secret: fc.uint8Array({ minLength: 4, maxLength: 256 }) }),
    encoder.encodeBackendKeyData,
    backend.parseBackendKeyData,
  );
  roundTrip(
    "NegotiateProtocolVersion",
    fc.record({ version: anyOid, unknownOptions: fc.array(anyText) }),
    (v) => encoder.encodeNegotiateProtocolVersion(v.version, v.unknownOptions),
    backend.parseNegotiateProtocolVersion,
  );
  roundTrip(
    "ParameterStatus",
    fc.record({ name: anyText, value: anyText }),
    encoder.encodeParameterStatus,
    backend.parseParameterStatus,
  );
  roundTrip(
    "ReadyForQuery",
    fc.constantFrom("idle" as const, "transaction" as const, "failed" as const),
    encoder.encodeReadyForQuery,
    backend.parseReadyForQuery,
  );
  roundTrip(
    "NoticeResponse",
    fc.record({
      localizedSeverity: anyText,
      severity: anyText,
      code: anyText,
      message: anyText,
      hint: anyText,
      detail: anyText,
    }),
    encoder.encodeNoticeResponse,
    backend.parseNoticeResponse,
  );
});

describe("authentication requests", () => {
  test.each([
    ["00000003", { kind: "cleartext" }],
    ["0000000501020304", { kind: "md5", salt: Uint8Array.of(1, 2, 3, 4) }],
    ["0000000c41", { kind: "sasl-final", data: Uint8Array.of(0x41) }],
    ["0000000b41", { kind: "sasl-continue", data: Uint8Array.of(0x41) }],
    ["00000007", { kind: "other", code: 7 }],
  ])("tells %s as %j, so that the login can refuse it (invariant 17)", (hex, expected) => {
    expect(backend.parseAuthentication(bytes(hex))).toEqual(expected);
  });

  test("the login's answers carry the SASL data as it is", () => {
    const data = encodeText("v=x");
    expect(
      backend.parseAuthentication(bodyOf(encoder.encodeAuthenticationSaslFinal(data))),
    ).toEqual({ kind: "sasl-final", data });
    expect(
      backend.parseAuthentication(bodyOf(encoder.encodeAuthenticationSaslContinue(data))),
    ).toEqual({ kind: "sasl-continue", data });
    expect(bodyOf(encoder.encodeSaslResponse(data))).toEqual(data);
  });
});

describe("bodies that lie", () => {
  test.each<[string, (body: Uint8Array) => unknown, string]>([
    ["a Parse that counts 65,535 types", frontend.parseParse, "0000ffff"],
    ["a Bind that counts 65,535 parameters", frontend.parseBind, "00000000ffff0000"],
    ["a Bind whose value announces 2^31-1 bytes", frontend.parseBind, "0000000000017fffffff0000"],
    ["a Bind whose value announces -2 bytes", frontend.parseBind, "000000000001fffffffe0000"],
    ["a Bind with a tail", frontend.parseBind, "000000000000000000"],
    ["a Query without a terminator", frontend.parseQuery, "41"],
    ["a Query with a second text", frontend.parseQuery, "41004200"],
    ["an empty Query body", frontend.parseQuery, ""],
    ["a Describe of nothing", frontend.parseDescribe, "5800"],
    ["a DataRow that counts 65,535 values", rows.parseDataRow, "ffff"],
    ["a RowDescription that counts 65,535 columns", rows.parseRowDescription, "ffff6100"],
    ["options counted as 2^32-1", backend.parseNegotiateProtocolVersion, "00030000ffffffff"],
    ["a cancel key of 3 bytes", backend.parseBackendKeyData, "00000001010203"],
    ["an unknown transaction state", backend.parseReadyForQuery, "58"],
    ["an ErrorResponse without an end", backend.parseErrorResponse, "4d6100"],
    ["an md5 request without a salt", backend.parseAuthentication, "00000005"],
  ])("refuses %s", (_, parse, hex) => {
    expect(codeOf(() => parse(bytes(hex)))).toBe("postgres.protocol");
  });

  test("random bodies end in a value or in postgres.protocol", () => {
    const parsers: ((body: Uint8Array) => unknown)[] = [
      ...Object.entries({ ...frontend, ...backend, ...rows })
        .filter(([name]) => name.startsWith("parse"))
        .map(([, parse]) => parse as (body: Uint8Array) => unknown),
    ];
    expect(parsers).toHaveLength(24);
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 60 }), (body) => {
        for (const parse of parsers) {
          expect(["nothing", "postgres.protocol"]).toContain(codeOf(() => parse(body)));
        }
      }),
    );
  });

  test("tells an error without an SQLSTATE by its absence, and ignores unknown fields (invariant 17)", () => {
    expect(backend.parseErrorResponse(bytes("4d6f680078310000"))).toEqual({ message: "oh" });
  });
});

test.each([
  ["INSERT 0 5", 5],
  ["SELECT 0", 0],
  ["COPY 12", 12],
  ["CREATE TABLE", undefined],
  ["SELECT 99999999999999999999", undefined],
])("the tag %s counts %j rows", (tag, count) => {
  const body = encodeText(`${tag}\0`);
  expect(backend.parseCommandComplete(body)).toEqual({ tag, rows: count });
});

test("names that differ behind their 63rd byte are one name, as to the server (invariant 22)", () => {
  const long = "n".repeat(63);
  expect(frontend.nameKey(encodeText(`${long}A`))).toBe(frontend.nameKey(encodeText(`${long}B`)));
  expect(frontend.nameKey(encodeText("a"))).not.toBe(frontend.nameKey(encodeText("b")));
  expect(frontend.nameKey(Uint8Array.of(0xe9))).toBe("\u00e9");
});

test("one format code holds for all values, none means text", () => {
  expect(frontend.formatOf([], 3)).toBe(0);
  expect(frontend.formatOf([1], 3)).toBe(1);
  expect(frontend.formatOf([0, 1], 1)).toBe(1);
});

describe("encoding", () => {
  test("refuses a message above 2^31-1 bytes (invariant 14)", () => {
    const gibibyte = new Uint8Array(2 ** 30);
    expect(codeOf(() => encodeMessage(0x64, gibibyte, gibibyte))).toBe("postgres.too_large");
  });

  test("refuses 65,536 values and takes 65,535", () => {
    const bind = (count: number) => ({
      portal: new Uint8Array(0),
      statement: new Uint8Array(0),
      parameterFormats: [],
      parameters: new Array<null>(count).fill(null),
      resultFormats: [],
    });
    expect(frontend.parseBind(bodyOf(encoder.encodeBind(bind(65_535)))).parameters).toHaveLength(
      65_535,
    );
    expect(codeOf(() => encoder.encodeBind(bind(65_536)))).toBe("postgres.too_large");
  });

  test("refuses a NUL inside a string", () => {
    expect(codeOf(() => encoder.encodeQuery("SELECT 1\0; DROP TABLE x"))).toBe("postgres.protocol");
  });

  test("writes integers big-endian, signed or not", () => {
    expect(int32(-2)).toEqual(int32(2 ** 32 - 2));
    expect(int32(0x01020304)).toEqual(Uint8Array.of(1, 2, 3, 4));
  });
});
