use strict;
use warnings;

use Test::More;
use Time::HiRes qw(sleep time);

use DataflowTest;
use DataflowTest::Client;

# imports and the database's own pace and refusals: progress is what counts,
# not time; and references, which are checked when the rows are there already

my $t = DataflowTest->new(
    database => 'pool size=6 overflow=0; timeout statement=500ms;',
    models => <<'CONF')->start;
        client_max_body_size 0;

        location /api/customers {
            dataflow_model customers { key code; field code text required; }
        }
        location /api/orders {
            dataflow_model orders {
                field customer_id text;
                field parent_id   bigint;
                field note        text;
                relation customer customers customer_id;
                relation parent   orders    parent_id;
            }
        }
        location /api/slow {
            dataflow_model slow { field a text; }
        }
        location /api/unique {
            dataflow_model unique { table uniques; field a text unique; }
        }
CONF

my $dbh = $t->dbh;
my %ndjson = ('Content-Type' => 'application/x-ndjson');
my %csv = ('Content-Type' => 'text/csv');

sub rows {
    my ($table) = @_;
    return $dbh->selectrow_array("SELECT count(*) FROM $table") + 0;
}

sub errors {
    my ($r) = @_;
    return [ map { join ' ', $_->{line} // '-', $_->{pointer}, $_->{code} }
             @{ $r->json->{errors} // [] } ];
}

sub until_true {
    my ($sub, $seconds) = @_;

    for (my $end = time + ($seconds // 5); time < $end; sleep 0.02) {
        return 1 if $sub->();
    }

    return 0;
}


subtest 'references' => sub {
    my $codes = join '', map { "c$_\n" } 1 .. 50;
    is($t->post('/api/customers/bulk', "code\n$codes\"a)=(b\"\na)\n", %csv)
         ->code, 200);

    my @rows = map { 'c' . (1 + $_ % 50) . ',,n' } 1 .. 5000;
    @rows[7, 8] = ('"a)=(b",,n', 'a),,n');

    is($t->post('/api/orders/bulk',
                join("\n", 'customer_id,parent_id,note', @rows), %csv)->code,
       200);

    for my $code ('c51', 'a', 'a)=(', 'b)', '') {
        my $bad = 1 + int rand 5000;
        my @with = @rows;
        $with[$bad - 1] = "\"$code\",,n";

        my $r = $t->post('/api/orders/bulk',
                         join("\n", 'customer_id,parent_id,note', @with),
                         %csv);
        is($r->code, 409, "no customer '$code'");
        is_deeply(errors($r), [ $bad + 1 . ' /customer_id reference' ],
                  'with its line');
    }

    # rows of several sets, and of an upsert

    my $r = $t->post('/api/orders/bulk',
        join('', map { $_ == 77 ? qq({"parent_id":999999}\n)
                       : $_ % 2 ? qq({"customer_id":"c1"}\n)
                                : qq({"note":"x"}\n) } 1 .. 3000), %ndjson);
    is($r->code, 409);
    is_deeply(errors($r), [ '77 /parent_id reference' ]);

    is(rows('orders'), 5000, 'nothing is stored');

    # one that is checked at the commit: nobody knows which row it was

    $dbh->do('ALTER TABLE orders ADD CONSTRAINT later UNIQUE (note)'
             . ' DEFERRABLE INITIALLY DEFERRED') if $dbh->do('TRUNCATE orders');

    for ('', '?dry_run=true') {
        $r = $t->post("/api/orders/bulk$_", "note\nx\ny\nx\n", %csv);
        is($r->code, 409, "at the commit$_");
        is($r->json->{constraint}, 'later');
        is_deeply(errors($r), []);
    }
};


subtest 'slow, but it goes on' => sub {
    $dbh->do(<<'END');
        CREATE FUNCTION dawdle() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN PERFORM pg_sleep(0.001); RETURN new; END $$
END
    $dbh->do('CREATE TRIGGER dawdle BEFORE INSERT ON slow FOR EACH ROW'
             . ' EXECUTE FUNCTION dawdle()');

    my $r = $t->post('/api/slow/bulk', "a\n" . ('x' x 800 . "\n") x 3000,
                     %csv);
    is($r->code, 200, 'longer than a statement may take') or diag $r->body;
    is(rows('slow'), 3000);
};


subtest 'a database that stands still' => sub {
    my $lock = $t->pg->connect($t->database);

    for my $rows (3, 3000) {
        $lock->do('BEGIN');
        $lock->do('LOCK TABLE uniques');

        my $r = $t->post('/api/unique/bulk',
                         join("\n", 'a', 1 .. $rows), %csv);
        is($r->code, 504, 'before the first row');
        is($r->json->{code}, 'statement_timeout');
        $lock->do('ROLLBACK');
    }

    for my $path ('/api/unique/bulk', '/api/unique/bulk?on=a') {
        $lock->do('BEGIN');
        $lock->do("INSERT INTO uniques (a) VALUES ('20000')");

        my $r = $t->post($path, join("\n", 'a', 1 .. 100_000), %csv);
        is($r->code, 504, "in the middle: $path");
        $lock->do('ROLLBACK');
    }

    is(rows('uniques'), 0, 'nothing is stored');
    is(scalar(grep { /connection was lost/ } split /\n/, $t->error_log), 0,
       'no connection is lost');

    # it goes on before it is too late

    $lock->do('BEGIN');
    $lock->do("INSERT INTO uniques (a) VALUES ('20000')");

    my ($pid) = $t->worker_pids;
    my $c = DataflowTest::Client->new($t);
    my $body = join("\n", 'a', map { "$_-" . 'x' x 50 } 1 .. 100_000);
    $body =~ s/^20000-x+$/20000/m;

    my $child = fork // die;

    if (!$child) {
        $c->send('POST', '/api/unique/bulk', $body, %csv);
        POSIX::_exit($c->read->code == 200 ? 0 : 1);
    }

    ok(until_true(sub { $dbh->selectrow_array(
        "SELECT count(*) FROM pg_stat_activity WHERE query ~ '^COPY'"
        . " AND datname = current_database() AND wait_event_type = 'Lock'")
    }), 'it waits');
    sleep 0.3;

    my ($memory) = grep { /^VmRSS/ } split /\n/, status($pid);
    note "waiting: $memory";
    is($t->get('/api/slow?limit=1')->code, 200, 'others are served');

    $lock->do('ROLLBACK');
    waitpid $child, 0;
    is($?, 0, 'and goes on');
    is(rows('uniques'), 100_000);
};


sub status {
    my ($pid) = @_;
    open my $fh, '<', "/proc/$pid/status" or die $!;
    local $/;
    return <$fh>;
}


subtest 'a database that goes away' => sub {
    my $s = DataflowTest->new(
        cluster => 'own', models => <<'CONF')->start;
            client_max_body_size 0;
            location /api/items { dataflow_model items { field a text unique; }
            }
CONF

    for my $args ('', '?on=a') {
        my $c = DataflowTest::Client->new($s);

        push @{ $c->{methods} }, 'POST';
        $c->write("POST /api/items/bulk$args HTTP/1.1\r\nHost: a\r\n"
                  . "Content-Type: text/csv\r\n"
                  . "Transfer-Encoding: chunked\r\n\r\n");
        my $body = "a\n" . join '', map { "row $_ " . 'x' x 50 . "\n" }
                           1 .. 12_000;
        $c->write(sprintf("%x\r\n%s\r\n", length $body, $body));

        ok(until_true(sub { $s->dbh->selectrow_array(
            "SELECT count(*) FROM pg_stat_activity WHERE xact_start IS NOT"
            . " NULL AND pid <> pg_backend_pid()"
            . " AND datname = current_database()") }), 'an import runs');

        $s->{dbh}->disconnect;
        $s->pg_stop('INT');

        $c->write(sprintf("%x\r\n%s\r\n0\r\n\r\n", length $body, $body));
        my $r = $c->read;
        is($r->code, 503);
        is($r->problem, 'database_unavailable');

        $s->pg_start;
        ok(until_true(sub { eval { $s->get('/api/items')->code == 200 } }, 15),
           'it comes back');
        is($s->get('/api/items?count=exact&limit=1')->json->{count}, 0,
           'nothing is stored');
    }

    is_deeply([ $s->finish ], [], 'ended cleanly');
};


$t->done;
