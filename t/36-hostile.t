use strict;
use warnings;

use IO::Select;
use Socket qw(IPPROTO_TCP TCP_NODELAY SHUT_WR);
use Test::More;
use Time::HiRes qw(sleep time);

use DataflowTest;

# requests that mean harm: each is refused as a problem that says where, or
# does just what it says; the worker lives, and PostgreSQL never saw a text
# that a client wrote

my $seed = $ENV{DATAFLOW_SEED} // 36;
my $rounds = $ENV{DATAFLOW_ROUNDS} // 600;

srand $seed;
diag("DATAFLOW_SEED=$seed DATAFLOW_ROUNDS=$rounds");

my $t = DataflowTest->new(cluster => 'own', models => <<'CONF')->start;
        location /api/things {
            dataflow_model things {
                field name  text          required;
                field whole integer;
                field big   bigint;
                field num   numeric;
                field dec   numeric(12,2);
                field dbl   double;
                field flag  boolean;
                field at    timestamptz;
                field bin   bytea;
                field tags  text[];
                field nums  integer[];
                field attrs json;
            }
        }

        location /api/named {
            dataflow_model named { field code text required; key code; }
        }

        location /api/large {
            client_max_body_size 0;
            dataflow_model large { field name text; }
        }
CONF

my $dbh = $t->dbh;
my ($worker) = $t->worker_pids;

$t->post('/api/things', { name => $_, whole => 1 }) for 'a', 'b', 'c';

sub pick { return $_[rand @_] }

sub escaped { return $_[0] =~ s/([^A-Za-z0-9\-._~])/sprintf '%%%02X', ord $1/ger }


# a refusal with a place, never a server's error

sub refused {
    my ($r, $name, $code) = @_;

    my $p = eval { $r->json } // {};
    my $ok = $r->code >= 400 && $r->code < 500
             && $r->type eq 'application/problem+json'
             && ($p->{status} // '') eq $r->code && $p->{title} && $p->{code}
             && (!$code || $p->{code} eq $code);

    ok($ok, $name) or diag($r->code, ' ', $r->type, "\n",
                           substr $r->body, 0, 500);
    return $p;
}

sub refused_at {
    my ($r, $name, $place, $code) = @_;

    my $p = refused($r, $name, $code);
    my $e = ($p->{errors} // [])->[0] // {};

    is($e->{pointer} // $e->{parameter} // $e->{header}, $place,
       "$name: where") or diag(substr $r->body, 0, 500);
}


# the head and body of each answer on a connection

sub answers {
    my ($bytes) = @_;
    my @answer;

    while ($bytes =~ s{\AHTTP/1\.[01] (\d+)[^\r]*\r\n(.*?)\r\n\r\n}{}s) {
        my ($code, $head) = ($1, $2);
        my $length = $head =~ /^Content-Length: (\d+)/mi ? $1 : 0;
        push @answer, { code => $code, head => $head,
                        body => substr $bytes, 0, $length, '' };
    }

    return @answer;
}

# without waiting for the end of the connection

sub first_answer {
    my ($socket) = @_;
    my $bytes = '';

    while (sysread $socket, $bytes, 65536, length $bytes) {
        last if $bytes =~ /^Content-Length: (\d+)\r\n.*?\r\n\r\n(.*)/ms
                && length $2 >= $1;
    }

    return (answers($bytes))[0] // { code => 0, head => '', body => '' };
}

sub raw_post {
    my ($body, @headers) = @_;

    my ($answer) = answers($t->raw(join "\r\n",
        'POST /api/things HTTP/1.1', 'Host: a', 'Connection: close',
        (grep { /^Content-Type/i } @headers)
        ? () : 'Content-Type: application/json',
        (grep { /^(?:Content-Length|Transfer)/i } @headers)
        ? () : 'Content-Length: ' . length $body,
        @headers, '', $body));

    return $answer // { code => 0, head => '', body => '' };
}


subtest 'SQL in every position' => sub {
    my @evil = ("'", "''", "'; DROP TABLE things; --", "' OR '1'='1",
                "\\'; DROP TABLE things; --", '"', '"; DROP TABLE things; --',
                "1; DELETE FROM things", "1) OR (1=1", '$1', '$$;x$$', '%s%n',
                "/**/", '--', "\\", "a\\", "{a}", "'||pg_sleep(5)||'",
                'name) FROM things; --', 'name"::text', "x\n;y", "\$1::int",
                "E'\\x27'", "U&'\\0027'", "\xc2\xbf'", "\xca\xbc");

    my $before = table();

    for my $evil (@evil) {
        my $e = escaped($evil);
        my $j = DataflowTest::JSON::encode({ x => undef }) && do {
            my $text = $evil;
            utf8::decode($text);
            JSON::PP->new->allow_nonref->utf8->encode($text);
        };

        # where a value may be anything it is only a value

        for my $query ("name=$e", "name__contains=$e", "name__startswith=$e",
                       "name__in=$e", "attrs.a=$e", "attrs.$e=1",
                       "attrs.$e.$e=1", "tags__has=$e", "tags__has_any=$e",
                       "attrs__has=$e", "name__search=$e",
                       "attrs.$e\__isnull=false")
        {
            my $r = $t->get("/api/things?$query");
            ok($r->code == 200 && $r->body eq '{"data":[],"next":null}'
               || $r->code == 400 && $evil =~ /\n|\.|__/
               || $query =~ /search/ && $r->code == 200, $query)
                or diag($r->code, $r->body);
        }

        for my $query ("name__like=$e", "name__regex=$e", "name__iregex=$e") {
            my $r = $t->get("/api/things?$query");
            ok($r->code == 200 || $r->code == 400, $query)
                or diag($r->code, $r->body);
        }

        # where it has to be a name, a number, a word it is refused

        for my $query ("$e=1", "name__$e=1", "name$e=1", "$e.a=1", "sort=$e",
                       "sort=name$e", "sort=-$e", "sort=name:$e",
                       "fields=$e", "fields=id,$e", "limit=$e", "limit=1$e",
                       "offset=$e", "count=$e", "cursor=$e", "filter=$e",
                       "whole=$e", "num=1$e", "dbl=$e", "flag=$e", "at=$e",
                       "nums=$e", "nums__has=1$e", "whole__in=1,$e",
                       "whole__between=1,$e", "whole__isnull=$e")
        {
            my $r = $t->get("/api/things?$query");
            refused($r, $query);
        }

        for my $filter (qq({$j:1}), qq({"name":{$j:1}}), qq({"\$and":$j}),
                        qq({"whole":$j}), qq({"whole":{"\$in":[1,$j]}}),
                        qq({"nums":{"\$has":$j}}), qq({"flag":{"\$isnull":$j}}))
        {
            refused($t->post('/api/things/query', qq({"filter":$filter})),
                    $filter);
        }

        for my $body (qq({$j:1}), qq({"sort":[$j]}), qq({"fields":[$j]}),
                      qq({"limit":$j}), qq({"count":$j}), qq({"cursor":$j}))
        {
            refused($t->post('/api/things/query', $body), $body);
        }

        for my $body (qq({$j:1}), qq({"name":"a",$j:1}), qq({"whole":{$j:1}}),
                      qq({"whole":{"\$inc":$j}}), qq({"whole":$j}),
                      qq({"num":$j}), qq({"at":$j}), qq({"nums":[$j]}))
        {
            refused($t->patch('/api/things/1', $body), $body);
        }

        refused($t->get("/api/things/$e"), "key $e") unless $evil =~ m{/};
        refused($t->delete("/api/things/1$e"), "key 1$e")
            unless $evil =~ m{/};
        is($t->get("/api/named/" . $e)->code, 404, "a text key $e");

        next if $evil =~ /\n/;

        for my $h ('If-Match', 'If-None-Match') {
            my $r = $t->get('/api/things/1', $h => $evil);
            ok($r->code == 200 || $r->code == 400, "$h: $evil")
                or diag($r->code, $r->body);
            $r = $t->patch('/api/things/1', '{"whole":1}',
                           'If-Match' => qq("$evil"));
            ok($r->code == 412 || $r->code == 400, "If-Match: \"$evil\"")
                or diag($r->code, $r->body);
        }

        ok($t->get('/api/things/1', Prefer => $evil, 'X-Tenant-ID' => $evil,
                   'X-API-Key' => $evil)->code == 200, "headers $evil");
        refused($t->post('/api/things', '{}', 'Content-Type' => $evil),
                "Content-Type: $evil");
    }

    is(table(), $before, 'nothing has changed');

    # and all of it is data

    for my $evil (grep { !/[\x80-\xff]/ } @evil) {
        my $r = $t->post('/api/things', {
            name => $evil, tags => [$evil, undef, $evil],
            attrs => { $evil => [$evil] },
        });
        is($r->code, 201, "stored <$evil>") or diag($r->body);
        is($r->json->{name}, $evil, 'as it is');
        is_deeply($r->json->{tags}, [$evil, undef, $evil], 'in an array');
        is_deeply($r->json->{attrs}, { $evil => [$evil] }, 'in json');

        for my $query ('name=' . escaped($evil),
                       'name__contains=' . escaped($evil) . '&sort=-id',
                       'tags__has=' . escaped($evil) . '&sort=-id',
                       'attrs__has=' . escaped($evil))
        {
            my $got = $t->get("/api/things?$query&limit=100");
            is($got->code, 200, $query) or diag($got->body);
            ok(scalar(grep { $_->{name} eq $evil } @{ $got->json->{data} }),
               'found');
        }

        is($t->delete($r->header('Location'))->code, 204, 'and gone');
    }
};


sub table {
    return join "\n", map { join '|', map { $_ // 'NULL' } @$_ }
        @{ $dbh->selectall_arrayref(
            'SELECT id, name, whole, created_at FROM things ORDER BY id') },
        @{ $dbh->selectall_arrayref(
            "SELECT relname FROM pg_class WHERE relnamespace ="
            . " 'public'::regnamespace ORDER BY 1") };
}


subtest 'bodies that are cut' => sub {
    my $body = '{"name":"caf\u00e9 \ud83d\ude00 ' . "\xe2\x82\xac" . '","num":'
               . '-1.5e+3,"tags":["a",null],"flag":true,"attrs":{"a":[{}]},'
               . '"at":"2024-01-01T00:00:00Z","whole":{"$inc":1}}';

    for my $n (0 .. length($body) - 1) {
        my $r = $t->post('/api/things', substr $body, 0, $n);
        refused($r, "$n bytes", $n ? 'invalid_json' : 'bad_request');
        refused($t->patch('/api/things/1', substr $body, 0, $n),
                "PATCH: $n bytes") if $n % 5 == 0;
    }

    my $query = '{"filter":{"$or":[{"whole":{"$in":[1,null]}},{"name":"\u00e9"}]'
                . '},"sort":["-id"],"limit":5}';

    refused($t->post('/api/things/query', substr $query, 0, $_),
            "query: $_ bytes") for 0 .. length($query) - 1;

    my $filter = '{"$or":[{"whole":{"$in":[1,null]}},{"name":"\u00e9"}]}';

    refused_at($t->get('/api/things?filter=' . escaped(substr $filter, 0, $_)),
               "filter: $_ bytes", 'filter', 'invalid_json')
        for 0 .. length($filter) - 1;

    # and connections

    for my $n (0 .. length($body) - 1) {
        my $socket = $t->socket;
        $socket->print("POST /api/things HTTP/1.1\r\nHost: a\r\nContent-Type: "
                       . "application/json\r\nContent-Length: " . length($body)
                       . "\r\n\r\n" . substr $body, 0, $n);
        close $socket;
    }

    is($t->get('/api/things/1')->code, 200, 'and it goes on');
};


subtest 'bodies that are broken' => sub {
    my @broken = (
        "\xef\xbb\xbf{\"name\":\"a\"}", "{\"name\":\"\xff\"}",
        "{\"name\":\"\xc0\xaf\"}", "{\"name\":\"\xed\xa0\x80\"}",
        "{\"name\":\"\xf4\x90\x80\x80\"}", "{\"name\":\"\xe2\x82\"}",
        "{\"name\":\"\x80\"}", '{"name":"\ud800"}', '{"name":"\udc00\ud800"}',
        '{"name":"\ud800\u0041"}', '{"name":"\u12"}', '{"name":"\x41"}',
        '{"name":"\\', "{\"name\":\"a\nb\"}", "{\"name\":\"a\tb\"}",
        "{\"name\":\"a\0b\"}", "\0", "{\"name\":\"a\"}\0", "{\"name\":\"a\"}x",
        '{"name":"a"} {}', "{'name':'a'}", '{name:"a"}', '{"name":a}',
        '{"name":"a",}', '{,"name":"a"}', '{"name":"a"//x', '{"name":"a"/**/}',
        '{"name" "a"}', '{"name":}', '{"num":01}', '{"num":+1}', '{"num":1.}',
        '{"num":.5}', '{"num":1e}', '{"num":0x1}', '{"num":--1}', '{"num":-}',
        '{"num":NaN}', '{"num":Infinity}', '{"num":1 2}', '{"flag":True}',
        '{"flag":tru}', '{"flag":nul}', '{"tags":[}', '{"tags":[1,]}',
        '{"tags":[,1]}', '{"tags":[1', ']', '}', '""x', '[1]]', '{"a":1}}',
        join('', map { "$_\0" } split //, '{"name":"a"}'),
        "\xff\xfe" . join('', map { "$_\0" } split //, '{"name":"a"}'),
    );

    refused($t->post('/api/things', $_), 'body ' . s/[^ -~]/./gr,
            'invalid_json')
        for @broken;

    for my $body ('1', '"a"', 'null', 'true', '[]', '[{"name":"a"}]', '1e999999',
                  '[[]]')
    {
        refused_at($t->post('/api/things', $body), "body $body", '',
                   'validation_failed');
        refused_at($t->post('/api/things/query', $body), "query $body", '');
    }

    refused_at($t->post('/api/things', '{"name":"a","name":"b"}'), 'duplicate',
               '/name', 'validation_failed');
    refused_at($t->post('/api/things', '{"name":"a","n\u0061me":"b"}'),
               'duplicate in disguise', '/name', 'validation_failed');
    refused_at($t->post('/api/things/query', '{"limit":1,"limit":2}'),
               'duplicate of a query', '/limit');
    refused_at($t->post('/api/things', '{"name\u0000":"b","name":"a"}'),
               'a NUL in a name', "/name\x{fffd}", 'validation_failed');

    my $r = $t->post('/api/things',
                     '{"name":"d","attrs":{"a":1,"a":2,"b":{"c":1,"c":3}}}');
    is($r->code, 201, 'duplicates within json are json\'s');
    like($r->body, qr/"attrs":\{"a": 2, "b": \{"c": 3\}\}/, 'the last counts');

    $r = $t->patch('/api/things/1', '{"__proto__":{"a":1}}');
    refused_at($r, 'no member is special', '/__proto__');
    refused_at($t->patch('/api/things/1', '{"a/b~c":1}'), 'escaped pointer',
               '/a~1b~0c');
    refused_at($t->patch('/api/things/1', '{"":1}'), 'no name', '/');
};


subtest 'random bytes in bodies' => sub {
    my @bodies = (
        '{"name":"caf\u00e9","num":-1.5e+3,"tags":["a",null],"flag":true,'
        . '"attrs":{"a":[{}]},"at":"2024-01-01T00:00:00Z","bin":"AAEC",'
        . '"nums":[1,-2],"dec":1.25,"big":9007199254740993}',
        '{"filter":{"$or":[{"whole":{"$in":[1,null]}},{"name":"b"}],"$not":'
        . '{"attrs.a.0":{"$gt":1}}},"sort":["-id"],"limit":5,"fields":["id"]}',
    );
    my @bad;

    for my $round (1 .. $rounds) {
        my $which = $round % 2;
        my $body = $bodies[$which];

        for (0 .. rand 3) {
            my $at = int rand length $body;
            my $kind = rand;

            if ($kind < 0.4) {
                substr $body, $at, 1, pick(map({ chr } 0 .. 255),
                                           split //, '{}[]",:\\' x 8);
            } elsif ($kind < 0.6) {
                substr $body, $at, rand(6), '';
            } elsif ($kind < 0.8) {
                substr $body, $at, 0, substr $body, rand length $body, rand 30;
            } else {
                substr $body, $at, 1, pick('1e999999', 'null', '[]', '{}', '""',
                                           '-', '\u0000', "\xf0\x9f", '$inc',
                                           '9' x 400, '"' . 'x' x 3000 . '"');
            }
        }

        my $r = $which ? $t->post('/api/things/query', $body)
                       : pick(0, 1) ? $t->post('/api/things', $body)
                       : $t->patch('/api/things/1', $body);

        my $p = eval { length $r->body ? $r->json : {} };
        push @bad, "$body\n" . $r->code . ' ' . $r->body
            if $r->code >= 500 || !$p
               || $r->code >= 400 && !($p->{code} && $p->{status});
    }

    ok(!@bad, "$rounds bodies") or diag(join "\n\n", splice @bad, 0, 5);
};


subtest 'random bytes in query strings' => sub {
    my @parts = ('name', 'whole', 'attrs.a', '__gt', '__in', '__between', '=',
                 '&', ',', '-', 'sort', 'filter', 'limit', 'fields', 'cursor',
                 'count', 'exact', '%', '%00', '%zz', '%C3', '%A9', '%7B%22',
                 '%22%3A', '%5B', '%5D', '%7D', '+', '.', '__', ';', '?', '/',
                 '1', '0', '"', '{', '}', '[', "'", '\\', '<', '>', '|', '^',
                 '%25', '%2B', '__regex=', '__like=', '(', ')', '*', 'null',
                 'tags__has=', 'nums=', '%5B1%5D', 'x' x 500, '%F0%9F%98%80',
                 "\xc3\xa9", "\xff", '%7F', '%0D%0A', '__search=');
    my @bad;

    for my $round (1 .. $rounds) {
        my $query = join '', map { pick(@parts) } 0 .. rand 12;
        my ($r) = answers($t->raw("GET /api/things?$query HTTP/1.1\r\n"
                                  . "Host: a\r\nConnection: close\r\n\r\n"));

        my $p = $r && eval { DataflowTest::JSON::decode($r->{body}) };
        push @bad, "$query\n" . ($r ? "$r->{code} $r->{body}" : 'no answer')
            unless $p && $r->{code} < 500
                   && ($r->{code} == 200 || $p->{code} && ($p->{errors}
                                                        || $p->{sqlstate}));
    }

    ok(!@bad, "$rounds query strings") or diag(join "\n\n", splice @bad, 0, 5);
};


subtest 'depth' => sub {
    my @deep = ('[' x 10000 . ']' x 10000, '{"a":' x 10000 . '1' . '}' x 10000,
                '[' x 10000, '{"a":' x 10000, '[{"a":' x 5000,
                '[' x 129 . ']' x 129);

    for my $deep (@deep) {
        my $name = substr($deep, 0, 6) . ' ' . length $deep;
        refused($t->post('/api/things', $deep), $name, 'invalid_json');
        refused($t->post('/api/things', qq({"name":"a","attrs":$deep})),
                "attrs $name", 'invalid_json');
        refused($t->post('/api/things/query', qq({"filter":$deep})),
                "filter $name", 'invalid_json');
        refused_at($t->get('/api/things?filter='
                           . substr escaped($deep), 0, 6000),
                   "query $name", 'filter', 'invalid_json')
            unless length $deep < 300;
    }

    my $r = $t->post('/api/things', '{"name":"a","attrs":' . '[' x 127
                     . ']' x 127 . '}');
    is($r->code, 201, '128 deep') or diag($r->body);

    for my $n (31, 32, 33, 100) {
        for my $part (['{"$not":', '}'], ['{"$and":[', ']}'],
                      ['{"$or":[{"whole":1},', ']}'])
        {
            my $filter = $part->[0] x $n . '{"whole":1}' . $part->[1] x $n;
            $r = $t->post('/api/things/query', qq({"filter":$filter}));

            if ($n < 32) {
                is($r->code, 200, "$n times $part->[0]") or diag($r->body);
            } else {
                refused($r, "$n times $part->[0]");
            }
        }
    }

    refused_at($t->get('/api/things?' . 'attrs' . '.a' x 17 . '=1'),
               'a long path', 'attrs' . '.a' x 17, 'limit_exceeded');
};


subtest 'size' => sub {
    my $list = sub { join ',', 1 .. $_[0] };
    my $in = sub {
        my ($n) = @_;
        return $t->post('/api/things/query', '{"filter":{"whole":{"$in":['
                        . $list->($n) . ']}}}');
    };

    is($in->(10000)->code, 200, '10 000 values');
    refused_at($in->(10001), '10 001 values', '/filter/whole/$in',
               'limit_exceeded');

    my $or = sub { return $t->post('/api/things/query', '{"filter":{"$or":['
                       . join(',', ('{"whole":1}') x $_[0]) . ']}}') };
    is($or->(400)->code, 200, '400 conditions');
    refused($or->(600), '600 conditions', 'limit_exceeded');
    refused($t->get('/api/things?' . join '&', ('whole=1') x 600),
            '600 parameters', 'limit_exceeded');
    refused($t->get('/api/things?sort=' . join ',', 'id', qw(name whole big num
                    dec dbl flag at)), 'nine sorts', 'limit_exceeded');

    my $long = 'x' x 7000;
    refused_at($t->get("/api/things?$long=1"), 'a long name', $long);
    refused($t->get("/api/things?$_=$long"), "a long $_")
        for qw(sort fields limit offset cursor filter count whole num at);
    is($t->get("/api/things?name=$long")->code, 200, 'a long value');
    is($t->get('/api/things?name=' . 'x' x 20000)->code, 414, 'too long');
    is($t->get('/api/things?' . '&' x 7000)->code, 200, 'nothing at all');

    my $r = $t->post('/api/things', '{"name":"n","nums":[' . $list->(50000)
                     . ']}', Prefer => 'return=minimal');
    is($r->code, 201, 'an array of 50 000') or diag($r->body);
    is($t->get($r->header('Location') . '?fields=nums')->body,
       '{"nums":[' . $list->(50000) . ']}', 'is read');

    $r = $t->post('/api/things', '{' . join(',', map { qq("x$_":1) } 1 .. 20000)
                  . '}');
    my $p = refused($r, '20 000 wrong members', 'validation_failed');
    cmp_ok(scalar @{ $p->{errors} }, '<=', 100, 'some are told');

    $r = $t->post('/api/things', '{"name":"z","tags":[' . join(',', ('"a"') x
                  10000) . ',1]}');
    refused_at($r, 'the last of many is wrong', '/tags');
};


subtest 'huge numbers' => sub {
    my @huge = ('1e999999', '-1e999999', '1e-999999', '1E+2147483648',
                '1e99999999999999999999', '9' x 200000,
                '0.' . '0' x 20000 . '1', '1e131072');

    for my $n (@huge) {
        my $shown = substr $n, 0, 24;

        for my $f (qw(whole big num dec dbl)) {
            refused_at($t->post('/api/things', qq({"name":"a","$f":$n})),
                       "$f $shown", "/$f", 'validation_failed');
            refused_at($t->post('/api/things', qq({"name":"a","$f":"$n"})),
                       "$f \"$shown\"", "/$f", 'validation_failed');
            refused_at($t->patch('/api/things/1', qq({"$f":{"\$inc":$n}})),
                       "\$inc $f $shown", "/$f/\$inc");
            refused_at($t->post('/api/things/query',
                                qq({"filter":{"$f":$n}})),
                       "filter $f $shown", "/filter/$f");
        }

        refused_at($t->post('/api/things', qq({"name":"a","attrs":[$n]})),
                   "json $shown", '/attrs', 'validation_failed');
        refused_at($t->post('/api/things/query',
                            qq({"filter":{"attrs.a":{"\$gt":$n}}})),
                   "path $shown", '/filter/attrs.a/$gt');
        refused_at($t->post('/api/things/query', qq({"limit":$n})),
                   "limit $shown", '/limit');

        next if length $n > 1000;

        for my $q ('limit', 'offset', 'whole', 'num', 'dbl', 'attrs.a__gt') {
            refused_at($t->get("/api/things?$q=" . escaped($n)),
                       "$q=$shown", $q);
        }

        refused($t->get('/api/things/' . escaped($n)), "key $shown");
    }

    for my $q ('limit', 'offset') {
        refused_at($t->get("/api/things?$q=9223372036854775808"), $q, $q,
                   'limit_exceeded');
    }

    for my $n ('9223372036854775808', '-9223372036854775809', '2147483648',
               '18446744073709551616', '99999999999999999999999')
    {
        refused_at($t->get("/api/things?limit=$n"), "limit $n", 'limit');
        refused_at($t->get("/api/things?offset=$n"), "offset $n", 'offset');
        refused_at($t->get("/api/things?whole=$n"), "whole $n", 'whole');
        refused($t->get("/api/things/$n"), "key $n");
    }

    refused_at($t->get("/api/things?limit=$_"), "limit $_", 'limit')
        for '-1', '1.5', '', '+1', '0x10', '1e2', "%201", "1%00";

    # results too large for their column are no server's errors

    my $r = $t->patch('/api/things/1', '{"big":9223372036854775807,'
                      . '"whole":2147483647,"dec":9999999999.99,"dbl":1e308}');
    is($r->code, 200, 'the largest') or diag($r->body);

    refused($t->patch('/api/things/1', $_), $_)
        for '{"big":{"$inc":1}}', '{"whole":{"$mul":2}}',
            '{"dec":{"$inc":1}}', '{"dbl":{"$mul":1e10}}',
            '{"num":{"$mul":1,"$inc":1}}';
};


subtest 'percent-encoding' => sub {
    for my $value ('%', '%2', '%zz', '%2g', '%-1', '% 41', '%00', 'a%00b',
                   '%C0%AF', '%ED%A0%80', '%F4%90%80%80', '%FF', '%C3', '%E2%82',
                   '%80', "\xff", "\xc3")
    {
        my ($r) = answers($t->raw("GET /api/things?name=$value HTTP/1.1\r\nHost:"
                                  . " a\r\nConnection: close\r\n\r\n"));
        next if $value =~ / /;
        is($r->{code}, 400, "value " . escaped($value)) or diag($r->{body});
        like($r->{body}, qr/"parameter":"name"/, 'where');

        ($r) = answers($t->raw("GET /api/things?$value=1 HTTP/1.1\r\nHost:"
                               . " a\r\nConnection: close\r\n\r\n"));
        is($r->{code}, 400, "name " . escaped($value)) or diag($r->{body});
        ok(eval { DataflowTest::JSON::decode($r->{body}) }, 'JSON');
    }

    is($t->get('/api/things?name=%2525')->code, 200, 'decoded once');
    is($t->post('/api/things', { name => '%41' })->code, 201, 'a name');
    is(@{ $t->get('/api/things?name=%2541')->json->{data} }, 1, 'is found');
    is(@{ $t->get('/api/things?name=%41')->json->{data} }, 0,
       'A is not %41');

    is($t->get('/api/things?n%61me=a')->code, 200, 'an encoded name');
    is($t->get('/api/things?name%5F%5Fin=a')->code, 200, 'operator');
    refused($t->get('/api/things?name%3Da'), 'an encoded =');
    refused($t->get('/api/things?name=a%26whole=1&x'), 'an encoded &');
    is(@{ $t->get('/api/things?name=a%26whole%3D2')->json->{data} }, 0,
       'is part of a value');

    # paths

    for my $path ('/api/things/%2e%2e/things/1', '/api//things/1',
                  '/api/./things/1', '/api/things/%31')
    {
        is($t->get($path)->code, 200, "$path is as nginx reads it");
    }

    for my $path ('/api/things/1%20', '/api/things/1/2',
                  '/api/things/1%2F2', '/api/things/1%252F', '/api/things/-',
                  '/api/things/1;a=1', '/api/things/0x1', '/api/things/1.0',
                  '/api/things/%FF', '/api/things/%0A1', '/api/thingsx',
                  '/api/things%2F1%2F', '/api/things/1/', '/api/things//1/2',
                  '/api/named/%FF', '/api/named/%C0%AF', '/api/named/a/b')
    {
        refused($t->get($path), $path);
    }

    is($t->get('/api/things/1%00')->code, 400, 'nginx refuses a NUL');
};


subtest 'headers that answers carry' => sub {
    my $r = $t->post('/api/named', { code => "a\r\nX-Evil: 1\r\n\r\n<b>/?#%" });
    is($r->code, 201, 'a key of line ends') or diag($r->body);
    is($r->header('X-Evil'), undef, 'no header of its own');
    like($r->header('Location'), qr{^/api/named/[-A-Za-z0-9._~%]+$}, 'escaped');
    is($t->get($r->header('Location'))->body, $r->body, 'and found');

    for my $code ("\x{e9}/\x{20ac}", '...', ' ', 'query', "'", '%2F', '+',
                  'a?b=c&d#e', '*', "\x7f", "\x{1f600}")
    {
        $r = $t->post('/api/named', { code => $code });
        is($r->code, 201, 'another key') or diag($r->body);
        my $where = $r->header('Location');
        my $found = $t->get($where);
        is($found->body, $r->body, "found at $where");
    }

    for my $query ('name__ne=>;x', 'name__ne=>;rel="evil"', 'name__ne=<a>',
                   'name__ne="', 'name__ne=%3E%0D%0AX-Evil:%201',
                   "name__ne=\xc3\xa9", 'name__ne=\\', 'name__ne=,<b>')
    {
        ($r) = answers($t->raw("GET /api/things?limit=1&$query HTTP/1.1\r\n"
                               . "Host: a\r\nConnection: close\r\n\r\n"));
        is($r->{code}, 200, $query) or diag($r->{body});
        my ($link) = $r->{head} =~ /^Link: (.*)\r?$/m;
        like($link // '', qr{^<[^<>"\s\x80-\xff]+>;\ rel="next"\r?$}x,
             'Link is one link') or diag($link);
    }
};


subtest 'headers of requests' => sub {
    for my $type ('', 'text/plain', 'application/json; charset=latin1',
                  'application/json;charset=utf-16', 'multipart/form-data',
                  'application/x-www-form-urlencoded', 'application', '/', ';',
                  'json', 'application/jsonx', '+json', 'application/json,text',
                  'a' x 4000, "\xff", 'application/json; charset="')
    {
        my $r = raw_post('{"name":"a"}', "Content-Type: $type");
        is($r->{code}, 415, "Content-Type: " . substr $type, 0, 60)
            or diag($r->{body});
        ok(eval { DataflowTest::JSON::decode($r->{body})->{code} }, 'JSON')
            or diag($r->{body});
    }

    for my $type ('application/json;charset=UTF-8', 'APPLICATION/JSON',
                  'application/json; charset="utf-8"', 'application/json;',
                  'application/json ; x=y', 'application/merge-patch+json')
    {
        is(raw_post('{"name":"a"}', "Content-Type: $type")->{code}, 201,
           "Content-Type: $type");
    }

    for my $accept (';;;', ',,,', 'text/html', '*/*;q=0', 'a' x 4000, '"',
                    'application/json;q=0', 'application/json;q=', '*',
                    'application/json;q=1e999', 'text/csv;q=-1', "\xff/\xff",
                    'application/*;q=0.0001', '*/json', join ',', ('a/b') x 900)
    {
        my $r = $t->get('/api/things', Accept => $accept);
        my $shown = substr $accept, 0, 40;
        ok($r->code == 200 || $r->code == 406, "Accept: $shown")
            or diag($r->code, $r->body);
        ok(eval { $r->json } || $r->type ne 'application/json', 'JSON');
    }

    for my $tag ('"', '""', 'x', '"a', 'a"', 'W/', 'W/"', '"a" "b"', ',', '',
                 '"a",', '*,"a"', '**', "\"\xff\"", '"' . 'a' x 4000 . '"',
                 '"-1-00000000"', '"99999999999999999999-00000000"',
                 '"1-zzzzzzzz"', join ',', ('"a"') x 900)
    {
        for my $h ('If-Match', 'If-None-Match') {
            my $r = $t->get('/api/things/1', $h => $tag);
            ok($r->code == 200 || $r->code == 400 || $r->code == 412
               || $r->code == 304, "$h: " . substr $tag, 0, 40)
                or diag($r->code, $r->body);

            next if $h ne 'If-Match';

            $r = $t->patch('/api/things/1', '{"whole":1}', $h => $tag);
            refused($r, "PATCH $h: " . substr $tag, 0, 40) if $tag ne '';
        }
    }

    for my $prefer ('return=', 'return=x', ';', ',', 'return', '=', '"',
                    'return="minimal', 'a' x 4000)
    {
        is($t->patch('/api/things/1', '{"whole":1}', Prefer => $prefer)->code,
           200, 'Prefer: ' . substr $prefer, 0, 40);
    }

    for my $length ("-1", "1x", '99999999999999999999', "5\r\nContent-Length: 6",
                    "5\r\nTransfer-Encoding: chunked")
    {
        my $r = raw_post('{"a":1}', "Content-Length: $length");
        ok($r->{code} >= 400 && $r->{code} < 500, "Content-Length: $length")
            or diag($r->{code});
    }

    my $r = raw_post('{}', 'Transfer-Encoding: gzip, chunked');
    ok($r->{code} == 501 || $r->{code} == 400, 'an unknown transfer encoding');
};


subtest 'bytes on the wire' => sub {
    my $body = '{"name":"' . 'slow' x 10 . '"}';

    my $r = raw_post(join('', map { "1\r\n$_\r\n" } split //, $body)
                     . "0\r\n\r\n", 'Transfer-Encoding: chunked');
    is($r->{code}, 201, 'chunks of a byte') or diag($r->{body});

    for my $chunks ("zz\r\n", "-1\r\n", "ffffffffffffffff\r\n", "5\r\n{}",
                    "1;" . 'x' x 5000 . "\r\n{\r\n", "\r\n", "5 \r\n", "0x5\r\n")
    {
        my $socket = $t->socket;
        $socket->print("POST /api/things HTTP/1.1\r\nHost: a\r\nContent-Type: "
                       . "application/json\r\nConnection: close\r\n"
                       . "Transfer-Encoding: chunked\r\n\r\n$chunks");
        shutdown $socket, SHUT_WR;
        my $answer = do { local $/; <$socket> } // '';
        ok($answer eq '' || $answer =~ m{^HTTP/1.1 4}, 'chunks '
           . substr($chunks, 0, 20) =~ s/\r\n/ /gr) or diag($answer);
    }

    # byte by byte, many at a time, and others are served meanwhile

    my $request = "POST /api/things HTTP/1.1\r\nHost: a\r\nContent-Type: "
                  . "application/json\r\nConnection: close\r\nContent-Length: "
                  . length($body) . "\r\n\r\n$body";
    my @sockets = map {
        my $s = $t->socket;
        setsockopt $s, IPPROTO_TCP, TCP_NODELAY, 1;
        $s;
    } 1 .. 20;

    my $slowest = 0;

    for my $i (0 .. length($request) - 1) {
        syswrite $_, substr $request, $i, 1 for @sockets;

        next if $i % 20;
        my $start = time;
        is($t->get('/api/things/1')->code, 200, 'another client');
        $slowest = time - $start if time - $start > $slowest;
    }

    cmp_ok($slowest, '<', 2, 'is not kept waiting');

    my @codes = map { my $s = $_; local $/; (answers(<$s>))[0]{code} } @sockets;
    is("@codes", join(' ', (201) x 20), 'slow bodies');

    # pipelined, good and bad

    my @requests = map {
        (["GET /api/things/1 HTTP/1.1\r\nHost: a\r\n\r\n", 200],
         ["GET /api/things?nam=1 HTTP/1.1\r\nHost: a\r\n\r\n", 400],
         ["POST /api/things HTTP/1.1\r\nHost: a\r\nContent-Type: "
          . "application/json\r\nContent-Length: 1\r\n\r\n{", 400],
         ["POST /api/things HTTP/1.1\r\nHost: a\r\nContent-Type: "
          . "text/plain\r\nContent-Length: 12\r\n\r\nGET / HTTP/1", 415],
         ["POST /api/things?x=1 HTTP/1.1\r\nHost: a\r\nContent-Type: "
          . "application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
          . "2\r\n{}\r\n0\r\n\r\n", 400],
         ["DELETE /api/things/999999 HTTP/1.1\r\nHost: a\r\n"
          . "Content-Length: 5\r\n\r\nGET /", 404],
         ["GET /api/things/x HTTP/1.1\r\nHost: a\r\nContent-Length: 4"
          . "\r\n\r\nGET ", undef],
         ["POST /api/things/query HTTP/1.1\r\nHost: a\r\nContent-Type: "
          . "application/json\r\nContent-Length: 11\r\n\r\n{\"limit\":1}",
          200])
    } 1 .. 8;

    push @requests, ["GET /api/things/1 HTTP/1.1\r\nHost: a\r\n"
                     . "Connection: close\r\n\r\n", 200];

    my @answers = answers($t->raw(join '', map { $_->[0] } @requests));
    is(scalar @answers, scalar @requests, 'an answer to each');

    my $wrong = grep { defined $requests[$_][1]
                       && $requests[$_][1] != ($answers[$_]{code} // 0) }
                0 .. $#requests;
    is($wrong, 0, 'in order') or diag(join ' ', map { $_->{code} } @answers);

    # old and broken versions

    like($t->raw("GET /api/things?limit=1 HTTP/1.0\r\n\r\n"),
         qr{^HTTP/1.1 200 .*"next":}s, 'HTTP/1.0');
    like($t->raw("GET /api/things?nam=1 HTTP/1.0\r\n\r\n"),
         qr{^HTTP/1.1 400 .*unknown_parameter}s, 'HTTP/1.0, refused');
    like($t->raw("GET /api/things/1\r\n"), qr/^\{"id":1,/, 'HTTP/0.9');
    like($t->raw("GET /api/things/1 HTTP/1.1\r\nConnection: close\r\n\r\n"),
         qr{^HTTP/1.1 400 }, 'without Host');
    like($t->raw("GET /api/things/1 HTTP/9.9\r\n\r\n"), qr{^HTTP/1.1 505 },
         'HTTP/9.9');
    like($t->raw("EVIL /api/things/1 HTTP/1.1\r\nHost: a\r\nConnection: close"
                 . "\r\n\r\n"), qr{^HTTP/1.1 405 .*"method_not_allowed"}s,
         'an unknown method');
    is(scalar answers($t->raw(join '', map { chr rand 256 } 1 .. 2000)) || 1,
       1, 'noise');
};


sub memory {
    open my $fh, '<', "/proc/$worker/status" or return 0;
    local $/;
    return <$fh> =~ /^VmRSS:\s+(\d+)/m ? $1 / 1024 : 0;
}


subtest 'a hundred megabytes' => sub {
    my $before = memory();
    my $megabyte = 'x' x 1048576;

    my $send = sub {
        my ($path, $headers, $chunked, $megabytes) = @_;

        local $SIG{PIPE} = 'IGNORE';
        my $socket = $t->socket;
        $socket->print("POST $path HTTP/1.1\r\nHost: a\r\nContent-Type: "
                       . "application/json\r\n$headers\r\n\r\n");
        my $sent = 0;
        my $peak = 0;
        my $ready = IO::Select->new($socket);

        for (1 .. $megabytes) {
            last if $ready->can_read($sent ? 0 : 0.2);
            last unless $socket->print($chunked
                                       ? "100000\r\n$megabyte\r\n"
                                       : $megabyte);
            $sent++;
            $peak = memory() if memory() > $peak;
        }

        $socket->print("0\r\n\r\n") if $chunked;
        return (first_answer($socket), $sent, $peak);
    };

    my ($r, $sent, $peak) = $send->('/api/things', 'Content-Length: 104857600',
                                    0, 100);
    is($r->{code}, 413, 'announced');
    like($r->{body}, qr/"payload_too_large"/, 'a problem');
    is($sent, 0, 'refused before the first byte');

    ($r, $sent, $peak) = $send->('/api/things', 'Transfer-Encoding: chunked', 1,
                                 100);
    is($r->{code}, 413, 'in chunks') or diag($r->{body});
    cmp_ok($sent, '<', 20, 'refused early');
    cmp_ok($peak - $before, '<', 16, "from $before to $peak MiB")
        unless $ENV{ASAN_OPTIONS};

    ($r) = $send->('/api/large', 'Content-Length: 104857600', 0, 100);
    is($r->{code}, 413, 'without a limit of nginx there is ours');

    ($r, $sent) = $send->('/api/large', 'Transfer-Encoding: chunked', 1, 100);
    is($r->{code}, 413, 'in chunks, too');

    # what is not JSON at its first byte is known only at its end

    ($r, $sent) = $send->('/api/large', 'Content-Length: 33554432', 0, 32);
    is($r->{code}, 400, '32 MiB of x');
    like($r->{body}, qr/"invalid_json"/, 'is no JSON');

    for (my $end = time + 10; time < $end && memory() - $before >= 32;) {
        sleep 0.1;
    }

    cmp_ok(memory() - $before, '<', 32, 'and the memory is given back')
        unless $ENV{ASAN_OPTIONS};
};


is(join(' ', $t->worker_pids), $worker, 'the worker has lived through it');
is($t->get('/api/things/1')->code, 200, 'and answers');

unlike($t->pg->log, qr/syntax error|unterminated|does not exist|zero-length
                       |current transaction is aborted|invalid byte sequence
                       |bind message/x, 'PostgreSQL saw nothing of it')
    or diag(join '', grep { /ERROR|FATAL/ } split /^/, $t->pg->log);


$t->done;
