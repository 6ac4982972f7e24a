use strict;
use warnings;

use Test::More;

use DataflowTest;
use DataflowTest::Client;

# dataflow_analytics: what nginx.conf says of reports and how its mistakes are
# told, what reports and dashboards answer, against SQL written here, and what
# hostile values come to


# configuration: the line with the mark "#!" is the one that is named

my $shop = <<'CONF';
location /customers {
    dataflow_model customers {
        field name text required;
        field tier text;
        field pin  text hidden;
    }
}
location /orders {
    dataflow_model orders {
        field customer_id bigint;
        field total       numeric(12,2);
        field status      text;
        field paid        boolean;
        field notes       json;
        relation customer customers customer_id;
    }
}
CONF

my $conf = DataflowTest->new(models => '');


sub analytics {
    my ($text) = @_;

    return "location /a { dataflow_analytics {\n$text\n} }\n$shop";
}


sub in_report {
    my ($text) = @_;

    return analytics("report r { from orders; value n count(*);\n$text\n}");
}


sub good {
    my ($name, $models, %o) = @_;

    my ($ok, $out) = $conf->write_conf(models => $models, %o)->check_conf;

    ok($ok && $out !~ /\[(?:warn|error|crit|alert|emerg)\]/, "good: $name")
        or diag $out;
}


sub bad {
    my ($name, $models, @parts) = @_;

    my ($ok, $out) = $conf->write_conf(models => $models)->check_conf;

    open my $f, '<', $conf->dir . '/nginx.conf' or die $!;
    my $line;
    while (<$f>) {
        $line = $. if /#!/;
    }
    die "no mark in \"$name\"" unless $line;

    my @emerg = $out =~ /^(.*\[emerg\].*)$/mg;

    my @wrong;
    push @wrong, 'accepted' if $ok;
    push @wrong, scalar(@emerg) . ' messages' unless @emerg == 1;
    push @wrong, "no line $line" unless $out =~ m{ in \S*nginx\.conf:$line$}m;
    push @wrong, map { "no: $_" } grep { index($out, $_) < 0 } @parts;

    ok(!@wrong, "bad: $name") or diag join("\n", @wrong, $out);
}


good 'everything', analytics(<<'CONF');
    report sales/by-month sales_by_month {
        description "What was \"sold\".";
        timezone Europe/Berlin;
        param since timestamptz;
        param until timestamptz default=now "description=before this";
        param state text required enum=a,b;
        param least numeric min=0;
        filter "created_at >= $since and created_at < $until";
        filter "status = $state";
        group "date_trunc('month', created_at)" as month;
        group customer.tier;
        value revenue "sum(total)";
        value n count(*);
        value each "revenue / n";
        having "revenue >= $least";
        sort -revenue customer_tier:nullsfirst;
        limit 20;
        from orders;
    }
    report all { from customers; value customers "count(*)"; }
    report tiers { from customers; group tier; }
    dashboard board all sales_by_month description=Both;
    dashboard later/one last;
    report last { from customers; value n "count(*)"; }
CONF

good 'a path with a slash at its end, conditions, methods', <<"CONF";
location /a/ {
    dataflow_analytics { report r { from orders; value n "count(*)"; } }
    dataflow_expose list;
    if (\$arg_x) { return 403; }
    limit_except GET { deny all; }
}
$shop
CONF

good 'two places of reports', <<"CONF";
location /a { dataflow_analytics {
    report r { from orders; value n "count(*)"; } } }
location /b { dataflow_analytics {
    report r { from customers; value n "count(*)"; } } }
$shop
CONF

{
    open my $f, '>', $conf->dir . '/report.conf' or die $!;
    print {$f} 'from orders; value n "count(*)";';
    close $f;
    good 'include', analytics('report r { include ' . $conf->dir
                              . '/report.conf; }');
}


# each directive

bad 'no report', "location /a { dataflow_analytics {\n} #!\n}$shop",
    'no report', 'report NAME {';
bad 'twice in a location', <<"CONF", 'is duplicate';
location /a {
    dataflow_analytics { report r { from orders; value n "count(*)"; } }
    dataflow_analytics { report r { from orders; value n "count(*)"; } } #!
}
$shop
CONF
bad 'an exact location', <<"CONF", 'an exact location "/a"', 'prefix location';
location = /a {
    dataflow_analytics { #!
        report r { from orders; value n "count(*)"; } } }
$shop
CONF
bad 'beside a model', <<"CONF", '"dataflow_analytics" cannot be used here';
location /a {
    dataflow_model m { field f text; }
    dataflow_analytics { #!
        report r { from m; value n "count(*)"; } } }
CONF
bad 'before another handler', <<"CONF", 'answers instead of it';
location /a {
    dataflow_analytics { #!
        report r { from orders; value n "count(*)"; } }
    proxy_pass http://127.0.0.1:1; }
$shop
CONF

{
    my ($ok, $out) = $conf->write_conf(models => '', http => <<'CONF')
server {
    listen 127.0.0.1:1;
    location /a { dataflow_analytics {
        report r { from orders; value n "count(*)"; } } }
}
CONF
        ->check_conf;

    ok(!$ok && $out =~ /no database for "dataflow_analytics": add "dataflow /,
       'bad: no database') or diag $out;

    $conf->write_conf(http => '');
}

bad 'a report without a name', analytics("report { #!\n}"),
    'invalid number of arguments';
for (['upper case', 'Sales'], ['an empty part', 'sales//month'],
     ['a slash first', '/sales'], ['a hyphen first', '-sales'],
     ['too long', 'a' x 129])
{
    bad "$_->[0] in a name", analytics("report $_->[1] { #!\n}"),
        'invalid report name', $_->[1], 'lower-case letters';
}
bad 'two reports of a name', analytics(<<'CONF'), 'duplicate name "b"', 'first';
report a b { from orders; value n "count(*)"; }
report b { #!
    from orders; value n "count(*)"; }
CONF
bad 'a dashboard named as a report', analytics(<<'CONF'), 'duplicate name "a"';
report a { from orders; value n "count(*)"; }
dashboard a a; #!
CONF
bad 'no model', analytics("report r { value n \"count(*)\";\n} #!"),
    'no model of report "r"', 'from MODEL;';
bad 'no column', analytics("report r { from orders;\n} #!"),
    'answers nothing', 'value NAME';
bad 'an unknown model', analytics(<<'CONF'),
report r { value n "count(*)";
    from order; #!
}
CONF
    'unknown model "order" of report "r"', 'did you mean "orders"?';
bad 'two models', in_report('from orders; #!'), 'is duplicate';
bad 'an unknown directive', in_report('where "a = 1"; #!'),
    'unknown directive "where"';
bad 'a directive of a model', in_report('field a text; #!'),
    '"field" directive is not allowed here';

bad 'a parameter without a type', in_report('param since; #!'),
    'param NAME TYPE [OPTION ...];';
bad 'an unknown type', in_report('param since timestamp_tz; #!'),
    'unknown type "timestamp_tz" of "since"', 'did you mean "timestamptz"?';
bad 'an option of fields', in_report('param a text unique; #!'),
    'unknown option "unique" of "a"', 'known are "required"';
bad 'a bad name', in_report('param Since date; #!'), 'parameter name "Since"';
bad 'a name that is taken', in_report('param limit integer; #!'),
    'reserved parameter "limit"';
bad 'a parameter twice', in_report(<<'CONF'), 'duplicate parameter "a"';
param a text;
filter "status = $a";
param a integer; #!
CONF
bad 'a default of another type', in_report('param a integer default=x; #!'),
    'invalid default "x" of "a"', 'whole number';
bad 'a default that nobody gives', in_report('param a text default=$sub; #!'),
    'a literal or now';
bad 'required with a default', in_report('param a text required default=x; #!'),
    'required and has a default';
bad 'a parameter that nothing uses', in_report('param a text; #!'),
    'parameter "a" of report "r" is used nowhere', 'write "$a"';
bad 'too many parameters', in_report(join('', map {
        "param a$_ text; filter \"status = \$a$_\";\n" } 1 .. 30)
    . 'param b text; #!'), 'more than 30';

for my $directive ('filter', 'having') {
    bad "$directive without quotes", in_report("$directive status = 'a'; #!"),
        "write \"$directive EXPRESSION;\"", 'with blanks in quotes';
}
bad 'group without as', in_report('group status name; #!'),
    'group EXPRESSION [as NAME]';
bad 'group with another word', in_report('group status is name; #!'),
    'unknown word "is"', 'group EXPRESSION [as NAME]';
bad 'a bad name of a group', in_report('group status as Status; #!'),
    '"Status"', 'lower-case';
bad 'value without a name', in_report('value sum(total); #!'),
    'value NAME EXPRESSION;';
bad 'a bad name of a value', in_report('value a-b sum(total); #!'), '"a-b"';
bad 'two havings', in_report("having \"n > 1\";\nhaving \"n > 2\"; #!"),
    'is duplicate';
bad 'two sorts', in_report("sort n;\nsort -n; #!"), 'is duplicate';
bad 'a limit of none', in_report('limit 0; #!'), 'invalid limit "0"', 'from 1';
bad 'a limit over the maximum', in_report('limit 1001; #!'),
    'limit 1001 of report "r"', 'max=1000', 'raise';
bad 'two limits', in_report("limit 1;\nlimit 2; #!"), 'is duplicate';
bad 'a timezone that is none', in_report('timezone +02:00; #!'),
    'invalid timezone "+02:00"', 'Europe/Berlin';
bad 'two timezones', in_report("timezone UTC;\ntimezone GMT; #!"),
    'is duplicate';
bad 'two descriptions', in_report("description a;\ndescription b; #!"),
    'is duplicate';

bad 'a dashboard of nothing', analytics(<<'CONF'), 'no report in dashboard "d"';
report r { from orders; value n "count(*)"; }
dashboard d; #!
CONF
bad 'an unknown report', analytics(<<'CONF'),
report sales { from orders; value n "count(*)"; }
dashboard d sale; #!
CONF
    'unknown report "sale" in dashboard "d"', 'did you mean "sales"?';
bad 'a dashboard in a dashboard', analytics(<<'CONF'), 'unknown report "c"';
report r { from orders; value n "count(*)"; }
dashboard c r;
dashboard d c; #!
CONF
bad 'a report twice', analytics(<<'CONF'), 'duplicate report "r"';
report r { from orders; value n "count(*)"; }
dashboard d r r; #!
CONF
bad 'an unknown option', analytics(<<'CONF'), '"description=TEXT"';
report r { from orders; value n "count(*)"; }
dashboard d r title=x; #!
CONF
bad 'a parameter of two types', analytics(<<'CONF'),
report a { from orders; value n "count(*)";
    param p text; filter "status = $p"; }
report b { from orders; value n "count(*)";
    param p numeric; filter "total > $p"; }
dashboard d a b; #!
CONF
    'parameter "p" of dashboard "d"', 'text', 'numeric', 'one type';


# expressions: the directive, the text, the place in it and the mend

for (
    ['an unknown field', 'filter "totl > 1"', 'has no field "totl"',
     'did you mean "total"?', 'at character 1'],
    ['an unknown field within', 'filter "total > 1 and stats = \'a\'"',
     'at character 15', 'did you mean "status"?'],
    ['a hidden field', 'filter "customer.pin = \'1\'"', 'no field "pin"'],
    ['an unknown relation', 'group custmer.name', '"custmer'],
    ['a relation alone', 'group customer', 'is a relation of orders',
     '"customer.id"'],
    ['an unknown parameter', 'filter "status = $state"', '$state'],
    ['an unknown function', 'value s "summ(total)"', 'summ',
     'did you mean "sum"?'],
    ['an unfinished expression', 'value s "sum(total"', 'at character'],
    ['types that do not fit', 'filter "total = \'x\'"', 'at character'],
    ['types of arithmetic', 'value s "sum(total + status)"', 'at character'],
    ['no condition', 'filter "total + 1"', 'condition'],
    ['a having that is no condition', 'having "n + 1"', 'condition'],
    ['an aggregate in a filter', 'filter "sum(total) > 1"', 'sum'],
    ['an aggregate in a group', 'group "sum(total)" as s', 'sum'],
    ['a value that is none', 'value s "total"', 'total'],
    ['a group that cannot be one', 'group notes.x.y.z as a; group nots', 'nots'],
    ['a name twice', 'value n "sum(total)"', '"n"'],
    ['a sort by nothing', 'value visits count(*); sort -visit',
     '"visit" is not among what is answered', 'did you mean "visits"?'],
    ['a sort with another word', 'sort n:last',
     '"n:last" is not among what is answered', 'nullsfirst or nullslast'],
    ['a sort twice', 'sort n -n', '"n" is given twice'],
    ['SQL', 'filter "1=1); drop table orders"', 'at character'],
    ['a comment', 'filter "paid -- x"', 'at character'],
    ['a call of PostgreSQL', 'filter "pg_sleep(1) is null"', 'pg_sleep'],
)
{
    my ($name, $text, @parts) = @$_;

    bad $name, in_report("$text; #!"), 'invalid ', 'of report "r"', @parts;
}

bad 'a value that might be left out', in_report(<<'CONF'),
param p numeric;
filter "total > $p";
value m "sum(total * $p)"; #!
CONF
    'parameter "p" of report "r" may be left out', 'default=';


# reports against SQL

my $t = DataflowTest->new(database => 'pool size=4;', models => <<'CONF')
location /api/places {
    dataflow_model places { field country text; field city text; }
}
location /api/people {
    dataflow_model people {
        field name     text required;
        field tier     text;
        field place_id bigint;
        relation place places place_id;
    }
}
location /api/visits {
    dataflow_model visits {
        field person_id bigint required;
        field at      timestamptz required;
        field day     date;
        field clock   time;
        field plain   timestamp;
        field span    interval;
        field paid    numeric(12,2);
        field rating  smallint;
        field guests  integer;
        field big     bigint;
        field ratio   double;
        field small   real;
        field member  boolean;
        field code    varchar(8);
        field note    text;
        field uid     uuid;
        field addr    inet;
        field attrs   json;
        field tags    text[];
        relation person people person_id;
    }
}

location /api/slow {
    dataflow_model slow { field name text; timestamps off; }
}

dataflow_expose list;

location = /openapi.json { dataflow_openapi; }

location /api/reports/ {
    dataflow_limit_rows max=200;

    dataflow_analytics {

        report visits/by-country by-country {
            description "Visits, by the country of who came.";
            from   visits;
            param  since   timestamptz;
            param  until   timestamptz;
            param  tier    text enum=basic,plus,top;
            param  least   numeric min=0;
            filter "at >= $since";
            filter "at < $until and paid is not null";
            filter "person.tier = $tier";
            group  person.place.country as country;
            value  visits "count(*)";
            value  people "count_distinct(person_id)";
            value  paid   "sum(paid)";
            value  mean   "avg(paid)";
            having "paid >= $least";
            sort   -paid:nullsfirst country;
        }

        report by-month {
            from     visits;
            timezone America/New_York;
            param    year integer required min=2000 max=2100;
            filter   "extract('year', at) = $year";
            group    "date_trunc('month', at)" as month;
            value    visits "count(*)";
            value    paid   "sum(paid)";
        }

        report raised {
            from   visits;
            param  percent numeric default=10 max=100;
            param  state   text default=true;
            filter "$state = 'true'";
            group  person.tier;
            value  paid "round(sum(paid * (1 + $percent / 100)), 2)";
            limit  2;
        }

        report totals {
            from  visits;
            value visits "count(*)";
            value first  "min(at)";
            value last   "max(at)";
            value shares "sum(guests) / count(rating)";
        }

        report cities { from places; group country; group city; limit 3; }

        report tiers {
            from   visits;
            param  tiers  text[];
            param  codes  varchar(3)[];
            param  counts integer[] default=[1,2,3];
            filter "person.tier in $tiers";
            filter "code in $codes";
            filter "guests in $counts";
            group  person.tier as tier;
            value  n "count(*)";
        }

        report nowhere {
            from     visits;
            timezone Middle/Earth;
            group    "date_trunc('day', at)" as day;
        }

        report slow { from slow; value n "count(name)"; }

        report broken {
            from  visits;
            param by integer required;
            value x "sum(paid / $by)";
        }

        dashboard all by-country totals by-month
                  "description=All of it.";
        dashboard failing totals broken;
        dashboard waiting slow totals;
    }
}

location /api/other {
    limit_except GET { deny all; }

    if ($arg_closed) { return 403; }

    dataflow_analytics {
        report p-smallint    { from visits; value n "count(*)"; param p smallint;     filter "rating = $p"; }
        report p-integer     { from visits; value n "count(*)"; param p integer;      filter "guests = $p"; }
        report p-bigint      { from visits; value n "count(*)"; param p bigint;       filter "big = $p"; }
        report p-numeric     { from visits; value n "count(*)"; param p numeric(12,2);filter "paid = $p"; }
        report p-real        { from visits; value n "count(*)"; param p real;         filter "small = $p"; }
        report p-double      { from visits; value n "count(*)"; param p double;       filter "ratio = $p"; }
        report p-boolean     { from visits; value n "count(*)"; param p boolean;      filter "member = $p"; }
        report p-text        { from visits; value n "count(*)"; param p text;         filter "note = $p"; }
        report p-varchar     { from visits; value n "count(*)"; param p varchar(8);   filter "code = $p"; }
        report p-uuid        { from visits; value n "count(*)"; param p uuid;         filter "uid = $p"; }
        report p-date        { from visits; value n "count(*)"; param p date;         filter "day = $p"; }
        report p-time        { from visits; value n "count(*)"; param p time;         filter "clock = $p"; }
        report p-timestamp   { from visits; value n "count(*)"; param p timestamp;    filter "plain = $p"; }
        report p-timestamptz { from visits; value n "count(*)"; param p timestamptz;  filter "at = $p"; }
        report p-interval    { from visits; value n "count(*)"; param p interval;     filter "span = $p"; }
        report p-inet        { from visits; value n "count(*)"; param p inet;         filter "addr = $p"; }
        report regex         { from visits; value n "count(*)"; param p text;         filter "note ~ $p and code <> $p"; }
        report like          { from visits; value n "count(*)"; param p text;         filter "note icontains $p"; }
    }
}
CONF
    ->start;

my $dbh = $t->dbh;

$dbh->do('SET TimeZone = UTC');
$dbh->do("INSERT INTO places (country, city) VALUES ('NO', 'Oslo'),"
         . " ('NO', 'Bergen'), ('PT', 'Porto'), ('PT', 'Lisboa'), (NULL, 'X')");
$dbh->do("INSERT INTO people (name, tier, place_id)"
         . " SELECT 'p' || i, (array['basic','plus','top',NULL])[1 + i % 4],"
         . " nullif(i % 6, 0) FROM generate_series(1, 30) i");
$dbh->do(<<'SQL');
INSERT INTO visits (person_id, at, day, clock, plain, span, paid, rating,
                    guests, big, ratio, small, member, code, note, uid, addr)
SELECT 1 + i % 30, t, t::date, '08:00'::time + i % 5 * interval '1 hour',
       t::timestamp, i % 4 * interval '36 hours',
       CASE WHEN i % 7 <> 0 THEN (i * 37 % 1000) / 8.0 END, i % 5, i % 9,
       9007199254740990 + i % 6, i % 11 / 3.0, i % 3 / 3.0, i % 2 = 0,
       'c' || i % 10, 'it''s ' || i % 12,
       ('00000000-0000-0000-0000-0000000000' || lpad((i % 100)::text, 2, '0'))
       ::uuid, ('10.0.0.' || i % 4)::inet
  FROM generate_series(1, 500) i
 CROSS JOIN LATERAL (SELECT '2024-01-01 03:30Z'::timestamptz
                            + i * interval '29 hours' AS t) AS t
SQL


sub rows {
    my ($sql, @values) = @_;

    return DataflowTest::JSON::decode($dbh->selectrow_array(
        "SELECT coalesce(json_agg(t), '[]') FROM ($sql) AS t", undef,
        @values));
}


sub same {
    my ($path, $sql, @values) = @_;

    my $r = $t->get($path);

    is_deeply([ $r->code, $r->code == 200 ? $r->json->{data} : $r->body ],
              [ 200, rows($sql, @values) ], $path);
}


sub escaped { return $_[0] =~ s/([^\w.-])/sprintf '%%%02X', ord $1/ger }


my $by_country = <<'SQL';
SELECT l.country, count(*) AS visits, count(DISTINCT v.person_id) AS people,
       sum(v.paid) AS paid, avg(v.paid) AS mean
  FROM visits v LEFT JOIN people p ON p.id = v.person_id
  LEFT JOIN places l ON l.id = p.place_id
 WHERE %s GROUP BY 1 HAVING %s ORDER BY 4 DESC NULLS FIRST, 1
SQL

my $path = '/api/reports/visits/by-country';

same($path, sprintf $by_country, 'true', 'true');
same('/api/reports/by-country', sprintf $by_country, 'true', 'true');
same("$path?since=2024-06-01T00:00:00Z",
     sprintf($by_country, 'at >= ?', 'true'), '2024-06-01Z');
same("$path?since=2024-06-01T00:00:00%2B02:00&until=2024-07-01T00:00:00+02:00",
     sprintf($by_country, 'at >= ? AND at < ? AND paid IS NOT NULL', 'true'),
     '2024-06-01+2', '2024-07-01+2');
same("$path?tier=plus&least=1000.5",
     sprintf($by_country, 'p.tier = ?', 'sum(v.paid) >= ?'), 'plus', '1000.5');
same("$path?least=1e9", sprintf $by_country, 'false', 'true');

my $by_month = <<'SQL';
SELECT date_trunc('month', at, 'America/New_York') AS month, count(*) AS visits,
       sum(paid) AS paid
  FROM visits WHERE extract(year FROM at AT TIME ZONE 'America/New_York') = ?
 GROUP BY 1 ORDER BY 1
SQL

same("/api/reports/by-month?year=$_", $by_month, $_) for 2023 .. 2026;

my $raised = <<'SQL';
SELECT p.tier AS person_tier, round(sum(v.paid * (1 + ?::numeric / 100)), 2)
       AS paid
  FROM visits v JOIN people p ON p.id = v.person_id
 WHERE ? GROUP BY 1 ORDER BY 1 LIMIT ?
SQL

same('/api/reports/raised', $raised, 10, 1, 2);
same('/api/reports/raised?percent=12.5', $raised, '12.5', 1, 2);
same('/api/reports/raised?state=false', $raised, 10, 0, 2);
same('/api/reports/raised?limit=1&percent=-3e1', $raised, -30, 1, 1);
same('/api/reports/raised?limit=0', $raised, 10, 1, 0);

is($t->get('/api/reports/raised')->json->{truncated}, 1,
   'that there are more rows is said');
ok(!exists $t->get('/api/reports/by-country')->json->{truncated},
   'that there are no more is not');

same('/api/reports/totals', 'SELECT count(*) AS visits, min(at) AS first,'
     . ' max(at) AS last, sum(guests)::numeric / count(rating) AS shares'
     . ' FROM visits');
same('/api/reports/cities', 'SELECT country, city FROM places GROUP BY 1, 2'
     . ' ORDER BY 1, 2 LIMIT 3');


# parameters of every type

for (
    [ smallint => 'rating', 3 ], [ integer => 'guests', 4 ],
    [ bigint => 'big', '9007199254740993' ], [ numeric => 'paid', '9.25' ],
    [ real => 'small', '0.33333334' ], [ double => 'ratio', '2' ],
    [ boolean => 'member', 'true' ], [ text => 'note', q{it's 3} ],
    [ varchar => 'code', 'c4' ],
    [ uuid => 'uid', '00000000-0000-0000-0000-000000000042' ],
    [ date => 'day', '2024-02-29' ], [ time => 'clock', '10:00:00' ],
    [ timestamp => 'plain', '2024-01-02T08:30:00' ],
    [ timestamptz => 'at', '2024-01-02T10:30:00+02:00' ],
    [ interval => 'span', 'P1DT12H' ], [ inet => 'addr', '10.0.0.2' ])
{
    my ($type, $column, $value) = @$_;

    my $cast = $type eq 'varchar' ? 'text' : $type eq 'double'
                                  ? 'double precision' : $type;
    my ($all, $some) = $dbh->selectrow_array(
        "SELECT count(*), count(*) FILTER (WHERE $column = ?::$cast)"
        . " FROM visits", undef, $value);

    cmp_ok($some, '>', 0, "$type: some are found");

    same("/api/other/p-$type?p=" . escaped($value), 'SELECT ?::int AS n', $some);
    same("/api/other/p-$type", 'SELECT ?::int AS n', $all);

    next if $type =~ /^(?:text|varchar)$/;

    my $r = $t->get("/api/other/p-$type?p=x");

    is_deeply([ $r->code, @{ $r->json->{errors}[0] }{'parameter', 'code'} ],
              [ 400, 'p', 'type' ], "$type: what is none is refused");
}


# lists of values

{
    my $tiers = <<'SQL';
SELECT p.tier, count(*) AS n FROM visits v JOIN people p ON p.id = v.person_id
 WHERE %s AND v.guests = ANY (?) GROUP BY 1 ORDER BY 1
SQL

    same('/api/reports/tiers', sprintf($tiers, 'true'), [1, 2, 3]);
    same('/api/reports/tiers?counts=4', sprintf($tiers, 'true'), [4]);
    same('/api/reports/tiers?tiers=top,basic&counts=[0,%204]',
         sprintf($tiers, 'p.tier = ANY (?)'), ['top', 'basic'], [0, 4]);
    same('/api/reports/tiers?tiers=' . escaped('["top","a,b",null]'),
         sprintf($tiers, 'p.tier = ANY (?)'), ['top', 'a,b'], [1, 2, 3]);
    same("/api/reports/tiers?tiers=$_", sprintf($tiers, 'false'), [1])
        for '', '[]', '{top}', '%5C,%22', 'NULL';
    same('/api/reports/tiers?codes=c1,c2',
         sprintf($tiers, 'v.code = ANY (?)'), ['c1', 'c2'], [1, 2, 3]);
}


# refusals

sub refused {
    my ($path, $code, $parameter, $like, %h) = @_;

    my $r = $t->get($path, %h);
    my $json = $r->json;

    is_deeply([ $r->code, $json->{code}, $json->{errors}[0]{parameter} ],
              [ @$code, $parameter ], "refused: $path")
        or diag $r->body;
    like($r->body, $like, "refused: $path: why");
}

my @invalid = (400, 'invalid_value');

refused("$path?sinc=2024-01-01", [400, 'unknown_parameter'], 'sinc',
        qr/takes no \\"sinc\\"; did you mean \\"since\\"\?/);
refused("$path?limt=1", [400, 'unknown_parameter'], 'limt',
        qr/did you mean \\"limit\\"\?/);
refused("$path?country=NO", [400, 'unknown_parameter'], 'country',
        qr/report \\"visits\/by-country\\" takes no \\"country\\"/);
refused("$path?$_=1", [400, 'unknown_parameter'], $_, qr/takes no/)
    for qw(filter sort fields offset cursor where having group_by count
           include $since tier__ne);
refused("$path?tier=gold", [@invalid], 'tier', qr/basic.*plus.*top/);
refused("$path?least=-1", [@invalid], 'least', qr/at least 0/);
refused("$path?since=", [@invalid], 'since', qr/expected/);
refused("$path?tier=", [@invalid], 'tier', qr/basic/);
refused("$path?tier=top&tier=top", [400, 'bad_request'], 'tier',
        qr/given twice/);
refused("$path?limit=1&limit=1", [400, 'bad_request'], 'limit',
        qr/given twice/);
refused("$path?limit=201", [400, 'limit_exceeded'], 'limit', qr/is 200/);
refused('/api/reports/raised?limit=3', [400, 'limit_exceeded'], 'limit',
        qr/is 2/);
refused("$path?limit=$_", [@invalid], 'limit', qr/whole number/)
    for 'all', '-1', '1.0', '%20';
refused("$path?limit=99999999999999999999", [400, 'limit_exceeded'], 'limit',
        qr/is 200/);
refused('/api/reports/by-month', [400, 'bad_request'], 'year', qr/needs it/);
refused('/api/reports/by-month?year=1999', [@invalid], 'year', qr/2000/);
refused('/api/reports/by-month?year=24e0', [@invalid], 'year', qr/whole/);
refused("$path?since=%", [400, 'bad_request'], 'since', qr/hexadecimal/);
refused("$path?tier=%00", [400, 'bad_request'], 'tier', qr/%00/);
refused('/api/reports/tiers?counts=1,x', [@invalid], 'counts', qr/whole/);
refused('/api/reports/tiers?counts=', [@invalid], 'counts', qr/whole/);
refused('/api/reports/tiers?counts=[1', [@invalid], 'counts', qr/an array/);
refused('/api/reports/tiers?codes=c1,c1000', [@invalid], 'codes', qr/3/);
refused('/api/reports/tiers?codes=' . escaped('["c1000"]'), [@invalid],
        'codes', qr/3/);
refused("$path?tier=%ff", [400, 'bad_request'], 'tier', qr/UTF-8/);
refused('/api/reports/?x=1', [400, 'unknown_parameter'], 'x', qr/takes no/);
refused('/api/reports/totals?year=2024', [400, 'unknown_parameter'], 'year',
        qr/takes no/);
refused('/api/reports/broken?by=0', [422, 'validation_failed'], undef,
        qr/division|zero/i);

{
    my $r = $t->get('/api/reports/nowhere');

    is($r->code, 500, 'a time zone that the database does not know');
    like($r->json->{detail},
         qr{time zone "Middle/Earth", the "timezone" of report "nowhere"$},
         'is named');

    my @lines = $t->error_log =~ m{^(.*Middle/Earth.*)$}mg;

    is(scalar @lines, 1, 'and logged, once');
    like($lines[0], qr/of report "nowhere"/, 'with the report');
}

refused('/api/other/regex?p=(', [@invalid], 'p', qr/regular expression/);
same('/api/other/regex?p=1$', "SELECT count(*) AS n FROM visits WHERE note ~ ?",
     '1$');

for (['/api/reports/by-contry', 'did you mean \\\\"by-country'],
     ['/api/reports/visits', 'api/reports'],
     ['/api/reports/visits/by-country/', 'visits'],
     ['/api/reports/al', 'did you mean \\\\"all'],
     ['/api/reportsx', 'nothing|no report'])
{
    my $r = $t->get($_->[0]);

    is_deeply([ $r->code, $r->type ], [ 404, 'application/problem+json' ],
              "$_->[0]: not there") if $_->[0] ne '/api/reportsx';
    like($r->body, qr/$_->[1]/, "$_->[0]: what there is")
        if $_->[0] ne '/api/reportsx';
}


# methods, formats

for my $place ('/api/reports/', $path, '/api/reports/all') {
    for (qw(POST PUT PATCH DELETE)) {
        my $r = $t->request($_, $place, {}, /P/ ? '{}' : undef);

        is_deeply([ $r->code, $r->header('Allow') ],
                  [ 405, 'GET, HEAD, OPTIONS' ], "$_ $place");
    }

    my $r = $t->options($place);

    is_deeply([ $r->code, $r->header('Allow') ], [ 204, 'GET, HEAD, OPTIONS' ],
              "OPTIONS $place");
}

is($t->head($path)->code, 200, 'HEAD');
is($t->get('/api/other/like')->code, 200, 'limit_except lets GET through');
is($t->post('/api/other/like', {})->code, 403, 'and nothing else');
is($t->get('/api/other/like?closed=1')->code, 403, 'if');
is($t->get('/api/reports')->code, 301,
   'the path without its slash is redirected');

{
    my $r = $t->get("$path?tier=top", Accept => 'text/csv');

    is($r->type, 'text/csv', 'CSV');
    is($r->header('Vary'), 'Accept', 'Vary');

    my $want = join '', "country,visits,people,paid,mean\r\n", map {
        join(',', map { $_ // '' } @$_{qw(country visits people paid mean)})
        . "\r\n" } @{ $t->get("$path?tier=top")->json->{data} };

    is($r->body =~ s/\r?\n/\n/gr, $want =~ s/\r\n/\n/gr,
       'the rows of JSON as CSV');

    $r = $t->get('/api/reports/raised', Accept => 'application/x-ndjson');

    is($r->type, 'application/x-ndjson', 'NDJSON');
    is_deeply([ map { DataflowTest::JSON::decode($_) } split /\n/, $r->body ],
              $t->get('/api/reports/raised')->json->{data},
              'the rows of JSON as NDJSON');

    is($t->get('/api/reports/all?year=2024', Accept => 'text/csv')->code, 406,
       'a dashboard is JSON');
    is($t->get($path, Accept => 'image/png')->code, 406, 'not acceptable');
}


# dashboards

sub dashboard {
    my ($path) = @_;

    my $r = $t->get($path);
    return $r->code == 200 ? $r->json : $r->body;
}

{
    my $want = sub {
        my ($where, @values) = @_;

        return {
            'by-country' => { data => rows(sprintf($by_country, $where, 'true'),
                                           @values) },
            'totals' => $t->get('/api/reports/totals')->json,
            'by-month' => $t->get('/api/reports/by-month?year=2024')->json,
        };
    };

    is_deeply(dashboard('/api/reports/all?year=2024'), $want->('true'),
              'a dashboard is its reports');
    is_deeply(dashboard('/api/reports/all?year=2024&tier=top'),
              $want->('p.tier = ?', 'top'), 'its parameters are theirs');
    like($t->get('/api/reports/all?year=2024')->body,
         qr/^\{"by-country":\{"data".*"totals":\{"data".*"by-month":\{"data"/s,
         'in the order that is written');

    refused('/api/reports/all', [400, 'bad_request'], 'year', qr/needs it/);
    refused('/api/reports/all?year=2024&limit=1', [400, 'unknown_parameter'],
            'limit', qr/dashboard \\"all\\" takes no/);
    refused('/api/reports/all?yeer=2024', [400, 'unknown_parameter'], 'yeer',
            qr/did you mean \\"year\\"/);

    my $r = $t->get('/api/reports/failing?by=0');

    is($r->code, 422, 'one that fails fails the dashboard');
    like($r->body, qr/broken/, 'and is named');
    is($t->get('/api/reports/failing?by=2')->code, 200, 'else it does not');

    # one turn, one flush

    my $pool = sub { $t->get('/health')->json->{databases}{test}{pool} };

    $t->get('/api/reports/all?year=2024') for 1 .. 3;
    my $before = $pool->();
    $t->get('/api/reports/all?year=2024') for 1 .. 10;
    my $after = $pool->();

    is("$after->{reads}" - "$before->{reads}", 30, 'each report is a read');
    cmp_ok("$after->{flushes}" - "$before->{flushes}", '<=', 10,
           'and those of a dashboard are sent together');
}


# hostile values are values

for my $value ("it's 3", "' OR true --", "'; DROP TABLE visits; --", '$1',
               '\\', '%', '_', '"', "\x{201d}", '${jndi}', 'now', 'null', ' ',
               '1; SELECT pg_sleep(9)', ')', 'x' x 4000)
{
    my $v = $value;
    utf8::encode($v);

    same('/api/other/p-text?p=' . escaped($v),
         'SELECT count(*) AS n FROM visits WHERE note = ?', $value);
    same('/api/other/like?p=' . escaped($v),
         'SELECT count(*) AS n FROM visits WHERE'
         . ' position(lower(?) IN lower(note)) > 0', $value);
}

is($t->get("/api/reports/" . escaped($_))->code, 404, "no report: $_")
    for "'; DROP TABLE visits", '..', 'x' x 3000, '%00', 'visits%2fby-country';


# many at once, some of which leave

{
    my @clients = map { DataflowTest::Client->new($t) } 1 .. 40;

    for my $i (0 .. $#clients) {
        my $year = 2023 + $i % 4;
        my $place = $i % 3 ? "/api/reports/all?year=$year" : $path;

        $clients[$i]->send('GET', $place);
    }

    $_->close for @clients[grep { $_ % 4 == 0 } 0 .. $#clients];

    my @wrong = grep { $_->code != 200 || $_->{error} }
                map { $clients[$_]->read }
                grep { $_ % 4 } 0 .. $#clients;

    is(@wrong, 0, 'those that stay are answered');
    same($path, sprintf $by_country, 'true', 'true');
}


# who leaves a report that takes long ends it

{
    $dbh->do('SET client_min_messages = warning');
    $dbh->do('DROP TABLE slow');
    $dbh->do('CREATE VIEW slow AS SELECT 1::bigint AS id,'
             . ' pg_sleep(30)::text AS name');

    my $active = sub {
        return scalar $dbh->selectrow_array(
            "SELECT count(*) FROM pg_stat_activity WHERE state = 'active'"
            . " AND datname = current_database() AND query ~ 'slow'"
            . " AND pid <> pg_backend_pid()");
    };

    my $until = sub {
        my ($n) = @_;

        for (1 .. 500) {
            return 1 if $active->() == $n;
            select undef, undef, undef, 0.02;
        }

        return 0;
    };

    for my $place ('slow', 'waiting') {
        my $client = DataflowTest::Client->new($t);

        $client->send('GET', "/api/reports/$place");
        ok($until->(1), "$place: it runs");
        $client->close;
        ok($until->(0), "$place: and is cancelled when its client leaves");
    }

    same('/api/reports/totals', 'SELECT count(*) AS visits, min(at) AS first,'
         . ' max(at) AS last, sum(guests)::numeric / count(rating) AS shares'
         . ' FROM visits');
}


# what reports share is as it was

same("$path?tier=plus", sprintf($by_country, 'p.tier = ?', 'true'), 'plus');
same($path, sprintf $by_country, 'true', 'true');


# the list

{
    my $list = $t->get('/api/reports/')->json;
    my ($first) = @{ $list->{reports} };

    is_deeply([ map { $_->{name} } @{ $list->{reports} } ],
              [qw(visits/by-country by-month raised totals cities tiers
                 nowhere slow broken)],
              'the list: reports');
    is_deeply($first->{aliases}, ['by-country'], 'the list: names');
    is($first->{description}, 'Visits, by the country of who came.',
       'the list: descriptions');
    is_deeply([ map { "$_->{name} $_->{type} "
                      . ($_->{required} ? 'required' : '') }
                @{ $first->{parameters} } ],
              ['since timestamptz ', 'until timestamptz ', 'tier text ',
               'least numeric '], 'the list: parameters');
    is_deeply($first->{parameters}[2]{enum}, [qw(basic plus top)],
              'the list: choices');
    is_deeply([ map { "$_->{name} $_->{type}" } @{ $first->{columns} } ],
              ['country text', 'visits bigint', 'people bigint',
               'paid numeric', 'mean numeric'], 'the list: columns');
    my ($params) = $t->get('/api/reports/')->body
                   =~ /("name":"percent".*?\])/;
    like($params, qr/"default":10\}/, 'the list: a number is one');
    like($params, qr/"default":"true"\}/, 'the list: a text is one');
    is_deeply($list->{dashboards}[0]{reports},
              [qw(by-country totals by-month)], 'the list: dashboards');
    is_deeply([ map { $_->{name} . ($_->{required} ? '!' : '') }
                @{ $list->{dashboards}[0]{parameters} } ],
              [qw(since until tier least year!)],
              'the list: their parameters');
}

# the OpenAPI document

{
    my $doc = $t->get('/openapi.json')->json;
    my $get = $doc->{paths}{'/api/reports/visits/by-country'}{get};
    my %param = map { $_->{name} => $_ } @{ $get->{parameters} };

    is($get->{operationId}, 'analytics.visits.by-country', 'OpenAPI: reports');
    is($get->{summary}, 'Visits, by the country of who came.',
       'OpenAPI: descriptions');
    is_deeply([ sort keys %param ], [qw(least limit since tier until)],
              'OpenAPI: parameters');
    is_deeply($param{tier}{schema}{enum}, [qw(basic plus top)],
              'OpenAPI: choices');
    is_deeply([ @{ $param{limit}{schema} }{qw(maximum default)} ], [200, 200],
              'OpenAPI: limits');
    is($doc->{paths}{'/api/reports/raised'}{get}{parameters}[0]{schema}{default},
       10, 'OpenAPI: defaults');
    ok((grep { $_->{name} eq 'year' && $_->{required} }
        @{ $doc->{paths}{'/api/reports/all'}{get}{parameters} }),
       'OpenAPI: what a dashboard needs');

    my $schemas = $doc->{components}{schemas};
    my $row = $schemas->{'analytics.visits.by-country'}
              {properties}{data}{items}{properties};

    is_deeply([ sort keys %$row ], [qw(country mean paid people visits)],
              'OpenAPI: columns');
    is($schemas->{'analytics.all'}{properties}{'by-country'}{'$ref'},
       '#/components/schemas/analytics.visits.by-country',
       'OpenAPI: a dashboard is its reports');
    is_deeply([ map { $_->{name} } grep { $_->{dashboard} }
                @{ $doc->{'x-dataflow'}{reports} } ],
              [qw(all failing waiting)], 'OpenAPI: what a client offers by name');
    is_deeply($doc->{'x-dataflow'}{reports}[0]{aliases}, ['by-country'],
              'OpenAPI: other names');
    ok($doc->{paths}{'/api/reports'}{get}, 'OpenAPI: the list');
}

is_deeply([ $t->finish ], [], 'nginx ended cleanly');


# the shop's own

open my $f, '<', 'conf/shop.conf' or die $!;
my ($server) = do { local $/; <$f> } =~ /^    server \{\n(.*?)^    \}/ms;
$server =~ s/^\s*(?:listen|dataflow) .*\n//mg;

$t = DataflowTest->new(models => $server)->start;
$dbh = $t->dbh;
$dbh->do('SET TimeZone = UTC');

is(system('psql', '-qXd', $t->conninfo, '-f', 'conf/shop.sql'), 0, 'shop.sql');

my $sales = <<'SQL';
SELECT p.category, sum(i.quantity * i.price) AS revenue,
       sum(i.quantity) AS units, count(DISTINCT i.order_id) AS orders
  FROM order_items i JOIN products p ON p.id = i.product_id
  JOIN orders o ON o.id = i.order_id
 WHERE o.status = 'completed' AND o.created_at >= ? AND o.created_at < ?
 GROUP BY 1 ORDER BY 2 DESC, 1
SQL

same("/api/analytics/$_", $sales, '-infinity', 'infinity')
    for 'products/sales-by-category', 'sales-by-category';
same('/api/analytics/products/sales-by-category?since=2026-01-01T00:00Z'
     . '&until=2026-04-01T00:00Z', $sales, '2026-01-01Z', '2026-04-01Z');

my $months = <<'SQL';
SELECT date_trunc('month', created_at) AS month, sum(total) AS revenue,
       count(*) AS orders, round(avg(total), 2) AS average
  FROM orders WHERE status = ? GROUP BY 1 ORDER BY 1
SQL

same("/api/analytics/$_", $months, 'completed')
    for 'orders/revenue-by-month', 'revenue-by-month';
same('/api/analytics/orders/revenue-by-month?status=cancelled', $months,
     'cancelled');

my $values = <<'SQL';
SELECT o.customer_id, c.name, c.tier, sum(o.total) AS revenue,
       count(*) AS orders, min(o.created_at) AS first_order,
       max(o.created_at) AS last_order
  FROM orders o JOIN customers c ON c.id = o.customer_id
 WHERE o.status = 'completed' AND c.tier LIKE ?
 GROUP BY 1, 2, 3 HAVING sum(o.total) >= ? ORDER BY 4 DESC, 1, 2, 3 LIMIT 100
SQL

same("/api/analytics/$_", $values, '%', 0)
    for 'customers/lifetime-value', 'lifetime-value';
same('/api/analytics/customers/lifetime-value?tier=vip&minimum=10000', $values,
     'vip', 10000);

is_deeply(dashboard('/api/analytics/dashboard'), {
    inventory => { data => rows(<<'SQL') },
SELECT category, sum(price * stock) AS total_value,
       count(*) FILTER (WHERE stock < 10) AS low_stock_count
  FROM products GROUP BY 1 ORDER BY 1
SQL
    revenue => { truncated => JSON::PP::true, data => rows(<<'SQL') },
SELECT date_trunc('day', created_at) AS day, sum(total) AS daily_revenue,
       count(*) AS order_count
  FROM orders WHERE status = 'completed' GROUP BY 1 ORDER BY 1 DESC LIMIT 30
SQL
}, 'the dashboard');

$t->done;
