// What a script left in a database, as lines that can be compared: the catalogue in words, and a checksum of every table's rows.

import type pg from "pg";

/** Everything outside the system's schemas, with owners and rights. One line an object. */
const catalogueSql = `
WITH mine AS (
  SELECT oid, nspname FROM pg_namespace
  WHERE nspname !~ '^pg_' AND nspname <> 'information_schema'
)
SELECT line FROM (
  SELECT format('schema %s of %s %s', nspname, nspowner::regrole, nspacl) FROM pg_namespace
    WHERE oid IN (SELECT oid FROM mine)
  UNION ALL
  SELECT format('relation %s.%s kind %s of %s %s %s', nspname, relname, relkind, relowner::regrole,
      relacl, reloptions)
    FROM pg_class JOIN mine ON relnamespace = mine.oid
  UNION ALL
  SELECT format('column %s.%s %s %s %s null %s default %s %s', attrelid::regclass, attnum, attname,
      format_type(atttypid, atttypmod), attidentity, NOT attnotnull, pg_get_expr(adbin, adrelid), attacl)
    FROM pg_attribute JOIN pg_class c ON c.oid = attrelid JOIN mine ON relnamespace = mine.oid
    LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
    WHERE attnum > 0 AND NOT attisdropped AND relkind <> 'i'
  UNION ALL
  SELECT format('constraint %s on %s %s', conname, conrelid::regclass, pg_get_constraintdef(oid))
    FROM pg_constraint WHERE connamespace IN (SELECT oid FROM mine)
  UNION ALL
  SELECT pg_get_indexdef(indexrelid) FROM pg_index JOIN pg_class c ON c.oid = indexrelid
    WHERE relnamespace IN (SELECT oid FROM mine)
  UNION ALL
  SELECT format('view %s %s', c.oid::regclass, pg_get_viewdef(c.oid)) FROM pg_class c
    WHERE relkind IN ('v', 'm') AND relnamespace IN (SELECT oid FROM mine)
  UNION ALL
  SELECT format('function of %s %s %s', proowner::regrole, proacl, pg_get_functiondef(oid)) FROM pg_proc
    WHERE pronamespace IN (SELECT oid FROM mine) AND prokind IN ('f', 'p')
  UNION ALL
  SELECT pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal
  UNION ALL
  SELECT format('type %s of %s %s', oid::regtype, typowner::regrole,
      (SELECT string_agg(enumlabel, ',' ORDER BY enumsortorder) FROM pg_enum WHERE enumtypid = t.oid))
    FROM pg_type t WHERE typnamespace IN (SELECT oid FROM mine)
  UNION ALL
  SELECT format('sequence %s.%s at %s', schemaname, sequencename, last_value) FROM pg_sequences
  UNION ALL
  SELECT format('large object of %s %s %s', lomowner::regrole, lomacl, md5(lo_get(oid)))
    FROM pg_largeobject_metadata
  UNION ALL
  SELECT format('prepared transaction %s of %s', gid, owner) FROM pg_prepared_xacts
  UNION ALL
  SELECT format('setting %s %s', setrole::regrole, setconfig) FROM pg_db_role_setting
  UNION ALL
  SELECT format('default rights %s %s %s', defaclrole::regrole, defaclobjtype, defaclacl)
    FROM pg_default_acl
  UNION ALL
  SELECT format('comment on %s %s', CASE WHEN classoid = 'pg_largeobject'::regclass THEN 'a large object'
      ELSE pg_describe_object(classoid, objoid, objsubid) END, description)
    FROM pg_description WHERE objoid >= 16384
) AS everything (line)`;

const tablesSql = `
SELECT c.oid::regclass::text AS name FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
WHERE relkind IN ('r', 'm', 'p') AND nspname !~ '^pg_' AND nspname <> 'information_schema' ORDER BY 1`;

/** @param client the superuser's, in the database */
export async function readEffects(client: pg.Client): Promise<string[]> {
  const catalogue = await client.query<{ line: string }>(catalogueSql);
  const tables = await client.query<{ name: string }>(tablesSql);
  const checksums = tables.rows.map(
    ({ name }) =>
      `SELECT format('%s: %s rows, %s', ${client.escapeLiteral(name)}, count(*),
         md5(string_agg(t::text, chr(10) ORDER BY t::text COLLATE "C"))) AS line FROM ${name} AS t`,
  );
  const rows =
    checksums.length === 0
      ? []
      : (await client.query<{ line: string }>(checksums.join(" UNION ALL "))).rows;
  return [...catalogue.rows, ...rows].map(({ line }) => line).sort();
}
