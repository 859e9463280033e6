// Scripts for the `pg` driver.

import type pg from "pg";
import type { Script, World } from "../script.ts";

/** Rows and fields of a query, or its error. */
async function ask(world: World, client: pg.Client, query: pg.QueryConfig): Promise<void> {
  try {
    const { rows, fields, rowCount, command } = await client.query(query);
    const columns = fields.map(({ name, dataTypeID: type, format }) => [
      name,
      type < 16_384 ? type : "made by hand",
      format,
    ]);
    world.note("answer", { command, rowCount, columns, rows });
  } catch (error) {
    world.note("error", error);
  }
}

export const driverScripts: readonly Script[] = [
  {
    name: "sends parameters of all common types, and reads them back",
    speaks: "pg",
    async run(world) {
      const client = await world.client();
      const columns =
        "id, flag, small, big, real, double, amount, name, code, raw, day, at, span, doc, list, mood, token, net";
      const marks = columns.split(", ").map((_, at) => `$${at + 1}`);
      const day = new Date("2026-02-03T04:05:06.789Z");
      const values = [
        1,
        true,
        -5,
        "9223372036854775807",
        1.5,
        -1e300,
        "12345.678",
        'it\'s ä€𝄞 \\ "so"',
        "ab",
        Buffer.from([0, 1, 255]),
        "2026-02-28",
        day,
        "1 day 02:03:04",
        { a: [1, null, "x"] },
        [1, 2, null],
        "glad",
        "6ba7b810-9dad-11d1-80b4-00c04fd430c8",
        "10.0.0.0/8",
      ];
      const insert = `INSERT INTO app.everything (${columns}) VALUES (${marks.join(", ")}) RETURNING id`;
      await ask(world, client, { text: insert, values });
      await ask(world, client, { text: insert, values: [2, ...values.slice(1).map(() => null)] });
      await ask(world, client, { text: insert, values });
      await ask(world, client, { text: `SELECT ${columns} FROM app.everything ORDER BY id` });
      await ask(world, client, { text: "SELECT $1::int", values: ["x"] });
    },
  },
  {
    name: "keeps named statements, and mixes them with unnamed ones in a pipeline of its own",
    speaks: "pg",
    async run(world) {
      const client = await world.client();
      const named = {
        name: "by-city",
        text: "SELECT id, name FROM app.customers WHERE city = $1 ORDER BY id LIMIT 2",
      };
      await Promise.all(
        ["Oslo", "Atlantis", "Quito"].flatMap((city) => [
          ask(world, client, { ...named, values: [city] }),
          ask(world, client, { text: "SELECT $1::text AS city", values: [city] }),
          ask(world, client, { text: `SELECT '${city}'; SELECT 1/0` }),
        ]),
      );
      await ask(world, client, {
        text: "SELECT name, statement FROM pg_prepared_statements WHERE name <> ''",
      });
    },
  },
  {
    name: "hears notices and notifications",
    speaks: "pg",
    async run(world) {
      const [listener, notifier] = [await world.client(), await world.client()];
      await listener.query("LISTEN orders");
      const heard = new Promise((resolve) => listener.once("notification", resolve));
      await ask(world, notifier, { text: "SELECT app.say($1)", values: ["from the driver"] });
      await notifier.query("NOTIFY orders, 'order 17'");
      await heard;
    },
  },
  {
    name: "rolls back and commits, over several clients at once",
    speaks: "pg",
    async run(world) {
      const clients = await Promise.all([1, 2, 3, 4].map(() => world.client()));
      await Promise.all(clients.map((client) => client.query("BEGIN")));
      // One by one: a dump shows rows in the order in which they came.
      for (const [at, client] of clients.entries()) {
        await client.query("INSERT INTO app.steps VALUES ($1, $2)", [80 + at, `client ${at}`]);
      }
      await Promise.all(
        clients.map((client, at) => client.query(at % 2 === 0 ? "COMMIT" : "ROLLBACK")),
      );
      const [first] = clients;
      if (first !== undefined) {
        await ask(world, first, { text: "SELECT * FROM app.steps WHERE id >= 80 ORDER BY id" });
      }
    },
  },
  {
    name: "cancels a query of its own session",
    speaks: "pg",
    async run(world) {
      const client = await world.client();
      const slow = ask(world, client, { text: "SELECT pg_sleep(60), 'of the driver'" });
      await world.until(
        "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND query LIKE '%of the driver%')",
      );
      const other = await world.client();
      // The driver's own word for a cancel is private: what it does to a session it can do from another one, too.
      await other.query(
        "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE query LIKE $1 AND pid <> pg_backend_pid()",
        ["SELECT pg_sleep(60), 'of the driver'"],
      );
      await slow;
      await ask(world, client, { text: "SELECT 'alive' AS it" });
    },
  },
];
