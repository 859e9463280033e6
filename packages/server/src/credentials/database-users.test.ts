import { JitdbError } from "@jitdb/shared/errors";
import { expect, it } from "vitest";
import { DatabaseUsers, type DatabaseUsersPorts } from "./database-users.ts";

const refused = new JitdbError("database.misconfigured", "orders does not show its roles.");
const away = new JitdbError("database.unavailable", "orders cannot be reached.");

/** A database of which the test sets what fails, and what the log says of it. */
function scene() {
  const said: string[] = [];
  const fails: { users?: JitdbError | undefined; backends?: JitdbError | undefined } = {};
  const answer = (error: JitdbError | undefined) =>
    error === undefined ? Promise.resolve([]) : Promise.reject(error);
  const log = {
    warn: (_: object, text: string) => said.push(text),
    info: (_: object, text: string) => said.push(text),
  };
  const ports = {
    name: "orders",
    installation: "one",
    clock: { now: () => 1000 },
    log,
    ledger: { living: async () => [] },
    executor: { users: () => answer(fails.users), backends: () => answer(fails.backends) },
  } as unknown as DatabaseUsersPorts;
  const users = new DatabaseUsers(ports);
  const rounds = async (count: number) => {
    for (let round = 0; round < count; round += 1) {
      await Promise.all([users.reconcile(), users.watch()]);
    }
  };
  return { said, fails, rounds };
}

it("says once that the comparison at the start fails, however often all the rest works", async () => {
  const { said, fails, rounds } = scene();
  fails.users = refused;
  await rounds(10);
  expect(said).toEqual(["orders does not show its roles."]);
  fails.users = undefined;
  await rounds(10);
  expect(said).toEqual(["orders does not show its roles.", "orders works again."]);
});

it("says once of a database that is away, whoever meets it", async () => {
  const { said, fails, rounds } = scene();
  fails.users = away;
  fails.backends = away;
  await rounds(10);
  fails.users = undefined;
  fails.backends = undefined;
  await rounds(10);
  expect(said).toEqual(["orders cannot be reached.", "orders works again."]);
});
