// What the end-to-end tests begin with: an installation, alice who asks, bob who decides, and doors into the database.

import type { GrantView, RequestView } from "@jitdb/shared/api/access";
import pg from "pg";
import {
  createInstallation,
  type Installation,
  type InstallationOptions,
  startInstallation,
} from "../support/installation.ts";
import { Journal } from "../support/journal.ts";
import type { Person } from "../support/person.ts";
import type { PostgresVersion } from "../support/postgres.ts";
import { type Child, waitForOutput } from "../support/programs.ts";
import { madeOnce } from "../support/templates.ts";

/** Both profiles at once for developers, from devices that somebody vouched for. */
const automaticPolicies = `
  - name: developers
    who: { groups: [developers] }
    databases: ["prod-*"]
    profiles: [read-only, read-write]
    maxDuration: 1h
    approval: automatic
`;

export interface CompanyOptions extends Partial<InstallationOptions> {
  /** Whether somebody vouched for alice's device before she asks for anything; default: yes. */
  readonly isAliceConfirmed?: boolean;
  /** Called before the server's first start, when it is configured. */
  readonly prepare?: (installation: Installation) => Promise<void>;
}

/** The line that `connect --json` prints when it is ready. */
interface Ready {
  readonly host: string;
  readonly port: number;
  readonly socket: string;
  readonly user: string;
  readonly password: string;
  readonly database: string;
  readonly url: string;
  readonly expiresAt: string;
  readonly grant: string;
}

/** A running `jitdb connect`. */
export class Door {
  readonly child: Child;
  readonly ready: Ready;

  constructor(child: Child, ready: Ready) {
    this.child = child;
    this.ready = ready;
  }

  get endsAt(): number {
    return Date.parse(this.ready.expiresAt);
  }

  /** libpq's variables for the socket, which needs no password. */
  get environment(): Record<string, string> {
    const { socket, port, database, user } = this.ready;
    return { PGHOST: socket, PGPORT: String(port), PGDATABASE: database, PGUSER: user };
  }

  /** A connected client of the `pg` library. */
  async client(options: pg.ClientConfig = {}): Promise<pg.Client> {
    const { socket: host, port, database, user } = this.ready;
    const client = new pg.Client({ host, port, database, user, ...options });
    // A session that jitdb ends is what many tests wait for; without a listener it would end the test's process.
    client.on("error", () => undefined);
    await client.connect();
    return client;
  }
}

/** Until an installation runs, in milliseconds. */
const usualStartMs = 1600;

export class Company {
  readonly installation: Installation;
  readonly alice: Person;
  readonly bob: Person;
  readonly #children = new Set<Child>();
  /** How much longer the start took than on a machine that has nothing else to do. */
  readonly #slowness: number;

  private constructor(installation: Installation, alice: Person, bob: Person, startMs: number) {
    this.installation = installation;
    this.alice = alice;
    this.bob = bob;
    this.#slowness = Math.max(1, startMs / usualStartMs);
  }

  /** So many seconds, or more on a slow machine: for grants in whose time a test has something to do. */
  seconds(least: number): number {
    return Math.ceil(least * this.#slowness);
  }

  /** By default alice gets both profiles at once. Whoever founds it calls `close` on every path. */
  static async found(options: CompanyOptions = {}): Promise<Company> {
    const { prepare, isAliceConfirmed: isConfirmed = true, ...others } = options;
    const settings = { postgres: "system", policies: automaticPolicies, ...others } as const;
    const mayBeCopy = options.tls === undefined && options.template === undefined;
    const template = mayBeCopy ? await foundedBefore(settings.postgres, isConfirmed) : undefined;
    const beganAt = Date.now();
    const installation = await createInstallation({ template, ...settings });
    try {
      await prepare?.(installation);
      await installation.startServer();
      const startMs = Date.now() - beganAt;
      if (template === undefined) {
        await employ(installation, isConfirmed);
      } else {
        await installation.moveLogins(["alice", "bob"]);
      }
      const [alice, bob] = [installation.person("alice"), installation.person("bob")];
      return new Company(installation, alice, bob, startMs);
    } catch (error) {
      await installation.stop();
      throw error;
    }
  }

  async close(): Promise<void> {
    for (const child of this.#children) {
      // A child that a test has stopped would not hear of anything gentler.
      child.kill("SIGKILL");
      await child;
    }
    await this.installation.stop();
  }

  /** Starts `jitdb …`; it is ended with the company. */
  start(person: Person, args: readonly string[]): Child {
    const child = person.start(args);
    this.#children.add(child);
    return child;
  }

  /** A request that the policy approves at once; the clock of the grant runs from here. */
  async grant(duration: string, profile = "read-write", person = this.alice): Promise<string> {
    const args = ["request", "prod-orders", "--for", duration, "--profile", profile];
    const printed = await person.expect([...args, "--no-wait", "--json"]);
    const { grantId }: RequestView = JSON.parse(printed);
    if (grantId === null) {
      throw new Error(`The request was not approved at once: ${printed}`);
    }
    return grantId;
  }

  async grantView(id: string, person = this.alice): Promise<GrantView> {
    const { grants }: { grants: GrantView[] } = JSON.parse(
      await person.expect(["grants", "--all", "--json"]),
    );
    const grant = grants.find((one) => one.id === id);
    if (grant === undefined) {
      throw new Error(`${person.name} does not see the grant ${id}.`);
    }
    return grant;
  }

  /** Starts `jitdb connect` for a grant, or for the only live one, and waits until it is ready. */
  async connect(
    args: readonly string[] = [],
    person = this.alice,
    grant = "prod-orders",
  ): Promise<Door> {
    const child = this.start(person, ["connect", grant, "--json", "--port", "0", ...args]);
    // What it says on stderr is kept for the end, and must not fill the pipe meanwhile.
    child.stderr?.resume();
    const [line] = await waitForOutput(child, "stdout", /^\{.*\}(?=\n)/);
    return new Door(child, JSON.parse(line) as Ready);
  }

  /** A grant and its door. */
  async open(duration: string, profile = "read-write"): Promise<Door> {
    await this.grant(duration, profile);
    return await this.connect();
  }

  /** Ends all live grants of alice. */
  async revokeAll(): Promise<void> {
    const { grants }: { grants: GrantView[] } = JSON.parse(
      await this.alice.expect(["grants", "--json"]),
    );
    for (const { id } of grants) {
      await this.alice.expect(["revoke", id]);
    }
  }

  async journal(): Promise<Journal> {
    return await Journal.read(this.installation.serverFolder);
  }

  /** Process ids of all sessions of ephemeral users, as the database sees them. */
  async backends(): Promise<number[]> {
    const rows = await this.installation.asSuperuser<{ pid: number }>(
      "SELECT pid FROM pg_stat_activity WHERE usename LIKE 'jit\\_%' ORDER BY 1",
    );
    return rows.map(({ pid }) => pid);
  }

  /** Whether so many of their sessions run a statement that matches (LIKE) at this moment. */
  async runs(pattern: string, count = 1): Promise<boolean> {
    const rows = await this.installation.asSuperuser(
      "SELECT 1 FROM pg_stat_activity WHERE usename LIKE 'jit\\_%' AND state = 'active' AND query LIKE $1",
      [pattern],
    );
    return rows.length >= count;
  }
}

/** Adds the two and lets them log in. */
async function employ(installation: Installation, isAliceConfirmed: boolean): Promise<void> {
  await Promise.all([
    installation.addLoggedIn("alice", ["developers"], { confirmed: isAliceConfirmed }),
    installation.addLoggedIn("bob", ["admins", "developers"]),
  ]);
}

/** A company in a folder, for copies. */
async function foundedBefore(
  postgres: PostgresVersion,
  isAliceConfirmed: boolean,
): Promise<string | undefined> {
  const name = `company-${postgres}${isAliceConfirmed ? "" : "-new-device"}`;
  return await madeOnce(name, async (folder) => {
    const installation = await startInstallation({ postgres });
    await employ(installation, isAliceConfirmed);
    await installation.keepAs(folder);
  });
}
