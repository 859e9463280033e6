import { JitdbError } from "@jitdb/shared/errors";
import { describe, expect, it } from "vitest";
import type { NewRequest } from "../api.ts";
import { instant, runWithFakes, sampleDatabase, samplePreview, sampleRequest } from "../fakes.ts";

const argv = ["request", "prod-orders", "--for", "30m", "--reason", "order 4711 is stuck"];

function decided(over: Parameters<typeof sampleRequest>[0]) {
  return {
    createRequest: () => Promise.resolve(sampleRequest()),
    request: () => Promise.resolve(sampleRequest({ decidedBy: "bob", ...over })),
  };
}

const asked = "Asked for prod-orders (read-only) for 30m.\n";
const waiting =
  "Waiting for approval by dba; the request lapses in 23h57m. Ctrl-C stops the waiting, not the request.\n";

describe("jitdb request", () => {
  it("sends what was asked for", async () => {
    const sent: NewRequest[] = [];
    const api = {
      createRequest: (input: NewRequest) => {
        sent.push(input);
        return Promise.resolve(sampleRequest());
      },
    };
    await runWithFakes([...argv, "--profile", "read-write", "--no-wait"], { api });
    expect(sent).toEqual([
      {
        database: "prod-orders",
        durationSeconds: 1800,
        profile: "read-write",
        reason: "order 4711 is stuck",
      },
    ]);
  });

  it("waits, tells who approved, and ends with 0", async () => {
    expect(await runWithFakes(argv, { api: decided({ state: "approved" }) })).toEqual({
      exitCode: 0,
      stdout: "req_7k2m9x4q\n",
      stderr:
        `${asked}${waiting}Approved by bob for 30m.\n` +
        "Go on with `jitdb psql prod-orders` or `jitdb connect prod-orders`.\n",
    });
  });

  it("turns a spinner in a terminal", async () => {
    const { stderr } = await runWithFakes(argv, {
      api: decided({ state: "approved" }),
      terminal: true,
    });
    expect(stderr).toContain(`(spinner) ${waiting}`);
  });

  it("ends with 5 when denied, and shows the reason", async () => {
    const api = decided({ state: "denied", decisionReason: "use the replica" });
    const { exitCode, stderr } = await runWithFakes(argv, { api });
    expect(exitCode).toBe(5);
    expect(stderr).toContain("error: Denied by bob: use the replica\nhint: Talk to the approver");
  });

  it.each([
    ["lapsed", "req_7k2m9x4q lapsed: nobody decided in time."],
    ["withdrawn", "req_7k2m9x4q was withdrawn."],
  ] as const)("ends with 6 when %s", async (state, message) => {
    const { exitCode, stderr } = await runWithFakes(argv, { api: decided({ state }) });
    expect(exitCode).toBe(6);
    expect(stderr).toContain(`error: ${message}\n`);
  });

  it("does not wait with --no-wait", async () => {
    const api = { createRequest: () => Promise.resolve(sampleRequest()) };
    expect(await runWithFakes([...argv, "--no-wait"], { api })).toEqual({
      exitCode: 0,
      stdout: "req_7k2m9x4q\n",
      stderr: `${asked}req_7k2m9x4q waits for its decision. Look with \`jitdb requests\`.\n`,
    });
  });

  it("prints one JSON document at the end with --json, also when denied", async () => {
    const api = decided({ state: "denied" });
    const { exitCode, stdout } = await runWithFakes([...argv, "--json"], { api });
    expect(exitCode).toBe(5);
    expect(JSON.parse(stdout)).toEqual(sampleRequest({ state: "denied", decidedBy: "bob" }));
  });

  it("leaves the request pending at Ctrl-C and says how to look and to withdraw", async () => {
    const interrupted = new AbortController();
    const { exitCode, stderr } = await runWithFakes(argv, {
      api: decided({ state: "pending" }),
      context: {
        interruption: () => interrupted.signal,
        pause: (_ms, signal) => {
          interrupted.abort();
          return Promise.reject(signal?.reason);
        },
      },
    });
    expect(exitCode).toBe(130);
    expect(stderr).toBe(
      `${asked}${waiting}error: Stopped waiting; req_7k2m9x4q is still pending.\n` +
        "hint: Look with `jitdb requests`, take it back with `jitdb withdraw req_7k2m9x4q`.\n",
    );
  });

  it.each([true, false])(
    "takes the policy's time where nobody says how long (terminal: %s)",
    async (terminal) => {
      const sent: NewRequest[] = [];
      const api = {
        createRequest: (input: NewRequest) => {
          sent.push(input);
          return Promise.resolve(sampleRequest({ durationSeconds: 900 }));
        },
      };
      const { stderr } = await runWithFakes(["request", "prod-orders", "--no-wait"], {
        api,
        terminal,
      });
      expect(sent).toMatchObject([{ durationSeconds: undefined }]);
      expect(stderr).toContain("Asked for prod-orders (read-only) for 15m.\n");
    },
  );

  it("shows the server's word where neither says how long and nobody is at a terminal", async () => {
    const error = new JitdbError("usage.duration", "The policy read has no default duration.", {
      hint: "Say how long with --for, up to 1h.",
    });
    const api = { createRequest: () => Promise.reject(error) };
    expect(await runWithFakes(["request", "prod-orders"], { api })).toEqual({
      exitCode: 2,
      stdout: "",
      stderr:
        "error: The policy read has no default duration.\nhint: Say how long with --for, up to 1h.\n",
    });
  });

  it("asks for the database and the time in a terminal, where the policy has none", async () => {
    const { stderr, exitCode } = await runWithFakes(["request", "--no-wait"], {
      terminal: true,
      answers: ["prod-orders", "1h30m"],
      api: {
        databases: () => Promise.resolve({ databases: [sampleDatabase()] }),
        createRequest: ({ durationSeconds }) =>
          durationSeconds === undefined
            ? Promise.reject(new JitdbError("usage.duration", "The policy has no default."))
            : Promise.resolve(sampleRequest({ durationSeconds })),
      },
    });
    expect(exitCode).toBe(0);
    expect(stderr).toContain("? Which database?\n  prod-orders (read-only)\n? For how long?\n");
    expect(stderr).toContain("Asked for prod-orders (read-only) for 1h30m.\n");
  });

  it("cannot be made to print escape sequences by a denial's reason (invariant 24)", async () => {
    const api = decided({
      state: "denied",
      decisionReason: "no\u001b]52;c;cm0gLXJm\u0007\u009b31m",
    });
    const { stderr } = await runWithFakes(argv, { api, terminal: true });
    expect(stderr.replaceAll("\n", "")).not.toMatch(/\p{Cc}/u);
  });
});

describe("jitdb request --dry-run", () => {
  const dry = [...argv, "--dry-run"];
  const previewed = (over: Parameters<typeof samplePreview>[0] = {}) => ({
    api: { previewRequest: () => Promise.resolve(samplePreview(over)) },
  });

  it("shows rule, privileges, approvers, the usual wait and the statements, and asks for nothing", async () => {
    const sent: NewRequest[] = [];
    const outcome = await runWithFakes(dry, {
      api: {
        previewRequest: (input) => {
          sent.push(input);
          return Promise.resolve(samplePreview());
        },
      },
    });
    expect(sent).toEqual([
      { database: "prod-orders", durationSeconds: 1800, reason: "order 4711 is stuck" },
    ]);
    expect(outcome).toEqual({
      exitCode: 0,
      stdout: `prod-orders (read-only) for 30m
  rule      production
  may       read tables and views
  approval  1 of dba
  by        bob, carol
  usually   decided within 4m, the median of 12
  lapses    in 24h, undecided
  runs      in the database, when it begins:
    CREATE ROLE "jit_1_alice_<random>" LOGIN PASSWORD '<verifier>';
    GRANT "jitdb_orders" TO "jit_1_alice_<random>";
`,
      stderr: "Nothing was asked for. Without --dry-run it is.\n",
    });
  });

  it("prints the preview as it is with --json", async () => {
    const { stdout } = await runWithFakes([...dry, "--json"], previewed());
    expect(JSON.parse(stdout)).toEqual(samplePreview());
  });

  it("says when nobody has to approve, and who looks at an emergency afterwards", async () => {
    const { stdout } = await runWithFakes(
      dry,
      previewed({
        stages: [],
        lapsesAt: null,
        review: { groups: ["security"], withinSeconds: 86_400 },
      }),
    );
    expect(stdout).toContain(
      "  approval  none: it would be granted at once\n  review    security has to look at it within 1d\n",
    );
    expect(stdout).not.toContain("usually");
  });

  it("says that nobody, or too few, could approve, which of many could, and what comes after them", async () => {
    const approvers = Array.from({ length: 20 }, (_, index) => `person-${index}`);
    const { stdout } = await runWithFakes(
      dry,
      previewed({
        stages: [
          { name: "owners", groups: ["leads"], needed: 2, approvers: ["bob"], approverCount: 1 },
          { name: null, groups: ["dba", "sre"], needed: 1, approvers, approverCount: 33 },
          { name: null, groups: ["ciso"], needed: 1, approvers: [], approverCount: 0 },
        ],
        enough: false,
        usualWait: null,
      }),
    );
    expect(stdout).toContain(
      "  but       different people have to approve, and they are too few\n",
    );
    expect(stdout).toContain("  approval  2 of leads (owners)\n  by        bob\n");
    expect(stdout).toMatch(
      / {2}then {6}1 of dba or sre\n {2}by {8}person-0, .*person-7 and 25 more\n/,
    );
    expect(stdout).toContain("  then      1 of ciso\n  by        nobody could at the moment\n");
    expect(stdout).toContain("  usually   not known: too few were decided so far\n");
  });

  it("says what else is known: a device to vouch for, a later start, the same request, traces, a database that is away", async () => {
    const { stdout } = await runWithFakes(
      dry,
      previewed({
        vouching: true,
        startsAt: instant(3600),
        waiting: "req_7k2m9x4q",
        leavesTraces: ["can make objects in app"],
        usualWait: { medianSeconds: 7200, decided: 5, lapsed: 3 },
        statements: [],
        problem: "prod-orders cannot be reached at the moment.",
      }),
    );
    expect(stdout).toContain("  traces    it can leave some; a grant can make objects in app\n");
    expect(stdout).toContain("  begins    in 1h (2026-11-23T13:00:00.000Z)\n");
    expect(stdout).toContain("  because   nobody has confirmed this device yet\n");
    expect(stdout).toContain("  usually   decided within 2h, the median of 5; 3 more lapsed\n");
    expect(stdout).toContain("  waiting   the same was asked already: req_7k2m9x4q\n");
    expect(stdout).toContain(
      "  runs      cannot be said: prod-orders cannot be reached at the moment.\n",
    );
  });

  it("ends as the request would where a rule refuses it", async () => {
    const refusal = new JitdbError("policy.duration", "8h is too long.", { hint: "Ask for less." });
    const { exitCode, stdout, stderr } = await runWithFakes(dry, {
      api: { previewRequest: () => Promise.reject(refusal) },
    });
    expect({ exitCode, stdout, stderr }).toEqual({
      exitCode: 4,
      stdout: "",
      stderr: "error: 8h is too long.\nhint: Ask for less.\n",
    });
  });

  it("cannot be made to print escape sequences by names in the configuration (invariant 24)", async () => {
    const evil = "a\u001b[2K\u202eb\nc";
    const { stdout } = await runWithFakes(
      dry,
      previewed({
        policy: evil,
        privileges: evil,
        leavesTraces: [evil],
        statements: [evil],
        stages: [{ name: evil, groups: [evil], needed: 1, approvers: [evil], approverCount: 1 }],
      }),
    );
    expect(stdout.replaceAll("\n", "")).not.toMatch(/[\p{Cc}\u202e]/u);
    expect(
      stdout
        .trimEnd()
        .split("\n")
        .every((text) => /^(prod-orders| {2})/.test(text)),
    ).toBe(true);
  });
});
