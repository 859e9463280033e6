// Values that are read as they come, against the parser of whole messages.

import { encodeBind } from "@jitdb/shared/postgres/encoder";
import { parseBind } from "@jitdb/shared/postgres/frontend";
import { frontendMessages, headerBytes } from "@jitdb/shared/postgres/messages";
import fc from "fast-check";
import { expect, it } from "vitest";
import { Masker } from "../../../audit/statements/masker.ts";
import { textLimits } from "../../../audit/statements/text.ts";
import { LongValues } from "./long-values.ts";
import { recordParameters } from "./statements.ts";

const masker = new Masker(Buffer.from("key"));
const syntax = { encoding: "UTF8", standardStrings: true };
const known = { types: [23, 25], secrets: [2] };

const open = () =>
  new LongValues(frontendMessages.Bind, {
    statement: "ses_1.1",
    subject: {},
    append: () => {
      throw new Error("Nothing here is long.");
    },
    limits: textLimits,
    masker,
    syntax,
    known: () => known,
  });

const name = fc.uint8Array({ min: 1, maxLength: 5 });
const message = fc.record({
  portal: name,
  statement: name,
  parameters: fc.array(fc.option(fc.uint8Array({ maxLength: 40 })), { maxLength: 6 }),
  format: fc.constantFrom(0, 1),
  resultFormats: fc.array(fc.constantFrom(0, 1), { maxLength: 3 }),
});

it("says the same of a Bind as the parser of whole ones, in whatever pieces it comes", () => {
  fc.assert(
    fc.property(message, fc.array(fc.nat(20)), ({ format, ...bind }, cuts) => {
      const body = encodeBind({ ...bind, parameterFormats: [format] }).subarray(headerBytes);
      const values = open();
      let at = 0;
      for (const cut of cuts) {
        values.add(body.subarray(at, at + cut));
        at += cut;
      }
      values.add(body.subarray(at));
      const { portal, statement, parameters } = values.finish();
      const { parameters: whole, parameterFormats: formats } = parseBind(body);
      expect(Buffer.from(portal)).toEqual(Buffer.from(bind.portal));
      expect(Buffer.from(statement)).toEqual(Buffer.from(bind.statement));
      expect(parameters).toEqual(recordParameters(whole, { ...known, formats }, masker, syntax));
    }),
  );
});

it("takes any bytes for a message or refuses them (invariant 14)", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 80 }), fc.nat(10), (body, cut) => {
      const read = () => {
        const values = open();
        values.add(body.subarray(0, cut));
        values.add(body.subarray(cut));
        return values.finish();
      };
      try {
        parseBind(body);
      } catch {
        expect(read).toThrow(expect.objectContaining({ code: "postgres.protocol" }));
        return;
      }
      expect(read().parameters).toHaveLength(parseBind(body).parameters.length);
    }),
  );
});
