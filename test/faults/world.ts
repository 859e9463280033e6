// An installation with four people, for rows that need somebody to be logged in.

import { cp } from "node:fs/promises";
import { join } from "node:path";
import { eventually } from "../support/eventually.ts";
import { type Installation, startInstallation } from "../support/installation.ts";
import type { Person } from "../support/person.ts";
import type { WorldMaker } from "./run-faults.ts";
import type { Scene } from "./scene.ts";

export interface World {
  readonly installation: Installation;
  /** A developer: reads at once, writes with a DBA's approval and a reason. */
  readonly alice: Person;
  /** Developer and DBA. His own requests lapse within a second. */
  readonly bob: Person;
  /** A contractor on a new device: two DBAs have to approve. */
  readonly carol: Person;
  /** In a group that no policy names. */
  readonly dave: Person;
}

const policies = `
  - name: bob-reads
    who: { people: [bob] }
    databases: [prod-orders]
    profiles: [read-only]
    maxDuration: 1h
    approval: { count: 1, groups: [dba] }
    requestLifetime: 1s
  - name: developers-read
    who: { groups: [developers] }
    databases: ["prod-*"]
    profiles: [read-only]
    maxDuration: 1h
    approval: automatic
  - name: developers-write
    who: { groups: [developers] }
    databases: [prod-orders]
    profiles: [read-write]
    maxDuration: 30m
    approval: { count: 1, groups: [dba] }
    reasonRequired: true
  - name: contractors-read
    who: { groups: [contractors] }
    databases: [prod-orders]
    profiles: [read-only]
    maxDuration: 30m
    approval: { count: 2, groups: [dba] }
`;

async function openWorld(): Promise<World> {
  const installation = await startInstallation({ postgres: "system", policies });
  try {
    const [alice, bob, carol, dave] = await Promise.all([
      installation.addLoggedIn("alice", ["developers"], { confirmed: true }),
      installation.addLoggedIn("bob", ["developers", "dba"], { confirmed: true }),
      installation.addLoggedIn("carol", ["contractors"]),
      installation.addLoggedIn("dave", ["support"]),
    ]);
    return { installation, alice, bob, carol, dave };
  } catch (error) {
    await installation.stop();
    throw error;
  }
}

export const jitdbWorld: WorldMaker<World> = {
  open: openWorld,
  close: ({ installation }) => installation.stop(),
};

/** What comes before a fault's command. */
export type Arrange = (scene: Scene, world: World) => void;

/** The command runs as this person, on their device. */
export function as(scene: Scene, person: Person, { installation }: World): void {
  scene.home = person.home;
  scene.name("server", installation.url);
}

/** The command runs on a copy of the person's device, so that the device itself stays as it is. */
export async function asCopyOf(scene: Scene, person: Person, { installation }: World) {
  await cp(join(person.home, ".jitdb"), join(scene.home, ".jitdb"), { recursive: true });
  scene.name("server", installation.url);
}

/** Asks without waiting; gives the request's id. */
export async function ask(person: Person, ...args: readonly string[]): Promise<string> {
  const asked = await person.expect(["request", "prod-orders", "--no-wait", ...args]);
  return asked.trim();
}

/** Asks for writing, which waits for an approval; taken back when the row is over. */
export async function askToWrite(scene: Scene, person: Person, reason: string): Promise<string> {
  const args = ["--profile", "read-write", "--for", "10m", "--reason", reason];
  const id = await ask(person, ...args);
  scene.after(() => person.run(["withdraw", id]));
  return id;
}

/** A live grant to read, given back when the row is over. */
export async function grantToRead(
  scene: Scene,
  person: Person,
  duration?: string,
): Promise<string> {
  const grant = await askToRead(person, duration);
  scene.after(() => person.run(["revoke", grant]));
  return grant;
}

/** Asks for reading, which is granted at once; gives the grant's id. */
export async function askToRead(person: Person, duration = "30m"): Promise<string> {
  const asked = await person.expect(["request", "prod-orders", "--for", duration, "--json"]);
  return (JSON.parse(asked) as { readonly grantId: string }).grantId;
}

/** Resolves when a grant of this person's has its user in the database. */
export async function userIsReady(person: Person, grant: string): Promise<void> {
  await eventually("the grant's user is made", async () => {
    const { grants } = JSON.parse(await person.expect(["grants", "--json"])) as {
      readonly grants: readonly { readonly id: string; readonly user: string }[];
    };
    return grants.some(({ id, user }) => id === grant && user === "ready");
  });
}
