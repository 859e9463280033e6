// Scripts for pgbench, pg_dump and pg_restore.

import type { Script, World } from "../script.ts";

const inSchema = (schema: string) => ({ env: { PGOPTIONS: `-c search_path=${schema}` } });

/** What pgbench keeps equal, whatever happens: the sums of its tables. */
const sums = `
SELECT (SELECT sum(abalance) FROM pgbench_accounts) AS accounts, (SELECT sum(tbalance) FROM pgbench_tellers) AS tellers,
  (SELECT sum(bbalance) FROM pgbench_branches) AS branches, (SELECT sum(delta) FROM pgbench_history) AS history;
-- Times of day are no two runs' own.
ALTER TABLE pgbench_history DROP COLUMN mtime;
`;

/** The same transactions each time, by the seed; so their sums and rows are the same, too. */
function pgbench(mode: "simple" | "extended" | "prepared") {
  return async (world: World): Promise<void> => {
    const schema = `bench_${mode}`;
    const args = ["-n", "-c", "4", "-j", "2", "-t", "40", "-M", mode, "--random-seed=1"];
    await world.program("psql", ["-X", "-q", "-c", `CREATE SCHEMA ${schema}`]);
    await world.program("pgbench", ["-i", "-q", "-I", "dtgvpf"], inSchema(schema));
    await world.program("pgbench", args, inSchema(schema));
    await world.program("psql", ["-X", "-q"], { input: sums, ...inSchema(schema) });
  };
}

const shelf = `
CREATE SCHEMA shelf;
CREATE TYPE shelf.kind AS ENUM ('novel', 'poem');
CREATE TABLE shelf.books (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, title text NOT NULL, kind shelf.kind, pages int CHECK (pages > 0),
  cover bytea, data jsonb DEFAULT '{}', tags text[]
);
CREATE TABLE shelf.loans (book bigint REFERENCES shelf.books ON DELETE CASCADE, reader text, days daterange);
CREATE INDEX ON shelf.books USING gin (tags);
CREATE VIEW shelf.poems AS SELECT title FROM shelf.books WHERE kind = 'poem';
CREATE MATERIALIZED VIEW shelf.counts AS SELECT kind, count(*) FROM shelf.books GROUP BY 1;
CREATE FUNCTION shelf.touch() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.title := trim(NEW.title); RETURN NEW; END $$;
CREATE TRIGGER touch BEFORE INSERT ON shelf.books FOR EACH ROW EXECUTE FUNCTION shelf.touch();
INSERT INTO shelf.books (title, kind, pages, cover, tags)
  SELECT 'Book ä€ ' || n, (ARRAY['novel', 'poem'])[1 + n % 2]::shelf.kind, n, decode(md5(n::text), 'hex'), ARRAY['t' || n % 7]
  FROM generate_series(1, 3000) AS n;
INSERT INTO shelf.loans SELECT n, E'tab\\there', daterange('2026-01-01', '2026-01-01'::date + n) FROM generate_series(1, 20) AS n;
REFRESH MATERIALIZED VIEW shelf.counts;
COMMENT ON TABLE shelf.books IS 'it''s a shelf';
GRANT SELECT ON shelf.poems TO PUBLIC;
`;

export const toolScripts: readonly Script[] = [
  ...(["simple", "extended", "prepared"] as const).map((mode) => ({
    name: `initialises, runs with -M ${mode}, and its sums are consistent`,
    speaks: "pgbench" as const,
    run: pgbench(mode),
  })),
  {
    name: "dumps a schema as SQL, as SQL with inserts, and the application's by its rights",
    speaks: "pg_dump",
    async run(world) {
      await world.program("psql", ["-X", "-q", "-v", "ON_ERROR_STOP=1"], { input: shelf });
      await world.program("pg_dump", ["-n", "shelf"]);
      await world.program("pg_dump", ["-n", "shelf", "--inserts", "--rows-per-insert=100", "-a"]);
      await world.program("pg_dump", ["-n", "app", "--no-owner", "-Fp"]);
      await world.program("pg_dump", ["--schema-only"]);
      await world.program("pg_dump", ["-n", "nothing_like_it"]);
    },
  },
  {
    name: "restores what it dumped, in custom, directory and plain format, parallel, and in one transaction",
    speaks: "pg_dump",
    hasWorkers: true,
    async run(world) {
      const drop = () => world.program("psql", ["-X", "-q", "-c", "DROP SCHEMA shelf CASCADE"]);
      await world.program("pg_dump", ["-Fc", "-n", "shelf", "-f", "shelf.dump"]);
      await world.program("pg_dump", ["-Fd", "-j", "2", "-n", "shelf", "-f", "shelf.folder"]);
      await drop();
      await world.program("pg_restore", ["-d", "orders", "-1", "shelf.dump"]);
      await drop();
      await world.program("pg_restore", ["-d", "orders", "-j", "2", "shelf.folder"]);
      await world.program("pg_restore", ["-d", "orders", "-a", "-t", "loans", "shelf.dump"]);
      await world.program("pg_dump", ["-n", "shelf", "-f", "shelf.sql"]);
      await drop();
      await world.program("psql", ["-X", "-q", "-v", "ON_ERROR_STOP=1", "-f", "shelf.sql"]);
      await world.program("pg_dump", ["-n", "shelf"]);
    },
  },
];
