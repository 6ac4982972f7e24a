# the executor where it is easily wrong: commits that fail, TLS, connections that
# die in the middle of what is sent

use strict;
use warnings;

use IO::Select;
use IO::Socket::INET;
use IO::Socket::UNIX;
use POSIX ();
use Test::More;
use Time::HiRes qw(sleep time);

use DataflowTest;
use DataflowTest::Client;

my $t = DataflowTest->new(
    database => 'pool size=4 overflow=0; timeout statement=3s;',
    models => <<'CONF')->start;
        location /api/items {
            dataflow_model items {
                field name   text  required;
                field amount integer default=0;
            }
        }
        location /api/others {
            dataflow_model others { field name text; }
        }
CONF

subtest 'a constraint that is checked at the commit' => sub {
    $t->dbh->do('ALTER TABLE items ADD CONSTRAINT later UNIQUE (name)'
                . ' DEFERRABLE INITIALLY DEFERRED');

    is($t->post('/api/items', { name => 'a' })->code, 201);
    my @before = sort $t->backends;

    for (1 .. 3) {
        my $r = $t->post('/api/items', { name => 'a' });
        is($r->code, 409);
        is($r->json->{constraint}, 'later');
    }
    is_deeply([sort $t->backends], \@before, 'on connections that stay');
    unlike($t->error_log, qr/connection was lost/, 'none was lost');
};

# with one connection, which stalls: what came meanwhile gets another

subtest 'behind a read that stalls' => sub {
    for (1 .. 8) {
        is($t->get("/api/$_")->code, 200) for 'items', 'others';
    }

    is(scalar($t->backends), 1, 'one connection');

    my $dbh = $t->pg->connect($t->database);
    $dbh->do('BEGIN');
    $dbh->do('LOCK TABLE items');

    my $slow = DataflowTest::Client->new($t);
    my $c = DataflowTest::Client->new($t, timeout => 2);

    $slow->send('GET', '/api/items');
    sleep 0.02;

    my $r = $c->request('GET', '/api/others');
    is($r->code, 200, 'is answered');
    cmp_ok($r->{took}, '<', 0.5, 'soon');

    $dbh->do('ROLLBACK');
    is($slow->read->code, 200, 'and the other later');
};


# jobs in every state at the end: "make asan" sees what is not given back

subtest 'terminated with much to do' => sub {
    my $s = DataflowTest->new(
        database => 'pool size=4 overflow=0;', models => <<'CONF')->start;
            location /api/items {
                dataflow_model items { field name text required; }
            }
CONF

    is($s->post('/api/items', { name => 'a' })->code, 201);
    is($s->get("/api/items/1")->code, 200) for 1 .. 8;

    my $dbh = $s->pg->connect($s->database);
    $dbh->do('BEGIN');
    $dbh->do('LOCK TABLE items');

    my @c;

    for my $n (1 .. 40) {
        push @c, my $c = DataflowTest::Client->new($s);
        my @ask = (['GET', '/api/items/1'], ['GET', "/api/items?limit=$n"],
                   ['GET', '/api/items?limit=all', undef,
                    Accept => 'application/x-ndjson'],
                   ['POST', '/api/items', { name => $n }]);
        $c->send(@{ $ask[$n % 4] });
    }

    sleep 0.2;

    $c[$_]->reset for grep { $_ % 3 == 0 } 0 .. $#c;

    sleep 0.05;

    $s->stop('TERM');
    $dbh->disconnect;

    is(join("\n", $s->finish), '', 'ended cleanly');
};


# OpenSSL may hold decrypted bytes that the socket raises no event for: with
# records of 16K, as newer servers and poolers send them

sub tls {
    my ($pg, $port, $dir) = @_;

    system("openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256"
           . " -nodes -subj /CN=localhost -days 2 -keyout $dir/key"
           . " -out $dir/crt 2>/dev/null") == 0 or die 'openssl';

    my $listen = IO::Socket::INET->new(Listen => 9, ReuseAddr => 1,
                                       LocalAddr => "127.0.0.1:$port")
        or die $@;

    my $pid = fork // die $!;
    return $pid if $pid;

    $SIG{CHLD} = 'IGNORE';

    while (my $client = $listen->accept) {
        fork and next;

        sysread $client, my $request, 8;
        syswrite $client, 'S';
        IO::Socket::SSL->start_SSL($client, SSL_server => 1,
                                   SSL_cert_file => "$dir/crt",
                                   SSL_key_file => "$dir/key");

        my $server = IO::Socket::UNIX->new($pg->host . '/.s.PGSQL.'
                                           . $pg->port);
        my $select = IO::Select->new($client, $server);

        while (1) {
            for my $from ($client->pending ? $client : $select->can_read) {
                my $to = $from == $client ? $server : $client;
                my $bytes;
                sysread $from, $bytes, 16384 or POSIX::_exit(0);

                # records that are as long as they may be
                while ($from == $server && length $bytes < 16384
                       && IO::Select->new($server)->can_read(0.002))
                {
                    sysread $from, $bytes, 16384 - length $bytes,
                            length $bytes or last;
                }

                while (length $bytes) {
                    substr $bytes, 0, syswrite($to, $bytes), '';
                }
            }
        }
    }

    POSIX::_exit(0);
}


subtest 'over TLS' => sub {
    eval { require IO::Socket::SSL; 1 }
        or plan skip_all => 'IO::Socket::SSL is not installed';

    my $s = DataflowTest->new(database => 'timeout statement=3s;',
                              models => <<'CONF');
        location /api/items {
            dataflow_model items { field name text required; }
        }
CONF

    my $port = $s->_take_port;
    my $proxy = tls($s->pg, $port, $s->dir);

    $s->write_conf(conninfo => "host=127.0.0.1 port=$port sslmode=require"
                               . ' user=dataflow dbname=' . $s->database);
    $s->start;

    $s->dbh->do("INSERT INTO items (name) SELECT repeat('x', i % 700)"
                . ' FROM generate_series(1, 60000) i');

    for my $n (1 .. 4) {
        my $start = time;
        my $r = $s->get('/api/items?limit=all&fields=id,name',
                        Accept => 'application/x-ndjson');

        is($r->body =~ tr/\n//, 60000, "stream $n is whole");
        cmp_ok(time - $start, '<', 3, 'and quick');
    }

    my @notes = DataflowTest::Client->load($s, 6, sub {
        my ($c, $i) = @_;
        return if ++$c->{n} > 60;
        my $id = 1 + int rand 59000;
        my $r = $c->request('GET', $c->{n} % 2
                    ? "/api/items?id__gte=$id&limit=" . int rand 100
                    : "/api/items/$id");
        return [ $r->code, $r->{took} ];
    })->wait;

    is_deeply([grep { $_->[0] != 200 || $_->[1] > 1 } @notes], [], 'reads');

    is(join("\n", $s->finish), '', 'ended cleanly');

    kill 'KILL', $proxy;
    waitpid $proxy, 0;
};


$t->done;
