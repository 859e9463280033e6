import { createHash } from "node:crypto";
import { describe, expect, it } from "vitest";
import type { AuditEvent } from "../record.ts";
import { Masker } from "./masker.ts";
import { recordBytes, recordParameter, TextRecorder } from "./text.ts";

const masker = new Masker(Buffer.from("key"));
const syntax = { encoding: "UTF8", standardStrings: true };
const limits = { inlineBytes: 10, chunkBytes: 10, keptBytes: 25 };

function record(pieces: readonly string[]) {
  const chunks: AuditEvent[] = [];
  const recorder = new TextRecorder({
    statement: "ses_1.1",
    subject: { session: "ses_1" },
    append: (event) => chunks.push(event),
    filter: masker.stream(syntax),
    limits,
  });
  for (const piece of pieces) {
    recorder.push(Buffer.from(piece));
  }
  return { text: recorder.finish(), chunks };
}

const sha256 = (text: string) => createHash("sha256").update(text).digest("hex");

describe("recorded bytes", () => {
  it("are text where they are UTF-8 and base64 where they are not (invariant 23)", () => {
    expect(recordBytes(Buffer.from("\ufeffgrüß\0"))).toBe("\ufeffgrüß\0");
    expect(recordBytes(Buffer.from([0x41, 0xff]))).toEqual({ base64: "Qf8=" });
    expect(recordBytes(Buffer.from([0xed, 0xa0, 0x80]))).toEqual({ base64: "7aCA" });
  });
});

describe("recorded parameters", () => {
  const parameter = (value: Uint8Array | null, type?: number, isSecret = false) =>
    recordParameter(value, { type, isSecret }, masker, syntax);

  it("tell NULL, text, binary with its type, and secrets apart", () => {
    expect(parameter(null)).toBeNull();
    expect(parameter(Buffer.from(""))).toBe("");
    expect(parameter(Buffer.from("a"))).toBe("a");
    expect(parameter(Buffer.from("a"), 17)).toEqual({ base64: "YQ==", type: 17 });
    expect(parameter(Buffer.from("canary"), undefined, true)).toEqual({
      masked: masker.mac(Buffer.from("canary")),
    });
    expect(parameter(null, undefined, true)).toBeNull();
  });
});

describe("a recorded text", () => {
  it("stands in its record up to the limit", () => {
    expect(record(["01234", "56789"])).toEqual({ text: { text: "0123456789" }, chunks: [] });
  });

  it("stands in chunks above it, cut between characters, named by parts, length and hash", () => {
    const text = "012345678é0123";
    expect(record([...text])).toEqual({
      text: { text: { parts: 2, length: 15, sha256: sha256(text) } },
      chunks: [
        {
          kind: "statement.chunk",
          session: "ses_1",
          statement: "ses_1.1",
          part: 0,
          text: "012345678",
        },
        { kind: "statement.chunk", session: "ses_1", statement: "ses_1.1", part: 1, text: "é0123" },
      ],
    });
  });

  it("above the larger limit keeps its beginning, its length and hash, and says so (invariant 24)", () => {
    const text = "0123456789".repeat(4);
    const { text: recorded, chunks } = record([text]);
    expect(recorded).toEqual({
      text: { parts: 3, length: 40, sha256: sha256(text), truncated: true },
    });
    expect(chunks.map((chunk) => "text" in chunk && chunk.text).join("")).toBe(text.slice(0, 25));
  });

  it("has its secrets masked in whatever chunk they are (invariant 28)", () => {
    const { chunks } = record(["ALTER ROLE a PASS", "WORD 'cana", "ry'"]);
    expect(JSON.stringify(chunks)).not.toContain("cana");
    expect(chunks.at(-1)).toMatchObject({ masked: [{ at: 23 }] });
  });
});
