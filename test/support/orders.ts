// The sample database of the demo and of the end-to-end tests.

/** Run by a superuser in an empty database. The application owns the tables, as it would in real life. */
export const ordersSql = `
CREATE ROLE orders_app NOLOGIN;
CREATE SCHEMA app AUTHORIZATION orders_app;
SET ROLE orders_app;
CREATE TABLE app.customers (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  name text NOT NULL,
  city text NOT NULL
);
CREATE TABLE app.orders (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  customer_id bigint NOT NULL REFERENCES app.customers,
  item text NOT NULL,
  cents integer NOT NULL CHECK (cents > 0),
  status text NOT NULL DEFAULT 'open',
  placed_at timestamptz NOT NULL DEFAULT now()
);
INSERT INTO app.customers (name, city)
  SELECT (ARRAY['Ada','Grace','Edsger','Barbara','Alan','Frances','Donald','Radia'])[1 + n % 8] || ' ' || n,
         (ARRAY['Lisbon','Oslo','Kyoto','Quito'])[1 + n % 4]
  FROM generate_series(1, 40) AS n;
INSERT INTO app.orders (customer_id, item, cents, status, placed_at)
  SELECT 1 + n % 40,
         (ARRAY['keyboard','lamp','notebook','kettle','headphones'])[1 + n % 5],
         500 + (n * 7919) % 20000,
         (ARRAY['open','paid','shipped'])[1 + n % 3],
         now() - n * interval '7 hours'
  FROM generate_series(1, 500) AS n;
RESET ROLE;
`;
