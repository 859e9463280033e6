import type { DeviceId, GrantId, PersonId } from "@jitdb/shared/ids";
import fc from "fast-check";
import { expect, test } from "vitest";
import { type Approvable, requestDigest } from "./digest.ts";

const request: Required<Approvable> = {
  person_id: "usr_alice" as PersonId,
  device_id: "thumbprint" as DeviceId,
  database_name: "prod-orders",
  profile: "read-only",
  duration_ms: 1_800_000,
  reason: "ticket 7",
  starts_at: null,
  break_glass: 0,
  extends_grant: null,
};

test("is the SHA-256 of the canonical form", () => {
  // printf '["jitdb.request.v1","usr_alice","thumbprint","prod-orders","read-only",1800000,"ticket 7"]' | sha256sum
  expect(requestDigest(request)).toBe(
    "60447bb0038ba47ab516b7e111e2652605fc3440768542e9ea13200ff5918322",
  );
});

test("does not depend on the order or number of a row's columns", () => {
  const row = { state: "pending", ...Object.fromEntries(Object.entries(request).reverse()) };
  expect(requestDigest(row as unknown as Approvable)).toBe(requestDigest(request));
});

test("differs as soon as any part differs (invariant 5)", () => {
  const anyRequest = fc.record({
    person_id: fc.string() as fc.Arbitrary<PersonId>,
    device_id: fc.string() as fc.Arbitrary<DeviceId>,
    database_name: fc.string(),
    profile: fc.string(),
    duration_ms: fc.nat(),
    reason: fc.string(),
    starts_at: fc.option(fc.nat()),
    break_glass: fc.constantFrom(0, 1),
    extends_grant: fc.option(fc.string() as fc.Arbitrary<GrantId>),
  });
  fc.assert(
    fc.property(anyRequest, anyRequest, (a, b) => {
      const same = (Object.keys(request) as (keyof Approvable)[]).every((key) => a[key] === b[key]);
      expect(requestDigest(a) === requestDigest(b)).toBe(same);
    }),
  );
  for (const key of Object.keys(request) as (keyof Approvable)[]) {
    fc.assert(
      fc.property(anyRequest, anyRequest, (a, b) => {
        const other = { ...a, [key]: b[key] };
        expect(requestDigest(a) === requestDigest(other)).toBe(a[key] === b[key]);
      }),
      { numRuns: 20 },
    );
  }
});

test("does not let a comma move from one field into the next", () => {
  const moved = { ...request, database_name: 'prod-orders","read-only', profile: "" };
  expect(requestDigest(moved)).not.toBe(requestDigest(request));
});
