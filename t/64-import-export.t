use strict;
use warnings;

use Test::More;
use Time::HiRes qw(time);

use DataflowTest;

# what is exported and imported again is what it was, of every type, and after
# any number of changes in its order

srand(my $seed = $ENV{DATAFLOW_SEED} // time);
note "DATAFLOW_SEED=$seed";

my @types = qw(smallint integer bigint numeric real double boolean text
               varchar(40) uuid date time timestamp timestamptz interval json
               bytea inet);

my $fields = join ' ', map {
    my $name = $types[$_] =~ s/\W.*//r;
    "field f_$name $types[$_]; field a_$name $types[$_]\[];"
} 0 .. $#types;

my $t = DataflowTest->new(
    database => 'timeout statement=20s;',
    models => <<"CONF")->start;
        client_max_body_size 0;
        location /api/one { dataflow_model one { $fields } }
        location /api/two { dataflow_model two { $fields } }
CONF

my $dbh = $t->dbh;

# values of each type: those at the edges, and any

my @edges = (
    smallint => [qw(0 -32768 32767)],
    integer => [qw(0 -2147483648 2147483647)],
    bigint => [qw(0 -9223372036854775808 9223372036854775807)],
    numeric => ['0', '-0.0000000001', '99999999999999999999.9999999999',
                '1.5', '1.50', 'NaN', 'Infinity', '1e-1000'],
    real => [qw(0 -1.5 3.4028235e38 1e-45 NaN Infinity -Infinity 0.1)],
    double => [qw(0 -1.5 1.7976931348623157e308 5e-324 NaN Infinity
                  -Infinity 0.1)],
    boolean => [qw(true false)],
    text => ['', ' ', '"', '""', ',', "a\nb", "a\r\nb", "\r", "\\", "\\N",
             "\\.", "\t", 'null', 'NULL', "\x{1f600} \x{fc}\x{200b}",
             "\x01\x1f\x7f", '{"a":1}', '[1]', "'", '%00', ' x ', '#', ';'],
    uuid => [qw(00000000-0000-0000-0000-000000000000
                ffffffff-ffff-ffff-ffff-ffffffffffff)],
    date => ['2026-01-31', 'infinity', '-infinity', '0001-01-01',
             '9999-12-31', '2000-02-29'],
    time => ['00:00:00', '23:59:59.999999', '12:30:00.5'],
    timestamp => ['2026-01-31 13:30:00', 'infinity', '-infinity',
                  '0001-01-01 00:00:00', '9999-12-31 23:59:59.999999'],
    timestamptz => ['2026-01-31 13:30:00+05:30', 'infinity', '-infinity',
                    '0001-01-01 00:00:00+00', '9999-12-31 23:59:59.999999+00'],
    interval => ['0', '1 day 12:30:00', '-1 mon +3 days -04:05:06.789',
                 '178000 years', '1 microsecond', 'P1Y2M3DT4H5M6S'],
    json => ['{}', '[]', '0', '1.10', '"x"', 'true', '{"a": [1, null, "\""]}',
             '12345678901234567890.123456789', '"\n\t"', '1e400'],
    bytea => ['\x', '\x00', '\xff00fe', '\x' . '61' x 100],
    inet => ['192.0.2.1', '2001:db8::/32', '10.0.0.0/8', '::'],
);

my %edge = @edges;
$edge{varchar} = $edge{text};


sub literal {
    my ($type) = @_;
    my $base = $type =~ s/\W.*//r;
    my $edges = $edge{$base};
    return $edges->[rand @$edges];
}


# rows of one: NULLs, values, empty arrays and arrays with NULLs in them

sub fill {
    my ($rows, $with_null_json) = @_;

    $dbh->do('TRUNCATE one, two RESTART IDENTITY');

    my @names = map { my $n = s/\W.*//r; ("f_$n", "a_$n") } @types;
    my %sql = (json => 'jsonb', double => 'double precision');

    my $insert = $dbh->prepare(
        'INSERT INTO one (' . join(',', @names) . ') VALUES ('
        . join(',', map {
            my $base = s/\W.*//r;
            my $sql = $sql{$base} ? $sql{$base} : $_;
            ("\$1::text::$sql", "\$1::text[]::$sql\[]")
          } @types) =~ s/\$1/?/gr . ')');

    for my $i (1 .. $rows) {
        my @values;

        for my $type (@types) {
            my $base = $type =~ s/\W.*//r;

            push @values, rand() < 0.2 ? undef
                          : $i <= @{ $edge{$base} } ? $edge{$base}[$i - 1]
                                                    : literal($type);
            push @values, rand() < 0.2 ? undef
                : [ map { rand() < 0.2 ? undef : literal($type) }
                    1 .. int rand 4 ];
        }

        $insert->execute(@values);
    }

    $dbh->do("UPDATE one SET f_json = 'null' WHERE id = 3") if $with_null_json;
}


sub difference {
    my $columns = join ',', map { my $n = s/\W.*//r;
                                  ("f_$n\::text", "a_$n\::text") } @types;

    return $dbh->selectall_arrayref(
        "SELECT id, created_at, updated_at, $columns FROM one EXCEPT ALL"
        . " SELECT id, created_at, updated_at, $columns FROM two");
}


for my $type ('text/csv', 'application/x-ndjson') {
    subtest $type => sub {
        fill(300, $type eq 'text/csv');

        my $export = $t->get('/api/one?limit=all', Accept => $type);
        is($export->code, 200, 'exported');

        my $r = $t->post('/api/two/bulk?keep=generated', $export->body,
                         'Content-Type' => $type);
        is($r->code, 200, 'imported') or diag $r->body;
        is($r->json->{affected}, 300);
        is_deeply(difference(), [], 'is what it was');

        my $again = $t->get('/api/two?limit=all', Accept => $type);
        ok($again->body eq $export->body, 'byte by byte');

        # once more, over what is there

        $dbh->do("UPDATE two SET f_text = 'changed' WHERE id % 2 = 0");
        $r = $t->post('/api/two/bulk?keep=generated&on=id', $export->body,
                      'Content-Type' => $type);
        is($r->json->{updated}, 300) or diag $r->body;

        my $columns = join ',', map { my $n = s/\W.*//r; ("f_$n", "a_$n") }
                                @types;
        $export = $t->get("/api/one?limit=all&fields=$columns",
                          Accept => $type);
        $again = $t->get("/api/two?limit=all&fields=$columns",
                         Accept => $type);
        ok($again->body eq $export->body, 'an upsert');

        # without what the server makes: new rows

        $r = $t->post('/api/two/bulk', $export->body, 'Content-Type' => $type);
        is($r->json->{inserted}, 300);
        is($dbh->selectrow_array('SELECT max(id) FROM two'), 600,
           'behind the others');
    };
}


subtest 'one column' => sub {
    fill(0);
    $dbh->do("INSERT INTO one (f_text) VALUES (NULL), (''), ('x'), (NULL),"
             . " ('\"'), (''), (NULL)");

    my $export = $t->get('/api/one?limit=all&fields=f_text',
                         Accept => 'text/csv');
    is($export->body, "f_text\r\n\r\n\"\"\r\nx\r\n\r\n\"\"\"\"\r\n\"\"\r\n\r\n",
       'an empty line is a null');

    is($t->post('/api/two/bulk', $export->body, 'Content-Type' => 'text/csv')
         ->json->{affected}, 7);
    is_deeply($dbh->selectcol_arrayref('SELECT f_text FROM two ORDER BY id'),
              [ undef, '', 'x', undef, '"', '', undef ], 'and again');
};


$t->done;
