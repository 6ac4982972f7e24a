use strict;
use warnings;

use Test::More;

use DataflowTest;
use DataflowTest::OpenAPI;

# what the document says of values and parameters is what the server takes:
# everything it says, and nothing else

my $t = DataflowTest->new(models => DataflowTest::OpenAPI::models())->start;

DataflowTest::OpenAPI::script($t, $_) for qw(values parameters);

$t->done;
