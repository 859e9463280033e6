// Who sees which sessions: their own, those of what they review, and administrators all.

import type { SessionView } from "@jitdb/shared/api/audit";
import type { GrantId, SessionId } from "@jitdb/shared/ids";
import { fastify } from "fastify";
import { serializerCompiler, validatorCompiler } from "fastify-type-provider-zod";
import { afterEach, beforeEach, expect, test } from "vitest";
import {
  type AccessFixture,
  createAccessFixture,
  minute,
  type Name,
  policy,
} from "../../access/access-fixture.ts";
import { requireCaller } from "../authentication.ts";
import { sessionRoutes } from "./sessions.ts";

const automatic = { kind: "automatic" } as const;

let fixture: AccessFixture;
beforeEach(async () => {
  fixture = await createAccessFixture([
    policy("everyday", { approval: automatic }),
    policy("emergency", {
      approval: automatic,
      breakGlass: { reviewGroups: ["leads"], withinMs: minute },
    }),
  ]);
});
afterEach(() => fixture.store.close());

/** A session of alice's under a grant of its own. */
async function openSession(id: string, breakGlass: boolean): Promise<void> {
  const { access, caller, clock, store } = fixture;
  const input = { database: "test", durationMs: minute, reason: id, breakGlass };
  const { grantId, profile } = await access.request(caller("alice"), input);
  const { personId, deviceId } = caller("alice");
  await store.db
    .insertInto("sessions")
    .values({
      id: id as SessionId,
      grant_id: grantId as GrantId,
      person_id: personId,
      device_id: deviceId,
      database_name: "test",
      profile,
      user_name: "jit_test",
      address: "192.0.2.1",
      application: "psql",
      backend_pid: 7,
      opened_at: clock.ms,
      closed_at: null,
      end: null,
      statements: 0,
    })
    .execute();
}

async function seenBy(name: Name, query = ""): Promise<(readonly [string, boolean])[]> {
  const app = fastify();
  app.setValidatorCompiler(validatorCompiler);
  app.setSerializerCompiler(serializerCompiler);
  requireCaller(app, { authenticate: async () => fixture.caller(name) }, "https://jitdb.test");
  sessionRoutes(app, {
    store: fixture.store,
    gateway: { parkedSessions: () => new Set(), rowsWritten: async () => undefined },
  });
  const response = await app.inject(`/sessions${query}`);
  await app.close();
  const { sessions } = response.json<{ sessions: SessionView[] }>();
  return sessions.map(({ id, breakGlass }) => [id, breakGlass] as const).toSorted();
}

test("reviewers see the sessions of what they review, marked, and nobody else's", async () => {
  await openSession("ses_broken", true);
  await openSession("ses_everyday", false);
  expect(await seenBy("bob", "?scope=all")).toEqual([["ses_broken", true]]);
  expect(await seenBy("bob")).toEqual([]);
  expect(await seenBy("anna", "?scope=all")).toEqual([]);
  expect(await seenBy("alice")).toEqual([
    ["ses_broken", true],
    ["ses_everyday", false],
  ]);
});
