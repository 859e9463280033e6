import { randomBytes } from "node:crypto";
import { tunnelLimits } from "@jitdb/shared/tunnel/limits";
import type { OpenMap, SpareMap } from "@jitdb/shared/tunnel/maps";
import { TunnelSession } from "@jitdb/shared/tunnel/session";
import { expect, it } from "vitest";
import { Announcements } from "./announcements.ts";

const startup = Uint8Array.of(1, 2, 3);
const session = { engine: "postgres", grant: "grt_1", startup, greeting: Uint8Array.of(82) };
const open: OpenMap = { engine: "postgres", kind: "session", grant: "grt_1", startup };
const lost = expect.objectContaining({ code: "tunnel.lost" });

/** Of a tunnel whose agent has said hello. */
function createAnnouncements(): Announcements {
  const agent = new TunnelSession({ role: "agent", software: "cli" });
  const gateway = new TunnelSession({ role: "gateway", software: "server" });
  gateway.receive(Buffer.concat(agent.takeOutput() ?? []), 0);
  const tunnel = { session: gateway, schedule: () => undefined };
  return new Announcements(tunnel, { bytes: (count) => randomBytes(count) });
}

function announce(announcements: Announcements): SpareMap {
  const spare = announcements.announce(session);
  if (spare === undefined) {
    throw new Error("The agent does not hear.");
  }
  return spare;
}

it("lets an OPEN name what the agent was told, once, also what was taken back meanwhile", () => {
  const announcements = createAnnouncements();
  const [one, other] = [announce(announcements), announce(announcements)];
  announcements.withdraw(one);
  expect(announcements.claim({ ...open, spare: one.id })).toEqual(one);
  expect(announcements.claim({ ...open, spare: other.id })).toEqual(other);
  expect(() => announcements.claim({ ...open, spare: one.id })).toThrow(lost);
  expect(announcements.claim(open)).toBeUndefined();
});

it.each<[string, Partial<OpenMap>]>([
  ["another id", { spare: "spr_other" }],
  ["another engine", { engine: "mysql" }],
  ["another grant", { grant: "grt_2" }],
  ["another start-up", { startup: Uint8Array.of(1, 2, 4) }],
])("refuses one with %s, and keeps it for its own client (invariant 7)", (_what, other) => {
  const announcements = createAnnouncements();
  const spare = announce(announcements);
  expect(() => announcements.claim({ ...open, spare: spare.id, ...other })).toThrow(lost);
  expect(announcements.claim({ ...open, spare: spare.id })).toEqual(spare);
});

it("remembers so many and no more", () => {
  const announcements = createAnnouncements();
  const spares = Array.from({ length: tunnelLimits.maxSpares + 1 }, () => announce(announcements));
  const [oldest, next] = spares.map(({ id }) => ({ ...open, spare: id })) as [OpenMap, OpenMap];
  expect(() => announcements.claim(oldest)).toThrow(lost);
  expect(announcements.claim(next)).toEqual(spares[1]);
});

it("announces no greeting that is too long", () => {
  const greeting = new Uint8Array(tunnelLimits.maxSpareBytes - startup.length + 1);
  expect(createAnnouncements().announce({ ...session, greeting })).toBeUndefined();
});
