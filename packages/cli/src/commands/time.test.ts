// What commands make of starts, ends and emergencies: request --at and --break-glass, extend, release, review.

import { describe, expect, it } from "vitest";
import type { NewRequest } from "../api.ts";
import { instant, runWithFakes, sampleGrant, sampleRequest, testNow } from "../fakes.ts";

const mine = { grants: () => Promise.resolve({ grants: [sampleGrant()], next: null }) };
const broken = sampleGrant({
  end: "expired",
  state: "ended",
  review: {
    groups: ["security"],
    dueAt: instant(-3600),
    signedBy: null,
    signedAt: null,
    comment: null,
  },
});

describe("jitdb request", () => {
  const ask = (sent: NewRequest[], over = {}) => ({
    createRequest: (input: NewRequest) => {
      sent.push(input);
      return Promise.resolve(sampleRequest({ state: "approved", decidedBy: "bob", ...over }));
    },
  });

  it("sends the start and tells when it begins", async () => {
    const sent: NewRequest[] = [];
    const startsAt = instant(7200);
    const at = new Date(testNow + 7_200_000).toISOString().replace(".000", "");
    const { stderr } = await runWithFakes(["request", "prod-orders", "--for", "1h", "--at", at], {
      api: ask(sent, { startsAt }),
    });
    expect(sent).toMatchObject([{ startsAt }]);
    expect(stderr).toContain(
      "It begins in 2h; until then `jitdb release prod-orders` takes it back.",
    );
  });

  it("asks by break-glass only when told to, and says what follows", async () => {
    const sent: NewRequest[] = [];
    const argv = ["request", "prod-orders", "--for", "1h", "--break-glass", "--reason", "INC-7"];
    const { stderr } = await runWithFakes(argv, { api: ask(sent, { breakGlass: true }) });
    expect(sent).toMatchObject([{ breakGlass: true, reason: "INC-7" }]);
    expect(stderr).toContain("This was break-glass: somebody else reviews what you do with it.");
  });
});

describe("jitdb approve", () => {
  it("narrows and shortens, and tells what came of it", async () => {
    const calls: unknown[] = [];
    const asked = sampleRequest({ profile: "read-write", startsAt: instant(7200) });
    const given = { person: "bob", at: instant(0), comment: "" };
    const api = {
      requests: () => Promise.resolve({ requests: [asked], next: null }),
      requestBackground: () => Promise.resolve({ privileges: "", lastGrants: [], unusual: [] }),
      approve: (id: string, input: unknown) => {
        calls.push([id, input]);
        const approvals = {
          ...asked.approvals,
          given: [{ ...given, durationSeconds: 900, profile: "read-only" }],
        };
        return Promise.resolve({ ...asked, state: "approved" as const, approvals });
      },
    };
    const argv = ["approve", "7k2m9x4q", "--for", "15m", "--profile", "read-only"];
    const { stderr } = await runWithFakes(argv, { api });
    expect(calls).toMatchObject([[asked.id, { durationSeconds: 900, profile: "read-only" }]]);
    expect(stderr).toContain(`begins: in 2h (${instant(7200)})\n`);
    expect(stderr).toContain("Approved: alice has prod-orders for 15m (read-only).\n");
  });
});

describe("jitdb extend", () => {
  it("asks from the end that was seen, and tells the new one", async () => {
    const calls: unknown[] = [];
    const api = {
      ...mine,
      extend: (id: string, input: unknown) => {
        calls.push([id, input]);
        return Promise.resolve(sampleRequest({ state: "approved", durationSeconds: 900 }));
      },
      grant: () => Promise.resolve(sampleGrant({ endsAt: instant(2640) })),
    };
    const { stderr } = await runWithFakes(["extend", "prod-orders", "--by", "15m"], { api });
    const { id, endsAt } = sampleGrant();
    expect(calls).toEqual([[id, { durationSeconds: 900, reason: "", endsAt }]]);
    expect(stderr).toBe("Extended by 15m: prod-orders ends in 44m.\n");
  });

  it("says who has to approve it", async () => {
    const extend = () => Promise.resolve(sampleRequest({ extendsGrant: "grt_7k2m9x4qab3d" }));
    const { stdout, stderr } = await runWithFakes(["extend"], { api: { ...mine, extend } });
    expect(stderr).toContain("it waits for approval by dba until the grant ends.");
    expect(stdout).toBe("req_7k2m9x4q\n");
  });
});

describe("jitdb release", () => {
  it("gives the only live grant back", async () => {
    const release = () => Promise.resolve(sampleGrant({ state: "ended", end: "revoked" }));
    const { stderr } = await runWithFakes(["release"], { api: { ...mine, release } });
    expect(stderr).toBe("Given back: prod-orders (grt_7k2m9x4qab3d).\n");
  });
});

describe("jitdb connect", () => {
  it("says when a grant begins that has not begun", async () => {
    const grants = [sampleGrant({ startsAt: instant(3600), user: "preparing" })];
    const { exitCode, stderr } = await runWithFakes(["connect", "prod-orders"], {
      api: { grants: () => Promise.resolve({ grants, next: null }) },
    });
    expect(exitCode).toBe(10);
    expect(stderr).toContain("error: The grant for prod-orders begins in 1h");
  });
});

describe.each(["connect", "psql", "sql"])("jitdb %s", (command) => {
  it("says of break-glass that everything is reviewed, and by whom, before anything runs", async () => {
    const grants = [sampleGrant({ review: broken.review })];
    const api = { grants: () => Promise.resolve({ grants, next: null }) };
    const { stderr, stdout } = await runWithFakes([command, "prod-orders"], { api });
    expect(stderr).toContain(
      "prod-orders is by break-glass: everything you do is reviewed (by security).",
    );
    expect(stdout).toBe("");
    const ordinary = await runWithFakes([command, "prod-orders"], { api: mine });
    expect(ordinary.stderr).not.toContain("break-glass");
  });
});

describe("jitdb review", () => {
  const open = { grants: () => Promise.resolve({ grants: [broken], next: null }) };

  it("lists what waits, and what is overdue", async () => {
    const { stdout } = await runWithFakes(["review", "list"], { api: open, terminal: true });
    expect(stdout).toContain("overdue, 1h ago");
    expect(stdout).toContain("security");
  });

  it("signs the one that is named, and nothing that is not", async () => {
    const calls: unknown[] = [];
    const review = (id: string, input: unknown) => {
      calls.push([id, input]);
      return Promise.resolve(broken);
    };
    const api = { ...open, review };
    const argv = ["review", "sign", "7k2m", "--comment", "fine"];
    expect((await runWithFakes(argv, { api })).stderr).toBe(
      "Signed: what alice took on prod-orders (grt_7k2m9x4qab3d).\n",
    );
    expect(calls).toEqual([["grt_7k2m9x4qab3d", { comment: "fine" }]]);
    expect((await runWithFakes(["review", "sign"], { api })).exitCode).toBe(2);
  });
});
