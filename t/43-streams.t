use strict;
use warnings;

use Test::More;
use Time::HiRes qw(sleep time);

use DataflowTest;
use DataflowTest::Client;

# long lists: whole and in order, in little memory, at the client's pace

srand(my $seed = $ENV{DATAFLOW_SEED} // time);
note "DATAFLOW_SEED=$seed";

my $ROWS = 300_000;
my $LIMIT = 16 * 1024;          # KiB

my $model = 'dataflow_model items { field name text; timestamps off; }'
            . ' dataflow_limit_rows max=1000000;';

my $t = DataflowTest->new(
    database => 'timeout statement=2s;',
    models => <<"CONF")->start;
        location /api/items { $model }
        location /api/paced { limit_rate 6m;
            dataflow_model paced { table items; field name text;
                                   timestamps off; }
            dataflow_limit_rows max=1000000;
        }
        location /api/hasty { send_timeout 1s;
            dataflow_model hasty { table items; field name text;
                                   timestamps off; }
        }
        location /api/large {
            dataflow_model large { field name text; timestamps off; }
        }
        location /api/one {
            dataflow_model one { field name text; }
        }
CONF

my $dbh = $t->dbh;

$dbh->do("INSERT INTO items (name) SELECT 'row ' || i || repeat('-', 60)"
         . " FROM generate_series(1, $ROWS) i");
$dbh->do("INSERT INTO large (name) SELECT repeat(chr(97 + i % 26), 1000000)"
         . " FROM generate_series(1, 60) i");
$dbh->do("INSERT INTO one (name) VALUES ('one')");


sub client { return DataflowTest::Client->new($t, @_) }

sub memory {
    my ($what) = @_;
    my ($pid) = $t->worker_pids;
    open my $fh, '<', "/proc/$pid/status" or die $!;
    return (map { /^$what:\s+(\d+)/ ? $1 : () } <$fh>)[0];
}

# what the worker needs at most while the sub runs

sub needs {
    my ($what, $sub) = @_;

    my ($pid) = $t->worker_pids;

    if (open my $fh, '>', "/proc/$pid/clear_refs") {
        print $fh "5\n";
    }

    my $before = memory('VmRSS');
    my $start = time;
    $sub->();
    my $grown = memory('VmHWM') - $before;

    note sprintf '%s: %d KiB, %.1f s', $what, $grown, time - $start;

    # freed memory stays in a sanitizer's quarantine

    cmp_ok($grown, '<', $LIMIT, "$what: little memory")
        unless $ENV{ASAN_OPTIONS};
}


# backends that run a list, by what they wait for

sub lists {
    return join ' ', @{ $dbh->selectcol_arrayref(
        "SELECT coalesce(wait_event, 'none') FROM pg_stat_activity"
        . " WHERE datname = current_database() AND state = 'active'"
        . " AND query ~ 'FROM \"(items|large)\"'"
        . " AND application_name <> 'harness' ORDER BY 1") };
}

sub until_lists {
    my ($want, $seconds) = @_;
    my $now;

    for (my $end = time + ($seconds // 5); time < $end; sleep 0.02) {
        $now = lists();
        last if $now eq $want;
    }

    return $now;
}


# lines in any pieces: each is handed to a sub

sub lines {
    my ($sub) = @_;
    my $rest = '';

    return sub {
        $rest .= $_[0];
        my $from = 0;
        while ((my $at = index $rest, "\n", $from) >= 0) {
            $sub->(substr $rest, $from, $at - $from);
            $from = $at + 1;
        }
        substr $rest, 0, $from, '';
    };
}


sub ndjson {
    my ($c, $path, $on) = @_;
    my ($n, $wrong) = (0, 0);

    $c->send('GET', $path, undef, Accept => 'application/x-ndjson');

    my $r = $c->read(on => lines(sub {
        $n++;
        $wrong++ if $_[0] !~ /^\{"id":$n,"name":"row $n-{60}"\}$/;
        $on->($n) if $on;
    }));

    return ($r, $n, $wrong);
}


subtest 'whole and in order' => sub {
    needs('NDJSON', sub {
        my ($r, $n, $wrong) = ndjson(client(), '/api/items?limit=all');
        is($r->code . ($r->{error} // ''), 200, 'NDJSON');
        is("$n $wrong", "$ROWS 0", 'all rows');
    });

    needs('CSV', sub {
        my ($n, $wrong) = (0, 0);
        my $c = client();
        $c->send('GET', '/api/items?limit=all', undef, Accept => 'text/csv');
        my $r = $c->read(on => lines(sub {
            my $want = $n ? "$n,row $n" . '-' x 60 . "\r" : "id,name\r";
            $wrong++ if $_[0] ne $want;
            $n++;
        }));
        is($r->code . ($r->{error} // ''), 200, 'CSV');
        is("$n $wrong", $ROWS + 1 . ' 0', 'all rows');
    });

    needs('JSON', sub {
        my ($n, $wrong, $text) = (0, 0, '');
        my $c = client();
        $c->send('GET', "/api/items?limit=$ROWS");
        my $r = $c->read(on => sub {
            $text .= $_[0];
            while ($text =~ /\{"id":(\d+),"name":"row \d+-{60}"\}/gc) {
                $n++;
                $wrong++ if $1 != $n;
            }
            $text = substr $text, pos $text // 0;
        });
        is($r->code . ($r->{error} // ''), 200, 'JSON');
        is("$n $wrong", "$ROWS 0", 'all rows');
        is($text, '],"next":null}', 'a whole document');
    });

    needs('large rows', sub {
        my ($n, $wrong) = (0, 0);
        my $c = client();
        $c->send('GET', '/api/large?limit=all', undef,
                 Accept => 'application/x-ndjson');
        my $r = $c->read(on => lines(sub {
            my $letter = chr 97 + ++$n % 26;
            $wrong++ if length $_[0] != length($n) + 1_000_017
                        || $_[0] !~ /^\{"id":$n,"name":"$letter/;
        }));
        is("$n $wrong", '60 0', 'all rows');
    });
};


subtest 'HEAD' => sub {
    my $c = client();
    my $r = $c->request('HEAD', '/api/items?limit=all', undef,
                        Accept => 'text/csv');
    is($r->code, 200, 'status');
    is($r->header('Content-Type'), 'text/csv', 'type');
    cmp_ok($r->{took}, '<', 2, 'at once');
    is(until_lists(''), '', 'nothing is read behind it');
    is($c->request('GET', '/api/one/1')->code, 200, 'the connection goes on');
};


subtest 'a client that stops reading' => sub {
    my $c = client(window => 8192);
    my $before = memory('VmRSS');
    my $stopped;

    my ($r, $n, $wrong) = ndjson($c, '/api/items?limit=all', sub {
        return if $_[0] != 1000;

        is(until_lists('ClientWrite'), 'ClientWrite',
           'PostgreSQL waits for its client');

        # longer than statements may take

        for (1 .. 5) {
            sleep 0.5;
            my $grown = memory('VmRSS') - $before;
            $stopped = $grown if !defined $stopped || $grown > $stopped;
        }

        is(lists(), 'ClientWrite', 'and waits');
        is(client()->request('GET', '/api/one/1')->code, 200,
           'others are served');
    });

    is(($r->{error} // 'whole') . " $n $wrong", "whole $ROWS 0",
       'then it gets the rest');
    cmp_ok($stopped, '<', $LIMIT, "memory: $stopped KiB")
        unless $ENV{ASAN_OPTIONS};
};


subtest 'a client that never reads on' => sub {
    my $c = client(window => 8192);

    $c->send('GET', '/api/hasty?limit=all', undef, Accept => 'text/csv');
    sysread $c->connect, my $part, 1000;

    is(until_lists('ClientWrite'), 'ClientWrite', 'waits');
    is(until_lists('', 6), '', 'is given up after send_timeout');
};


subtest 'a rate' => sub {
    needs('rate', sub {
        my ($r, $n, $wrong) = ndjson(client(), '/api/paced?limit=120000'
                                                . '&id__lte=120000');
        is(($r->{error} // 'whole') . " $n $wrong", 'whole 120000 0', 'whole');
    });
};


subtest 'a client that leaves' => sub {
    for my $way (qw(close reset)) {
        my $c = client(window => 8192);
        $c->send('GET', '/api/items?limit=all', undef, Accept => 'text/csv');
        sysread $c->connect, my $part, 10000;
        is(until_lists('ClientWrite'), 'ClientWrite', 'one runs');
        $c->$way;
        is(until_lists(''), '', "$way: cancelled");
    }
};


subtest 'broken off' => sub {
    my @formats = (
        ['application/x-ndjson', '/api/items?limit=all'],
        ['text/csv', '/api/items?limit=all'],
        ['application/json', "/api/items?limit=$ROWS"],
    );

    for my $version ('1.1', '1.0') {
        for (@formats) {
            my ($type, $path) = @$_;
            my $c = client(window => 8192);
            my $killed;

            $c->send('GET', $path, undef, Accept => $type,
                     version => $version);
            my $r = $c->read(on => sub {
                return if $killed++;
                is(until_lists('ClientWrite'), 'ClientWrite', 'runs');
                is(@{ $dbh->selectcol_arrayref(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    . " WHERE datname = current_database()"
                    . " AND state = 'active' AND query ~ 'FROM \"items\"'"
                    . " AND application_name <> 'harness'") }, 1, 'ended');
            });

            is($r->code, 200, "$type $version: began well");
            ok($r->{error}, 'but is seen to be broken')
                or diag $r->{bytes};
        }
    }

    is(client()->request('GET', '/api/one/1')->code, 200, 'all is well');
};


subtest 'streams beside quick ones' => sub {
    my $streams = DataflowTest::Client->load($t, 4, sub {
        my ($c, $i) = @_;
        return undef if ($c->{n}++ // 0) == 2;
        my ($r, $n, $wrong) = ndjson($c, '/api/items?limit=100000'
                                         . '&id__lte=100000');
        return ["$n $wrong " . ($r->{error} // 'whole')];
    });

    my $quick = DataflowTest::Client->load($t, 2, sub {
        my ($c) = @_;
        my $r = $c->request('GET', '/api/one/1');
        sleep 0.01;
        return [$r->code, $r->{took}];
    });

    my @streams = map { $_->[0] } $streams->wait;
    my @quick = $quick->stop;

    is(join(', ', @streams), join(', ', ('100000 0 whole') x 8), 'streams');
    is(grep({ $_->[0] != 200 } @quick), 0, 'quick ones');

    my @took = sort { $a <=> $b } map { $_->[1] } @quick;
    note sprintf '%d quick ones, median %.1f ms, worst %.1f ms', scalar @took,
                 1000 * $took[@took / 2], 1000 * $took[-1];
    cmp_ok($took[@took / 2], '<', 0.25, 'do not wait');
};


$t->done;
