use strict;
use warnings;

use Test::More;
use Time::HiRes qw(sleep time);

use DataflowTest;
use DataflowTest::Client;

# imports that do not go well: databases that are slow, that talk or are lost,
# clients that leave, rows that nobody would send; what was taken is given
# back, and the memory stays small

srand(my $seed = $ENV{DATAFLOW_SEED} // time);
note "DATAFLOW_SEED=$seed";

my $t = DataflowTest->new(
    database => 'pool size=4 overflow=0 wait=5s; timeout statement=2s;',
    models => <<'CONF');
        client_max_body_size 0;

        location /api/items {
            dataflow_model items { field sku text required unique;
                                   field n integer; timestamps off; }
        }
        location /api/copied {
            mirror /mirror;
            client_body_buffer_size 8k;
            dataflow_model copied { field a text max=10; timestamps off; }
        }
        location = /mirror { internal; return 204; }
        location /api/slow {
            dataflow_model slow { field a text; timestamps off; }
        }
        location /api/loud {
            dataflow_model loud { field a text; timestamps off; }
        }
        location /api/late {
            dataflow_model late { field a text; timestamps off; }
        }
        location /api/wide {
            dataflow_model wide {
                field a integer; field b integer; field c integer;
                field d integer; field e integer; field f integer;
                timestamps off;
            }
        }
CONF

my $h2 = $t->dir . '/h2.sock';
$t->write_conf(models => "listen unix:$h2 http2;\n" . $t->{models})->start;

my $dbh = $t->dbh;
my %ndjson = ('Content-Type' => 'application/x-ndjson');


sub client { return DataflowTest::Client->new($t, timeout => 15) }

sub rows {
    my ($table) = @_;
    return $dbh->selectrow_array("SELECT count(*) FROM $table") + 0;
}

sub before_insert {
    my ($table, $body) = @_;

    $dbh->do("CREATE FUNCTION $table() RETURNS trigger LANGUAGE plpgsql AS"
             . " \$\$ BEGIN $body; RETURN NEW; END \$\$");
    $dbh->do("CREATE TRIGGER t BEFORE INSERT ON $table FOR EACH ROW"
             . " EXECUTE FUNCTION $table()");
}

# the head of an import whose body is longer than what is sent of it

sub head {
    my ($path, %h) = @_;
    return client()->text('POST', $path, undef, %ndjson,
                          'Transfer-Encoding' => 'chunked', %h);
}

sub chunk { return sprintf "%x\r\n%s\r\n", length $_[0], $_[0] }

sub rss {
    my ($pid) = $t->worker_pids;
    open my $fh, '<', "/proc/$pid/status" or die $!;
    return (map { /^VmRSS:\s+(\d+)/ ? $1 : () } <$fh>)[0];
}

# sends pieces; the answer, and by how many KiB the worker has grown meanwhile

sub growth {
    my ($path, @pieces) = @_;

    my $c = client();
    my $before = rss();
    my $most = $before;

    push @{ $c->{methods} }, 'POST';
    $c->write(head($path));

    for my $i (0 .. $#pieces) {
        $c->write(chunk($pieces[$i])) or last;
        next if $i % 10;
        my $now = rss();
        $most = $now if $now > $most;
    }

    $c->write("0\r\n\r\n");

    my $r = $c->read;
    my $now = rss();

    return ($r, ($now > $most ? $now : $most) - $before);
}


subtest 'a table that talks' => sub {
    before_insert('loud', "RAISE NOTICE '%', repeat('x', 50)");

    my $long = 'y' x 100;
    my $r = $t->post('/api/loud/bulk',
                     join('', map { qq({"a":"$long $_"}\n) } 1 .. 40000),
                     %ndjson);

    is($r->code, 200, 'what it says is not in the way') or diag $r->body;
    is(rows("loud"), 40000);
};


subtest 'memory' => sub {
    plan skip_all => 'a sanitizer keeps what is freed' if $ENV{ASAN_OPTIONS};

    before_insert('slow', 'PERFORM pg_sleep(0.0001)');

    my $long = 'z' x 8000;
    my ($r, $more) = growth('/api/slow/bulk',
                            (qq({"a":"$long"}\n) x 50) x 100);
    is($r->code, 200, 'long rows');
    is($r->json->{affected}, 5000);
    cmp_ok($more, '<', 6144, 'a database that is slow');

    my @sets = map {
        my $bits = $_;
        '{' . join(',', map { $bits >> $_ & 1 ? '"' . chr(97 + $_) . '":1'
                                              : () } 0 .. 5) . "}\n"
    } 1 .. 60;

    my @pieces;

    for (my $i = 0; $i < 20; $i += 2) {
        my $piece = "$sets[$i]$sets[$i + 1]" x 5000;
        push @pieces, $piece for 1 .. 10;
    }

    ($r, $more) = growth('/api/wide/bulk?dry_run=true', @pieces);
    is($r->code, 200, 'rows that take turns') or diag $r->body;
    is($r->json->{affected}, 1_000_000);
    cmp_ok($more, '<', 16384, 'lines are remembered for some');

    my $name = 'n' x 1_000_000;
    ($r, $more) = growth('/api/wide/bulk', (qq({"$name":1}\n)) x 100);
    is($r->code, 422, 'names that are long');
    like($r->json->{detail}, qr/^100 of 100 rows are wrong/, 'are counted');
    cmp_ok(length $r->body, '<', 3_000_000, 'and not all told');
    cmp_ok($more, '<', 32768);
};


$t->done;
