import type { RequestBackground } from "@jitdb/shared/api/access";
import { describe, expect, it } from "vitest";
import type { Api } from "../api.ts";
import { runWithFakes, sampleGrant, sampleRequest } from "../fakes.ts";

const other = sampleRequest({ id: "req_7k9wx111", person: "carol", reason: "" });
const none: RequestBackground = { privileges: "", lastGrants: [], unusual: [] };
const inbox: Partial<Api> = {
  requests: () => Promise.resolve({ requests: [sampleRequest(), other], next: null }),
  requestBackground: () => Promise.resolve(none),
};

function recordingApi(calls: unknown[], over: Partial<Api> = {}): Partial<Api> {
  return {
    ...inbox,
    approve: (id, input) => {
      calls.push(["approve", id, input]);
      return Promise.resolve(sampleRequest({ state: "approved", durationSeconds: 900 }));
    },
    deny: (id, input) => {
      calls.push(["deny", id, input]);
      return Promise.resolve(sampleRequest({ state: "denied" }));
    },
    withdraw: (id) => {
      calls.push(["withdraw", id]);
      return Promise.resolve(sampleRequest({ state: "withdrawn" }));
    },
    ...over,
  };
}

describe("jitdb approve", () => {
  it("takes the beginning of an id and shows what is approved", async () => {
    const calls: unknown[] = [];
    const outcome = await runWithFakes(["approve", "7k2", "--for", "15m", "--comment", "ok"], {
      api: recordingApi(calls),
    });
    expect(calls).toEqual([["approve", "req_7k2m9x4q", { durationSeconds: 900, comment: "ok" }]]);
    expect(outcome).toEqual({
      exitCode: 0,
      stdout: "",
      stderr:
        "alice asks for prod-orders (read-only) for 30m.\n" +
        "reason: order 4711 is stuck\n" +
        "device: alice-laptop (linux)\n" +
        "before: no grant at all\n" +
        "Approved: alice has prod-orders for 15m.\n",
    });
  });

  it("says how a grant on the profile can leave traces, before it is approved (invariant 33)", async () => {
    const leavesTraces = ["can make objects in app", "can put triggers on other people's tables"];
    const request = sampleRequest({ profile: "admin", leavesTraces });
    const api = recordingApi([], {
      requests: () => Promise.resolve({ requests: [request], next: null }),
    });
    const { stderr } = await runWithFakes(["approve", "7k2"], { api });
    expect(stderr).toContain(
      "\ntraces: this profile can leave some; a grant can make objects in app, and can put triggers on other people's tables\n",
    );
  });

  it("says what the person had before and what is not as usual, before it is approved", async () => {
    const grant = { id: "grt_1", profile: "read-only", startsAt: "2026-01-01T00:00:00.000Z" };
    const background: RequestBackground = {
      privileges: "read tables and views",
      lastGrants: [
        {
          ...grant,
          database: "test",
          durationSeconds: 1800,
          sessions: 1,
          statements: 14,
          kinds: null,
          readable: false,
        },
      ],
      unusual: ["first_database", "hour", "length"],
    };
    const api = recordingApi([], { requestBackground: () => Promise.resolve(background) });
    const { stderr } = await runWithFakes(["approve", "7k2"], { api });
    const [may, before, unusual] = stderr.split("\n").slice(3);
    expect(may).toBe("may: read tables and views");
    expect(before).toMatch(/^before: test \(read-only\) for 30m, .+; 14 statements in 1 session$/);
    expect(unusual).toBe(
      "unusual: alice's first use of prod-orders; at an hour at which alice had no access before; " +
        "longer than nine in ten of alice's grants",
    );
  });

  it("refuses a beginning that two ids share", async () => {
    const { exitCode, stderr } = await runWithFakes(["approve", "req_7k"], {
      api: recordingApi([]),
    });
    expect(exitCode).toBe(2);
    expect(stderr).toBe(
      'error: "req_7k" may mean req_7k2m9x4q, req_7k9wx111.\nhint: Write more of the id.\n',
    );
  });

  it("asks which one in a terminal", async () => {
    const calls: unknown[] = [];
    const { stderr } = await runWithFakes(["approve", "--yes"], {
      api: recordingApi(calls),
      terminal: true,
      answers: ["req_7k2m9x4q"],
    });
    expect(calls).toEqual([
      ["approve", "req_7k2m9x4q", { durationSeconds: undefined, comment: "" }],
    ]);
    expect(stderr).toContain(
      "? Which request do you want to approve?\n" +
        "  req_7k2m9x4q  alice: prod-orders (read-only) for 30m, asked 3m ago  order 4711 is stuck\n" +
        "  req_7k9wx111  carol: prod-orders (read-only) for 30m, asked 3m ago\n",
    );
  });

  it("says that an approval confirms a new device (invariant 2)", async () => {
    const device = { label: "alice-laptop (linux)", confirmed: false };
    const api = recordingApi([], {
      requests: () => Promise.resolve({ requests: [sampleRequest({ device })], next: null }),
    });
    const { stderr } = await runWithFakes(["approve", "7k2m9x4q"], { api });
    expect(stderr).toContain("never confirmed before: an approval confirms it\n");
  });

  it("tells how many approvals are missing", async () => {
    const approvals = {
      needed: 2,
      given: [
        {
          person: "bob",
          at: "2026-11-23T12:00:00.000Z",
          comment: "",
          durationSeconds: 1800,
          profile: null,
        },
      ],
      stages: [{ name: null, groups: ["dba"], missing: 1 }],
      groups: ["dba"],
    };
    const api = recordingApi([], { approve: () => Promise.resolve(sampleRequest({ approvals })) });
    const { stderr } = await runWithFakes(["approve", "7k2m9x4q"], { api });
    expect(stderr).toContain("Your approval counts; 1 more approval is needed.\n");
  });

  it("asks the server about an id that is not waiting here", async () => {
    const calls: unknown[] = [];
    const api = recordingApi(calls, {
      request: (id) => Promise.resolve(sampleRequest({ id, state: "denied" })),
    });
    await runWithFakes(["approve", "REQ_00000000"], { api });
    expect(calls[0]).toEqual([
      "approve",
      "req_00000000",
      { durationSeconds: undefined, comment: "" },
    ]);
  });
});

describe("jitdb deny and withdraw", () => {
  it("denies with a reason", async () => {
    const calls: unknown[] = [];
    const { stderr } = await runWithFakes(["deny", "7k2m", "--reason", "use the replica"], {
      api: recordingApi(calls),
    });
    expect(calls).toEqual([["deny", "req_7k2m9x4q", { reason: "use the replica" }]]);
    expect(stderr).toBe("Denied: alice does not get prod-orders.\n");
  });

  it("withdraws", async () => {
    const calls: unknown[] = [];
    const { stderr } = await runWithFakes(["withdraw", "7k2m"], { api: recordingApi(calls) });
    expect(calls).toEqual([["withdraw", "req_7k2m9x4q"]]);
    expect(stderr).toBe("Withdrew the request for prod-orders (req_7k2m9x4q).\n");
  });
});

describe("jitdb revoke", () => {
  const second = sampleGrant({ id: "grt_999999999999", person: "carol", database: "prod-users" });
  const api = (calls: unknown[]): Partial<Api> => ({
    grants: () => Promise.resolve({ grants: [sampleGrant(), second], next: null }),
    revoke: (id, input) => {
      calls.push([id, input]);
      return Promise.resolve(sampleGrant());
    },
  });

  it.each(["prod-orders", "grt_7k2", "7k2m9x4qab3d"])(
    "ends the grant meant by %s",
    async (given) => {
      const calls: unknown[] = [];
      const { stderr } = await runWithFakes(["revoke", given, "--reason", "done"], {
        api: api(calls),
      });
      expect(calls).toEqual([["grt_7k2m9x4qab3d", { reason: "done" }]]);
      expect(stderr).toBe("Revoked: alice has prod-orders no longer (grt_7k2m9x4qab3d).\n");
    },
  );

  it("says which grants on the same database are still live", async () => {
    const wider = sampleGrant({ id: "grt_111111111111", profile: "read-write" });
    const { stderr } = await runWithFakes(["revoke", "7k2m9x4qab3d"], {
      api: {
        ...api([]),
        grants: () => Promise.resolve({ grants: [sampleGrant(), second, wider], next: null }),
      },
    });
    expect(stderr).toBe(
      "Revoked: alice's read-only on prod-orders (grt_7k2m9x4qab3d).\n" +
        "Still live for alice: read-write (grt_111111111111).\n",
    );
  });

  it("tells when nothing is meant", async () => {
    const { exitCode, stderr } = await runWithFakes(["revoke", "nope"], { api: api([]) });
    expect(exitCode).toBe(9);
    expect(stderr).toContain('error: No live grant is meant by "nope".\n');
  });
});
