use strict;
use warnings;

use File::Temp ();
use JSON::PP ();
use POSIX ();
use Test::More;
use Time::HiRes qw(sleep time);

use DataflowTest;
use DataflowTest::Client;
use DataflowTest::Postgres;

# through PgBouncer in transaction mode: nothing of a session is relied on, and
# nothing of a session is changed

my ($bouncer) = grep { -x } map { "$_/pgbouncer" }
                split(/:/, $ENV{PATH} // ''), '/usr/sbin', '/usr/bin';

plan skip_all => 'no pgbouncer' unless $bouncer;

srand(my $seed = $ENV{DATAFLOW_SEED} // time);
note "DATAFLOW_SEED=$seed";

my $pg = $ENV{DATAFLOW_PG} ? DataflowTest::Postgres->attach($ENV{DATAFLOW_PG})
                           : DataflowTest::Postgres->new;
local $ENV{DATAFLOW_PG} = $pg->host;

my $dir = File::Temp::tempdir('dataflow-bouncer-XXXXXX', TMPDIR => 1,
                              CLEANUP => 1);
my $user = $DataflowTest::Postgres::USER;

chmod 0755, $dir;
chown +(getpwnam $user)[2, 3], $dir if $user;

open my $ini, '>', "$dir/pgbouncer.ini" or die $!;
print $ini <<"INI";
[databases]
* = host=@{[ $pg->host ]} port=@{[ $pg->port ]} user=dataflow

[pgbouncer]
listen_addr =
listen_port = 6432
unix_socket_dir = $dir
auth_type = any
admin_users = dataflow
pool_mode = transaction
default_pool_size = 5
max_client_conn = 100
server_reset_query =
logfile = $dir/log
pidfile = $dir/pid
INI
close $ini;

my $pid = DataflowTest::Postgres::_spawn("$dir/stderr", $bouncer, '-q',
                                         "$dir/pgbouncer.ini");

for (my $end = time + 10; time < $end && !-S "$dir/.s.PGSQL.6432";) {
    sleep 0.02;
}

my $t = DataflowTest->new(
    database => 'prepare off; pool size=10 overflow=10;'
                . ' timeout statement=1500ms;',
    models => <<'CONF');
        location /api/items {
            dataflow_model items {
                field name   text          required unique;
                field price  numeric(12,2) default=1;
                field tags   text[];
                field data   json;
                field at     timestamptz;
                field span   interval;
                field bytes  bytea;
            }
        }
CONF

$t->write_conf(conninfo => "host=$dir port=6432 user=dataflow dbname="
                           . $t->database)->start;

sub client { return DataflowTest::Client->new($t) }


subtest 'all of REST' => sub {
    my %record = (name => 'one', price => '12.50', tags => ['a', 'b'],
                  data => { x => [1, undef] }, at => '2024-02-29T12:00:00Z',
                  span => 'P1DT2H', bytes => 'AAEC');

    my $r = $t->post('/api/items', \%record);
    is($r->code, 201, 'create') or diag $r->body;
    like($r->body, qr/"price":12\.50,"tags":\["a","b"\]/, 'as it was given');
    like($r->body, qr/"at":"2024-02-29T12:00:00(?:Z|\+00:00)"/, 'UTC');
    like($r->body, qr/"span":"P1DT2H","bytes":"AAEC"/, 'ISO');

    $r = $t->get('/api/items/1');
    is($r->code, 200, 'get');
    my $tag = $r->header('ETag');

    is($t->get('/api/items/1', 'If-None-Match' => $tag)->code, 304, 'tag');
    is($t->get('/api/items?name__regex=o.e&sort=-price&count=exact')
         ->json->{count}, 1, 'list');
    is($t->get('/api/items?name__regex=%28')->code, 400, 'its refusals');
    is($t->patch('/api/items/1', { price => { '$inc' => 1 } },
                 'If-Match' => $tag)->json_text('price'), '13.50', 'patch');
    is($t->patch('/api/items/1', { price => 1 }, 'If-Match' => $tag)->code,
       412, 'stale');
    is($t->post('/api/items?dry_run=true', { name => 'two' })->code, 200,
       'dry run');
    is($t->post('/api/items', { name => 'one' })->code, 409, 'unique');
    is($t->put('/api/items/1', { name => 'three' })->json_text('price'),
       '1.00', 'put');
    is($t->post('/api/items/query', { filter => { name => 'three' } })->code,
       200, 'query');
    is($t->get('/api/items?limit=all', Accept => 'text/csv')->code, 200,
       'stream');
    is($t->delete('/api/items/1')->code, 204, 'delete');
    is($t->dbh->selectrow_array('SELECT count(*) FROM items'), 0,
       'all of it happened');
};


subtest 'bulks' => sub {
    my $bulk = sub { return $t->post('/api/items/bulk', { @_ }) };

    my $r = $bulk->(operation => 'create', records => [
        map { { name => "b$_", $_ % 2 ? (price => $_) : () } } 1 .. 20 ]);
    is($r->json->{inserted}, 20, 'create') or diag $r->body;
    $r = $bulk->(operation => 'update', where => "name like 'b%'",
                 set => { price => { '$inc' => 1 } }, max_affected => 20);
    is($r->json->{updated}, 20, 'update') or diag $r->body;
    is($bulk->(operation => 'delete', ids => [1 .. 3])->code, 404,
       'what is not there');
    is($bulk->(operation => 'delete', all => JSON::PP::true,
               dry_run => JSON::PP::true)->json->{affected}, 20, 'dry run');
    $r = $bulk->(operation => 'create', atomic => JSON::PP::false, records => [
        map { { name => "b$_" } } 19 .. 23 ]);
    is_deeply([ map { "$_->{status}" } @{ $r->json->{results} } ],
              [409, 409, 201, 201, 201], 'each for itself') or diag $r->body;
    $r = $bulk->(operation => 'delete', where => "name like 'b%'");
    is($r->json->{affected}, 23, 'delete');
    is($t->dbh->selectrow_array('SELECT count(*) FROM items'), 0,
       'all of it happened');
};


subtest 'statement timeout' => sub {
    my $lock = $t->pg->connect($t->database);
    $t->dbh->do("INSERT INTO items (name) VALUES ('locked')");
    $lock->begin_work;
    my ($id) = $lock->selectrow_array(
        "UPDATE items SET price = 2 WHERE name = 'locked' RETURNING id");

    my $r = client()->request('PATCH', "/api/items/$id", { price => 3 });
    is($r->code . ' ' . $r->problem, '504 statement_timeout', 'a write');
    cmp_ok($r->{took}, '<', 4, 'in time');

    # clients that leave

    my @gone = map { client() } 1 .. 4;
    $_->send('PATCH', "/api/items/$id", { price => 4 }) for @gone;
    sleep 0.2;
    $_->close for @gone;

    my $active;
    for (my $end = time + 5; time < $end; sleep 0.05) {
        $active = $t->dbh->selectrow_array(
            "SELECT count(*) FROM pg_stat_activity WHERE datname ="
            . " current_database() AND wait_event_type = 'Lock'");
        last unless $active;
    }
    is($active, 0, 'what nobody waits for ends');

    $lock->rollback;
    $lock->disconnect;
    is($t->get("/api/items/$id")->json_text('price'), '1.00', 'nothing done');
};


subtest 'load' => sub {
    my $load = DataflowTest::Client->load($t, 6, sub {
        my ($c, $i) = @_;
        my $n = ++$c->{n};
        my $name = "load $i-$n";

        return undef if $n > 60;

        my $r = $c->request('POST', '/api/items', { name => $name });
        return ['POST', $r->code, $r->problem] if $r->code != 201;

        my $id = $r->json->{id};
        $r = $c->request('PATCH', "/api/items/$id", { price => $n });
        return ['PATCH', $r->code, $r->problem] if $r->code != 200;

        $r = $c->request('GET', "/api/items/$id?fields=name,price");
        return ['GET', $r->code, $r->body]
            if $r->body ne "{\"name\":\"$name\",\"price\":$n.00}";

        $r = $c->request('GET', '/api/items?limit=3&name__regex=%28')
            if $n % 5 == 0;
        return ['regex', $r->code] if $n % 5 == 0 && $r->code != 400;

        $r = $c->request('GET', "/api/items?limit=2&name=load%20$i-$n");
        return ['list', $r->code, $r->body]
            if $r->body !~ /^\{"data":\[\{"id":$id,.*\}\],"next":null\}$/;

        $c->send('GET', '/api/items?limit=all&fields=id', undef,
                 Accept => 'application/x-ndjson');
        $r = $c->read;
        return ['stream', $r->code, $r->{error}] if $r->{error};

        return ['well'];
    });

    my %seen;
    $seen{join ' ', map { $_ // '' } @$_}++ for $load->wait;
    is(join(', ', map { "$seen{$_} $_" } sort keys %seen), '360 well',
       'each its own answers');
    is($t->dbh->selectrow_array(
           "SELECT count(*) FROM items WHERE name LIKE 'load%'"), 360,
       'all there');
};


subtest 'sessions are left as they were' => sub {
    my (%seen, %pids, @open);

    # a transaction each, so that each has another one of PgBouncer's

    for (1 .. 5) {
        my $dbh = DBI->connect("dbi:Pg:host=$dir;port=6432;dbname="
                               . $t->database, 'dataflow', '',
                               { RaiseError => 1, pg_server_prepare => 0 });
        push @open, $dbh;
        $dbh->begin_work;

        my @row = $dbh->selectrow_array(
            "SELECT pg_backend_pid(), current_setting('statement_timeout'),"
            . " (SELECT count(*) FROM pg_prepared_statements),"
            . " (SELECT count(*) FROM pg_cursors)");
        $pids{shift @row}++;
        $seen{"@row"}++;
    }

    $_->rollback, $_->disconnect for @open;

    cmp_ok(scalar(keys %pids), '>', 1, 'several of them');
    is(join(', ', keys %seen), '0 0 0',
       'no timeout, no prepared statements, no cursors');
};


subtest 'the pooler goes and comes' => sub {
    kill 'KILL', $pid;
    waitpid $pid, 0;

    my $c = client();
    my $r;
    for (my $end = time + 3; time < $end; sleep 0.02) {
        $r = $c->request('GET', '/health');
        last if $r->code == 503;
    }
    is($r->code, 503, 'health');
    is($c->request('GET', '/api/items?limit=1')->problem,
       'database_unavailable', 'refused');

    unlink "$dir/.s.PGSQL.6432", "$dir/.s.PGSQL.6432.lock", "$dir/pid";
    $pid = DataflowTest::Postgres::_spawn("$dir/stderr", $bouncer, '-q',
                                          "$dir/pgbouncer.ini");

    for (my $end = time + 8; time < $end; sleep 0.05) {
        $r = $c->request('GET', '/api/items?limit=1');
        last if $r->code == 200;
    }
    is($r->code, 200, 'back');
};


# PgBouncer keeps its connections to the database

$t->stop;
kill 'INT', $pid;
waitpid $pid, 0;
$t->done;
