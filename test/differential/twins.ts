// Two databases that are the same to whoever uses them: one behind agent and gateway, with a grant's user; the other on a
// server of its own, with a role of the same name and the same rights that logs in directly.

import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import pg from "pg";
import { Company } from "../e2e/company.ts";
import { type Installation, prepareDatabase } from "../support/installation.ts";
import type { Journal } from "../support/journal.ts";
import { ordersSql } from "../support/orders.ts";
import { type PostgresVersion, type RunningPostgres, startPostgres } from "../support/postgres.ts";
import type { Address } from "./raw-session.ts";
import { TraceReader, traceSettings } from "./server-trace.ts";

/** What both servers are started with. */
const settings = {
  ...traceSettings,
  max_prepared_transactions: "5",
  deadlock_timeout: "100ms",
  autovacuum: "off",
} as const;

const policies = `
  - name: developers
    who: { groups: [developers] }
    databases: [prod-orders]
    profiles: ["*"]
    maxDuration: 1h
    approval: automatic
`;

/** Run by the superuser in both databases, behind the sample data. */
const templateSql = `
UPDATE app.orders SET placed_at = timestamptz '2026-01-01 00:00:00Z' + id * interval '7 hours';
SET ROLE orders_app;
CREATE TYPE app.mood AS ENUM ('glad', 'sad');
CREATE TABLE app.everything (
  id int PRIMARY KEY, flag boolean, small smallint, big bigint, real real, double double precision,
  amount numeric(12, 3), name text, code char(4), raw bytea, day date, at timestamptz, span interval,
  doc jsonb, list int[], mood app.mood, token uuid, net inet
);
CREATE TABLE app.steps (id int PRIMARY KEY DEFERRABLE INITIALLY DEFERRED, body text);
CREATE FUNCTION app.say(what text) RETURNS text LANGUAGE plpgsql
  AS $$ BEGIN RAISE NOTICE 'says %', what USING HINT = 'a hint', DETAIL = 'a detail'; RETURN what; END $$;
CREATE FUNCTION app.fail(what text) RETURNS void LANGUAGE plpgsql
  AS $$ BEGIN RAISE EXCEPTION 'fails %', what USING ERRCODE = 'P0042', TABLE = 'orders'; END $$;
RESET ROLE;
`;

const twinPassword = "the twin's password";

/** One of the two. */
export interface Side {
  readonly name: "direct" | "tunnelled";
  readonly address: Address;
  readonly superuser: pg.Client;
  readonly trace: TraceReader;
}

export class Twins {
  readonly direct: Side;
  readonly tunnelled: Side;
  readonly #company: Company;
  readonly #twin: RunningPostgres;

  private constructor(company: Company, twin: RunningPostgres, direct: Side, tunnelled: Side) {
    this.#company = company;
    this.#twin = twin;
    this.direct = direct;
    this.tunnelled = tunnelled;
  }

  /** Whoever opens them calls `close`. */
  static async open(version: PostgresVersion): Promise<Twins> {
    const [twin, company] = await Promise.all([
      startPostgres({ version, settings }),
      // A direct client has no spare session, and this compares what the server has (row 2 of docs/wire-support.md).
      Company.found({
        postgres: version,
        postgresSettings: settings,
        spareSessions: false,
        policies,
        prepare,
      }),
    ]);
    const { installation } = company;
    await buildTwin(twin, await installation.serverCommand(["database", "sql", "prod-orders"]));
    const { ready } = await company.open("30m", "admin");
    const [user = ""] = await installation.ephemeralUsers();
    const side = async (name: Side["name"], postgres: RunningPostgres, address: Address) => {
      const superuser = new pg.Client({ connectionString: postgres.url("orders") });
      await superuser.connect();
      return { name, address, superuser, trace: new TraceReader(postgres.serverLog, user) };
    };
    const address = { host: twin.host, port: twin.port, user, database: "orders" };
    const tunnelled = await side("tunnelled", installation.postgres, {
      ...address,
      port: ready.port,
      password: ready.password,
    });
    const direct = await side("direct", twin, { ...address, password: twinPassword });
    await copyRole(user, tunnelled.superuser, direct.superuser);
    return new Twins(company, twin, direct, tunnelled);
  }

  async journal(): Promise<Journal> {
    return await this.#company.journal();
  }

  async close(): Promise<void> {
    await Promise.all([this.direct.superuser.end(), this.tunnelled.superuser.end()]);
    await Promise.all([this.#twin.stop(), this.#company.close()]);
  }
}

async function prepare(installation: Installation): Promise<void> {
  const file = join(installation.serverFolder, "jitdb.yaml");
  const written = await readFile(file, "utf8");
  const configured = written.replace("      read-write:\n", "      read-write:\n      admin:\n");
  await writeFile(file, configured);
  await installation.asSuperuser(templateSql);
  await prepareDatabase(installation);
  await installation.asSuperuser(groupSql);
}

/** The group may also make schemas: for dumps that are restored. */
const groupSql = `
DO $$ BEGIN
  EXECUTE (SELECT format('GRANT CREATE ON DATABASE orders TO %I', rolname)
    FROM pg_roles WHERE rolname ~ '^jitdb.*admin$' AND NOT rolcanlogin);
END $$`;

/** @param databaseSql what `jitdb-server database sql` prints */
async function buildTwin(twin: RunningPostgres, databaseSql: string): Promise<void> {
  const run = async (database: string, ...texts: string[]) => {
    const client = new pg.Client({ connectionString: twin.url(database) });
    await client.connect();
    for (const text of texts) {
      await client.query(text);
    }
    await client.end();
  };
  await run("postgres", "CREATE DATABASE orders");
  const withoutCommands = databaseSql.replaceAll(/^\\.*$/gm, "");
  await run("orders", ordersSql, templateSql, withoutCommands, groupSql);
}

interface Membership {
  readonly group: string;
  readonly options: string;
}

/** Makes a role in one server that another has, with its memberships and its end, and a password of ours. */
async function copyRole(name: string, from: pg.Client, to: pg.Client): Promise<void> {
  const { rows: roles } = await from.query<{ until: string }>(
    "SELECT rolvaliduntil::text AS until FROM pg_roles WHERE rolname = $1",
    [name],
  );
  const { rows: memberships } = await from.query<Membership>(
    `SELECT roleid::regrole::text AS "group",
       coalesce(' WITH INHERIT ' || (to_jsonb(m) ->> 'inherit_option') || ', SET ' ||
         (to_jsonb(m) ->> 'set_option'), '') AS options
     FROM pg_auth_members m WHERE member = $1::regrole`,
    [name],
  );
  const role = to.escapeIdentifier(name);
  const password = to.escapeLiteral(twinPassword);
  await to.query(`CREATE ROLE ${role} LOGIN PASSWORD ${password} ROLE jitdb_admin`);
  await to.query(`ALTER ROLE ${role} VALID UNTIL ${to.escapeLiteral(roles[0]?.until ?? "")}`);
  for (const { group, options } of memberships) {
    await to.query(`GRANT ${group} TO ${role}${options}`);
  }
}
