use strict;
use warnings;

use Test::More;
use Time::HiRes qw(sleep time);

use DataflowTest;
use DataflowTest::Client;

# imports that do not go well: databases that are slow, that talk or are lost,
# clients that leave, rows that nobody would send; what was taken is given
# back, and the memory stays small

srand(my $seed = $ENV{DATAFLOW_SEED} // time);
note "DATAFLOW_SEED=$seed";

my $t = DataflowTest->new(
    database => 'pool size=4 overflow=0 wait=5s; timeout statement=2s;',
    models => <<'CONF');
        client_max_body_size 0;

        location /api/items {
            dataflow_model items { field sku text required unique;
                                   field n integer; timestamps off; }
        }
        location /api/copied {
            mirror /mirror;
            client_body_buffer_size 8k;
            dataflow_model copied { field a text max=10; timestamps off; }
        }
        location = /mirror { internal; return 204; }
        location /api/slow {
            dataflow_model slow { field a text; timestamps off; }
        }
        location /api/loud {
            dataflow_model loud { field a text; timestamps off; }
        }
        location /api/late {
            dataflow_model late { field a text; timestamps off; }
        }
        location /api/wide {
            dataflow_model wide {
                field a integer; field b integer; field c integer;
                field d integer; field e integer; field f integer;
                timestamps off;
            }
        }
CONF

my $h2 = $t->dir . '/h2.sock';
$t->write_conf(models => "listen unix:$h2 http2;\n" . $t->{models})->start;

my $dbh = $t->dbh;
my %ndjson = ('Content-Type' => 'application/x-ndjson');


sub client { return DataflowTest::Client->new($t, timeout => 15) }

sub rows {
    my ($table) = @_;
    return $dbh->selectrow_array("SELECT count(*) FROM $table") + 0;
}

sub before_insert {
    my ($table, $body) = @_;

    $dbh->do("CREATE FUNCTION $table() RETURNS trigger LANGUAGE plpgsql AS"
             . " \$\$ BEGIN $body; RETURN NEW; END \$\$");
    $dbh->do("CREATE TRIGGER t BEFORE INSERT ON $table FOR EACH ROW"
             . " EXECUTE FUNCTION $table()");
}

# the head of an import whose body is longer than what is sent of it

sub head {
    my ($path, %h) = @_;
    return client()->text('POST', $path, undef, %ndjson,
                          'Transfer-Encoding' => 'chunked', %h);
}

sub chunk { return sprintf "%x\r\n%s\r\n", length $_[0], $_[0] }

sub rss {
    my ($pid) = $t->worker_pids;
    open my $fh, '<', "/proc/$pid/status" or die $!;
    return (map { /^VmRSS:\s+(\d+)/ ? $1 : () } <$fh>)[0];
}

# sends pieces; the answer, and by how many KiB the worker has grown meanwhile

sub growth {
    my ($path, @pieces) = @_;

    my $c = client();
    my $before = rss();
    my $most = $before;

    push @{ $c->{methods} }, 'POST';
    $c->write(head($path));

    for my $i (0 .. $#pieces) {
        $c->write(chunk($pieces[$i])) or last;
        next if $i % 10;
        my $now = rss();
        $most = $now if $now > $most;
    }

    $c->write("0\r\n\r\n");

    my $r = $c->read;
    my $now = rss();

    return ($r, ($now > $most ? $now : $most) - $before);
}


subtest 'a table that talks' => sub {
    before_insert('loud', "RAISE NOTICE '%', repeat('x', 50)");

    my $long = 'y' x 100;
    my $r = $t->post('/api/loud/bulk',
                     join('', map { qq({"a":"$long $_"}\n) } 1 .. 40000),
                     %ndjson);

    is($r->code, 200, 'what it says is not in the way') or diag $r->body;
    is(rows("loud"), 40000);
};


subtest 'memory' => sub {
    plan skip_all => 'a sanitizer keeps what is freed' if $ENV{ASAN_OPTIONS};

    before_insert('slow', 'PERFORM pg_sleep(0.0001)');

    my $long = 'z' x 8000;
    my ($r, $more) = growth('/api/slow/bulk',
                            (qq({"a":"$long"}\n) x 50) x 100);
    is($r->code, 200, 'long rows');
    is($r->json->{affected}, 5000);
    cmp_ok($more, '<', 6144, 'a database that is slow');

    my @sets = map {
        my $bits = $_;
        '{' . join(',', map { $bits >> $_ & 1 ? '"' . chr(97 + $_) . '":1'
                                              : () } 0 .. 5) . "}\n"
    } 1 .. 60;

    my @pieces;

    for (my $i = 0; $i < 20; $i += 2) {
        my $piece = "$sets[$i]$sets[$i + 1]" x 5000;
        push @pieces, $piece for 1 .. 10;
    }

    ($r, $more) = growth('/api/wide/bulk?dry_run=true', @pieces);
    is($r->code, 200, 'rows that take turns') or diag $r->body;
    is($r->json->{affected}, 1_000_000);
    cmp_ok($more, '<', 16384, 'lines are remembered for some');

    my $name = 'n' x 1_000_000;
    ($r, $more) = growth('/api/wide/bulk', (qq({"$name":1}\n)) x 100);
    is($r->code, 422, 'names that are long');
    like($r->json->{detail}, qr/^100 of 100 rows are wrong/, 'are counted');
    cmp_ok(length $r->body, '<', 3_000_000, 'and not all told');
    cmp_ok($more, '<', 32768);
};


# what is behind a body that was refused is not taken for a request

subtest 'requests behind an import' => sub {
    my $import = sub {
        my ($path, $body, $more) = @_;
        return "POST $path HTTP/1.1\r\nHost: x\r\n"
               . "Content-Type: application/x-ndjson\r\n"
               . ($more // '') . 'Content-Length: ' . length($body)
               . "\r\n\r\n$body";
    };
    my $get = "GET /api/items?limit=1 HTTP/1.1\r\nHost: x\r\n"
              . "Connection: close\r\n\r\n";
    my $statuses = sub { [ $_[0] =~ m{HTTP/1\.1 (\d+) }g ] };

    my $good = join '', map { qq({"sku":"p$_"}\n) } 1 .. 10;
    is_deeply($statuses->($t->raw($import->('/api/items/bulk', $good)
                                  . $get)), [200, 200], 'a good one');

    my $bad = qq({"sku":1}\n) . $get;
    my $answer = $t->raw($import->('/api/items/bulk', $bad) . $get);
    is_deeply($statuses->($answer), [422, 200], 'one that is wrong');

    # refused before any of it is read
    $answer = $t->raw($import->('/api/items/bulk?nothing=1', $bad) . $get);
    is_deeply($statuses->($answer), [400, 200], 'one that is not asked well');

    # and by the database, if not for its end, with most of it on its way
    my $twice = join '', map { qq({"sku":"q$_"}\n) } 1 .. 5000, 1 .. 30000;
    $answer = $t->raw($import->('/api/items/bulk', $twice . $get) . $get);
    like($statuses->($answer)->[0], qr/^(409|422)$/,
         'one that the database refuses');
    unlike($answer, qr/"data"/, 'its body is no request')
        if @{ $statuses->($answer) } == 1;

    $answer = $t->raw($import->('/api/items/bulk', $good =~ s/p/e/gr,
                                "Expect: 100-continue\r\n"
                                . "Connection: close\r\n"));
    is_deeply($statuses->($answer), [100, 200], 'a client that waits');

    $answer = $t->raw("POST /api/items/bulk?nothing=1 HTTP/1.1\r\nHost: x\r\n"
                      . "Content-Type: application/x-ndjson\r\n"
                      . "Expect: 100-continue\r\nContent-Length: 9\r\n\r\n");
    is_deeply($statuses->($answer), [400], 'is not told to go on');
};


subtest 'a body that is in a file' => sub {
    my $body = join '', map { qq({"a":"c$_"}\n) } 1 .. 100_000;

    my $r = $t->post('/api/copied/bulk', $body, %ndjson);
    is($r->code, 200, 'is taken piece by piece') or diag $r->body;
    is(rows('copied'), 100_000, 'all of it');

    $r = $t->post('/api/copied/bulk', $body . qq({"a":"01234567890"}\n),
                  %ndjson);
    is($r->code, 422, 'its last row');
    is($r->json->{errors}[0]{line}, 100_001, 'has its line');
    is(rows('copied'), 100_000, 'nothing is stored');
};


subtest 'HTTP/2' => sub {
    plan skip_all => 'no curl' if system('curl --version >/dev/null 2>&1');

    my $file = $t->dir . '/rows';
    my $send = sub {
        my ($path, $rows) = @_;
        open my $fh, '>', $file or die $!;
        print $fh $rows;
        close $fh or die $!;
        return scalar qx(curl -s -i -m 20 --http2-prior-knowledge \\
            --unix-socket $h2 -H 'Content-Type: application/x-ndjson' \\
            -H 'Expect:' --data-binary \@$file http://localhost$path);
    };

    my $rows = join '', map { qq({"a":"h$_"}\n) } 1 .. 100_000;
    my $before = rows('late');

    like($send->('/api/late/bulk', $rows), qr/^HTTP\/2 200.*"affected":100000/s,
         'a long body');
    like($send->('/api/late/bulk', qq({"b":1}\n) . $rows),
         qr/^HTTP\/2 422.*"line":1/s, 'one that is wrong');
    is(rows('late') - $before, 100_000);
};


# nothing of theirs stays, wherever it ends

subtest 'the end, at every stage' => sub {
    my $active = sub {
        $dbh->selectrow_array("SELECT count(*) FROM pg_stat_activity"
            . " WHERE state <> 'idle' AND datname = current_database()"
            . " AND application_name <> 'harness'");
    };
    my $until = sub {
        my ($sub) = @_;
        for (1 .. 400) { return 1 if $sub->(); sleep 0.02 }
        return 0;
    };
    my $lock = $t->pg->connect($t->database);
    my $start = rows('items');
    my $rows = join '', map { qq({"sku":"x$_"}\n) } 1 .. 6000;

    $dbh->do('CREATE FUNCTION late() RETURNS trigger LANGUAGE plpgsql AS'
             . ' $$ BEGIN PERFORM pg_advisory_xact_lock(64); RETURN NULL;'
             . ' END $$');
    $dbh->do('CREATE CONSTRAINT TRIGGER t AFTER INSERT ON late DEFERRABLE'
             . ' INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION late()');

    my %stage = (
        'before the COPY' => [ '/api/items/bulk', $rows,
                               'LOCK TABLE items', 'COPY' ],
        'in the COPY'     => [ '/api/items/bulk', $rows,
                               "INSERT INTO items (sku) VALUES ('x50')",
                               'COPY' ],
        'in a batch'      => [ '/api/items/bulk?on=sku', $rows,
                               "INSERT INTO items (sku) VALUES ('x50')",
                               'INSERT' ],
        'at the commit'   => [ '/api/late/bulk', qq({"a":"1"}\n),
                               'SELECT pg_advisory_xact_lock(64)', 'COMMIT' ],
    );
    my %end = (
        close => sub { $_[0]->close },
        reset => sub { $_[0]->reset },
        kill => sub { $dbh->do('SELECT pg_terminate_backend(?)', {}, $_[1]) },
        cancel => sub { $dbh->do('SELECT pg_cancel_backend(?)', {}, $_[1]) },
    );

    for my $stage (sort keys %stage) {
        my ($path, $body, $sql, $query) = @{ $stage{$stage} };

        for my $end (sort keys %end) {
            my $c = client();
            my $pid;

            $lock->begin_work;
            $lock->do($sql);

            push @{ $c->{methods} }, 'POST';
            $c->write(head($path) . chunk($body) . "0\r\n\r\n");

            $until->(sub {
                ($pid) = $dbh->selectrow_array('SELECT pid FROM'
                    . " pg_stat_activity WHERE wait_event_type = 'Lock'"
                    . ' AND datname = current_database() AND query ~ ?', {},
                    "^$query");
            }) or fail("$stage: waits");

            $end{$end}->($c, $pid) if $pid;

            if ($end eq 'kill' || $end eq 'cancel') {
                cmp_ok($c->read->code, '>=', 500, "$stage, $end: is told");
            }

            # that of the lock is idle, in a transaction
            ok($until->(sub { $active->() == 0 }), "$stage, $end: nothing")
                or diag explain $dbh->selectall_arrayref('SELECT pid, state,'
                    . ' query FROM pg_stat_activity');
            $lock->rollback;
        }
    }

    is(rows('items'), $start, 'nothing is stored');
    is($t->get('/health')->json->{databases}{test}{pool}{busy}, 0,
       'all connections are given back');
    is($t->get('/api/items?limit=1')->code, 200, 'the next is served');
};


$t->done;
