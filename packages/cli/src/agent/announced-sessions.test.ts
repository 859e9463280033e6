import { tunnelLimits } from "@jitdb/shared/tunnel/limits";
import type { OpenMap, SpareMap } from "@jitdb/shared/tunnel/maps";
import { expect, it } from "vitest";
import { AnnouncedSessions } from "./announced-sessions.ts";

const open: OpenMap = {
  engine: "postgres",
  kind: "session",
  grant: "grt_1",
  startup: Uint8Array.of(1, 2, 3),
};

function spare(id: string): SpareMap {
  const { engine, grant, startup } = open;
  return { id, engine, grant, startup, greeting: Uint8Array.of(82) };
}

function announced(...ids: readonly string[]): AnnouncedSessions {
  const sessions = new AnnouncedSessions();
  for (const id of ids) {
    sessions.add(spare(id));
  }
  return sessions;
}

it("gives each session to one client, the one that came first before others", () => {
  const sessions = announced("spr_1", "spr_2");
  const taken = [1, 2, 3].map(() => sessions.take(open)?.id);
  expect(taken).toEqual(["spr_1", "spr_2", undefined]);
});

it.each<[string, Partial<OpenMap>]>([
  ["another grant", { grant: "grt_2" }],
  ["another engine", { engine: "mysql" }],
  ["another start-up", { startup: Uint8Array.of(1, 2, 4) }],
  ["a longer start-up", { startup: Uint8Array.of(1, 2, 3, 4) }],
  ["a request to cancel", { kind: "cancel" }],
])("gives none to %s", (_what, other) => {
  expect(announced("spr_1").take({ ...open, ...other })).toBeUndefined();
});

it("forgets what was taken back, all with the WebSocket, and the oldest of too many", () => {
  const sessions = announced("spr_1");
  sessions.delete("spr_1");
  sessions.delete("spr_unknown");
  expect(sessions.take(open)).toBeUndefined();
  sessions.add(spare("spr_2"));
  sessions.clear();
  expect(sessions.take(open)).toBeUndefined();
  const many = Array.from({ length: tunnelLimits.maxSpares + 1 }, (_, n) => `spr_${n}`);
  expect(announced(...many).take(open)?.id).toBe("spr_1");
});
