#!/usr/bin/perl

# The module against pgbench with the same SQL over the same socket, and
# against nginx's own "return 200" of the same size.  All take turns within
# one run; figures are medians of the rounds.
#
# Environment: ROUNDS=5, SECONDS=5 for one turn, CONCURRENCY=32,
# CASES="get list aggregate create bulk import export lock stream idle config";
# "flat" (ROWS=5000000) measures the worker's memory and takes minutes.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use IO::Socket::INET;
use JSON::PP ();
use List::Util qw(sum);
use Time::HiRes qw(sleep time);

use DataflowTest;

$| = 1;

my $rounds = $ENV{ROUNDS} || 5;
my $seconds = $ENV{SECONDS} || 5;
my $clients = $ENV{CONCURRENCY} || 32;
my %want = map { $_ => 1 }
           split ' ', $ENV{CASES} || 'get list aggregate create bulk import'
                                     . ' export lock stream idle config';

my @report;

my %body = (name => 'item 5', price => '9.50', stock => 7,
            active => JSON::PP::true, category => 5);

# name, request that shows the SQL, pgbench's variables for values of it

my %case = (
    get => {
        title => 'GET by id',
        request => [ 'GET', '/items/12345' ],
        random => { 12345 => 'random(1, 100000)' },
    },
    list => {
        title => 'list of 20, filtered and sorted',
        request => [ 'GET',
                     '/items?category=17&active=true&sort=price&limit=20' ],
        random => { 17 => 'random(0, 99)' },
    },
    aggregate => {
        title => 'groups, sum, avg and count of 1000',
        request => [ 'GET', '/items/aggregate?category=17&group_by=active'
                            . '&sum=price&avg=stock&count=*' ],
        random => { 17 => 'random(0, 99)' },
    },
    create => {
        title => 'create',
        request => [ 'POST', '/created', {}, \%body ],
        random => { },
    },
);


sub median {
    my @v = sort { $a <=> $b } @_;
    return 0 unless @v;
    return ($v[$#v / 2] + $v[@v / 2]) / 2;
}


# servers

my $fields = <<'CONF';
    field name      text           required;
    field price     numeric(12,2)  required min=0;
    field stock     integer        default=0;
    field active    boolean        default=true;
    field category  integer;
    index category price;
CONF

my $t = DataflowTest->new(
    cluster => 'own',
    pg => { settings => { fsync => 'on', synchronous_commit => 'on',
                          full_page_writes => 'on', wal_level => 'replica',
                          shared_buffers => '256MB' } },
    noblock => 0,
    database => 'timeout statement=60s; '
                . ($ENV{DATABASE}
                   // "pool size=@{[ $clients + 2 ]} overflow=0;"),
    http => 'keepalive_requests 100000000; client_max_body_size 0;',
    models => <<"CONF");
        location /items { dataflow_model items { $fields } }
        location /created { dataflow_model created { $fields } }
        location /many { dataflow_model many { $fields } }
CONF

$t->start;

my $dbh = $t->dbh;

sub fill {
    my ($table, $rows) = @_;

    $dbh->do("INSERT INTO $table (name, price, stock, active, category)
              SELECT 'item ' || n, (n::bigint * 7919 % 100000) / 100.0, n % 250,
                     n % 10 > 0, n % 100
                FROM generate_series(1, $rows) AS n");
    $dbh->do("VACUUM ANALYZE $table");
}

fill('items', 100_000);


# the statements of one request as PostgreSQL logs them, as a pgbench script

sub script {
    my ($case) = @_;

    $t->request(@{ $case->{request} });         # prepares
    $dbh->do("ALTER SYSTEM SET log_statement = 'all'");
    $dbh->do('SELECT pg_reload_conf()');
    sleep 0.5;

    my $before = length $t->pg->log;
    my $r = $t->request(@{ $case->{request} });

    $dbh->do("ALTER SYSTEM RESET log_statement");
    $dbh->do('SELECT pg_reload_conf()');
    sleep 0.5;

    die "$case->{title}: " . $r->code . ' ' . $r->body . "\n"
        if $r->code >= 300;

    my $log = substr $t->pg->log, $before;
    my ($script, @sql, %define) = ('');

    while ($log =~ /LOG:\s+execute\ \S+:\ (.*?)\n(?=\d{4}-)
                    (?:[^\n]*DETAIL:\s+parameters:\ ([^\n]*))?/gsx)
    {
        my ($sql, $parameters) = ($1, $2 // '');
        my $k = @sql;
        my %value;

        push @sql, $sql;

        while ($parameters =~ /\$(\d+) = (?:'((?:[^']|'')*)'|NULL)/g) {
            $value{$1} = $2;
        }

        for my $n (keys %value) {
            my $random = $case->{random}{$value{$n}};

            if ($random && $value{$n} =~ /^\d+$/) {
                $script .= "\\set p${k}_$n $random\n";

            } else {
                $define{"p${k}_$n"} = $value{$n};
            }
        }

        $sql =~ s/\$(\d+)/:p${k}_$1/g;
        $sql =~ s/\n/ /g;
        $script .= "$sql;\n";
    }

    die "$case->{title}: no statement in PostgreSQL's log\n$log" unless @sql;

    my $file = $t->dir . "/$case->{name}.sql";

    open my $fh, '>', $file or die $!;
    print $fh $script;
    close $fh;
    chmod 0644, $file;

    $case->{pgbench} = [ '-f', $file, map { ('-D', "$_=$define{$_}") }
                                      sort keys %define ];
    $case->{sql} = \@sql;
    $case->{size} = length $r->body;
}


# contenders; each returns rate, p99 in ms, errors

sub wrk {
    return wrk_with($clients, @_);
}


sub wrk_with {
    my ($connections, @args) = @_;

    my ($pid) = $t->worker_pids;
    my $cpu = cpu($pid);

    my $out = `wrk -t1 -c$connections -d${seconds}s --timeout 30 \\
               -s $FindBin::Bin/wrk.lua @{[ $t->url ]} -- @args 2>&1`;

    my %r = $out =~ /(\w+)=([\d.]+)/g;
    die "wrk: $out" unless $r{requests};

    $r{cpu} = (cpu($pid) - $cpu) / $r{requests} * 1e6;

    return \%r;
}


sub cpu {
    my ($pid) = @_;

    # seconds of its main thread; the process's own figure counts in ticks

    open my $fh, '<', "/proc/$pid/schedstat" or die "nginx's worker is gone\n";

    return (split ' ', <$fh>)[0] / 1e9;
}


sub pgbench {
    my ($case) = @_;

    my @args = (@{ $case->{pgbench} }, '-l', '--sampling-rate=0.05',
                '--log-prefix', $t->dir . '/pgbench');

    my $pid = open my $fh, '-|';
    die $! unless defined $pid;

    if ($pid == 0) {
        open STDERR, '>&', \*STDOUT;
        exec "$DataflowTest::Postgres::BIN/pgbench", '-n', '-M', 'prepared',
             '-c', $clients, '-j', 1, '-T', $seconds, '-h', $t->pg->host,
             '-p', $t->pg->port, '-U', 'dataflow', @args, $t->database;
    }

    my $out = do { local $/; <$fh> };
    close $fh;

    my ($rate) = $out =~ /tps = ([\d.]+) \(without/ or die "pgbench: $out";
    my ($failed) = $out =~ /number of failed transactions: (\d+)/;

    my @times;

    for my $log (glob $t->dir . '/pgbench.*') {
        open my $in, '<', $log or next;
        push @times, map { (split)[2] / 1000 } <$in>;
        unlink $log;
    }

    @times = sort { $a <=> $b } @times;

    return { rate => $rate, p50 => median(@times),
             p99 => @times ? $times[$#times * 0.99] : 0,
             errors => $failed // 0 };
}


# all contenders of a case in turn, each round beginning with another

sub compare {
    my ($case) = @_;

    my @who = (
        [ module => sub { wrk($case->{name}) } ],
        [ pgbench => sub { pgbench($case) } ],
        [ static => sub { wrk('static', "/static/$case->{name}") } ],
    );

    my %seen;

    print "\n$case->{title}\n";
    print "  $_\n" for @{ $case->{sql} };

    wrk($case->{name});

    for my $round (1 .. $rounds) {
        for my $who (@who) {
            my $r = $who->[1]->();
            push @{ $seen{$who->[0]} }, $r;
            printf "  %d %-8s %9.0f/s  p50 %6.2f ms  p99 %6.2f ms%s%s\n",
                   $round, $who->[0], @$r{qw(rate p50 p99)},
                   $r->{cpu} ? sprintf('  %5.1f us', $r->{cpu}) : '',
                   $r->{errors} ? "  $r->{errors} ERRORS" : '';
        }

        push @who, shift @who;
    }

    my $of = sub {
        my ($who, $what) = @_;
        return median(map { $_->{$what} // 0 } @{ $seen{$who} });
    };

    my @ratios = map { $seen{module}[$_]{rate} / $seen{pgbench}[$_]{rate} }
                 0 .. $rounds - 1;

    push @report, sprintf
        '| %s | %.0f | %.2f | %.0f | %.2f | **%.2f** (%.2f to %.2f) | %.0f'
        . ' | %.1f | %d |',
        $case->{title}, $of->('module', 'rate'), $of->('module', 'p99'),
        $of->('pgbench', 'rate'), $of->('pgbench', 'p99'),
        median(@ratios), (sort { $a <=> $b } @ratios)[0, -1],
        $of->('static', 'rate'), $of->('module', 'cpu'),
        sum(map { $_->{errors} } @{ $seen{module} });
}


sub compare_all {
    my @cases;

    for my $name (grep { $want{$_} } qw(get list aggregate create)) {
        $case{$name}{name} = $name;
        script($case{$name});
        push @cases, $case{$name};
    }

    return unless @cases;

    # the ceiling: answers of the same sizes that nginx makes alone

    my $models = $t->{models};
    $models .= sprintf "location = /static/%s { default_type application/json;"
                       . " return 200 '%s'; }\n", $_->{name}, 'x' x $_->{size}
        for @cases;

    $t->write_conf(models => $models);
    $t->reload;
    sleep 1;

    push @report,
        '| case | module, 1/s | p99, ms | pgbench, 1/s | p99, ms'
        . ' | module / pgbench | static, 1/s | worker CPU, µs | errors |',
        '|---|--:|--:|--:|--:|--:|--:|--:|--:|';

    compare($_) for @cases;

    push @report, '';
}


# rows a second: records in bulks of a thousand, over one connection and over
# several, against a COPY of the same columns into the same table

sub bulk_case {
    my $rows = 100_000;
    my $file = $t->dir . '/rows.copy';
    my (@cpu, %seen);

    open my $fh, '>', $file or die $!;
    printf $fh "item %d\t%d.50\t%d\tt\t%d\n", $_, $_ % 999, $_ % 250, $_ % 100
        for 1 .. $rows;
    close $fh;
    chmod 0644, $file;

    my $bulk = sub {
        my $r = wrk_with($_[0], 'bulk');
        push @cpu, $r->{cpu} / 1000;
        return $r->{rate} * 1000;
    };

    my $copy = sub {
        my ($n, $begin) = (0, time);

        while (time - $begin < $seconds) {
            system('psql', '-qXd', $t->conninfo, '-c', '\\copy created (name,'
                   . " price, stock, active, category) from $file") == 0
                or die 'psql';
            $n += $rows;
        }

        return $n / (time - $begin);
    };

    my @who = ([ 'bulk, 1' => sub { $bulk->(1) } ],
               [ 'bulk, 4' => sub { $bulk->(4) } ], [ copy => $copy ]);

    print "\nbulks of 1000 records against \\copy\n";

    for my $round (1 .. $rounds) {
        for (@who) {
            my ($name, $run) = @$_;
            $dbh->do('TRUNCATE created');
            push @{ $seen{$name} }, $run->();
            printf "  %d %-8s %9.0f rows/s\n", $round, $name,
                   $seen{$name}[-1];
        }

        push @who, shift @who;
    }

    push @report, '| bulks of 1000 records | module, rows/s | \copy, rows/s'
                  . ' | module / \copy |', '|---|--:|--:|--:|';

    for my $name ('bulk, 1', 'bulk, 4') {
        my @ratios = map { $seen{$name}[$_] / $seen{copy}[$_] }
                     0 .. $rounds - 1;

        push @report, sprintf '| over %d connection%s | %.0f | %.0f'
            . ' | **%.2f** (%.2f to %.2f) |', $name =~ /(\d)/,
            $name =~ /1/ ? '' : 's', median(@{ $seen{$name} }),
            median(@{ $seen{copy} }), median(@ratios),
            (sort { $a <=> $b } @ratios)[0, -1];
    }

    push @report, '', sprintf("A bulk of 1000 records takes %.1f ms of the"
                              . " worker's CPU.", median(@cpu)), '';
}


# 100 000 rows as a body against \copy of the same rows, and as an answer
# against a COPY of JSON; both through one connection

my %type = (ndjson => 'application/x-ndjson', csv => 'text/csv');
my @columns = qw(name price stock active category);


sub row_files {
    my ($rows) = @_;

    my %file = map { $_ => $t->dir . "/rows.$_" } qw(ndjson csv copy);
    my %fh;

    for my $name (keys %file) {
        open $fh{$name}, '>', $file{$name} or die $!;
    }

    print { $fh{csv} } join(',', @columns), "\r\n";

    for my $n (1 .. $rows) {
        my @v = ("item $n", sprintf('%.2f', $n * 7919 % 100_000 / 100),
                 $n % 250, $n % 10 ? 'true' : 'false', $n % 100);

        printf { $fh{ndjson} } '{"name":"%s","price":%s,"stock":%d,'
                               . '"active":%s,"category":%d}' . "\n", @v;
        print { $fh{csv} } join(',', @v), "\r\n";
        print { $fh{copy} } join("\t", @v), "\n";
    }

    for my $name (keys %file) {
        close $fh{$name} or die $!;
        chmod 0644, $file{$name};
    }

    return %file;
}


sub curl {
    my (@args) = @_;

    my $status = `curl -q -s --noproxy '*' -w '%{http_code}' -o @args`;
    die "curl: $status\n" if $status != 200;
}


sub rows_import {
    my ($table, $format, $file) = @_;

    curl('/dev/null', '-X POST', '-H', "'Content-Type: $type{$format}'",
         "-H 'Expect:'", '-T', $file, $t->url("/$table/bulk"));
}


sub rows_export {
    my ($table, $format) = @_;

    curl('/dev/null', '-H', "'Accept: $type{$format}'",
         "'" . $t->url("/$table?limit=all") . "'");
}


sub rows_psql {
    my ($sql) = @_;

    open my $psql, '-|', 'psql', '-qXd', $t->conninfo, '-c', $sql or die $!;
    1 while read $psql, my $part, 1 << 20;
    close $psql or die 'psql';
}


# each contender once a round; what prepares it is not measured

sub rows_compare {
    my ($title, $rows, $prepare, @who) = @_;

    my $against = $who[-1][0];
    my (%seen, %cpu);

    print "\n$title\n";

    my @turn = @who;

    for my $round (1 .. $rounds) {
        for (@turn) {
            my ($name, $run) = @$_;

            $prepare->();

            my ($pid) = $t->worker_pids;
            my ($cpu, $begin) = (cpu($pid), time);
            $run->();
            push @{ $seen{$name} }, $rows / (time - $begin);
            push @{ $cpu{$name} }, (cpu($pid) - $cpu) / $rows * 1e6;
            printf "  %d %-8s %9.0f rows/s\n", $round, $name,
                   $seen{$name}[-1];
        }

        push @turn, shift @turn;
    }

    push @report, "| $title | module, rows/s | $against, rows/s"
                  . " | module / $against | worker CPU, µs a row |",
                  '|---|--:|--:|--:|--:|';

    for my $name (map { $_->[0] } @who[0 .. $#who - 1]) {
        my @ratios = map { $seen{$name}[$_] / $seen{$against}[$_] }
                     0 .. $rounds - 1;

        push @report, sprintf '| %s | %.0f | %.0f | **%.2f** (%.2f to %.2f)'
            . ' | %.2f |', $name, median(@{ $seen{$name} }),
            median(@{ $seen{$against} }), median(@ratios),
            (sort { $a <=> $b } @ratios)[0, -1], median(@{ $cpu{$name} });
    }

    push @report, '';
}


sub import_case {
    my $rows = 100_000;
    my %file = row_files($rows);

    rows_compare('import of 100 000 rows', $rows, sub {
        $dbh->do('TRUNCATE created');
        $dbh->do('CHECKPOINT');
    }, (map { my $format = $_;
              [ $format => sub { rows_import('created', $format,
                                             $file{$format}) } ]
        } qw(ndjson csv)),
       [ '\copy' => sub { rows_psql('\copy created (' . join(',', @columns)
                                    . ") from $file{copy}") } ]);
}


sub export_case {
    rows_compare('export of 100 000 rows', 100_000, sub { },
        (map { my $format = $_;
               [ $format => sub { rows_export('items', $format) } ]
         } qw(ndjson csv)),
        [ 'COPY of row_to_json' => sub {
            rows_psql('copy (select row_to_json(t) from items t) to stdout')
        } ]);
}


# what a worker needs at most beyond what it has, while rows come and go

sub flat_case {
    my $rows = $ENV{ROWS} || 5_000_000;
    my %file = row_files($rows);

    my $needs = sub {
        my ($what, $run) = @_;

        $t->reload;
        $t->get('/items/1');

        my ($pid) = $t->worker_pids;
        my $before = memory($pid, 'VmRSS');

        open my $fh, '>', "/proc/$pid/clear_refs" or die $!;
        print $fh 5;
        close $fh;

        my $begin = time;
        $run->();

        push @report, sprintf 'The %s of %d rows took %.0f s; the worker grew'
            . ' from %.1f MiB by at most %.1f MiB.', $what, $rows,
            time - $begin, $before / 1024,
            (memory($pid, 'VmHWM') - $before) / 1024;
        print "\n$report[-1]\n";
    };

    for my $format (qw(ndjson csv)) {
        $dbh->do('TRUNCATE created');
        $needs->("import ($format)", sub { rows_import('created', $format,
                                                       $file{$format}) });
        $needs->("export ($format)", sub { rows_export('created', $format) });
    }

    $dbh->do('TRUNCATE created');
    push @report, '';
}


# p99 of GET by id while 20 requests wait for a row lock

sub lock_case {
    my (%p99, %rate, $ok);

    print "\n20 requests stuck behind a row lock\n";
    wrk('get');

    for my $round (1 .. $rounds) {
        for my $stuck ($round % 2 ? (0, 20) : (20, 0)) {
            my @sockets;

            if ($stuck) {
                $dbh->begin_work;
                $dbh->do('UPDATE items SET stock = stock WHERE id = 1');

                for (1 .. $stuck) {
                    my $s = $t->socket;
                    my $body = '{"stock":{"$inc":1}}';
                    $s->print("PATCH /items/1 HTTP/1.1\r\nHost: a\r\n"
                              . "Content-Type: application/json\r\n"
                              . "Connection: close\r\nContent-Length: "
                              . length($body) . "\r\n\r\n$body");
                    $s->flush;
                    push @sockets, $s;
                }

                sleep 0.5;
            }

            my $r = wrk('get');
            push @{ $p99{$stuck} }, $r->{p99};
            push @{ $rate{$stuck} }, $r->{rate};
            printf "  %d stuck %2d  %9.0f/s  p99 %6.2f ms%s\n", $round, $stuck,
                   @$r{qw(rate p99)},
                   $r->{errors} ? "  $r->{errors} ERRORS" : '';

            if ($stuck) {
                $dbh->commit;

                for my $s (@sockets) {
                    my $line = <$s> // '';
                    $ok += $line =~ / 200 /;
                }
            }
        }
    }

    push @report,
        '| stuck requests | GET by id, 1/s | p99, ms |', '|--:|--:|--:|',
        map { sprintf '| %d | %.0f | %.2f |', $_, median(@{ $rate{$_} }),
              median(@{ $p99{$_} }) } 0, 20;

    push @report, '',
        sprintf('%d of %d stuck requests were answered with 200 after the lock'
                . ' was gone.', $ok, 20 * $rounds), '';
}


# memory of the worker while a million rows pass

sub stream_case {
    fill('many', 1_000_000);

    # a new worker, which has not grown by other cases

    $t->reload;
    $t->get('/many/1');

    my ($pid) = $t->worker_pids;
    my $before = memory($pid, 'VmRSS');

    open my $fh, '>', "/proc/$pid/clear_refs" or die $!;
    print $fh 5;
    close $fh;

    my $begin = time;
    my $url = $t->url('/many?limit=all');
    my $lines = `curl -s -H 'Accept: application/x-ndjson' '$url' | wc -l`;
    my $took = time - $begin;

    my $peak = memory($pid, 'VmHWM');

    # a client that stops reading stops the reading from PostgreSQL

    my $s = $t->socket;
    $s->print("GET /many?limit=all HTTP/1.1\r\nHost: a\r\n"
              . "Accept: application/x-ndjson\r\n\r\n");
    $s->flush;
    sleep 3;

    my ($wait) = $dbh->selectrow_array(
        "SELECT wait_event FROM pg_stat_activity
          WHERE query LIKE '%many%' AND state = 'active'
            AND application_name <> 'harness'");
    my $stopped = memory($pid, 'VmHWM');
    close $s;

    push @report, sprintf
        'A stream of %d rows took %.1f s; the worker grew from %.1f MiB by at'
        . ' most %.1f MiB. With a client that stopped reading PostgreSQL waited'
        . ' in %s and the worker had grown by %.1f MiB.', $lines, $took,
        $before / 1024, ($peak - $before) / 1024, $wait // 'nothing (!)',
        ($stopped - $before) / 1024;
    print "\n$report[-1]\n";
    push @report, '';
}


sub memory {
    my ($pid, $name) = @_;

    open my $fh, '<', "/proc/$pid/status" or die $!;
    my ($kb) = map { /^$name:\s+(\d+)/ } <$fh>;

    return $kb;
}


# how often an idle worker wakes up

sub idle_case {
    my ($pid) = $t->worker_pids;

    sleep 3;

    my $switches = sub { memory($pid, 'voluntary_ctxt_switches') };
    my $before = $switches->();
    sleep 10;

    push @report, sprintf
        'Idle: %d wake-ups of the worker in 10 s; resident memory %.1f MiB,'
        . ' at most %.1f MiB.', $switches->() - $before,
        memory($pid, 'VmRSS') / 1024, memory($pid, 'VmHWM') / 1024;
    print "\n$report[-1]\n";
    push @report, '';
}


# 200 models: nginx -t, and the start until the port answers

sub config_case {
    my $models = join '', map { "location /m$_ { dataflow_model m$_ {"
                                . " $fields } }\n" } 1 .. 200;

    my $big = DataflowTest->new(cluster => 'own', noblock => 0,
                                models => $models);
    my $begin = time;
    my ($ok, $said) = $big->check_conf;
    my $checked = time - $begin;

    die $said unless $ok;

    $begin = time;
    $big->start(wait => 0);
    sleep 0.005 until IO::Socket::INET->new('127.0.0.1:' . $big->port);
    my $started = time - $begin;

    $big->wait_ready(60);
    my $ready = time - $begin;

    push @report, sprintf
        '200 models: nginx -t %.2f s, start to the first connection %.2f s,'
        . ' all tables made after %.2f s.', $checked, $started, $ready;
    print "\n$report[-1]\n";
    push @report, '';

    $big->finish;
}


sub machine {
    my ($cpu) = map { /^model name\s*:\s*(.*)/ } `cat /proc/cpuinfo`;
    my ($memory) = map { /^MemTotal:\s+(\d+)/ } `cat /proc/meminfo`;
    my $nginx = DataflowTest::nginx();
    my ($version) = `$nginx -v 2>&1` =~ m{nginx/(\S+)};
    my ($pg) = $dbh->selectrow_array('SHOW server_version');
    my ($cores, $linux) = (`nproc` + 0, `uname -r`);

    chomp $linux;

    return sprintf '%s, %d cores, %d GiB, Linux %s; nginx %s with one worker,'
                   . ' PostgreSQL %s on a unix socket with fsync; %d'
                   . ' connections; medians of %d rounds of %d s.',
                   $cpu // 'unknown CPU', $cores, $memory / 1024 / 1024,
                   $linux, $version, $pg =~ s/ .*//r, $clients, $rounds,
                   $seconds;
}


push @report, machine(), '';

compare_all();
bulk_case() if $want{bulk};
import_case() if $want{import};
export_case() if $want{export};
flat_case() if $want{flat};
lock_case() if $want{lock};
stream_case() if $want{stream};
idle_case() if $want{idle};
config_case() if $want{config};

my @problems = $t->finish;

push @report, 'Problems: ' . join("\n", @problems), '' if @problems;

print "\n", map { "$_\n" } @report;

exit(@problems ? 1 : 0);
