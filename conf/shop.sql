-- Sample data for shop.conf: 200 products, 60 customers, 800 orders of two
-- years and what they are made of.  The same on every run; the tables must
-- exist and be empty.

\set ON_ERROR_STOP on
\set QUIET on
\o /dev/null

BEGIN;

-- what random() is to other data: from 0 to 1, but always the same

CREATE FUNCTION pg_temp.luck(text) RETURNS float8 LANGUAGE sql IMMUTABLE AS
$$ SELECT ('x' || left(md5($1), 8))::bit(32)::bigint / 4294967296.0::float8 $$;

INSERT INTO products (sku, name, price, stock, active, category,
                      created_at, updated_at)
SELECT upper(left(l.category, 3)) || '-'
           || lpad((row_number() OVER (ORDER BY l.n, v.n))::text, 4, '0'),
       l.name || ' ' || v.name,
       round((l.price * v.factor)::numeric) - 0.01,
       CASE WHEN pg_temp.luck('few' || l.n || v.n) < 0.12
            THEN floor(pg_temp.luck('stock' || l.n || v.n) * 10)
            ELSE 10 + floor(pg_temp.luck('stock' || l.n || v.n) * 240) END,
       pg_temp.luck('active' || l.n || v.n) < 0.93,
       l.category,
       '2024-09-16 08:00Z', '2024-09-16 08:00Z'
  FROM (VALUES
           ( 1, 'phones',   'Kestrel 5 Phone',         449),
           ( 2, 'phones',   'Kestrel 5 Pro Phone',     799),
           ( 3, 'phones',   'Lark Mini Phone',         299),
           ( 4, 'laptops',  'Heron 13 Laptop',         999),
           ( 5, 'laptops',  'Heron 15 Laptop',        1349),
           ( 6, 'laptops',  'Wren Chromebook',         329),
           ( 7, 'audio',    'Finch Wireless Earbuds',   79),
           ( 8, 'audio',    'Thrush Headphones',       189),
           ( 9, 'audio',    'Robin Radio',              59),
           (10, 'audio',    'Starling Speaker',        129),
           (11, 'cameras',  'Osprey Compact Camera',   549),
           (12, 'cameras',  'Osprey Action Camera',    279),
           (13, 'wearables','Swift Fitness Band',       69),
           (14, 'wearables','Swift Watch',             219),
           (15, 'home',     'Owl Night Light',          24),
           (16, 'home',     'Magpie Smart Plug',        19),
           (17, 'home',     'Stork Thermostat',        149),
           (18, 'kitchen',  'Dove Kettle',              39),
           (19, 'kitchen',  'Raven Espresso Machine',  389),
           (20, 'kitchen',  'Sparrow Toaster',          34),
           (21, 'office',   'Crane Desk Lamp',          54),
           (22, 'office',   'Ibis Keyboard',            89),
           (23, 'office',   'Ibis Mouse',               39),
           (24, 'office',   'Condor Monitor 27"',      319),
           (25, 'office',   'Egret Webcam',             74)
       ) AS l (n, category, name, price)
 CROSS JOIN (VALUES
           (1, 'black',           1.00),
           (2, 'white',           1.00),
           (3, 'forest green',    1.04),
           (4, 'midnight blue',   1.04),
           (5, 'sand',            1.06),
           (6, 'limited edition', 1.35),
           (7, 'refurbished',     0.70),
           (8, 'with gift box',   1.12)
       ) AS v (n, name, factor)
 ORDER BY l.n, v.n;

INSERT INTO customers (email, name, tier, created_at, updated_at)
SELECT lower(f.name || '.' || l.name) || '@example.com',
       f.name || ' ' || l.name,
       CASE WHEN p.luck < 0.15 THEN 'vip'
            WHEN p.luck < 0.4 THEN 'premium'
            ELSE 'standard' END,
       p.joined, p.joined
  FROM unnest(ARRAY['Ada', 'Bruno', 'Chen', 'Dalia', 'Emil', 'Farah',
                    'Grace', 'Hugo', 'Ines', 'Jonas'])
           WITH ORDINALITY AS f (name, n)
 CROSS JOIN unnest(ARRAY['Abara', 'Berg', 'Costa', 'Dubois', 'Evans',
                         'Fischer']) WITH ORDINALITY AS l (name, n)
 CROSS JOIN LATERAL (
       SELECT pg_temp.luck('tier' || f.name || l.name) AS luck,
              timestamptz '2024-09-16 08:00Z' + interval '1 minute'
              * floor(20000 * pg_temp.luck('joined' || f.name || l.name))
              AS joined) AS p
 ORDER BY p.joined, f.n, l.n;

-- from October 2024 to September 2026, ever more of them; some customers order
-- often and a few never do

INSERT INTO orders (customer_id, items, total, status, created_at, updated_at)
SELECT o.customer_id, i.items, i.total,
       CASE WHEN o.luck < 0.05 THEN 'cancelled'
            WHEN o.placed < '2026-08-15Z' THEN 'completed'
            WHEN o.luck < 0.35 THEN 'pending'
            WHEN o.luck < 0.6 THEN 'paid'
            WHEN o.luck < 0.8 THEN 'shipped'
            ELSE 'completed' END,
       o.placed, o.placed
  FROM (SELECT n, pg_temp.luck('status' || n) AS luck,
               1 + floor(pg_temp.luck('customer' || n) ^ 1.4 * 58)
                   AS customer_id,
               timestamptz '2024-10-01 00:00Z' + interval '1 minute'
               * floor(730 * 24 * 60
                       * ((n - pg_temp.luck('placed' || n)) / 800) ^ 0.8)
                   AS placed,
               1 + floor(pg_temp.luck('lines' || n) * 3)::int AS lines,
               floor(pg_temp.luck('first' || n) * 200)::int AS first
          FROM generate_series(1, 800) AS n) AS o
 CROSS JOIN LATERAL (
       SELECT jsonb_agg(jsonb_build_object('product_id', p.id,
                                           'quantity', p.quantity,
                                           'price', p.price)
                        ORDER BY p.id) AS items,
              sum(p.price * p.quantity) AS total
         FROM (SELECT id, price, 1 + (id * o.n) % 3 AS quantity
                 FROM products
                WHERE id IN (SELECT 1 + (o.first + k * 37) % 200
                               FROM generate_series(1, o.lines) AS k)
              ) AS p) AS i
 ORDER BY o.n;

INSERT INTO order_items (order_id, product_id, quantity, price,
                         created_at, updated_at)
SELECT o.id, i.product_id, i.quantity, i.price, o.created_at, o.created_at
  FROM orders AS o
 CROSS JOIN jsonb_to_recordset(o.items)
            AS i (product_id bigint, quantity integer, price numeric)
 ORDER BY o.id, i.product_id;

COMMIT;

ANALYZE products, customers, orders, order_items;
