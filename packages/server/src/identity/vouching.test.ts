import type { DeviceId } from "@jitdb/shared/ids";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { type AccessFixture, createAccessFixture, minute } from "../access/access-fixture.ts";
import { operator, Vouching } from "./vouching.ts";

let fixture: AccessFixture;
let vouching: Vouching;

beforeEach(async () => {
  fixture = await createAccessFixture();
  vouching = new Vouching(fixture.ports);
});
afterEach(async () => {
  await fixture.store.close();
});

async function rowOf(device: string) {
  return await fixture.store.db
    .selectFrom("devices")
    .select(["confirmed_at", "confirmed_by", "revoked_at"])
    .where("id", "=", device as DeviceId)
    .executeTakeFirstOrThrow();
}

/** What a login leaves in the store: the login itself, and a token of it. */
async function logIn(device: string): Promise<void> {
  const row = { uid: device, grant_id: `login of ${device}`, payload: "{}", consumed_at: null };
  const expires_at = fixture.clock.ms + 10 * minute;
  await fixture.store.db
    .insertInto("oauth_artifacts")
    .values([
      { ...row, id: `grant ${device}`, model: "Grant", uid: null, user_code: null, expires_at },
      { ...row, id: `token ${device}`, model: "RefreshToken", user_code: null, expires_at },
    ])
    .execute();
}

describe("confirming", () => {
  test("takes a known device of the same person, and is on record (invariant 2)", async () => {
    const { addDevice, caller, hints, records } = fixture;
    await addDevice("alice", "phone");
    expect(await vouching.confirm(caller("alice"), "phone")).toMatchObject({
      id: "phone",
      person: "alice",
      label: "jitdb on phone",
      confirmed: true,
    });
    expect(await rowOf("phone")).toMatchObject({ confirmed_by: "usr_alice" });
    expect(await records("device.confirmed")).toEqual([
      {
        kind: "device.confirmed",
        person: "alice",
        device: "phone",
        address: "192.0.2.1",
        by: "alice",
        how: "device alice",
      },
    ]);
    expect(hints).toContainEqual({ type: "device", id: "phone" });
  });

  test.each(["phished", "another"])(
    "is refused to an unconfirmed device, for itself and for others, and on record: %s (invariants 2 and 27)",
    async (target) => {
      const { addDevice, caller, records } = fixture;
      await addDevice("alice", "phished");
      await addDevice("alice", "another");
      // What the token says does not count, the store does.
      const lying = { ...caller("alice", "phished"), deviceConfirmed: true };
      await expect(vouching.confirm(lying, target)).rejects.toMatchObject({
        code: "device.unconfirmed",
        message: "Nobody has confirmed this device yet.",
        hint: "Run `jitdb devices confirm phished` on a device that you use already, or have it confirmed on the server with `jitdb-server devices confirm alice`.",
      });
      expect(await rowOf(target)).toMatchObject({ confirmed_at: null });
      expect(await records("device.confirmed")).toEqual([]);
      expect(await records("device.refused")).toMatchObject([
        { person: "alice", device: "phished", target, action: "confirm" },
      ]);
    },
  );

  test("is for one's own devices alone, also for administrators", async () => {
    const { addDevice, caller, records } = fixture;
    await addDevice("alice", "phone");
    for (const name of ["bob", "dora"] as const) {
      await expect(vouching.confirm(caller(name), "phone")).rejects.toMatchObject({
        code: "device.unknown",
        message: "There is no device phone that you may confirm.",
      });
      await expect(vouching.confirm(caller(name), "nothing")).rejects.toMatchObject({
        code: "device.unknown",
        message: "There is no device nothing that you may confirm.",
      });
    }
    expect(await records("device.refused")).toHaveLength(4);
  });

  test("is not for a device that was revoked, nor from one", async () => {
    const { addDevice, caller } = fixture;
    await addDevice("alice", "phone");
    await addDevice("alice", "tablet");
    await vouching.revoke(caller("alice"), "phone");
    await expect(vouching.confirm(caller("alice"), "phone")).rejects.toMatchObject({
      code: "device.unknown",
    });
    await vouching.revoke(operator, "alice");
    await expect(vouching.confirm(caller("alice"), "tablet")).rejects.toMatchObject({
      code: "login.expired",
    });
  });

  test("happens once: the second time changes and records nothing", async () => {
    const { addDevice, caller, clock, records } = fixture;
    await addDevice("alice", "phone");
    await vouching.confirm(operator, "phone");
    const first = await rowOf("phone");
    clock.ms += minute;
    expect(await vouching.confirm(caller("alice"), "phone")).toMatchObject({ confirmed: true });
    expect(await rowOf("phone")).toEqual(first);
    expect(await records("device.confirmed")).toMatchObject([{ by: "console", how: "console" }]);
  });
});

describe("revoking", () => {
  test("ends the device's logins, tells the gateway, and is on record", async () => {
    const { addDevice, caller, hints, records, store } = fixture;
    await addDevice("alice", "phone");
    await logIn("phone");
    await vouching.revoke(caller("alice"), "phone");
    const tokens = store.db.selectFrom("oauth_artifacts").select("id").where("uid", "=", "phone");
    expect(await tokens.execute()).toEqual([]);
    expect(hints).toContainEqual({ type: "device", id: "phone" });
    expect(await records("device.revoked")).toEqual([
      {
        kind: "device.revoked",
        person: "alice",
        device: "phone",
        by: "alice",
        address: "192.0.2.1",
      },
    ]);
    await expect(vouching.revoke(caller("alice"), "phone")).rejects.toMatchObject({
      code: "device.unknown",
    });
  });

  test("of itself is open to every device, of another one to confirmed ones (invariant 2)", async () => {
    const { addDevice, caller } = fixture;
    await addDevice("alice", "phished");
    await expect(vouching.revoke(caller("alice", "phished"), "alice")).rejects.toMatchObject({
      code: "device.unconfirmed",
    });
    expect(await rowOf("alice")).toMatchObject({ revoked_at: null });
    await vouching.revoke(caller("alice", "phished"), "phished");
    expect(await rowOf("phished")).not.toMatchObject({ revoked_at: null });
  });

  test("of other people's is for administrators, from a confirmed device", async () => {
    const { addDevice, caller } = fixture;
    await addDevice("dora", "phished");
    await expect(vouching.revoke(caller("bob"), "alice")).rejects.toMatchObject({
      code: "device.unknown",
    });
    await expect(vouching.revoke(caller("dora", "phished"), "alice")).rejects.toMatchObject({
      code: "device.unconfirmed",
    });
    expect(await vouching.revoke(caller("dora"), "alice")).toMatchObject({ person: "alice" });
  });

  test("goes out before the journal is written", async () => {
    const { caller, hints, ports } = fixture;
    const drain = async () => {
      throw new Error("The disk is full.");
    };
    const stuck = new Vouching({ ...ports, trail: { ...ports.trail, drain } });
    await expect(stuck.revoke(caller("alice"), "alice")).rejects.toThrow("The disk is full.");
    expect(hints).toEqual([{ type: "device", id: "alice" }]);
  });
});

describe("the list", () => {
  test("has what is confirmed or logged in, and nothing that is revoked", async () => {
    const { addDevice, clock } = fixture;
    await addDevice("alice", "logged-in");
    await addDevice("alice", "logged-out");
    await addDevice("alice", "revoked", { confirmed: true });
    await logIn("logged-in");
    await vouching.revoke(operator, "revoked");
    const ids = async () =>
      (await vouching.list(fixture.caller("alice").personId)).map(({ id }) => id);
    expect(await ids()).toEqual(["alice", "logged-in"]);
    expect((await vouching.list()).map(({ person }) => person)).toEqual(
      expect.arrayContaining(["alice", "bob", "dora"]),
    );
    clock.ms += 10 * minute;
    expect(await ids()).toEqual(["alice"]);
  });
});

describe("at once", () => {
  const actions = ["confirm", "revoke", "confirmAgain", "revokeAgain", "operatorConfirms"] as const;

  test("a device that is revoked stays revoked, and every change is recorded once (invariant 44)", async () => {
    let round = 0;
    await fc.assert(
      fc.asyncProperty(fc.shuffledSubarray([...actions], { minLength: 2 }), async (order) => {
        round += 1;
        const device = `phone ${round}`;
        await fixture.addDevice("alice", device);
        const alice = fixture.caller("alice");
        await Promise.allSettled(
          order.map(async (action) =>
            action.startsWith("revoke")
              ? await vouching.revoke(alice, device)
              : await vouching.confirm(action.startsWith("operator") ? operator : alice, device),
          ),
        );
        const about = (await fixture.records()).filter(
          (event) => "device" in event && event.device === device,
        );
        const revoked = order.some((action) => action.startsWith("revoke"));
        const row = await rowOf(device);
        expect(row.revoked_at !== null).toBe(revoked);
        const kinds = about.map(({ kind }) => kind);
        expect(kinds.filter((kind) => kind === "device.revoked")).toHaveLength(revoked ? 1 : 0);
        expect(kinds.filter((kind) => kind === "device.confirmed")).toHaveLength(
          row.confirmed_at === null ? 0 : 1,
        );
        // Nothing follows the end.
        expect(kinds.indexOf("device.revoked")).toBe(revoked ? kinds.length - 1 : -1);
      }),
      { numRuns: 40 },
    );
  });
});
