use strict;
use warnings;

use Test::More;
use Time::HiRes qw(sleep time);

use DataflowTest;
use DataflowTest::Client;

# the database killed, stopped, its backends terminated, the worker killed:
# what was acknowledged is there once, what was refused is not there

srand(my $seed = $ENV{DATAFLOW_SEED} // time);
note "DATAFLOW_SEED=$seed";

my $t = DataflowTest->new(
    cluster => 'own',
    pg => { settings => { synchronous_commit => 'on' } },
    database => 'pool size=8 overflow=4; timeout connect=1s statement=2s;',
    allow => qr/worker process \d+ exited on signal 9/,
    models => <<'CONF')->start;
        location /api/items {
            dataflow_model items {
                field name   text  required;
                field amount integer default=0;
            }
        }
        location /api/slow {
            dataflow_model slow {
                table items_slow;
                field name text;
                timestamps off;
            }
            dataflow_expose list get;
        }
CONF

my $serial = 0;


# a writer's note: [ 'w', name, status, problem's code, seconds, error ]

sub writer {
    my ($c, $i) = @_;

    my $name = sprintf 'n%d-%d-%d', $$, $i, ++$serial;
    my $r = $c->request('POST', '/api/items', { name => $name });

    sleep 0.005;

    return ['w', $name, $r->code, $r->problem, $r->{took}, $r->{error},
            $r->header('Retry-After')];
}


sub reader {
    my ($c, $i) = @_;

    my $path = $i % 2 ? '/api/items/1' : '/api/items?name=first&fields=id';
    my $r = $c->request('GET', $path);

    sleep 0.002;

    my $right = $r->code != 200
                || $r->body =~ ($i % 2 ? qr/^\{"id":1,"name":"first"/
                                       : qr/^\{"data":\[\{"id":1\}\]/);

    return ['r', $right, $r->code, $r->problem, $r->{took}, $r->{error},
            $r->header('Retry-After')];
}


sub load {
    my ($writers, $readers) = @_;

    return DataflowTest::Client->load($t, $writers + $readers, sub {
        return $_[1] > $writers ? reader(@_) : writer(@_);
    });
}


# every write is there as often as its answer said

sub check {
    my ($what, @notes) = @_;

    my %n = map { @$_ } @{ $t->dbh->selectall_arrayref(
        'SELECT name, count(*) FROM items GROUP BY name') };

    my (%seen, @wrong);

    for my $note (@notes) {
        my ($kind, $name, $code, $problem, $took, $error, $after) = @$note;

        $seen{"$kind $code $problem" . ($error ? " $error" : '')}++;

        if ($kind eq 'r') {
            push @wrong, "a read was answered wrong" unless $name;

        } elsif ($code == 201) {
            push @wrong, "$name: acknowledged, but " . ($n{$name} // 0)
                unless ($n{$name} // 0) == 1;

        } elsif ($error || $problem eq 'outcome_unknown') {
            push @wrong, "$name: $n{$name} times" if ($n{$name} // 0) > 1;

        } else {
            push @wrong, "$name: refused with $code $problem, but there"
                if $n{$name};
        }

        if ($code == 503 && $problem ne 'outcome_unknown' && !$after) {
            push @wrong, "503 $problem without Retry-After";
        }
    }

    note "$what: ", join ', ', map { "$seen{$_} $_" } sort keys %seen;
    ok(!@wrong, "$what: acknowledged and there, refused and not there")
        or diag join "\n", @wrong > 10 ? @wrong[0 .. 9] : @wrong;

    return \%seen;
}


# only these answers; a key is "kind status code"

sub only {
    my ($what, $seen, $regex) = @_;

    my @other = grep { !/^(?:w 201 |r 200 |$regex)$/ } keys %$seen;
    is("@other", '', "$what: no other answers");
    ok($seen->{'w 201 '} && $seen->{'r 200 '}, "$what: most went well");
}


# until a write and reads of both kinds succeed

sub back {
    my ($seconds) = @_;

    my $c = DataflowTest::Client->new($t);
    my $start = time;

    while (time < $start + $seconds) {
        my $r = $c->request('POST', '/api/items', { name => 'back' });
        return time - $start
            if $r->code == 201
               && $c->request('GET', '/api/items/1')->code == 200
               && $c->request('GET', '/health')->code == 200;
        sleep 0.05;
    }

    return 0;
}


is($t->post('/api/items', { name => 'first' })->code, 201);

my $away = qr/[rw] 503 database_unavailable|w 503 outcome_unknown/;


subtest 'backends terminated again and again' => sub {
    my $load = load(4, 4);

    for (1 .. 25) {
        sleep 0.02 + rand 0.1;
        $t->dbh->do('SELECT pg_terminate_backend(pid) FROM pg_stat_activity'
                    . ' WHERE datname = current_database()'
                    . ' AND pid <> pg_backend_pid()');
    }

    sleep 0.3;

    my $what = 'terminated';
    my $seen = check($what, $load->stop);
    only($what, $seen, $away);
    my ($all, $bad) = (0, 0);
    for (keys %$seen) {
        $all += $seen->{$_};
        $bad += $seen->{$_} if /503/;
    }
    cmp_ok($bad, '<', $all / 100, 'hardly anyone notices');
    ok(back(2), 'all is well at once');
};


subtest 'a backend killed: PostgreSQL recovers' => sub {
    my $load = load(4, 4);

    sleep 0.3;
    my ($pid) = $t->backends;
    $t->dbh->{PrintWarn} = 0;
    ok($pid && kill('KILL', $pid), 'killed');
    sleep 1.5;

    my $what = 'recovery';
    my $seen = check($what, $load->stop);
    only($what, $seen, $away);
    ok(back(5), 'all is well soon');
};


for my $how ([ 'stopped', 'INT' ], [ 'crashed', 'KILL' ]) {
    my ($what, $signal) = @$how;

    subtest "PostgreSQL $what and restarted" => sub {
        my $load = load(4, 4);

        sleep 0.3;
        $t->pg_stop($signal);
        sleep 0.5;

        my $c = DataflowTest::Client->new($t);
        my @late;

        for (1 .. 10) {
            my $r = $_ % 2 ? $c->request('GET', '/api/items/1')
                           : $c->request('POST', '/api/items',
                                         { name => "away $what" });
            is($r->code . ' ' . $r->problem, '503 database_unavailable',
               'refused');
            like($r->header('Retry-After') // '', qr/^[1-9]\d?$/,
                 'Retry-After');
            push @late, $r->{took} if $r->{took} > 1;
        }

        is("@late", '', 'at once');

        my $r = $c->request('GET', '/health');
        is($r->code, 503, 'health');
        is($r->json->{status}, 'down', 'says so');

        $t->pg_start;

        my $back = back(8);
        ok($back, 'back without a reload');
        note sprintf 'back after %.2f s', $back;

        my $seen = check($what, $load->stop);
        only($what, $seen, $away);
    };
}


subtest 'health notices without requests' => sub {
    my $c = DataflowTest::Client->new($t);

    my $r;

    $t->pg_stop;

    for (my $end = time + 2; time < $end; sleep 0.05) {
        $r = $c->request('GET', '/health');
        last if $r->code == 503;
    }
    is($r->code, 503, 'down') or diag $r->body;

    $t->pg_start;

    for (my $end = time + 8; time < $end; sleep 0.1) {
        $r = $c->request('GET', '/health');
        last if $r->code == 200;
    }
    is($r->code, 200, 'up again');
};


subtest 'worker killed' => sub {
    my $load = load(4, 4);

    for (1 .. 3) {
        sleep 0.3;
        my ($pid) = $t->worker_pids;
        ok($pid && kill('KILL', $pid), 'killed');
    }

    sleep 0.5;

    my $what = 'worker';
    my $seen = check($what, $load->stop);
    only($what, $seen, qr/[wr] 0  (?:no answer|broken off)/);
    ok(back(2), 'the new one serves');

    my $left = 0;
    for (my $end = time + 3; time < $end; sleep 0.05) {
        $left = $t->backends;
        last if $left <= 12;
    }
    cmp_ok($left, '<=', 12, 'no connections but those of the new one');

    my $pool;
    for (my $end = time + 3; time < $end; sleep 0.05) {
        $pool = $t->get('/health')->json->{databases}{test}{pool};
        last if $pool->{busy} == 0 && $pool->{connections} == $t->backends;
    }
    is("$pool->{busy} $pool->{queued} $pool->{connections}",
       '0 0 ' . $t->backends, 'health counts no one who is dead');
};


subtest 'statement timeout' => sub {
    $t->dbh->do('DROP TABLE items_slow');
    $t->dbh->do("CREATE OR REPLACE VIEW items_slow AS"
                . " SELECT id, name || coalesce(pg_sleep(10)::text, '')"
                . " AS name FROM items WHERE id = 1");

    my $sleeping = sub {
        return $t->dbh->selectrow_array(
            "SELECT count(*) FROM pg_stat_activity WHERE query ~ 'items_slow'"
            . " AND state = 'active' AND pid <> pg_backend_pid()");
    };

    my $c = DataflowTest::Client->new($t);

    for my $accept ('application/json', 'application/x-ndjson') {
        my $r = $c->request('GET', '/api/slow', undef, Accept => $accept);
        is($r->code . ' ' . $r->problem, '504 statement_timeout', $accept);
        cmp_ok($r->{took}, '>', 1.8, 'not before its time');
        cmp_ok($r->{took}, '<', 4.5, 'not long behind it');

        # PostgreSQL answers first and then says that it is idle

        for (1 .. 100) {
            last unless $sleeping->();
            select undef, undef, undef, 0.02;
        }

        is($sleeping->(), 0, 'cancelled in the server');
    }

    # cancelled by somebody else

    my $pid = fork // die $!;

    if ($pid == 0) {
        my $dbh = $t->pg->connect($t->database);

        for (1 .. 100) {
            my ($n) = $dbh->selectrow_array(
                "SELECT count(pg_cancel_backend(pid)) FROM pg_stat_activity"
                . " WHERE query ~ 'items_slow' AND state = 'active'"
                . " AND pid <> pg_backend_pid()");
            last if $n;
            select undef, undef, undef, 0.02;
        }

        POSIX::_exit(0);
    }

    my $cancelled = $c->request('GET', '/api/slow');
    is($cancelled->code . ' ' . $cancelled->problem,
       '503 database_unavailable', 'cancelled by an administrator');
    waitpid $pid, 0;

    # a write that waits for a lock

    my $dbh = $t->pg->connect($t->database);
    $dbh->begin_work;
    $dbh->do('UPDATE items SET amount = 7 WHERE id = 1');

    my $r = $c->request('PATCH', '/api/items/1', { amount => 8 });
    is($r->code . ' ' . $r->problem, '504 statement_timeout', 'write');
    cmp_ok($r->{took}, '<', 4.5, 'in time');

    $dbh->rollback;
    $dbh->disconnect;

    is($t->get('/api/items/1')->json->{amount}, 0, 'did nothing');

    $t->dbh->do('DROP VIEW items_slow');
};


subtest 'types change under load' => sub {
    my $load = DataflowTest::Client->load($t, 5, sub {
        my ($c, $i) = @_;

        my $name = sprintf 'd%d-%d', $$, ++$serial;
        my $r = $i == 1 ? $c->request('POST', '/api/items', { name => $name })
              : $i == 2 ? $c->request('PATCH', '/api/items/2',
                                      { amount => $serial })
              : $i == 3 ? $c->request('POST', '/api/items?dry_run=true',
                                      { name => $name })
                        : $c->request('GET', $i == 4 ? '/api/items/1'
                                           : '/api/items?limit=5');
        return ['d', $i, $r->code, $r->problem, $r->body, $r->{error}];
    });

    my $dbh = $t->pg->connect($t->database);
    my @type = ('varchar(200)', 'text');

    for my $n (1 .. 12) {
        sleep 0.1 + rand 0.1;
        $dbh->do("ALTER TABLE items ALTER COLUMN name TYPE $type[$n % 2]");
        sleep rand 0.1;
        $dbh->do("ALTER TABLE items ADD COLUMN extra$n integer DEFAULT $n");
    }

    sleep 0.2;
    $dbh->disconnect;

    my %seen;
    for my $note ($load->stop) {
        my ($d, $i, $code, $problem, $body, $error) = @$note;
        my $key = "$i $code $problem" . ($error // '');
        diag "$i: $body" if $code >= 400 && !$seen{$key};
        $seen{$key}++;
    }

    note join ', ', map { "$seen{$_} $_" } sort keys %seen;
    is(join(' | ', sort keys %seen),
       '1 201  | 2 200  | 3 200  | 4 200  | 5 200 ', 'clients see nothing');
};


subtest 'more shapes than a connection keeps' => sub {
    my @fields = qw(id name amount created_at updated_at);
    my $c = DataflowTest::Client->new($t);
    my @wrong;
    my $first;

    for my $round (1 .. 4) {
        for my $mask (1 .. 31) {
            for my $sort (map { ($_, "-$_") } @fields) {
                my @f = @fields[grep { $mask >> $_ & 1 } 0 .. $#fields];
                my $path = '/api/items?limit=1&sort=' . $sort . '&fields='
                           . join ',', @f;
                my $r = $c->request('GET', $path);
                my ($row) = $r->body =~ /^\{"data":\[\{(.*)\}\],"next":/;
                my $keys = join ',', ($row // '') =~ /"(\w+)":/g;
                push @wrong, "$path: $keys" if $keys ne join ',', @f;
            }
        }
    }

    is(@wrong, 0, 'each with its own fields') or diag $wrong[0];

    my $pool = $c->request('GET', '/health')->json->{databases}{test}{pool};
    note join ' ', map { "$_=$pool->{$_}" } sort keys %$pool;
    is($t->error_log =~ /(prepared statement .*)/ && $1, '',
       'nothing said about prepared statements');
};


subtest 'database away at the start' => sub {
    $t->stop;
    $t->pg_stop;
    $t->start(wait => 0);

    my $c = DataflowTest::Client->new($t);
    my $r;

    for (my $end = time + 5; time < $end; sleep 0.05) {
        $r = eval { $c->request('GET', '/health') };
        last if $r && $r->code == 503;
    }

    is($r->code, 503, 'health');

    $r = $c->request('GET', '/api/items/1');
    is($r->code . ' ' . $r->problem, '503 database_unavailable', 'refused');
    cmp_ok($r->{took}, '<', 1, 'at once');

    $t->pg_start;
    ok(back(15), 'works when it comes');
};


$t->done;
