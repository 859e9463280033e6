// How the admin role asks: in how many round trips, with which search path, and what happens when the database goes away meanwhile.

import { afterAll, beforeAll, expect, onTestFinished, test } from "vitest";
import { AdminConnection } from "../../packages/server/src/engines/postgres/admin-connection.ts";
import { CuttingProxy } from "../support/cutting-proxy.ts";
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
  expect(await connection.query("SELECT 1 AS one")).toEqual([{ one: 1 }]);
});

test("a single query takes one round trip, and finds nothing by a search path", async () => {
  const { port } = fixture.database;
  const proxy = await CuttingProxy.start(0, port);
  const far = new AdminConnection({ ...fixture.database, port: proxy.port });
  onTestFinished(async () => {
    proxy.delayMs = 0;
    await far.close();
    await proxy.close();
  });
  await far.query("SELECT");
  proxy.delayMs = 200;
  const start = performance.now();
  const rows = await far.query("SELECT pg_catalog.current_setting('search_path') AS path");
  const tookMs = performance.now() - start;
  expect(rows).toEqual([{ path: '""' }]);
  expect(tookMs).toBeGreaterThan(2 * proxy.delayMs - 10);
  expect(tookMs).toBeLessThan(4 * proxy.delayMs);
});

test("a single query that is refused changes nothing, and the connection is of use again", async () => {
  await fixture.superuser(
    "CREATE TABLE app.numbers (number int); GRANT ALL ON app.numbers TO jitdb_admin",
  );
  const refused = connection.query(
    "WITH written AS (INSERT INTO app.numbers VALUES (1) RETURNING number) SELECT 1 / (number - 1) FROM written",
  );
  await expect(refused).rejects.toMatchObject({ code: "22012" });
  const used = connection.query("SELECT pg_catalog.count(*)::int4 AS count FROM app.numbers");
  expect(await used).toEqual([{ count: 0 }]);
});
