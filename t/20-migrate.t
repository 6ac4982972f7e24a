# Migration: what is created and extended, what is only reported, and that it
# gets there whatever happens to the database meanwhile.

use strict;
use warnings;

use Test::More;
use Time::HiRes qw(sleep time);

use DataflowTest;


# what the error log says of the migration since the last look

my %seen;

sub said {
    my ($t) = @_;

    my $log = substr $t->error_log, $seen{$t->dir} // 0;
    $seen{$t->dir} = length $t->error_log;

    my @lines = $log =~ /dataflow: database "test": (.*)/g;
    s/, client: .*// for @lines;

    return (
        [ grep { /^(?:created|replaced) / } @lines ],
        [ grep { /^model / } @lines ],
    );
}

sub nothing_to_do {
    my ($t, $name) = @_;

    my ($done, $left) = said($t);

    is_deeply([ @$done, @$left ], [], $name);
}

sub state_of {
    my ($t) = @_;

    return eval { $t->get('/health')->json->{databases}{test}{migration} }
           // {};
}

sub wait_state {
    my ($t, $state, $seconds) = @_;
    my $is = '';

    for (my $end = time + ($seconds // 20); time < $end; sleep 0.02) {
        $is = state_of($t)->{state} // '';
        return 1 if $is eq $state;
    }

    diag("state: $is");
    return 0;
}

sub again {
    my ($t) = @_;

    $t->stop;
    said($t);
    $t->start;
}

# until nothing of the old configuration is left

sub reload {
    my ($t, %o) = @_;

    my @old = $t->worker_pids;

    $t->write_conf(%o) if %o;
    $t->reload;

    for (my $end = time + 20; time < $end && kill 0, @old; sleep 0.02) { }

    $t->wait_ready;
}

sub columns {
    my ($t, $table) = @_;

    return join "\n", map { join ' ', grep { length } @$_ }
        @{ $t->dbh->selectall_arrayref(<<'SQL', undef, $table) };
            SELECT a.attname, format_type(a.atttypid, a.atttypmod),
                   CASE WHEN a.attnotnull THEN 'NOT NULL' ELSE '' END,
                   CASE a.attidentity WHEN 'd' THEN 'IDENTITY' ELSE '' END,
                   coalesce('DEFAULT ' || pg_get_expr(d.adbin, d.adrelid), '')
              FROM pg_attribute a
              LEFT JOIN pg_attrdef d
                ON d.adrelid = a.attrelid AND d.adnum = a.attnum
             WHERE a.attrelid = $1::regclass AND a.attnum > 0
               AND NOT a.attisdropped
             ORDER BY a.attnum
SQL
}

sub constraints {
    my ($t, $table) = @_;

    return join "\n", map { join ' ', @$_ }
        @{ $t->dbh->selectall_arrayref(<<'SQL', undef, $table) };
            SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint
             WHERE conrelid = $1::regclass AND contype <> 't' ORDER BY conname
SQL
}

sub indexes {
    my ($t, $table) = @_;

    return join "\n", @{ $t->dbh->selectcol_arrayref(<<'SQL', undef, $table) };
        SELECT pg_get_indexdef(i.indexrelid) FROM pg_index i
         WHERE i.indrelid = $1::regclass AND NOT i.indisprimary
           AND NOT EXISTS (SELECT FROM pg_constraint c
                            WHERE c.conindid = i.indexrelid)
         ORDER BY i.indexrelid::regclass::text
SQL
}


subtest 'a fresh database' => sub {
    my $t = DataflowTest->new(workers => 2, models => <<'CONF')->start;
        location /api/products {
            dataflow_model products {
                field sku text required unique;
                field name text required max=200;
                field price numeric(12,2) required min=0;
                field stock integer default=0 min=0 max=1000000;
                field status text default=new enum=new,used,it's;
                field code varchar(8) min=2 pattern=^[A-Z']+$;
                index status price;
                index code status unique;
            }
        }
        location /api/orders {
            dataflow_model orders {
                table shop.order;
                key number;
                field number uuid;
                field product_id bigint required;
                field parent uuid;
                relation product products product_id;
                relation up orders parent;
            }
        }
        location /api/plain {
            dataflow_model plain { field a text; timestamps off; }
        }
CONF

    is(columns($t, 'products'), <<'TEXT' =~ s/\n\z//r, 'columns');
id bigint NOT NULL IDENTITY
sku text NOT NULL
name text NOT NULL
price numeric(12,2) NOT NULL
stock integer DEFAULT 0
status text DEFAULT 'new'::text
code character varying(8)
created_at timestamp with time zone NOT NULL DEFAULT now()
updated_at timestamp with time zone NOT NULL DEFAULT now()
TEXT

    is(constraints($t, 'products'), <<'TEXT' =~ s/\n\z//r, 'constraints');
products_code_check CHECK (((char_length((code)::text) >= 2) AND ((code)::text ~ '^[A-Z'']+$'::text)))
products_name_check CHECK ((char_length(name) <= 200))
products_pkey PRIMARY KEY (id)
products_price_check CHECK ((price >= '0'::numeric))
products_sku_key UNIQUE (sku)
products_status_check CHECK ((status = ANY (ARRAY['new'::text, 'used'::text, 'it''s'::text])))
products_stock_check CHECK (((stock >= 0) AND (stock <= 1000000)))
TEXT

    is(indexes($t, 'products'), <<'TEXT' =~ s/\n\z//r, 'indexes');
CREATE UNIQUE INDEX products_code_status_key ON public.products USING btree (code, status)
CREATE INDEX products_status_price_idx ON public.products USING btree (status, price)
TEXT

    is(columns($t, 'shop.order'), <<'TEXT' =~ s/\n\z//r, 'a table in a schema');
number uuid NOT NULL DEFAULT gen_random_uuid()
product_id bigint NOT NULL
parent uuid
created_at timestamp with time zone NOT NULL DEFAULT now()
updated_at timestamp with time zone NOT NULL DEFAULT now()
TEXT

    is(constraints($t, 'shop.order'), <<'TEXT' =~ s/\n\z//r, 'foreign keys');
order_pkey PRIMARY KEY (number)
order_product_fkey FOREIGN KEY (product_id) REFERENCES products(id)
order_up_fkey FOREIGN KEY (parent) REFERENCES shop."order"(number)
TEXT

    is(columns($t, 'plain'), "id bigint NOT NULL IDENTITY\na text",
       'a model without timestamps');
    is($t->dbh->selectrow_array('SELECT count(*) FROM pg_trigger'
                                . " WHERE tgrelid = 'plain'::regclass"),
       0, 'and without a trigger');

    is(state_of($t)->{state}, 'done', 'state');
    is(state_of($t)->{count}, 0, 'no differences');

    my ($done, $left) = said($t);
    is_deeply($left, [], 'nothing is left');
    is(scalar(grep { $_ eq 'created table "products"' } @$done), 1,
       'each step is told once');

    again($t);
    nothing_to_do($t, 'another start has nothing to do');

    reload($t);
    nothing_to_do($t, 'nor has a reload');

    $t->done;
};


subtest 'updated_at' => sub {
    my $t = DataflowTest->new(models => <<'CONF')->start;
        location /api/a { dataflow_model a { field n integer; } }
CONF

    # of types without equality
    $t->dbh->do('ALTER TABLE a ADD COLUMN j json, ADD COLUMN p point');
    $t->dbh->do(q(INSERT INTO a (n, j, updated_at)
                  VALUES (1, '{}', '2001-01-01')));

    my $year = sub {
        $t->dbh->do(shift);
        return $t->dbh->selectrow_array(
            'SELECT extract(year FROM updated_at)::integer FROM a');
    };

    is($year->('UPDATE a SET n = n'), 2001, 'the same row');
    cmp_ok($year->('UPDATE a SET n = 2'), '>', 2001, 'a changed row');
    is($year->("UPDATE a SET updated_at = '2001-01-01'") <=> 2001, 1,
       'whatever is written');

    $t->done;
};


subtest 'every type, with defaults' => sub {
    my $t = DataflowTest->new(models => <<'CONF')->start;
        location /api/types {
            dataflow_model types {
                field f1 smallint default=-1 min=-5;
                field f2 integer default=007 min=-5;
                field f3 bigint default=-9223372036854775808;
                field f4 numeric default=-0.50 max=1e3;
                field f5 numeric(12,2) default=1.5 min=-1.50;
                field f6 real default=0.30000001192092896 min=-0.5;
                field f7 double default=1e-7 max=1e300;
                field f8 boolean default=true;
                field f9 text "default=it's \"a\" \\ %s é" max=100;
                field f10 varchar(20) default=;
                field f11 uuid default=0189D9C4-5A7E-7B1E-9F4C-3D2A1B0C9E8F;
                field f12 date default=2024-02-29 min=1900-01-01;
                field f13 time default=13:30:00.5 max=23:59:59;
                field f14 timestamp default=2024-02-29T13:30:00.123456;
                field f15 timestamptz default=2024-02-29T13:30:00+01:00;
                field f16 interval default=P1Y2M3DT4H5M6S max=P100Y;
                field f17 json "default={\"b\":1, \"a\":[1.50,null]}";
                field f18 bytea default=AAECAw==;
                field f19 inet default=192.168.1.0/24;
                field f20 inet default=2001:DB8::1;
                field g1 text[] default=[];
                field g2 integer[] default=[1,2];
                field g3 varchar(5)[];
                field g4 numeric(5,1)[];
                field n1 date default=now;
                field n2 time default=now;
                field n3 timestamp default=now;
                field n4 timestamptz default=now;
                field n5 uuid default=uuid;
            }
        }
CONF

    my ($done, $left) = said($t);
    is_deeply($left, [], 'nothing is left');
    ok(@$done > 10, 'created');

    ok($t->dbh->do('INSERT INTO types DEFAULT VALUES'), 'the defaults fit');

    again($t);
    nothing_to_do($t, 'another start has nothing to do');

    # as a stranger would have them, with other defaults

    my $n = $t->dbh->do('ALTER TABLE types '
        . join ', ', map { "ALTER COLUMN $_ DROP DEFAULT" }
                     map { ("f$_") } 1 .. 20);

    again($t);
    ($done, $left) = said($t);
    is(scalar(grep { /^created default of column/ } @$done), 20,
       'defaults come back');

    again($t);
    nothing_to_do($t, 'once');

    $t->dbh->do(q(ALTER TABLE types ALTER COLUMN f2 SET DEFAULT 8,
                  ALTER COLUMN f9 SET DEFAULT 'x', ALTER COLUMN f8
                  SET DEFAULT false, ALTER COLUMN f15 SET DEFAULT
                  '2024-02-29 13:30:00+00', ALTER COLUMN f3
                  SET DEFAULT abs(-3), ALTER COLUMN n5 SET DEFAULT
                  md5('x')::uuid));

    again($t);
    ($done, $left) = said($t);
    is_deeply([ sort map { /"(\w+)" of/ } @$done ], [qw(f15 f2 f8 f9)],
              'other literals are replaced, expressions are trusted');

    $t->done;
};


subtest 'a model that grows' => sub {
    my $t = DataflowTest->new(models => <<'CONF')->start;
        location /api/items {
            dataflow_model items {
                field name text;
                field status text enum=a,b;
            }
        }
CONF
    said($t);

    $t->dbh->do(q(INSERT INTO items (name, status) VALUES ('x', 'a')));

    $t->write_conf(models => <<'CONF');
        location /api/items {
            dataflow_model items {
                field name text unique max=10;
                field status text enum=a,b,c;
                field size integer required default=5 min=1;
                field kind_id bigint;
                relation kind kinds kind_id;
                index size name;
            }
        }
        location /api/kinds { dataflow_model kinds { field a text; } }
CONF
    reload($t);

    my ($done, $left) = said($t);

    is_deeply($left, [], 'nothing is left');
    is_deeply([ sort @$done ], [ sort split /\n/, <<'TEXT' ], 'what is new');
created table "kinds"
created column "size" of table "items"
created column "kind_id" of table "items"
created constraint "items_name_key" of table "items"
created constraint "items_name_check" of table "items"
replaced constraint "items_status_check" of table "items"
created constraint "items_size_check" of table "items"
created index "items_size_name_idx" of table "items"
created constraint "items_kind_fkey" of table "items"
created trigger "dataflow_touch" of table "kinds"
TEXT

    is($t->dbh->selectrow_array('SELECT size FROM items'), 5,
       'the rows have the default');
    is($t->post('/api/items', { name => 'y', status => 'c' })->code, 201,
       'a new choice');

    reload($t);
    nothing_to_do($t, 'once');

    $t->done;
};


subtest 'steps that fail' => sub {
    my $t = DataflowTest->new(models => <<'CONF')->start;
        location /api/items {
            dataflow_model items { field a integer; field b text; }
        }
CONF
    said($t);

    $t->dbh->do(q(INSERT INTO items (a, b) VALUES (1, ' '), (1, NULL)));

    $t->write_conf(models => <<'CONF');
        location /api/items {
            dataflow_model items {
                field a integer unique min=5;
                field b text pattern=^\\h*$;
                field c text required;
                field d integer max=9;
                index b;
            }
        }
CONF
    reload($t);

    my ($done, $left) = said($t);

    is_deeply([ sort @$done ], [ sort split /\n/, <<'TEXT' ], 'the rest');
created column "c" of table "items"
created column "d" of table "items"
created constraint "items_d_check" of table "items"
created index "items_b_idx" of table "items"
TEXT

    is(scalar @$left, 4, 'four are reported');
    my $all = join "\n", @$left;

    like($all, qr/NOT NULL of column "c" .* contains null values \(23502\)/,
         'NOT NULL without a default');
    like($all, qr/"items_a_key" .* could not create unique index .*23505/,
         'unique');
    like($all, qr/"items_a_check" .* violated by some row \(23514\)/, 'check');
    like($all, qr/"items_b_check" .* invalid regular expression/,
         'a pattern of PCRE only');

    is(state_of($t)->{state}, 'differs', 'state');
    is(state_of($t)->{count}, 4, 'count');
    is(scalar @{ state_of($t)->{differences} }, 4, 'differences');

    is($t->post('/api/items', { a => 7, c => 'c' })->code, 201,
       'the model works');

    # mended

    $t->dbh->do(q(UPDATE items SET a = 10 + id, c = 'c'));
    reload($t);
    ($done, $left) = said($t);

    is_deeply([ sort @$done ], [ sort split /\n/, <<'TEXT' ], 'mended');
created constraint "items_a_key" of table "items"
created constraint "items_a_check" of table "items"
TEXT
    like(join("\n", @$left), qr/"c" of table "items" allows NULL/,
         'an existing column is not narrowed');

    $t->dbh->do('ALTER TABLE items ALTER COLUMN c SET NOT NULL');
    $t->done;
};


subtest 'nothing is dropped, narrowed or retyped' => sub {
    my $t = DataflowTest->new(models => <<'CONF')->start;
        location /api/items {
            dataflow_model items {
                field a varchar(20);
                field b integer;
                field c text required;
                field d text;
                field e text enum=a,b;
                field f text;
                index d;
            }
        }
CONF
    said($t);

    $t->dbh->do('ALTER TABLE items ADD COLUMN g text NOT NULL');
    my $before = columns($t, 'items');

    $t->write_conf(models => <<'CONF');
        location /api/items {
            dataflow_model items {
                field a varchar(10);
                field b bigint;
                field c text;
                field e text;
                field f text required;
            }
        }
CONF
    reload($t);

    my ($done, $left) = said($t);
    my $all = join "\n", @$left;

    is_deeply($done, [], 'nothing is done');
    is(columns($t, 'items'), $before, 'the columns are as before');
    like(indexes($t, 'items'), qr/items_d_idx/, 'the index is kept');

    is(scalar @$left, 6, 'six are reported');
    like($all, qr/"a" .* is character varying\(20\), declared varchar\(10\)/,
         'a length');
    like($all, qr/"b" .* is integer, declared bigint/, 'a type');
    like($all, qr/"c" .* is NOT NULL, declared without required/, 'required');
    like($all, qr/"items_e_check" .* not declared any more/, 'a check');
    like($all, qr/"f" .* allows NULL, declared required/, 'nullable');
    like($all, qr/"g" .* no record can be created/, 'a stranger');

    is(state_of($t)->{state}, 'differs', 'state');

    $t->done;
};


subtest 'tables of others' => sub {
    my $t = DataflowTest->new(models => <<'CONF');
        location /api/items {
            dataflow_model items {
                field name text required unique;
                field price numeric min=0;
                field kind_id bigint;
                relation kind kinds kind_id;
                index kind_id price;
                timestamps off;
            }
        }
        location /api/kinds {
            dataflow_model kinds { field n integer; timestamps off; }
        }
        location /api/views {
            dataflow_model views {
                field name text required min=1;
                field extra text;
                timestamps off;
            }
        }
CONF

    $t->dbh->do(<<'SQL');
        CREATE TABLE kinds (n integer);
        INSERT INTO kinds SELECT generate_series(1, 3);
        CREATE TABLE items (
            id bigserial PRIMARY KEY,
            name text NOT NULL,
            price numeric CHECK (price >= 0),
            kind_id bigint
        );
        CREATE UNIQUE INDEX by_name ON items (name);
        CREATE INDEX by_kind ON items (kind_id, price);
        CREATE VIEW views AS SELECT id, name FROM items;
SQL
    $t->start;

    my ($done, $left) = said($t);

    is_deeply($done, [ split /\n/, <<'TEXT' ], 'what is really missing');
created column "id" of table "kinds"
created primary key of table "kinds"
created constraint "items_kind_fkey" of table "items"
TEXT

    is_deeply($left, [ 'model "views": column "extra" of table "views"'
                       . ' is missing; add it to the view' ],
              'of a view only columns');

    is($t->dbh->selectrow_array('SELECT max(id) FROM kinds'), 3,
       'rows have their keys');

    $t->done;
};


subtest 'models that share a table' => sub {
    my $t = DataflowTest->new(models => <<'CONF')->start;
        location /api/a {
            dataflow_model a { table t; field n integer default=1 min=1; }
        }
        location /api/b {
            dataflow_model b {
                table t;
                field n integer default=2 min=2;
                field m integer unique;
            }
        }
CONF

    my ($done, $left) = said($t);

    is_deeply($left, [ 'model "b": constraint "t_n_check" of table "t" is'
                       . ' declared differently by another model of the'
                       . ' table' ], 'what contradicts is reported');

    again($t);
    ($done, $left) = said($t);

    is_deeply($done, [], 'and does not alternate');
    is(scalar @$left, 1, 'but is reported again');

    $t->done;
};


subtest 'verify' => sub {
    my $t = DataflowTest->new(migrate => 'verify', models => <<'CONF');
        location /api/items {
            dataflow_model items {
                field a integer min=1;
                field b text default=x;
                timestamps off;
            }
        }
        location /api/gone { dataflow_model gone { field a text; } }
CONF

    $t->dbh->do('CREATE TABLE items (id bigint PRIMARY KEY'
                . ' GENERATED ALWAYS AS IDENTITY, a bigint)');
    $t->start;

    my ($done, $left) = said($t);

    is_deeply($done, [], 'nothing is done');
    is(columns($t, 'items'), "id bigint NOT NULL\na bigint", 'as before');
    is($t->dbh->selectrow_array(
           "SELECT to_regclass('gone'), to_regnamespace('dataflow')"),
       undef, 'no table, no schema');

    my $all = join "\n", @$left;

    like($all, qr/"gone": table "gone" is missing; to mend: CREATE TABLE/,
         'a table');
    like($all, qr/column "b" .* is missing; to mend: ALTER TABLE "items" ADD/,
         'a column');
    like($all, qr/column "a" .* is bigint, declared integer/, 'a type');
    like($all, qr/"items_a_check" .* is missing; to mend: ALTER TABLE/,
         'a check');

    is(state_of($t)->{state}, 'differs', 'state');
    is(state_of($t)->{count}, scalar @$left, 'count');
    is(() = $t->error_log =~ /\[warn\] .* model "/g, scalar @$left,
       'as warnings');

    # migrated by somebody

    reload($t, migrate => 'apply');
    $t->dbh->do('ALTER TABLE items ALTER COLUMN a TYPE integer');
    said($t);

    reload($t, migrate => 'verify');
    nothing_to_do($t, 'agrees');
    is(state_of($t)->{state}, 'done', 'state');

    $t->done;
};


subtest 'off' => sub {
    my $t = DataflowTest->new(migrate => 'off', models => <<'CONF')->start;
        location /api/items { dataflow_model items { field a text; } }
CONF

    sleep 0.5;

    is($t->dbh->selectrow_array("SELECT to_regclass('items')"), undef,
       'nothing is touched');
    is(scalar($t->backends), 0, 'nobody connects');

    $t->dbh->do('CREATE TABLE items (id bigserial PRIMARY KEY, a text,'
                . ' created_at timestamptz, updated_at timestamptz)');
    is($t->get('/api/items')->code, 200, 'a table of somebody');
    is_deeply(state_of($t), {}, 'health says nothing of it');

    # what was found before is no longer said

    my $models = 'location /api/items { dataflow_model items { field b text; '
                 . 'timestamps off; } }';

    $t->write_conf(migrate => 'verify', models => $models)->reload;
    ok(wait_state($t, 'differs'), 'verify');
    $t->write_conf(migrate => 'off', models => $models)->reload;
    is_deeply(state_of($t), {}, 'off again');

    $t->done;
};


subtest 'a database that is away at start' => sub {
    my $t = DataflowTest->new(cluster => 'own', workers => 2,
                              models => <<'CONF');
        location /api/items { dataflow_model items { field a text; } }
CONF

    $t->pg_stop;
    $t->start(wait => 0);

    ok($t->wait_log(qr/tables could not be migrated, to be tried again/),
       'nginx starts and says so');
    ok(wait_state($t, 'failed'), 'state');

    my $start = time;
    is($t->get('/api/items')->code, 503, 'requests are refused');
    cmp_ok(time - $start, '<', 2, 'at once');

    sleep 1;
    is(() = $t->error_log =~ /\[warn\] .*to be tried again/g, 1, 'said once');

    $t->pg_start;

    my %codes;

    for (my $end = time + 20; time < $end; sleep 0.02) {
        my $code = $t->get('/api/items')->code;
        $codes{$code}++;
        last if $code == 200;
    }

    # how many come before the database does is chance

    delete $codes{503};
    is_deeply([ keys %codes ], [200], 'no request is too early');
    ok(wait_state($t, 'done'), 'catches up');

    # an old worker that still tries ends at once

    $t->pg_stop;
    $t->reload;
    ok($t->wait_log(qr/tables could not be migrated/), 'away again');
    $t->reload;
    sleep 0.3;
    $start = time;
    $t->stop;
    cmp_ok(time - $start, '<', 3, 'ends at once');

    $t->pg_start;
    $t->done;
};


subtest 'two instances at once' => sub {
    my $models = join "\n", map {
        "location /api/m$_ { dataflow_model m$_ {"
        . ' field a text unique; field b integer min=0; index b;'
        . ($_ > 1 ? ' field p bigint; relation up m' . ($_ - 1) . ' p;' : '')
        . ' } }'
    } 1 .. 30;

    my $t = DataflowTest->new(models => $models);
    my $u = DataflowTest->new(models => $models, conninfo => $t->conninfo);

    $_->start(wait => 0) for $t, $u;

    for ($t, $u) {
        $_->wait_ready;
        ok(wait_state($_, 'done'), 'done');
    }

    my ($done, $left) = said($t);
    my ($done2, $left2) = said($u);

    is_deeply([ @$left, @$left2 ], [], 'nothing is left');
    is(scalar(grep { /^created table/ } @$done, @$done2), 30,
       'each table was made once');

    ok(!$u->finish, 'the other one ends');
    $t->done;
};


subtest 'locks of others' => sub {
    my $t = DataflowTest->new(models => <<'CONF', workers => 2)->start;
        location /api/items { dataflow_model items { field a text; } }
CONF

    my $dbh = $t->pg->connect($t->database);

    # another migration

    $dbh->do("SELECT pg_advisory_lock(x'64617461666c6f77'::bigint)");
    $t->write_conf(models => <<'CONF')->reload;
        location /api/items {
            dataflow_model items { field a text; field b text; }
        }
CONF
    sleep 0.5;
    is(state_of($t)->{state}, 'running', 'the migration waits');

    is($t->dbh->selectrow_array(
           'SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity'
           . " WHERE datname = current_database()"
           . " AND state = 'idle in transaction'"), 1, 'its backend is ended');

    ok($t->wait_log(qr/tables could not be migrated/), 'it notices');

    $t->reload;
    sleep 0.3;
    $dbh->do("SELECT pg_advisory_unlock(x'64617461666c6f77'::bigint)");
    ok(wait_state($t, 'done'), 'and tries again');
    like(columns($t, 'items'), qr/^b text$/m, 'done');

    # a table in use

    $dbh->begin_work;
    $dbh->do('LOCK TABLE items IN ACCESS SHARE MODE');
    $t->write_conf(models => <<'CONF')->reload;
        location /api/items {
            dataflow_model items { field a text; field b text; field c text; }
        }
CONF
    ok(wait_state($t, 'failed'), 'a lock that is not to be had');
    like($t->error_log, qr/to be tried again: .*lock timeout \(55P03\)/,
         'is given up');
    is($t->get('/health')->code && $dbh->commit, 1, 'the lock is released');
    ok(wait_state($t, 'done'), 'later it is there');
    like(columns($t, 'items'), qr/^c text$/m, 'done');

    # a worker that dies

    $dbh->do("SELECT pg_advisory_lock(x'64617461666c6f77'::bigint)");
    $t->write_conf(models => <<'CONF')->reload;
        location /api/items {
            dataflow_model items {
                field a text; field b text; field c text; field d text;
            }
        }
CONF
    $t->{allow} = qr/exited on signal 9/;
    sleep 0.3;
    kill 'KILL', $_ for $t->worker_pids;
    sleep 0.3;
    $dbh->do("SELECT pg_advisory_unlock(x'64617461666c6f77'::bigint)");
    ok(wait_state($t, 'done'), 'another one takes over');
    like(columns($t, 'items'), qr/^d text$/m, 'done');

    $dbh->disconnect;
    $t->done;
};


subtest 'names of 63 bytes' => sub {
    my ($table, $field, $other) = map { $_ x 63 } qw(t f g);

    my $t = DataflowTest->new(models => <<"CONF")->start;
        location /api/long {
            dataflow_model $table {
                field $field text unique max=5;
                field $other bigint;
                relation ${\('r' x 63)} $table $other;
                index $field $other;
                index $other;
            }
        }
CONF

    my ($done, $left) = said($t);
    is_deeply($left, [], 'nothing is left');

    my @long = grep { length > 63 } map { /"(\w+)"/g } @$done;
    is_deeply(\@long, [], 'no name is longer');

    again($t);
    nothing_to_do($t, 'another start has nothing to do');

    is($t->post('/api/long', { $field => 'a' })->code, 201, 'a record');
    my $r = $t->post('/api/long', { $field => 'a' });
    is($r->code, 409, 'unique');
    like($r->body, qr/$field/, 'names the field');

    $t->done;
};


subtest 'rights that are missing' => sub {
    my $t = DataflowTest->new(models => <<'CONF');
        location /api/items { dataflow_model items { field a text; } }
        location /api/more {
            dataflow_model more { field a text min=1; index a; }
        }
CONF

    $t->dbh->do(<<'SQL');
        SET client_min_messages = warning;
        DROP ROLE IF EXISTS dataflow_reader;
        CREATE ROLE dataflow_reader LOGIN;
        CREATE TABLE items (id bigserial PRIMARY KEY, a text,
            created_at timestamptz NOT NULL DEFAULT now(),
            updated_at timestamptz NOT NULL DEFAULT now());
        GRANT ALL ON ALL TABLES IN SCHEMA public TO dataflow_reader;
SQL
    my $conninfo = $t->conninfo =~ s/user=dataflow/user=dataflow_reader/r;
    $t->write_conf(conninfo => $conninfo)->start;

    my ($done, $left) = said($t);
    my $all = join "\n", @$left;

    is_deeply($done, [], 'nothing could be done');
    like($all, qr/table "more" could not be created: permission denied/,
         'a table');
    unlike($all, qr/more_a_/, 'nothing of a table that is not there');
    is($t->get('/api/items')->code, 200, 'the rest works');

    $t->stop;
    $t->dbh->do('REVOKE ALL ON ALL TABLES IN SCHEMA public'
                . ' FROM dataflow_reader; DROP ROLE dataflow_reader');
    $t->done;
};


done_testing();
