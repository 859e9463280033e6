import { describe, expect, it } from "vitest";
import type { Api } from "../api.ts";
import { instant, runWithFakes, sampleDatabase, sampleGrant, sampleRequest } from "../fakes.ts";

const session = {
  id: "ses_7k2m9x4qab3d5678",
  grantId: "grt_7k2m9x4qab3d",
  person: "alice",
  database: "prod-orders",
  profile: "read-only",
  userName: "jit_a_alice_1",
  address: "192.0.2.7",
  application: "psql",
  openedAt: instant(-30),
  closedAt: null,
  end: null,
  statements: 3,
  parked: false,
  breakGlass: false,
};

interface Row {
  readonly argv: readonly string[];
  readonly api: Partial<Api>;
  readonly terminal: string;
  readonly pipe: string;
}

const rows: Row[] = [
  {
    argv: ["databases"],
    api: { databases: () => Promise.resolve({ databases: [sampleDatabase()] }) },
    terminal:
      "DATABASE     ENGINE    PROFILE    AT MOST  APPROVAL  WHAT IT GIVES\n" +
      "prod-orders  postgres  read-only  2h       required  SELECT on the named schemas\n",
    pipe: "prod-orders\tpostgres\tread-only\t2h\trequired\tSELECT on the named schemas\tno\n",
  },
  {
    argv: ["requests"],
    api: { requests: () => Promise.resolve({ requests: [sampleRequest()], next: null }) },
    terminal:
      "ID            STATE    WHO    DATABASE     PROFILE    FOR  ASKED   DEVICE           REASON\n" +
      "req_7k2m9x4q  pending  alice  prod-orders  read-only  30m  3m ago  alice-laptop (…  order 4711 is s…\n",
    pipe: "req_7k2m9x4q\tpending\talice\tprod-orders\tread-only\t30m\t2026-11-23T11:57:00.000Z\talice-laptop (linux)\torder 4711 is stuck\t\n",
  },
  {
    argv: ["grants"],
    api: { grants: () => Promise.resolve({ grants: [sampleGrant()], next: null }) },
    terminal:
      "ID                WHO    DATABASE     PROFILE    STATE   ENDS    USER   SESSIONS\n" +
      "grt_7k2m9x4qab3d  alice  prod-orders  read-only  active  in 29m  ready  1\n",
    pipe: "grt_7k2m9x4qab3d\talice\tprod-orders\tread-only\tactive\t2026-11-23T12:29:00.000Z\tready\t1\t\tpending\t\n",
  },
  {
    argv: ["sessions"],
    api: { sessions: () => Promise.resolve({ sessions: [session], next: null }) },
    terminal:
      "ID                    WHO    DATABASE   PROFILE    OPENED   STATEMENTS  STATE  FROM       APPLICATI…\n" +
      "ses_7k2m9x4qab3d5678  alice  prod-ord…  read-only  30s ago  3           open   192.0.2.7  psql\n",
    pipe: "ses_7k2m9x4qab3d5678\talice\tprod-orders\tread-only\t2026-11-23T11:59:30.000Z\t3\topen\t\t192.0.2.7\tpsql\n",
  },
];

describe.each(rows)("jitdb $argv.0", ({ argv, api, terminal, pipe }) => {
  it("draws a table that fits into the terminal", async () => {
    expect(await runWithFakes(argv, { api, terminal: true })).toEqual({
      exitCode: 0,
      stdout: terminal,
      stderr: "",
    });
  });

  it("writes tab-separated lines with exact times into a pipe", async () => {
    expect(await runWithFakes(argv, { api })).toEqual({ exitCode: 0, stdout: pipe, stderr: "" });
  });

  it("prints the API's document on one line with --json", async () => {
    const { stdout } = await runWithFakes([...argv, "--json"], { api });
    const [list] = Object.values(api);
    expect(stdout.split("\n")).toHaveLength(2);
    expect(JSON.parse(stdout)).toEqual(await (list as () => Promise<unknown>)());
  });
});

describe("empty lists", () => {
  it.each([
    [["databases"], "No policy lets you ask for a database. Ask an administrator for one."],
    [
      ["requests"],
      "You have asked for nothing yet. Ask with `jitdb request <database> --for 30m`.",
    ],
    [["requests", "--inbox"], "No request waits for your decision."],
    [["grants"], "You have no live grant. Ask with `jitdb request <database> --for 30m`."],
    [
      ["sessions"],
      "You have no open session. Open one with `jitdb psql <database>` or `jitdb connect`.",
    ],
    [["audit", "--person", "eve"], "No record matches. Leave out a filter."],
  ])("%j says what to do next", async (argv, message) => {
    const api: Partial<Api> = {
      databases: () => Promise.resolve({ databases: [] }),
      requests: () => Promise.resolve({ requests: [], next: null }),
      grants: () => Promise.resolve({ grants: [], next: null }),
      sessions: () => Promise.resolve({ sessions: [], next: null }),
      audit: () => Promise.resolve({ records: [], next: null }),
    };
    expect(await runWithFakes(argv, { api })).toEqual({
      exitCode: 0,
      stdout: "",
      stderr: `${message}\n`,
    });
  });
});

describe("lists that hide what they could show", () => {
  it.each([
    [["requests"], "You have asked for nothing yet. See the others with `jitdb requests --all`."],
    [
      ["requests", "--inbox"],
      "No request waits for your decision. See the others with `jitdb requests --all`.",
    ],
    [
      ["grants"],
      "You have no live grant. See ended ones, and those of others, with `jitdb grants --all`.",
    ],
    [
      ["sessions"],
      "You have no open session. See closed ones, and those of others, with `jitdb sessions --all`.",
    ],
  ])("%j says so", async (argv, message) => {
    const onlyAll = <Item>(scope: string | undefined, item: Item) =>
      scope === "all" ? [item] : [];
    const api: Partial<Api> = {
      requests: ({ scope }) =>
        Promise.resolve({ requests: onlyAll(scope, sampleRequest()), next: null }),
      grants: ({ scope }) => Promise.resolve({ grants: onlyAll(scope, sampleGrant()), next: null }),
      sessions: ({ scope }) => Promise.resolve({ sessions: onlyAll(scope, session), next: null }),
    };
    expect(await runWithFakes(argv, { api })).toEqual({
      exitCode: 0,
      stdout: "",
      stderr: `${message}\n`,
    });
  });

  it("show why a session closed, in words to people", async () => {
    const closed = { ...session, closedAt: instant(-5), end: "client_closed" };
    const api = { sessions: () => Promise.resolve({ sessions: [closed], next: null }) };
    const argv = ["sessions", "--all"];
    const people = await runWithFakes(argv, { api, terminal: true, columns: 120 });
    expect(people.stdout).toContain("  client closed  ");
    expect((await runWithFakes(argv, { api })).stdout).toContain("\tclient_closed\t");
  });
});

describe("sessions of a grant by break-glass", () => {
  it("are marked, for people and in pipes", async () => {
    const marked = { ...session, breakGlass: true };
    const api = { sessions: () => Promise.resolve({ sessions: [session, marked], next: null }) };
    const argv = ["sessions", "--all"];
    const people = await runWithFakes(argv, { api, terminal: true, columns: 140 });
    expect(people.stdout.match(/break-glass/g)).toHaveLength(1);
    const [plain, last] = (await runWithFakes(argv, { api })).stdout.split("\n");
    expect(plain).toContain("\topen\t\t");
    expect(last).toContain("\topen\tbreak-glass\t");
  });
});

describe("what a list asks the server for", () => {
  it("is one's own live grants, or everything with --all", async () => {
    const queries: unknown[] = [];
    const api: Partial<Api> = {
      grants: (query) => {
        queries.push(query);
        return Promise.resolve({ grants: [], next: null });
      },
    };
    await runWithFakes(["grants"], { api });
    await runWithFakes(["grants", "--all", "--limit", "3", "--after", "c7"], { api });
    expect(queries).toEqual([
      { scope: "mine", state: "active", limit: 50 },
      { scope: "all", limit: 1 },
      { scope: "all", limit: 3, after: "c7" },
    ]);
  });

  it("passes the filters of the audit on", async () => {
    const queries: unknown[] = [];
    const api: Partial<Api> = {
      audit: (query) => {
        queries.push(query);
        return Promise.resolve({ records: [], next: "c9" });
      },
    };
    const argv = ["audit", "--kind", "statement.intent", "--database", "prod-orders"];
    const { stderr } = await runWithFakes(argv, { api });
    expect(queries).toEqual([{ kind: "statement.intent", database: "prod-orders", limit: 50 }]);
    expect(stderr).toContain("There is more: add --after c9, or a larger --limit.\n");
  });
});

describe("jitdb whoami", () => {
  const me = {
    person: "alice",
    groups: ["developers"],
    administrator: false,
    device: { id: "dev_1", label: "alice-laptop (linux)", confirmed: false },
    tokenExpiresAt: instant(600),
    server: { version: "0.1.0", time: instant(0) },
  };
  const api = { me: () => Promise.resolve(me) };

  it("shows person, server, groups and device", async () => {
    expect(await runWithFakes(["whoami"], { api })).toEqual({
      exitCode: 0,
      stdout:
        "alice at https://jitdb.example.com\ngroups: developers\n" +
        "device: alice-laptop (linux), not confirmed yet\nserver version: 0.1.0\n",
      stderr: expect.stringContaining(
        "  on a device that you use already:\n    jitdb devices confirm dev_1\n",
      ),
    });
  });

  it("adds the server's address to the API's answer with --json", async () => {
    const { stdout } = await runWithFakes(["whoami", "--json"], { api });
    const server = { address: "https://jitdb.example.com", ...me.server };
    expect(JSON.parse(stdout)).toEqual({ ...me, server });
  });
});
