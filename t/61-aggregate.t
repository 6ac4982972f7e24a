use strict;
use warnings;

use Math::BigFloat;
use Math::BigInt;
use Test::More;
use Time::HiRes qw(sleep time);

use DataflowTest;
use DataflowTest::Client;

# aggregates: what is answered is what SQL answers, whatever the spelling

srand(my $seed = $ENV{DATAFLOW_SEED} // time);
note "DATAFLOW_SEED=$seed";

my $rounds = $ENV{DATAFLOW_ROUNDS} // 300;

my $t = DataflowTest->new(models => <<'CONF')->start;
        location /api/products {
            dataflow_model products {
                field sku      text           required unique;
                field price    numeric(12,2);
                field stock    integer;
                field big      bigint;
                field tiny     smallint;
                field weight   double;
                field ratio    real;
                field active   boolean;
                field category text;
                field made     date;
                field seen     timestamptz;
                field span     interval;
                field attrs    json;
                field tags     text[];
                field secret   text           hidden;
                timestamps off;
            }
        }

        location /api/customers {
            dataflow_model customers {
                field name   text required;
                field tier   text;
                field credit numeric(12,2);
                field pin    text hidden;
                timestamps off;
            }
        }

        location /api/orders {
            dataflow_model orders {
                field customer_id bigint;
                field total       numeric(12,2) required;
                field status      text;
                field placed      timestamptz required;
                relation customer customers customer_id;
                timestamps off;
            }
        }

        location /api/words {
            dataflow_model words {
                field word text;
                field n    integer;
                key word;
                timestamps off;
            }
        }

        location /api/nothing {
            dataflow_model nothing {
                field n    numeric;
                field name text;
                timestamps off;
            }
        }

        location /api/slow {
            dataflow_model slow {
                field n     smallint;
                field awake boolean;
                timestamps off;
            }
        }

        location /api/few {
            dataflow_model few {
                table products;
                field category text;
                timestamps off;
            }
            dataflow_limit_rows max=3 default=2;
        }

        location /api/many {
            dataflow_model many {
                table products;
                field sku text;
                timestamps off;
            }
            dataflow_limit_rows max=100000;
        }

        location /api/listed {
            dataflow_model listed {
                table products;
                field category text;
                timestamps off;
            }
            dataflow_expose list get;
        }
CONF

my $dbh = $t->dbh;

$dbh->do("SET timezone = 'UTC'");

$dbh->do(<<"SQL");
INSERT INTO products (sku, price, stock, big, tiny, weight, ratio, active,
                      category, made, seen, span, attrs, tags, secret)
SELECT 'S' || i,
       CASE WHEN i % 7 > 0 THEN (i * 7919 % 100000) / 100.0 END,
       CASE WHEN i % 11 > 0 THEN i * 31 % 40 - 5 END,
       CASE WHEN i % 3 = 0 THEN 9223372036854775807 - i ELSE i END,
       i % 5,
       CASE i % 13 WHEN 0 THEN NULL WHEN 1 THEN '-0'::float8
                   WHEN 2 THEN 0 ELSE i / 8.0 END,
       CASE WHEN i % 17 > 0 THEN (i % 9) / 4.0 END,
       CASE i % 10 WHEN 0 THEN NULL ELSE i % 10 > 3 END,
       CASE i % 6 WHEN 0 THEN NULL WHEN 1 THEN '' WHEN 2 THEN 'b''"\\,x'
                  ELSE 'c' || i % 6 END,
       date '2024-02-26' + i % 9,
       timestamptz '2026-03-28 20:00+00' + i * interval '53 minutes',
       make_interval(hours => i % 50),
       CASE WHEN i % 4 > 0
            THEN jsonb_build_object('color', 'c' || i % 3, 'size', i % 5) END,
       CASE WHEN i % 3 > 0 THEN ARRAY['t' || i % 2] END,
       'secret ' || i
  FROM generate_series(1, 300) AS i
SQL

$dbh->do("INSERT INTO customers (name, tier, credit)
          SELECT 'name ' || i, (ARRAY['vip', 'standard', NULL])[i % 3 + 1],
                 i * 10.01
            FROM generate_series(1, 12) AS i");

$dbh->do("INSERT INTO orders (customer_id, total, status, placed)
          SELECT NULLIF(i % 13, 0), i * 7.77,
                 (ARRAY['paid', 'completed', 'pending'])[i % 3 + 1],
                 timestamptz '2026-10-24 12:00+00' + i * interval '37 minutes'
            FROM generate_series(1, 200) AS i");

$dbh->do("INSERT INTO words VALUES ('aggregate', 1), ('query', 2), ('x', 3)");


sub escaped {
    my ($text) = @_;
    utf8::encode($text) if utf8::is_utf8($text);
    $text =~ s/([^A-Za-z0-9\-._~])/sprintf '%%%02X', ord $1/ge;
    return $text;
}

# name => value, … in their order

sub url {
    my ($path, @args) = @_;
    my @pairs;

    while (my ($name, $value) = splice @args, 0, 2) {
        push @pairs, escaped($name) . '=' . escaped($value);
    }

    return "$path/aggregate?" . join '&', @pairs;
}

sub aggregate { return $t->get(url(@_)) }

# the rows of a SELECT as PostgreSQL makes JSON of them

sub rows {
    my ($sql) = @_;
    return join ',', @{ $dbh->selectcol_arrayref(
        "SELECT row_to_json(t)::text FROM ($sql) AS t") };
}

# the parameters give what the SELECT gives

sub same {
    my ($name, $path, $args, $sql) = @_;
    my $r = aggregate($path, @$args);

    is($r->body, '{"data":[' . rows($sql) . ']}', $name);
    return $r;
}

# what SQL says of a problem: status, code, where, words of the detail

sub refused {
    my ($r, $status, $code, $where, $words, $name) = @_;

    my $p = $r->json;
    my $e = $p->{errors}[0] // {};

    is($r->code, $status, "$name: status") or return diag($r->body);
    is($p->{code}, $code, "$name: code") or diag($r->body);
    is($e->{pointer} // $e->{parameter}, $where, "$name: place")
        or diag($r->body);
    like("$p->{detail} " . ($e->{detail} // ''), qr/$words/, "$name: detail");
}


subtest 'the shorthand' => sub {
    same('sum, avg and count by a field', '/api/products',
         [ group_by => 'category', sum => 'price', avg => 'stock',
           count => '*' ],
         'SELECT category, sum(price) AS sum_price, avg(stock) AS avg_stock,
                 count(*) AS count
            FROM products GROUP BY 1 ORDER BY 1');

    same('of several fields', '/api/products',
         [ group_by => 'active,tiny', min => 'price,made', max => 'seen,sku',
           count => '*,price', count_distinct => 'stock,category' ],
         'SELECT active, tiny, min(price) AS min_price, min(made) AS min_made,
                 max(seen) AS max_seen, max(sku) AS max_sku,
                 count(*) AS count, count(price) AS count_price,
                 count(DISTINCT stock) AS count_distinct_stock,
                 count(DISTINCT category) AS count_distinct_category
            FROM products GROUP BY 1, 2 ORDER BY 1, 2');

    same('literals are values too', '/api/products',
         [ group_by => "null as nothing, 'a' as a, 5 as five, true as yes",
           aggregate => "count(*), null as none, 1.50 as price, 'b' as b" ],
         "SELECT NULL AS nothing, 'a' AS a, 5 AS five, true AS yes,
                 count(*) AS count, NULL AS none, 1.50 AS price, 'b' AS b
            FROM products");

    same('without groups it is one row', '/api/products',
         [ sum => 'price', count => '*' ],
         'SELECT sum(price) AS sum_price, count(*) AS count FROM products');

    same('without values it is the groups', '/api/products',
         [ group_by => 'category,active' ],
         'SELECT DISTINCT category, active FROM products ORDER BY 1, 2');

    same('over relations', '/api/orders',
         [ group_by => 'customer.tier', sum => 'total,customer.credit',
           count_distinct => 'customer.name' ],
         'SELECT c.tier AS customer_tier, sum(o.total) AS sum_total,
                 sum(c.credit) AS sum_customer_credit,
                 count(DISTINCT c.name) AS count_distinct_customer_name
            FROM orders o LEFT JOIN customers c ON c.id = o.customer_id
           GROUP BY 1 ORDER BY 1');
};


subtest 'expressions' => sub {
    same('with names', '/api/products',
         [ group_by => 'category, stock % 3 as rest',
           aggregate => 'sum(price * stock) as revenue, count(*)' ],
         'SELECT category, stock % 3 AS rest, sum(price * stock) AS revenue,
                 count(*) AS count
            FROM products GROUP BY 1, 2 ORDER BY 1, 2');

    same('a value of values that stand before it', '/api/products',
         [ group_by => 'category',
           aggregate => 'sum(price) as total, count(price) as n,'
                        . ' total / n as mean' ],
         'SELECT category, sum(price) AS total, count(price) AS n,
                 sum(price) / count(price)::numeric AS mean
            FROM products GROUP BY 1 ORDER BY 1');

    same('a value of what rows are grouped by', '/api/products',
         [ group_by => 'tiny, tiny * 2 as twice',
           aggregate => 'tiny + 1 as next, twice * count(*) as product' ],
         'SELECT tiny, tiny * 2 AS twice, tiny + 1 AS next,
                 tiny * 2 * count(*) AS product
            FROM products GROUP BY 1, 2 ORDER BY 1, 2');

    same('case', '/api/products',
         [ group_by => "case when price < 500 then 'low' else 'high' end"
                       . ' as level',
           aggregate => 'sum(case when stock < 10 then 1 else 0 end) as few' ],
         "SELECT CASE WHEN price < 500 THEN 'low' ELSE 'high' END AS level,
                 sum(CASE WHEN stock < 10 THEN 1 ELSE 0 END) AS few
            FROM products GROUP BY 1 ORDER BY 1");

    same('a name of a field for something else', '/api/products',
         [ aggregate => 'sum(price) as price, avg(price) as mean' ],
         'SELECT sum(price) AS price, avg(price) AS mean FROM products');
};


subtest 'the body' => sub {
    my $same = sub {
        my ($name, $path, $body, $sql) = @_;
        is($t->post("$path/aggregate", $body)->body,
           '{"data":[' . rows($sql) . ']}', $name);
    };

    $same->('names and expressions', '/api/products',
            '{"group_by":["category"],"aggregate":{
                "total_value":{"$sum":{"$multiply":["price","stock"]}},
                "low_stock_count":{"$sum":{"$case":[
                    {"$lt":["stock",10]},1,0]}}}}',
            'SELECT category, sum(price * stock) AS total_value,
                    sum(CASE WHEN stock < 10 THEN 1 ELSE 0 END)
                        AS low_stock_count
               FROM products GROUP BY 1 ORDER BY 1');

    $same->('a filter and a truncated date', '/api/orders',
            '{"filter":{"status":"completed"},
              "group_by":[{"$date_trunc":["day","placed"]}],
              "aggregate":{"daily_revenue":{"$sum":"total"},
                           "order_count":{"$count":"*"}}}',
            "SELECT date_trunc('day', placed) AS date_trunc_placed,
                    sum(total) AS daily_revenue, count(*) AS order_count
               FROM orders WHERE status = 'completed'
              GROUP BY 1 ORDER BY 1");

    $same->('groups with names', '/api/orders',
            '{"group_by":{"tier":"customer.tier",
                          "day":"date_trunc(\'day\', placed)"},
              "aggregate":{"n":"count(*)"},
              "having":{"n":{"$gt":2}},"sort":["-n","day"]}',
            "SELECT c.tier, date_trunc('day', o.placed) AS day, count(*) AS n
               FROM orders o LEFT JOIN customers c ON c.id = o.customer_id
              GROUP BY 1, 2 HAVING count(*) > 2
              ORDER BY n DESC NULLS LAST, day, tier");

    $same->('strings in an array may have names', '/api/products',
            '{"group_by":["category","stock % 3 as rest"],
              "aggregate":["count(*)","sum(price) as s"]}',
            'SELECT category, stock % 3 AS rest, count(*) AS count,
                    sum(price) AS s
               FROM products GROUP BY 1, 2 ORDER BY 1, 2');

    $same->('lists as in a query string', '/api/products',
            '{"group_by":"category,active","sum":["price"],"count":"*",
              "having":"count > 5","where":"stock > 0"}',
            'SELECT category, active, sum(price) AS sum_price,
                    count(*) AS count
               FROM products WHERE stock > 0
              GROUP BY 1, 2 HAVING count(*) > 5 ORDER BY 1, 2');

    $same->('where as JSON', '/api/products',
            '{"group_by":"category","count":"*",
              "where":{"$gt":[{"$multiply":["stock",2]},"tiny"],
                       "price":{"$lt":300}}}',
            'SELECT category, count(*) AS count FROM products
              WHERE stock * 2 > tiny AND price < 300 GROUP BY 1 ORDER BY 1');

    $same->('no groups', '/api/products',
            '{"group_by":[],"aggregate":{"n":{"$count":"*"}}}',
            'SELECT count(*) AS n FROM products');

    $same->('having as an expression', '/api/products',
            '{"group_by":["category"],"aggregate":{"n":{"$count":"*"}},
              "having":{"$gt":[{"$sum":"stock"},{"$multiply":["n",10]}]}}',
            'SELECT category, count(*) AS n FROM products
              GROUP BY 1 HAVING sum(stock) > count(*) * 10 ORDER BY 1');

    $same->('names are in any case', '/api/products',
            '{"aggregate":{"totalStock":"sum(stock)","Total":"totalStock"}}',
            'SELECT sum(stock) AS "totalStock", sum(stock) AS "Total"
               FROM products');

    is($t->post('/api/products/aggregate?category=c3&limit=1',
                { group_by => ['active'] })->body,
       '{"data":[{"active":false}],"truncated":true}',
       'parameters of the query string go with it');
};


subtest 'every spelling of a filter' => sub {
    my $sql = "SELECT tiny, count(*) AS count FROM products
                WHERE price > 300 AND category = 'c3' GROUP BY 1 ORDER BY 1";
    my @group = (group_by => 'tiny', count => '*');

    same('suffix', '/api/products',
         [ @group, price__gt => 300, category => 'c3' ], $sql);
    same('filter', '/api/products',
         [ @group, filter => '{"price":{"$gt":300},"category":"c3"}' ], $sql);
    same('where', '/api/products',
         [ @group, where => "price > 300 and category = 'c3'" ], $sql);
    same('all of them', '/api/products',
         [ @group, price__gt => 300, filter => '{"category":"c3"}',
           where => 'tiny >= 0' ], $sql);

    same('over a relation', '/api/orders',
         [ sum => 'total', 'customer.tier' => 'vip' ],
         "SELECT sum(total) AS sum_total
            FROM orders o JOIN customers c ON c.id = o.customer_id
           WHERE tier = 'vip'");
};


subtest 'having, sort, limit' => sub {
    same('having names what is answered', '/api/products',
         [ group_by => 'category', sum => 'price', count => '*',
           having => 'count > 45 and sum_price > 1000' ],
         'SELECT category, sum(price) AS sum_price, count(*) AS count
            FROM products GROUP BY 1
          HAVING count(*) > 45 AND sum(price) > 1000 ORDER BY 1');

    same('and what is not', '/api/products',
         [ group_by => 'category', having => 'max(stock) < 34' ],
         'SELECT category FROM products GROUP BY 1
          HAVING max(stock) < 34 ORDER BY 1');

    same('without groups', '/api/products',
         [ count => '*', having => 'count < 0' ],
         'SELECT count(*) AS count FROM products HAVING count(*) < 0');

    same('of a group', '/api/products',
         [ group_by => 'tiny * 2 as twice', having => 'twice > 3' ],
         'SELECT tiny * 2 AS twice FROM products GROUP BY 1
          HAVING tiny * 2 > 3 ORDER BY 1');

    same('sorted by values', '/api/products',
         [ group_by => 'tiny', max => 'stock', sum => 'weight',
           sort => '-sum_weight,max_stock' ],
         'SELECT tiny, max(stock) AS max_stock, sum(weight) AS sum_weight
            FROM products GROUP BY 1
           ORDER BY sum(weight) DESC NULLS LAST, 2, 1');

    for (
        [ 'category', 'category', 'category NULLS LAST' ],
        [ '-category', 'category', 'category DESC NULLS LAST' ],
        [ 'category:nullsfirst', 'category', 'category NULLS FIRST' ],
        [ '-category:nullsfirst', 'category', 'category DESC NULLS FIRST' ],
        [ '-weight', 'weight', 'weight DESC NULLS LAST' ],
        [ 'weight:nullsfirst', 'weight', 'weight NULLS FIRST' ],
    ) {
        my ($sort, $group, $order) = @$_;

        same("sort=$sort", '/api/products',
             [ group_by => $group, sort => $sort ],
             "SELECT $group FROM products GROUP BY 1 ORDER BY $order");
    }

    my @by = (group_by => 'stock', sort => '-stock');

    is(aggregate('/api/products', @by, limit => 2)->body,
       '{"data":[{"stock":34},{"stock":33}],"truncated":true}',
       'what is cut off is told');
    is(aggregate('/api/products', @by, limit => 2, stock__lt => -3)->body,
       '{"data":[{"stock":-4},{"stock":-5}]}', 'nothing is cut off');
    is(aggregate('/api/products', @by, limit => 0)->body,
       '{"data":[],"truncated":true}', 'limit=0');

    is(scalar @{ aggregate('/api/few', group_by => 'category')
                 ->json->{data} }, 3, 'the maximum is the default');
    refused(aggregate('/api/few', group_by => 'category', limit => 4),
            400, 'limit_exceeded', 'limit', 'maximum is 3', 'more');
};


subtest 'nulls and nothing' => sub {
    same('null is a group', '/api/products',
         [ group_by => 'category', category__isnull => 'true', count => '*' ],
         'SELECT category, count(*) AS count FROM products
           WHERE category IS NULL GROUP BY 1');

    same('nothing is no group', '/api/nothing',
         [ group_by => 'name', sum => 'n' ],
         'SELECT name, sum(n) AS sum_n FROM nothing GROUP BY 1');

    is(aggregate('/api/nothing', count => '*,n', sum => 'n', avg => 'n',
                 min => 'name')->body,
       '{"data":[{"count":0,"count_n":0,"sum_n":null,"avg_n":null,'
       . '"min_name":null}]}', 'without groups there is one row');
};


subtest 'no number is rounded' => sub {
    my %sum;

    for (@{ $dbh->selectall_arrayref(
             'SELECT tiny, big::text, price::text FROM products') })
    {
        my ($tiny, $big, $price) = @$_;
        my $s = $sum{$tiny} //= { big => Math::BigInt->new(0),
                                  price => Math::BigFloat->new(0), n => 0 };

        $s->{big}->badd($big);
        $s->{price}->badd($price) if defined $price;
        $s->{n}++ if defined $price;
    }

    my $data = aggregate('/api/products', group_by => 'tiny',
                         sum => 'big,price', count => 'price',
                         avg => 'price')->json->{data};

    for (@$data) {
        my $s = $sum{"$_->{tiny}"};

        is("$_->{sum_big}", $s->{big}->bstr, "sum of bigint, $_->{tiny}");
        is("$_->{sum_price}", $s->{price}->copy->bfround(-2)->bstr,
           'of numeric');
        is("$_->{count_price}", $s->{n}, 'count');

        my $mean = $s->{price}->copy->bdiv($s->{n}, 60);
        my ($digits) = "$_->{avg_price}" =~ /\.(\d+)$/;

        is("$_->{avg_price}", $mean->bfround(-length $digits)->bstr,
           'avg');
        cmp_ok(length $digits, '>=', 12, 'of many digits');
    }

    is(scalar @$data, 5, 'all groups');
};


subtest 'doubles are values, not texts' => sub {
    my $r = aggregate('/api/products', group_by => 'weight', weight => 0,
                      count => '*');
    like($r->body, qr/^\{"data":\[\{"weight":-?0,"count":47\}\]\}$/,
         '-0 and 0 are one group');

    same('in their order', '/api/products',
         [ group_by => 'weight', aggregate => 'sum(ratio) as r',
           weight__ne => 0 ],
         'SELECT weight, sum(ratio) AS r FROM products
           WHERE weight IS DISTINCT FROM 0 GROUP BY 1 ORDER BY weight');
};


subtest 'time zones' => sub {
    for my $zone (undef, 'UTC', 'Europe/Berlin', 'America/New_York',
                  'Asia/Kolkata', 'Etc/GMT+3')
    {
        my $name = $zone // 'UTC';
        my @zone = defined $zone ? (timezone => $zone) : ();

        same("days of $name", '/api/orders',
             [ group_by => "date_trunc('day', placed) as day", @zone,
               sum => 'total' ],
             "SELECT date_trunc('day', placed, '$name') AS day,
                     sum(total) AS sum_total
                FROM orders GROUP BY 1 ORDER BY 1");

        same("hours of $name", '/api/products',
             [ group_by => 'extract(hour from seen) as hour', count => '*',
               @zone ],
             "SELECT extract(hour FROM seen AT TIME ZONE '$name')::int
                         AS hour, count(*) AS count
                FROM products GROUP BY 1 ORDER BY 1");
    }

    # on 25 October 2026 Berlin's day has 25 hours, on 29 March 23

    my $r = $t->post('/api/orders/aggregate',
                     { group_by => { day => q{date_trunc('day', placed)} },
                       timezone => 'Europe/Berlin',
                       aggregate => { n => 'count(*)' }, limit => 3 });
    is_deeply([ map { $_->{day} } @{ $r->json->{data} } ],
              [ '2026-10-23T22:00:00+00:00', '2026-10-24T22:00:00+00:00',
                '2026-10-25T23:00:00+00:00' ], 'a day of 25 hours');

    same('filters know instants, not days', '/api/orders',
         [ count => '*', timezone => 'Europe/Berlin',
           placed__gte => '2026-10-25T00:00:00Z' ],
         "SELECT count(*) AS count FROM orders
           WHERE placed >= '2026-10-25 00:00+00'");

    for my $zone ('+02:00', 'UTC+2', 'Europe/Berlin; x', "'", '', '5',
                  'a' x 65, 'Europe/Berlin+1')
    {
        refused(aggregate('/api/orders', timezone => $zone, count => '*',
                          group_by => "date_trunc('day', placed)"),
                400, 'invalid_value', 'timezone', 'time zone',
                "timezone=$zone");
    }

    my @day = (group_by => "date_trunc('day', placed)");

    refused(aggregate('/api/orders', timezone => 'Europe/Berln', @day),
            400, 'invalid_value', 'timezone', 'knows no time zone',
            'a zone that the database does not know');

    refused($t->post('/api/orders/aggregate',
                     { aggregates => { a => { group_by => $day[1],
                                              timezone => 'Europe/Berln' }}}),
            400, 'invalid_value', '/aggregates/a/timezone',
            'a: .*knows no time zone', 'of several');
};


# random ones, against SQL

my @groups = (
    [ 'category' ], [ 'active' ], [ 'tiny' ], [ 'made' ], [ 'weight' ],
    [ 'stock % 3', 'stock % 3', 'm' ],
    [ "date_trunc('hour', seen)", "date_trunc('hour', seen)", 'hour' ],
    [ "date_trunc('month', seen)", "date_trunc('month', seen)",
      'date_trunc_seen', 'default' ],
    [ 'coalesce(category, sku)', 'coalesce(category, sku)', 'label' ],
    [ 'price > 500', 'price > 500', 'dear' ],
    [ 'lower(sku)', 'lower(sku)', 'low' ],
);

my @values = (
    [ 'count(*)', 'count(*)', 'count', 'default' ],
    [ 'count(price)', 'count(price)', 'count_price', 'default' ],
    [ 'sum(price)', 'sum(price)', 'sum_price', 'default' ],
    [ 'sum(big)', 'sum(big)', 'sum_big', 'default' ],
    [ 'sum(tiny)', 'sum(tiny)', 'sum_tiny', 'default' ],
    [ 'avg(stock)', 'avg(stock)', 'avg_stock', 'default' ],
    [ 'avg(price)', 'avg(price)', 'avg_price', 'default' ],
    [ 'min(sku)', 'min(sku)', 'min_sku', 'default' ],
    [ 'max(made)', 'max(made)', 'max_made', 'default' ],
    [ 'max(weight)', 'max(weight)', 'max_weight', 'default' ],
    [ 'min(seen)', 'min(seen)', 'first' ],
    [ 'sum(price * stock)', 'sum(price * stock)', 'worth' ],
    [ 'sum(price) / count(*)', 'sum(price) / count(*)', 'share' ],
    [ 'max(stock) - min(stock)', 'max(stock) - min(stock)', 'spread' ],
    [ 'count(distinct category)', 'count(DISTINCT category)', 'kinds' ],
    [ 'sum(case when active then 1 else 0 end)',
      'sum(CASE WHEN active THEN 1 ELSE 0 END)', 'on_sale' ],
    [ 'round(avg(price), 2)', 'round(avg(price), 2)', 'mean' ],
);

my @filters = (
    [ 'price__gt', '300', 'price > 300' ],
    [ 'where', 'stock * 2 > tiny', 'stock * 2 > tiny' ],
    [ 'category__ne', 'c3', "category IS DISTINCT FROM 'c3'" ],
    [ 'filter', '{"$or":[{"active":true},{"tiny":{"$in":[1,2]}}]}',
      '(active OR tiny IN (1, 2))' ],
    [ 'attrs.color', 'c1', "attrs #>> '{color}' = 'c1'" ],
    [ 'tags__has', 't1', "tags @> ARRAY['t1']" ],
);

sub some {
    my ($list, $n) = @_;
    my %seen;
    return grep { !$seen{$_->[2] // $_->[0]}++ }
           map { $list->[rand @$list] } 1 .. $n;
}

subtest 'random aggregates' => sub {
    my ($wrong, $found, %how) = (0, 0);

    for my $round (1 .. $rounds) {
        my @g = some(\@groups, rand 3);
        my @v = some(\@values, @g ? rand 4 : 1 + rand 3);
        @v = some(\@values, 1) unless @g || @v;
        my @f = some(\@filters, rand 2.5);
        my @having = rand() < 0.3 ? ([ 'count(*) > 12' ]) : ();
        push @having, [ 'sum(stock) > 40' ] if rand() < 0.2;

        my @sort = grep { rand() < 0.5 } @g, @v;
        my @order = map { [ $_, rand() < 0.5, rand() < 0.2 ] } @sort;
        my %ordered = map { $_ => 1 } @sort;

        my $name = sub { $_[0][2] // $_[0][0] };
        my $expr = sub { $_[0][1] // $_[0][0] };
        my $infix = sub {
            my ($e) = @_;
            return $e->[2] && !$e->[3] ? "$e->[0] as $e->[2]" : $e->[0];
        };

        my $sql = 'SELECT '
            . join(', ', map { $expr->($_) . ' AS ' . $name->($_) } @g, @v)
            . ' FROM products'
            . (@f ? ' WHERE ' . join(' AND ', map { $_->[2] } @f) : '')
            . (@g ? ' GROUP BY ' . join(', ', map { $expr->($_) } @g) : '')
            . (@having ? ' HAVING ' . join(' AND ', map { $_->[0] } @having)
                       : '')
            . (@g ? ' ORDER BY ' . join(', ',
                  (map { $expr->($_->[0]) . ($_->[1] ? ' DESC' : '')
                         . ($_->[2] ? ' NULLS FIRST' : ' NULLS LAST') }
                       @order),
                  (map { $ordered{$_} ? () : $expr->($_) } @g)) : '');

        my $sort = join ',', map { ($_->[1] ? '-' : '') . $name->($_->[0])
                                   . ($_->[2] ? ':nullsfirst' : '') } @order;
        my $having = join ' and ', map { $_->[0] } @having;
        my ($r, $how);

        if ($round % 2) {
            my @args = ((map { [ group_by => $infix->($_) ] } @g),
                        (map { [ aggregate => $infix->($_) ] } @v));
            my %list;
            push @{ $list{$_->[0]} }, $_->[1] for @args;

            $how = url('/api/products',
                       (map { $_ => join ', ', @{ $list{$_} } } keys %list),
                       (map { @$_[0, 1] } @f),
                       (@having ? (having => $having) : ()),
                       ($sort ne '' ? (sort => $sort) : ()));
            $r = $t->get($how);

        } else {
            my $args = join '&', map { escaped($_->[0]) . '='
                                       . escaped($_->[1]) } @f;

            $how = DataflowTest::JSON::encode({
                group_by => [ map { $infix->($_) } @g ],
                aggregate => [ map { $infix->($_) } @v ],
                (@having ? (having => $having) : ()),
                ($sort ne '' ? (sort => [ split /,/, $sort ]) : ()),
            });
            $r = $t->post("/api/products/aggregate?$args", $how);
        }

        my $want = eval { rows($sql) } // "SQL: $@";

        $found++ if length $want;
        next if $r->body eq "{\"data\":[$want]}";

        fail("round $round") if $wrong++ < 5;
        diag("$how\n$sql\nSQL:  $want\nHTTP: " . $r->body) if $wrong < 6;
    }

    is($wrong, 0, "$rounds aggregates");
    cmp_ok($found, '>', $rounds / 2, 'most of them find something');
};


subtest 'formats' => sub {
    my @args = (group_by => 'category', count => '*', avg => 'ratio');

    my $r = $t->get(url('/api/products', @args), Accept => 'text/csv');
    my $want = join '', map { join(',', map { $_ // '' } @$_) . "\r\n" }
        [ qw(category count avg_ratio) ],
        @{ $dbh->selectall_arrayref(
            q{SELECT CASE WHEN category IN ('b''"\\,x', '') THEN
                              '"' || replace(category, '"', '""') || '"'
                          ELSE category END, count(*), avg(ratio)::text
                FROM products GROUP BY category ORDER BY category}) };

    is($r->type, 'text/csv', 'CSV');
    is($r->header('Vary'), 'Accept', 'Vary');
    is($r->body, $want, 'with a header line');
    is($r->header('X-Dataflow-Truncated'), undef, 'whole');

    $r = $t->get(url('/api/products', @args, limit => 1),
                 Accept => 'application/x-ndjson');
    is($r->type, 'application/x-ndjson', 'NDJSON');
    like($r->body, qr/\A\{"category":"","count":50,"avg_ratio":[\d.]+\}\n\z/,
         'a line for each');
    is($r->header('X-Dataflow-Truncated'), 'true', 'cut off');

    my @all = split /\r\n/, $t->get(
        url('/api/many', group_by => 'sku', limit => 'all'),
        Accept => 'text/csv')->body;
    is(shift @all, 'sku', 'limit=all');
    is("@{[ sort @all ]}", "@{[ sort map { qq(S$_) } 1 .. 300 ]}", 'is all');

    refused(aggregate('/api/many', group_by => 'sku', limit => 'all'),
            400, 'invalid_value', 'limit', 'text/csv', 'all of JSON');

    $r = aggregate('/api/many', group_by => 'sku', limit => 2000);
    is(scalar @{ $r->json->{data} }, 300, 'more than 1000 are streamed');
    unlike($r->body, qr/truncated/, 'whole');

    $dbh->do("INSERT INTO products (sku) SELECT 'T' || i
                FROM generate_series(1, 2000) i");
    $r = aggregate('/api/many', group_by => 'sku', limit => 2000);
    is(scalar @{ $r->json->{data} }, 2000, 'no more than asked for');
    like($r->body, qr/\],"truncated":true\}$/, 'cut off');
    $dbh->do("DELETE FROM products WHERE sku LIKE 'T%'");

    my $head = $t->head(url('/api/products', @args));
    is($head->code, 200, 'HEAD');
    is($head->body, '', 'has no body');
    is($head->header('Content-Length'),
       length aggregate('/api/products', @args)->body, 'but its length');

    refused($t->get(url('/api/products', @args), Accept => 'text/html'),
            406, 'not_acceptable', undef, 'text/csv', 'others');
    refused($t->post('/api/products/aggregate',
                     { aggregates => { a => { count => '*' } } },
                     Accept => 'text/csv'),
            406, 'not_acceptable', undef, 'application/json',
            'several have no table');
};


subtest 'methods and places' => sub {
    is($t->options('/api/products/aggregate')->header('Allow'),
       'GET, HEAD, POST, OPTIONS', 'OPTIONS');

    my $r = $t->delete('/api/products/aggregate');
    is($r->code, 405, 'no other method');
    is($r->header('Allow'), 'GET, HEAD, POST, OPTIONS', 'Allow');

    is($t->get('/api/listed/aggregate?count=*')->code, 404,
       'what is not exposed is not there');
    is($t->post('/api/products/aggregate')->code, 400, 'a body is needed');

    # a text can be the name of a resource

    is(aggregate('/api/words', sum => 'n')->body, '{"data":[{"sum_n":6}]}',
       'aggregate comes before a record of this name');
    is($t->options('/api/words/aggregate')->header('Allow'),
       'GET, HEAD, POST, PATCH, PUT, DELETE, OPTIONS',
       'which can be changed all the same');
    is($t->patch('/api/words/aggregate', { n => 5 })->code, 200, 'PATCH');
};


subtest 'refusals' => sub {
    my @refused = (
        [ [], 'bad_request', 'aggregate', 'nothing is asked for' ],
        [ [ limit => 5 ], 'bad_request', 'aggregate', 'group_by' ],
        [ [ group_by => 'categry' ], 'unknown_field', 'group_by',
          '"category"' ],
        [ [ sum => 'prise' ], 'unknown_field', 'sum', '"price"' ],
        [ [ sum => '' ], 'unknown_field', 'sum', '' ],
        [ [ sum => 'price,' ], 'unknown_field', 'sum', '' ],
        [ [ sum => 'category' ], 'invalid_value', 'sum', 'number' ],
        [ [ sum => 'price*2' ], 'unknown_field', 'sum', '' ],
        [ [ sum => '*' ], 'unknown_field', 'sum', '' ],
        [ [ sum => 'price', sum => 'stock' ], 'bad_request', 'sum', 'twice' ],
        [ [ sum => 'price,price' ], 'invalid_value', 'sum', 'another name' ],
        [ [ group_by => 'category,tiny as category' ], 'invalid_value',
          'group_by', 'two values would be called "category"' ],
        [ [ group_by => 'category', aggregate => 'count(*) as category' ],
          'invalid_value', 'aggregate', 'another name' ],
        [ [ group_by => 'sum(price)' ], 'invalid_value', 'group_by', '' ],
        [ [ aggregate => 'price' ], 'invalid_value', 'aggregate', '' ],
        [ [ aggregate => '5 as five' ], 'invalid_value', 'aggregate',
          'no aggregate' ],
        [ [ group_by => 'category', aggregate => 'price' ], 'invalid_value',
          'aggregate', '' ],
        [ [ aggregate => 'sum(avg(price))' ], 'invalid_value', 'aggregate',
          '' ],
        [ [ aggregate => 'sum(price' ], 'invalid_value', 'aggregate',
          'character' ],
        [ [ aggregate => 'pg_sleep(1)' ], 'unknown_operator', 'aggregate',
          'no function "pg_sleep"' ],
        [ [ count => '*', having => 'count' ], 'invalid_value', 'having',
          'condition' ],
        [ [ count => '*', having => 'price > 1' ], 'invalid_value', 'having',
          '' ],
        [ [ count => '*', having => 'cont > 1' ], 'unknown_field', 'having',
          'did you mean "count"' ],
        [ [ aggregate => 'sum(price) as total, totl * 2 as twice' ],
          'unknown_field', 'aggregate', 'did you mean "total"' ],
        [ [ count => '*', sort => 'cont' ], 'unknown_field', 'sort',
          '"count"' ],
        [ [ group_by => 'category', sort => 'price' ], 'unknown_field',
          'sort', 'not among' ],
        [ [ group_by => 'attrs', sort => 'attrs' ], 'invalid_value', 'sort',
          'no order' ],
        [ [ group_by => 'category', sort => 'category,-category' ],
          'invalid_value', 'sort', 'twice' ],
        [ [ group_by => 'category', offset => 1 ], 'unknown_parameter',
          'offset', 'aggregate of products' ],
        [ [ group_by => 'category', groupby => 'x' ], 'unknown_parameter',
          'groupby', '"group_by"' ],
        [ [ count => '*', prise => 5 ], 'unknown_parameter', 'prise',
          '"price"' ],
        [ [ count => '*', price__gt => 'x' ], 'invalid_value', 'price__gt',
          'decimal' ],
        [ [ aggregate => join(',', map { "max(tiny) as m$_" } 1 .. 51) ],
          'limit_exceeded', 'aggregate', '50' ],
        [ [ aggregate => 'max(stock) as a0, '
                         . join(', ', map { "a$_ + a$_ as a@{[ $_ + 1 ]}" }
                                      0 .. 40) ],
          'limit_exceeded', 'aggregate', 'more than 5000' ],
        [ [ group_by => 'tags, secret' ], 'unknown_field', 'group_by',
          'secret' ],
        [ [ max => 'secret' ], 'unknown_field', 'max', 'secret' ],
        [ [ count => '*', having => "max(secret) > 'a'" ], 'unknown_field',
          'having', 'secret' ],
        [ [ group_by => 'attrs.odd-key' ], 'unknown_field', 'group_by',
          'character 11' ],
    );

    for (@refused) {
        my ($args, @want) = @$_;
        refused(aggregate('/api/products', @$args), 400, @want, "@$args");
    }

    refused(aggregate('/api/orders', group_by => 'customer.pin'), 400,
            'unknown_field', 'group_by', 'pin', 'hidden behind a relation');
    refused(aggregate('/api/orders', sum => 'customer'), 400,
            'unknown_field', 'sum', 'relation', 'a relation is no field');

    my @body = (
        [ '{}', 'bad_request', '/aggregate', 'nothing is asked for' ],
        [ '[]', 'invalid_value', '', 'object' ],
        [ '[{"aggregates":{}}]', 'invalid_value', '', 'object' ],
        [ '5', 'invalid_value', '', 'object' ],
        [ '{"groupby":[]}', 'unknown_parameter', '/groupby', '"group_by"' ],
        [ '{"price":5,"count":"*"}', 'unknown_parameter', '/price',
          'filter' ],
        [ '{"group_by":5}', 'invalid_value', '/group_by', 'expressions' ],
        [ '{"group_by":["categry"]}', 'unknown_field', '/group_by/0',
          '"category"' ],
        [ '{"group_by":{"a b":"category"}}', 'invalid_value',
          '/group_by/a b', 'letters' ],
        [ '{"group_by":{"":"category"}}', 'invalid_value', '/group_by/',
          'name' ],
        [ '{"aggregate":{"n":{"$cuont":"*"}}}', 'unknown_operator',
          '/aggregate/n/$cuont', '"\$count"' ],
        [ '{"aggregate":{"n":{"$sum":"sku"}}}', 'invalid_value',
          '/aggregate/n/$sum', 'number' ],
        [ '{"aggregate":{"n":"count(*)"},"having":{"m":{"$gt":1}}}',
          'unknown_field', '/having/m/$gt', '"m"' ],
        [ '{"aggregate":{"n":"count(*)"},"having":5}', 'invalid_value',
          '/having', 'condition' ],
        [ '{"aggregate":{"n":"count(*)"},"sort":["m"]}', 'unknown_field',
          '/sort/0', 'not among' ],
        [ '{"count":"*","limit":5000}', 'limit_exceeded', '/limit', '1000' ],
        [ '{"count":"*","timezone":5}', 'invalid_value', '/timezone',
          'string' ],
    );

    for (@body) {
        my ($body, $code, @want) = @$_;
        my $r = $t->post('/api/products/aggregate', $body);
        refused($r, 400, $code, @want, $body);
    }
};


subtest 'several' => sub {
    my $r = $t->post('/api/products/aggregate', {
        aggregates => {
            inventory => {
                group_by => ['category'],
                aggregate => {
                    total_value => { '$sum' => { '$multiply' =>
                                                     ['price', 'stock'] } },
                    low => { '$sum' => { '$case' =>
                                [ { '$lt' => ['stock', 10] }, 1, 0 ] } },
                },
            },
            'one row' => { count => '*', filter => { tiny => 1 } },
            cut => { group_by => 'stock', limit => 1 },
        },
    });

    is($r->code, 200, 'status') or diag($r->body);
    is($r->body, '{"cut":{"data":[{"stock":-5}],"truncated":true},'
       . '"inventory":{"data":[' . rows(
            'SELECT category, sum(CASE WHEN stock < 10 THEN 1 ELSE 0 END)
                        AS low, sum(price * stock) AS total_value
               FROM products GROUP BY 1 ORDER BY 1')
       . ']},"one row":{"data":[{"count":60}]}}', 'each by its name');
    is($r->header('Content-Length'), length $r->body, 'length');

    my $name = "\x{e9}\"\\\n";
    $r = $t->post('/api/products/aggregate',
                  { aggregates => { $name => { count => '*' } } });
    is($r->json->{$name}{data}[0]{count}, 300, 'any name');

    my @refused = (
        [ '{"aggregates":{}}', 'invalid_value', '/aggregates', 'object' ],
        [ '{"aggregates":[]}', 'invalid_value', '/aggregates', 'object' ],
        [ '{"aggregates":{"a":5}}', 'invalid_value', '/aggregates/a',
          'object' ],
        [ '{"aggregates":{"a":{}}}', 'bad_request',
          '/aggregates/a/aggregate', 'nothing is asked for' ],
        [ '{"aggregates":{"a":{"count":"*"}},"aggregate":{}}',
          'unknown_parameter', '/aggregate', 'beside' ],
        [ '{"filter":{},"aggregates":{"a":{"count":"*"}}}',
          'unknown_parameter', '/filter', 'belongs into each' ],
        [ '{"aggregates":{"a":{"count":"*"},"b/c":{"sum":"prise"}}}',
          'unknown_field', '/aggregates/b~1c/sum', '"price"' ],
        [ '{"aggregates":{"a":{"count":"*","limit":1001}}}',
          'limit_exceeded', '/aggregates/a/limit', '1000' ],
        [ '{"aggregates":{"a":{"aggregates":{"b":{"count":"*"}}}}}',
          'unknown_parameter', '/aggregates/a/aggregates', '"aggregate"' ],
        [ '{"aggregates":{'
          . join(',', map { qq("a$_":{"count":"*"}) } 1 .. 21) . '}}',
          'limit_exceeded', '/aggregates', '20' ],
    );

    for (@refused) {
        my ($body, @want) = @$_;
        refused($t->post('/api/products/aggregate', $body), 400, @want,
                $body);
    }

    refused($t->post('/api/products/aggregate?tiny=1',
                     { aggregates => { a => { count => '*' } } }),
            400, 'bad_request', undef, 'query string',
            'parameters of all together');
};


subtest 'what PostgreSQL cannot calculate' => sub {
    my @failed = (
        [ [ aggregate => 'sum(price / (stock - stock)) as x' ], '22012',
          'division by zero' ],
        [ [ group_by => '1 / tiny as x' ], '22012', 'division by zero' ],
        [ [ aggregate => 'max(big + big) as x' ], '22003', 'out of range' ],
        [ [ aggregate => 'max(ln(tiny - 1)) as x' ], '2201E', '' ],
        [ [ group_by => 'integer(category) as n' ], '22P02', '' ],
        [ [ count => '*', where => 'price / (stock - stock) > 1' ], '22012',
          'division by zero' ],
        [ [ count => '*', having => '1 / (count - count) > 0' ], '22012',
          'division by zero' ],
    );

    for (@failed) {
        my ($args, $state, $words) = @$_;
        my $r = aggregate('/api/products', @$args);

        is($r->json->{sqlstate}, $state, "@$args") or diag($r->body);
        refused($r, 422, 'validation_failed', undef, $words, $state);
    }

    refused($t->get('/api/products?where=' . escaped($_->[0])), 422,
            'validation_failed', undef, $_->[1], "a list where $_->[0]")
        for [ '1 / (tiny - tiny) > 0', 'division by zero' ],
            [ 'integer(sku) > 5', 'does not suit' ],
            [ 'big + big > 5', 'out of range' ];

    refused($t->post('/api/products/aggregate', {
                aggregates => { good => { count => '*' },
                                bad => { aggregate => {
                                    x => 'sum(1 / (tiny - tiny))' } } } }),
            422, 'validation_failed', '/aggregates/bad',
            '^bad: division by zero', 'one of several');

    is(aggregate('/api/products', count => '*')->code, 200,
       'the next one is answered');
};


# every place of a name, with what would end it in SQL or begin something else

subtest 'nothing of a client is SQL' => sub {
    my @evil = (
        q{x"; DROP TABLE products; --}, q{category" FROM products; --},
        q{'); DROP TABLE products; --}, q{1; SELECT 1}, q{category)--},
        q{"category"}, q{t0.category}, q{products.category}, q{$1}, q{$$},
        q{category::text}, q{category COLLATE "C"}, qq{category\nOR 1=1},
        q{pg_sleep(10)}, q{current_user}, q{(SELECT 1)}, q{*}, q{xmin}, q{1},
        q{count(*) FROM pg_class}, q{\\}, q{/* */category}, q{U&"\0061"},
        q{E'\\'}, qq{\x{201d}},
    );

    my %status;

    for my $evil (@evil) {
        for my $parameter (qw(group_by sum avg min max count count_distinct
                              aggregate having sort timezone where))
        {
            my $r = aggregate('/api/products', $parameter => $evil,
                              $parameter eq 'count' ? () : (count => '*'));
            $status{$r->code}++;
            next if $r->code == 200 || $r->code == 400;
            fail("$parameter=$evil");
            diag($r->body);
        }

        for my $body (
            { group_by => [$evil] }, { group_by => { $evil => 'category' } },
            { aggregate => { $evil => 'count(*)' } },
            { aggregate => { n => $evil } },
            { aggregate => { n => { "\$$evil" => 'price' } } },
            { aggregate => { n => { '$sum' => $evil } } },
            { group_by => [ { '$date_trunc' => [$evil, 'seen'] } ] },
            { count => '*', having => { $evil => { '$gt' => 1 } } },
            { count => '*', having => { count => { "\$$evil" => 1 } } },
            { count => '*', sort => [$evil] },
            { count => '*', timezone => $evil },
            { count => '*', $evil => 1 },
            { count => '*', filter => { $evil => 1 } },
            { aggregates => { $evil => { count => '*' } } })
        {
            my $r = $t->post('/api/products/aggregate', $body);
            $status{$r->code}++;
            next if $r->code == 200 || $r->code == 400;
            fail(DataflowTest::JSON::encode($body));
            diag($r->body);
        }
    }

    note join ', ', map { "$_: $status{$_}" } sort keys %status;
    is_deeply([ sort keys %status ], [ 200, 400 ],
              'is answered or refused before SQL');
    is($dbh->selectrow_array('SELECT count(*) FROM products'), 300,
       'the table is there');
};


# what PostgreSQL is sent

sub logged {
    my ($what) = @_;

    $dbh->do("ALTER DATABASE " . $t->database . " SET log_statement = 'all'");
    $t->reload;
    my $from = length $t->pg->log;
    $what->();
    $dbh->do('ALTER DATABASE ' . $t->database . ' RESET log_statement');

    return map { /execute (\S+): (SELECT .*)/ ? [ $1, $2 ] : () }
           split /\n/, substr $t->pg->log, $from;
}

subtest 'statements' => sub {
    my @sql = logged(sub {
        aggregate('/api/products', group_by => 'category', sum => 'price',
                  price__gt => $_, having => "sum_price > $_", limit => $_)
            for 5, 6;
    });

    is(scalar @sql, 2, 'one statement each');
    is($sql[0][1], $sql[1][1], 'of one text');
    is($sql[0][1], 'SELECT "category", sum("price") FROM "products"'
       . ' WHERE "price" > $1 GROUP BY 1 HAVING (sum("price") > $2::integer)'
       . ' ORDER BY 1 LIMIT $3', 'which is as plain as can be');

    my $pool = sub { $t->get('/health')->json->{databases}{test}{pool} };
    my ($before, $after);

    # a statement is first tried on connections of its own

    @sql = logged(sub {
        aggregate('/api/products', count => '*', tiny => 1) for 1 .. 40;
        $before = $pool->();
        $t->post('/api/products/aggregate', {
            aggregates => { map { ("a$_" => { count => '*',
                                              filter => { tiny => $_ } }) }
                            1 .. 5 } });
        $after = $pool->();
    });

    is(scalar @sql, 45, 'several are a statement each');
    is($after->{reads} - $before->{reads}, 5, 'five reads');
    is($after->{flushes} - $before->{flushes}, 1, 'sent with one flush');
};


# of a view, a column of which takes its time

$dbh->do('DROP TABLE slow');
$dbh->do(q{CREATE FUNCTION wake() RETURNS boolean STABLE LANGUAGE plpgsql
           AS 'BEGIN PERFORM pg_sleep(20); RETURN true; END'});
$dbh->do('CREATE VIEW slow AS SELECT id, tiny AS n, wake() AS awake
            FROM products');

sub at_rest {
    my ($what) = @_;
    my ($pool, $active);

    for (1 .. 400) {
        $pool = $t->get('/health')->json->{databases}{test}{pool};
        $active = $dbh->selectrow_array(
            "SELECT count(*) FROM pg_stat_activity WHERE state <> 'idle'
                AND datname = current_database() AND pid <> pg_backend_pid()
                AND application_name <> 'harness'");
        last if $pool->{busy} == 0 && $pool->{queued} == 0 && $active == 0;
        sleep 0.02;
    }

    is("$pool->{busy} $pool->{queued} $active", '0 0 0', $what);
}


subtest 'the first failure ends the others' => sub {
    my $begin = time;

    refused($t->post('/api/slow/aggregate', '{"aggregates":{
                "asleep":{"aggregate":{"x":"bool_and(awake)"}},
                "failed":{"aggregate":{"x":"sum(1 / (n - n))"}},
                "last":{"aggregate":{"x":"bool_and(awake)"}}}}'),
            422, 'validation_failed', '/aggregates/failed', '^failed: ',
            'it is told');
    cmp_ok(time - $begin, '<', 15, 'before they could be done');
    at_rest('nothing is left of them');
};


subtest 'clients that leave' => sub {
    my $body = '{"aggregates":{'
               . join(',', map { qq("a$_":{"aggregate":{)
                                 . qq("x":"bool_and(awake)"}}) } 1 .. 6)
               . '}}';

    for (1 .. 20) {
        my $s = $t->socket;

        print $s "POST /api/slow/aggregate HTTP/1.1\r\nHost: a\r\n"
                 . "Content-Type: application/json\r\nContent-Length: "
                 . length($body) . "\r\n\r\n$body";
        $s->flush;
        sleep rand 0.1;
        close $s;
    }

    at_rest('nothing is left');
    is(aggregate('/api/products', count => '*')->body,
       '{"data":[{"count":300}]}', 'others are answered');
};


$t->done;
