import { describe, expect, onTestFinished, test } from "vitest";
import { openMemoryStore } from "../../store/store.ts";
import { countKinds, kindOf, maxCounted } from "./kinds.ts";

describe("the kind of a statement", () => {
  test.each([
    ["SELECT 5", "reads"],
    ["SHOW", "reads"],
    ["INSERT 0 1", "writes"],
    ["UPDATE 3", "writes"],
    ["TRUNCATE TABLE", "writes"],
    ["CREATE TABLE", "schema"],
    ["GRANT ROLE", "schema"],
    ["BEGIN", "others"],
    ["SET", "others"],
    ["constructor", "others"],
  ] as const)("is what its tag %s says", (tag, kind) => {
    expect(kindOf({ result: "complete", tag, bytesIn: 0 })).toBe(kind);
  });

  test("is a write for COPY from the client, and a read for COPY to it", () => {
    expect(kindOf({ result: "complete", tag: "COPY 9", bytesIn: 100 })).toBe("writes");
    expect(kindOf({ result: "complete", tag: "COPY 9", bytesIn: 0 })).toBe("reads");
  });

  test("is told without a tag of what failed, stopped half-way, or was never answered", () => {
    expect(kindOf({ result: "error", bytesIn: 0 })).toBe("failed");
    expect(kindOf({ result: "suspended", bytesIn: 0 })).toBe("reads");
    expect(kindOf({ result: "unknown", bytesIn: 0 })).toBe("others");
  });
});

describe("what ran in a grant", () => {
  const setUp = async (tags: readonly string[]) => {
    const store = await openMemoryStore();
    onTestFinished(() => store.close());
    const lines = tags.map((tag) => JSON.stringify({ result: "complete", tag, bytesIn: 0 }));
    const rows = lines.map((line, seq) => ({
      ...{ journal: "jrn", seq, at: 0, kind: "statement.outcome", person: "alice" },
      ...{ database_name: "test", grant_id: "grt_1", session_id: "ses_1", line },
    }));
    for (let start = 0; start < rows.length; start += 100) {
      await store.db
        .insertInto("audit_records")
        .values(rows.slice(start, start + 100))
        .execute();
    }
    return store.db;
  };

  test("is counted by kind; of a grant without records nothing is known", async () => {
    const db = await setUp(["SELECT 1", "SELECT 2", "UPDATE 1"]);
    expect(await countKinds(db, "grt_1")).toMatchObject({ reads: 2, writes: 1, schema: 0 });
    expect(await countKinds(db, "grt_2")).toBeNull();
  });

  test("is counted up to a bound, the newest first", async () => {
    const reads = Array.from({ length: maxCounted }, () => "SELECT 1");
    const db = await setUp(["UPDATE 1", ...reads]);
    expect(await countKinds(db, "grt_1")).toMatchObject({ reads: maxCounted, writes: 0 });
  });
});
