use strict;
use warnings;

use JSON::PP ();
use MIME::Base64 ();
use Test::More;
use Time::HiRes qw(sleep time);

use DataflowTest;
use DataflowTest::Client;

# POST …/bulk: many records in one request, as a whole or each for itself

my $seed = $ENV{DATAFLOW_SEED} // 63;
my $rounds = $ENV{DATAFLOW_ROUNDS} // 300;

srand $seed;
diag("DATAFLOW_SEED=$seed DATAFLOW_ROUNDS=$rounds");

my $twin = <<'CONF';
    field small  smallint;
    field whole  integer        default=7;
    field big    bigint;
    field num    numeric;
    field dec    numeric(12,2)  default=1.50;
    field flt    real;
    field dbl    double;
    field yes    boolean        default=true;
    field name   text           "default=a \"quoted\" \\ {x,NULL}";
    field code   varchar(20);
    field uid    uuid           default=uuid;
    field day    date;
    field clock  time;
    field at     timestamp;
    field seen   timestamptz;
    field span   interval;
    field attrs  json           "default={\"a\":[1.10]}";
    field data   bytea;
    field addr   inet;
    field words  text[]         "default=[\"x\"]";
    field nums   integer[];
    field decs   numeric(8,2)[];
    field docs   json[];
    field who    text           default=$sub readonly;
CONF

my $t = DataflowTest->new(
    cluster => 'own',
    http => 'client_max_body_size 32m;',
    database => 'pool size=8 overflow=4; timeout statement=8s;',
    models => <<"CONF")->start;
        location /api/products {
            dataflow_model products {
                field sku      text           required unique;
                field name     text           required max=20;
                field price    numeric(12,2)  required min=0;
                field stock    integer        default=0 min=0;
                field tags     text[];
                field attrs    json;
                field maker_id bigint;
                field secret   text           hidden;
                field source   text           default=web readonly;
                relation maker makers maker_id;
            }
        }
        location /api/makers {
            dataflow_model makers {
                field name    text required;
                field country text;
            }
        }
        location /api/singles { dataflow_model singles { $twin } }
        location /api/bulks { dataflow_model bulks { $twin } }

        location /api/codes {
            dataflow_model codes {
                field code  varchar(10);
                field name  text  required;
                field n     integer default=0;
                key   code;
                timestamps off;
            }
        }

        location /api/wides {
            dataflow_model wides {
                field code text;
                @{[ map { "field b$_ boolean;" } 0 .. 10 ]}
                key   code;
            }
        }

        location /api/places {
            dataflow_model places {
                field shop   text    required;
                field shelf  integer required;
                field label  text;
                field active boolean default=true;
                index shop shelf unique;
                index label unique "where=active and label != ''";
            }
        }

        location /api/read {
            dataflow_expose list get bulk_create bulk_update;
            dataflow_model readings { field n integer min=0; }
        }
        location /api/none {
            dataflow_expose list get;
            dataflow_model nones { field n integer; }
        }
CONF

my $dbh = $t->dbh;


sub bulk {
    my ($body, $path, %h) = @_;
    return $t->post(($path // '/api/products') . '/bulk', $body, %h);
}


sub product {
    my ($sku, %more) = @_;
    return { sku => $sku, name => 'a', price => '1.50', %more };
}


sub rows {
    my ($sql, @bind) = @_;
    return $dbh->selectall_arrayref($sql, undef, @bind);
}


sub value {
    my ($sql, @bind) = @_;
    return ($dbh->selectrow_array($sql, undef, @bind))[0];
}


sub counts {
    my ($r) = @_;
    my $json = $r->json;
    return map { "$json->{$_}" } grep { defined $json->{$_} }
           qw(affected inserted updated);
}


# pointer => code of each item

sub items {
    my ($r) = @_;
    my $problem = ref $r eq 'HASH' ? $r : $r->json;
    return { map { ($_->{pointer} // $_->{parameter}) => $_->{code} }
             @{ $problem->{errors} // [] } };
}


# transactions are rolled back behind the answer

sub left_open {
    my $n;

    for (1 .. 100) {
        $n = value("SELECT count(*) FROM pg_stat_activity WHERE state LIKE"
                   . " 'idle in%'") or last;
        sleep 0.02;
    }

    return $n;
}


sub clear { $dbh->do("TRUNCATE $_ RESTART IDENTITY") for @_ }


# statements that PostgreSQL carries out meanwhile

sub logged {
    my ($on) = @_;

    $dbh->do('ALTER SYSTEM SET log_statement = '
             . ($on ? "'all'" : 'DEFAULT'));
    $dbh->do('SELECT pg_reload_conf()');
    sleep 0.3;
}


sub statements {
    my ($code) = @_;

    my $before = length $t->pg->log;
    $code->();
    my $log = substr $t->pg->log, $before;

    return grep { !/^DEALLOCATE/ } $log =~ /LOG:\s+execute [^:]+: (.*)/g;
}


subtest 'create' => sub {
    my $r = bulk({ operation => 'create', return => JSON::PP::true, records => [
        product('a'), product('b', stock => undef, tags => ['x', undef, '']),
        product('c', stock => 5, attrs => { n => 1 }), product('d') ] });

    is($r->code, 200, 'status') or diag($r->body);
    is($r->type, 'application/json', 'type');
    is_deeply([ counts($r) ], [4, 4], 'affected, inserted');
    is($r->json->{operation}, 'create', 'operation');
    is_deeply([ map { $_->{sku} } @{ $r->json->{data} } ], [qw(a b c d)],
              'in the order of the records');
    is_deeply([ map { "$_->{stock}" // 'null' } grep { defined $_->{stock} }
                @{ $r->json->{data} } ], [0, 5, 0], 'the default where none');
    is($r->json->{data}[1]{stock}, undef, 'null where null is given');
    is_deeply($r->json->{data}[1]{tags}, ['x', undef, ''], 'an array');
    is($r->json->{data}[0]{source}, 'web', 'the default of a readonly field');
    is($r->json->{data}[0]{price} . '', '1.50', 'two digits');

    $r = bulk({ operation => 'create', records => [product('e')] });
    is_deeply([ sort keys %{ $r->json } ], [qw(affected inserted operation)],
              'no data unless asked for');

    $r = $t->post('/api/products/bulk?fields=sku,stock',
                  { operation => 'create', return => JSON::PP::true,
                    records => [product('g', stock => 2)] });
    like($r->body, qr/"data":\[\{"sku":"g","stock":2\}\]/, 'fields');

    is(bulk({ operation => 'create', records => [] })->body,
       '{"operation":"create","affected":0,"inserted":0}', 'no records');

    is(value('SELECT count(*) FROM products'), 6, 'all are there');
};


subtest 'records of defaults only' => sub {
    my $r = bulk({ operation => 'create', return => JSON::PP::true,
                   records => [ {}, { big => 3 }, {}, {} ] }, '/api/bulks');

    is($r->code, 200, 'status') or diag($r->body);
    is($r->json->{inserted} . '', 4, 'all');
    is_deeply([ map { defined $_->{big} ? "$_->{big}" : 'null' }
                @{ $r->json->{data} } ], [qw(null 3 null null)], 'in order');
    is($r->json->{data}[0]{dec} . '', '1.50', 'a default');

    my @uid = map { $_->{uid} } @{ $r->json->{data} };
    is(scalar(keys %{ { map { $_ => 1 } @uid } }), 4, 'a UUID for each');

    clear('bulks');
};


subtest 'what is wrong, all of it' => sub {
    my $before = value('SELECT count(*) FROM products');
    my $r = bulk({ operation => 'create', records => [
        product('x'), { sku => 'y', nam => 'x', price => -1 },
        product('z', stock => 'many'), 7, product('u', id => 3),
        product('v', stock => { '$inc' => 1 }),
        product('w', source => 'me') ] });

    is($r->code, 422, 'status');
    is($r->json->{code}, 'validation_failed', 'code');
    is_deeply(items($r), {
        '/records/1/nam' => 'unknown_field', '/records/1/name' => 'required',
        '/records/1/price' => 'range', '/records/2/stock' => 'type',
        '/records/3' => 'type', '/records/4/id' => 'readonly',
        '/records/5/stock' => 'operator', '/records/6/source' => 'readonly',
    }, 'with pointers') or diag($r->body);

    is(value('SELECT count(*) FROM products'), $before, 'nothing is done');

    $r = bulk({ operation => 'create', records => [ ({}) x 5000 ] });
    is($r->code, 422, 'very many');
    is(scalar(@{ $r->json->{errors} }), 100, 'the first hundred');
};


my $true = JSON::PP::true;
my $false = JSON::PP::false;


subtest 'the command' => sub {
    my @wrong = (
        ['[]', 400, '', 'expected an object'],
        ['{}', 400, '/operation', 'expected "create", "update", "upsert" or '
                                  . '"delete"'],
        ['{"operation":"insert","records":[]}', 400, '/operation'],
        ['{"operation":1}', 400, '/operation'],
        ['{"operation":"create"}', 400, '/records',
         'expected an array of records'],
        ['{"operation":"create","records":{}}', 400, '/records'],
        ['{"operation":"create","record":[]}', 400, '/record',
         'a bulk has no "record"; did you mean "records"?'],
        ['{"operation":"create","records":[],"xyzzy":1}', 400, '/xyzzy'],
        ['{"operation":"create","records":[],"records":[]}', 400, '/records',
         'given twice'],
        ['{"operation":"create","records":[],"ids":[]}', 400, '/ids',
         'create has no "ids"'],
        ['{"operation":"create","records":[],"on":["sku"]}', 400, '/on'],
        ['{"operation":"create","records":[],"set":{}}', 400, '/set'],
        ['{"operation":"create","records":[],"filter":{}}', 400, '/filter'],
        ['{"operation":"delete","records":[]}', 400, '/records'],
        ['{"operation":"update","records":[],"set":{"stock":1}}', 400, '/set'],
        ['{"operation":"update","records":[],"filter":{"id":1}}', 400,
         '/filter'],
        ['{"operation":"update","records":[],"all":true}', 400, '/all'],
        ['{"operation":"delete","ids":[],"where":"id = 1"}', 400, '/where'],
        ['{"operation":"update","filter":{"id":1}}', 400, '/set'],
        ['{"operation":"update","filter":{"id":1},"set":{}}', 400, '/set'],
        ['{"operation":"update","filter":{"id":1},"set":{"stock":-1}}', 422,
         '/set/stock'],
        ['{"operation":"update","filter":{"id":1},"set":{"id":1}}', 422,
         '/set/id'],
        ['{"operation":"update","filter":{"nam":1},"set":{"stock":1}}', 400,
         '/filter/nam'],
        ['{"operation":"update","where":"nam = 1","set":{"stock":1}}', 400,
         '/where'],
        ['{"operation":"update","where":7,"set":{"stock":1}}', 400, '/where'],
        ['{"operation":"delete","filter":{"id":1},"all":true}', 400, '/all'],
        ['{"operation":"delete","filter":{"id":1},"atomic":false}', 400,
         '/atomic'],
        ['{"operation":"delete","ids":[],"return":1}', 400, '/return'],
        ['{"operation":"delete","ids":[],"atomic":"no"}', 400, '/atomic'],
        ['{"operation":"delete","ids":[],"dry_run":null}', 400, '/dry_run'],
        ['{"operation":"delete","ids":[],"max_affected":-1}', 400,
         '/max_affected'],
        ['{"operation":"delete","ids":[],"max_affected":1.5}', 400,
         '/max_affected'],
        ['{"operation":"delete","ids":[],"max_affected":"5"}', 400,
         '/max_affected'],
        ['{"operation":"delete","ids":[[1]]}', 422, '/ids/0'],
        ['{"operation":"delete","ids":[null,"x",1.5]}', 422, '/ids/0'],
        ['{"operation":"delete","ids":[1,2,"1"]}', 422, '/ids/2',
         'the record of /ids/0 is the same one'],
        ['{"operation":"upsert","records":[]}', 400, '/on',
         'expected the fields that say which record is which: ["sku"]'],
        ['{"operation":"upsert","on":[],"records":[]}', 400, '/on'],
        ['{"operation":"upsert","on":["name"],"records":[]}', 400, '/on'],
        ['{"operation":"upsert","on":["id"],"records":[]}', 400, '/on/0'],
        ['{"operation":"upsert","on":["skw"],"records":[]}', 400, '/on/0',
         'products has no field "skw"; did you mean "sku"?'],
        ['{"operation":"upsert","on":["secret"],"records":[]}', 400, '/on/0'],
        ['{"operation":"upsert","on":["sku","sku"],"records":[]}', 400,
         '/on/1'],
        ['{"operation":"upsert","on":"sku","records":[]}', 400, '/on'],
        ['{"operation":"upsert","on":[1],"records":[]}', 400, '/on'],
        ['{"operation":"upsert","on":["sku"],"update":["id"],"records":[]}',
         400, '/update/0'],
        ['{"operation":"upsert","on":["sku"],"update":["source"],'
         . '"records":[]}', 400, '/update/0'],
        ['{"operation":"upsert","on":["sku"],"update":["name","name"],'
         . '"records":[]}', 400, '/update/1'],
    );

    for (@wrong) {
        my ($body, $code, $pointer, $detail) = @$_;

        my $r = bulk($body);
        is($r->code, $code, $body) or diag($r->body);
        is($r->json->{errors}[0]{pointer}, $pointer, "$body: where");
        is($r->json->{errors}[0]{detail}, $detail, "$body: what")
            if defined $detail;
    }

    for my $body ('', '{', '[1,]', '"' . 'a' x 100, "\0", '{"operation":"create'
                  . '","records":' . '[' x 5000 . ']' x 5000 . '}')
    {
        is(bulk($body)->code, 400, 'no JSON: ' . substr $body, 0, 20);
    }

    my $r = bulk('{"operation":"create"}', '/api/products',
                 'Content-Type' => 'text/plain');
    is($r->code, 415, 'another type');

    is($t->get('/api/products/bulk')->code, 405, 'GET');
    is($t->get('/api/products/bulk')->header('Allow'), 'POST, OPTIONS',
       'Allow');
    is($t->post('/api/products/bulk?limit=3',
                { operation => 'create', records => [] })->code, 400,
       'a parameter of lists');
    is($t->post('/api/products/bulk?fields=maker.name',
                { operation => 'create', records => [] })->code, 400,
       'fields of relations');
};


subtest 'what is offered' => sub {
    my $r = bulk({ operation => 'create', records => [ { n => 1 } ] },
                 '/api/read');
    is($r->code, 200, 'create');

    $r = bulk({ operation => 'delete', ids => [1] }, '/api/read');
    is($r->code, 403, 'delete is not');
    is_deeply(items($r), { '/operation' => 'forbidden' }, 'said so');

    is($t->post('/api/none/bulk', {})->code, 404, 'no bulk at all');

    # a text key may be called so

    is($t->post('/api/codes', { code => 'bulk', name => 'x' })->code, 201,
       'a record called bulk');
    is($t->get('/api/codes/bulk')->json->{name}, 'x', 'can be read');
    is(bulk({ operation => 'delete', ids => ['bulk'] }, '/api/codes')->code,
       200, 'and POST is the bulk');
};


subtest 'update by records' => sub {
    clear('products');
    bulk({ operation => 'create',
           records => [ map { product("p$_", stock => $_) } 1 .. 6 ] });

    my $r = bulk({ operation => 'update', return => $true, records => [
        { id => 3, price => '9.99' }, { id => '1', name => 'new' },
        { id => 2, stock => { '$inc' => 5 }, tags => ['t'] },
        { id => 6, price => '3' }, { id => 4 } ] });

    is($r->code, 200, 'status') or diag($r->body);
    is($r->json->{affected} . '', 4, 'affected: those that set something');
    is($r->json->{updated} . '', 4, 'updated');
    is_deeply([ map { "$_->{id}" } @{ $r->json->{data} } ], [3, 1, 2, 6, 4],
              'in the order of the records');
    is_deeply([ map { "$_->{price}" } @{ $r->json->{data} } ],
              ['9.99', '1.50', '1.50', '3.00', '1.50'],
              'each its own values');
    is($r->json->{data}[2]{stock} . '', 7, 'an operator');
    isnt($r->json->{data}[0]{updated_at}, $r->json->{data}[0]{created_at},
         'updated_at moves');

    my $before = rows('SELECT * FROM products ORDER BY id');

    $r = bulk({ operation => 'update', records => [
        { id => 1, stock => 100 }, { id => 77, stock => 1 },
        { id => 2, name => 'y' }, { id => 78 } ] });
    is($r->code, 404, 'one that is not there');
    is($r->json->{code}, 'not_found', 'code');
    is_deeply(items($r), { '/records/1/id' => 'not_found',
                           '/records/3/id' => 'not_found' }, 'which');

    $r = bulk({ operation => 'update', records => [
        { id => 1, stock => 100 }, { stock => 1 }, { id => undef },
        { id => 'x' }, { id => 1, name => 'again' } ] });
    is($r->code, 422, 'keys');
    is_deeply(items($r), { '/records/1/id' => 'required',
                           '/records/2/id' => 'type',
                           '/records/3/id' => 'type',
                           '/records/4/id' => 'duplicate' }, 'what is wrong');

    $r = bulk({ operation => 'update', records => [
        { id => 1, stock => 100 }, { id => 2, stock => { '$dec' => 1000 } } ] });
    is($r->code, 422, 'min');
    is($r->json->{constraint}, 'products_stock_check', 'the constraint');

    is_deeply(rows('SELECT * FROM products ORDER BY id'), $before,
              'nothing was done by any of these');
};


subtest 'what a filter finds' => sub {
    $dbh->do('TRUNCATE products, makers RESTART IDENTITY');
    bulk({ operation => 'create', records => [ { name => 'm', country => 'de' },
                                               { name => 'n' } ] },
         '/api/makers');
    bulk({ operation => 'create', records => [ map {
        product("p$_", price => $_, maker_id => $_ % 3 || undef) } 1 .. 9 ] });

    my $r = bulk({ operation => 'update', filter => { price => { '$lt' => 4 } },
                   set => { stock => { '$inc' => 2 }, name => 'cheap' },
                   return => $true });
    is($r->code, 200, 'filter') or diag($r->body);
    is($r->json->{updated} . '', 3, 'updated');
    is_deeply([ map { "$_->{id} $_->{stock} $_->{name}" }
                @{ $r->json->{data} } ],
              ['1 2 cheap', '2 2 cheap', '3 2 cheap'], 'by their keys');

    $r = bulk({ operation => 'update', where => "price >= 8 and name != 'x'",
                set => { tags => ['w'] } });
    is($r->json->{affected} . '', 2, 'where');
    is($r->json->{data}, undef, 'no data unless asked for');

    $r = bulk({ operation => 'update', filter => { price => { '$gt' => 2 } },
                where => 'price < 5', set => { stock => 9 } });
    is($r->json->{affected} . '', 2, 'both');

    $r = bulk({ operation => 'update', filter => { 'maker.country' => 'de' },
                set => { secret => 's' }, return => $true });
    is($r->json->{affected} . '', 3, 'over a relation') or diag($r->body);
    is_deeply([ map { "$_->{id}" } @{ $r->json->{data} } ], [1, 4, 7],
              'the right ones');
    unlike($r->body, qr/secret/, 'what is hidden is not answered');
    is(value("SELECT string_agg(id::text, ',' ORDER BY id) FROM products"
             . " WHERE secret = 's'"), '1,4,7', 'but written');

    for my $body (
        { operation => 'update', set => { stock => 1 } },
        { operation => 'update', filter => {}, set => { stock => 1 } },
        { operation => 'update', filter => { '$and' => [] },
          set => { stock => 1 } },
        { operation => 'update', filter => { '$and' => [ {}, {} ] },
          set => { stock => 1 } },
        { operation => 'update', filter => { '$not' => { '$or' => [] } },
          set => { stock => 1 } },
        { operation => 'update', filter => { id => { '$nin' => [] } },
          set => { stock => 1 } },
        { operation => 'update', where => 'true', set => { stock => 1 } },
        { operation => 'update', where => '1 = 1', set => { stock => 1 } },
        { operation => 'delete', all => $false },
        { operation => 'delete', filter => {}, all => $false })
    {
        my $name = DataflowTest::JSON::encode($body);
        $r = bulk($body);
        is($r->code, 400, "all, and not said: $name");
        like($r->body, qr/\\"all\\":true/, 'the mend');
    }

    is(bulk({ operation => 'delete', filter => { id => { '$in' => [] } } })
         ->json->{affected} . '', 0, 'a filter that finds nothing');

    $r = bulk({ operation => 'update', all => $true, set => { name => 'all' } });
    is($r->json->{affected} . '', 9, 'all');

    $r = bulk({ operation => 'delete', where => 'price > 5', return => $true });
    is_deeply([ map { "$_->{id}" } @{ $r->json->{data} } ], [6 .. 9], 'delete');
    is(value('SELECT count(*) FROM products'), 5, 'those are gone');

    $r = bulk({ operation => 'delete', filter => { id => 1 }, set => {} });
    is($r->code, 400, 'delete sets nothing');
};


subtest 'delete by keys' => sub {
    $dbh->do('TRUNCATE products, makers RESTART IDENTITY');
    $dbh->do("INSERT INTO makers (name) SELECT 'm' || i"
             . ' FROM generate_series(1, 6) i');
    bulk({ operation => 'create', records => [ product('a', maker_id => 3) ] });

    my $r = bulk({ operation => 'delete', ids => [5, '2'], return => $true },
                 '/api/makers');
    is($r->code, 200, 'status') or diag($r->body);
    is($r->json->{affected} . '', 2, 'affected');
    is_deeply([ map { $_->{name} } @{ $r->json->{data} } ], [qw(m5 m2)],
              'what they were');

    $r = bulk({ operation => 'delete', ids => [1, 2, 3, 99] }, '/api/makers');
    is($r->code, 409, 'referred to');
    is($r->json->{detail}, 'other records refer to this one', 'said so');
    is_deeply(items($r), { '/ids/2' => 'reference' }, 'which');
    is($r->json->{errors}[0]{detail}, 'other records refer to this one',
       'and what it is about that one');

    $r = bulk({ operation => 'upsert', on => ['sku'], update => ['sku'],
                records => [{ sku => 'a', name => 'a' }] });
    is_deeply(items($r), { '/update/0' => 'readonly' },
              'what says which record it is cannot be updated');

    $r = bulk({ operation => 'delete', ids => [1, 2, 99] }, '/api/makers');
    is($r->code, 404, 'not there');
    is_deeply(items($r), { '/ids/1' => 'not_found', '/ids/2' => 'not_found' },
              'which');
    is(value('SELECT count(*) FROM makers'), 4, 'nothing is done');

    $r = bulk({ operation => 'create', records => [
        map { { code => "c$_", name => 'x' } } 'a' .. 'c' ] }, '/api/codes');
    is($r->code, 200, 'keys of clients');
    is(bulk({ operation => 'delete', ids => [qw(ca cc)] }, '/api/codes')
         ->json->{affected} . '', 2, 'delete by them');
    is(bulk({ operation => 'delete', ids => [7] }, '/api/codes')->code, 422,
       'of another type');
};


subtest 'upsert' => sub {
    $dbh->do('TRUNCATE products, makers RESTART IDENTITY');
    bulk({ operation => 'create', records => [
        map { product($_, stock => 5, tags => ['old']) } qw(a b) ] });

    my $r = bulk({ operation => 'upsert', on => ['sku'], return => $true,
                   records => [ product('n', price => 3),
                                product('b', price => 7, stock => 1),
                                product('a', price => '8') ] });
    is($r->code, 200, 'status') or diag($r->body);
    is_deeply([ counts($r) ],
              [3, 1, 2], 'affected, inserted, updated');
    is_deeply([ map { "$_->{sku} $_->{price} $_->{stock}" }
                @{ $r->json->{data} } ],
              ['n 3.00 0', 'b 7.00 1', 'a 8.00 5'],
              'what is not given stays, in the order of the records');

    $r = bulk({ operation => 'upsert', on => ['sku'], update => ['price'],
                return => $true, records => [
        product('b', price => 9, name => 'other', stock => 77),
        product('m', name => 'fresh') ] });
    is_deeply([ map { "$_->{price} $_->{name} $_->{stock}" }
                @{ $r->json->{data} } ], ['9.00 a 1', '1.50 fresh 0'],
              'only the fields of update');

    my $tag = $t->get('/api/products/1')->header('ETag');
    $r = bulk({ operation => 'upsert', on => ['sku'], update => [],
                return => $true, records => [
        product('x', price => 2), product('a', price => 99, name => 'no') ] });
    is_deeply([ counts($r) ],
              [1, 1, 0], 'nothing is updated');
    is_deeply([ map { "$_->{sku} $_->{price} $_->{name}" }
                @{ $r->json->{data} } ], ['x 2.00 a', 'a 8.00 a'],
              'what is there is answered as it is');
    is($t->get('/api/products/1')->header('ETag'), $tag, 'and untouched');

    $r = bulk({ operation => 'upsert', on => ['sku'], records => [
        product('q'), product('r'), product('q') ] });
    is($r->code, 422, 'the same twice');
    is_deeply(items($r), { '/records/2/sku' => 'duplicate' }, 'where');
    is($r->json->{errors}[0]{detail}, 'the record of /records/0 is the same one',
       'and of what');

    $r = bulk({ operation => 'upsert', on => ['sku'], records => [
        { price => 1, name => 'x' }, product(undef),
        { sku => 'b', price => 3 } ] });
    is_deeply(items($r), { '/records/0/sku' => 'required',
                           '/records/1/sku' => 'null',
                           '/records/2/name' => 'required' },
              'a record must say which it is, and be whole');

    # the key

    $r = bulk({ operation => 'upsert', records => [
        { code => 'k', name => 'one' }, { code => 'l', name => 'two' } ] },
              '/api/codes');
    is($r->json->{inserted} . '', 2, 'by the key') or diag($r->body);
    $r = bulk({ operation => 'upsert', on => ['code'], records => [
        { code => 'k', name => 'three', n => 4 } ] }, '/api/codes');
    is($r->json->{updated} . '', 1, 'again');
    is(value("SELECT name || n FROM codes WHERE code = 'k'"), 'three4', 'set');

    # an index of two, in any order

    for (['shop', 'shelf'], ['shelf', 'shop']) {
        $r = bulk({ operation => 'upsert', on => $_, records => [
            { shop => 'x', shelf => 1, label => "l@$_" },
            { shop => 'x', shelf => 2 } ] }, '/api/places');
        is($r->code, 200, "an index of (@$_)") or diag($r->body);
    }

    is($r->json->{updated} . '', 1, 'set in one');
    is($r->json->{affected} . '', 1, 'and there is nothing to set in the other');
    is(value('SELECT count(*) FROM places'), 2, 'two rows');
    is(bulk({ operation => 'upsert', on => ['shop'], records => [] },
            '/api/places')->code, 400, 'a part of it');

    $r = bulk({ operation => 'upsert', on => ['sku'], max_affected => 1,
                records => [ product('b'), product('new') ] });
    is($r->code, 422, 'max_affected');
    is(value("SELECT count(*) FROM products WHERE sku = 'new'"), 0, 'undone');
    $r = bulk({ operation => 'upsert', on => ['sku'], update => [],
                max_affected => 1, records => [ product('b'),
                                                product('new') ] });
    is($r->code, 200, 'what is left as it is does not count');
};


subtest 'upserts of many shapes' => sub {
    my $records = sub {
        return [ map { my $n = $_; my %r = (code => "c$n");
                       $r{"b$_"} = $true for grep { $n >> $_ & 1 } 0 .. 10;
                       \%r } 1 .. $_[0] ];
    };

    my $r = bulk({ operation => 'upsert', records => $records->(1000) },
                 '/api/wides');
    is($r->code, 200, 'a thousand') or diag($r->body);
    is_deeply([ counts($r) ], [1000, 1000, 0], 'inserted');
    $r = bulk({ operation => 'upsert', return => $true,
                records => $records->(1000) }, '/api/wides');
    is_deeply([ counts($r) ], [1000, 0, 1000], 'updated');
    is_deeply([ map { $_->{code} } @{ $r->json->{data} } ],
              [ map { "c$_" } 1 .. 1000 ], 'in order');

    $r = bulk({ operation => 'upsert', records => $records->(1001) },
              '/api/wides');
    is($r->code, 422, 'and no more');
    is($r->json->{code}, 'too_complex', 'said so');
};


subtest 'upsert by a partial index' => sub {
    $dbh->do('TRUNCATE places RESTART IDENTITY');

    my $name = value("SELECT string_agg(relname, ' ') FROM pg_class WHERE"
                     . " relname ~ '^places_label_[0-9a-f]{8}_key\$'");
    ok($name, 'the index is there');
    like(value('SELECT pg_get_indexdef(?::regclass)', $name),
         qr/UNIQUE INDEX .* WHERE \(?active/, 'with its condition');

    my $i = 0;
    my $put = sub {
        my (%more) = @_;
        return bulk({ operation => 'upsert', on => ['label'], records => [
            map { { shop => 's' . ++$i, shelf => 1, label => $_, %more } }
            qw(a b) ] }, '/api/places');
    };

    my $r = $put->();
    is_deeply([ (counts($r))[1, 2] ], [2, 0],
              'inserted') or diag($r->body);
    $r = $put->();
    is_deeply([ (counts($r))[1, 2] ], [0, 2],
              'updated');
    $r = $put->(active => $false);
    is_deeply([ (counts($r))[1, 2] ], [2, 0],
              'rows that the index leaves out are others');
    is(value('SELECT count(*) FROM places'), 4, 'all are there');

    $r = bulk({ operation => 'upsert', on => ['label'], records => [
        map { { shop => "t$_", shelf => 1, label => '' } } 1 .. 3 ] },
              '/api/places');
    is($r->json->{inserted} . '', 3, 'many that it leaves out');

    $r = bulk({ operation => 'upsert', on => ['label'], records => [
        map { { shop => "u$_", shelf => 1, label => 'same' } } 1 .. 3 ] },
              '/api/places');
    is($r->code, 422, 'the same one twice is refused by the database');

    $r = bulk({ operation => 'upsert', on => ['label'], update => [],
                return => $true, records => [
        { shop => 'v', shelf => 1, label => 'a' } ] }, '/api/places');
    is($r->code, 400, 'what was left as it is cannot be told');
    $r = bulk({ operation => 'upsert', on => ['label'], update => [],
                records => [ { shop => 'v', shelf => 1, label => 'a' } ] },
              '/api/places');
    is($r->json->{inserted} . '', 0, 'but left');
};


# a random literal of a type; JSON text

my @chars = ('a', 'Z', ' ', '"', '\\\\', '\\"', "'", ',', '{', '}', 'NULL',
             '\\n', "\xc3\xa9", "\xe2\x82\xac", '$1', '%', ';--', '(', ')');

sub text {
    return '"' . join('', map { my $c = $chars[rand @chars];
                                $c eq '"' ? '\\"' : $c } 1 .. rand 8) . '"';
}

my %literal = (
    small => sub { int(rand 65536) - 32768 },
    whole => sub { int(rand 2**32) - 2**31 },
    big => sub { (rand() < 0.5 ? '-' : '') . (1 + int rand 9)
                 . join '', map { int rand 10 } 1 .. rand 18 },
    num => sub { (int rand 1000) . '.' . join '', map { int rand 10 }
                                                  1 .. 1 + rand 30 },
    dec => sub { sprintf '%.2f', rand(2e9) - 1e9 },
    flt => sub { sprintf '%.6g', rand() * 10 ** (int(rand 20) - 10) },
    dbl => sub { sprintf '%.17g', rand() * 10 ** (int(rand 200) - 100) },
    yes => sub { rand() < 0.5 ? 'true' : 'false' },
    name => \&text,
    code => sub { '"' . join('', map { chr 97 + rand 26 } 1 .. rand 20) . '"' },
    uid => sub { '"' . join('-', map { join '', map { sprintf '%x', rand 16 }
                                       1 .. $_ } 8, 4, 4, 4, 12) . '"' },
    day => sub { sprintf '"%04d-%02d-%02d"', 1 + rand 3000, 1 + rand 12,
                 1 + rand 28 },
    clock => sub { sprintf '"%02d:%02d:%02d.%06d"', rand 24, rand 60, rand 60,
                   rand 1e6 },
    at => sub { sprintf '"%04d-%02d-%02dT%02d:%02d:%02d.%03d"', 1 + rand 3000,
                1 + rand 12, 1 + rand 28, rand 24, rand 60, rand 60,
                rand 1000 },
    seen => sub { sprintf '"%04d-%02d-%02dT%02d:%02d:%02d%s"', 1000 + rand 2000,
                  1 + rand 12, 1 + rand 28, rand 24, rand 60, rand 60,
                  ('Z', '+01:00', '-11:30')[rand 3] },
    span => sub { sprintf '"P%dM%dDT%dS"', rand 30, rand 40, rand 5000 },
    attrs => sub { ('{"n":1.10,"s":' . text() . '}', '[]', '[1,2.50,null]',
                    'true', text(), '1e400', '{}')[rand 7] },
    data => sub { '"' . MIME::Base64::encode_base64(join('', map {
                  chr rand 256 } 1 .. rand 12), '') . '"' },
    addr => sub { sprintf '"%d.%d.%d.%d"', map { rand 256 } 1 .. 4 },
);

sub list {
    my ($of) = @_;
    return sub {
        return '[' . join(',', map { rand() < 0.15 ? 'null' : $of->() }
                          1 .. rand 5) . ']';
    };
}

$literal{words} = list(\&text);
$literal{nums} = list($literal{whole});
$literal{decs} = list(sub { sprintf '%.2f', rand(2e5) - 1e5 });
$literal{docs} = list($literal{attrs});

my @names = sort keys %literal;


# without what is another each time

sub stored {
    my ($json, @but) = @_;
    $json =~ s/"(?:id|created_at|updated_at)":(?:"[^"]*"|\d+),?//g;
    $json =~ s/"$_":"[^"]*",?// for @but;
    return $json =~ s/,\}$/}/r;
}


# the records of a data array, as they stand

sub data {
    my ($r) = @_;
    my ($text) = $r->body =~ /"data":\[(.*)\]\}\z/s or return;
    return split /(?<=\})(?:,)(?=\{"id":)/, $text;
}


subtest 'uneven records, as single creates' => sub {
    my @records;

    for (1 .. $rounds) {
        my $much = rand;
        push @records, '{' . join(',', map {
            '"' . $_ . '":' . (rand() < 0.1 ? 'null' : $literal{$_}->()) }
            grep { rand() < $much } @names) . '}';
    }

    my $r = bulk('{"operation":"create","return":true,"records":['
                 . join(',', @records) . ']}', '/api/bulks');
    is($r->code, 200, 'created') or diag(substr $r->body, 0, 2000);
    is($r->json->{inserted} . '', $rounds, 'all') if $r->code == 200;

    my @data = data($r);
    my $wrong = 0;

    is(scalar @data, $rounds, 'all are answered');

    for my $i (0 .. $#records) {
        my $single = $t->post('/api/singles', $records[$i]);
        my @but = $records[$i] =~ /"uid"/ ? () : 'uid';

        next if stored($single->body, @but) eq stored($data[$i], @but);

        $wrong++ < 3 and diag("record: $records[$i]\nsingle: "
                              . $single->body . "\nbulk:   $data[$i]");
    }

    is($wrong, 0, 'each as if it were created by itself');

    # what is stored, not only answered

    my @columns = grep { !/^(?:uid)$/ } @names;
    is(value("SELECT count(*) FROM (SELECT @{[ join ',', @columns ]} FROM bulks"
             . " EXCEPT ALL SELECT @{[ join ',', @columns ]} FROM singles) x"),
       0, 'and so they are stored');
};


subtest 'uneven updates, as single ones' => sub {
    my %operator = (
        small => [sub { '{"$min":' . int(rand 100) . '}' }],
        whole => [map { my $op = $_; sub { qq({"\$$op":) . int(rand 20) . '}' } }
                  qw(inc dec max)],
        dec => [sub { '{"$inc":' . sprintf('%.2f', rand 10) . '}' },
                sub { '{"$mul":1.005}' }],
        seen => [sub { '{"$max":"2100-01-01T00:00:00Z"}' }],
        words => [sub { '{"$append":' . text() . '}' },
                  sub { '{"$remove":"x"}' }],
        nums => [sub { '{"$append":' . int(rand 9) . '}' },
                 sub { '{"$append":null}' }],
        attrs => [sub { '{"$merge":{"z":' . text() . '}}' }],
    );

    $dbh->do('UPDATE ' . $_ . ' SET whole = whole % 1000, small = small % 100')
        for qw(singles bulks);

    my @bulk = @{ $dbh->selectcol_arrayref('SELECT id FROM bulks ORDER BY id')
                };

    # creates of several shapes are not numbered in the order of records, so
    # each is made the copy of another first

    $dbh->do('TRUNCATE singles');
    my @columns = join ',', 'id', @names;
    $dbh->do("INSERT INTO singles (@columns) SELECT @columns FROM bulks");

    for my $shapes (3, 1000) {
        my @sets = map { my $much = 0.05 + rand 0.3;
                         [ grep { rand() < $much } @names ] } 1 .. $shapes;
        my @records;

        for my $id (sort { rand() <=> 0.5 } @bulk) {
            my $n = 0;
            my %set;

            for (@{ $sets[rand @sets] }) {
                my $ops = $operator{$_};
                $set{$_} = $shapes > 3 && $ops && rand() < 0.5
                           ? $ops->[rand @$ops]->()
                           : rand() < 0.1 ? 'null' : $literal{$_}->();
            }

            # a json value that begins with $ is none here
            push @records, [ $id, join ',', map { "\"$_\":$set{$_}" }
                                            sort keys %set ];
        }

        my $r = bulk('{"operation":"update","return":true,"records":['
                     . join(',', map { "{\"id\":$_->[0]"
                                       . (length $_->[1] ? ",$_->[1]" : '')
                                       . '}' } @records) . ']}', '/api/bulks');
        is($r->code, 200, "$shapes shapes: updated")
            or diag(substr $r->body, 0, 2000);

        my @data = data($r);
        my $wrong = 0;

        for my $i (0 .. $#records) {
            my $one = $t->patch("/api/singles/$records[$i][0]",
                                "{$records[$i][1]}");

            next if $one->code == 200
                    && stored($one->body) eq stored($data[$i] // '');

            $wrong++ < 3 and diag("record: $records[$i][1]\nsingle: "
                                  . $one->body . "\nbulk:   $data[$i]");
        }

        is($wrong, 0, "$shapes shapes: each as if it were changed by itself");
        is(value("SELECT count(*) FROM (SELECT @columns FROM bulks EXCEPT"
                 . " SELECT @columns FROM singles) x"), 0,
           "$shapes shapes: and so they are stored");
    }
};


subtest 'never a statement for each record' => sub {
    $dbh->do('TRUNCATE products RESTART IDENTITY');
    logged(1);

    my @sql = statements(sub {
        bulk({ operation => 'create',
               records => [ map { product("s$_") } 1 .. 1000 ] });
    });
    is(scalar @sql, 1, 'even records: one statement') or diag(join "\n", @sql);
    like($sql[0], qr/^INSERT INTO "products" .* FROM unnest\(/, 'of arrays');

    @sql = statements(sub {
        bulk({ operation => 'create', return => $true, records => [
            map { product("t$_", $_ % 3 ? (stock => $_) : ()) } 1 .. 1000 ] });
    });
    is(scalar @sql, 2, 'two shapes: two statements, no BEGIN');

    my @odd = map { my $n = $_; '{' . join(',', map { "\"$_\":"
                    . $literal{$_}->() } grep { rand() < 0.5 } @names) . '}' }
              1 .. 500;

    @sql = statements(sub {
        is(bulk('{"operation":"create","records":[' . join(',', @odd) . ']}',
                '/api/bulks')->code, 200, 'hundreds of shapes');
    });
    cmp_ok(scalar @sql, '<', 20, 'a few statements');

    my $ids = $dbh->selectcol_arrayref('SELECT id FROM bulks ORDER BY id'
                                       . ' DESC LIMIT 500');
    @sql = statements(sub {
        my $r = bulk('{"operation":"update","records":[' . join(',', map {
            my $record = $odd[$_]; $record =~ s/^\{/{"id":$ids->[$_],/r
                =~ s/,\}/}/r } 0 .. 499) . ']}', '/api/bulks');
        is($r->code, 200, 'updates of hundreds of shapes') or diag($r->body);
    });
    cmp_ok(scalar @sql, '<', 25, 'a few statements');

    @sql = statements(sub {
        bulk({ operation => 'delete', ids => [ 1 .. 1000 ] });
    });
    is_deeply([ map { (split)[0] } @sql ], [qw(BEGIN DELETE COMMIT)],
              'delete: three');

    @sql = statements(sub {
        bulk({ operation => 'upsert', on => ['sku'], records => [
            map { product("t$_", price => 2) } 1 .. 1000 ] });
    });
    is(scalar @sql, 1, 'upsert: one');

    logged(0);
};


# a record of a few bytes has a place for all that others have

subtest 'very many different sets of fields' => sub {
    my @names = qw(small whole big num dec flt dbl yes name code uid day clock
                   at seen span attrs data addr words nums decs docs);
    my @odd = map {
        '{' . join(',', map { "\"$names[rand @names]\":null" } 1 .. 4) . '}'
    } 1 .. 300;

    # a name may be given once
    @odd = grep { my %n; !grep { $n{$_}++ } /"(\w+)"/g } @odd;

    my $before = $dbh->selectrow_array('SELECT count(*) FROM bulks');
    my $records = join ',', map { $odd[$_ % @odd] } 1 .. 100 * @odd;

    my $r = bulk(qq({"operation":"create","records":[$records]}),
                 '/api/bulks');
    is($r->code, 200, 'each of a hundred records') or diag($r->body);
    is($r->json->{affected}, 100 * @odd);

    # every record is another one
    my $n = 0;
    $records = join ',', map {
        my $bits = $_ << 5 | $_ & 31;
        '{' . join(',', map { $bits >> $_ & 1 ? "\"$names[$_]\":null" : () }
                        0 .. $#names) . '}'
    } 1 .. 99999;

    $r = bulk(qq({"operation":"create","records":[$records]}), '/api/bulks');
    is($r->code, 422, 'all different') or diag(substr $r->body, 0, 300);
    is($r->json->{code}, 'too_complex', 'said so');

    $records =~ s/\{/'{"id":' . ++$n . ','/ge;
    $r = bulk(qq({"operation":"update","records":[$records]}), '/api/bulks');
    is($r->code, 422, 'an update') or diag(substr $r->body, 0, 300);
    is($r->json->{code}, 'too_complex', 'said so');

    is($dbh->selectrow_array('SELECT count(*) FROM bulks'),
       $before + 100 * @odd, 'nothing of it is stored');
};


subtest 'as a whole or not at all' => sub {
    $dbh->do('TRUNCATE products, makers RESTART IDENTITY');
    bulk({ operation => 'create', records => [ product('taken') ] });

    # in the second statement of a request, when the first is done

    my $r = bulk({ operation => 'create', records => [
        (map { product("w$_") } 1 .. 50),
        product('fine', stock => 3), product('taken', stock => 4) ] });
    is($r->code, 409, 'not unique') or diag($r->body);
    is($r->json->{code}, 'unique_violation', 'code');
    is($r->json->{constraint}, 'products_sku_key', 'the constraint');
    is_deeply(items($r), { '/records/51/sku' => 'unique' }, 'which record');
    unlike($r->body, qr/already exists|Key/, 'not in the words of PostgreSQL');

    $r = bulk({ operation => 'create', records => [
        (map { product("w$_") } 1 .. 50), product('w7') ] });
    is_deeply(items($r), { '/records/6/sku' => 'unique',
                           '/records/50/sku' => 'unique' }, 'the same twice');

    $r = bulk({ operation => 'create', records => [
        product('x1'), product('x2', maker_id => 77), product('x3') ] });
    is_deeply(items($r), { '/records/1/maker_id' => 'reference' },
              'a reference to nothing');

    $r = bulk({ operation => 'upsert', on => ['sku'], records => [
        product('taken', price => 3), product('x2', maker_id => 77) ] });
    is($r->code, 409, 'upsert');

    is_deeply(rows('SELECT sku, price FROM products'), [['taken', '1.50']],
              'nothing was done by any of these');

    $r = bulk({ operation => 'create', max_affected => 2,
                records => [ map { product("m$_") } 1 .. 3 ] });
    is($r->code, 422, 'more than max_affected');
    is($r->json->{code}, 'limit_exceeded', 'code');
    is_deeply(items($r), { '/max_affected' => 'limit_exceeded' }, 'where');

    bulk({ operation => 'create', records => [
        map { product("n$_") } 1 .. 5 ] });

    for my $what ({ operation => 'update', set => { stock => 1 } },
                  { operation => 'delete' })
    {
        $r = bulk({ %$what, where => "sku like 'n%'", max_affected => 4 });
        is($r->code, 422, "$what->{operation}: more than max_affected");
        like($r->json->{detail}, qr/\b5 records\b/, 'how many');
        $r = bulk({ %$what, where => "sku like 'n%'", max_affected => 4,
                    return => $true });
        is($r->code, 422, 'with data');
        is(value("SELECT count(*) FROM products WHERE sku LIKE 'n%' AND"
                 . ' stock = 0'), 5, 'nothing is done');
        $r = bulk({ %$what, where => "sku like 'n%'", max_affected => 5 });
        is($r->code, 200, 'no more than that');
        $dbh->do('UPDATE products SET stock = 0');
    }

    # a constraint that is checked at the commit

    $dbh->do('ALTER TABLE codes ADD CONSTRAINT later UNIQUE (name) DEFERRABLE'
             . ' INITIALLY DEFERRED');

    bulk({ operation => 'create', records => [
        map { { code => "z$_", name => "z$_" } } 1 .. 3 ] }, '/api/codes');

    for my $body ({ operation => 'create', records => [
                      { code => 'y1', name => 'y' },
                      { code => 'y2', name => 'z1' } ] },
                  { operation => 'update', records => [
                      { code => 'z1', name => 'q' },
                      { code => 'z2', name => 'z3' } ] })
    {
        $r = bulk($body, '/api/codes');
        is($r->code, 409, "$body->{operation}: refused at the commit");
        is($r->json->{constraint}, 'later', 'by what');
    }

    is_deeply($dbh->selectcol_arrayref("SELECT name FROM codes WHERE code ~"
              . " '^[yz]' ORDER BY 1"), [qw(z1 z2 z3)], 'nothing is done');

    $dbh->do('ALTER TABLE codes DROP CONSTRAINT later');
};


subtest 'dry run' => sub {
    $dbh->do('TRUNCATE products RESTART IDENTITY');
    bulk({ operation => 'create', records => [ map { product($_) } 'a' .. 'e' ]
         });

    my $before = rows('SELECT * FROM products ORDER BY id');

    for my $body (
        { operation => 'create', records => [ product('f') ],
          return => $true },
        { operation => 'create', records => [ product('f'), product('g',
          stock => 1) ], atomic => $false },
        { operation => 'update', records => [ { id => 1, stock => 4 } ],
          return => $true },
        { operation => 'update', where => 'id < 3', set => { stock => 1 } },
        { operation => 'update', where => 'id < 3', set => { stock => 1 },
          return => $true },
        { operation => 'upsert', on => ['sku'], records => [ product('a',
          price => 4), product('h') ] },
        { operation => 'delete', ids => [1, 2] },
        { operation => 'delete', all => $true })
    {
        my $name = DataflowTest::JSON::encode($body);
        my $r = bulk({ %$body, dry_run => $true });

        is($r->code, 200, $name) or diag($r->body);
        is($r->header('X-Dataflow-Dry-Run'), 'true', 'says so');
        cmp_ok($r->json->{affected}, '>', 0, 'with what would be');
        is_deeply(rows('SELECT * FROM products ORDER BY id'), $before,
                  'and does nothing');
    }

    my $r = $t->post('/api/products/bulk?dry_run=true',
                     { operation => 'delete', all => $true });
    is($r->header('X-Dataflow-Dry-Run'), 'true', 'as a parameter');
    is_deeply(rows('SELECT * FROM products ORDER BY id'), $before, 'does so');

    $r = bulk({ operation => 'create', dry_run => $true,
                records => [ product('f'), product('a') ] });
    is($r->code, 409, 'refusals are the same');
    $r = bulk({ operation => 'delete', dry_run => $true, ids => [1, 99] });
    is($r->code, 404, 'all of them');

    $r = bulk({ operation => 'create', dry_run => $true, atomic => $false,
                records => [ product('f'), product('a'), product('f'),
                             product('i'), product('j', price => -1) ] });
    is_deeply([ map { "$_->{status}" } @{ $r->json->{results} } ],
              [201, 409, 409, 201, 422], 'each for itself, against the others')
        or diag($r->body);
    is_deeply(rows('SELECT * FROM products ORDER BY id'), $before, 'undone');
    is(left_open(), 0, 'no transaction is left open');
};


subtest 'each for itself' => sub {
    $dbh->do('TRUNCATE products, makers RESTART IDENTITY');
    $dbh->do("INSERT INTO makers (name) VALUES ('m')");
    bulk({ operation => 'create', records => [
        map { product("old$_") } 0 .. 9 ] });

    my (@records, @want);

    for my $i (0 .. 399) {
        my $kind = rand() < 0.7 ? 'good'
                 : (qw(taken type check reference same))[rand 5];
        my %more = $i % 3 ? () : (stock => $i);

        push @records, $kind eq 'taken' ? product('old' . $i % 10, %more)
            : $kind eq 'type' ? product("e$i", price => 'x')
            : $kind eq 'check' ? product("e$i", name => 'x' x 21)
            : $kind eq 'reference' ? product("e$i", maker_id => 99)
            : $kind eq 'same' ? product('e-same', %more)
            : product("e$i", maker_id => 1, %more);
        push @want, [ $kind, $i ];
    }

    my $same = 0;
    my @status = map { my $k = $_->[0];
        $k eq 'good' ? 201 : $k eq 'taken' || $k eq 'reference' ? 409
        : $k eq 'same' ? ($same++ ? 409 : 201) : 422 } @want;

    my $r = bulk({ operation => 'create', atomic => $false, return => $true,
                   records => \@records });
    is($r->code, 200, 'status') or diag($r->body);

    my $results = $r->json->{results};

    is(scalar @$results, 400, 'a result for each');
    is_deeply([ map { "$_->{index}" } @$results ], [0 .. 399], 'in order');
    is_deeply([ map { "$_->{status}" } @$results ], \@status, 'the right one');
    is($r->json->{data}, undef, 'records stand in the results');

    my $good = grep { $_ == 201 } @status;
    is($r->json->{inserted} . '', $good, 'inserted');
    is(value('SELECT count(*) FROM products') - 10, $good, 'so many are there');

    my @wrong = grep { my $w = $results->[$_];
        $status[$_] == 201
            ? ($w->{record}{sku} // '') ne $records[$_]{sku} || $w->{problem}
            : !$w->{problem} || $w->{record}
              || "$w->{problem}{status}" ne $status[$_]
              || !grep { m{^/records/$w->{index}(?:/|\z)} }
                 keys %{ items($w->{problem}) } } 0 .. 399;
    is_deeply(\@wrong, [], 'each with its record or its problem')
        or diag(DataflowTest::JSON::encode($results->[$wrong[0]]));

    # updates, upserts, deletes

    $r = bulk({ operation => 'update', atomic => $false, records => [
        { id => 1, stock => 5 }, { id => 999_999_999, stock => 1 },
        { id => 2, stock => { '$dec' => 9 } }, { stock => 3 }, { id => 3 },
        { id => 4, sku => 'old0' }, { id => 1, stock => 6 } ] });
    is_deeply([ map { "$_->{status}" } @{ $r->json->{results} } ],
              [200, 404, 422, 422, 200, 409, 422], 'update')
        or diag($r->body);
    is($r->json->{updated} . '', 1, 'what was set');
    is($r->json->{results}[0]{record}, undef, 'no record unless asked for');
    is(value('SELECT stock FROM products WHERE id = 1'), 5, 'stored');

    $r = bulk({ operation => 'upsert', atomic => $false, on => ['sku'],
                records => [ product('old1', price => 5), product('u1'),
                             product('u2', maker_id => 99), { sku => 'u3' },
                             product('u1') ] });
    is_deeply([ map { "$_->{status}" } @{ $r->json->{results} } ],
              [200, 201, 409, 422, 422], 'upsert') or diag($r->body);
    is_deeply([ counts($r) ],
              [2, 1, 1], 'counted');

    $r = bulk({ operation => 'upsert', atomic => $false, on => ['sku'],
                update => [], return => $true, records => [
        product('old1', price => 7), product('u9') ] });
    is_deeply([ map { "$_->{status} $_->{record}{price}" }
                @{ $r->json->{results} } ], ['200 5.00', '201 1.50'],
              'upsert that leaves rows as they are');

    my ($in) = map { $_->[0] } @{ rows('SELECT maker_id FROM products WHERE'
                                       . ' maker_id IS NOT NULL LIMIT 1') };
    $dbh->do("INSERT INTO makers (name) VALUES ('free'), ('free')");
    $r = bulk({ operation => 'delete', atomic => $false,
                ids => [2, $in, 77, 3, 'x', 2] }, '/api/makers');
    is_deeply([ map { "$_->{status}" } @{ $r->json->{results} } ],
              [204, 409, 404, 204, 422, 422], 'delete') or diag($r->body);

    is(bulk({ operation => 'create', atomic => $false, records => [] })->body,
       '{"operation":"create","affected":0,"inserted":0,"results":[]}',
       'no records');
    $r = bulk({ operation => 'create', atomic => $false, records => [ {}, {} ] });
    is_deeply([ map { "$_->{status}" } @{ $r->json->{results} } ], [422, 422],
              'all of them wrong');

    $r = bulk({ operation => 'create', atomic => $false, max_affected => 1,
                records => [ product('v'), product('w') ] });
    is($r->code, 422, 'max_affected is for the request');

    # all refused by the database

    $r = bulk({ operation => 'create', atomic => $false, records => [
        map { product('old' . $_ % 10) } 1 .. 300 ] });
    is(scalar(grep { $_->{status} == 409 } @{ $r->json->{results} }), 300,
       'all refused by the database');
};


subtest 'triggers that leave records out' => sub {
    $dbh->do('CREATE FUNCTION leave() RETURNS trigger LANGUAGE plpgsql AS'
             . " 'BEGIN IF NEW.n = 13 THEN RETURN NULL; END IF;"
             . " RETURN NEW; END'");
    $dbh->do('CREATE TRIGGER leave BEFORE INSERT ON readings'
             . ' FOR EACH ROW EXECUTE FUNCTION leave()');
    $dbh->do('TRUNCATE readings');

    my $r = bulk({ operation => 'create', return => $true, records => [
        map { { n => $_ } } 12, 13, 14 ] }, '/api/read');
    is($r->json->{inserted} . '', 2, 'are not counted');
    is_deeply([ map { "$_->{n}" } @{ $r->json->{data} } ], [12, 14],
              'and not answered');

    $r = bulk({ operation => 'create', atomic => $false, return => $true,
                records => [ map { { n => $_ } } 11, 12, 13, 14, 13 ] },
              '/api/read');
    is_deeply([ map { "$_->{status}" } @{ $r->json->{results} } ],
              [201, 201, 409, 201, 409], 'each is told');
    is_deeply([ map { $_->{record} ? "$_->{record}{n}" : '' }
                @{ $r->json->{results} } ], [11, 12, '', 14, ''],
              'with its own record');
    is(value('SELECT count(*) FROM readings'), 5, 'so many are there');

    $dbh->do('DROP TRIGGER leave ON readings');
};


subtest 'names are never SQL' => sub {
    my $before = value('SELECT count(*) FROM products');

    for my $name ('sku"', 'sku" = "sku', "sku'; DROP TABLE products; --",
                  'sku) DO UPDATE SET name = (', '"sku"', 'sku,name', 'SKU',
                  't0.sku', 'xmin', 'ctid', '*', '', 's."1"', '$1', "\x{e9}")
    {
        my $json = DataflowTest::JSON::encode($name);

        for my $body (
            qq({"operation":"upsert","on":[$json],"records":[]}),
            qq({"operation":"upsert","on":["sku",$json],"records":[]}),
            qq({"operation":"upsert","on":["sku"],"update":[$json],)
            . '"records":[]}',
            qq({"operation":"update","where":"id = 1","set":{$json:1}}),
            qq({"operation":"update","records":[{"id":1,$json:1}]}),
            qq({"operation":"create","records":[{$json:1}]}),
            qq({"operation":"delete","filter":{$json:1}}),
            qq({"operation":$json,"records":[]}),
            qq({$json:1,"operation":"create","records":[]}))
        {
            my $r = bulk($body);
            ok($r->code == 400 || $r->code == 422, "$body: refused")
                or diag($r->code . ' ' . $r->body);
        }
    }

    my @values = ("'; DROP TABLE products; --", '{a,b}', 'NULL', '\\', '"',
                  '","', '$1', "a\nb", '(1)', "\x{20ac}");
    my $r = bulk({ operation => 'create', return => $true, records => [
        map { product($values[$_], name => 'v') } 0 .. $#values ] });
    is_deeply([ map { $_->{sku} } @{ $r->json->{data} } ], \@values,
              'values are values');
    is(value('SELECT count(*) FROM products') - $before, scalar @values,
       'nothing else happened');

    is(bulk('{"operation":"create","records":[{"sku":"a\u0000b","name":"x",'
            . '"price":1}]}')->code, 422, 'U+0000');
    is(bulk("{\"operation\":\"create\",\"records\":[{\"sku\":\"\xff\"}]}")->code,
       400, 'no UTF-8');
};


subtest 'very many' => sub {
    $dbh->do('TRUNCATE readings');

    my $r = bulk('{"operation":"create","records":['
                 . join(',', ('{}') x 100_001) . ']}', '/api/read');
    is($r->code, 400, '100001 records') or diag($r->body);
    is_deeply(items($r), { '/records' => 'limit_exceeded' }, 'too many');

    $r = bulk('{"operation":"create","records":['
              . join(',', map { "{\"n\":$_}" } 1 .. 100_000) . ']}',
              '/api/read');
    is($r->code, 200, '100000 records') or diag($r->body);
    is($r->json->{inserted} . '', 100_000, 'are inserted');
    is(value('SELECT sum(n) FROM readings'), 5_000_050_000, 'all of them');

    $r = bulk('{"operation":"create","records":['
              . join(',', ('{}') x 30_000) . ']}', '/api/read');
    is($r->json->{inserted} . '', 30_000, 'of defaults only');

    my $max = value('SELECT max(id) FROM readings');
    $r = bulk({ operation => 'update', return => $true,
                where => "id > $max - 1001", set => { n => 1 } }, '/api/read');
    is($r->code, 422, 'more than a list can be, with return');
    like($r->json->{detail}, qr/\b1000 records\b/, 'said so');
    $r = bulk({ operation => 'update', return => $true,
                where => "id > $max - 1000", set => { n => 1 } }, '/api/read');
    is(scalar @{ $r->json->{data} }, 1000, 'as many');
    $r = bulk({ operation => 'update', where => "id > $max - 1001",
                set => { n => 2 } }, '/api/read');
    is($r->json->{updated} . '', 1001, 'without it any number');

    $dbh->do('TRUNCATE readings');
};


subtest 'sums, by many at once' => sub {
    $dbh->do('TRUNCATE products RESTART IDENTITY');
    bulk({ operation => 'create', records => [
        map { product("s$_") } 1 .. 40 ] });

    my @notes = DataflowTest::Client->load($t, 6, sub {
        my ($c, $i) = @_;
        return if ++$c->{n} > 25;

        my %seen;
        my @ids = grep { !$seen{$_}++ } map { 1 + int rand 40 } 1 .. 20;
        my $by = 1 + int rand 5;

        my $body = $c->{n} % 3
            ? { operation => 'update', records => [
                  map { { id => $_, stock => { '$inc' => $by } } } @ids ] }
            : { operation => 'update', filter => { id => { '$in' => \@ids } },
                set => { stock => { '$inc' => $by } } };
        my $r = $c->request('POST', '/api/products/bulk', $body);

        return [ $r->code, $by * @ids, $r->problem ];
    })->wait;

    my $sum = 0;
    $sum += $_->[1] for grep { $_->[0] == 200 } @notes;

    is(scalar @notes, 150, 'all were answered');
    is_deeply([ grep { $_->[0] != 200 && $_->[2] ne 'serialization_failure' }
                @notes ], [], 'done, or not for others');
    is(value('SELECT sum(stock) FROM products'), $sum, 'nothing is lost');
};


subtest 'a deadlock' => sub {
    $dbh->do('TRUNCATE products RESTART IDENTITY');
    bulk({ operation => 'create', records => [
        map { product("d$_") } 1 .. 3 ] });
    $dbh->do("ALTER SYSTEM SET deadlock_timeout = '400ms'");
    $dbh->do('SELECT pg_reload_conf()');

    # who looks first gives way, and that is never this one

    my $lock = $t->pg->connect($t->database);
    $lock->do("SET deadlock_timeout = '5s'");

    for my $atomic ($true, $false) {
        $lock->begin_work;
        $lock->do('SELECT 1 FROM products WHERE id = 3 FOR UPDATE');

        my $c = DataflowTest::Client->new($t);
        $c->send('POST', '/api/products/bulk',
                 { operation => 'update', atomic => $atomic, records => [
                   map { { id => $_, stock => { '$inc' => 1 } } } 1 .. 3 ] });

        for (1 .. 100) {
            last if value("SELECT count(*) FROM pg_stat_activity WHERE"
                          . " wait_event_type = 'Lock' AND datname = ?",
                          $t->database);
            sleep 0.01;
        }

        $lock->do('SELECT 1 FROM products WHERE id = 1 FOR UPDATE');
        $lock->commit;

        my $r = $c->read;
        is($r->code, 200, 'is tried again') or diag($r->body);
        like($r->body, qr/"updated":3/, 'and done');
    }

    is_deeply(rows('SELECT stock FROM products'), [[2], [2], [2]], 'once');
    $dbh->do('ALTER SYSTEM RESET deadlock_timeout');
    $dbh->do('SELECT pg_reload_conf()');
};


subtest 'a backend that is killed in the middle' => sub {
    $dbh->do('TRUNCATE products RESTART IDENTITY');
    bulk({ operation => 'create', records => [
        map { product("k$_") } 1 .. 20 ] });

    my $lock = $t->pg->connect($t->database);

    for my $what (
        [ 'create', { operation => 'create', records => [
            (map { product("x$_") } 1 .. 10), product('k20', stock => 1) ] },
          "INSERT INTO products (sku, name, price) VALUES ('x10', 'a', 1)" ],
        [ 'update', { operation => 'update', records => [
            map { { id => $_, stock => 3 } } 1 .. 20 ] },
          'SELECT 1 FROM products WHERE id = 20 FOR UPDATE' ],
        [ 'delete', { operation => 'delete', where => 'id > 3' },
          'SELECT 1 FROM products WHERE id = 20 FOR UPDATE' ],
        [ 'each', { operation => 'update', atomic => $false, records => [
            map { { id => $_, stock => 3 } } 1 .. 20 ] },
          'SELECT 1 FROM products WHERE id = 20 FOR UPDATE' ])
    {
        my ($name, $body, $sql) = @$what;
        my $before = rows('SELECT id, sku, stock FROM products ORDER BY id');

        $lock->begin_work;
        $lock->do($sql);

        my $c = DataflowTest::Client->new($t);
        $c->send('POST', '/api/products/bulk', $body);

        my $pid;
        for (1 .. 100) {
            $pid = value("SELECT pid FROM pg_stat_activity WHERE"
                         . " wait_event_type = 'Lock' AND datname = ?",
                         $t->database) and last;
            sleep 0.02;
        }

        ok($pid, "$name: waits for a lock");

        # more than once: what was not done is tried again

        for (1 .. 300) {
            $dbh->do('SELECT pg_terminate_backend(pid) FROM pg_stat_activity'
                     . " WHERE wait_event_type = 'Lock' AND datname = ?",
                     undef, $t->database);
            last if IO::Select->new($c->{socket})->can_read(0.02);
        }

        my $r = $c->read;
        is($r->code, 503, "$name: unavailable") or diag($r->body);
        isnt($r->problem, 'outcome_unknown', "$name: nothing was done");
        $lock->rollback;
        is_deeply(rows('SELECT id, sku, stock FROM products ORDER BY id'),
                  $before, "$name: nothing was");
    }
};


# a deferred trigger waits in the commit

subtest 'a backend that is killed at the commit' => sub {
    $dbh->do('CREATE FUNCTION late() RETURNS trigger LANGUAGE plpgsql AS'
             . " 'BEGIN PERFORM pg_advisory_xact_lock(63); RETURN NULL; END'");
    $dbh->do('CREATE CONSTRAINT TRIGGER late AFTER INSERT OR UPDATE ON products'
             . ' DEFERRABLE INITIALLY DEFERRED FOR EACH ROW'
             . ' EXECUTE FUNCTION late()');

    my $lock = $t->pg->connect($t->database);
    $lock->do('SELECT pg_advisory_lock(63)');

    for my $body (
        { operation => 'update', records => [ { id => 1, stock => 77 },
                                              { id => 2, stock => 77 } ] },
        { operation => 'create', atomic => $false, records => [
            product('late1'), product('late2') ] })
    {
        my $c = DataflowTest::Client->new($t);
        $c->send('POST', '/api/products/bulk', $body);

        my $n = 0;
        for (1 .. 100) {
            $n = $dbh->do('SELECT pg_terminate_backend(pid) FROM'
                          . ' pg_stat_activity WHERE wait_event_type = ?'
                          . ' AND datname = ?', undef, 'Lock', $t->database);
            last if $n > 0;
            sleep 0.02;
        }

        my $r = $c->read;
        is($r->code, 503, "$body->{operation}: unavailable")
            or diag($r->body);
        isnt($r->problem, 'outcome_unknown', 'PostgreSQL has told that not');
        is(value("SELECT count(*) FROM products WHERE stock = 77 OR sku LIKE"
                 . " 'late%'"), 0, 'nothing was done');
    }

    $lock->do('SELECT pg_advisory_unlock(63)');
    $lock->disconnect;
    $dbh->do('DROP TRIGGER late ON products');
};


subtest 'clients that leave' => sub {
    my $before = rows('SELECT id, sku, stock FROM products ORDER BY id');
    my $lock = $t->pg->connect($t->database);

    $lock->begin_work;
    $lock->do('LOCK TABLE products');

    my @c = map { my $c = DataflowTest::Client->new($t);
                  $c->send('POST', '/api/products/bulk', $_); $c } (
        { operation => 'create', records => [ map { product("l$_") } 1 .. 99 ] },
        { operation => 'update', all => $true, set => { stock => 9 } },
        { operation => 'delete', ids => [1, 2] },
        { operation => 'create', atomic => $false,
          records => [ product('k1'), product('l100') ] });

    sleep 0.2;
    $_->reset for @c;

    my $left = 1;
    for (1 .. 150) {
        $left = value("SELECT count(*) FROM pg_stat_activity WHERE datname = ?"
                      . " AND wait_event_type = 'Lock'", $t->database) or last;
        sleep 0.02;
    }

    is($left, 0, 'their statements are cancelled');
    $lock->rollback;
    is_deeply(rows('SELECT id, sku, stock FROM products ORDER BY id'), $before,
              'and undone');
    is(left_open(), 0, 'no transaction is left open');
    is(bulk({ operation => 'create', records => [ product('after') ] })->code,
       200, 'others go on');
};


subtest 'a statement that takes too long' => sub {
    my $lock = $t->pg->connect($t->database);
    my $s = DataflowTest->new(
        database => 'timeout statement=300ms;', migrate => 'off',
        conninfo => $t->conninfo, models => <<'CONF')->start;
            location /api/products {
                dataflow_model products {
                    field sku text required unique;
                    field name text required;
                    field price numeric(12,2) required;
                    field stock integer;
                }
            }
CONF

    $lock->begin_work;
    $lock->do('LOCK TABLE products');

    for my $atomic ($true, $false) {
        my $r = $s->post('/api/products/bulk',
                         { operation => 'create', atomic => $atomic,
                           records => [ product('t1'), product('t2') ] });
        is($r->code, 504, 'is told so');
        is($r->json->{code}, 'statement_timeout', 'code');
    }

    $lock->rollback;
    is(value("SELECT count(*) FROM products WHERE sku LIKE 't_'"), 0,
       'nothing was done');
    is_deeply([$s->finish], [], 'ended cleanly');
};


# a condition changed: the index of the former one is told of

subtest 'the condition of an index changes' => sub {
    my $s = DataflowTest->new(models => <<'CONF')->start;
        location /a {
            dataflow_model a {
                field n integer; field m text;
                index n unique "where=m = 'it''s'";
                index m where=n>3;
            }
        }
CONF

    my $get = sub {
        return $s->dbh->selectcol_arrayref('SELECT indexname FROM pg_indexes'
            . " WHERE tablename = 'a' AND indexname ~ '_[0-9a-f]{8}_' ORDER BY"
            . ' 1');
    };

    my $first = $get->();
    is(scalar @$first, 2, 'two indexes');

    $s->write_conf(models => $s->{models} =~ s/m = 'it''s'/m = 'other'/r);
    $s->reload;

    my ($was) = grep { /_key$/ } @$first;
    ok($s->wait_log(qr/index "$was" of table "a" has a condition that is not /),
       'the former is reported') or diag($s->error_log);
    is(scalar @{ $get->() }, 3, 'the new one is made');

    for (['index n unique where=x;', qr/has no field "x".*in .*nginx.conf:/],
         ['index n "where=n +";', qr/where: /],
         ['index n where=n;', qr/where: /],
         ['index n "where=count(n) > 1";', qr/where: /],
         ['index where=n;', qr/no field before "where=n"/])
    {
        my ($line, $said) = @$_;
        $s->write_conf(models => "location /a { dataflow_model a { field n "
                                 . "integer; $line } }");
        my ($ok, $out) = $s->check_conf;
        ok(!$ok, "refused: $line");
        like($out, $said, 'said why');
    }

    is_deeply([$s->finish], [], 'ended cleanly');
};


$t->done;
