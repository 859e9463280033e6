import { describe, expect, it } from "vitest";
import {
  createFakeContext,
  type FakeOptions,
  instant,
  sampleGrant,
  sampleRequest,
} from "./fakes.ts";
import { chooseGrant, pickGrant, pickRequest, resolveId } from "./pick.ts";

const users = sampleGrant({ id: "grt_999999999999", database: "prod-users" });

function contextWith(grants: ReturnType<typeof sampleGrant>[], over: FakeOptions = {}) {
  const api = { grants: () => Promise.resolve({ grants, next: null }) };
  return createFakeContext({ api, ...over }).context;
}

describe("pickGrant", () => {
  it("takes the only live grant", async () => {
    expect((await pickGrant(contextWith([users]))).id).toBe("grt_999999999999");
  });

  it("takes the one on the named database, or of the named id", async () => {
    const context = contextWith([sampleGrant(), users]);
    expect((await pickGrant(context, "prod-users")).id).toBe("grt_999999999999");
    expect((await pickGrant(context, "grt_7k")).id).toBe("grt_7k2m9x4qab3d");
  });

  it("names the command that asks for access when there is none", async () => {
    await expect(pickGrant(contextWith([users]), "billing")).rejects.toMatchObject({
      code: "grant.none",
      message: "You have no live grant for billing. Live are: prod-users.",
      hint: "Ask for access with `jitdb request billing --for 30m`.",
    });
    await expect(pickGrant(contextWith([users, users]), "prod-user")).rejects.toMatchObject({
      message: "You have no live grant for prod-user. Live are: prod-users.",
      hint: "Did you mean prod-users? If not, ask for access with `jitdb request prod-user --for 30m`.",
    });
    await expect(pickGrant(contextWith([]))).rejects.toMatchObject({ code: "grant.none" });
  });

  it("lists them when several are live and nobody can be asked", async () => {
    await expect(pickGrant(contextWith([sampleGrant(), users]))).rejects.toMatchObject({
      code: "usage.ambiguous",
      message:
        "Several grants are live: grt_7k2m9x4qab3d (prod-orders, read-only), grt_999999999999 (prod-users, read-only).",
    });
  });

  it("asks in a terminal", async () => {
    const options = { terminal: true, answers: ["grt_999999999999"] };
    const context = contextWith([sampleGrant(), users], options);
    expect((await pickGrant(context)).database).toBe("prod-users");
  });
});

describe("chooseGrant", () => {
  it("tells those that have ended from those that run", async () => {
    const ended = { ...users, state: "ended", end: "revoked", endedAt: instant(-60) } as const;
    const { context, written } = createFakeContext({ terminal: true, answers: [users.id] });
    await chooseGrant(context, [sampleGrant(), ended], "Which grant?");
    expect(written.stderr).toMatch(/alice: prod-orders \(read-only\), ends in /);
    expect(written.stderr).toMatch(/prod-users \(read-only\), revoked 1m ago/);
  });
});

describe("pickRequest", () => {
  it("shows each request on one line, whatever its reason is padded with (invariant 24)", async () => {
    const reason = `fix${" ".repeat(60)}req_faked000  bob: test (read-only) for 5m`;
    const request = sampleRequest({ reason });
    const { context, written } = createFakeContext({
      api: { requests: () => Promise.resolve({ requests: [request], next: null }) },
      terminal: true,
      columns: 80,
      answers: [request.id],
    });
    await pickRequest(context, undefined, { scope: "inbox", verb: "approve" });
    const [, choice = "", ...others] = written.stderr.trimEnd().split("\n");
    expect(choice).toMatch(/asked 3m ago .*…$/);
    expect(choice.length).toBeLessThan(80);
    expect(others).toEqual([]);
  });
});

describe("resolveId", () => {
  const ids = ["req_abcd", "req_abcdef", "req_x"];
  it("prefers the exact id to longer ones that begin with it", () => {
    expect(resolveId("ABCD", "req_", ids)).toBe("req_abcd");
  });
  it("leaves what matches nothing to the server", () => {
    expect(resolveId("zz", "req_", ids)).toBe("req_zz");
  });
});
