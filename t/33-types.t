use strict;
use warnings;

use JSON::PP ();
use MIME::Base64 ();
use Math::BigFloat;
use Math::BigInt;
use Test::More;

use DataflowTest;

# every type: written, stored and read back, digit for digit; update operators

binmode Test::More->builder->$_, ':utf8'
    for qw(output failure_output todo_output);

my $seed = $ENV{DATAFLOW_SEED} // 33;
my $rounds = $ENV{DATAFLOW_ROUNDS} // 120;

srand $seed;
diag("DATAFLOW_SEED=$seed DATAFLOW_ROUNDS=$rounds");

my @types = ('smallint', 'integer', 'bigint', 'numeric', 'numeric(12,2)',
             'real', 'double', 'boolean', 'text', 'varchar(20)', 'uuid',
             'date', 'time', 'timestamp', 'timestamptz', 'interval', 'json',
             'bytea', 'inet');

my %sql = (json => 'jsonb', double => 'double precision');

# f0, f1, … and their arrays a0, a1, …

my @fields = map { { name => "f$_", type => $types[$_], array => 0 },
                   { name => "a$_", type => $types[$_], array => 1 } }
                 0 .. $#types;

$_->{sql} = ($sql{$_->{type}} // $_->{type}) . ($_->{array} ? '[]' : '')
    for @fields;

my $declared = join '', map { "field $_->{name} $_->{type}"
                              . ($_->{array} ? '[]' : '') . ";\n" } @fields;

my $t = DataflowTest->new(models => <<"CONF")->start;
        location /api/vals { dataflow_model vals { $declared } }

        location /api/bounds {
            dataflow_model bounds {
                field tiny  smallint      min=-3 max=20;
                field big   bigint        min=-9007199254740993
                                          max=9223372036854775806;
                field num   numeric       min=-0.5 max=1e20;
                field dec   numeric(12,2) min=0.01 max=99999.99;
                field dbl   double        min=-1.5e3 max=0.30000000000000004;
                field name  text          min=2 max=5;
                field code  varchar(3);
                field day   date          min=1600-02-29 max=2024-02-29;
                field at    timestamptz   min=1899-12-31T23:59:59.999999-01:00
                                          max=2024-02-29T12:00:00Z;
                field span  interval      min=P-1M max=P31D;
                field clock time          min=00:00:00.000001 max=23:59:00;
                field kind  text          enum=a,b,é;
                field form  text          pattern=^[a-c]*\$;
            }
        }

        location /api/ops {
            dataflow_model ops {
                field small  smallint;
                field whole  integer;
                field big    bigint;
                field num    numeric;
                field dec    numeric(30,4);
                field dbl    double;
                field name   text;
                field at     timestamptz;
                field day    date;
                field tags   text[];
                field nums   bigint[];
                field attrs  json;
            }
        }
CONF

my $dbh = $t->dbh;

$dbh->do("SET client_min_messages = warning");
$dbh->do("SET intervalstyle = iso_8601");
$dbh->do("CREATE TABLE reference (id bigint, "
         . join(', ', map { "$_->{name} $_->{sql}" } @fields) . ')');


# random values: [JSON, what PostgreSQL is given]

my $json = JSON::PP->new->allow_nonref->utf8;

sub pick { return $_[rand @_] }
sub digits { return join '', map { int rand 10 } 1 .. $_[0] }
sub quoted { return $json->encode("$_[0]") }


sub number {
    my ($literal) = @_;
    my $string = rand() < 0.3 || $literal =~ /[NI]/;
    return [ $string ? qq("$literal") : $literal, $literal ];
}


sub whole {
    my ($bits) = @_;
    my $max = Math::BigInt->new(2)->bpow($bits - 1)->bsub(1);
    my $n = Math::BigInt->new(pick(0, 1, -1, digits(2), digits(1 + rand 20)));

    $n = $n % $max if $n > $max;
    $n = -$n if rand() < 0.5;
    $n = pick($max, $max - 1, -$max, -$max - 1) if rand() < 0.3;

    return number($n->bstr);
}


sub decimal {
    my $n = pick('0', '-0', '0.0', '1e-20', '-1.50E+3', '1E3', '0.000',
                 '123456789012345678901234567890.123456789012345678901234567890',
                 pick(1 .. 9) . digits(rand 200), '0.' . digits(1 + rand 60),
                 '-' . pick(1 .. 9) . digits(rand 20) . '.' . digits(1 + rand 20),
                 '1' . '0' x (rand 30), pick(1 .. 9) . digits(8) . '000.0000',
                 '1e999', 'NaN', 'Infinity', '-Infinity');
    return number($n);
}


sub float {
    my ($max) = @_;
    my $n = pick('0', '-0', '0.1', '-1.5', '1e10', '1.17549435e-38',
                 '16777216', '123456789', '0.30000000000000004', '1e-5',
                 pick(1 .. 9) . '.' . digits(17) . 'e' . int(rand $max),
                 '-' . pick(1 .. 9) . '.' . digits(7) . 'E-' . int(rand $max),
                 'NaN', 'Infinity', '-Infinity');
    return number($n);
}


my @strange = ('', ' ', 'NULL', 'null', '{}', '{"a"}', ',', '"', '\\', '\\"',
               "'", "';--", "\n\t\r", "\x01\x1f", "\x7f", '%s$1', "\x{e9}",
               "\x{20ac}", "\x{1f600}", "e\x{301}", "\x{2028}", '&<>', '0',
               "\x{ffff}", "a\\u0041", '</script>');

sub string {
    my ($max) = @_;
    my $text = pick(@strange, join '', map { pick(@strange, 'a' .. 'z') }
                                           0 .. rand 20);
    $text = substr $text, 0, $max if $max;

    my $ascii = JSON::PP->new->allow_nonref->ascii;
    return [ rand() < 0.3 ? $ascii->encode($text) : $json->encode($text),
             $text ];
}


sub uuid {
    my $hex = join '', map { sprintf '%02x', rand 256 } 1 .. 16;
    my $text = $hex =~ s/(.{8})(.{4})(.{4})(.{4})/$1-$2-$3-$4-/r;
    return [ quoted(pick($text, uc $text, $hex)), $text ];
}


sub ymd {
    my $year = pick(1, 4, 100, 1582, 1600, 1899, 1900, 1970, 2000, 2024, 2100,
                    9999, 1 + int rand 9999);
    my $month = pick(1, 2, 12, 1 + int rand 12);
    my @days = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31);
    my $leap = $year % 4 == 0 && ($year % 100 || $year % 400 == 0);
    my $last = $days[$month - 1] + ($month == 2 && $leap ? 1 : 0);

    return sprintf '%04d-%02d-%02d', $year, $month,
                   pick(1, $last, 1 + int rand $last);
}


sub clock {
    my $text = sprintf '%02d:%02d:%02d', pick(0, 23, int rand 24),
                       pick(0, 59, int rand 60), pick(0, 59, int rand 60);
    return $text . pick('', '', '.' . digits(1 + rand 6), '.000001', '.999999');
}


sub offset {
    return pick('Z', '+00:00', '-00:00', sprintf('%s%02d:%02d', pick('+', '-'),
                                                 rand 15, pick(0, 30, 59)));
}


sub interval {
    my $iso = 'P';

    $iso .= pick('', '-') . int(rand 200) . $_ for grep { rand() < 0.4 }
                                                   qw(Y M D);
    my $time = join '', map { pick('', '-') . int(rand 100) . $_ }
                        grep { rand() < 0.4 } qw(H M);
    $time .= pick('', '-') . pick(int rand 60, int(rand 60) . '.' . digits(6))
             . 'S' if rand() < 0.5;

    $iso .= "T$time" if $time ne '';
    $iso = 'PT0S' if $iso eq 'P';

    return [ quoted($iso), $iso ] if rand() < 0.6;

    my $text = pick('1 day', '-1 days +02:03:00', '1 year 2 mons 3 days',
                    '3 weeks', '00:00:00.000001', '25:00:00', '-00:00:01.5',
                    '1 mon -1 days', '90 minutes', '2 years 12:30',
                    '178000000 years', '-1 sec');
    return [ quoted($text), $text ];
}


sub document {
    my ($depth) = @_;
    my $blank = pick('', '', ' ', "\n\t");

    my $kind = $depth > 3 ? pick(0 .. 3) : pick(0 .. 5);

    return pick('true', 'false', 'null') if $kind == 0;
    return string()->[0] if $kind == 1;
    return pick('0', '1.10', '-0.0', '1e2', '12345678901234567890.0123456789',
                '1.000', '-7', digits(1) . '.' . digits(1 + rand 30))
        if $kind <= 3;

    my @items = map { document($depth + 1) } 1 .. rand 4;

    return "[$blank" . join("$blank,", @items) . ']' if $kind == 4;

    my %names = map { string()->[0] => $_ } @items;
    return "{$blank" . join(',', map { "$_$blank:$blank$names{$_}" }
                                 sort keys %names) . "$blank}";
}


sub json_value {
    my $text = document(0);
    $text = '[]' if $text eq 'null';
    return [ $text, characters($text) ];
}


sub characters { my ($text) = @_; utf8::decode($text); return $text }
sub octets { my ($text) = @_; utf8::encode($text); return $text }


sub bytes {
    my $bytes = pick('', "\0", "\xff", join '', map { chr rand 256 }
                                                1 .. rand 40);
    my $text = MIME::Base64::encode_base64($bytes, '');
    $text = pick($text, $text =~ s/=+\z//r, $text =~ tr{+/}{-_}r);

    return [ quoted($text), '\\x' . unpack 'H*', $bytes ];
}


sub inet {
    my $v4 = join '.', map { pick(0, 255, int rand 256) } 1 .. 4;
    my $v6 = join ':', map { pick(0, 0, 0, sprintf '%x', rand 65536) } 1 .. 8;
    my $text = pick($v4, "$v4/" . int(rand 33), $v6, "$v6/" . int(rand 129),
                    '::', '::1', 'fe80::1', "::ffff:$v4", "::$v4",
                    '2001:db8::/32', '0.0.0.0/0');
    return [ quoted($text), $text ];
}


my %value = (
    smallint => sub { whole(16) },
    integer => sub { whole(32) },
    bigint => sub { whole(64) },
    numeric => \&decimal,
    'numeric(12,2)' => sub {
        number(pick('', '-') . pick('0', '9' x 10, 1 + int rand 1e9)
               . pick('', '.1', '.10', '.99', '.5000', '.00'));
    },
    real => sub { float(30) },
    double => sub { float(290) },
    boolean => sub { my $b = pick('true', 'false'); [ $b, $b ] },
    text => sub { string() },
    'varchar(20)' => sub { string(20) },
    uuid => \&uuid,
    date => sub { my $d = pick(ymd(), ymd(), 'infinity', '-infinity');
                  [ quoted($d), $d ] },
    time => sub { my $c = pick(clock(), clock(), '24:00:00');
                  [ quoted($c), $c ] },
    timestamp => sub { my $d = ymd() . pick('T', ' ') . clock();
                       [ quoted($d), $d ] },
    timestamptz => sub { my $d = ymd() . 'T' . clock() . offset();
                         [ quoted($d), $d ] },
    interval => \&interval,
    json => \&json_value,
    bytea => \&bytes,
    inet => \&inet,
);


sub random_value {
    my ($field) = @_;

    return [ 'null', undef ] if rand() < 0.08;

    return $value{$field->{type}}->() unless $field->{array};

    my @items = map { rand() < 0.2 ? [ 'null', undef ]
                                   : $value{$field->{type}}->() } 1 .. rand 5;

    return [ '[' . join(',', map { $_->[0] } @items) . ']',
             [ map { $_->[1] } @items ] ];
}


# the members of an object with their values as they were sent

my $any = qr/(?<v>"(?:[^"\\]++|\\.)*+" | \[ (?:\s*(?&v)\s*,?)*+ \s* \]
             | \{ (?:\s*(?&v)\s*:\s*(?&v)\s*,?)*+ \s* \}
             | [-+.\w]+)/xs;

sub members {
    my ($body) = @_;
    my %member;

    while ($body =~ /\G[{,]\s*"([^"]*)"\s*:\s*($any)\s*/gc) {
        $member{$1} = $2;
    }

    return \%member;
}


# what PostgreSQL's text of a value must be in JSON

my %quoted = map { $_ => 1 } qw(text varchar uuid date time timestamp
                                timestamptz interval inet bytea);

sub expected {
    my ($type, $text) = @_;

    return 'null' unless defined $text;

    $type =~ s/\(.*//;

    return $text eq 't' ? 'true' : 'false' if $type eq 'boolean';
    return octets($text) if $type eq 'json';

    if ($type eq 'bytea') {
        $text = MIME::Base64::encode_base64(pack('H*', substr $text, 2), '');

    } elsif ($type =~ /^timestamp/ && $text !~ /infinity/) {
        $text =~ s/ /T/;
        $text =~ s/([-+]\d\d)( BC)?\z/"$1:00" . ($2 || '')/e;
    }

    return quoted($text) if $quoted{$type} || $text =~ /[NI]/;
    return $text;
}


# a value as its type's output function prints it

sub stored {
    my ($table, $id) = @_;

    my $text = "CASE WHEN %s IS NULL THEN NULL ELSE format('%%s', %s) END";

    my @columns = map {
        my $x = sprintf $text, 'x', 'x';
        my $f = sprintf $text, $_->{name}, $_->{name};

        $_->{array}
        ? "CASE WHEN $_->{name} IS NULL THEN NULL ELSE"
          . " ARRAY(SELECT $x FROM unnest($_->{name}) WITH ORDINALITY u(x, n)"
          . " ORDER BY n) END"
        : $f;
    } @fields;

    my $row = $dbh->selectrow_arrayref('SELECT ' . join(', ', @columns)
                                       . " FROM $table WHERE id = ?", undef,
                                       $id);
    my %row;
    @row{map { $_->{name} } @fields} = @$row;

    return \%row;
}


# strings may be escaped in more than one way

sub same {
    my ($a, $b) = @_;
    return 1 if $a eq $b;
    return 0 unless $a =~ /^["\[]/ && $b =~ /^["\[]/;
    my ($x, $y) = map { eval { DataflowTest::JSON::decode($_) } } $a, $b;
    return 0 unless defined $x && defined $y;
    return plain($x) eq plain($y);
}


sub plain {
    my ($v) = @_;

    return 'null' unless defined $v;
    return '[' . join(',', map { plain($_) } @$v) . ']' if ref $v eq 'ARRAY';
    return '{' . join(',', map { quoted($_) . ':' . plain($v->{$_}) }
                           sort keys %$v) . '}' if ref $v eq 'HASH';
    return ref $v ? "$v" : quoted($v);
}


my @columns = map { $_->{name} } @fields;

# casts in the statement: an array of values becomes an array of its type

my $insert = $dbh->prepare('INSERT INTO reference VALUES (?, '
                           . join(', ', map { "?::text"
                                              . ($_->{array} ? '[]' : '')
                                              . "::$_->{sql}" } @fields)
                           . ')');

sub check_row {
    my ($r, $id, $values, $name) = @_;

    $insert->execute($id, map { $_->[1] } @$values);

    my $want = stored('reference', $id);
    my $have = stored('vals', $id);
    my $answer = members($r->body);

    $dbh->do('DELETE FROM reference');

    my @wrong;

    for my $i (0 .. $#fields) {
        my $f = $fields[$i];
        my ($w, $h) = map { $_->{$f->{name}} } $want, $have;

        my $text = !$f->{array} || !defined $w
                   ? expected($f->{type}, $w)
                   : '[' . join(',', map { expected($f->{type}, $_) } @$w)
                     . ']';

        my ($ws, $hs) = map { ref ? plain($_) : $_ // 'NULL' } $w, $h;

        push @wrong, "$f->{sql} <- $values->[$i][0]: stored $hs, not $ws"
            if $ws ne $hs;

        my $sent = $answer->{$f->{name}} // 'nothing';

        push @wrong, "$f->{sql} <- $values->[$i][0]: answered $sent,"
                     . " not $text"
            unless same($sent, $text);
    }

    ok(!@wrong, $name) or diag(join "\n", @wrong);
}


subtest 'what is written is stored and read' => sub {
    for my $round (1 .. $rounds) {
        my $body = sub {
            my ($values, $some) = @_;
            return '{' . join(',', map { qq("$columns[$_]":$values->[$_][0]) }
                                   grep { !$some || $some->[$_] }
                                   0 .. $#fields) . '}';
        };

        my @values = map { random_value($_) } @fields;
        my $r = $t->post('/api/vals', $body->(\@values));

        is($r->code, 201, "POST $round")
            or return diag($body->(\@values), "\n", $r->body);

        my $id = "" . $r->json->{id};
        check_row($r, $id, \@values, "POST $round: values");
        is($t->get("/api/vals/$id")->body, $r->body, "GET $round");

        my @some = map { rand() < 0.5 } @fields;
        $_->[1] and $values[$_->[0]] = random_value($fields[$_->[0]])
            for map { [ $_, $some[$_] ] } 0 .. $#fields;

        $r = $t->patch("/api/vals/$id", $body->(\@values, \@some));
        is($r->code, 200, "PATCH $round")
            or return diag($body->(\@values, \@some), "\n", $r->body);
        check_row($r, $id, \@values, "PATCH $round: values");

        my $got = $r->body;
        $r = $t->put("/api/vals/$id", $got);
        is($r->code, 200, "PUT of what was read $round")
            or return diag($got, "\n", $r->body);

        my $stable = sub { $_[0] =~ s/,"updated_at":"[^"]+"//r };
        is($stable->($r->body), $stable->($got), 'nothing has changed');

        @values = map { random_value($_) } @fields;
        $r = $t->put("/api/vals/$id", $body->(\@values));
        is($r->code, 200, "PUT $round")
            or return diag($body->(\@values), "\n", $r->body);
        check_row($r, $id, \@values, "PUT $round: values");
    }
};


subtest 'all that PostgreSQL can hold is read, and written back' => sub {
    my %edge = (
        date => ['4713-01-01 BC', '0001-12-31 BC', '10000-01-01',
                 '5874897-12-31'],
        timestamp => ['4713-01-01 00:00:00 BC', '294276-12-31 23:59:59.999999',
                      'infinity', '-infinity'],
        timestamptz => ['4713-01-01 00:00:00+00 BC', 'infinity',
                        '294276-12-31 23:59:59.999999+00', '-infinity'],
        interval => ['178000000 years', '-178000000 years', '2147483647 days',
                     '-2147483648 days', '2562047788:00:54.775807',
                     '-2562047788:00:54.775807',
                     '1 year -1 month 1 day -00:00:00.000001'],
        numeric => ['0', '1e131071', '-1e-16383', '0.00000', '10000', '1e-4',
                    '99999999.9999', '100010001', '0.00010001', 'NaN',
                    '1' . '0' x 400 . '.5'],
        double => ['1.7976931348623157e308', '5e-324', '-0', 'NaN'],
        real => ['3.4028235e38', '1e-45', '-0'],
        time => ['00:00:00', '24:00:00', '23:59:59.999999'],
        inet => ['::ffff:1.2.3.4', '::1.2.3.4', '::', '1.2.3.4/0', '::1:0/1'],
        json => ['"a"', 'null', '1e400', '{"a":{"b":[1.10,null,"\u20ac"]}}',
                 '""', '0.0000000001', '[' x 100 . ']' x 100],
        text => ["\x{1}", "a" x 100000, "\x{10fffd}"],
        bytea => ['\\x', '\\x00', '\\x' . 'ff' x 10000],
    );

    for my $type (sort keys %edge) {
        my ($f) = grep { $_->{type} eq $type && !$_->{array} } @fields;
        my ($a) = grep { $_->{type} eq $type && $_->{array} } @fields;

        for my $text (@{ $edge{$type} }) {
            my ($id) = $dbh->selectrow_array(
                "INSERT INTO vals ($f->{name}, $a->{name}) VALUES (?::text"
                . "::$f->{sql}, ARRAY[NULL, ?::text]::$a->{sql})"
                . " RETURNING id", undef, $text, $text);

            my $shown = length $text > 50 ? substr($text, 0, 50) . '...'
                                          : $text;
            my $r = $t->get("/api/vals/$id");
            my $have = members($r->body);
            my $want = expected($type, stored('vals', $id)->{$f->{name}});

            ok(same($have->{$f->{name}}, $want), "$type $shown")
                or diag(substr "$have->{$f->{name}}, not $want", 0, 300);
            ok(same($have->{$a->{name}}, "[null,$want]"), "$type\[] $shown")
                or diag(substr $have->{$a->{name}}, 0, 300);

            next if $text =~ /1e131071/;

            my $put = $t->put("/api/vals/$id", $r->body);
            is($put->code, 200, "$type $shown: written back")
                or diag(substr $put->body, 0, 500);
            is(members($put->body)->{$_}, $have->{$_},
               "$type $shown: the same") for $f->{name}, $a->{name};
        }
    }
};


subtest 'arrays of arrays' => sub {
    my ($int) = grep { $_->{sql} eq 'integer[]' } @fields;
    my ($text) = grep { $_->{sql} eq 'text[]' } @fields;
    my ($any) = grep { $_->{sql} eq 'jsonb[]' } @fields;

    for my $value ('[[1,2],[3,4]]', '[[1],[2,3]]', '[1,[2]]', '[[1],2]',
                   '[[]]', '[[],[]]', '[[[[[[[1]]]]]]]', '[null,[1]]',
                   '[[1],null]', '{}', '1', '"{1}"', '[1,"x"]', '[1.5]')
    {
        my $r = $t->post('/api/vals', qq({"$int->{name}":$value}));
        is($r->code, 422, "refused: $value") or diag($r->body);
        is($r->json->{errors}[0]{pointer}, "/$int->{name}", 'pointer');
        like($r->json->{errors}[0]{detail},
             qr/^expected an array with each element a whole number from/,
             'one dimension is expected');

        $r = $t->get("/api/vals?$int->{name}=" . $value =~ s/"/%22/gr);
        is($r->code, 400, "no operand: $value") or diag($r->body);
        $r = $t->post('/api/vals/query',
                      qq({"filter":{"$int->{name}":{"\$ne":$value}}}));
        is($r->code, 400, "no operand in JSON: $value") or diag($r->body);
    }

    my $r = $t->post('/api/vals', qq({"$text->{name}":[["a"]]}));
    is($r->json->{errors}[0]{detail},
       'expected an array with each element a string', 'of text');

    $r = $t->post('/api/vals', qq({"$any->{name}":[[1,[2]],[],null]}));
    is($r->code, 201, 'an array is an element of json[]') or diag($r->body);
    is(members($r->body)->{$any->{name}}, '[[1, [2]],[],null]', 'and stays');

    for (["'{{1,2},{3,NULL}}'", '[[1,2],[3,null]]'],
         ["'{{{{{{7}}}}}}'", '[[[[[[7]]]]]]'], ["'[0:1]={1,2}'", '[1,2]'],
         ["'{}'", '[]'])
    {
        my ($literal, $value) = @$_;
        my ($id) = $dbh->selectrow_array(
            "INSERT INTO vals ($int->{name}) VALUES ($literal) RETURNING id");
        is(members($t->get("/api/vals/$id")->body)->{$int->{name}}, $value,
           "$literal: read as it is stored");
    }
};


my %wrong = (
    smallint => ['32768', '-32769', '1.5', '1e3', '""', '"1x"', '" 1"', 'true',
                 '[]', '"0x10"', '99999999999999999999', '"\u0000"', '"1\u0000"'],
    integer => ['2147483648', '"-2147483649"', '"one"', 'false', '"1_000"'],
    bigint => ['9223372036854775808', '-9223372036854775809', '1.0', '"+"',
               '"--1"'],
    numeric => ['"1,5"', '""', '"."', '".5"', '"1."', '"0x1p3"', 'true', '"e5"',
                '"nan"', '"1e"', '1e999999', '1e-999999', '1e131072',
                '"1e99999999999999999999"', '" 1"', '"1 "', '"\u0661"'],
    'numeric(12,2)' => ['1.005', '10000000000', '"NaN"', '1e10', '1e-3',
                        '"Infinity"'],
    real => ['1e39', '"x"', '1e-60', 'true', '"0x1p3"', '"inf"'],
    double => ['1e309', '1e-400', '"NAN"', '"1e"', '1e999999'],
    boolean => ['1', '0', '"true"', '"yes"', '[]', '""'],
    text => ['1', 'true', '[]', '"a\u0000b"', '"\u0000"'],
    'varchar(20)' => ['"' . 'a' x 21 . '"', '"' . "\xe2\x82\xac" x 21 . '"',
                      '1', '"\u0000"'],
    uuid => ['"x"', '""', '1', '"0189d9c4-5a7e-7b1e-9f4c-3d2a1b0c9e8"',
             '"0189d9c4-5a7e-7b1e-9f4c-3d2a1b0c9e8g"',
             '"{0189d9c4-5a7e-7b1e-9f4c-3d2a1b0c9e8f}"',
             '"0189d9c45a7e-7b1e-9f4c-3d2a1b0c9e8f-"'],
    date => ['"2023-02-29"', '"2023-13-01"', '"2023-00-10"', '"2023-1-1"',
             '"01/02/2023"', '"today"', '"now"', '20230101', '"2023-04-31"',
             '"0000-01-01"', '"2023-01-01T00:00:00"', '""', '"5874898-01-01"'],
    time => ['"24:00:01"', '"12:60:00"', '"12:00:61"', '"12"', '"noon"', '12',
             '"12:00:00+01:00"', '"allballs"', '"-01:00:00"'],
    timestamp => ['"2023-02-30T00:00:00"', '"2023-01-01T25:00:00"', '"now"',
                  '1672531200', '"2023-01-01T00:00:00Z"', '"epoch"',
                  '"294277-01-01T00:00:00"'],
    timestamptz => ['"2023-01-01T00:00:00"', '"2023-01-01T00:00:00+24:00"',
                    '"2023-01-01T00:00:00 Europe/Berlin"', '"yesterday"',
                    '"2023-01-01T00:00:00+1"', '1'],
    interval => ['""', '"P"', '"PT"', '"1"', '"forever"', '"P1H"', '"PT1D"',
                 '"P1.5Y"', '1', '"1 fortnight"', '"999999999999 years"',
                 '"P1D1D"', '"1 day ago"', '"infinity"'],
    json => ['"\u0000"', '{"\u0000":1}', '{"a":["x\u0000"]}', '1e999999',
             '[1e-999999]'],
    bytea => ['"====" ', '"A"', '"AB=A"', '"AA=="  ,"zz":1', '1', '"\\\\x00"',
              '"AB=="', '"AAB="', '"A A="', '"é"'],
    inet => ['"1.2.3"', '"1.2.3.4/33"', '"::1/129"', '"localhost"', '1', '""',
             '"1.2.3.4/"', '"1.2.3.4/-1"', '":::"', '"256.1.1.1"',
             '"fe80::1%eth0"', '"1.2.3.4/8/8"', '"1.2.3.4\u0000"'],
);

# statements of nginx that wrote

sub written {
    return $dbh->selectrow_array('SELECT count(*) FROM vals')
           . ' ' . $dbh->selectrow_array("SELECT last_value FROM vals_id_seq");
}


subtest 'wrong values' => sub {
    my $id = $dbh->selectrow_array('SELECT min(id) FROM vals');
    my $before = written();
    my $record = $t->get("/api/vals/$id")->body;

    for my $f (@fields) {
        my $has = $f->{type} ne 'json' || !$f->{array};

        for my $wrong (@{ $wrong{$f->{type}} }) {
            my $value = $f->{array} ? "[$wrong]" : $wrong;
            next if $wrong =~ /zz/;

            my $body = qq({"$f->{name}":$value});

            for my $method (qw(POST PATCH PUT)) {
                next if $method ne 'POST' && rand() > 0.2;

                my $path = '/api/vals' . ($method eq 'POST' ? '' : "/$id");
                my $r = $t->request($method, $path, {}, $body);

                is($r->code, 422, "$method $f->{sql} $wrong")
                    or diag($r->body), next;

                my $e = $r->json->{errors};

                is(scalar @$e, 1, 'one problem');
                is($e->[0]{pointer}, "/$f->{name}", 'pointer');
                like($e->[0]{code}, qr/^(?:type|range|length|scale|nul)$/,
                     'code');
                like($e->[0]{detail}, qr/^expected .{4}/, 'detail');
            }
        }
    }

    # one of each, and all are told

    my %bad = map { $_->{name} => $wrong{$_->{type}}[0] } @fields;
    my $body = '{' . join(',', map {
        $_->{array} ? qq("$_->{name}":[$bad{$_->{name}}])
                    : qq("$_->{name}":$bad{$_->{name}})
    } @fields) . ',"nothing":1,"id":3}';

    my $r = $t->post('/api/vals', $body);
    is($r->code, 422, 'all wrong') or diag($r->body);

    is(join(' ', sort map { $_->{pointer} } @{ $r->json->{errors} }),
       join(' ', sort map { "/$_" } @columns, 'nothing', 'id'),
       'every problem of the body');

    is(written(), $before, 'nothing was written, no identity was drawn');
    is($t->get("/api/vals/$id")->body, $record, 'and nothing changed');
};


# what is out of bounds to PostgreSQL is to us, before it is asked

subtest 'bounds' => sub {
    my %bound = (
        tiny => ['smallint', 'whole', '? BETWEEN -3 AND 20'],
        big => ['bigint', 'whole',
                '? BETWEEN -9007199254740993 AND 9223372036854775806'],
        num => ['numeric', 'num', '? BETWEEN -0.5 AND 1e20'],
        dec => ['numeric', 'num', '? BETWEEN 0.01 AND 99999.99'],
        dbl => ['double precision', 'num',
                '? BETWEEN -1.5e3 AND 0.30000000000000004'],
        name => ['text', 'text', 'length(?) BETWEEN 2 AND 5'],
        code => ['text', 'text', 'length(?) <= 3'],
        day => ['date', 'text', "? BETWEEN '1600-02-29' AND '2024-02-29'"],
        at => ['timestamptz', 'text', "? BETWEEN"
               . " '1899-12-31T23:59:59.999999-01:00'"
               . " AND '2024-02-29T12:00:00Z'"],
        span => ['interval', 'text', "? BETWEEN '-1 mon' AND '31 days'"],
        clock => ['time', 'text', "? BETWEEN '00:00:00.000001' AND '23:59'"],
        kind => ['text', 'text', "? IN ('a', 'b', '\x{e9}')"],
        form => ['text', 'text', "? ~ '^[a-c]*\$'"],
    );

    my %edge = (
        tiny => sub { pick(-4, -3, 0, 20, 21) },
        big => sub { pick('-9007199254740993', '-9007199254740994',
                          '9223372036854775806', '9223372036854775807', 0) },
        num => sub { pick('-0.5', '-0.50', '-0.500000000000000000000001', '1e20',
                          '100000000000000000000.0', '1e21', '0', '-0', '1e-30',
                          '100000000000000000000.00000000000000000001') },
        dec => sub { pick('0.01', '0', '0.00', '-0.01', '99999.99', '1e5',
                          '100000', '1e-2', '0.1e-1', '9999999e-2') },
        dbl => sub { pick('-1500', '-1.5e3', '-1500.1', '0.30000000000000004',
                          '0.3', '0.31', '-1.5000001e3') },
        name => sub { join '', map { pick('a', "\x{e9}", "\x{1f600}",
                                          "e\x{301}", ' ', '') } 0 .. rand 7 },
        code => sub { join '', map { pick('a', "\x{20ac}") } 1 .. rand 6 },
        day => sub { pick('1600-02-29', '1600-02-28', '2024-02-29',
                          '2024-03-01', ymd()) },
        at => sub { pick('1900-01-01T00:59:59.999999Z',
                         '1900-01-01T00:59:59.999998Z',
                         '2024-02-29T12:00:00.000001Z',
                         '2024-02-29T13:00:00+01:00', ymd() . 'T' . clock()
                         . offset()) },
        span => sub { pick('P-30D', '-1 mon', '-30 days -00:00:00.000001',
                           'P31D', 'P1M1D', 'P1M1DT0.000001S', 'PT744H',
                           'PT-720H') },
        clock => sub { pick('00:00:00', '00:00:00.000001', '23:59:00',
                            '23:59:00.000001', clock()) },
        kind => sub { pick('a', 'b', "\x{e9}", 'A', '', 'ab', 'a,b') },
        form => sub { pick('', 'abc', 'abd', "a\nb", 'abcabc', 'ABC') },
    );

    for (1 .. $rounds * 4) {
        my $f = pick(sort keys %bound);
        my ($type, $kind, $condition) = @{ $bound{$f} };
        my $value = $edge{$f}->();

        (my $sql = $condition) =~ s/\?/?::text::$type/;
        my ($fits) = $dbh->selectrow_array("SELECT $sql", undef, $value);

        my $r = $t->post('/api/bounds', qq({"$f":)
                         . ($kind eq 'text' ? $json->encode($value) : $value)
                         . '}');

        is($r->code, $fits ? 201 : 422, "$f $value")
            or diag($r->body), next;
        next if $fits;

        is($r->json->{errors}[0]{pointer}, "/$f", 'pointer');
        ok(!exists $r->json->{sqlstate}, 'without PostgreSQL')
            or diag("$f $value: ", $r->body);
    }
};


subtest 'NDJSON and CSV say the same' => sub {
    my $accept = sub {
        my $r = $t->get('/api/vals?limit=all&sort=id', Accept => $_[0]);
        is($r->code, 200, $_[0]) or diag($r->body);
        return $r->body;
    };

    my @lines = split /\n/, $accept->('application/x-ndjson');
    my @ids = @{ $dbh->selectcol_arrayref('SELECT id FROM vals ORDER BY id') };
    is(scalar @lines, scalar @ids, 'a line each');

    my $text = $accept->('text/csv');
    my ($header, @rows) = csv($text);
    is(scalar @rows, scalar @ids, 'a row each');

    my $wrong = 0;

    for my $i (0 .. $#ids) {
        my $body = $t->get("/api/vals/$ids[$i]")->body;

        is($lines[$i], $body, "NDJSON of $ids[$i]")
            if $lines[$i] ne $body && $wrong++ < 5;

        my $member = members($body);
        my @cells = @{ $rows[$i] };

        for my $k (0 .. $#$header) {
            my $json = $member->{$header->[$k]};
            my $want = $json eq 'null' ? undef
                     : $json =~ /^"/ && !is_json($header->[$k])
                       ? octets(DataflowTest::JSON::decode($json)) : $json;

            next if ($want // 'NULL') eq ($cells[$k] // 'NULL')
                    && defined $want == defined $cells[$k];

            is($cells[$k], $want, "CSV of $header->[$k] of $ids[$i]")
                if $wrong++ < 5;
        }
    }

    is($wrong, 0, 'all the same');
};


# names of fields whose values are JSON in CSV, too

sub is_json {
    my ($name) = @_;
    return grep { $_->{name} eq $name && ($_->{array} || $_->{type} eq 'json') }
                @fields;
}


# RFC 4180; undef for an empty cell without quotes

sub csv {
    my ($text) = @_;
    my (@rows, @row);

    while ($text =~ /\G(?:"((?:[^"]++|"")*+)"|([^",\r\n]*))(,|\r\n)/gc) {
        my ($quoted, $plain, $end) = ($1, $2, $3);

        $quoted =~ s/""/"/g if defined $quoted;
        push @row, $quoted // (length $plain ? $plain : undef);

        next if $end eq ',';
        push @rows, [ @row ];
        @row = ();
    }

    is(pos($text), length $text, 'CSV to its end');
    return @rows;
}


# update operators against a model

sub amount { return pick(1, 2, 7, 10, int rand 1000) }

subtest 'update operators' => sub {
    for my $round (1 .. ($rounds / 6 || 1)) {
        my %model = (small => Math::BigInt->new(0),
                     whole => Math::BigInt->new(0),
                     big => Math::BigInt->new(0),
                     num => Math::BigFloat->new(0),
                     dec => Math::BigFloat->new(0), name => 'm',
                     tags => [], nums => [], attrs => {});
        my %limit = (small => 15, whole => 31, big => 63);
        my @trace;

        my $r = $t->post('/api/ops',
                         '{"small":0,"whole":0,"big":0,"num":0,"dec":0,'
                         . '"name":"m","tags":[],"nums":[],"attrs":{}}');
        my $path = $r->header('Location');

        for my $step (1 .. 25) {
            my (%next, @parts);
            my $refused = 0;

            for my $f (grep { rand() < 0.4 } sort keys %model) {
                my $v = $model{$f};
                my ($op, $operand, $new);

                if ($f =~ /^(?:small|whole|big)$/) {
                    $op = pick(qw($inc $dec $mul $min $max));
                    my $n = Math::BigInt->new(
                                $op eq '$mul' ? pick(-3, 0, 1, 2, 3)
                                : $f eq 'big' && rand() < 0.3
                                  ? pick(1 .. 9) . digits(17) : amount());
                    $n = -$n if rand() < 0.3;
                    $operand = $n->bstr;
                    $new = calculate($op, $v, $n);

                    my $max = Math::BigInt->new(2)->bpow($limit{$f});
                    $refused ||= $new >= $max || $new < -$max;

                } elsif ($f =~ /^(?:num|dec)$/) {
                    $op = pick(qw($inc $dec $mul $min $max));
                    $operand = pick('', '-') . ($op eq '$mul'
                                   ? pick('1', '-1', '2', '0.5', '10')
                                   : pick('0.1', '0.25', '123456789.0001',
                                          amount() . '.' . digits(4)));
                    $operand =~ s/^--/-/;

                    if ($f eq 'dec' && $op eq '$mul') {
                        $operand = pick('1', '-1', '2');
                    }

                    $new = calculate($op, $v, Math::BigFloat->new($operand));

                } elsif ($f eq 'name') {
                    $op = pick(qw($min $max));
                    my $text = pick('a' .. 'z') . amount();
                    $operand = quoted($text);
                    $new = $op eq '$min' ? ($text lt $v ? $text : $v)
                                         : ($text gt $v ? $text : $v);

                } elsif ($f eq 'attrs') {
                    $op = '$merge';
                    my %m = map { pick('a' .. 'e', '$inc', 'x.y')
                                  => pick(undef, amount(), 'text', [1, 2]) }
                                1 .. rand 4;
                    $operand = $json->encode(\%m);
                    $new = { %$v, %m };

                } else {
                    $op = pick(qw($append $append $remove));
                    my $e = rand() < 0.1 ? undef
                          : $f eq 'tags' ? pick('a', 'b', 'NULL', '{}', '"', '')
                          : pick(1, 2, '9007199254740993');
                    $operand = !defined $e ? 'null'
                             : $f eq 'tags' ? quoted($e) : $e;

                    my $is = sub { defined $_[0] ? defined $e && $_[0] eq $e
                                                 : !defined $e };
                    $new = $op eq '$append' ? [ @$v, $e ]
                                            : [ grep { !$is->($_) } @$v ];
                }

                $next{$f} = $new;
                push @parts, qq("$f":{"$op":$operand});
            }

            my $body = '{' . join(',', @parts) . '}';
            push @trace, $body;

            $r = $t->patch($path, $body);

            if ($refused) {
                is($r->code, 422, 'out of range') or diag($body, $r->body);
                next;
            }

            is($r->code, 200, "step $round.$step")
                or return diag($body, $r->body);
            %model = (%model, %next);

            my $have = $r->json;
            my @wrong = grep { !agree($model{$_}, $have->{$_}) } keys %model;
            ok(!@wrong, 'agrees')
                or return diag(join "\n", @trace, @wrong, $r->body);
        }
    }
};


sub calculate {
    my ($op, $a, $b) = @_;

    return $op eq '$inc' ? $a + $b
         : $op eq '$dec' ? $a - $b
         : $op eq '$mul' ? $a * $b
         : $op eq '$min' ? ($a < $b ? $a : $b)
         : ($a > $b ? $a : $b);
}


sub agree {
    my ($model, $have) = @_;

    return Math::BigFloat->new("$have") == $model
        if ref $model && ref($model) =~ /^Math::/;
    return !defined $have unless defined $model;
    return "$have" eq $model unless ref $model;

    return plain_text($have) eq plain_text($model);
}


sub plain_text {
    my ($v) = @_;

    return 'null' unless defined $v;
    return '[' . join(',', map { plain_text($_) } @$v) . ']'
        if ref $v eq 'ARRAY';
    return '{' . join(',', map { "$_:" . plain_text($v->{$_}) } sort keys %$v)
           . '}' if ref $v eq 'HASH';
    return "<$v>";
}


subtest 'operators that null meets, and those that do not fit' => sub {
    my $path = $t->post('/api/ops', '{}')->header('Location');

    my $r = $t->patch($path, '{"big":{"$inc":1},"num":{"$mul":2},'
                      . '"whole":{"$min":3},"small":{"$max":4},'
                      . '"tags":{"$append":"a"},"nums":{"$remove":1},'
                      . '"attrs":{"$merge":{"a":1}},"at":{"$now":true},'
                      . '"day":{"$now":true}}');
    is($r->code, 200, 'on nulls') or diag($r->body);
    is($r->json->{big}, undef, 'null + 1 is null');
    is($r->json->{num}, undef, 'null * 2 is null');
    is($r->json_text('whole'), 3, 'the least of null and 3');
    is($r->json_text('small'), 4, 'the greatest');
    like($r->body, qr/"tags":\["a"\]/, 'an array begins');
    is($r->json->{nums}, undef, 'nothing to remove from');
    like($r->body, qr/"attrs":\{"a": 1\}/, 'an object begins');
    is($r->json->{at}, $r->json->{updated_at}, 'now');
    is($r->json->{day}, substr($r->json->{at}, 0, 10), 'today');

    for ('{"big":{"$inc":null}}', '{"big":{"$inc":"x"}}',
         '{"big":{"$inc":1.5}}', '{"big":{"$inc":9223372036854775808}}',
         '{"big":{"$append":1}}', '{"tags":{"$inc":1}}',
         '{"tags":{"$append":["a"]}}', '{"tags":{"$append":1}}',
         '{"attrs":{"$merge":1}}', '{"attrs":{"$merge":[1]}}',
         '{"at":{"$now":1}}', '{"at":{"$now":false}}', '{"name":{"$now":true}}',
         '{"name":{"$inc":1}}', '{"big":{"$inc":1,"$dec":1}}', '{"big":{}}',
         '{"big":{"x":1}}', '{"dec":{"$inc":0.00001}}', '{"big":{"$inc":[1]}}',
         '{"num":{"$inc":{"$inc":1}}}')
    {
        $r = $t->patch($path, $_);
        is($r->code, 422, "refused: $_") or diag($r->body);
        like($r->json->{errors}[0]{pointer}, qr{^/(?:big|tags|attrs|at|name|dec
                                                |num)}x, 'pointer');
    }

    for my $method (qw(POST PUT)) {
        $r = $t->request($method, $method eq 'POST' ? '/api/ops' : $path, {},
                         '{"big":{"$inc":1}}');
        is($r->code, 422, "$method has no operators");
    }
};


subtest 'concurrent increments' => sub {
    my $path = $t->post('/api/ops', '{"big":0,"nums":[],"num":0}')
                 ->header('Location');
    my ($clients, $each) = (16, 25);
    my %code;

    my $loop = $t->ua;
    require Mojo::Promise;

    my $client;
    $client = sub {
        my ($who, $left) = @_;
        return Mojo::Promise->resolve unless $left;

        return $loop->patch_p($t->url($path), {
            'Content-Type' => 'application/json', Connection => 'close',
        }, qq({"big":{"\$inc":$who},"num":{"\$dec":0.01},)
           . qq("nums":{"\$append":$who}}))->then(sub {
            $code{$_[0]->res->code}++;
            return $client->($who, $left - 1);
        });
    };

    Mojo::Promise->all(map { $client->($_, $each) } 1 .. $clients)->wait;

    is_deeply(\%code, { 200 => $clients * $each }, 'all were made');

    my $r = $t->get($path);
    is($r->json_text('big'), $each * $clients * ($clients + 1) / 2, 'the sum');
    is($r->json_text('num'), '-' . $clients * $each / 100 . '.00',
       'of decimals');

    my %seen;
    $seen{"$_"}++ for @{ $r->json->{nums} };
    is_deeply(\%seen, { map { $_ => $each } 1 .. $clients }, 'no append lost');
};


$t->done;
