use strict;
use warnings;

use JSON::PP ();
use List::Util qw(shuffle);
use Test::More;
use Time::HiRes qw(sleep time);

use DataflowTest;
use DataflowTest::Client;

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
        location /api/few {
            dataflow_model few { table items; field name text required;
                                 timestamps off; }
            dataflow_expose list create;
        }
        location /api/small {
            client_max_body_size 1k;
            dataflow_model small { field a text; field b text; }
        }
        location /api/plain {
            dataflow_model plain { field a text; field b text default=b;
                                   field c integer; field d timestamptz
                                   default=now; timestamps off; }
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
    is_deeply($r->json, { operation => 'create', affected => 3, inserted => 3,
                          updated => 0 });

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

    $dbh->do('DELETE FROM items');
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

    $dbh->do('DELETE FROM items');
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
    $dbh->do('DELETE FROM items');
};


$t->done;
