import type { RequestBackground, RequestView } from "@jitdb/shared/api/access";
import type { AuditRecordView } from "@jitdb/shared/api/audit";
import { JitdbError } from "@jitdb/shared/errors";
import { describe, expect, it } from "vitest";
import type { Api } from "../api.ts";
import { aborted, type FakeOptions, instant, runWithFakes, sampleRequest } from "../fakes.ts";

const kinds = { reads: 10, writes: 3, schema: 1, others: 2, failed: 1 };
const past = {
  id: "grt_before000000",
  database: "prod-orders",
  profile: "read-only",
  startsAt: instant(-7200),
  durationSeconds: 1800,
  sessions: 1,
  statements: 14,
  kinds,
  readable: true,
};
const background: RequestBackground = {
  privileges: "read tables and views",
  lastGrants: [past],
  unusual: ["hour"],
};
const approved = sampleRequest({ state: "approved", decidedBy: "bob" });

interface Given extends Partial<FakeOptions> {
  readonly argv?: readonly string[];
  readonly request?: RequestView;
}

/** `jitdb approve` in a terminal, and what was asked of the server. */
async function approve({ argv = [], request = sampleRequest(), api, ...options }: Given) {
  const calls: unknown[] = [];
  const record =
    (name: string, answer: RequestView) =>
    (...call: unknown[]) => {
      calls.push([name, ...call]);
      return Promise.resolve(answer);
    };
  const server: Partial<Api> = {
    requests: () => Promise.resolve({ requests: [request], next: null }),
    requestBackground: () => Promise.resolve(background),
    request: () => Promise.resolve(request),
    approve: record("approve", approved),
    deny: record("deny", sampleRequest({ state: "denied" })),
    ...api,
  };
  const context = { pause: (_: number, signal?: AbortSignal) => aborted(signal ?? never) };
  const outcome = await runWithFakes(["approve", "7k2m", ...argv], {
    terminal: true,
    context,
    ...options,
    api: server,
  });
  return { ...outcome, calls };
}

const never = new AbortController().signal;

const keys = "[y] approve  [s] shorten  [d] deny  [l] look closer  [Enter] leave it\n";
const shown =
  "alice asks for prod-orders (read-only) for 30m.\n" +
  "reason: order 4711 is stuck\n" +
  "device: alice-laptop (linux)\n" +
  "may: read tables and views\n" +
  "before: prod-orders (read-only) for 30m, 2h ago; 17 statements in 1 session: 10\n" +
  "        reads, 3 writes, 1 schema change, 2 other, 1 failed\n" +
  "unusual: at an hour at which alice had no access before\n" +
  "lapses: in 23h57m\n";

describe("jitdb approve in a terminal", () => {
  it("asks nothing about what is decided", async () => {
    const request = sampleRequest({ state: "withdrawn", canDecide: false });
    const { exitCode, stderr, calls } = await approve({ keys: ["y"], request });
    expect(stderr).toContain(`error: You did not decide ${request.id}. alice withdrew it.\n`);
    expect(stderr).not.toContain(keys);
    expect(exitCode).not.toBe(0);
    expect(calls).toEqual([]);
  });

  it("asks nothing about what is for others to decide, such as one's own", async () => {
    const request = sampleRequest({ canDecide: false });
    const { stderr, calls } = await approve({ keys: ["y"], request });
    expect(stderr).toContain(
      `error: You did not decide ${request.id}. It waits for others now: dba.\n`,
    );
    expect(stderr).not.toContain(keys);
    expect(calls).toEqual([]);
  });

  it("shows what matters before it asks, and approves by one key", async () => {
    for (const key of ["y", "a"]) {
      const { exitCode, stdout, stderr, calls } = await approve({ keys: [key], columns: 80 });
      expect({ exitCode, stdout, stderr }).toEqual({
        exitCode: 0,
        stdout: "",
        stderr: `${shown}${keys}Approved: alice has prod-orders for 30m.\n`,
      });
      expect(calls).toEqual([["approve", "req_7k2m9x4q", { comment: "" }]]);
    }
  });

  it("approves a shorter time by two keys, out of those that are offered", async () => {
    const { stderr, calls } = await approve({ keys: ["s", "2"] });
    expect(stderr).toContain("Approve for how long?  [1] 1m  [2] 5m  [3] 15m  [Esc] back\n");
    expect(calls).toEqual([["approve", "req_7k2m9x4q", { comment: "", durationSeconds: 300 }]]);
  });

  it.each(["4", "0", "escape", "x", "y"])(
    "goes back without a decision where %s was pressed for a time",
    async (key) => {
      const { stderr, calls } = await approve({ keys: ["s", key, "q"] });
      expect(stderr.split(keys)).toHaveLength(3);
      expect(calls).toEqual([]);
    },
  );

  it("denies by two keys, with a reason where somebody writes one", async () => {
    for (const reason of ["", "use the replica"]) {
      const { stderr, calls } = await approve({ keys: ["d"], answers: [reason] });
      expect(stderr).toContain("Denied: alice does not get prod-orders.\n");
      expect(calls).toEqual([["deny", "req_7k2m9x4q", { reason }]]);
    }
  });

  it("takes no reason that could forge somebody's screen", async () => {
    const { exitCode, stderr, calls } = await approve({
      keys: ["d"],
      answers: ["no\u001b[2J"],
    });
    expect(stderr).toContain("without control characters");
    expect([exitCode, calls]).toEqual([1, []]);
  });

  it("looks closer at the statements of the last grants, and asks again", async () => {
    const statement = { session: "ses_1", statement: "stm_1", person: "alice" };
    const at = instant(-7100);
    const records: AuditRecordView[] = [
      {
        ...statement,
        seq: 1,
        at,
        kind: "statement.intent",
        protocol: "query",
        text: "DELETE FROM app.orders\u001b]0;x\u0007",
        encoding: "UTF8",
      },
      {
        ...statement,
        seq: 2,
        at,
        kind: "statement.outcome",
        result: "complete",
        tag: "DELETE 3",
        rows: 3,
        bytesIn: 0,
        bytesOut: 0,
        durationMs: 2,
      },
    ];
    const asked: unknown[] = [];
    const { exitCode, stderr, calls } = await approve({
      keys: ["l", "enter"],
      api: {
        audit: (query) => {
          asked.push(query);
          return Promise.resolve({ records, next: null });
        },
      },
    });
    expect(asked).toEqual([{ grant: past.id, kind: "statement", limit: 100 }]);
    expect(stderr).toContain("grt_before000000: prod-orders (read-only) for 30m, 2h ago\n");
    expect(stderr).toMatch(
      /DELETE FROM app\.orders\ufffd\]0;x\ufffd {2}→ DELETE 3, 3 rows, 2 ms\n/,
    );
    expect(stderr.split(keys)).toHaveLength(3);
    expect(stderr).toContain("Left undecided; req_7k2m9x4q still waits.\n");
    expect([exitCode, calls]).toEqual([0, []]);
  });

  it("says so where statements are for others to read, and where there was nothing", async () => {
    const closed = { ...background, lastGrants: [{ ...past, readable: false }] };
    const none = { ...background, lastGrants: [] };
    const look = async (answer: RequestBackground) =>
      (
        await approve({
          keys: ["l", "q"],
          api: { requestBackground: () => Promise.resolve(answer) },
        })
      ).stderr;
    expect(await look(closed)).toContain(
      "  Its statements are for those who decide on that database, and for administrators.\n",
    );
    const nothing = await look(none);
    expect(nothing).toContain("before: no grant at all\n");
    expect(nothing).toContain("alice had no grant so far.\n");
  });

  it("approves what the command line says by one key, and at once with --yes", async () => {
    const argv = ["--for", "15m", "--profile", "read-only", "--comment", "ok"];
    const input = { durationSeconds: 900, profile: "read-only", comment: "ok" };
    const asked = await approve({ argv, keys: ["y"] });
    expect(asked.stderr).toContain("[y] approve for 15m with read-only  [s]");
    const atOnce = await approve({ argv: [...argv, "--yes"] });
    expect(atOnce.stderr).not.toContain("[y]");
    for (const { calls } of [asked, atOnce]) {
      expect(calls).toEqual([["approve", "req_7k2m9x4q", input]]);
    }
  });

  it("shows who has approved already, and who is still missing", async () => {
    const given = {
      person: "carol",
      at: instant(-60),
      comment: "fine",
      durationSeconds: 1800,
      profile: null,
    };
    const request = sampleRequest({
      approvals: {
        needed: 3,
        given: [given],
        stages: [
          { name: "owners", groups: ["leads"], missing: 0 },
          { name: null, groups: ["dba", "sre"], missing: 2 },
        ],
        groups: ["leads", "dba", "sre"],
      },
    });
    const { stderr } = await approve({ keys: ["q"], request });
    expect(stderr).toContain("\napproved: by carol: fine\nneeds: 2 of dba or sre\n");
  });
});

describe("jitdb approve, left or interrupted", () => {
  it.each(["enter", "q"])("decides nothing at %s, and ends well", async (key) => {
    const { exitCode, stderr, calls } = await approve({ keys: [key] });
    expect(stderr).toContain("Left undecided; req_7k2m9x4q still waits.\n");
    expect([exitCode, calls]).toEqual([0, []]);
  });

  it("decides nothing at any other key", async () => {
    const { calls } = await approve({ keys: ["n", "x", "1", "escape", "q"] });
    expect(calls).toEqual([]);
  });

  it("decides nothing at Ctrl-C, and ends with 130", async () => {
    const interrupted = new AbortController();
    const { exitCode, stderr, calls } = await approve({
      keys: {
        next: (signal) => {
          interrupted.abort();
          return aborted(signal);
        },
        lend: (work) => work(),
        close: () => undefined,
      },
      context: {
        interruption: () => interrupted.signal,
        pause: (_, signal) => aborted(signal ?? never),
      },
    });
    expect(stderr).toContain(
      "error: Nothing was decided; req_7k2m9x4q still waits.\n" +
        "hint: Decide with `jitdb approve req_7k2m9x4q` or `jitdb deny req_7k2m9x4q`.\n",
    );
    expect([exitCode, calls]).toEqual([130, []]);
  });

  it("decides nothing at Ctrl-C where the reason of a denial is asked", async () => {
    const { exitCode, stderr, calls } = await approve({
      keys: {
        next: () => Promise.resolve("d"),
        lend: () => Promise.reject(new JitdbError("local.interrupted", "Interrupted.")),
        close: () => undefined,
      },
    });
    expect(stderr).toContain("error: Nothing was decided; req_7k2m9x4q still waits.\n");
    expect([exitCode, calls]).toEqual([130, []]);
  });

  it("closes the keyboard whatever happens", async () => {
    let closed = 0;
    const keyboard = (next: () => Promise<string>) => ({
      next,
      lend: <T>(work: () => Promise<T>) => work(),
      close: () => {
        closed += 1;
      },
    });
    await approve({ keys: keyboard(() => Promise.resolve("y")) });
    await approve({ keys: keyboard(() => Promise.reject(new Error("broken"))) });
    expect(closed).toBe(2);
  });
});

describe("jitdb approve, and somebody was faster", () => {
  const outcomes = [
    [
      { state: "approved", decidedBy: "carol", durationSeconds: 900 },
      10,
      "carol approved it for 15m.",
    ],
    [{ state: "denied", decidedBy: "carol", decisionReason: "no" }, 10, "carol denied it: no"],
    [{ state: "withdrawn", decidedBy: "alice" }, 10, "alice withdrew it."],
    [
      { state: "lapsed", decisionReason: "Nobody decided in time." },
      6,
      "It lapsed. Nobody decided in time.",
    ],
    [{ canDecide: false }, 10, "It waits for others now: dba."],
  ] as const;

  it.each(outcomes)("says so while it is on the screen: %o", async (over, exit, what) => {
    const { exitCode, stderr, calls } = await approve({
      api: { request: () => Promise.resolve(sampleRequest(over)) },
    });
    expect(stderr).toContain(`${keys}error: You did not decide req_7k2m9x4q. ${what}\n`);
    expect([exitCode, calls]).toEqual([exit, []]);
  });

  it("says who it was where the key came too late", async () => {
    let isDecided = false;
    const decided = sampleRequest({ state: "approved", decidedBy: "carol", durationSeconds: 900 });
    const { exitCode, stderr } = await approve({
      keys: ["y"],
      api: {
        request: () => Promise.resolve(isDecided ? decided : sampleRequest()),
        approve: () => {
          isDecided = true;
          return Promise.reject(new JitdbError("request.decided", "It was just decided."));
        },
      },
    });
    expect(exitCode).toBe(10);
    expect(stderr).toContain("You did not decide req_7k2m9x4q. carol approved it for 15m.\n");
  });

  it("shows the request anew when one more has approved it, and goes on", async () => {
    const given = { at: instant(0), comment: "", durationSeconds: 900, profile: null };
    const more = sampleRequest({
      approvals: {
        needed: 2,
        given: [{ ...given, person: "carol" }],
        stages: [{ name: null, groups: ["dba"], missing: 1 }],
        groups: ["dba"],
      },
    });
    let press: (key: string) => void = () => undefined;
    const pressed = new Promise<string>((resolve) => {
      press = resolve;
    });
    const { stderr, calls } = await approve({
      keys: {
        next: () => pressed,
        lend: (work) => work(),
        close: () => undefined,
      },
      api: { request: () => Promise.resolve(more) },
      onWrite: (text) => {
        if (text.includes("approved: by carol")) {
          press("y");
        }
      },
    });
    expect(stderr).toContain(
      "Somebody else has approved; it is still yours to decide:\nalice asks for prod-orders",
    );
    expect(stderr).toContain("approved: by carol\nneeds: 1 of dba\n");
    expect(calls).toEqual([["approve", "req_7k2m9x4q", { comment: "" }]]);
  });

  it("reports what the server refuses for another reason as it is", async () => {
    const { exitCode, stderr } = await approve({
      keys: ["y"],
      api: { approve: () => Promise.reject(new JitdbError("login.stale", "Too old.")) },
    });
    expect(exitCode).toBe(3);
    expect(stderr).toContain("error: Too old.\nhint: Run `jitdb login --again`");
  });
});

describe("what others wrote", () => {
  it("forges no line of an approver's screen (invariant 24)", async () => {
    const evil =
      `fix${" ".repeat(73)}may: nothing at all\r\nmay: nothing\u001b[2A\u001b]52;c;x\u0007` +
      "\u202egnihton :yam\u200f\u2066\u009b31m";
    const { stderr } = await approve({
      keys: ["q"],
      columns: 80,
      request: sampleRequest({
        reason: evil,
        device: { label: evil, confirmed: false },
        leavesTraces: [evil],
        approvals: {
          needed: 2,
          given: [
            { person: "x", at: instant(0), comment: evil, durationSeconds: 1, profile: null },
          ],
          stages: [{ name: evil, groups: [evil], missing: 1 }],
          groups: ["dba"],
        },
      }),
      api: { requestBackground: () => Promise.resolve({ ...background, privileges: evil }) },
    });
    expect(stderr.replaceAll("\n", "")).not.toMatch(/[\p{Cc}\u200f\u202e\u2066]/u);
    const ours =
      /^(alice asks for|reason: |device: |traces: |approved: |needs: |may: fix|before: |unusual: |lapses: |\[y\]|Left undecided| +\S)/;
    for (const each of stderr.trimEnd().split("\n")) {
      expect(each).toMatch(ours);
      expect(each.length).toBeLessThan(80);
    }
  });
});
