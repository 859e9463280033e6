// Masking with PostgreSQL's own parser beside the tokenizer. Each text is as the server takes it.

import { beforeAll, describe, expect, it } from "vitest";
import { Masker } from "./masker.ts";
import { loadParsedSecrets, ParsedSecrets } from "./parsed-secrets.ts";
import type { SqlSyntax } from "./sql-tokenizer.ts";

const syntax: SqlSyntax = { encoding: "UTF8", standardStrings: true };
let parser: ParsedSecrets;
let masker: Masker;
beforeAll(async () => {
  parser = await loadParsedSecrets();
  masker = new Masker(Buffer.from("key"), parser);
});

const mask = (text: string) =>
  Buffer.from(masker.mask(Buffer.from(text), syntax).bytes).toString("utf8");

describe("masking with the parser", () => {
  it.each([
    ["ALTER ROLE é PASSWORD E'can\\x61ry'", "ALTER ROLE é PASSWORD E'[masked]'"],
    ["ALTER ROLE a PASSWORD 'can'\n'ary'", "ALTER ROLE a PASSWORD '[masked]'"],
    [
      "CREATE USER MAPPING FOR a SERVER s OPTIONS (U&\"pass\\0077ord\" 'canary', user 'bob')",
      "CREATE USER MAPPING FOR a SERVER s OPTIONS (U&\"pass\\0077ord\" '[masked]', user 'bob')",
    ],
    [
      "CREATE SERVER s FOREIGN DATA WRAPPER w OPTIONS (host 'h', access_token 'canary', passwd 'canary')",
      "CREATE SERVER s FOREIGN DATA WRAPPER w OPTIONS (host 'h', access_token '[masked]', passwd '[masked]')",
    ],
    ["SELECT dblink_connect(E'host=h pass\\x77ord=canary')", "SELECT dblink_connect(E'[masked]')"],
    [
      "SELECT dblink_connect('host=h password=' || 'canary' || ' user=u')",
      "SELECT dblink_connect('host=h password=' || '[masked]' || '[masked]')",
    ],
    [
      "SELECT 1; CREATE SUBSCRIPTION s CONNECTION E'host=h pass\\u0077ord=canary' PUBLICATION p",
      "SELECT 1; CREATE SUBSCRIPTION s CONNECTION E'[masked]' PUBLICATION p",
    ],
    [
      "ALTER SUBSCRIPTION s CONNECTION 'host=h password=canary'",
      "ALTER SUBSCRIPTION s CONNECTION 'host=h password=[masked]'",
    ],
    [
      "SELECT U&\"pgp_sym_\\0065ncrypt\"('plain', 'canary')",
      "SELECT U&\"pgp_sym_\\0065ncrypt\"('plain', '[masked]')",
    ],
    [
      "DO $$BEGIN EXECUTE 'ALTER ROLE a PASSWORD ''canary'''; END$$",
      "DO $$BEGIN EXECUTE 'ALTER ROLE a PASSWORD ''[masked]'''; END$$",
    ],
  ])("leaves no trace of the canary in %j (invariant 28)", (text, masked) => {
    expect(mask(text)).toBe(masked);
  });

  it.each([
    "SELECT 'password', \"password\" FROM t WHERE password = 'kept'",
    "ALTER ROLE a SET search_path = 'kept'; SELECT 'password'",
    "CREATE TABLE u&\"t\" (password text DEFAULT 'kept')",
    "SELECT pgp_sym_encrypt('kept', k) FROM t",
    "SELECT dblink_exec('c', 'DROP TABLE kept; --password=x')",
  ])("hides nothing that acts in %j", (text) => {
    expect(mask(text)).toBe(text);
  });

  it("names the parameters that are secrets", () => {
    const { secretParameters } = masker.mask(
      Buffer.from('SELECT $1, U&"dblink\\005fconnect"($2), pgp_sym_encrypt($3, $4)'),
      syntax,
    );
    expect(secretParameters.toSorted()).toEqual([2, 4]);
  });

  it("leaves to the tokenizer what it can't parse as the server does (invariant 23)", () => {
    const text = Buffer.from("ALTER ROLE a PASSWORD 'canary'");
    expect(parser.find(text, syntax)?.spans).toEqual([{ start: 23, end: 29 }]);
    for (const [other, given] of [
      [Buffer.from("ALTER ROLE a PASSWORD 'canary' nonsense ("), syntax],
      [Buffer.concat([text, Buffer.alloc(5000, " ")]), syntax],
      [text, { ...syntax, standardStrings: false }],
      [Buffer.from("ALTER ROLE é PASSWORD 'canary'"), { ...syntax, encoding: "SJIS" }],
      [Buffer.from([...text, 0xff]), syntax],
    ] as const) {
      expect(parser.find(other, given)).toBeUndefined();
      const { bytes } = masker.mask(other, given);
      expect(Buffer.from(bytes).toString("latin1")).toContain("PASSWORD '[masked]'");
    }
  });

  it("is given up for good when its stack is exhausted, and the tokenizer goes on", () => {
    const fragile = new ParsedSecrets({
      parseSync: () => {
        throw new RangeError("Maximum call stack size exceeded");
      },
      scanSync: () => ({ version: 0, tokens: [] }),
      hasSqlDetails: (error): error is never => error instanceof SyntaxError,
    });
    const text = Buffer.from("ALTER ROLE a PASSWORD 'canary'");
    expect(fragile.find(text, syntax)).toBeUndefined();
    const { bytes } = new Masker(Buffer.from("key"), fragile).mask(text, syntax);
    expect(Buffer.from(bytes).toString()).toBe("ALTER ROLE a PASSWORD '[masked]'");
  });

  it("takes the deepest statement that is short enough to be parsed", () => {
    for (const deep of [
      `SELECT ${"(".repeat(2000)}1${")".repeat(2000)}`,
      `SELECT ${"1+".repeat(2000)}1`,
      `SELECT ${"NOT ".repeat(1000)}true`,
    ]) {
      expect(parser.find(Buffer.from(deep), syntax)).toEqual({ spans: [], parameters: [] });
    }
    expect(parser.find(Buffer.from("ALTER ROLE a PASSWORD 'x'"), syntax)?.spans).toHaveLength(1);
  });
});
