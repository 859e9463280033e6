// Rules that change under people who work: a request that waits, a grant in use, and who asks next.

import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { GrantView, RequestView } from "@jitdb/shared/api/access";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Installation, startInstallation } from "../support/installation.ts";
import type { Person } from "../support/person.ts";

let installation: Installation;
let alice: Person;
let bob: Person;

beforeAll(async () => {
  installation = await startInstallation({ postgres: "system" });
  alice = await installation.addLoggedIn("alice", ["developers"], { confirmed: true });
  bob = await installation.addLoggedIn("bob", ["dba"]);
}, 120_000);
afterAll(() => installation?.stop());

async function rewrite(policies: string): Promise<void> {
  const file = join(installation.serverFolder, "jitdb.yaml");
  const written = await readFile(file, "utf8");
  await writeFile(
    file,
    `${written.slice(0, written.indexOf("\npolicies:"))}\npolicies:${policies}`,
  );
}

async function ask(...args: string[]): Promise<RequestView> {
  const argv = ["request", "prod-orders", ...args, "--no-wait", "--json"];
  return JSON.parse(await alice.expect(argv));
}

async function endOf(grant: string | null): Promise<string | undefined> {
  const { grants }: { grants: GrantView[] } = JSON.parse(await alice.expect(["grants", "--json"]));
  return grants.find(({ id }) => id === grant)?.endsAt;
}

test("a reload holds for whoever asks next; what waits keeps its approvers, and what runs its end", async () => {
  const waiting = await ask("--profile", "read-write", "--for", "20m", "--reason", "before");
  const running = await ask("--profile", "read-only", "--for", "20m");
  expect([waiting.state, running.state]).toEqual(["pending", "approved"]);
  const endsAt = await endOf(running.grantId);

  await rewrite(`
  - name: everybody-writes
    who: { groups: [developers] }
    profiles: [read-write]
    maxDuration: 10m
    defaultDuration: 5m
    approval: automatic
`);
  await installation.serverCommand(["reload"]);

  // Without --for: the new policy says how long.
  expect(await ask("--profile", "read-write")).toMatchObject({
    state: "approved",
    policy: "everybody-writes",
    durationSeconds: 300,
  });
  expect(
    await alice.run(["request", "prod-orders", "--profile", "read-only", "--for", "5m"]),
  ).toMatchObject({
    exitCode: 4,
    stderr: expect.stringContaining(
      "No policy lets you ask for the profile read-only of prod-orders.",
    ),
  });
  expect(await endOf(running.grantId)).toBe(endsAt);
  await bob.expect(["approve", waiting.id]);
  const { requests }: { requests: RequestView[] } = JSON.parse(
    await alice.expect(["requests", "--json"]),
  );
  expect(requests.find(({ id }) => id === waiting.id)).toMatchObject({
    state: "approved",
    policy: "developers-write",
    decidedBy: "bob",
  });
}, 120_000);
