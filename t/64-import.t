use strict;
use warnings;

use JSON::PP ();
use List::Util qw(shuffle);
use Test::More;
use Time::HiRes qw(time);

use DataflowTest;

# bodies of NDJSON and CSV: whole or not at all, in little memory, and every
# row that is wrong is told with its line

srand(my $seed = $ENV{DATAFLOW_SEED} // time);
note "DATAFLOW_SEED=$seed";

my $t = DataflowTest->new(
    database => 'pool size=6 overflow=0 wait=2s; timeout statement=2s;',
    models => <<'CONF')->start;
        client_max_body_size 0;

        location /api/items {
            dataflow_model items {
                field sku    text           required unique;
                field name   text           required max=20;
                field price  numeric(12,2)  required min=0;
                field stock  integer        default=7 min=0;
                field tags   text[];
                field attrs  json;
                field note   text           default=none readonly;
            }
        }
        location /api/changes {
            dataflow_model changes { field a text unique; }
            dataflow_expose list bulk_update;
        }
        location /api/plain {
            dataflow_model plain { field a text; field b text default=b;
                                   field c integer; field d timestamptz
                                   default=now; timestamps off; }
        }
        location /api/wide {
            dataflow_model wide { field a text; field b integer default=5;
                                  field c text[]; field d boolean;
                                  field e numeric(8,2) default=1.5;
                                  field f text default=x; timestamps off; }
        }
        location /api/pairs {
            dataflow_model pairs { field a text required; field b integer
                                   required; field note text;
                                   field code text unique;
                                   index a b unique; }
        }
        location /api/seen {
            dataflow_model seen { field a text; timestamps off; }
        }
CONF

my $dbh = $t->dbh;
my %ndjson = ('Content-Type' => 'application/x-ndjson');
my %csv = ('Content-Type' => 'text/csv');


sub import_rows {
    my ($path, $body, %h) = @_;
    return $t->post($path, $body, %h);
}

sub rows {
    my ($table) = @_;
    return $dbh->selectrow_array("SELECT count(*) FROM $table") + 0;
}

sub ndjson { return join '', map { DataflowTest::JSON::encode($_) . "\n" } @_ }

# line pointer code, of each error
sub errors {
    my ($r) = @_;
    return [ map { join ' ', $_->{line} // '-', $_->{pointer}, $_->{code} }
             @{ $r->json->{errors} // [] } ];
}


subtest 'rows of NDJSON' => sub {
    my $r = import_rows('/api/items/bulk', <<'END', %ndjson);
{"sku":"n1","name":"one","price":1.50,"tags":["a","b c","\"","\\",null],"attrs":{"n":1.10}}
{"sku":"n2","name":"tab\tline\nback\\slash","price":"2","stock":0}

{"sku":"n3","name":"ünïcode \u20ac","price":1234567890.25,"attrs":null}
END

    is($r->code, 200);
    is_deeply($r->json, { operation => 'create', affected => 3,
                          inserted => 3 }, 'as a bulk says it');

    my $data = $t->get('/api/items?sort=sku&fields=sku,name,price,stock,tags,'
                       . 'attrs,note')->body;

    is($data, '{"data":[' . join(',',
        '{"sku":"n1","name":"one","price":1.50,"stock":7,'
        . '"tags":["a","b c","\"","\\\\",null],"attrs":{"n": 1.10},'
        . '"note":"none"}',
        '{"sku":"n2","name":"tab\tline\nback\\\\slash","price":2.00,'
        . '"stock":0,"tags":null,"attrs":null,"note":"none"}',
        '{"sku":"n3","name":"ünïcode €","price":1234567890.25,"stock":7,'
        . '"tags":null,"attrs":null,"note":"none"}')
        . '],"next":null}', 'are stored as they are');

    $dbh->do('TRUNCATE items RESTART IDENTITY');
};


subtest 'rows of CSV' => sub {
    my $r = import_rows('/api/items/bulk',
        "\xef\xbb\xbfsku,name,price,tags,attrs\r\n"
        . "c1,\"a \"\"quote\"\", a comma\",1,\"[\"\"x\"\"]\",\r\n"
        . "c2,\"two\nlines\",2.5,,\"{\"\"a\"\":[1,2]}\"\r\n"
        . "\r\n"
        . "c3,\"\",3,[],null", %csv);

    is($r->code, 200) or diag $r->body;
    is($r->json->{affected}, 3);

    is_deeply($dbh->selectall_arrayref(
        'SELECT sku, name, price, stock, tags::text, attrs::text FROM items'
        . ' ORDER BY sku'),
        [ ['c1', 'a "quote", a comma', '1.00', 7, '{x}', undef],
          ['c2', "two\nlines", '2.50', 7, undef, '{"a": [1, 2]}'],
          ['c3', '', '3.00', 7, '{}', 'null'] ], 'are stored as they are');

    $dbh->do('TRUNCATE items RESTART IDENTITY');
};


subtest 'rows that are wrong' => sub {
    my $r = import_rows('/api/items/bulk', <<'END', %ndjson);
{"sku":"a","name":"good","price":1}
{"sku":"b","nam":"bad","price":-1}
{"sku":"c","name":"good","price":1}
{"sku":"d","name":"a name that is far too long","price":1,"stock":1.5,"stock":2}
not json
[1]
{"sku":"e","name":"x","price":1,"tags":[1]}
{"sku":null,"name":"x","price":{"$inc":1}}
END

    is($r->code, 422);
    is($r->json->{code}, 'validation_failed');
    is($r->json->{detail}, '6 of 8 rows are wrong; nothing was stored');
    is_deeply(errors($r), [
        '2 /nam unknown_field', '2 /price range', '2 /name required',
        '4 /name length', '4 /stock type', '4 /stock duplicate',
        '5  syntax', '6  type', '7 /tags type', '8 /sku null',
        '8 /price operator' ], 'each is told');
    like($r->json->{errors}[0]{detail}, qr/did you mean "name"/, 'and how');

    $r = import_rows('/api/items/bulk', <<'END', %csv);
sku,name,price,stock
a,good,1,1
b,,1,1
c,"two
lines",-1,x
d,e
e,"x"y,1,1
f,x"y,1,1
g,good,1,1
END

    is($r->code, 422);
    is($r->json->{detail}, '5 of 7 rows are wrong; nothing was stored');
    is_deeply(errors($r), [
        '3 /name null', '4 /price range', '4 /stock type', '6  columns',
        '7  syntax', '8  syntax' ], 'each is told');

    is(rows('items'), 0, 'nothing is stored');
};


subtest 'a header that is wrong' => sub {
    for (
        ["sku,nam,price\n", '1 /nam unknown_field', '1 /name required'],
        ["sku,name,name,price\n1,2,3,4\n", '1 /name duplicate'],
        ["sku,name\n", '1 /price required'],
        ["\"sku\",\"\",name,price\n", '1 / unknown_field'],
        ["sku,name,price,\"x\"\"; DROP TABLE items; --\"\n",
         '1 /x"; DROP TABLE items; -- unknown_field'],
    ) {
        my ($body, @errors) = @$_;
        my $r = import_rows('/api/items/bulk', $body, %csv);
        is($r->code, 422);
        is_deeply(errors($r), \@errors, $body =~ s/\n.*//sr);
    }

    is(import_rows('/api/items/bulk', "\n\n", %csv)->code, 400, 'no header');
};


subtest 'what PostgreSQL refuses' => sub {
    my @rows = map { { sku => "s$_", name => 'x', price => 1 } } 1 .. 3000;

    $rows[2222]{sku} = 's17';

    my $r = import_rows('/api/items/bulk', ndjson(@rows), %ndjson);
    is($r->code, 409);
    is($r->json->{code}, 'unique_violation');
    is($r->json->{constraint}, 'items_sku_key');
    is_deeply(errors($r), [ '2223 /sku unique' ], 'with its line');
    is(rows('items'), 0, 'nothing is stored');

    $dbh->do('ALTER TABLE items ADD CONSTRAINT secret CHECK (name <> $$no$$)');

    $r = import_rows('/api/items/bulk',
        "name,sku,price\n\n\nx,1,1\n\"a\nb\",2,1\n\nno,3,1\nx,4,1\n", %csv);
    is($r->code, 422);
    is($r->json->{constraint}, 'secret');
    is_deeply(errors($r), [ '8  refused' ], 'a check');

    $dbh->do('ALTER TABLE items DROP CONSTRAINT secret');
    $dbh->do(<<'END');
        CREATE FUNCTION picky() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            IF new.name = 'no' THEN RAISE EXCEPTION 'not this one'; END IF;
            RAISE NOTICE 'is %', new.name;
            RETURN new;
        END $$
END
    $dbh->do('CREATE TRIGGER picky BEFORE INSERT ON items FOR EACH ROW'
             . ' EXECUTE FUNCTION picky()');

    $r = import_rows('/api/items/bulk',
        ndjson(map { { sku => "s$_", price => 1,
                       name => $_ == 2500 ? 'no' : 'x' } } 1 .. 5000),
        %ndjson);
    is($r->code, 400);
    like($r->json->{detail}, qr/^not this one/);
    is_deeply(errors($r), [ '2500  refused' ], 'a trigger');

    $r = import_rows('/api/items/bulk',
        ndjson(map { { sku => "s$_", price => 1, name => 'x' } } 1 .. 5000),
        %ndjson);
    is($r->code, 200, 'notices are no refusal');
    is(rows('items'), 5000);

    $dbh->do('DROP TRIGGER picky ON items');
    $dbh->do('TRUNCATE items RESTART IDENTITY');
};



subtest 'rows of uneven fields' => sub {
    my @fields = qw(a b c d e f);
    my %value = (
        a => sub { (undef, '', "x\ty\n\\", "\\N", 'plain')[rand 5] },
        b => sub { (undef, int rand 1000)[rand 2] },
        c => sub { (undef, [], ['a', undef, 'b"c'])[rand 3] },
        d => sub { (undef, JSON::PP::true, JSON::PP::false)[rand 3] },
        e => sub { (undef, sprintf '%d.%02d', rand 1000, rand 100)[rand 2] },
        f => sub { (undef, chr 97 + rand 26)[rand 2] },
    );

    for my $n (1, 5, 100, 3000) {
        my (@lines, @want);

        for my $i (1 .. $n) {
            my %row = map { $_ => $value{$_}->() }
                      grep { rand() < 0.7 } @fields;
            push @lines, DataflowTest::JSON::encode(\%row);

            # a missing one is its default
            $row{b} = 5 unless exists $row{b};
            $row{e} = '1.50' unless exists $row{e};
            $row{f} = 'x' unless exists $row{f};
            push @want, canonical(\%row);
        }

        # lines end in either way, and blank ones are none
        my $body = join '', map { $_ . ("\n", "\r\n", "\n \n")[rand 3] }
                            @lines;
        my $r = import_rows('/api/wide/bulk', $body, %ndjson);
        is($r->code, 200, "$n rows") or diag $r->body;
        is($r->json->{affected}, $n);

        my $data = $t->get('/api/wide?limit=all&fields=' . join(',', @fields),
                           Accept => 'application/x-ndjson')->body;
        my @got = map { canonical(DataflowTest::JSON::decode($_)) }
                  split /\n/, $data;

        is_deeply([ sort @got ], [ sort @want ], 'are all there');
        $dbh->do('TRUNCATE wide RESTART IDENTITY');
    }

    my $r = import_rows('/api/plain/bulk', "{}\n{}\n{\"c\":1}\n{}\n", %ndjson);
    is($r->json->{affected}, 4, 'rows without a field');
    is_deeply($dbh->selectall_arrayref(
        'SELECT a, b, c, d = now() IS NOT NULL FROM plain ORDER BY c'),
        [ [undef, 'b', 1, 1], ([undef, 'b', undef, 1]) x 3 ], 'are defaults');

    # the line of one that is refused, wherever it was collected
    $dbh->do('ALTER TABLE wide ADD CONSTRAINT not13 CHECK (b <> 13)');

    for my $n (20, 2000) {
        my @rows = map { my %row = map { $_ => undef }
                                   grep { rand() < 0.5 } @fields; \%row }
                   1 .. $n;
        my $bad = 1 + int rand $n;
        $rows[$bad - 1]{b} = 13;

        $r = import_rows('/api/wide/bulk', ndjson(@rows), %ndjson);
        is($r->code, 422);
        is_deeply(errors($r), [ "$bad  refused" ], 'and its line');
    }

    is(rows('wide'), 0);
    $dbh->do('ALTER TABLE wide DROP CONSTRAINT not13');
};


# numbers by their values, in a fixed order
sub canonical {
    my ($row) = @_;
    return join '|', map {
        my $v = $row->{$_};
        !defined $v ? 'null'
            : ref $v eq 'ARRAY' ? '[' . join(',', map { $_ // 'null' } @$v) . ']'
            : JSON::PP::is_bool($v) ? ($v ? 'true' : 'false')
            : $_ eq 'e' ? sprintf('%.2f', "$v") : "=$v"
    } qw(a b c d e f);
}


subtest 'upsert' => sub {
    my $r = import_rows('/api/items/bulk',
        ndjson(map { { sku => "u$_", name => "n$_", price => $_ } } 1 .. 10),
        %ndjson);
    is($r->json->{affected}, 10);

    $r = import_rows('/api/items/bulk?on=sku', <<'END', %csv);
sku,name,price
u1,new,100
u11,first,1
u2,new,200
u11,second,2
u12,third,3
END
    is($r->code, 200) or diag $r->body;
    is_deeply($r->json, { operation => 'upsert', affected => 5, inserted => 2,
                          updated => 3 }, 'counts');
    is_deeply($dbh->selectall_arrayref(
        "SELECT sku, name, price FROM items WHERE sku IN ('u1', 'u2', 'u3',"
        . " 'u11', 'u12') ORDER BY sku"),
        [ ['u1', 'new', '100.00'], ['u11', 'second', '2.00'],
          ['u12', 'third', '3.00'], ['u2', 'new', '200.00'],
          ['u3', 'n3', '3.00'] ], 'the later row wins');

    $r = import_rows('/api/items/bulk?on=sku&update=price', <<'END', %ndjson);
{"sku":"u1","name":"other","price":7}
{"sku":"u13","name":"thirteen","price":8}
END
    is_deeply([ @{ $r->json }{qw(inserted updated)} ], [ 1, 1 ]);
    is_deeply($dbh->selectall_arrayref(
        "SELECT name, price FROM items WHERE sku IN ('u1', 'u13')"
        . " ORDER BY sku"),
        [ ['new', '7.00'], ['thirteen', '8.00'] ], 'only what is named');

    $r = import_rows('/api/items/bulk?on=sku&update=', <<'END', %ndjson);
{"sku":"u1","name":"other","price":9}
{"sku":"u14","name":"fourteen","price":9}
END
    is_deeply([ @{ $r->json }{qw(affected inserted updated)} ], [ 1, 1, 0 ]);
    is($dbh->selectrow_array("SELECT price FROM items WHERE sku = 'u1'"),
       '7.00', 'or nothing');

    # several fields; a refusal in the middle of many
    my @rows = map { { a => 'x' . $_ % 100, b => int $_ / 100, note => "n$_",
                       code => "c$_" } } shuffle(0 .. 6999);
    $r = import_rows('/api/pairs/bulk?on=a,b', ndjson(@rows), %ndjson);
    is_deeply([ @{ $r->json }{qw(inserted updated)} ], [ 7000, 0 ],
              'many') or diag $r->body;

    $_->{note} .= ' again' for @rows;
    my $bad = 2 + int rand 6999;
    $rows[$bad - 1]{code} = $rows[0]{code};
    $r = import_rows('/api/pairs/bulk?on=b,a', ndjson(@rows), %ndjson);
    is($r->code, 409);
    is_deeply(errors($r), [ "$bad /code unique" ], 'the line of a refusal');
    is($dbh->selectrow_array("SELECT count(*) FROM pairs"
                             . " WHERE note LIKE '%again'"), 0,
       'nothing is stored');

    for (
        ['on=name', 400, 'invalid_value'], ['on=', 400, 'invalid_value'],
        ['on=nope', 400, 'unknown_field'], ['on=sku,sku', 400, 'invalid_value'],
        ['update=price', 400, 'bad_request'],
        ['on=sku&update=nope', 400, 'unknown_field'],
        ['on=sku&update=id', 400, 'invalid_value'],
        ['on=sku%22%20DO%20NOTHING%3B%20DROP%20TABLE%20items%3B--', 400,
         'unknown_field'],
        ['on=sku&update=price%3Dprice%2C(select%201)', 400, 'unknown_field'],
        ['fields=sku', 400, 'unknown_parameter'],
        ['keep=all', 400, 'invalid_value'], ['keeps=1', 400,
                                             'unknown_parameter'],
    ) {
        my ($args, $status, $code) = @$_;
        my $r = import_rows("/api/items/bulk?$args",
                            "sku,name,price\nx,x,1\n", %csv);
        is($r->code, $status, $args);
        is($r->json->{code}, $code);
    }

    $r = $t->post('/api/items/bulk?keep=generated', { operation => 'create',
                                                      records => [] });
    is($r->code, 400, 'a bulk of JSON takes none of them');

    $dbh->do('TRUNCATE items RESTART IDENTITY');
};


subtest 'dry run' => sub {
    my $r = import_rows('/api/items/bulk?dry_run=true',
                        "sku,name,price\na,a,1\nb,b,1\n", %csv);
    is($r->code, 200);
    is($r->json->{affected}, 2);
    is($r->header('X-Dataflow-Dry-Run'), 'true');

    $r = import_rows('/api/items/bulk?dry_run=true',
                     "sku,name,price\na,a,1\na,b,1\n", %csv);
    is($r->code, 409, 'is refused as it would be');
    is(rows('items'), 0, 'nothing is stored');
};


subtest 'an import that is not exposed' => sub {
    for ('', '?on=a') {
        my $r = $t->post("/api/changes/bulk$_", "a\nx\n",
                         'Content-Type' => 'text/csv');
        is($r->code, 403, "as any other bulk$_") or diag($r->body);
        is($r->json->{code}, 'forbidden', 'code');
    }

    is($t->get('/api/changes')->body, '{"data":[],"next":null}', 'nothing');
};


subtest 'what the server makes' => sub {
    my $body = "id,sku,name,price,note,created_at,updated_at\n"
               . "700,a,a,1,mine,2020-01-01T00:00:00Z,2020-01-02T00:00:00Z\n";

    is(import_rows('/api/items/bulk', $body, %csv)->code, 200);
    isnt($dbh->selectrow_array('SELECT id FROM items'), 700, 'is its own');
    $dbh->do('TRUNCATE items RESTART IDENTITY');

    is(import_rows('/api/items/bulk?keep=generated', $body, %csv)->code, 200);
    is_deeply($dbh->selectall_arrayref(
        'SELECT id, created_at::date, updated_at::date, note FROM items'),
        [ [ 700, '2020-01-01', '2020-01-02', 'none' ] ],
        'or what it was, but for what nobody may write');

    my $r = $t->post('/api/items', { sku => 'b', name => 'b', price => 1 });
    is($r->json->{id}, 701, 'the sequence goes on behind it');

    $r = import_rows('/api/items/bulk?keep=generated',
                     qq({"id":5,"sku":"c","name":"c","price":1}\n), %ndjson);
    is($r->code, 200);
    is($t->post('/api/items', { sku => 'd', name => 'd', price => 1 })
         ->json->{id}, 702, 'and never back');

    $r = import_rows('/api/items/bulk?keep=generated&on=id', <<'END', %ndjson);
{"id":5,"sku":"c2","name":"c","price":2}
{"id":900,"sku":"e","name":"e","price":2}
END
    is_deeply([ @{ $r->json }{qw(inserted updated)} ], [ 1, 1 ],
              'an upsert by the key') or diag $r->body;
    is($t->post('/api/items', { sku => 'f', name => 'f', price => 1 })
         ->json->{id}, 901);

    $dbh->do('TRUNCATE items RESTART IDENTITY');
};


# what no COPY can write

subtest 'views, and row security' => sub {
    $dbh->do('ALTER TABLE seen RENAME TO hidden_seen');
    $dbh->do('CREATE VIEW seen AS SELECT * FROM hidden_seen');

    my @rows = map { { a => "v$_" } } 1 .. 7000;
    my $r = import_rows('/api/seen/bulk', ndjson(@rows), %ndjson);
    is($r->code, 200, 'a view') or diag $r->body;
    is($r->json->{affected}, 7000);
    is(rows('hidden_seen'), 7000);

    $dbh->do("CREATE OR REPLACE VIEW seen AS SELECT * FROM hidden_seen"
             . " WHERE a <> 'v17' WITH CHECK OPTION");
    $r = import_rows('/api/seen/bulk', ndjson(@rows), %ndjson);
    is($r->code, 403, 'a check option');
    is_deeply(errors($r), [ '17  refused' ], 'with the line');
    is(rows('hidden_seen'), 7000, 'nothing is stored');

    $dbh->do('DROP VIEW seen');
    $dbh->do('ALTER TABLE hidden_seen RENAME TO seen');
    $dbh->do('ALTER TABLE seen ENABLE ROW LEVEL SECURITY');
    $dbh->do("CREATE POLICY p ON seen WITH CHECK (a LIKE 'v%')");

    # a superuser sees and does everything
    my $role = "import_$$";
    $dbh->do("CREATE ROLE $role LOGIN");
    $dbh->do("GRANT INSERT, SELECT ON seen TO $role");

    my $s = DataflowTest->new(
        migrate => 'off',
        conninfo => $t->conninfo =~ s/user=\S+/user=$role/r,
        models => <<'CONF')->start;
            location /api/seen {
                dataflow_model seen { field a text; timestamps off; }
            }
CONF

    $r = $s->post('/api/seen/bulk', ndjson(@rows), %ndjson);
    is($r->code, 200, 'row security') or diag $r->body;

    $r = $s->post('/api/seen/bulk', ndjson({ a => 'w' }), %ndjson);
    is($r->code, 403, 'refuses');

    $r = $s->post('/api/seen/bulk?keep=generated',
                  qq({"id":99999,"a":"v"}\n), %ndjson);
    is($r->code, 403, 'no right to move the sequence');

    is_deeply([ $s->finish ], [], 'ended cleanly');
    $dbh->do("DROP OWNED BY $role");
    $dbh->do("DROP ROLE $role");
};


$t->done;
