use strict;
use warnings;

use Test::More;

use DataflowTest;

# create, update, replace, delete

my $t = DataflowTest->new(models => <<'CONF')->start;
        location /api/products {
            dataflow_model products {
                field sku      text           required unique;
                field name     text           required max=20;
                field price    numeric(12,2)  required min=0;
                field stock    integer        default=0 min=0;
                field big      bigint;
                field tags     text[];
                field attrs    json;
                field seen     timestamptz;
                field size     smallint       min=-9 max=32000;
                field kind     text           enum=a,b;
                field source   text           default=web readonly;
            }
        }

        location /api/lines {
            dataflow_model lines {
                field product_id bigint required;
                relation product products product_id;
            }
        }
CONF

my %minimal = (Prefer => 'return=minimal');

sub product {
    my ($sku, %more) = @_;
    return { sku => $sku, name => 'a', price => '1.50', %more };
}


subtest 'create' => sub {
    my $r = $t->post('/api/products', '{"sku":"a","name":"A","price":10.50,'
                     . '"big":9007199254740993,"tags":["x",null,"y z"],'
                     . '"attrs":{"n":1.10,"deep":[1e400]}}');

    is($r->code, 201, 'status') or diag($r->body);
    is($r->header('Location'), '/api/products/1', 'Location');
    like($r->header('ETag'), qr/^"\d+-[0-9a-f]{8}"$/, 'ETag');
    is($r->json_text('price'), '10.50', 'numeric');
    is($r->json_text('big'), '9007199254740993', 'bigint');
    is($r->json_text('stock'), '0', 'default');
    is($r->json_text('source'), '"web"', 'default of a readonly field');
    like($r->body, qr/"tags":\["x",null,"y z"\]/, 'array');
    like($r->body, qr/"n": ?1\.10/, 'json keeps its digits');

    my $get = $t->get('/api/products/1');
    is($get->body, $r->body, 'the same as GET');
    is($get->header('ETag'), $r->header('ETag'), 'with the same tag');

    is($t->post('/api/products?fields=id,sku', product('b'))->body,
       '{"id":2,"sku":"b"}', 'fields');

    $r = $t->post('/api/products', product('c'), %minimal);
    is($r->code, 201, 'minimal');
    is($r->body, '', 'empty');
    is($r->header('Preference-Applied'), 'return=minimal', 'said so');
    is($r->header('Location'), '/api/products/3', 'Location');
};


subtest 'problems of a body' => sub {
    my $r = $t->post('/api/products', { nam => 'x', price => -1, stock => 'y',
                                        source => 'z', id => 7,
                                        name => 'x' x 21 });

    is($r->code, 422, 'status');
    is($r->json->{code}, 'validation_failed', 'code');
    is_deeply({ map { $_->{pointer} => $_->{code} }
                    @{ $r->json->{errors} } },
              { '/nam' => 'unknown_field', '/price' => 'range',
                '/stock' => 'type', '/source' => 'readonly',
                '/id' => 'readonly', '/name' => 'length',
                '/sku' => 'required' },
              'all together') or diag($r->body);

    for my $body ('[]', '1', 'null', '"a"') {
        is($t->post('/api/products', $body)->code, 422, "the body $body");
    }

    for my $body ('{', '{"a":}', "{\"a\":\"\xff\"}", '{} {}', "\0", '{"a":1,}',
                  '{"attrs":' . '[' x 10000 . ']' x 10000 . '}')
    {
        $r = $t->post('/api/products', $body);
        is($r->code, 400, substr $body, 0, 20);
        is($r->json->{code}, 'invalid_json', 'said so');
        like($r->json->{detail}, qr/^line 1, column \d+: /, 'where');
    }

    $r = $t->post('/api/products', product('a'));
    is($r->code, 409, 'not unique');
    is($r->json->{code}, 'unique_violation', 'code');
    is($r->json->{sqlstate}, '23505', 'SQLSTATE');
    is($r->json->{errors}[0]{pointer}, '/sku', 'which');

    $r = $t->post('/api/lines', { product_id => 99 });
    is($r->code, 409, 'no such product');
    is($r->json->{code}, 'foreign_key_violation', 'code');
};


subtest 'update' => sub {
    my $r = $t->patch('/api/products/1', { name => 'B' });
    is($r->code, 200, 'status') or diag($r->body);
    is($r->json->{name}, 'B', 'changed');
    is($r->json_text('price'), '10.50', 'the others stay');
    isnt($r->json->{updated_at}, $r->json->{created_at}, 'updated_at');
    is($t->get('/api/products/1')->body, $r->body, 'the same as GET');

    $r = $t->patch('/api/products/1', { name => 'C' }, %minimal);
    is($r->code, 204, 'minimal');
    is($r->header('Preference-Applied'), 'return=minimal', 'said so');
    is($r->header('ETag'), $t->get('/api/products/1')->header('ETag'),
       'with the new tag');

    is($t->patch('/api/products/99', { name => 'C' })->code, 404, 'none');
    is($t->patch('/api/products/1', { name => undef })->code, 422, 'null');
    is($t->patch('/api/products/1', { attrs => undef })->json->{attrs},
       undef, 'null of a field that may be');
};


subtest 'update operators' => sub {
    my @steps = (
        ['{"stock":{"$inc":5}}', stock => 5],
        ['{"stock":{"$dec":2}}', stock => 3],
        ['{"stock":{"$mul":3}}', stock => 9],
        ['{"stock":{"$min":4}}', stock => 4],
        ['{"stock":{"$max":7}}', stock => 7],
        ['{"price":{"$inc":0.25}}', price => '10.75'],
        ['{"tags":["a"]}', tags => ['a']],
        ['{"tags":{"$append":"b"}}', tags => ['a', 'b']],
        ['{"tags":{"$remove":"a"}}', tags => ['b']],
        ['{"attrs":{"a":1,"b":2}}', attrs => { a => 1, b => 2 }],
        ['{"attrs":{"$merge":{"b":3,"c":4}}}',
         attrs => { a => 1, b => 3, c => 4 }],
    );

    for (@steps) {
        my ($body, $name, $value) = @$_;

        my $r = $t->patch('/api/products/1', $body);
        is($r->code, 200, $body) or diag($r->body);
        is(DataflowTest::JSON::encode(plain($r->json->{$name})),
           DataflowTest::JSON::encode(plain($value)), "$body: value");
    }

    like($t->patch('/api/products/1', '{"seen":{"$now":true}}')->json->{seen},
         qr/^\d{4}-/, '$now');

    my $r = $t->patch('/api/products/1', '{"stock":{"$dec":100}}');
    is($r->code, 422, 'the field\'s min holds');

    $r = $t->patch('/api/products/1', '{"stock":{"$incr":1}}');
    is($r->code, 422, 'unknown operator');
    like($r->body, qr/\$inc\\"/, 'the nearest is said');
};


subtest 'operators that a field does not take' => sub {
    my %problem = (
        '{"stock":{"$incr":1}}' =>
            '"stock" takes no operator "$incr"; did you mean "$inc"? It takes '
            . '$inc, $dec, $mul, $min, $max',
        '{"stock":{"inc":1}}' =>
            '"stock" takes no operator "inc"; did you mean "$inc"? It takes '
            . '$inc, $dec, $mul, $min, $max',
        '{"name":{"$inc":1}}' =>
            '"name" takes no operator "$inc"; it takes $min, $max',
        '{"tags":{"$push":"a"}}' =>
            '"tags" takes no operator "$push"; it takes $append, $remove',
        '{"stock":{"$inc":1,"$max":2}}' => '"$inc" has to stand alone',
        '{"attrs":{"$mrege":{"a":1}}}' =>
            '"attrs" takes no operator "$mrege"; did you mean "$merge"? It '
            . 'takes $merge; PUT stores such an object as a value',
        '{"attrs":{"$set":{"a":1}}}' =>
            '"attrs" takes no operator "$set"; it takes $merge; PUT stores '
            . 'such an object as a value',
        '{"attrs":{"$inc":1}}' =>
            '"attrs" takes no operator "$inc"; it takes $merge; PUT stores '
            . 'such an object as a value',
        '{"attrs":{"$merge":{"a":1},"z":2}}' =>
            '"$merge" has to stand alone; PUT stores such an object as a '
            . 'value',
        '{"attrs":{"z":2,"$merge":{"a":1}}}' =>
            '"$merge" has to stand alone; PUT stores such an object as a '
            . 'value',
        '{"attrs":{"z":2,"$ref":"#"}}' =>
            '"attrs" takes no operator "$ref"; it takes $merge; PUT stores '
            . 'such an object as a value',
    );

    my $before = $t->get('/api/products/1')->body;

    for my $body (sort keys %problem) {
        my $r = $t->patch('/api/products/1', $body);
        my ($name) = $body =~ /"(\w+)"/;

        is($r->code, 422, $body) or diag($r->body);
        is_deeply($r->json->{errors},
                  [{ pointer => "/$name", code => 'unknown_operator',
                     detail => $problem{$body} }], "$body: what is wrong");
    }

    is($t->get('/api/products/1')->body, $before, 'nothing was changed');

    my $r = $t->patch('/api/products/1', '{"stock":{"amount":1}}');
    is($r->json->{errors}[0]{code}, 'type', 'an object that is none');
    $r = $t->patch('/api/products/1', '{"tags":{"a":1}}');
    is($r->json->{errors}[0]{detail},
       'expected an array with each element a string', 'for an array');

    is($t->patch('/api/products/1', '{"attrs":{"deep":{"$ref":"#"}}}')->code,
       200, 'a name with $ further down is a name');

    for my $value ('{"$merge": {"a": 1}}', '{"$mrege": 1}', '{"$inc": 1}',
                   '{"z": 1, "$ref": "#"}')
    {
        $r = $t->post('/api/products', '{"sku":"json","name":"a","price":1,'
                      . qq("attrs":$value}));
        is($r->code, 201, "POST: $value") or diag($r->body);
        like($r->body, qr/"attrs":\Q$value\E/, "$value is a value");

        my $path = $r->header('Location');
        $r = $t->put($path, '{"sku":"json","name":"a","price":1,'
                     . qq("attrs":$value}));
        is($r->code, 200, "PUT: $value") or diag($r->body);
        like($r->body, qr/"attrs":\Q$value\E/, "$value is a value");

        $t->delete($path);
    }
};


subtest 'what only the database can refuse' => sub {
    my $path = $t->post('/api/products', product('bounds', size => 30000,
                                                 kind => 'a'))
                 ->header('Location');

    for (['{"stock":{"$dec":100}}', '/stock', 'check',
          'the value is not allowed: min=0'],
         ['{"size":{"$mul":2}}', '/size', 'range',
          'the result is out of the range of smallint'],
         ['{"price":{"$inc":9999999999}}', '/price', 'range',
          'the result is out of the range of numeric(12,2)'],
         ['{"name":"b","size":{"$inc":9999},"seen":{"$now":true}}', '/size',
          'range', 'the result is out of the range of smallint'])
    {
        my ($body, $pointer, $code, $detail) = @$_;

        my $r = $t->patch($path, $body);
        is($r->code, 422, $body) or diag($r->body);
        is_deeply($r->json->{errors},
                  [{ pointer => $pointer, code => $code,
                     detail => $detail }], "$body: where and why");
    }

    my $r = $t->patch($path, '{"size":{"$inc":9999},"stock":{"$inc":1}}');
    is($r->code, 422, 'one of two');
    is($r->json->{errors}, undef, 'which one is not said');

    # the enum, past what is checked before

    $t->dbh->do('CREATE FUNCTION spoil() RETURNS trigger LANGUAGE plpgsql AS'
                . " 'BEGIN NEW.kind = upper(NEW.kind); RETURN NEW; END'");
    $t->dbh->do('CREATE TRIGGER spoil BEFORE UPDATE OF kind ON products'
                . ' FOR EACH ROW EXECUTE FUNCTION spoil()');

    is($t->patch($path, '{"kind":"b"}')->json->{errors}[0]{detail},
       'the value is not allowed: enum=a,b', 'the enum');

    $t->delete($path);
};


sub plain {
    my ($v) = @_;
    return ref $v eq 'ARRAY' ? [ map { plain($_) } @$v ]
         : ref $v eq 'HASH' ? { map { $_ => plain($v->{$_}) } keys %$v }
         : defined $v ? "$v" : undef;
}


subtest 'replace' => sub {
    my $r = $t->put('/api/products/1', { sku => 'a', name => 'R',
                                         price => 3 });
    is($r->code, 200, 'status') or diag($r->body);
    is($r->json_text('price'), '3.00', 'set');
    is($r->json_text('stock'), '0', 'the default');
    is($r->json->{tags}, undef, 'or null');

    is($t->put('/api/products/1', { sku => 'a', name => 'R' })->code, 422,
       'a required field is missing');
    is($t->put('/api/products/99', product('z'))->code, 404, 'none');

    my $body = $t->get('/api/products/1')->body;
    is($t->put('/api/products/1', $body)->code, 200,
       'what GET answers may be sent back');

    is($t->put('/api/products/1', product('a', id => 2))->code, 422,
       'with another key');
    is($t->put('/api/products/1',
               product('a', created_at => '2020-01-01T00:00:00Z'))->code, 422,
       'with another created_at');
};


subtest 'If-Match where it is not taken' => sub {
    my $count = $t->dbh->selectrow_array('SELECT count(*) FROM products');

    for (['', { name => 'a', price => 1 }], ['/query', {}],
         ['/aggregate', { aggregate => { n => 'count(*)' } }],
         ['/bulk', { operation => 'delete', all => \1 }])
    {
        my ($path, $body) = @$_;

        for my $tag ('"1-00000000"', '*', 'x') {
            my $r = $t->post("/api/products$path", $body, 'If-Match' => $tag);
            is($r->code, 400, "POST $path, $tag") or diag($r->body);
            is($r->json->{errors}[0]{header}, 'If-Match', 'is named');
        }
    }

    my $r = $t->request('POST', '/api/products/bulk',
                        { 'If-Match' => '*', 'Content-Type' => 'text/csv' },
                        "name,price\na,1\n");
    is($r->code, 400, 'an import');
    is($r->json->{errors}[0]{header}, 'If-Match', 'is named');

    is($t->dbh->selectrow_array('SELECT count(*) FROM products'), $count,
       'nothing was done');
    is($t->get("/api/products$_", 'If-Match' => '"1-00000000"')->code, 200,
       "GET $_") for '', '/aggregate?count=*';
};


subtest 'If-Match' => sub {
    my $old = $t->get('/api/products/1')->header('ETag');
    my $r = $t->patch('/api/products/1', { stock => 1 }, 'If-Match' => $old);
    is($r->code, 200, 'fresh') or diag($r->body);

    my $new = $r->header('ETag');
    isnt($new, $old, 'a new tag');

    for my $method (qw(PATCH PUT DELETE)) {
        my $body = $method eq 'PATCH' ? { stock => 2 }
                 : $method eq 'PUT' ? product('a') : undef;

        $r = $t->request($method, '/api/products/1', { 'If-Match' => $old },
                         $body);
        is($r->code, 412, "$method with a stale tag");
        is($r->json->{code}, 'precondition_failed', 'said so');

        $r = $t->request($method, '/api/products/99', { 'If-Match' => $old },
                         $body);
        is($r->code, 404, "$method of nothing");
    }

    is($t->patch('/api/products/1', { stock => 3 },
                 'If-Match' => "\"x\", $new")->code, 200, 'one of several');
    is($t->patch('/api/products/1', { stock => 3 }, 'If-Match' => '*')->code,
       200, '*');
    is($t->patch('/api/products/1', { stock => 3 },
                 'If-Match' => "W/$new")->code, 412, 'a weak tag never');
};


subtest 'dry run' => sub {
    my $r = $t->post('/api/products?dry_run=true', product('dry'));
    is($r->code, 200, 'create');
    is($r->json->{sku}, 'dry', 'answers the record');
    is($r->header('X-Dataflow-Dry-Run'), 'true', 'says so');
    is($r->header('Location'), undef, 'that is nowhere');
    is($r->header('ETag'), undef, 'and has no version');

    my $before = $t->get('/api/products/1')->body;

    is($t->patch('/api/products/1?dry_run=true', { name => 'dry' })
         ->json->{name}, 'dry', 'update');
    is($t->put('/api/products/1?dry_run=true', product('dry'))->code, 200,
       'replace');
    is($t->delete('/api/products/1?dry_run=true')->code, 204, 'delete');
    is($t->get('/api/products/1')->body, $before, 'nothing has changed');
    is("" . $t->get('/api/products?sku=dry&count=exact')->json->{count}, 0,
       'nothing was added');

    is($t->post('/api/products?dry_run=true', product('a'))->code, 409,
       'refusals are the same');
};


subtest 'delete' => sub {
    my $line = $t->post('/api/lines', { product_id => 2 })
                 ->header('Location');

    my $r = $t->delete('/api/products/2');
    is($r->code, 409, 'referred to');
    is($r->json->{code}, 'foreign_key_violation', 'code');

    is($t->delete($line)->code, 204, 'what refers');

    $r = $t->delete('/api/products/2');
    is($r->code, 204, 'status');
    is($r->body, '', 'empty');
    is($t->delete('/api/products/2')->code, 404, 'again');
    is($t->get('/api/products/2')->code, 404, 'gone');
};


# what a database that is not migrated has instead of integer and text[]

subtest 'columns of other types' => sub {
    my $t = DataflowTest->new(migrate => 'off', models => <<'CONF');
        location /api/drifts {
            dataflow_model drifts {
                field n     integer required;
                field tags  text[];
                timestamps  off;
            }
        }
CONF

    my $dbh = $t->dbh;
    $dbh->do('CREATE TABLE drifts (id smallint PRIMARY KEY GENERATED BY'
             . ' DEFAULT AS IDENTITY, n integer, tags text[])');
    $t->start;

    for (['bigint', '[0-9]+'], ['numeric(9,2)', '[0-9]+\.00'],
         ['double precision', 'null'], ['char(3)', 'null'],
         ['text', '"[0-9]+"'])
    {
        my ($type, $value) = @$_;

        $dbh->do("ALTER TABLE drifts ALTER n TYPE $type USING n::$type");

        my $r = $t->post('/api/drifts', '{"n":1}');
        is($r->code, 201, "$type: created") or diag($r->body);
        like($r->body, qr/"n":$value,/, "$type: what is stored");

        my $path = $r->header('Location');
        is($path, '/api/drifts/' . $r->json->{id}, "$type: with its key");

        $r = $t->patch($path, '{"n":2}');
        is($r->code, 200, "$type: changed") or diag($r->body);
        like($r->body, qr/"n":$value,/, "$type: what is stored");
        is($t->put($path, '{"n":3}')->code, 200, "$type: replaced");

        $r = $t->get($path);
        is($r->code, 500, "$type: reads are refused");
        is($r->json->{code}, 'schema_drift', "$type: said so");

        is($t->delete($path)->code, 204, "$type: deleted");
        is("@{ $dbh->selectcol_arrayref('SELECT count(*) FROM drifts') }", 0,
           "$type: nothing is left");
    }

    like($t->error_log, qr/\[error\].* field "n" is not of type integer/,
         'logged');

    $dbh->do('ALTER TABLE drifts ALTER n TYPE integer USING n::integer,'
             . " ALTER tags TYPE integer[] USING '{}'");
    $dbh->do("INSERT INTO drifts (n, tags) VALUES (1, '{1,2}')");
    is($t->get('/api/drifts')->code, 500, 'an array of other elements');
    is($t->post('/api/drifts', '{"n":1,"tags":["a"]}')->code, 500,
       'a write that is not done');
    is("@{ $dbh->selectcol_arrayref('SELECT count(*) FROM drifts') }", 1,
       'is not');

    is_deeply([$t->finish], [], 'ended cleanly');
};


$t->done;
