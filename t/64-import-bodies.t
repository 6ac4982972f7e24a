use strict;
use warnings;

use Test::More;
use Time::HiRes qw(sleep time);

use DataflowTest;
use DataflowTest::Client;

# imports whose bodies come in pieces, slowly, too long or not to the end, and
# whose database is behind, busy or gone: whole or not at all

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
            }
        }
        location /api/few {
            dataflow_model few { table items; field name text required max=20;
                                 timestamps off; }
            dataflow_expose list create;
        }
        location /api/small {
            client_max_body_size 1k;
            dataflow_model small { field a text; field b text; }
        }
        location /api/plain {
            dataflow_model plain { field a text; field b text;
                                   field c integer; field d timestamptz; }
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

sub client { return DataflowTest::Client->new($t, @_) }

# a request whose body is written in pieces; '' ends a chunked one
sub begin {
    my ($c, $path, %h) = @_;

    push @{ $c->{methods} }, 'POST';
    return $c->write("POST $path HTTP/1.1\r\nHost: localhost\r\n"
                     . join('', map { "$_: $h{$_}\r\n" } sort keys %h)
                     . "\r\n");
}

my %chunked = (%ndjson, 'Transfer-Encoding' => 'chunked');

sub chunk {
    my ($c, $bytes) = @_;
    return $c->write(sprintf("%x\r\n", length $bytes) . "$bytes\r\n");
}

sub until_true {
    my ($sub, $seconds) = @_;

    for (my $end = time + ($seconds // 5); time < $end; sleep 0.02) {
        return 1 if $sub->();
    }

    return 0;
}

sub copies {
    return $dbh->selectrow_array(
        "SELECT count(*) FROM pg_stat_activity WHERE state = 'active'"
        . " AND datname = current_database() AND query ~ '^COPY'") + 0;
}

sub open_transactions {
    return $dbh->selectrow_array(
        "SELECT count(*) FROM pg_stat_activity WHERE xact_start IS NOT NULL"
        . " AND datname = current_database() AND pid <> pg_backend_pid()"
        . " AND backend_type = 'client backend'") + 0;
}

sub lines {
    my ($from, $to) = @_;
    return join '', map { qq({"sku":"l$_","name":"n$_","price":$_}\n) }
                    $from .. $to;
}


subtest 'in pieces' => sub {
    my $body = "sku,name,price\r\n"
               . join('', map { "p$_,\"a\n\"\"$_\"\"\",$_\r\n" } 1 .. 200);

    for my $size (1, 7, 1000) {
        my $c = client();
        begin($c, '/api/items/bulk', %chunked, %csv);

        for (my $at = 0; $at < length $body; $at += $size) {
            chunk($c, substr $body, $at, $size);
        }

        chunk($c, '');
        my $r = $c->read;
        is($r->code, 200, "chunks of $size");
        is($r->json->{affected}, 200);
        $dbh->do('TRUNCATE items RESTART IDENTITY');
    }

    my $c = client();
    begin($c, '/api/items/bulk', %ndjson, Expect => '100-continue',
          'Content-Length' => length lines(1, 10));
    my $line = $c->_line({});
    is($line, 'HTTP/1.1 100 Continue', 'is asked for');
    $c->_line({});
    $c->write(lines(1, 10));
    is($c->read->json->{affected}, 10);

    my $r = client()->request('POST', '/api/items/bulk?nope=1', lines(1, 1),
                              %ndjson, Expect => '100-continue');
    is($r->code, 400, 'or refused before it is sent');

    $c = client();
    begin($c, '/api/items/bulk', %chunked);
    $c->write("zz\r\n");
    is($c->read->code, 400, 'malformed chunks');

    $dbh->do('TRUNCATE items RESTART IDENTITY');
};


subtest 'how long a body may be' => sub {
    my $body = "a\n" . "x\n" x 1000;

    my $r = import_rows('/api/small/bulk', $body, %csv);
    is($r->code, 413, 'with its length');
    is($r->json->{code}, 'payload_too_large');

    my $c = client();
    begin($c, '/api/small/bulk', %chunked, %csv);
    chunk($c, $body);
    $r = $c->read;
    is($r->code, 413, 'without');
    is($r->problem, 'payload_too_large');

    is(rows('small'), 0);
    is(import_rows('/api/small/bulk', "a\n" . "x\n" x 400, %csv)->code, 200);

    for (['', 400], ["\n \n", 200], ["a\n", 200, %csv]) {
        my ($body, $status, %type) = @$_;
        $r = client()->request('POST', '/api/small/bulk', $body,
                               %ndjson, %type);
        is($r->code, $status, 'no rows');
        is($r->json->{affected}, 0) if $status == 200;
    }

    for (
        [ 'text/csv; charset=latin1', 415 ], [ 'text/csv; charset=utf-8', 200 ],
        [ 'TEXT/CSV', 200 ], [ 'text/plain', 415 ], [ 'application/xml', 415 ],
    ) {
        my ($type, $status) = @$_;
        is(import_rows('/api/small/bulk', "a\nx\n", 'Content-Type' => $type)
             ->code, $status, $type);
    }

    is(import_rows('/api/small', "a\nx\n", %csv)->code, 415,
       'a record is JSON');
    is(import_rows('/api/few/bulk', "name\nx\n", %csv)->code, 404,
       'what is not exposed');
};


subtest 'one of a hundred thousand rows' => sub {
    my $n = 100_000;
    my $bad = 50_000 + int rand 50_000;
    my $body = lines(1, $bad - 1) . qq({"sku":"bad","name":"n","price":-1}\n)
               . lines($bad + 1, $n);

    my $r = import_rows('/api/items/bulk', $body, %ndjson);
    is($r->code, 422);
    is($r->json->{detail}, "1 of $n rows is wrong; nothing was stored");
    is_deeply(errors($r), [ "$bad /price range" ], 'is told');
    is(rows('items'), 0, 'nothing is stored');
    ok(until_true(sub { !open_transactions() }), 'nothing is left open');

    # many: the first hundred places

    $r = import_rows('/api/items/bulk',
                     "sku,name,price\n" . "a,b,x\n" x 5000, %csv);
    is($r->json->{detail}, '5000 of 5000 rows are wrong; nothing was stored');
    is(@{ $r->json->{errors} }, 100);
    is($r->json->{errors}[99]{line}, 101);

    $r = import_rows('/api/items/bulk', lines(1, $n), %ndjson);
    is($r->json->{affected}, $n, 'all of them');
    $dbh->do('TRUNCATE items RESTART IDENTITY');
};


subtest 'a client that leaves' => sub {
    for my $way (qw(close reset)) {
        my $c = client();
        begin($c, '/api/items/bulk', %chunked);
        chunk($c, lines(1, 5000));

        ok(until_true(sub { copies() }), 'a COPY runs');
        chunk($c, lines(5001, 5010));
        $c->$way;
        ok(until_true(sub { !copies() && !open_transactions() }),
           "$way: it is undone");
    }

    # while the database does not take any more

    for my $way (qw(close reset)) {
        my $lock = $t->pg->connect($t->database);
        $lock->do('BEGIN');
        $lock->do("INSERT INTO items (sku, name, price) VALUES ('l1','',1)");

        my $c = client();
        begin($c, '/api/items/bulk', %chunked);
        chunk($c, lines(1, 5000));
        ok(until_true(sub { copies() }), 'a COPY waits');
        $c->$way;
        ok(until_true(sub { open_transactions() == 1 }),
           "$way: it is undone");
        $lock->do('ROLLBACK');
    }

    # an upsert

    my $c = client();
    begin($c, '/api/items/bulk?on=sku', %chunked);
    chunk($c, lines(1, 12000));
    ok(until_true(sub { open_transactions() }), 'an upsert runs');
    $c->reset;
    ok(until_true(sub { !open_transactions() }), 'it is undone');

    is(rows('items'), 0, 'nothing is stored');
    is(scalar(grep { /connection was lost/ } split /\n/, $t->error_log), 0,
       'no connection is lost');
};


subtest 'a client that is slow' => sub {
    my $c = client();
    begin($c, '/api/items/bulk', %chunked);
    chunk($c, lines(1, 100));
    sleep 0.3;
    is(open_transactions(), 0, 'with little takes no connection');
    chunk($c, lines(101, 5000));
    ok(until_true(sub { copies() }), 'with more it does');

    # longer than a statement may take

    for (1 .. 8) {
        sleep 0.4;
        chunk($c, lines(5000 + $_, 5000 + $_));
    }

    chunk($c, '');
    is($c->read->json->{affected}, 5008, 'is waited for');
    is(rows('items'), 5008);
    $dbh->do('TRUNCATE items RESTART IDENTITY');
};


subtest 'a connection that is lost' => sub {
    my $c = client();
    begin($c, '/api/items/bulk', %chunked);
    chunk($c, lines(1, 5000));
    ok(until_true(sub { copies() }), 'a COPY runs');

    $dbh->do("SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
             . " WHERE query ~ '^COPY' AND pid <> pg_backend_pid()"
             . " AND datname = current_database()");
    my $r = $c->read;
    is($r->code, 503);
    is($r->problem, 'database_unavailable');
    is(rows('items'), 0, 'nothing is stored');

    $c = client();
    begin($c, '/api/items/bulk?on=sku', %chunked);
    chunk($c, lines(1, 12000));
    ok(until_true(sub { open_transactions() }), 'an upsert runs');
    $dbh->do("SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
             . " WHERE xact_start IS NOT NULL AND pid <> pg_backend_pid()"
             . " AND datname = current_database()"
             . " AND backend_type = 'client backend'");
    $c->write(sprintf("%x\r\n", length lines(1, 6000)) . lines(1, 6000)
              . "\r\n0\r\n\r\n");
    is($c->read->problem, 'database_unavailable');
    is(rows('items'), 0, 'nothing is stored');

    # refused in the middle: the answer does not wait for the rest

    $c = client();
    begin($c, '/api/items/bulk', %chunked);
    chunk($c, lines(1, 3000) . lines(1, 3000));
    $r = $c->read;
    is($r->code, 409, 'a refusal comes at once');
    is_deeply(errors($r), [ '3001 /sku unique' ]);
};


subtest 'reload' => sub {
    my $c = client();
    begin($c, '/api/items/bulk', %chunked);
    chunk($c, lines(1, 5000));
    ok(until_true(sub { copies() }), 'a COPY runs');

    my ($old) = $t->worker_pids;
    $t->reload;
    is($t->get('/api/items')->code, 200, 'a new worker');

    chunk($c, lines(5001, 6000));
    chunk($c, '');
    is($c->read->json->{affected}, 6000, 'the old one goes on');
    ok(until_true(sub { !kill 0, $old }), 'and leaves');
    is(rows('items'), 6000);
    $dbh->do('TRUNCATE items RESTART IDENTITY');
};


subtest 'more at a time than there are connections' => sub {
    my @answers = DataflowTest::Client->load($t, 12, sub {
        my ($c, $i) = @_;
        return if $c->{n}++;
        my $r = $c->request('POST', '/api/items/bulk',
            join('', map { qq({"sku":"$i-$_","name":"n","price":1}\n) }
                     1 .. 4000), %ndjson);
        return [ $r->code ];
    })->wait;

    is_deeply([ map { $_->[0] } @answers ], [ (200) x 12 ], 'all are done');
    is(rows('items'), 48_000);

    # with all connections in use by imports, reads are served

    my @c = map {
        my $c = client();
        begin($c, '/api/items/bulk', %chunked);
        chunk($c, lines($_ * 10_000, $_ * 10_000 + 4000));
        $c;
    } 1 .. 8;

    ok(until_true(sub { open_transactions() >= 4 }), 'imports run');
    is($t->get('/api/items/1')->code, 200, 'reads are served');

    my $r = $c[7]->read;
    is($r->code, 504, 'what waits too long is refused');
    is($r->problem, 'queue_timeout');
    $_->close for @c;
    ok(until_true(sub { !open_transactions() }), 'nothing is left');

    $dbh->do('TRUNCATE items RESTART IDENTITY');
};


subtest 'hostile bodies' => sub {
    my $long = 'x' x (1024 * 1024);

    my $r = import_rows('/api/plain/bulk',
        qq({"a":"$long"}\n{"a":"x"}\n{"a":) . ('[' x 200) . "\n"
        . qq({"a":"\xff"}\n{"a":"\\u0000"}\n{"a":"x\n"}\n\0\n)
        . qq({"a":"x"}{"a":"y"}\n{"__proto__":1}\n"a"\n{"a":"y"}), %ndjson);
    is($r->code, 422);
    is_deeply(errors($r), [
        '1  syntax', '3  syntax', '4  syntax', '5 /a nul', '6  syntax',
        '7  syntax', '8  syntax', '9  syntax', '10 /__proto__ unknown_field',
        '11  type' ], 'NDJSON');
    is($r->json->{detail}, '10 of 12 rows are wrong; nothing was stored');

    for (
        ["a,b\n\"$long\",x\nx,y\n", '2  syntax'],
        ["a,b\nx,\"$long\n$long\n\"\nx\n", '2  syntax', '5  columns'],
        ["a,b\nx,\"y\n", '2  syntax'],
        ["a,b\nx,y\"\n\"x\"y,\n\"x\"\n", '2  syntax', '3  syntax',
         '4  columns'],
        ["a,b\nx\ry,z\n", '2  syntax'],
        ["a,b\n\xff,\xc3\x28\n", '2 /a type', '2 /b type'],
        ["a,b\nx\0,y\n", '2 /a nul'],
        ["\xef\xbba,b\nx,y\n", '1  syntax'],
        ["a,b\"\nx,y\n", '1  syntax'],
        ["a,b\n" . ',' x 3000 . "\n", '2  columns'],
        [join(',', ('a') x 3000) . "\n", '1  columns'],
        ["a,c\nx,1e400\ny,9999999999\nz,1.5\nw,0x10\n", '2 /c type',
         '3 /c type', '4 /c type', '5 /c type'],
        ["a,d\nx,yesterday\ny,0000-00-00T00:00:00Z\n", '2 /d type',
         '3 /d type'],
    ) {
        my ($body, @errors) = @$_;
        $r = import_rows('/api/plain/bulk', $body, %csv);
        is($r->code, 422);
        my @got = map { s/ range$/ type/r } @{ errors($r) };
        is_deeply(\@got, \@errors, substr($body, 0, 20) =~ s/\n/ /gr);
    }

    is(rows('plain WHERE a IS NOT NULL'), 0, 'nothing is stored');

    # what would be SQL, or COPY's own

    my @texts = ("\\.", "\\N", "\\", "\\\\.", "'; DROP TABLE plain; --",
                 "\t", "a\tb\r\nc\\", "\\x41", "\$1", '"', "");

    $r = import_rows('/api/plain/bulk', ndjson(map { { a => $_ } } @texts),
                     %ndjson);
    is($r->json->{affected}, @texts);
    is_deeply($dbh->selectcol_arrayref('SELECT a FROM plain WHERE a IS NOT'
                                       . ' NULL ORDER BY id'),
              \@texts, 'are texts');
};


$t->done;
