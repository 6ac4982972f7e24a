use strict;
use warnings;

use Test::More;
use Time::HiRes qw(sleep time);

use DataflowTest;
use DataflowTest::Client;

# records within records: how many statements they take, what they are when
# others write at the same time, and what is too much of them

my $t = DataflowTest->new(
    cluster => 'own',
    pg => { settings => { log_statement => 'all' } },
    database => 'timeout statement=15s;',
    models => <<'CONF')->start;
        dataflow_limit_rows default=100 max=200;

        location /api/customers {
            dataflow_model customers {
                field name       text;
                field n          integer;
                field region_id  bigint;
                relation region regions region_id;
                timestamps off;
            }
        }

        location /api/regions {
            dataflow_model regions { field name text; timestamps off; }
        }

        location /api/orders {
            dataflow_model orders {
                field customer_id  bigint;
                field total        numeric(12,2);
                relation customer customers customer_id;
                index customer_id;
                timestamps off;
            }
        }

        location /api/lines {
            dataflow_model lines {
                field order_id  bigint;
                field product   text;
                relation order orders order_id;
                index order_id;
                timestamps off;
            }
        }

        location /api/boxes {
            dataflow_model boxes { field name text; timestamps off; }
        }

        location /api/things {
            dataflow_model things {
                field box_id  bigint;
                field name    text;
                relation box boxes box_id;
                timestamps off;
            }
        }

        location /api/parts {
            dataflow_model parts {
                field thing_id  bigint;
                field name      text;
                relation thing things thing_id;
                timestamps off;
            }
        }
CONF

my $dbh = $t->dbh;

sub client { return DataflowTest::Client->new($t, @_) }
sub pool { return $t->get('/health')->json->{databases}{test}{pool} }


# statements of nginx since a moment; our own have no name

sub statements {
    my ($since) = @_;

    return grep { !/set_config|pg_stat_activity|DEALLOCATE/ }
           substr($t->pg->log, $since)
           =~ /execute (?:df\d+|<unnamed>): (.*)/g;
}

sub marked { return length $t->pg->log }


subtest 'a statement for each list' => sub {
    $dbh->do("INSERT INTO regions (name) VALUES ('north')");
    $dbh->do('INSERT INTO customers (name, region_id) SELECT i::text, 1'
             . ' FROM generate_series(1, 3) i');
    $dbh->do('INSERT INTO orders (customer_id) SELECT 1 + i % 3'
             . ' FROM generate_series(1, 9) i');
    $dbh->do('INSERT INTO lines (order_id) SELECT 1 + i % 9'
             . ' FROM generate_series(1, 27) i');

    for (['orders', 1], ['orders?include=customer', 1],
         ['orders?include=customer.region', 1], ['orders/1', 1],
         ['orders/1?include=customer', 1],
         ['orders?include=lines', 2], ['orders/1?include=lines', 2],
         ['orders?include=lines,customer.region', 2],
         ['customers?include=orders.lines', 3],
         ['customers/1?include=orders.lines,region', 3],
         ['regions?include=customers.orders.lines', 4],
         ['orders?include=customer.orders,lines', 3],
         ['orders?include=lines&count=exact', 3],
         ['orders?include=lines&count=estimated', 4])
    {
        my ($path, $n) = @$_;

        for my $again (0, 1) {
            my $since = marked();
            is($t->get("/api/$path")->code, 200, $path);
            my @got = statements($since);
            is(scalar @got, $n, "$n statements") or diag(join "\n", @got);
        }
    }
};


subtest 'gets with includes are not put together with others' => sub {
    my @paths = map { my $id = $_; map { "/api/customers/$id$_" }
                      '', '?include=orders', '?include=region' } 1 .. 3;
    my %want = map { $_ => $t->get($_)->body } @paths;

    my ($left, %wrong);

    for my $round (1 .. 10) {
        for my $path (@paths) {
            $left++;
            $t->ua->get($t->url($path) => sub {
                my ($ua, $tx) = @_;
                $wrong{$path} = $tx->res->body
                    if $tx->res->body ne $want{$path};
                Mojo::IOLoop->stop unless --$left;
            });
        }
    }

    Mojo::IOLoop->start;
    is_deeply(\%wrong, {}, 'each has its own');
};


# what reads boxes waits for a lock: one for reads as they come, another for
# those that are repeated in one snapshot

$dbh->do($_) for
    'ALTER TABLE boxes RENAME TO kept_boxes',
    q(CREATE FUNCTION wait() RETURNS boolean LANGUAGE plpgsql AS $$
      BEGIN
        IF current_setting('transaction_isolation') = 'repeatable read' THEN
            PERFORM pg_advisory_xact_lock_shared(9);
        ELSE
            PERFORM pg_advisory_xact_lock_shared(7);
        END IF;
        RETURN true;
      END $$),
    'CREATE VIEW boxes AS SELECT xmin, id, name FROM kept_boxes'
    . ' WHERE (SELECT wait())';

sub waiting {
    return @{ $dbh->selectcol_arrayref(
        "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND objid = ?"
        . ' AND NOT granted', undef, $_[0]) };
}

sub until_waiting {
    my ($lock, $but) = @_;

    for (my $end = time + 10; time < $end; sleep 0.01) {
        my @pids = grep { $_ != ($but // 0) } waiting($lock);
        return $pids[0] if @pids;
    }

    return undef;
}

sub lock { $dbh->do('SELECT pg_advisory_lock(?)', undef, $_) for @_ }
sub unlock { $dbh->do('SELECT pg_advisory_unlock(?)', undef, $_) for @_ }

sub repeats {
    return scalar grep { /^BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY/ }
                  statements($_[0]);
}

# the answer to a request in whose middle something is done

sub during {
    my ($path, $do) = @_;
    my ($r, $waited);

    lock(7);
    my $since = marked();

    $t->ua->get($t->url($path) => sub {
        my ($ua, $tx) = @_;
        $r = DataflowTest::Response->new($tx->res);
        Mojo::IOLoop->stop;
    });

    # the request is on its way when the loop has run a little

    Mojo::IOLoop->recurring(0.01 => sub {
        my ($loop) = @_;

        if (!$waited && waiting(7)) {
            $waited = 1;
            $do->();
            unlock(7);
        }
    });

    Mojo::IOLoop->start;
    Mojo::IOLoop->reset;
    delete $t->{ua};

    return ($r, repeats($since));
}

sub box {
    my ($name, @things) = @_;

    $dbh->begin_work;
    my ($id) = $dbh->selectrow_array(
        'INSERT INTO kept_boxes (name) VALUES (?) RETURNING id', undef, $name);
    $dbh->do('INSERT INTO things (box_id, name) VALUES (?, ?)', undef,
             $id, $_) for @things;
    $dbh->commit;

    return $id;
}

sub boxes {
    my ($r) = @_;

    return join ' ', map {
        $_->{name} . '(' . join(',', map { $_->{name} } @{ $_->{things} }) . ')'
    } $r->json->{data} ? @{ $r->json->{data} } : $r->json;
}


subtest 'when others write in between' => sub {
    my $list = '/api/boxes?include=things&sort=name';

    box('b', 'b1', 'b2');
    box('d');

    my ($r, $n) = during($list, sub { });
    is(boxes($r), 'b(b1,b2) d()', 'nothing');
    is($n, 0, 'is read once');

    ($r, $n) = during($list, sub { box('c', 'c1') });
    is(boxes($r), 'b(b1,b2) c(c1) d()', 'a record that is new');
    is($n, 1, 'is read again, all of it');

    ($r, $n) = during("$list&limit=2", sub { box('a', 'a1') });
    is(boxes($r), 'a(a1) b(b1,b2)', 'a page that has moved');
    is($n, 1, 'is read again');

    ($r, $n) = during("$list&limit=2", sub {
        $dbh->do("DELETE FROM kept_boxes WHERE name = 'd'");
    });
    is(boxes($r), 'a(a1) b(b1,b2)', 'a record of another page that is gone');
    is($n, 0, 'matters not');

    ($r, $n) = during($list, sub {
        $dbh->begin_work;
        $dbh->do("DELETE FROM things WHERE name = 'a1'");
        $dbh->do("DELETE FROM kept_boxes WHERE name = 'a'");
        $dbh->commit;
    });
    is(boxes($r), 'b(b1,b2) c(c1)', 'a record that is gone');
    is($n, 0, 'matters not');

    my $id = 1 + $dbh->selectrow_array('SELECT max(id) FROM kept_boxes');

    ($r, $n) = during("/api/boxes/$id?include=things", sub {
        $dbh->do("SELECT setval(pg_get_serial_sequence('kept_boxes', 'id'), ?)",
                 undef, $id - 1);
        box('e', 'e1');
    });
    is($r->code, 200, 'a get of what was not there');
    is(boxes($r), 'e(e1)', 'and its list');
    is($n, 1, 'is read again');

    ($r, $n) = during("/api/boxes/999?include=things", sub { });
    is($r->code, 404, 'what is not there');
    is($n, 0, 'is not looked for twice');

    # parts are read before things

    ($r, $n) = during('/api/boxes?include=things.parts&name=b', sub {
        $dbh->do("INSERT INTO things (box_id, name) SELECT id, 'b3'"
                 . " FROM kept_boxes WHERE name = 'b'");
    });
    is(boxes($r), 'b(b1,b2,b3)', 'a list within a list');
    is($n, 1, 'is read again');
};


subtest 'when a repeated read is disturbed' => sub {
    my $path = '/api/boxes?include=things&name=f';
    my $blocked;

    my $run = sub {
        my ($do) = @_;
        lock(9);

        my ($r, $n) = during($path, sub {
            box('f', 'f1');
            Mojo::IOLoop->timer(0.01 => sub {
                my $loop = shift;
                my $id;
                $id = $loop->recurring(0.02 => sub {
                    my ($pid) = waiting(9) or return;
                    $loop->remove($id);
                    $do->($loop, $pid);
                });
            });
        });

        $dbh->do('DELETE FROM things WHERE name = ?', undef, 'f1');
        $dbh->do('DELETE FROM kept_boxes WHERE name = ?', undef, 'f');

        return ($r, $n);
    };

    my ($r, $n) = $run->(sub {
        my ($loop, $pid) = @_;
        my $id;

        $dbh->do('SELECT pg_terminate_backend(?)', undef, $pid);

        $id = $loop->recurring(0.02 => sub {
            grep { $_ != $pid } waiting(9) or return;
            $loop->remove($id);
            unlock(9);
        });
    });

    is($r->code, 200, 'a terminated backend') or diag($r->body);
    is(boxes($r), 'f(f1)', 'is not noticed');

    ($r, $n) = $run->(sub {
        my ($loop, $pid) = @_;

        $dbh->do('SELECT pg_cancel_backend(?)', undef, $pid);
        unlock(9);
    });

    is($r->code, 503, 'a cancelled statement');
    is($r->json->{code}, 'database_unavailable', 'said so');
};


subtest 'clients that leave' => sub {
    for my $lock (7, 9) {
        lock(7);
        lock(9) if $lock == 9;

        my $client = client();
        $client->send('GET', '/api/boxes?include=things&name=g');

        ok(until_waiting(7), 'a list is read');

        if ($lock == 9) {
            box('g', 'g1');
            unlock(7);
            ok(until_waiting(9), 'once more');
        }

        $client->close;

        my $left;

        for (my $end = time + 10; time < $end; sleep 0.02) {
            $left = waiting($lock) || pool()->{busy};
            last unless $left;
        }

        ok(!$left, 'and nobody waits for it when the client has left');
        unlock($lock);
    }
};


subtest 'while others write all the time' => sub {

    # customers come and go together with their orders

    my @writers = map {
        my $pid = fork // die "fork: $!";

        if ($pid == 0) {
            my $own = $t->pg->connect($t->database);
            $own->do('SET log_statement = none');

            for (;;) {
                my $n = int rand 5;
                my $id;

                eval {
                    $own->begin_work;
                    ($id) = $own->selectrow_array(
                        "INSERT INTO customers (name, n) VALUES ('w', ?)"
                        . ' RETURNING id', undef, $n);
                    $own->do('INSERT INTO orders (customer_id, total)'
                             . ' SELECT ?, i FROM generate_series(1, ?) i',
                             undef, $id, $n);
                    $own->commit;
                    sleep 0.002;
                    $own->begin_work;
                    $own->do('DELETE FROM orders WHERE customer_id = ?',
                             undef, $id);
                    $own->do('DELETE FROM customers WHERE id = ?', undef, $id);
                    $own->commit;
                };
            }
        }

        $pid;
    } 1 .. 2;

    my ($seen, $since) = (0, marked());
    my @wrong;

    for my $i (1 .. 400) {
        my $r = $t->get('/api/customers?name=w&include=orders&sort='
                        . ($i % 2 ? 'id' : '-id'));

        if ($r->code != 200) {
            push @wrong, $r->body;
            next;
        }

        for (@{ $r->json->{data} }) {
            $seen++;
            push @wrong, $r->body if @{ $_->{orders} } != $_->{n};
        }
    }

    kill 'KILL', @writers;
    waitpid $_, 0 for @writers;

    is_deeply(\@wrong, [], 'each customer has all of its orders');
    cmp_ok($seen, '>', 0, 'some were seen');
    note($seen, ' seen, ', repeats($since), ' repeats');

    $dbh->do("DELETE FROM orders WHERE customer_id IN"
             . " (SELECT id FROM customers WHERE name = 'w')");
    $dbh->do("DELETE FROM customers WHERE name = 'w'");
};


subtest 'tables that change' => sub {
    my $path = '/api/customers?include=orders,region&fields=name,orders.id,'
               . 'region.name';
    my $want = $t->get($path)->body;

    is($t->get($path)->body, $want, 'prepared') for 1 .. 3;

    my $since = marked();
    $dbh->do('ALTER TABLE customers ALTER name TYPE varchar(99)');
    is($t->get($path)->body, $want, 'a statement that is stale behind another');
    is($t->get($path)->body, $want, 'and again');

    $dbh->do('ALTER TABLE orders ALTER total TYPE text');

    my $r = $t->get('/api/customers?include=orders');
    is($r->code, 500, 'a list whose column has another type');
    is($r->json->{code}, 'schema_drift', 'said so');

    $dbh->do('ALTER TABLE orders ALTER total TYPE numeric(12,2)'
             . ' USING total::numeric');
    is($t->get('/api/customers?include=orders')->code, 200, 'and mended');
};


subtest 'limits' => sub {
    $dbh->do('TRUNCATE customers, orders, lines');
    $dbh->do("INSERT INTO customers (name) SELECT 'c' || i"
             . ' FROM generate_series(1, 150) i');
    $dbh->do('INSERT INTO orders (customer_id) SELECT c.id'
             . ' FROM customers c, generate_series(1, 120)');
    $dbh->do('ANALYZE');

    my $r = $t->get('/api/customers?include=orders&limit=100&fields=orders.id');
    is($r->code, 200, '10000 records in lists');
    is(scalar(grep { @{ $_->{orders} } == 100 && $_->{orders_truncated} }
              @{ $r->json->{data} }), 100, 'each list is cut, and says so');

    for (['customers?include=orders&limit=101', 'one more'],
         ['customers?include=orders&limit=200', 'many more'],
         ['orders?include=customer.orders&limit=101',
          'the same list in many records'],
         ['customers?include=orders.customer.orders&limit=2',
          'lists in lists'])
    {
        my ($path, $name) = @$_;

        $r = $t->get("/api/$path");
        is($r->code, 422, $name);
        is($r->json->{code}, 'too_complex', 'said so');
        like($r->json->{detail}, qr/more than 10000 records/, 'how many');
    }

    is($t->get('/api/orders?include=customer.orders&limit=100')->code, 200,
       'as many as there may be');
    is($t->get('/api/customers?include=orders.customer&limit=100')->code, 200,
       'what relations lead to is not counted');

    my ($id) = $dbh->selectrow_array('SELECT min(id) FROM customers');

    is($t->get("/api/customers/$id?include=orders.customer.orders")->code, 422,
       'of one record');
};


is(pool()->{busy}, 0, 'no connection is busy');

is_deeply([ $t->finish ], [], 'nginx ended cleanly');


# where nothing is prepared, and pages are long

$t = DataflowTest->new(database => 'prepare off;', models => <<'CONF')->start;
        dataflow_limit_rows max=3000;

        location /api/boxes {
            dataflow_model boxes { field name text; timestamps off; }
        }

        location /api/things {
            dataflow_model things {
                field box_id  bigint;
                relation box boxes box_id;
                timestamps off;
            }
        }
CONF

$t->dbh->do("INSERT INTO boxes (name) VALUES ('a'), ('b')");
$t->dbh->do('INSERT INTO things (box_id) VALUES (1), (1), (null)');

is($t->get('/api/boxes?include=things&fields=name,things.id')->body,
   '{"data":[{"name":"a","things":[{"id":1},{"id":2}]},'
   . '{"name":"b","things":[]}],"next":null}', 'without prepared statements');

$t->dbh->do("INSERT INTO boxes (name) SELECT i::text"
            . ' FROM generate_series(3, 2000) i');
$t->dbh->do('INSERT INTO things (box_id) SELECT 1 + i % 2000'
            . ' FROM generate_series(4, 2500) i');

subtest 'long pages' => sub {
    my $r = $t->get('/api/boxes?limit=1500&include=things');
    is($r->code, 200, 'with lists');

    my @boxes = @{ $r->json->{data} };
    my %things;

    push @{ $things{$_->[1]} }, "$_->[0]" for @{ $t->dbh->selectall_arrayref(
        'SELECT id, box_id FROM things WHERE box_id IS NOT NULL ORDER BY id') };

    is(scalar @boxes, 1500, 'all of them');
    is_deeply([ map { [ map { "$_->{id}" } @{ $_->{things} } ] } @boxes ],
              [ map { $things{$_->{id}} // [] } @boxes ], 'with their lists');
    ok($r->json->{next}, 'and a next page');

    $r = $t->get('/api/things?limit=1500&include=box');
    is($r->code, 200, 'with one record, streamed');
    is(scalar(grep { $_->{box} ? $_->{box}{id} eq $_->{box_id}
                               : !defined $_->{box_id} }
              @{ $r->json->{data} }), 1500, 'each its own');
    ok($r->json->{next}, 'and a next page');
};

$t->done;
