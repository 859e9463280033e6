// A database that goes away while a connection of the admin role is in use.

import { afterAll, beforeAll, expect, test } from "vitest";
import { AdminConnection } from "../../packages/server/src/engines/postgres/admin-connection.ts";
import { createFixture, type Fixture } from "./fixture.ts";

let fixture: Fixture;
let connection: AdminConnection;
beforeAll(async () => {
  fixture = await createFixture("system");
  connection = new AdminConnection(fixture.database);
});
afterAll(async () => {
  await connection?.close();
  await fixture?.stop();
});

test("a connection that breaks between two statements of a transaction is an error of the next, not the end of the process", async () => {
  const broken = connection.transaction(async (transaction) => {
    const [row] = await transaction.query<{ pid: number }>("SELECT pg_backend_pid() AS pid");
    await fixture.superuser(`SELECT pg_terminate_backend(${row?.pid}, 5000)`);
    // Time for the news to arrive while nobody waits for an answer.
    await fixture.superuser("SELECT 1");
    return await transaction.query("SELECT 1");
  });
  await expect(broken).rejects.toMatchObject({ code: "database.unavailable" });
  const rows = await connection.transaction((transaction) =>
    transaction.query<{ one: number }>("SELECT 1 AS one"),
  );
  expect(rows).toEqual([{ one: 1 }]);
});
