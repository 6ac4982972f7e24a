-- Sample data for shop.conf: 200 products, 60 customers, 400 orders.
-- The same on every run; the tables must exist and be empty.

\set ON_ERROR_STOP on
\set QUIET on
\o /dev/null

BEGIN;

SELECT setseed(0.42);

INSERT INTO products (sku, name, price, stock, active, category)
SELECT upper(left(l.category, 3)) || '-'
           || lpad((row_number() OVER (ORDER BY l.n, v.n))::text, 4, '0'),
       l.name || ' ' || v.name,
       round((l.price * v.factor)::numeric) - 0.01,
       CASE WHEN random() < 0.12 THEN floor(random() * 10)
            ELSE 10 + floor(random() * 240) END,
       random() < 0.93,
       l.category
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

INSERT INTO customers (name, email, tier)
SELECT f.name || ' ' || l.name,
       lower(f.name || '.' || l.name) || '@example.com',
       CASE WHEN random() < 0.2 THEN 'vip' ELSE 'standard' END
  FROM unnest(ARRAY['Ada', 'Bruno', 'Chen', 'Dalia', 'Emil', 'Farah',
                    'Grace', 'Hugo', 'Ines', 'Jonas'])
           WITH ORDINALITY AS f (name, n)
 CROSS JOIN unnest(ARRAY['Abara', 'Berg', 'Costa', 'Dubois', 'Evans',
                         'Fischer']) WITH ORDINALITY AS l (name, n)
 ORDER BY (f.n * 7 + l.n * 11) % 17, f.n, l.n;

INSERT INTO orders (customer_id, items, total, status, created_at, updated_at)
SELECT o.customer_id, i.items, i.total,
       CASE WHEN o.age > interval '20 days' THEN 'completed'
            WHEN o.luck < 0.3 THEN 'pending'
            WHEN o.luck < 0.6 THEN 'paid'
            WHEN o.luck < 0.8 THEN 'shipped'
            ELSE 'completed' END,
       now() - o.age, now() - o.age
  FROM (SELECT n, random() AS luck, 1 + floor(random() ^ 2 * 60) AS customer_id,
               interval '1 minute' * floor((401 - n + random()) * 640) AS age,
               1 + floor(random() * 3)::int AS lines,
               floor(random() * 200)::int AS first
          FROM generate_series(1, 400) AS n) AS o
 CROSS JOIN LATERAL (
       SELECT jsonb_agg(jsonb_build_object('product_id', p.id,
                                           'quantity', p.quantity,
                                           'price', p.price)) AS items,
              sum(p.price * p.quantity) AS total
         FROM (SELECT id, price, 1 + (id * o.n) % 3 AS quantity
                 FROM products
                WHERE id IN (SELECT 1 + (o.first + k * 37) % 200
                               FROM generate_series(1, o.lines) AS k)
              ) AS p) AS i
 ORDER BY o.n;

COMMIT;

ANALYZE products, customers, orders;
