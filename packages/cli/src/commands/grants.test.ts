import type { GrantDetail, TraceView } from "@jitdb/shared/api/traces";
import { describe, expect, it } from "vitest";
import type { Api } from "../api.ts";
import { instant, runWithFakes, sampleGrant, sampleRequest } from "../fakes.ts";
import { calendarDay, clockTime } from "../text.ts";

const id = "grt_7k2m9x4qab3d";
const digest = "d".repeat(64);
const at = (seconds: number) => `${calendarDay(instant(seconds))} ${clockTime(instant(seconds))}`;

const table: TraceView = {
  change: "new",
  database: "orders",
  kind: "table",
  identity: "app.kept",
  owner: "jitdb_keeper",
  detail: "",
  risk: "data",
  look: "SELECT * FROM app.kept LIMIT 20",
  undo: "DROP TABLE app.kept",
  maker: {
    certainty: "owner",
    grant: id,
    person: "alice",
    statement: "stm_1",
    session: "ses_1",
    at: instant(-30),
    text: "CREATE TABLE\n  app.kept\u001b[2J (id int)",
  },
  candidates: [{ grant: id, person: "alice" }],
};
const door: TraceView = {
  ...table,
  kind: "function",
  identity: "app.door()",
  owner: "jitdb_orders_admin",
  detail: "SECURITY DEFINER",
  risk: "acts",
  look: null,
  undo: null,
  maker: {
    ...{ certainty: "none", grant: null, person: null },
    ...{ statement: null, session: null, at: null, text: null },
  },
  candidates: [
    { grant: id, person: "alice" },
    { grant: "grt_other", person: "anna" },
  ],
};

function detailOf(
  over: Partial<GrantDetail["comparison"]> = {},
  grant: Partial<GrantDetail["grant"]> = {},
): GrantDetail {
  return {
    grant: sampleGrant({
      profile: "admin",
      state: "ended",
      end: "expired",
      endedAt: instant(-10),
      endReason: "The time is over.",
      user: "gone",
      traces: "open",
      ...grant,
    }),
    request: sampleRequest({
      approvals: {
        needed: 1,
        groups: ["dba"],
        stages: [{ name: null, groups: ["dba"], missing: 0 }],
        given: [
          {
            person: "bob",
            at: instant(-120),
            comment: "go",
            durationSeconds: 1800,
            profile: null,
          },
        ],
      },
    }),
    userName: "jit_a_alice_1",
    sessions: { total: 2, open: 0, statements: 3 },
    obstacle: null,
    comparison: {
      waitsFor: null,
      comparedAt: instant(-5),
      traces: [door, table],
      gaps: [],
      digest,
      signedBy: null,
      signedAt: null,
      comment: null,
      canSign: true,
      ...over,
    },
  };
}

const traceLines = `
1. new function app.door() in orders, of jitdb_orders_admin, SECURITY DEFINER (can act when others use it)
   not by a statement of a grant on record
   grants at the time: alice (${id}), anna (grt_other)

2. new table app.kept in orders, of jitdb_keeper
   made by alice: its user owned it, statement stm_1 ${at(-30)}
     CREATE TABLE app.kept\ufffd[2J (id int)
   look: SELECT * FROM app.kept LIMIT 20;
   undo: DROP TABLE app.kept;
`;

function apiOf(detail: GrantDetail, calls: unknown[] = []): { api: Partial<Api> } {
  return {
    api: {
      grants: (query) => {
        calls.push(query);
        return Promise.resolve({ grants: [detail.grant], next: null });
      },
      grantDetail: () => Promise.resolve(detail),
      signTraces: (...call) => {
        calls.push(call);
        return Promise.resolve({
          ...detail,
          grant: { ...detail.grant, traces: "signed" as const },
        });
      },
    },
  };
}

describe("jitdb grants show", () => {
  it("says all about a grant, and what it left, with its maker and the SQL (invariant 33)", async () => {
    const { exitCode, stdout } = await runWithFakes(["grants", "show", "7k2m"], apiOf(detailOf()));
    expect(exitCode).toBe(0);
    expect(stdout).toBe(`${id}: alice on prod-orders (admin)
  asked     ${at(-180)} for 30m: order 4711 is stuck
  device    alice-laptop (linux)
  approved  by bob ${at(-120)}: go
  time      ${at(-60)} to ${at(1740)}
  ended     10s ago, expired: The time is over.
  user      jit_a_alice_1: gone
  sessions  2, none open, 3 statements
  records   jitdb audit --grant ${id}

Left behind: 2 traces; nobody has signed it. Sign with \`jitdb grants sign ${id}\`.
${traceLines}`);
  });

  it.each([
    ["none", {}, "Left behind: nothing."],
    [
      "pending",
      { waitsFor: "It is being compared." },
      "Left behind: not known yet. It is being compared.",
    ],
    ["unknown", {}, "Left behind: never compared; there is no snapshot of its beginning."],
    [
      "signed",
      { traces: [table], signedBy: "bob", signedAt: instant(-1), comment: "fine" },
      `Left behind: 1 trace; signed by bob ${at(-1)}: fine`,
    ],
    [
      "open",
      { gaps: ["Not all."], canSign: false },
      "Nothing is known to be left behind, but not all could be compared; nobody has signed it.\n  not compared: Not all.",
    ],
  ] as const)("says where nothing is to be signed: %s", async (traces, over, words) => {
    const detail = detailOf({ traces: [], ...over } as Partial<GrantDetail["comparison"]>, {
      traces,
    });
    const { stdout } = await runWithFakes(["grants", "show", id], apiOf(detail));
    expect(stdout).toContain(`\n\n${words}\n`);
  });

  it("prints the SQL for a DBA where a user could not be removed", async () => {
    const sql = '\\connect "orders"\n-- Why\nDROP ROLE "x";\n';
    const detail = { ...detailOf(), obstacle: { problem: "x is still there.\nSo is y.", sql } };
    const { stdout } = await runWithFakes(["grants", "show", id], apiOf(detail));
    expect(stdout).toContain(`What stands in the way:
  x is still there.
  So is y.
A superuser removes it with this script for psql:
  \\connect "orders"
  -- Why
  DROP ROLE "x";
`);
  });

  it("prints the API's form with --json, and wants an id where nobody can be asked", async () => {
    const { stdout } = await runWithFakes(["grants", "show", id, "--json"], apiOf(detailOf()));
    expect(JSON.parse(stdout)).toEqual(detailOf());
    const { exitCode, stderr } = await runWithFakes(["grants", "show"], {});
    expect([exitCode, stderr]).toEqual([
      2,
      "error: Which grant? `jitdb grants show` needs its id here.\nhint: Write `jitdb grants show <id>`; `jitdb grants --all` lists them.\n",
    ]);
  });
});

describe("jitdb grants sign", () => {
  it("shows what is signed, and signs exactly that (invariant 33)", async () => {
    const calls: unknown[] = [];
    const argv = ["grants", "sign", "7k2m", "--comment", "dropped"];
    const { stdout, stderr } = await runWithFakes(argv, apiOf(detailOf(), calls));
    expect(stdout).toBe("");
    expect(stderr).toContain(traceLines);
    expect(stderr).toContain(`Signed: what alice left on prod-orders (${id}).\n`);
    expect(calls).toEqual([
      { scope: "all", openTraces: true, limit: 500 },
      [id, { digest, comment: "dropped" }],
    ]);
  });
});

describe("jitdb grants --open-traces", () => {
  it("lists what waits for a signature", async () => {
    const calls: unknown[] = [];
    const options = { ...apiOf(detailOf(), calls), terminal: true, columns: 120 };
    const { stdout } = await runWithFakes(["grants", "--open-traces"], options);
    expect(calls).toEqual([{ scope: "all", openTraces: true, limit: 50 }]);
    expect(stdout).toMatch(/TRACES\n.* open\n$/);
  });
});
