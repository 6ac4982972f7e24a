# the executor where it is easily wrong: commits that fail, TLS, connections that
# die in the middle of what is sent

use strict;
use warnings;

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
$t->done;
