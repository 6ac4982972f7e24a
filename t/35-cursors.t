use strict;
use warnings;

use POSIX ();
use Test::More;
use Time::HiRes qw(sleep);

use DataflowTest;

# pages: each row once and in order, whatever the sort and whoever writes;
# cursors that are not ours

my $seed = $ENV{DATAFLOW_SEED} // 35;
my $rounds = $ENV{DATAFLOW_ROUNDS} // 150;

srand $seed;
diag("DATAFLOW_SEED=$seed DATAFLOW_ROUNDS=$rounds");

my $fields = <<'CONF';
                field kind  text required;
                field flag  boolean;
                field tiny  smallint;
                field big   bigint;
                field num   numeric;
                field flt   real;
                field dbl   double;
                field name  text;
                field uid   uuid;
                field day   date;
                field clock time;
                field plain timestamp;
                field at    timestamptz;
                field span  interval;
                field bin   bytea;
                field addr  inet;
                field score integer default=0;
                field rank  integer required;
CONF

my $t = DataflowTest->new(models => <<"CONF")->start;
        location /api/rows {
            dataflow_model rows { $fields }
            dataflow_limit_rows default=20 max=1000;
        }

        location /api/other { dataflow_model other { $fields } }

        location /api/named {
            dataflow_model named {
                field code text required;
                field mark integer;
                key code;
            }
            dataflow_limit_rows default=20 max=1000;
        }
CONF

my $dbh = $t->dbh;

sub pick { return $_[rand @_] }


my %pool = (
    flag => ['true', 'false'],
    tiny => [-1 .. 3],
    big => ['9007199254740993', '9007199254740992', '-9223372036854775808'],
    num => ['0', '0.00', '1e3', '1.10', '-0.000000000000000000001', 'NaN',
            'Infinity', '-Infinity', '123456789012345678901234567890.5'],
    flt => ['0.1', '-0', '0', '1e-30', '16777217', 'NaN', 'Infinity'],
    dbl => ['0.1', '0.30000000000000004', '1e300', '-0', '0', 'NaN',
            '-Infinity'],
    name => ['', 'a', 'A', 'b', "\x{e9}", "it's", 'a,b', '%', "\n", 'null',
             'x' x 500, '"', '\\'],
    uid => ['0189d9c4-5a7e-7b1e-9f4c-3d2a1b0c9e8f',
            'ffffffff-ffff-ffff-ffff-ffffffffffff'],
    day => ['2024-02-29', '0044-03-15 BC', 'infinity', '-infinity',
            '12024-01-01'],
    clock => ['00:00:00', '24:00:00', '12:00:00.000001'],
    plain => ['2024-02-29 12:00:00', '2024-02-29 12:00:00.000001',
              '4713-01-01 00:00:00 BC', 'infinity'],
    at => ['2024-02-29 12:00:00+00', '2024-02-29 12:00:00.1+00',
           '0001-12-31 23:59:59 BC', '-infinity', '294276-12-31 00:00:00+00'],
    span => ['1 day', '24:00:00', '1 mon', '30 days', '-1 mon +1 day',
             '00:00:00.000001', '178000000 years'],
    bin => ['', '\\x00', '\\xff', '\\x00ff'],
    addr => ['10.0.0.1', '10.0.0.0/8', '::1', '::ffff:10.0.0.1', '10.0.0.1/8'],
);

my @sortable = (sort(keys %pool), qw(score rank kind));
my %required = map { $_ => 1 } qw(rank kind);


sub add {
    my ($kind, $n) = @_;
    my @names = sort keys %pool;

    my $insert = $dbh->prepare(
        'INSERT INTO rows (kind, rank, score, ' . join(', ', @names)
        . ') VALUES (?, ?, ?, ' . join(', ', ('?') x @names) . ')');

    $insert->execute($kind, int rand 5, rand() < 0.3 ? undef : int rand 5,
                     map { rand() < 0.25 ? undef : pick(@{ $pool{$_} }) }
                         @names) for 1 .. $n;
}

add(pick('s', 't'), 1) for 1 .. 250;


# a random order: (the parameter, ORDER BY)

sub order {
    my (@sort, @sql, %seen);

    for (1 .. 1 + rand 3) {
        my $f = pick(@sortable, 'id');
        next if $seen{$f}++;

        my $down = rand() < 0.5;
        my $first = $f ne 'id' && rand() < 0.4;

        push @sort, ($down ? '-' : '') . $f
                    . ($first ? ':nullsfirst' : rand() < 0.2 ? ':nullslast'
                                                             : '');
        push @sql, $f . ($down ? ' DESC' : ' ASC')
                   . ($first ? ' NULLS FIRST' : ' NULLS LAST');
    }

    push @sql, 'id ASC' unless $seen{id};

    return (join(',', @sort), join ', ', @sql);
}


sub ids {
    my ($r) = @_;
    return map { "$_->{id}" } @{ $r->json->{data} };
}


# every page, by Link, by next in a query, by next in a body

sub walk {
    my ($how, $sort, $filter, $limit) = @_;
    my (@have, @sizes, $next);
    my $query = join '&', "sort=$sort", ($filter ? $filter : ()),
                          "limit=$limit", (rand() < 0.7 ? 'fields=id' : ());
    my $path = "/api/rows?$query";

    while (1) {
        my $r;

        if ($how eq 'body') {
            my %body = (sort => [split /,/, $sort], limit => $limit,
                        fields => ['id']);
            $body{filter} = { split /=/, $filter } if $filter;
            $body{cursor} = $next if $next;
            $r = $t->post('/api/rows/query', \%body);

        } else {
            $r = $t->get($path);
        }

        return "$path: " . $r->code . ' ' . $r->body if $r->code != 200;

        my @ids = ids($r);
        push @have, @ids;
        $next = $r->json->{next};

        last unless defined $next;
        return "$path: a page of " . @ids if @ids != $limit;
        return 'no end' if @have > 5000;

        if ($how eq 'link') {
            $path = '/api/rows'
                    . ($r->header('Link') =~ /^<(\?.*)>; rel="next"$/)[0];
        } else {
            $path = "/api/rows?$query&cursor=$next";
        }
    }

    return join ' ', @have;
}


subtest 'random walks' => sub {
    for (1 .. $rounds) {
        my ($sort, $order) = order();
        my $filter = rand() < 0.3 ? 'tiny=' . pick(-1 .. 3)
                   : rand() < 0.1 ? 'kind=none' : '';
        my $limit = pick(1, 3, 10, 20, 33, 249, 250, 251, 500);
        $limit = 20 if $limit < 10 && !$filter;
        my $how = pick(qw(link next body));

        my $where = $filter =~ /(\w+)=(.*)/ ? "WHERE $1 = '$2'" : '';
        my $want = join ' ', @{ $dbh->selectcol_arrayref(
            "SELECT id FROM rows $where ORDER BY $order") };

        is(walk($how, $sort, $filter, $limit), $want,
           "$how: sort=$sort $filter limit=$limit");
    }
};


subtest 'one row a page' => sub {
    my $want = join ' ', @{ $dbh->selectcol_arrayref(
        'SELECT id FROM rows WHERE tiny = 1'
        . ' ORDER BY num DESC NULLS FIRST, at NULLS LAST, id') };

    is(walk($_, '-num:nullsfirst,at', 'tiny=1', 1), $want, $_)
        for qw(link next body);
};


subtest 'a key of text' => sub {
    my @codes = ('', ' ', 'a', 'A', "a\x{300}", "\x{e9}", 'a/b', '%2F', "'",
                 map { "k$_" } 1 .. 40);
    my $insert = $dbh->prepare('INSERT INTO named VALUES (?, ?)');
    $insert->execute($_, rand() < 0.3 ? undef : int rand 3) for @codes;

    for my $order ('code ASC', 'code DESC', 'mark ASC NULLS LAST, code ASC',
                   'mark DESC NULLS FIRST, code ASC')
    {
        my $want = $dbh->selectcol_arrayref("SELECT code FROM named"
                                            . " ORDER BY $order");
        my $sort = join ',', map {
            my ($f, $d, $n) = /^(\w+) (\w+)(?: NULLS (\w+))?/;
            ($d eq 'DESC' ? '-' : '') . $f . ($n ? ':nulls' . lc $n : '')
        } split /, /, $order;

        my (@have, $cursor);
        do {
            my $r = $t->get("/api/named?sort=$sort&limit=7"
                            . ($cursor ? "&cursor=$cursor" : ''));
            is($r->code, 200, 'a page') or diag($r->body);
            push @have, map { $_->{code} } @{ $r->json->{data} };
            $cursor = $r->json->{next};
        } while ($cursor);

        is_deeply(\@have, $want, $order);
    }
};


subtest 'while others write' => sub {
    my $writer = fork // die $!;

    if ($writer == 0) {
        my $db = $t->pg->connect($t->database);

        # rows that come, move through the order and go

        srand $seed + 1;
        my $end = time + 30;

        while (time < $end) {
            $db->do("INSERT INTO rows (kind, rank, tiny, name, score)"
                    . " SELECT 'moving', g % 5, g % 4, chr(97 + g % 4), g % 5"
                    . " FROM generate_series(1, 10) g");
            $db->do("UPDATE rows SET rank = (random() * 5)::int, tiny ="
                    . " nullif((random() * 4)::int, 2), score = rank,"
                    . " name = chr(97 + (random() * 4)::int)"
                    . " WHERE kind = 'moving' AND random() < 0.5");
            $db->do("DELETE FROM rows WHERE kind = 'moving'"
                    . " AND random() < 0.2");
            $db->do("UPDATE rows SET dbl = random() WHERE kind = 's'");
        }

        POSIX::_exit(0);
    }

    for my $round (1 .. 25) {
        my $sort = pick('rank', '-tiny,name', 'score:nullsfirst,-rank',
                        'name,-tiny:nullsfirst', '-id', '-rank,-tiny');
        my $order = join ', ', map {
            /^(-?)(\w+)(:nullsfirst)?/;
            $2 . ($1 ? ' DESC' : '') . ($3 ? ' NULLS FIRST' : ' NULLS LAST')
        } split(/,/, $sort), 'id';

        my %stable = map { $_ => 1 } my @stable = @{ $dbh->selectcol_arrayref(
            "SELECT id FROM rows WHERE kind <> 'moving' ORDER BY $order") };

        my $have = walk(pick(qw(link next body)), $sort, '', pick(7, 20, 60));

        is(join(' ', grep { $stable{$_} } split / /, $have), "@stable",
           "sort=$sort") or diag(substr $have, 0, 300);
    }

    kill 'KILL', $writer;
    waitpid $writer, 0;
};


subtest 'cursors that are refused' => sub {
    $dbh->do("DELETE FROM rows WHERE kind = 'moving'");

    my $query = 'sort=name,-num&tiny=1&limit=2';
    my $cursor = $t->get("/api/rows?$query")->json->{next};
    ok($cursor, 'a cursor');
    like($cursor, qr/^[A-Za-z0-9_-]+$/, 'needs no escapes');

    my $good = $t->get("/api/rows?$query&cursor=$cursor")->body;
    my $refused = sub {
        my ($q, $c, $name) = @_;
        my $r = $t->get("/api/rows?$q&cursor=$c");

        return ok(1, $name) if $r->code == 400
            && $r->type eq 'application/problem+json'
            && $r->json->{code} eq 'invalid_cursor'
            && $r->json->{errors}[0]{parameter} eq 'cursor';

        fail($name);
        diag($r->code, ' ', $r->body);
    };

    my @alphabet = ('A' .. 'Z', 'a' .. 'z', 0 .. 9, '-', '_');

    for my $i (0 .. length($cursor) - 1) {
        my $c = $cursor;
        my $old = substr $c, $i, 1;
        my $new = pick(grep { $_ ne $old } @alphabet);
        substr $c, $i, 1, $new;
        $refused->($query, $c, "character $i: $new for $old");
    }

    $refused->($query, substr($cursor, 0, $_), "cut to $_")
        for 0 .. length($cursor) - 1;

    $refused->($query, $cursor . $_, 'more')
        for 'A', 'AA', 'AAAA', '=', '==', '%20', '%0A', '%3D', '+', $cursor;
    $refused->($query, $_ . $cursor, 'before it') for 'A', 'AAAA', '%20';
    $refused->($query, $_, 'no cursor')
        for 'x', '1', 'null', '%2B%2F', '%C3%A9', '-', 'A' x 100, '%27%3B--';
    $refused->($query, 'A' x $_, "$_ long") for 4095, 4096, 4097, 7000;

    my @others = ('sort=name,num&tiny=1', 'sort=num,name&tiny=1',
                  'sort=name&tiny=1', 'tiny=1', 'sort=name,-num&tiny=2',
                  'sort=name,-num', 'sort=name,-num&tiny__gte=1',
                  'sort=name,-num&tiny=1&flag=true',
                  'sort=name:nullsfirst,-num&tiny=1',
                  'sort=-name,-num&tiny=1', 'sort=name,-num,rank&tiny=1',
                  'sort=name,-num&score=1', 'sort=name,-num&tiny__ne=1',
                  'sort=name,-num&tiny__in=1', 'sort=name,-num&tiny__isnull=true');

    $refused->("$_&limit=2", $cursor, $_) for @others;

    my $r = $t->get("/api/other?$query&cursor=$cursor");
    is($r->code, 400, 'of another model') or diag($r->body);
    is($r->json->{code}, 'invalid_cursor', 'said so');

    $r = $t->post('/api/rows/query', { sort => 'name,-num', cursor => 'x',
                                       filter => { tiny => 1 } });
    is($r->code, 400, 'in a body');
    is($r->json->{errors}[0]{pointer}, '/cursor', 'where');

    for my $value (1, undef, ['x'], {}) {
        $r = $t->post('/api/rows/query', { cursor => $value });
        is($r->code, 400, 'of another type') or diag($r->body);
        is($r->json->{errors}[0]{pointer}, '/cursor', 'where');
    }

    is($t->get("/api/rows?$query&cursor=$cursor&cursor=$cursor")->code, 400,
       'twice');

    # what does not change the order

    is($t->get("/api/rows?$query&cursor=$cursor")->body, $good, 'still good');
    is($t->get("/api/rows?tiny=1&fields=id&sort=name,-num,id&limit=5"
               . "&cursor=$cursor")->code, 200, 'the key said aloud');
    is(join(' ', ids($t->post('/api/rows/query', {
        sort => ['name', '-num'], filter => { tiny => 1 }, limit => 2,
        cursor => $cursor }))),
       join(' ', ids($t->get("/api/rows?$query&cursor=$cursor"))),
       'the same in a body');

    $t->reload;
    is($t->get("/api/rows?$query&cursor=$cursor")->body, $good,
       'a reload later');
};


subtest 'values too long for a cursor' => sub {
    $dbh->do("INSERT INTO other (kind, rank, name) SELECT 'x', g,"
             . " repeat(chr(96 + g), ?) FROM generate_series(1, 5) g", undef,
             $_) for 2000, 100000;

    is($t->get('/api/other?sort=rank,name&limit=3')->code, 200, 'short');

    my $r = $t->get('/api/other?sort=-name&limit=1');
    is($r->code, 422, 'long') or diag(substr $r->body, 0, 300);
    is($r->json->{code}, 'too_complex', 'code');
    is($t->get('/api/other?sort=name')->code, 200, 'without a next page');
};


$t->done;
