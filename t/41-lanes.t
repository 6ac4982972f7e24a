use strict;
use warnings;

use IO::Select;
use List::Util qw(shuffle);
use Test::More;
use Time::HiRes qw(sleep time);

use DataflowTest;
use DataflowTest::Client;

# who waits for whom: locks, slow statements, the queue, failing neighbours

srand(my $seed = $ENV{DATAFLOW_SEED} // time);
note "DATAFLOW_SEED=$seed";

my $t = DataflowTest->new(models => <<'CONF')->start;
        location /api/items {
            dataflow_model items {
                field name   text    required;
                field amount integer default=0;
            }
        }
        location /api/locked {
            dataflow_model locked { field name text; }
        }
        location /api/slow {
            dataflow_model slow { field name text; timestamps off; }
            dataflow_expose list get;
        }
        location /api/words {
            dataflow_model words { key word; field word text; field n integer; }
        }
        location /api/uuids {
            dataflow_model uuids { key u; field u uuid; field n integer; }
        }
        location /api/shorts {
            dataflow_model shorts { key s; field s smallint; field n integer; }
        }
        location /api/codes {
            dataflow_model codes {
                key c; field c varchar(9); field n integer;
            }
        }
CONF

my $dbh = $t->dbh;

$dbh->do("INSERT INTO items (name) SELECT 'item ' || i"
         . " FROM generate_series(1, 200) i");
$dbh->do("INSERT INTO locked (name) VALUES ('one'), ('two')");
$dbh->do('DROP TABLE slow');
$dbh->do("CREATE VIEW slow AS SELECT id, name || coalesce(pg_sleep(0.15)::text,"
         . " '') AS name FROM items WHERE id <= 2");


sub clients { return map { DataflowTest::Client->new($t) } 1 .. $_[0] }

# asks all at once

sub ask { my ($clients, @request) = @_; $_->send(@request) for @$clients }

sub codes {
    my %n;
    $n{$_->read->code}++ for @_;
    return join ', ', map { "$n{$_} $_" } sort keys %n;
}

# how many have an answer

sub answered {
    my @ready = IO::Select->new(map { $_->{socket} } @_)->can_read(0);
    return scalar @ready;
}

sub waiting {
    my ($n) = @_;
    my $now;

    for (my $end = time + 10; time < $end; sleep 0.02) {
        $now = $dbh->selectrow_array(
            "SELECT count(*) FROM pg_stat_activity WHERE datname ="
            . " current_database() AND wait_event_type = 'Lock'");
        last if $now >= $n;
    }

    return $now;
}

sub pool {
    return $t->get('/health')->json->{databases}{test}{pool};
}


# nothing is left behind

sub calm {
    my ($what) = @_;
    my $pool;

    for (my $end = time + 5; time < $end; sleep 0.02) {
        $pool = pool();
        last if $pool->{busy} == 0 && $pool->{queued} == 0;
    }

    is("$pool->{busy} $pool->{queued}", '0 0', "$what: nothing left behind");
}


subtest 'behind a row lock' => sub {
    my $lock = $t->pg->connect($t->database);
    $lock->begin_work;
    $lock->do('UPDATE items SET amount = 1 WHERE id = 1');

    my @stuck = clients(20);
    ask(\@stuck, 'PATCH', '/api/items/1', { amount => 2 });
    is(waiting(20), 20, '20 changes wait for the lock');

    my $load = DataflowTest::Client->load($t, 6, sub {
        my ($c) = @_;
        return undef if ($c->{n}++ // 0) == 60;

        my $id = 1 + int rand 200;
        my $r = $c->request('GET', "/api/items/$id");
        return [$r->code, $r->body =~ /^\{"id":$id,"name":"item $id"/ ? 1 : 0,
                $r->{took}];
    });

    my @notes = $load->wait;
    is(grep({ $_->[0] == 200 && $_->[1] } @notes), 360, 'reads answer');

    my $c = DataflowTest::Client->new($t);
    is($c->request('GET', '/api/items?limit=2')->code, 200, 'a list');
    is($c->request('POST', '/api/items', { name => 'x' })->code, 201,
       'another write');
    is($c->request('DELETE', '/api/items/201')->code, 204, 'and another');
    is(answered(@stuck), 0, 'all while they wait');

    $lock->commit;
    $lock->disconnect;

    is(codes(@stuck), '20 200', 'they go on');
    calm('lock');
};


subtest 'a table locked' => sub {
    my $c = DataflowTest::Client->new($t);

    # its shapes are trusted to share connections

    for (1 .. 5) {
        $c->request('GET', "/api/$_") for qw(locked/1 locked?limit=1 items/1
                                              items?limit=1);
    }

    my $lock = $t->pg->connect($t->database);
    $lock->begin_work;
    $lock->do('LOCK TABLE locked IN ACCESS EXCLUSIVE MODE');

    my @stuck = clients(12);
    ask([@stuck[0 .. 3]], 'GET', '/api/locked/1');
    ask([@stuck[4 .. 7]], 'GET', '/api/locked?limit=1');
    ask([@stuck[8 .. 11]], 'PATCH', '/api/locked/2', { name => 'changed' });

    my %n;
    my $worst = 0;

    for (1 .. 50) {
        for (['GET', '/api/items/7'], ['GET', '/api/items?limit=1'],
             ['POST', '/api/items', { name => 'y' }])
        {
            my $r = $c->request(@$_);
            $n{$r->code}++;
            $worst = $r->{took} if $r->{took} > $worst;
        }

        push @stuck, my $s = DataflowTest::Client->new($t);
        $s->send('GET', '/api/locked/1') if @stuck < 20;
        pop @stuck if @stuck >= 20;
    }

    note sprintf 'worst %.1f ms', 1000 * $worst;
    is(join(' ', map { "$_:$n{$_}" } sort keys %n), '200:100 201:50',
       'other tables answer');
    is(answered(@stuck), 0, 'while it is locked');

    $lock->commit;
    $lock->disconnect;

    is(codes(@stuck), @stuck . ' 200', 'then it answers too');
    calm('table');
};


subtest 'slow shapes leave the shared lane' => sub {
    my $slow = DataflowTest::Client->load($t, 4, sub {
        my ($c) = @_;
        my $r = $c->request('GET', '/api/slow');
        return [$r->code, $r->{took}];
    });

    sleep 1;

    my $before = pool();
    my $quick = DataflowTest::Client->load($t, 3, sub {
        my ($c) = @_;
        return undef if ($c->{n}++ // 0) == 100;
        my $r = $c->request('GET', '/api/items?limit=3&sort=-id');
        return [$r->code, $r->{took}];
    });

    my @quick = $quick->wait;
    my $after = pool();
    my @slow = $slow->stop;

    my @took = sort { $a <=> $b } map { $_->[1] } @quick;

    is(grep({ $_->[0] == 200 } @quick), 300, 'quick ones answer');
    is(grep({ $_->[0] != 200 } @slow), 0, 'slow ones too');
    cmp_ok($took[150], '<', 0.1, 'neighbours do not wait for the slow');
    note sprintf 'median %.1f ms, worst %.1f ms', 1000 * $took[150],
                 1000 * $took[-1];

    my $shared = $after->{shared} - $before->{shared};
    cmp_ok($shared, '<=', 300, 'no slow one was shared');
    calm('slow');
};


subtest 'neighbours of what fails' => sub {
    my $c = DataflowTest::Client->new($t);

    for (1 .. 5) {
        is($c->request('GET', '/api/items?limit=1&sort=id&name__regex=m%207$')
             ->code, 200);
    }

    my @wrong;

    for my $round (1 .. 6) {
        my @asked;

        for my $client (clients(60)) {
            my $id = 1 + int rand 200;
            my ($path, $code, $like) = @{ (
                ["/api/items/$id", 200, qr/^\{"id":$id,"name":"item $id"/],
                ['/api/items/100000', 404, qr/not_found/],
                ['/api/items?limit=1&sort=id&name__regex=%28', 400, qr/regular/],
                ["/api/items?limit=1&sort=id&name__regex=m%20$id\$", 200,
                 qr/^\{"data":\[\{"id":$id,/],
                ["/api/items?limit=1&sort=id&id__gte=$id", 200,
                 qr/^\{"data":\[\{"id":$id,/],
            )[int rand 5] };

            $client->send('GET', $path);
            push @asked, [$client, $path, $code, $like];
        }

        for (@asked) {
            my ($client, $path, $code, $like) = @$_;
            my $r = $client->read;
            push @wrong, "$path: " . $r->code . ' ' . $r->body
                unless $r->code == $code && $r->body =~ $like;
        }
    }

    is(@wrong, 0, 'each its own answer')
        or diag join "\n", splice @wrong, 0, 5;
    note 'sent again: ' . pool()->{resent};
    calm('neighbours');
};


# reads by key that are sent as one have to find their own rows again

subtest 'keys of every form, at the same time' => sub {
    my %forms = (
        words => [ ['a', 'a'], ['B', 'B'], ['a"b\\c', 'a%22b%5Cc'],
                   ['{x,y}', '%7Bx,y%7D'], ['NULL', 'NULL'], [' ', '%20'],
                   ["\x{e4}\x{1f600}", '%C3%A4%F0%9F%98%80'],
                   ['a ', 'a%20'], ['2', '2'] ],
        uuids => [ ['a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11',
                    'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11',
                    'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'],
                   ['00000000-0000-0000-0000-000000000001',
                    '00000000-0000-0000-0000-000000000001'] ],
        shorts => [ ['1', '1', '01', '%2B1'], ['-7', '-7'], ['0', '0', '-0'] ],
        codes => [ ['a', 'a'], ['a ', 'a%20'], ['A', 'A'] ],
        items => [ ['5', '5'], ['6', '6'] ],
    );

    my (@paths, @first, %alone, @wrong);

    for my $model (sort keys %forms) {
        my $n = 0;

        for (@{ $forms{$model} }) {
            my ($value, @spelled) = @$_;
            my $key = { words => 'word', uuids => 'u', shorts => 's',
                        codes => 'c' }->{$model};
            $n++;
            $dbh->do("INSERT INTO $model ($key, n) VALUES (?, ?)", undef,
                     $value, $n) if $key;
            push @paths, map { "/api/$model/$_" } @spelled;
            push @first, map { "/api/$model/$_" }
                         $model eq 'uuids' ? @spelled : $spelled[0];
        }
    }

    my $c = DataflowTest::Client->new($t);

    for my $path (@paths) {
        for (1 .. 4) {
            my $r = $c->request('GET', $path);
            $alone{$path} = $r->code . ' ' . $r->body;
        }
    }

    # other spellings are no addresses, but of a uuid

    is(join(' ', grep { $alone{$_} =~ /^200/ } @paths), "@first",
       'alone they are found');

    for my $round (1 .. 10) {
        my @asked = map { [$_, DataflowTest::Client->new($t)] }
                    (shuffle(@paths), shuffle(@paths))[0 .. 39];

        $_->[1]->send('GET', $_->[0]) for @asked;

        for (@asked) {
            my $r = $_->[1]->read;
            my $got = $r->code . ' ' . $r->body;
            s/"instance":"[^"]*"// for $got, my $want = $alone{$_->[0]};
            push @wrong, "$_->[0]: $got" if $got ne $want;
        }
    }

    is(@wrong, 0, 'together too') or diag join "\n", splice @wrong, 0, 5;
    calm('keys');
};


subtest 'the queue is full' => sub {
    $t->write_conf(database => 'pool size=2 overflow=0 queue=4 wait=1500ms;')
      ->reload;
    sleep 0.3;

    my $lock = $t->pg->connect($t->database);
    $lock->begin_work;
    $lock->do('UPDATE items SET amount = 1 WHERE id = 1');

    my $c = DataflowTest::Client->new($t);
    $c->request('GET', '/api/items/2') for 1 .. 5;

    my ($first, @more) = clients(13);
    $first->send('PATCH', '/api/items/1', { amount => 2 });
    is(waiting(1), 1, 'one waits for a lock');

    $_->send('PATCH', '/api/items/1', { amount => 3 }) for @more;

    my @answers;
    for (my $end = time + 1; time < $end; sleep 0.02) {
        my @ready = IO::Select->new(map { $_->{socket} } @more)->can_read(0);
        last if @ready >= 8;
    }

    my @queued = grep { !IO::Select->new($_->{socket})->can_read(0) } @more;
    my @refused = grep { IO::Select->new($_->{socket})->can_read(0) } @more;

    is(@queued, 4, 'four wait in the queue');

    for my $client (@refused) {
        my $r = $client->read;
        push @answers, join ' ', $r->code, $r->problem,
                                 $r->header('Retry-After') // 'never';
    }

    is(join(', ', sort @answers), join(', ', ('503 overloaded 1') x 8),
       'the others are refused at once');
    is(pool()->{queued}, 4, 'health knows');

    my $start = time;
    my @late = map { $_->read } @queued;
    is(join(', ', map { $_->code . ' ' . $_->problem } @late),
       join(', ', ('504 queue_timeout') x 4), 'they wait so long only');
    cmp_ok(time - $start, '<', 3, 'in time');

    is($c->request('GET', '/api/items/2')->code, 200, 'reads go on');

    $lock->rollback;
    $lock->disconnect;

    is($first->read->code, 200, 'the first succeeds');
    is($c->request('PATCH', '/api/items/1', { amount => 4 })->code, 200,
       'all is well again');
    is($dbh->selectrow_array('SELECT amount FROM items WHERE id = 1'), 4,
       'and nothing was done that was refused');
    calm('queue');
};


subtest 'no connection is free to cancel with' => sub {
    my $c = DataflowTest::Client->new($t);

    # a busy machine may let it look slow for a while

    $c->request('GET', '/api/locked/1') for 1 .. 40;

    my $lock = $t->pg->connect($t->database);
    $lock->begin_work;
    $lock->do('LOCK TABLE locked IN ACCESS EXCLUSIVE MODE');

    my ($write, $read) = clients(2);
    $write->send('PATCH', '/api/locked/1', { name => 'never' });
    is(waiting(1), 1, 'a write waits');
    $read->send('GET', '/api/locked/1');
    is(waiting(2), 2, 'a read has the last connection');

    $write->close;

    my $left;
    for (my $end = time + 1.5; time < $end; sleep 0.02) {
        $left = $dbh->selectrow_array(
            "SELECT count(*) FROM pg_stat_activity WHERE datname ="
            . " current_database() AND query LIKE 'UPDATE%'"
            . " AND state = 'active'");
        last unless $left;
    }
    is($left, 0, 'the write of a client that left is cancelled all the same');

    $lock->rollback;
    $lock->disconnect;
    is($read->read->code, 200, 'the read goes on');
    isnt($dbh->selectrow_array('SELECT name FROM locked WHERE id = 1'),
         'never', 'nothing was done');
    calm('cancel');
};


$t->done;
