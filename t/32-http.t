use strict;
use warnings;

use Test::More;
use Time::HiRes qw(sleep time);

use DataflowTest;

# what is HTTP's: paths, methods, negotiation, bodies, connections

my $t = DataflowTest->new(
    http => <<'CONF',
        client_max_body_size 100k;
        client_body_timeout 2s;
        send_timeout 2s;
        gzip_types application/json application/x-ndjson;
CONF
    models => my $models = <<'CONF');
        location /api/things {
            dataflow_model things {
                field name text required;
                field n integer;
            }
            dataflow_limit_rows default=100 max=5000 offset=10000;
        }

        location /api/named {
            dataflow_model named {
                key name;
                field name text required;
            }
        }

        location /api/read {
            dataflow_model things2 {
                table things;
                field name text required;
                field n integer;
            }
            dataflow_expose list get;
        }

        location /api/slash/ {
            dataflow_model things4 {
                table things;
                field name text required;
                field n integer;
            }
        }

        location /api/gzip {
            gzip on;
            gzip_min_length 1;
            dataflow_model things3 {
                table things;
                field name text required;
                field n integer;
            }
        }
CONF

my $h2 = $t->dir . '/h2.sock';

$t->write_conf(models => "listen unix:$h2 http2;\n" . $models)->start;


is($t->post('/api/things', { name => "n$_", n => $_ })->code, 201)
    for 1 .. 3;


subtest 'paths' => sub {
    is($t->get('/api/things')->code, 200, 'collection');
    is($t->get('/api/things/')->code, 200, 'collection with a slash');
    is($t->get('/api/things/1')->code, 200, 'item');
    is($t->get('/api/things/%31')->code, 200, 'encoded key');

    for my $path (qw(/api/thingsfoo /api/things/1/ /api/things/1/2
                     /api/things/x /api/things/1x /api/things/-
                     /api/things/99999999999999999999))
    {
        my $r = $t->get($path);
        is($r->code, 404, $path);
        is($r->type, 'application/problem+json', "$path: a problem");
        is($r->json->{code}, 'not_found', "$path: its code");
        like($r->json->{instance}, qr/^urn:request:[0-9a-f]{32}$/,
             "$path: its instance");
    }
};


subtest 'keys that are texts' => sub {
    for my $key ('a', 'a/b', 'query', 'x y', '100%', "\xc3\xa9", 'a%2Fb',
                 '?', '#', 'a+b')
    {
        my $r = $t->post('/api/named', sprintf '{"name":"%s"}', $key);
        is($r->code, 201, "create $key");

        my $location = $r->header('Location');
        like($location, qr{^/api/named/[A-Za-z0-9%._~-]+$}, $location);

        $r = $t->get($location);
        is($r->code, 200, "get $location");
        is($r->body =~ s/.*"name":"(.*?)".*/$1/rs, $key, 'the same');

        is($t->delete($location)->code, 204, "delete $location")
            unless $key eq 'query';
    }

    for my $key ('', '.', '..') {
        my $r = $t->post('/api/named', sprintf '{"name":"%s"}', $key);
        is($r->code, 422, "key \"$key\"");
        is($r->json->{errors}[0]{pointer}, '/name');
    }

    is($t->get('/api/named/query')->code, 200, 'GET of the key "query"');
    is($t->post('/api/named/query', {})->code, 200, 'POST is a list');
};


subtest 'a location with a slash at its end' => sub {
    my $r = $t->get('/api/slash');
    is($r->code, 301, 'without the slash');
    like($r->header('Location'), qr{/api/slash/$}, 'Location');

    is($t->get('/api/slash/')->code, 200, 'list');
    is($t->get('/api/slash/1')->code, 200, 'get');
};


subtest 'methods' => sub {
    my @allow = (
        ['/api/things', 'GET, HEAD, POST, OPTIONS'],
        ['/api/things/1', 'GET, HEAD, PATCH, PUT, DELETE, OPTIONS'],
        ['/api/things/query', 'POST, OPTIONS'],
        ['/api/named/query', 'GET, HEAD, PATCH, PUT, DELETE, POST, OPTIONS'],
        ['/api/read', 'GET, HEAD, OPTIONS'],
        ['/api/read/1', 'GET, HEAD, OPTIONS'],
    );

    for (@allow) {
        my ($path, $allow) = @$_;

        my $r = $t->options($path);
        is($r->code, 204, "OPTIONS $path");
        is($r->header('Allow'), $allow, 'Allow');

        $r = $t->request('PROPFIND', $path);
        is($r->code, 405, "PROPFIND $path");
        is($r->header('Allow'), $allow, 'Allow');
        is($r->json->{code}, 'method_not_allowed', 'a problem');
    }

    is($t->delete('/api/things')->code, 405, 'DELETE of the collection');
    is($t->delete('/api/read/1')->code, 405, 'not exposed');
    is($t->post('/api/read', { name => 'a' })->code, 405, 'not exposed');
    is($t->get('/api/things/query')->code, 405, 'GET of query');
};


subtest 'HEAD' => sub {
    for my $path (qw(/api/things /api/things/1 /api/things/77 /api/none
                     /api/things?limit=2000))
    {
        my $get = $t->get($path);
        my $head = $t->head($path);

        is($head->code, $get->code, "$path: status");
        is($head->body, '', "$path: no body");

        for my $name (qw(Content-Type ETag Link Vary)) {
            is($head->header($name), $get->header($name), "$path: $name");
        }

        next if $path =~ /2000/;

        is($head->header('Content-Length'), length $get->body,
           "$path: Content-Length");
    }
};


subtest 'Accept' => sub {
    my @list = (
        [undef, 'application/json'],
        ['*/*', 'application/json'],
        ['application/json', 'application/json'],
        ['application/*', 'application/json'],
        ['APPLICATION/JSON ; charset=utf-8', 'application/json'],
        ['text/csv', 'text/csv'],
        ['text/*', 'text/csv'],
        ['application/x-ndjson', 'application/x-ndjson'],
        ['text/html, text/csv;q=0.3, application/x-ndjson;q=0.2', 'text/csv'],
        ['text/csv;q=0.1, */*;q=0.2', 'application/json'],
        ['text/csv, */*;q=0.1', 'text/csv'],
        ['application/json;q=0, */*', 'application/x-ndjson'],
        ['text/html,application/xhtml+xml,*/*;q=0.8', 'application/json'],
        ['text/html', undef],
        ['application/json;q=0', undef],
        ['', undef],
        [',;,=', undef],
    );

    for (@list) {
        my ($accept, $type) = @$_;
        my $name = $accept // 'none';

        my $r = $t->get('/api/things', defined $accept
                                       ? (Accept => $accept) : ());

        is($r->code, defined $type ? 200 : 406, "$name: status");
        is($r->type, $type // 'application/problem+json', "$name: type");
        is($r->header('Vary'), 'Accept', "$name: Vary") if defined $type;
    }

    is($t->get('/api/things/1', Accept => 'text/csv')->code, 406,
       'a record is JSON');
    is($t->delete('/api/things/2', Accept => 'text/csv')->code, 204,
       'nothing is anything');
};


subtest 'Content-Type' => sub {
    my @types = (
        ['application/json', 201],
        ['application/json; charset=utf-8', 201],
        ['application/json;charset="UTF-8"', 201],
        ['Application/JSON', 201],
        ['application/vnd.api+json', 201],
        ['application/json; charset=iso-8859-1', 415],
        ['application/x-www-form-urlencoded', 415],
        ['text/plain', 415],
        ['+json', 415],
        ['', 415],
    );

    for (@types) {
        my ($type, $code) = @$_;
        my $r = $t->post('/api/things', '{"name":"a"}',
                         'Content-Type' => $type);
        is($r->code, $code, $type) or diag($r->body);
    }

    like($t->post('/api/things', 'a=b',
                  'Content-Type' => 'application/x-www-form-urlencoded')
           ->json->{detail},
         qr/application\/json/, 'says what to send');

    is($t->patch('/api/things/1', '{"n":1}',
                 'Content-Type' => 'application/merge-patch+json')->code, 200,
       'merge-patch');

    for ([ 'gzip', 415 ], [ 'br, gzip', 415 ], [ 'identity', 201 ],
         [ 'Identity', 201 ], [ '', 201 ])
    {
        my ($coding, $code) = @$_;
        my $r = $t->post('/api/things', '{"name":"a"}',
                         'Content-Encoding' => $coding);
        is($r->code, $code, "Content-Encoding: $coding") or diag($r->body);
        like($r->json->{detail}, qr/Content-Encoding/, 'says why')
            if $code == 415;
    }
};


sub post_raw {
    my ($header, @body) = @_;

    my $s = $t->socket;
    $s->print("POST /api/things HTTP/1.1\r\nHost: a\r\nConnection: close\r\n"
              . "Content-Type: application/json\r\n$header\r\n\r\n");

    for (@body) {
        $s->print($_);
        $s->flush;
        sleep 0.01;
    }

    local $/;
    return scalar <$s>;
}


subtest 'bodies' => sub {
    my $body = '{"name":"' . 'x' x 50000 . '"}';
    my $length = 'Content-Length: ' . length $body;

    like(post_raw($length, $body), qr/^HTTP\/1.1 201/, 'at once');

    like(post_raw($length, map { substr $body, $_ * 5000, 5000 } 0 .. 10),
         qr/^HTTP\/1.1 201/, 'in pieces');

    like(post_raw('Content-Length: 12', split //, '{"name":"a"}'),
         qr/^HTTP\/1.1 201/, 'byte by byte');

    like(post_raw('Transfer-Encoding: chunked',
                  map({ sprintf "%x\r\n%s\r\n", length, $_ }
                      unpack '(a7000)*', $body), "0\r\n\r\n"),
         qr/^HTTP\/1.1 201/, 'chunks');

    like(post_raw('Transfer-Encoding: chunked', "c\r\n{\"name\":", "\"a\"}\r\n",
                  "0\r\n\r\n"),
         qr/^HTTP\/1.1 201/, 'a chunk in pieces');

    like(post_raw('Content-Length: 0'), qr/^HTTP\/1.1 400.*no body/s,
         'no body');
    like(post_raw('Transfer-Encoding: chunked', "0\r\n\r\n"),
         qr/^HTTP\/1.1 400.*invalid_json/s, 'an empty chunked body');
    like(post_raw('Transfer-Encoding: chunked', "zz\r\n"),
         qr/^HTTP\/1.1 400.*problem\+json/s, 'malformed chunks');
    like(post_raw('Content-Length: 5', '{"a":'),
         qr/^HTTP\/1.1 400.*line 1, column 6/s, 'cut JSON');

    my $start = time;
    is(post_raw('Content-Length: 50', '{') // '', '', 'a body that stalls');
    cmp_ok(time - $start, '<', 5, 'is not waited for');

    my $large = '{"name":"' . 'x' x 200_000 . '"}';

    my $r = $t->post('/api/things', $large);
    is($r->code, 413, 'too large');
    is($r->json->{code}, 'payload_too_large', 'a problem');

    like(post_raw('Transfer-Encoding: chunked',
                  map({ sprintf "%x\r\n%s\r\n", length, $_ }
                      unpack '(a30000)*', $large), "0\r\n\r\n"),
         qr/^HTTP\/1.1 413.*payload_too_large/s, 'too large in chunks');

    like(post_raw("Expect: 100-continue\r\nContent-Length: 1000000"),
         qr/^HTTP\/1.1 413/, 'too large and not asked for');

    like(post_raw("Expect: 100-continue\r\nContent-Length: 12",
                  '{"name":"a"}'),
         qr/^HTTP\/1.1 100 Continue\r\n\r\nHTTP\/1.1 201/, '100 Continue');
};


subtest 'one connection, many requests' => sub {
    my $one = "POST /api/things HTTP/1.1\r\nHost: a\r\n"
            . "Content-Type: application/json\r\nContent-Length: 12\r\n\r\n"
            . "{\"name\":\"a\"}"
            . "GET /api/things/1 HTTP/1.1\r\nHost: a\r\n\r\n"
            . "DELETE /api/things/77777 HTTP/1.1\r\nHost: a\r\n"
            . "Content-Length: 3\r\n\r\nabc"
            . "GET /api/things/1 HTTP/1.1\r\nHost: a\r\n"
            . "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
            . "HEAD /api/things/1 HTTP/1.1\r\nHost: a\r\n\r\n";

    my $answer = $t->raw($one x 10
                         . "GET /api/things/1 HTTP/1.0\r\n\r\n");

    my %count;
    $count{$1}++ while $answer =~ /HTTP\/1\.1 (\d+) /g;

    is_deeply(\%count, { 201 => 10, 200 => 31, 404 => 10 }, 'all answered');
};


subtest 'other versions' => sub {
    like($t->raw("GET /api/things/1 HTTP/1.0\r\n\r\n"),
         qr/^HTTP\/1.1 200.*Connection: close.*\{"id":1/s, 'HTTP/1.0');
};


sub http2 {
    my (@arguments) = @_;

    open my $p, '-|', 'curl', '-s', '-i', '--http2-prior-knowledge',
         '--unix-socket', $h2, '-m', 10, @arguments or die $!;

    local $/;
    return scalar <$p>;
}


subtest 'HTTP/2' => sub {
    my $url = 'http://a/api/things';
    my @json = ('-H', 'Content-Type: application/json');

    like(http2("$url/1"), qr/^HTTP\/2 200.*\{"id":1/s, 'a record');
    like(http2('-I', "$url/1"), qr/^HTTP\/2 200/, 'HEAD');

    open my $fh, '>', $t->dir . '/upload' or die $!;
    print $fh '{"name":"', 'x' x 90_000, '"}';
    close $fh;

    for my $length ([], ['-H', 'Content-Length:']) {
        like(http2($url, @json, @$length,
                   '--data-binary', '@' . $t->dir . '/upload'),
             qr/^HTTP\/2 201/, 'a body ' . (@$length ? 'without' : 'with')
                               . ' a length');
    }

    like(http2($url, @json, '-d', '{'), qr/^HTTP\/2 400.*invalid_json/s,
         'a problem');
    like(http2("$url?limit=1200"), qr/\}\],"next":[^{}]*\}\z/, 'a stream');
};


subtest 'gzip' => sub {
    my %gzip = ('Accept-Encoding' => 'gzip');

    my $plain = $t->get('/api/gzip/1');
    my $r = $t->get('/api/gzip/1', %gzip);

    is($r->header('Content-Encoding'), 'gzip', 'a record');
    is($r->header('ETag'), 'W/' . $plain->header('ETag'), 'its tag is weak');
    is($t->get('/api/gzip/1', 'If-None-Match' => $r->header('ETag'))->code,
       304, 'and good enough for 304');

    $r = $t->get('/api/gzip', %gzip, Accept => 'application/x-ndjson');
    is($r->header('Content-Encoding'), 'gzip', 'a streamed list');
};


# rows enough to fill what the system buffers on both sides

$t->dbh->do('DELETE FROM things WHERE length(name) > 1000');
$t->dbh->do("INSERT INTO things (name, n)"
            . " SELECT repeat('x', 4000), i FROM generate_series(1, 5000) i");


subtest 'streams' => sub {
    my $r = $t->get('/api/things?limit=1200');
    is($r->code, 200, 'a JSON list');
    is(scalar @{ $r->json->{data} }, 1200, 'whole');

    my $chunked = $t->raw("GET /api/things?limit=1200 HTTP/1.1\r\nHost: a\r\n"
                          . "Connection: close\r\n\r\n");
    like($chunked, qr/\r\n0\r\n\r\n\z/, 'ends with the last chunk');

    my @lines = split /\n/, $t->get('/api/things?limit=all',
                                    Accept => 'application/x-ndjson')->body;
    cmp_ok(scalar @lines, '>', 5000, 'NDJSON without a limit');
    like($_, qr/^\{"id":\d+,.*\}$/) for @lines[0, -1];
};


sub status {
    return $t->get('/health')->json->{databases}{test}{pool};
}


sub wait_idle {
    for (my $end = time + 10; time < $end; sleep 0.02) {
        return 1 if $t->dbh->selectrow_array(
            "SELECT count(*) = 0 FROM pg_stat_activity"
            . " WHERE datname = ? AND state = 'active'"
            . " AND application_name <> 'harness'", undef, $t->database);
    }
    return 0;
}


subtest 'clients that do not read' => sub {
    my $memory = rss();

    my @slow = map {
        my $s = $t->socket;
        $s->print("GET /api/things?limit=all HTTP/1.1\r\nHost: a\r\n"
                  . "Accept: text/csv\r\n\r\n");
        $s;
    } 1 .. 5;

    sleep 1;

    is($t->get('/api/things/1')->code, 200, 'others are served');

    # freed memory stays in a sanitizer's quarantine

    cmp_ok(rss() - $memory, '<', 16 * 1024, 'memory stays')
        unless $ENV{ASAN_OPTIONS};

    close $_ for @slow;

    $t->wait_log(qr/client does not take the list|prematurely closed/, 5);
    ok(wait_idle(), 'and the database is left alone');
};


sub rss {
    my ($pid) = $t->worker_pids;
    open my $fh, '<', "/proc/$pid/status" or die $!;
    local $/;
    return <$fh> =~ /VmRSS:\s+(\d+)/ ? $1 : 0;
}


subtest 'clients that leave' => sub {
    my $lock = $t->pg->connect($t->database);
    $lock->begin_work;
    $lock->do('LOCK TABLE things');

    my @requests = (
        "GET /api/things/1 HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /api/things?limit=all HTTP/1.1\r\nHost: a\r\n"
            . "Accept: text/csv\r\n\r\n",
        "PATCH /api/things/1 HTTP/1.1\r\nHost: a\r\nContent-Type: "
            . "application/json\r\nContent-Length: 7\r\n\r\n{\"n\":9}",
        "POST /api/things HTTP/1.1\r\nHost: a\r\nContent-Type: "
            . "application/json\r\nContent-Length: 700\r\n\r\n{\"n\":9}",
    );

    for my $wait (0, 0.05) {
        for my $request (@requests) {
            my @s = map { my $s = $t->socket; $s->print($request); $s }
                    1 .. 20;
            sleep $wait;
            close $_ for @s;
        }
    }

    sleep 0.3;
    $lock->rollback;
    $lock->disconnect;

    ok(wait_idle(), 'their statements end');
    is($t->get('/api/things/1')->code, 200, 'others are served');
    isnt($t->get('/api/things/1')->json->{n}, 9, 'nothing was changed');
};


$t->done;
