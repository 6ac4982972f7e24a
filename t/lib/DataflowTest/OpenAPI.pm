package DataflowTest::OpenAPI;

# What the tests of the OpenAPI document share: models of every type and option,
# and the scripts of t/tools/openapi, whose results become the test's.
#
#   my $t = DataflowTest->new(models => DataflowTest::OpenAPI::models())->start;
#   DataflowTest::OpenAPI::script($t, 'document');
#   DataflowTest::OpenAPI::script($t, 'document', '/patterns.json');

use strict;
use warnings;

use Test::More ();

my $installed;

my $models = <<'CONF';
    location /api/everything {
        dataflow_model everything {
            description "A field of each \"type\", and of each option.";

            field small    smallint;
            field whole    integer       required min=0 max=100 default=5;
            field big      bigint        max=9007199254740991;
            field price    numeric(12,2) required min=-5.5 "description=In €.";
            field ratio    numeric       min=-1e3 default=+007.50;
            field digits   numeric(5);
            field single   real;
            field wide     double        max=1e300;
            field flag     boolean       default=true;
            field name     text          required max=200;
            field code     text          "pattern=^[A-Z]{2}-\d{4,5}$"
                                         default=AB-1234;
            field lookup   text          "pattern=^(?=.*a)[a-z]+$";
            field word     varchar(10)   min=2;
            field kind     text          enum=one,two,three default=two;
            field uid      uuid;
            field tag      uuid          default=uuid;
            field day      date          min=2020-01-01;
            field clock    time;
            field local    timestamp;
            field moment   timestamptz   default=now;
            field span     interval;
            field data     json;
            field config   json          required "default={\"a\":[1,2.50]}";
            field bytes    bytea         default=AAEC;
            field address  inet;
            field texts    text[]        "default=[\"new\",\"a\\\"b\"]";
            field words    varchar(10)[];
            field numbers  integer[]     required "default=[1]";
            field amounts  numeric(5,2)[];
            field moments  timestamptz[];
            field objects  json[];
            field sum      integer;
            field secret   text          hidden;
            field author   text          default=$sub readonly;
            field state    text          readonly default=new required;
        }
    }

    location /api/countries {
        dataflow_model countries {
            field code varchar(2) "pattern=^[A-Z]+$";
            field name text required;
            key   code;
        }
    }

    location /api/customers/ {
        dataflow_limit_rows default=2 max=5 offset=20 stream=off;
        dataflow_model customers {
            field id      uuid;
            field name    text required;
            field email   text unique;
            field country varchar(2);
            key   id;
            relation from countries country;
        }
    }

    location "/api/the {orders}" {
        dataflow_model orders {
            field customer_id uuid required;
            field total       numeric(12,2) required min=0;
            relation customer customers customer_id;
        }
    }

    location / {
        dataflow_expose list create;
        dataflow_model roots { field name text; }
    }

    location /api/analytics {
        dataflow_analytics {
            report sums/by-kind by-kind {
                description "What there is of each kind.";

                from   everything;
                param  since timestamptz;
                param  least integer default=0 min=0 max=1000;
                param  kinds text[];
                filter "moment >= $since";
                filter "kind in $kinds";
                group  kind;
                value  n "count(*)";
                value  total "sum(price)";
                value  mean "avg(ratio)";
                value  latest "max(moment)";
                value  flags "sum(case when flag then 1 else 0 end)";
                having "n >= $least";
                sort   -n kind;
                limit  5;
            }

            report orders/of {
                from   orders;
                param  customer uuid required;
                filter "customer_id = $customer";
                value  total "sum(total)";
            }

            dashboard all by-kind orders/of;
        }
    }

    location = /openapi.json { dataflow_openapi; }
    location = /patterns.json { dataflow_openapi conditions=patterns; }
CONF


sub models {
    return $models;
}


# node runs it; without npm's packages nothing can be said

sub script {
    my ($t, $name, @args) = @_;

    $installed //= system('t/tools/openapi.sh') == 0;

    return Test::More::fail("$name: needs node and the npm packages of"
                            . ' t/tools/openapi')
        unless $installed;

    open my $fh, '-|', 'node', "build/openapi/$name.mjs", $t->url, @args
        or die "node: $!";

    my $plan;

    while (my $line = <$fh>) {
        chomp $line;

        if ($line =~ /^(not )?ok \d+ - (.*)/) {
            Test::More::ok(!$1, "$name: $2");

        } elsif ($line =~ /^1\.\.(\d+)/) {
            $plan = $1;

        } else {
            Test::More::diag($line =~ s/^# //r);
        }
    }

    close $fh;

    return Test::More::ok($plan, "$name: came to its end");
}


1;
