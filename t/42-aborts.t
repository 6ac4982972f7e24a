use strict;
use warnings;

use Test::More;
use Time::HiRes qw(sleep time);

use DataflowTest;
use DataflowTest::Client;

# clients that leave, at every stage of a request, by the thousand: nothing of
# theirs stays

srand(my $seed = $ENV{DATAFLOW_SEED} // time);
note "DATAFLOW_SEED=$seed";

my $t = DataflowTest->new(
    database => 'pool size=8 overflow=4 queue=512 wait=5s;'
                . ' timeout statement=20s;',
    http => 'client_header_buffer_size 1k;',
    models => <<'CONF')->start;
        location /api/items {
            dataflow_model items {
                field name   text    required;
                field amount integer default=0;
            }
            dataflow_limit_rows max=10000;
        }
        location /api/slow {
            dataflow_model slow { field name text; timestamps off; }
            dataflow_expose list get;
        }
CONF

my $dbh = $t->dbh;

$dbh->do("INSERT INTO items (name) SELECT 'item ' || i || repeat('x', 100)"
         . " FROM generate_series(1, 20000) i");
$dbh->do('DROP TABLE slow');
$dbh->do("CREATE VIEW slow AS SELECT id, coalesce(pg_sleep(15)::text, '')"
         . " AS name FROM items");


sub client { return DataflowTest::Client->new($t, @_) }
sub pool { return $t->get('/health')->json->{databases}{test}{pool} }

sub rss {
    my ($pid) = $t->worker_pids;
    open my $fh, '<', "/proc/$pid/status" or die $!;
    return (map { /^VmRSS:\s+(\d+)/ ? $1 : () } <$fh>)[0];
}

sub active {
    return $dbh->selectrow_array(
        "SELECT count(*) FROM pg_stat_activity WHERE state <> 'idle'"
        . " AND datname = current_database() AND pid <> pg_backend_pid()"
        . " AND application_name <> 'harness'");
}


# ways to leave

sub leave {
    my ($c) = @_;
    return rand() < 0.5 ? $c->close : $c->reset;
}

# nobody works for those that left

sub empty {
    my ($what) = @_;
    my ($pool, $active);
    my $start = time;

    while (time < $start + 8) {
        $pool = pool();
        $active = active();
        last if $pool->{busy} == 0 && $pool->{queued} == 0 && $active == 0;
        sleep 0.02;
    }

    is("busy $pool->{busy}, queued $pool->{queued}, active $active",
       'busy 0, queued 0, active 0', "$what: nothing goes on");
    note sprintf '%s: empty after %.2f s', $what, time - $start;

    my $r = client()->request('GET', '/api/items/1');
    is($r->code, 200, "$what: the next is served");
}


# n clients, not more than some at a time; the sub sends and waits or not

sub crowd {
    my ($n, $width, $sub) = @_;
    my @now;

    for my $i (1 .. $n) {
        push @now, my $c = client();
        $sub->($c, $i);
        leave(splice @now, int rand @now, 1) while @now >= $width;
    }

    leave($_) for @now;
}


sub request {
    my ($i) = @_;

    my $id = 1 + int rand 2000;

    return (
        ['GET', "/api/items/$id"],
        ['GET', "/api/items?limit=5&id__gte=$id"],
        ['POST', '/api/items', { name => "new $i" }],
        ['PATCH', "/api/items/$id", { amount => $i }],
        ['GET', '/api/items?limit=2000'],
        ['DELETE', '/api/items/' . (10000 + $id)],
    )[int rand 6];
}


my %stage = (
    sent => sub {
        crowd(1500, 1 + int rand 40, sub {
            my ($c, $i) = @_;
            $c->send(@{ request($i) });
        });
    },

    answered => sub {
        crowd(500, 20, sub {
            my ($c, $i) = @_;
            $c->send(@{ request($i) });
            sysread $c->{socket}, my $part, 50 if rand() < 0.5;
        });
    },

    pipelined => sub {
        crowd(300, 10, sub {
            my ($c, $i) = @_;
            $c->write(join '', map { $c->text(@{ request($i) }) } 1 .. 5);
        });
    },

    body => sub {
        crowd(800, 30, sub {
            my ($c, $i) = @_;
            my $text = $c->text('POST', '/api/items',
                                { name => 'half' . 'x' x rand 4000 });
            $c->write(substr $text, 0, length($text) - 2 - rand 60);
        });
    },

    locked => sub {
        my $lock = $t->pg->connect($t->database);
        $lock->begin_work;
        $lock->do('UPDATE items SET amount = -1 WHERE id = 1');

        crowd(400, 30, sub {
            my ($c, $i) = @_;
            $c->send('PATCH', '/api/items/1', { amount => 666 });
            sleep 0.001;
        });

        for (my $end = time + 8; time < $end; sleep 0.02) {
            last if active() == 0 && pool()->{queued} == 0;
        }
        is(active(), 0, 'locked: cancelled while it is locked');

        $lock->commit;
        $lock->disconnect;
        is($dbh->selectrow_array('SELECT amount FROM items WHERE id = 1'), -1,
           'locked: nothing was done');
    },

    queued => sub {
        my $lock = $t->pg->connect($t->database);
        $lock->begin_work;
        $lock->do('UPDATE items SET amount = -2 WHERE id = 1');

        my @stuck = map { client() } 1 .. 12;
        $_->send('PATCH', '/api/items/1', { amount => 1 }) for @stuck;

        my $ours;

        for (my $end = time + 3; time < $end; sleep 0.02) {
            $ours = pool()->{queued};
            last if $ours + active() >= 12;
        }

        crowd(600, 100, sub {
            my ($c, $i) = @_;
            $c->send('POST', '/api/items', { name => 'never' });
        });

        for (my $end = time + 3; time < $end; sleep 0.02) {
            last if pool()->{queued} <= $ours;
        }
        cmp_ok(pool()->{queued}, '<=', $ours, 'queued: out of the queue');

        $lock->rollback;
        $lock->disconnect;
        is(join(' ', map { $_->read->code } @stuck),
           join(' ', (200) x 12), 'queued: those who stayed are served');
        is($dbh->selectrow_array(
               "SELECT count(*) FROM items WHERE name = 'never'"), 0,
           'queued: nothing was done');
    },

    slow => sub {
        crowd(60, 12, sub {
            my ($c, $i) = @_;
            $c->send('GET', "/api/slow?limit=$i");
            sleep 0.01;
        });
    },

    streaming => sub {
        crowd(150, 6, sub {
            my ($c, $i) = @_;
            $c->send('GET', '/api/items?limit=all', undef,
                     Accept => $i % 2 ? 'text/csv' : 'application/x-ndjson');
            sysread $c->{socket}, my $part, 1 + int rand 100000
                if rand() < 0.8;
        });
    },

    json => sub {
        crowd(100, 6, sub {
            my ($c, $i) = @_;
            $c->send('GET', '/api/items?limit=9000');
            sysread $c->{socket}, my $part, 1 + int rand 100000
                if rand() < 0.8;
        });
    },
);

for my $stage (qw(sent answered pipelined body locked queued slow streaming
                  json))
{
    subtest $stage => sub {
        my $start = time;
        $stage{$stage}->();
        note sprintf '%s: %.1f s', $stage, time - $start;
        empty($stage);
    };
}


subtest 'connecting' => sub {
    for (1 .. 5) {
        $t->reload;
        crowd(60, 30, sub { my ($c, $i) = @_; $c->send(@{ request($i) }) });
    }
    empty('connecting');
};


subtest 'memory' => sub {
    my @rss;

    for my $round (1 .. 4) {
        $stage{$_}->() for qw(sent body streaming json);
        empty("round $round");
        push @rss, rss();
    }

    note "KiB: @rss";

    # freed memory stays in a sanitizer's quarantine

    cmp_ok($rss[-1] - $rss[1], '<', 1500, 'does not grow')
        unless $ENV{ASAN_OPTIONS};
};


is($dbh->selectrow_array("SELECT count(*) FROM items WHERE name LIKE 'half%'"),
   0, 'no half of a body was taken');

$t->done;
