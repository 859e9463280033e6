// Scripts for psql, given on its stdin: its own commands, and what it makes of the server's answers.

import type { ProgramInput, Script, World } from "../script.ts";

interface PsqlOptions extends Pick<ProgramInput, "env"> {
  readonly args?: readonly string[];
}

function psql(input: string, { args = [], env = {} }: PsqlOptions = {}) {
  return (world: World): Promise<void> =>
    world.program("psql", ["-X", "-w", ...args], { input, env });
}

export const psqlScripts: readonly Script[] = [
  {
    name: "prints tables, expanded, unaligned, csv, html and with NULL marked",
    speaks: "psql",
    run: psql(`
SELECT id, name, NULL AS nothing FROM app.customers WHERE id < 4 ORDER BY id;
\\pset null (null)
\\x on
SELECT * FROM app.orders WHERE id = 7;
\\x off
\\pset format csv
SELECT 'a,b' AS "quoted ""name""", E'two\\nlines';
\\pset format html
SELECT '<b>' AS tag;
\\pset format unaligned
SELECT * FROM app.steps ORDER BY id;
`),
  },
  {
    name: "describes the catalogue",
    speaks: "psql",
    run: psql(`
\\d app.orders
\\d+ app.everything
\\dt app.*
\\dn+
\\df+ app.say
\\dp app.*
\\dT+ app.*
\\du
\\sf app.say
\\dconfig work_mem
SELECT 1 AS one, 'glad'::app.mood \\gdesc
`),
  },
  {
    name: "gathers results: gset, gexec, crosstabview, variables, conditions",
    speaks: "psql",
    run: psql(`
SELECT count(*) AS n FROM app.orders WHERE status = 'open' \\gset
\\echo there are :n
\\if :n
SELECT status, customer_id % 4 AS quarter, count(*) FROM app.orders GROUP BY 1, 2 ORDER BY 1, 2 \\crosstabview
\\endif
SELECT format('SELECT %L AS made', n) FROM generate_series(1, 3) AS n \\gexec
\\set value 'it''s'
SELECT :'value', :"value" FROM (SELECT 1 AS "it's") AS x;
SELECT 1 \\; SELECT 2 \\; SELECT 3;
SELECT 1 AS a \\g (format=unaligned tuples_only=on)
\\echo :ROW_COUNT :SQLSTATE :ERROR
`),
  },
  {
    name: "stops at the first error, in one transaction",
    speaks: "psql",
    run: psql(
      `INSERT INTO app.steps VALUES (70, 'undone');
SELECT nothing;
SELECT 'never';
`,
      { args: ["-1", "-v", "ON_ERROR_STOP=1"] },
    ),
  },
  {
    name: "goes on after errors, and tells them verbosely",
    speaks: "psql",
    run: psql(`
SELECT app.fail('first');
\\errverbose
\\set VERBOSITY verbose
SELECT 1/0;
\\set VERBOSITY sqlstate
SELECT app.say('heard'), 'x'::int;
\\set VERBOSITY terse
\\set SHOW_CONTEXT always
SELECT app.fail('last');
\\set ON_ERROR_ROLLBACK on
BEGIN;
INSERT INTO app.steps VALUES (71, 'kept');
SELECT broken;
COMMIT;
SELECT * FROM app.steps ORDER BY id;
`),
  },
  {
    name: "fetches large results in pieces, and prints them whole",
    speaks: "psql",
    run: psql(
      `
\\set FETCH_COUNT 100
SELECT n, md5(n::text) FROM generate_series(1, 5000) AS n;
SELECT n, 1 / (500 - n) FROM generate_series(1, 1000) AS n;
BEGIN;
SELECT id FROM app.orders ORDER BY id;
COMMIT;
`,
      { args: ["-A", "-t"] },
    ),
  },
  {
    name: "copies files in and out, as text, csv and binary",
    speaks: "psql",
    run: psql(`
CREATE TEMP TABLE t (LIKE app.customers);
\\copy app.customers TO 'customers.txt'
\\copy t FROM 'customers.txt'
\\copy (SELECT * FROM t ORDER BY id LIMIT 3) TO STDOUT WITH (FORMAT csv, HEADER)
\\copy t TO 'customers.bin' WITH (FORMAT binary)
TRUNCATE t;
\\copy t FROM 'customers.bin' WITH (FORMAT binary)
SELECT count(*), md5(string_agg(name, ',' ORDER BY id)) FROM t;
COPY t FROM STDIN;
101\tEve\tParis
102\tMallory
\\.
COPY t (id, name, city) FROM STDIN WITH (FORMAT csv);
101,Eve,"Paris, France"
\\.
SELECT * FROM t WHERE id > 100;
\\copy t FROM 'no-such-file'
\\copy t TO '/nowhere/at/all'
`),
  },
  {
    name: "listens and notifies",
    speaks: "psql",
    run: psql(`
LISTEN news;
NOTIFY news, 'to myself';
SELECT 1;
`),
  },
  {
    name: "brings settings along by PGOPTIONS and other variables",
    speaks: "psql",
    run: psql(
      `SHOW search_path; SHOW work_mem; SHOW DateStyle; SHOW application_name; SHOW TimeZone;
SELECT count(*) FROM steps;
`,
      {
        env: {
          PGOPTIONS: "-c search_path=app -c work_mem=2MB",
          PGDATESTYLE: "SQL, DMY",
          PGTZ: "Europe/Lisbon",
          PGAPPNAME: "the bench's psql",
          PGCLIENTENCODING: "LATIN1",
        },
      },
    ),
  },
  {
    name: "switches the encoding",
    speaks: "psql",
    run: psql(`
\\encoding LATIN1
SELECT chr(228) || 'x', length('ä');
\\encoding UTF8
SELECT 'ä€', chr(8364);
\\encoding nonsense
`),
  },
  {
    name: "reads large objects from files, and writes them",
    speaks: "psql",
    run: psql(`
\\! printf 'the content of a file' > object.txt
\\lo_import 'object.txt' 'a comment'
SELECT convert_from(lo_get(:LASTOID), 'UTF8') AS content;
\\lo_export :LASTOID 'copy.txt'
\\! cat copy.txt
`),
  },
  {
    name: "asks for encryption in every way that is declined, and goes on or gives up",
    speaks: "psql",
    async run(world) {
      for (const env of [
        { PGSSLMODE: "disable", PGGSSENCMODE: "disable" },
        { PGSSLMODE: "allow" },
        { PGSSLMODE: "prefer", PGGSSENCMODE: "prefer" },
        { PGSSLMODE: "require" },
        { PGCHANNELBINDING: "require" },
      ]) {
        await world.program("psql", ["-X", "-w", "-c", "SELECT 'in'"], { env });
      }
    },
  },
  {
    name: "connects again inside a session",
    speaks: "psql",
    run: psql(
      `
SELECT set_config('my.own', 'before', false);
\\c -reuse-previous=on
SHOW my.own;
`,
      { args: ["-q"] },
    ),
  },
];
