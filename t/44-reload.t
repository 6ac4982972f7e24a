use strict;
use warnings;

use Test::More;
use Time::HiRes qw(sleep time);

use DataflowTest;
use DataflowTest::Client;

# reload and quit under load: nobody notices

srand(my $seed = $ENV{DATAFLOW_SEED} // time);
note "DATAFLOW_SEED=$seed";


# version n of the models: field f1 … fn, and model m1 … mn

sub models {
    my ($n) = @_;

    my $fields = join ' ', map { "field f$_ integer default=$_;" } 1 .. $n;
    my $others = join "\n", map {
        "location /api/m$_ { dataflow_model m$_ { field name text; } }"
    } 1 .. $n;

    return <<"CONF";
        location /api/items {
            dataflow_model items { field name text required; $fields }
        }
        $others
CONF
}


my $t = DataflowTest->new(workers => 2, models => models(0),
                          database => 'pool size=12 overflow=8;',
                          allow => qr/nonsense/)->start;

is($t->post('/api/items', { name => 'first' })->code, 201);
$t->dbh->do("INSERT INTO items (name) SELECT 'row ' || i"
            . " FROM generate_series(1, 30000) i");


# answers as they come: [ what, status, problem, error ]

my $serial = 0;

sub load {
    return DataflowTest::Client->load($t, 6, sub {
        my ($c, $i) = @_;
        my $r;

        if ($i <= 2) {
            $r = $c->request('GET', '/api/items/1');
            $r->{error} //= 'wrong' if $r->body !~ /"name":"first"/;

        } elsif ($i == 3) {
            $r = $c->request('GET', '/api/items?limit=3&sort=-name');

        } elsif ($i == 4) {
            my $name = sprintf 'w%d-%d', $$, ++$serial;

            # a new connection each, as a kept one may be closed by nginx
            # at the moment it is used

            $c->close;
            $r = $c->request('POST', '/api/items', { name => $name });
            return ['POST', $r->code, $r->problem, $r->{error}, $name];

        } elsif ($i == 5) {
            $c->close;
            $r = $c->request('PATCH', '/api/items/1', { name => 'first' });

        } else {
            my $lines = 0;

            $c->close;
            $c->send('GET', '/api/items?limit=all', undef,
                     Accept => 'application/x-ndjson');
            $r = $c->read(on => sub { $lines += $_[0] =~ tr/\n// });
            $r->{error} //= "$lines lines" if $lines < 30001;
        }

        return ["load $i", $r->code, $r->problem, $r->{error}];
    });
}


sub check {
    my ($what, @notes) = @_;
    my %seen;

    $seen{join ' ', $_->[1], $_->[2], $_->[3] // ()}++ for @notes;
    note "$what: ", join ', ', map { "$seen{$_} $_" } sort keys %seen;
    is(join(', ', sort keys %seen), '200 , 201 ', "$what: no failure");

    my %n = map { @$_ } @{ $t->dbh->selectall_arrayref(
        'SELECT name, count(*) FROM items GROUP BY name') };
    my @lost = grep { $_->[0] eq 'POST' && ($n{$_->[4]} // 0) != 1 } @notes;
    is(@lost, 0, "$what: each write is there once");
}


sub leaving {
    my ($seconds) = @_;
    my @left;

    for (my $end = time + $seconds; time < $end; sleep 0.05) {
        open my $fh, '<', "/proc/$t->{pid}/task/$t->{pid}/children" or last;
        @left = grep { DataflowTest::_title($_) =~ /shutting down/ }
                split ' ', <$fh> // '';
        last unless @left;
    }

    return scalar @left;
}


subtest 'reloads with changed models' => sub {
    my $load = load();

    for my $n (1 .. 5) {
        sleep 0.3;
        $t->write_conf(models => models($n))->reload;

        my $r;
        my $c = DataflowTest::Client->new($t);
        for (my $end = time + 5; time < $end; sleep 0.02) {
            $r = $c->request('GET', "/api/items/1?fields=f$n");
            last if $r->code == 200;
        }
        is($r->body, "{\"f$n\":$n}", "version $n: the new field");
        $r = $c->request('POST', "/api/m$n", { name => 'x' });
        is($r->code, 201, "version $n: the new model") or diag $r->body;
    }

    check('changed models', $load->stop);
    is(leaving(10), 0, 'old workers leave');
};


subtest 'again and again' => sub {
    my $load = load();

    for (1 .. 8) {
        sleep 0.1 + rand 0.2;
        $t->reload;
    }

    check('again', $load->stop);
    is(leaving(10), 0, 'old workers leave');

    my $n;
    for (my $end = time + 5; time < $end; sleep 0.05) {
        $n = $t->backends;
        last if $n <= 20;
    }
    cmp_ok($n, '<=', 20, 'no more connections than one generation has');
};


subtest 'a model that goes' => sub {
    $t->write_conf(models => models(1))->reload;
    is(leaving(5), 0, 'old workers leave');

    my $c = DataflowTest::Client->new($t);
    is($c->request('GET', '/api/m2/1')->code, 404, 'gone');
    is($c->request('GET', '/api/m1/1')->code, 200, 'the other is there');
    is($t->dbh->selectrow_array('SELECT count(*) FROM m2'), 1,
       'its table too');
};


subtest 'a mistake' => sub {
    my $load = load();
    my $models = $t->{models};
    my @pids = $t->worker_pids;

    $t->write_conf(models => 'location / { dataflow_model x { nonsense; } }');
    kill 'HUP', $t->{pid};
    ok($t->wait_log(qr/\[emerg\].*nonsense/), 'is said');
    is("@{[ $t->worker_pids ]}", "@pids", 'the workers stay');

    sleep 0.3;
    check('mistake', $load->stop);
    $t->write_conf(models => $models);
};


subtest 'slow requests at a reload' => sub {
    my $lock = $t->pg->connect($t->database);
    $lock->begin_work;
    $lock->do("UPDATE items SET f1 = 7 WHERE name = 'row 5'");
    my ($id) = $lock->selectrow_array(
        "SELECT id FROM items WHERE name = 'row 5'");

    my @stuck = map { DataflowTest::Client->new($t) } 1 .. 6;
    $_->send('PATCH', "/api/items/$id", { f1 => 8 }) for @stuck;

    my $stream = DataflowTest::Client->new($t, window => 8192);
    $stream->send('GET', '/api/items?limit=all', undef, Accept => 'text/csv');
    sysread $stream->connect, $stream->{buffer}, 1000;

    sleep 0.3;
    $t->reload;
    sleep 0.3;

    is(DataflowTest::Client->new($t)->request('GET', "/api/items/$id")->code,
       200, 'the new worker answers');

    $lock->rollback;
    $lock->disconnect;

    is(join(' ', map { $_->read->code } @stuck), join(' ', (200) x 6),
       'the old one finishes');

    my $lines = 0;
    my $r = $stream->read(on => sub { $lines += $_[0] =~ tr/\n// });
    is($r->{error} // 'whole', 'whole', 'its streams too');
    cmp_ok($lines, '>', 30000, 'all rows');
    is(leaving(5), 0, 'and leaves');
};


subtest 'quit while requests run' => sub {
    my $lock = $t->pg->connect($t->database);
    $lock->begin_work;
    $lock->do("UPDATE items SET f1 = 9 WHERE name = 'row 6'");
    my ($id) = $lock->selectrow_array(
        "SELECT id FROM items WHERE name = 'row 6'");

    my @stuck = map { DataflowTest::Client->new($t) } 1 .. 6;
    $_->send('PATCH', "/api/items/$id", { f1 => 10 }) for @stuck;

    my @idle = map { DataflowTest::Client->new($t) } 1 .. 5;
    $_->request('GET', '/api/items/1') for @idle;

    sleep 0.3;
    kill 'QUIT', $t->{pid};
    sleep 0.5;
    $lock->rollback;
    $lock->disconnect;

    is(join(' ', map { $_->read->code } @stuck), join(' ', (200) x 6),
       'they finish');

    my $start = time;
    $t->stop;
    cmp_ok(time - $start, '<', 3, 'it ends promptly');
    $t->start;
};


subtest 'quit with idle connections' => sub {
    my @idle = map { DataflowTest::Client->new($t) } 1 .. 20;
    $_->send('GET', '/api/items?limit=2&id__gte=5') for @idle;
    $_->read for @idle;

    # all lanes are in use, and none is

    cmp_ok(scalar($t->backends), '>', 0, 'connections to PostgreSQL');

    my $start = time;
    $t->stop;
    cmp_ok(time - $start, '<', 2, 'it ends promptly');

    my $left;
    for (my $end = time + 2; time < $end; sleep 0.02) {
        $left = $t->backends;
        last unless $left;
    }
    is($left, 0, 'nothing is left in PostgreSQL');
    $t->start;
};


subtest 'quit while the database is away' => sub {
    # a name server that does not answer would be the slowest of all
    $t->write_conf(conninfo => 'host=127.0.0.1 port=1 user=x dbname=y')
      ->reload;
    my $c = DataflowTest::Client->new($t);
    is($c->request('GET', '/api/items/1')->code, 503, 'away');

    my $start = time;
    $t->stop;
    cmp_ok(time - $start, '<', 3, 'it ends promptly');
};


$t->done;
