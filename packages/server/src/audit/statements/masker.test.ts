import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Masker } from "./masker.ts";
import type { SqlSyntax } from "./sql-tokenizer.ts";

const masker = new Masker(Buffer.from("key"));
const syntax: SqlSyntax = { encoding: "UTF8", standardStrings: true };

function mask(text: string | Buffer, given: Partial<SqlSyntax> = {}): string {
  return Buffer.from(masker.mask(Buffer.from(text), { ...syntax, ...given }).bytes).toString(
    "latin1",
  );
}

describe("masking", () => {
  it.each([
    "ALTER ROLE alice PASSWORD 'canary'",
    "create user bob with encrypted password 'canary' login",
    "ALTER USER alice WITH PASSWORD\n-- 'here'\n/* it /* is */ */ E'can\\'canary'",
    "ALTER ROLE alice PASSWORD 'can' \n 'canary'",
    "ALTER ROLE alice PASSWORD $$canary$$",
    "ALTER ROLE alice PASSWORD $a$can$$canary$a$",
    "ALTER ROLE alice PASSWORD U&'\\0063canary'",
    "ALTER ROLE \"we'ird\" PASSWORD 'can''canary'",
    "SELECT 1; ALTER GROUP g PASSWORD 'canary'; SELECT 2",
    "CREATE USER MAPPING FOR alice SERVER s OPTIONS (user 'bob', password 'canary')",
    "ALTER USER MAPPING FOR alice SERVER s OPTIONS (SET \"password\" 'canary')",
    "ALTER SERVER s OPTIONS (ADD sslpassword 'canary')",
    "SELECT dblink_connect('host=h password=canary user=u')",
    "SELECT public.dblink_connect('c', 'host=h password = ''can canary'' user=u')",
    "SELECT dblink_connect('host=h password=' || 'canary')",
    "SELECT dblink_connect(format('host=h password=%s', 'canary'))",
    "SELECT * FROM dblink('postgresql://u:canary@h/db', 'SELECT 1') AS t(a int)",
    "CREATE SUBSCRIPTION s CONNECTION 'host=h password=canary' PUBLICATION p",
    "ALTER SYSTEM SET primary_conninfo = 'host=h password=canary'",
    "DO $$BEGIN ALTER ROLE alice PASSWORD 'canary'; END$$",
    "DO $$BEGIN EXECUTE 'ALTER ROLE alice PASSWORD ''can''''canary'''; END$$",
    "SELECT dblink_exec('c', 'ALTER ROLE alice PASSWORD ''canary''')",
    "ALTER ROLE alice PASSWORD 'canary",
    "SELECT pgp_sym_decrypt(secret, 'canary') FROM t",
    "SELECT pgp_pub_decrypt(secret, dearmor('canary'), 'canary')",
    "UPDATE users SET hash = crypt('canary', gen_salt('bf'))",
    "DO $$BEGIN PERFORM pgp_sym_encrypt(x, 'canary') FROM t; END$$",
  ])("leaves no trace of the canary in %j (invariant 28)", (text) => {
    const masked = mask(text);
    expect(masked).not.toContain("canary");
    expect(masked).toContain("[masked]");
  });

  it.each([
    "SELECT 'password', \"password\", password FROM t WHERE password = 'kept'",
    "UPDATE users SET password = 'kept' WHERE id = 1",
    "ALTER ROLE alice SET search_path = 'kept'",
    "ALTER ROLE alice PASSWORD NULL; SELECT 'kept'",
    "SELECT 'ALTER ROLE a PASSWORD'; DROP TABLE kept",
    "/* ALTER ROLE a PASSWORD ' */ DROP TABLE kept; /* ' */",
    "SELECT \"password '\"; DROP TABLE kept; --'",
    "SELECT dblink_exec('c', 'drop table kept; --password=x')",
    "SELECT $a$ALTER ROLE x PASSWORD $b$ $a$; DROP TABLE kept",
    "SELECT pgp_sym_encrypt('kept', key, 'cipher-algo=aes256'), 'kept' FROM t",
  ])("hides nothing that acts in %j", (text) => {
    expect(mask(text)).toBe(text);
  });

  it("keeps everything else of the text and says where each mark stands", () => {
    const text =
      "ALTER ROLE é PASSWORD 'one'; ALTER ROLE b PASSWORD 'two'; ALTER ROLE c PASSWORD 'one'";
    const { bytes, masks } = masker.mask(Buffer.from(text), syntax);
    expect(Buffer.from(bytes).toString()).toBe(text.replaceAll(/'(one|two)'/g, "'[masked]'"));
    expect(masks.map(({ at }) => Buffer.from(bytes).toString("utf8", at, at + 8))).toEqual([
      "[masked]",
      "[masked]",
      "[masked]",
    ]);
    expect(masks[0]?.mac).toBe(masks[2]?.mac);
    expect(masks[0]?.mac).not.toBe(masks[1]?.mac);
    expect(new Masker(Buffer.from("other")).mac(Buffer.from("one"))).not.toBe(masks[0]?.mac);
  });

  it("reads strings as the server does when backslashes escape", () => {
    const text = "ALTER ROLE a PASSWORD 'x\\'canary'; SELECT 1";
    expect(mask(text, { standardStrings: false })).toBe(
      "ALTER ROLE a PASSWORD '[masked]'; SELECT 1",
    );
  });

  it.each(["SJIS", "BIG5", "GBK"])(
    "takes half a character of %s for no backslash (invariant 23)",
    (encoding) => {
      // 0x95 0x5c is one character in all three; read byte-wise it would escape the quote.
      const half = Buffer.from([0x95, 0x5c]);
      const text = Buffer.concat([
        Buffer.from("ALTER ROLE a PASSWORD E'"),
        half,
        Buffer.from("'; DROP TABLE kept; --'"),
      ]);
      expect(mask(text, { encoding })).toBe(
        "ALTER ROLE a PASSWORD E'[masked]'; DROP TABLE kept; --'",
      );
    },
  );

  it.each([
    ["SELECT dblink_connect($1)", [1]],
    ["SELECT $1, public.dblink_connect('c', 'password=' || $2)", [2]],
    ["ALTER ROLE a PASSWORD $1", [1]],
    ["INSERT INTO t VALUES ($1, pgp_sym_encrypt($2, $3), crypt($4, gen_salt($5)))", [3, 4]],
    ["SELECT dblink_exec('c', $1)", []],
    ["SELECT password FROM t WHERE id = $1", []],
  ])("says of %j which parameters are to be hidden: %j", (text, hidden) => {
    expect(masker.mask(Buffer.from(text), syntax).secretParameters).toEqual(hidden);
  });

  it.each([
    ["host=h password=canary", "host=h password=[masked]"],
    ["postgres://u:canary@h/db", "postgres://u:[masked]@h/db"],
    ["ALTER ROLE a PASSWORD 'canary'", "ALTER ROLE a PASSWORD '[masked]'"],
    ["my password is canary", "my password is canary"],
  ])("masks the parameter %j", (value, expected) => {
    const { bytes } = masker.maskParameter(Buffer.from(value), syntax);
    expect(Buffer.from(bytes).toString()).toBe(expected);
  });

  it("reads a URI without a password once, not once for each of its colons", () => {
    const text = Buffer.from(`postgres://${":".repeat(256 * 1024)}`);
    const before = process.cpuUsage();
    expect(masker.maskParameter(text, syntax).masks).toEqual([]);
    // Microseconds. Once for each of them took half a minute.
    expect(process.cpuUsage(before).user).toBeLessThan(2_000_000);
  });

  it("masks the same whatever pieces a text comes in", () => {
    const tokens = fc.constantFrom(
      ..."ALTER|ROLE| |PASSWORD|'|''|'canary'|E'|U|&|U&'|\\|$$|$a$|$1|;|--|/*|*/|\n|\"|dblink_connect|(|)|password=x|é".split(
        "|",
      ),
    );
    fc.assert(
      fc.property(fc.array(tokens, { maxLength: 40 }), fc.array(fc.nat(9)), (words, cuts) => {
        const text = Buffer.from(`password ${words.join("")}`);
        const whole = masker.mask(text, syntax);
        const stream = masker.stream(syntax, 1);
        const out: Uint8Array[] = [];
        let at = 0;
        for (const cut of [...cuts, text.length]) {
          out.push(stream.push(text.subarray(at, at + cut)).bytes);
          at += cut;
        }
        out.push(stream.push(text.subarray(at)).bytes, stream.finish().bytes);
        expect(Buffer.concat(out).toString()).toBe(Buffer.from(whole.bytes).toString());
      }),
    );
  });
});
