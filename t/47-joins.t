#!/usr/bin/perl

use strict;
use warnings;

use Test::More;

use DataflowTest;
use DataflowTest::Client;

# creates that share a transaction: each gets the answer it would get alone

my $t = DataflowTest->new(models => <<'CONF')->start;
        location /api/parents {
            dataflow_model parents { field name text required; }
        }
        location /api/items {
            dataflow_model items {
                field code   text required unique;
                field n      integer min=0 default=0;
                field parent bigint;
                relation owner parents parent;
            }
        }
CONF

my ($free, $locked) = map {
    "" . $t->post("/api/parents", { name => $_ })->json->{id}
} qw(free locked);


# runs several clients at once, each with its own list of bodies; the answers
# come back as [code, took, body asked]

sub at_once {
    my ($clients, $count, $body) = @_;
    my @pipes;

    for my $k (1 .. $clients) {
        pipe(my $in, my $out) or die $!;
        my $pid = fork // die $!;

        if ($pid == 0) {
            my $c = DataflowTest::Client->new($t);

            for my $i (1 .. $count) {
                my $b = $body->($k, $i);
                my $r = $c->request('POST', '/api/items', $b);
                print $out join("\t", $r->code, sprintf('%.3f', $r->{took}),
                                $b->{code}, $r->problem // ''), "\n";
            }

            close $out;
            POSIX::_exit(0);
        }

        close $out;
        push @pipes, [ $pid, $in ];
    }

    my @answers;

    for (@pipes) {
        my ($pid, $in) = @$_;
        while (<$in>) { chomp; push @answers, [ split /\t/, $_, -1 ] }
        waitpid $pid, 0;
    }

    return @answers;
}


sub stored {
    return { map { $_->[0] => $_->[1] } @{ $t->dbh->selectall_arrayref(
        'SELECT code, count(*) FROM items GROUP BY 1') } };
}


subtest 'many at once' => sub {
    my @a = at_once(12, 50, sub { { code => "a$_[0]-$_[1]", n => $_[1] } });

    is(scalar(grep { $_->[0] == 201 } @a), 600, 'all are created');

    my $stored = stored();
    is(scalar(grep { ($stored->{$_->[2]} // 0) == 1 } @a), 600, 'once each');

    my ($n) = $t->dbh->selectrow_array(
        "SELECT count(DISTINCT xmin::text) FROM items WHERE code LIKE 'a%'");
    cmp_ok($n, '<', 600, "in $n transactions");
};


subtest 'one by itself' => sub {
    my @id = map { $t->post('/api/items', { code => $_ })->json->{id} // 0 }
             qw(d1 d1 d2);

    is("$id[1]", 0, 'is refused');
    is($id[2] - $id[0], 2, 'and was tried once');
};


subtest 'some are refused' => sub {
    $t->post('/api/items', { code => 'taken' });

    my @a = at_once(12, 40, sub {
        my ($k, $i) = @_;
        return $i % 7 == 0 ? { code => 'taken' }
             : $i % 11 == 0 ? { code => "p$k-$i", parent => 999999 }
             : { code => "b$k-$i", parent => $free };
    });

    my %by;
    push @{ $by{substr $_->[2], 0, 1} }, $_ for @a;

    is(scalar(grep { "$_->[0] $_->[3]" ne '409 unique_violation' }
              @{ $by{t} }), 0, 'each that is taken is told so');
    is(scalar(grep { "$_->[0] $_->[3]" ne '409 foreign_key_violation' }
              @{ $by{p} }), 0, 'and each without its parent');
    is(scalar(grep { $_->[0] != 201 } @{ $by{b} }), 0, 'no other is refused');

    my $stored = stored();
    is(scalar(grep { ($stored->{$_->[2]} // 0) != 1 } @{ $by{b} }), 0,
       'those are there');
    is($stored->{taken}, 1, 'the others are not');
    is(scalar(grep { $stored->{$_->[2]} } @{ $by{p} }), 0, 'nor these');
};


subtest 'the same value from many' => sub {
    my @a = at_once(12, 20, sub { { code => "same$_[1]" } });

    is(scalar(grep { $_->[0] == 201 } @a), 20, 'one each succeeds');
    is(scalar(grep { "$_->[0] $_->[3]" eq '409 unique_violation' } @a), 220,
       'the others are told');
};


subtest 'one waits for a lock' => sub {
    my $dbh = $t->pg->connect($t->database);
    $dbh->begin_work;
    $dbh->do("SELECT 1 FROM parents WHERE id = $locked FOR UPDATE");

    my $pid = fork // die $!;

    if ($pid == 0) {
        my $r = DataflowTest::Client->new($t)->request('POST', '/api/items',
            { code => 'waits', parent => $locked });
        POSIX::_exit($r->code == 201 ? 0 : 1);
    }

    my @a = at_once(8, 30, sub { { code => "c$_[0]-$_[1]", parent => $free } });

    is(scalar(grep { $_->[0] == 201 } @a), 240, 'the others are created');
    is(stored()->{waits}, undef, 'before the lock is gone');

    $dbh->commit;
    $dbh->disconnect;

    waitpid $pid, 0;
    is($?, 0, 'and then it is, too');
    is(stored()->{waits}, 1, 'once');
};


$t->done;
