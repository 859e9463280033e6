import type { AuditRecordView } from "@jitdb/shared/api/audit";
import { describe, expect, it, vi } from "vitest";
import type { Api } from "../api.ts";
import { instant, runWithFakes } from "../fakes.ts";

// Times of day are those of the machine's clock.
vi.stubEnv("TZ", "UTC");

const alice = {
  person: "alice",
  device: "nHX6SkmzslaZyrdj",
  database: "prod-orders",
  grant: "grt_9fv3xzbgndm5",
  session: "ses_de7y6s9y6110e4e8",
};

let seq = 0;
function record(kind: string, fields: object = {}, seconds = -60): AuditRecordView {
  seq += 1;
  return { seq, at: instant(seconds), kind, prev: "4063a9284d9a", ...alice, ...fields };
}
const intent = (id: string, text: unknown, fields: object = {}) =>
  record("statement.intent", { statement: id, protocol: "query", text, ...fields });
const outcome = (id: string, fields: object) =>
  record("statement.outcome", { statement: id, bytesIn: 0, bytesOut: 9, durationMs: 2, ...fields });

async function audit(
  records: readonly AuditRecordView[],
  options: { argv?: readonly string[]; columns?: number; terminal?: boolean } = {},
) {
  const { argv = [], columns = 100, terminal = true } = options;
  const api: Partial<Api> = {
    audit: () => Promise.resolve({ records: [...records], next: null }),
  };
  const { stdout } = await runWithFakes(["audit", ...argv], { api, terminal, columns });
  return stdout;
}

/** The words of each line, without heading, time, person and database. */
async function words(records: readonly AuditRecordView[], columns = 200) {
  const lines = (await audit(records, { columns })).trimEnd().split("\n").slice(1);
  return lines.map((line) => line.replace(/^\S+ +(alice +prod-orders +)?/, ""));
}

describe("jitdb audit in a terminal", () => {
  it("tells a session in a line for each thing that happened", async () => {
    seq = 0;
    const records = [
      record("session.opened", { application: "psql", address: "127.0.0.1" }),
      intent("s.1", "SELECT id,\n       item\nFROM app.orders"),
      outcome("s.1", { result: "complete", tag: "SELECT 2", rows: 2 }),
      intent("s.2", "SELECT pg_sleep(3600)"),
      record("session.closed", { end: "expired", statements: 2, durationMs: 59_208 }),
      record("server.stopped", { person: "", database: "", reason: "SIGTERM" }),
    ];
    expect(await audit(records)).toBe(
      [
        "TIME      WHO    DATABASE     WHAT",
        "11:59:00  alice  prod-orders  session opened with psql from 127.0.0.1 (ses_de7y6s9y6110e4e8)",
        "11:59:00  alice  prod-orders  SELECT id, item FROM app.orders  → SELECT 2, 2 rows, 2 ms",
        "11:59:00  alice  prod-orders  SELECT pg_sleep(3600)  → no outcome yet",
        "11:59:00  alice  prod-orders  session closed: the time was over, 2 statements, 59.2 s (ses_de7y6s9y…",
        "11:59:00                      server stopped: SIGTERM",
        "",
      ].join("\n"),
    );
  });

  it("cuts the text and keeps the outcome, in any width", async () => {
    const records = [
      intent("s.1", "SELECT current_user, count(*) FROM app.orders GROUP BY 1"),
      outcome("s.1", { result: "complete", tag: "SELECT 1", rows: 1 }),
    ];
    const [, wide] = (await audit(records, { columns: 80 })).split("\n");
    expect(wide).toBe(
      "11:59:00  alice  prod-orders  SELECT current_user, cou…  → SELECT 1, 1 row, 2 ms",
    );
    const [, narrow] = (await audit(records, { columns: 60 })).split("\n");
    expect(narrow).toBe("11:59:00  alice  prod-orde…  SELECT curr…  → SELECT 1, 1 ro…");
  });

  it("dates what did not happen today", async () => {
    expect(await audit([record("login.logged_out", { address: "::1" }, -86_400)])).toBe(
      "TIME                 WHO    DATABASE     WHAT\n" +
        "2026-11-22 12:00:00  alice  prod-orders  logged out from ::1\n",
    );
  });

  it.each([
    [{ result: "error", sqlstate: "42P01" }, "failed, SQLSTATE 42P01, 2 ms"],
    [{ result: "terminated", durationMs: 59_203 }, "cut off by jitdb after 59.2 s"],
    [{ result: "skipped" }, "skipped: an earlier one failed"],
    [{ result: "refused" }, "refused: never sent to the database"],
    [{ result: "empty" }, "empty"],
    [{ result: "suspended", rows: 10 }, "stopped at the row limit, 10 rows, 2 ms"],
    [{ result: "unknown", durationMs: 400 }, "outcome unknown: the session ended after 400 ms"],
  ])("says how a statement went: %j", async (fields, how) => {
    expect(await words([intent("s.1", "x"), outcome("s.1", fields)])).toEqual([`x  → ${how}`]);
  });

  it("joins the results of one text, and says of a late outcome whose it is", async () => {
    const records = [
      intent("s.1", "BEGIN; UPDATE t SET a = 1"),
      outcome("s.1", { result: "complete", tag: "BEGIN", index: 0 }),
      outcome("s.1", { result: "complete", tag: "UPDATE 3", rows: 3, index: 1 }),
      outcome("s.0", { result: "complete", tag: "DELETE 1", rows: 1 }),
    ];
    expect(await words(records)).toEqual([
      "BEGIN; UPDATE t SET a = 1  → BEGIN, 2 ms; UPDATE 3, 3 rows, 2 ms",
      "(statement s.0, begun earlier)  → DELETE 1, 1 row, 2 ms",
    ]);
  });

  it("shows what an Execute runs with its values, and its Parse and Bind only where they failed", async () => {
    const records = [
      record("statement.parse", { statement: "p.1", text: "SELECT $1, $2, $3" }),
      record("statement.bind", { statement: "b.1", parameters: ["17", "it", null] }),
      intent("s.1", undefined, {
        protocol: "execute",
        candidates: [{ parse: "p.1", bind: "b.1" }],
      }),
      outcome("s.1", { result: "complete", tag: "SELECT 1" }),
      record("statement.parse", { statement: "p.2", text: "SELEC 1" }),
      outcome("p.2", { result: "error", sqlstate: "42601" }),
      intent("s.2", undefined, {
        protocol: "execute",
        candidates: [
          { parse: "p.8", text: "SELECT 8" },
          { parse: "p.9", text: "EVIL" },
        ],
      }),
      intent("s.3", undefined, { protocol: "function", function: 1598, parameters: [] }),
    ];
    expect(await words(records)).toEqual([
      "SELECT $1, $2, $3 [17, 'it', NULL]  → SELECT 1, 2 ms",
      "prepared: SELEC 1  → failed, SQLSTATE 42601, 2 ms",
      "(one of) SELECT 8 | EVIL  → no outcome yet",
      "(function with the OID 1598)  → no outcome yet",
    ]);
  });

  it("reads Parse, Bind, Execute and outcome as one, with values decoded (invariant 21)", async () => {
    const binary = (type: number, hex: string) => ({
      base64: Buffer.from(hex, "hex").toString("base64"),
      type,
    });
    const parameters = [binary(23, "0000002a"), binary(16, "01"), binary(0, "ff"), "it"];
    const records = [
      intent("s.3", undefined, {
        protocol: "execute",
        candidates: [{ parse: "s.1", bind: "s.2", text: "SELECT $1, $2, $3, $4", parameters }],
      }),
      outcome("s.2", { result: "error", sqlstate: "22P02" }),
      outcome("s.3", { result: "skipped" }),
      intent("s.4", undefined, {
        protocol: "execute",
        portal: "p",
        maxRows: 10,
        candidates: [{ parse: "s.1", bind: "s.2" }],
      }),
      outcome("s.4", { result: "suspended", rows: 10 }),
      intent("s.5", undefined, { protocol: "function", function: 955, parameters: [] }),
      intent("s.6", undefined, { protocol: "function", function: 40_000, parameters: ["x"] }),
      record("statement.function", { statement: "s.6", function: 40_000, name: "app.f(text)" }),
    ];
    expect(await words(records)).toEqual([
      "SELECT $1, $2, $3, $4 [42, 'true', \\xff, 'it']  → failed, SQLSTATE 22P02, 2 ms",
      "SELECT $1, $2, $3, $4 [42, 'true', \\xff, 'it'] (portal p, at most 10 rows)  → stopped at the row limit, 10 rows, 2 ms",
      "(function lowrite)  → no outcome yet",
      "(function app.f(text)) ['x']  → no outcome yet",
    ]);
  });

  it("tells the volume of COPY and what ended a statement", async () => {
    const records = [
      intent("s.1", "COPY t FROM STDIN"),
      outcome("s.1", { result: "complete", tag: "COPY 3", rows: 3, bytesIn: 1536, bytesOut: 0 }),
      intent("s.2", "COPY t TO STDOUT"),
      outcome("s.2", { result: "complete", tag: "COPY 3", rows: 3, bytesOut: 5_000_000 }),
      intent("s.3", "COPY t FROM STDIN"),
      outcome("s.3", { result: "terminated", endedBy: "person_disabled", bytesIn: 7 }),
    ];
    expect(await words(records)).toEqual([
      "COPY t FROM STDIN  → COPY 3, 3 rows, 1.5 KiB in, 2 ms",
      "COPY t TO STDOUT  → COPY 3, 3 rows, 4.8 MiB out, 2 ms",
      "COPY t FROM STDIN  → cut off by jitdb after 2 ms (person disabled), 7 bytes in",
    ]);
  });

  it("puts long texts together, and says how long one is that it lacks", async () => {
    const long = { parts: 2, length: 300_000, sha256: "ab" };
    const records = [
      record("statement.chunk", { statement: "s.1", part: 0, text: "SELECT " }),
      record("statement.chunk", { statement: "s.1", part: 1, text: "1" }),
      intent("s.1", long),
      intent("s.2", long),
    ];
    expect(await words(records)).toEqual([
      "SELECT 1  → no outcome yet",
      "(a text of 300000 bytes)  → no outcome yet",
    ]);
  });

  it("shows control characters of others as marks (invariant 24)", async () => {
    const records = [
      intent("s.1", "select '\u001b]52;c;x\u0007';\n\u001b[2J\u202e"),
      record("session.opened", { application: "ps\u009bql", address: "::1", session: "ses_1" }),
    ];
    expect(await words(records)).toEqual([
      "select '\ufffd]52;c;x\ufffd'; \ufffd[2J\ufffd  → no outcome yet",
      "session opened with ps\ufffdql from ::1 (ses_1)",
    ]);
  });

  it("says nothing of outcomes where a filter keeps them away", async () => {
    const argv = ["--kind", "statement.intent"];
    expect(await audit([intent("s.1", "SELECT 1")], { argv })).toContain("  SELECT 1\n");
  });

  it.each([
    ["person.added", { by: "console", groups: ["dba"] }, "account made by console, groups: dba"],
    ["setup.used", {}, "password chosen with a set-up link"],
    ["login.succeeded", { method: "password", address: "::1" }, "logged in by password from ::1"],
    ["login.failed", { name: "al", reason: "wrong" }, "login failed as al: wrong"],
    [
      "device.confirmed",
      { by: "bob", how: "approved req_1" },
      "device confirmed by bob: approved req_1",
    ],
    [
      "request.created",
      { profile: "read-write", durationMs: 60_000, reason: "order 17", request: "req_1" },
      "asked for read-write for 1m: order 17 (req_1)",
    ],
    [
      "request.refused",
      { profile: "admin", durationMs: 60_000, reason: "No policy allows it." },
      "asked for admin for 1m and was refused: No policy allows it.",
    ],
    [
      "request.refused",
      { action: "approve", request: "req_1", reason: "It is your own." },
      "may not approve req_1: It is your own.",
    ],
    [
      "request.approved",
      { request: "req_1", by: "bob", durationMs: 60_000, comment: "go" },
      "req_1 approved for 1m by bob: go",
    ],
    ["request.denied", { request: "req_1", by: "bob", reason: "no" }, "req_1 denied by bob: no"],
    [
      "grant.started",
      { profile: "read-only", endsAt: instant(0) },
      "got read-only until 12:00:00 (grt_9fv3xzbgndm5)",
    ],
    ["grant.ended", { end: "expired", latenessMs: 1 }, "grt_9fv3xzbgndm5 ended: its time was over"],
    [
      "grant.ended",
      { end: "revoked", by: "bob", reason: "enough", latenessMs: 2500 },
      "grt_9fv3xzbgndm5 revoked by bob: enough, 2.5 s late",
    ],
    ["user.dropped", { user: "jit_a", latenessMs: 91 }, "database user jit_a gone"],
    ["tunnel.opened", { address: "::1" }, "agent connected from ::1"],
    ["moon.risen", { phase: 3, device: "hash" }, /^moon\.risen .*phase=3$/],
  ])("puts %s into words", async (kind, fields, expected) => {
    const [said] = await words([record(kind, fields)]);
    expect(said).toEqual(typeof expected === "string" ? expected : expect.stringMatching(expected));
  });

  it("tells one event once, where several records come with it", async () => {
    const records = [
      record("request.granted", { request: "req_1" }),
      record("grant.started", { profile: "read-only", endsAt: instant(0) }),
      record("user.planned", { user: "jit_a" }),
      record("user.created", { user: "jit_a" }),
    ];
    expect(await words(records)).toHaveLength(2);
    expect(await words(records.slice(0, 1))).toEqual(["req_1 granted"]);
  });

  it("shows every field and whole texts with --full", async () => {
    seq = 6;
    const records = [intent("s.1", "SELECT 1;\n\tSELECT \u001b2")];
    expect(await audit(records, { argv: ["--full"] })).toBe(
      [
        "7  2026-11-23T11:59:00.000Z  statement.intent",
        "  prev       4063a9284d9a",
        "  person     alice",
        "  device     nHX6SkmzslaZyrdj",
        "  database   prod-orders",
        "  grant      grt_9fv3xzbgndm5",
        "  session    ses_de7y6s9y6110e4e8",
        "  statement  s.1",
        "  protocol   query",
        "  text       SELECT 1;",
        "                 SELECT \ufffd2",
        "",
        "",
      ].join("\n"),
    );
  });
});

describe("jitdb audit --full of a prepared statement", () => {
  it("is one block: what runs, then the outcome", async () => {
    seq = 6;
    const records = [
      intent("s.1", undefined, {
        protocol: "execute",
        candidates: [{ parse: "p.1", bind: "b.1", text: "SELECT $1", parameters: ["7"] }],
      }),
      outcome("s.1", { result: "complete", tag: "SELECT 1", rows: 1 }),
    ];
    const shown = await audit(records, { argv: ["--full"] });
    expect(shown).toContain("\n  runs        SELECT $1 [7]\n  outcome     SELECT 1, 1 row, 2 ms\n");
    expect(shown).toContain("8  2026-11-23T11:59:00.000Z  prev=4063a9284d9a");
    expect(shown).toContain("bytesIn=0 bytesOut=9 durationMs=2 result=complete");
    expect(shown.match(/statement\.outcome/)).toBeNull();
  });
});

describe("jitdb audit in a pipe", () => {
  const records = () => {
    seq = 6;
    return [
      record("grant.ended", { end: "expired", session: undefined }),
      intent("s.1", "select 1;\n\u001b[2J"),
    ];
  };

  it("writes a line a record, without hashes", async () => {
    expect(await audit(records(), { terminal: false })).toBe(
      "7\t2026-11-23T11:59:00.000Z\talice\tprod-orders\tgrant.ended\tgrant=grt_9fv3xzbgndm5 end=expired\t\n" +
        "8\t2026-11-23T11:59:00.000Z\talice\tprod-orders\tstatement.intent\tselect 1;\ufffd\ufffd[2J\t\n",
    );
  });

  it("adds hashes and the statement's other fields with --full", async () => {
    expect(await audit(records(), { terminal: false, argv: ["--full"] })).toBe(
      "7\t2026-11-23T11:59:00.000Z\talice\tprod-orders\tgrant.ended\tprev=4063a9284d9a device=nHX6SkmzslaZyrdj grant=grt_9fv3xzbgndm5 end=expired\t\n" +
        "8\t2026-11-23T11:59:00.000Z\talice\tprod-orders\tstatement.intent\tprev=4063a9284d9a device=nHX6SkmzslaZyrdj grant=grt_9fv3xzbgndm5 session=ses_de7y6s9y6110e4e8 statement=s.1 protocol=query text=select 1;\ufffd\ufffd[2J\t\n",
    );
  });
});

describe("jitdb audit of a grant by break-glass", () => {
  const records = () => [
    record("session.opened", { application: "psql", breakGlass: true }),
    intent("s.1", "DELETE FROM app.orders", { breakGlass: true }),
    record("session.opened", { application: "psql" }),
  ];

  it("marks each record, statements too, in a column of its own", async () => {
    expect(await audit(records(), { columns: 120 })).toBe(
      [
        "TIME      WHO    DATABASE     MARK         WHAT",
        "11:59:00  alice  prod-orders  break-glass  session opened with psql (ses_de7y6s9y6110e4e8)",
        "11:59:00  alice  prod-orders  break-glass  DELETE FROM app.orders  → no outcome yet",
        "11:59:00  alice  prod-orders               session opened with psql (ses_de7y6s9y6110e4e8)",
        "",
      ].join("\n"),
    );
    const lines = (await audit(records(), { terminal: false })).split("\n").slice(0, 3);
    expect(lines.map((text) => text.split("\t").at(-1))).toEqual([
      "break-glass",
      "break-glass",
      "",
    ]);
  });
});

describe("jitdb audit --follow", () => {
  it("goes on behind the last record until Ctrl-C, and tells a late outcome with its statement", async () => {
    seq = 0;
    const pages = [
      [intent("s.1", "SELECT 1")],
      [],
      [outcome("s.1", { result: "complete", tag: "SELECT 1", rows: 1 })],
    ];
    const asked: unknown[] = [];
    const stop = new AbortController();
    const api: Partial<Api> = {
      audit: ({ after }) => {
        asked.push(after);
        const records = pages.shift() ?? [];
        if (pages.length === 0) {
          stop.abort();
        }
        return Promise.resolve({ records, next: null });
      },
    };
    const context = { interruption: () => stop.signal };
    const outcomeOfAll = await runWithFakes(["audit", "--follow"], {
      api,
      context,
      terminal: true,
    });
    expect(outcomeOfAll).toEqual({
      exitCode: 0,
      stdout:
        "TIME      WHO    DATABASE     WHAT\n" +
        "11:59:00  alice  prod-orders  SELECT 1  → no outcome yet\n" +
        "11:59:00  alice  prod-orders  SELECT 1  → SELECT 1, 1 row, 2 ms\n",
      stderr: "",
    });
    expect(asked).toEqual([undefined, "1", "1"]);
  });
});

describe("the end of the page", () => {
  it("says in a terminal that older records are hidden, and how to see them", async () => {
    const api: Partial<Api> = {
      audit: () => Promise.resolve({ records: [record("setup.used")], next: null }),
    };
    const argv = ["audit", "--limit", "1"];
    expect((await runWithFakes(argv, { api, terminal: true })).stderr).toBe(
      "Only the newest are shown. More: --limit 500; all, from the first: --after 0.\n",
    );
    expect((await runWithFakes(argv, { api })).stderr).toBe("");
  });
});
