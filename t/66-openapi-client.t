use strict;
use warnings;

use Test::More;

use DataflowTest;
use DataflowTest::OpenAPI;

# clients that know the document only: what they are answered is as it says,
# and one that is generated from it does all there is to do

my $t = DataflowTest->new(models => DataflowTest::OpenAPI::models())->start;

DataflowTest::OpenAPI::script($t, $_) for qw(answers client);

$t->done;
