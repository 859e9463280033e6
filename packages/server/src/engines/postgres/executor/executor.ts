// The executor for PostgreSQL: binds the steps of this folder to one database of the configuration.

import { JitdbError } from "@jitdb/shared/errors";
import type { DatabaseConfig, ProfileConfig } from "../../../config/config.ts";
import type {
  BackendRef,
  Executor,
  NewUser,
  Problem,
  StepResult,
  TerminateResult,
  UserRef,
} from "../../../credentials/executor.ts";
import type { Comparison, Snapshot } from "../../../credentials/traces.ts";
import { AdminConnection } from "../admin-connection.ts";
import { cleanLeftovers } from "./clean.ts";
import { inspectDatabase } from "./inspect.ts";
import { rollbackPrepared } from "./prepared.ts";
import {
  createRole,
  describeCreation,
  dropRole,
  extendRole,
  listUsers,
  lockRole,
  type RoleRow,
} from "./roles.ts";
import { refuseForbidden } from "./safety.ts";
import { listBackends, terminateBackends, terminateSessions } from "./sessions.ts";
import { snapshotOfGroup, snapshotOfRoles } from "./snapshot.ts";
import { findTraces } from "./traces.ts";
import { verifyGone } from "./verify.ts";
import { findWays } from "./ways.ts";

export class PostgresExecutor implements Executor {
  readonly #database: DatabaseConfig;
  readonly #connection: AdminConnection;

  constructor(database: DatabaseConfig) {
    this.#database = database;
    this.#connection = new AdminConnection(database);
  }

  inspect(): Promise<readonly Problem[]> {
    return inspectDatabase(this.#connection, this.#database);
  }

  async create(user: NewUser): Promise<{ readonly oid: number }> {
    const profile = this.#profile(user.profile);
    return await createRole(this.#connection, this.#database.admin.user, user, profile);
  }

  async describeCreation({
    name,
    profile,
  }: Pick<NewUser, "name" | "profile">): Promise<readonly string[]> {
    return await describeCreation(this.#connection, name, this.#profile(profile));
  }

  async extend(user: UserRef, validForMs: number): Promise<void> {
    await extendRole(this.#connection, user, validForMs);
  }

  async assertSafe(user: UserRef): Promise<void> {
    const profile = this.#profile(user.profile);
    await refuseForbidden(this.#connection, user.name, profile);
  }

  lock(user: UserRef): Promise<StepResult> {
    return lockRole(this.#connection, this.#database.database, user);
  }

  terminate(user: UserRef): Promise<TerminateResult> {
    return terminateSessions(this.#connection, this.#database.database, user);
  }

  rollbackPrepared(user: UserRef): Promise<StepResult> {
    const group = this.#database.profiles.get(user.profile)?.group;
    return rollbackPrepared(this.#connection, user, group);
  }

  clean(user: UserRef): Promise<StepResult> {
    const profile = this.#database.profiles.get(user.profile);
    return cleanLeftovers(this.#connection, user, {
      database: this.#database.database,
      leftovers: profile?.leftovers ?? "keep",
      group: profile?.group,
    });
  }

  drop(user: UserRef): Promise<StepResult> {
    return dropRole(this.#connection, this.#database.database, user);
  }

  verify(user: UserRef): Promise<StepResult> {
    return verifyGone(this.#connection, this.#database.database, user);
  }

  async snapshot(profile: string): Promise<Snapshot> {
    const { group } = this.#profile(profile);
    const found = await snapshotOfGroup(this.#connection, this.#database.database, group);
    // How to undo a thing is of use only for what is new; a snapshot is kept for as long as its grant.
    return { ...found, entries: found.entries.map(({ undo: _, ...entry }) => entry) };
  }

  async compare(before: Snapshot): Promise<Comparison> {
    const { database } = this.#database;
    return findTraces(before, await snapshotOfRoles(this.#connection, database, before.roles));
  }

  async waysToLeaveTraces(): Promise<Readonly<Record<string, readonly string[]>>> {
    const profiles = [...this.#database.profiles.values()];
    return await findWays(this.#connection, profiles);
  }

  users(installation: string): Promise<readonly RoleRow[]> {
    return listUsers(this.#connection, installation);
  }

  backends(installation: string): Promise<readonly BackendRef[]> {
    return listBackends(this.#connection, installation);
  }

  terminateBackends(backends: readonly BackendRef[]): Promise<readonly BackendRef[]> {
    return terminateBackends(this.#connection, backends);
  }

  close(): Promise<void> {
    return this.#connection.close();
  }

  #profile(name: string): ProfileConfig {
    const profile = this.#database.profiles.get(name);
    if (profile === undefined) {
      throw new JitdbError(
        "database.misconfigured",
        `${this.#database.name} no longer has the profile ${name}.`,
      );
    }
    return profile;
  }
}
