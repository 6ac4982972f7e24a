use strict;
use warnings;

use Encode ();
use Test::More;

use DataflowTest;

# random expressions, of every type, through HTTP and as SQL written here from
# what the language is said to mean: the same values of the same types

binmode Test::More->builder->$_, ':utf8'
    for qw(output failure_output todo_output);

my $seed = $ENV{DATAFLOW_SEED} // 61;
my $rounds = $ENV{DATAFLOW_ROUNDS} // 1200;

srand $seed;
diag("DATAFLOW_SEED=$seed DATAFLOW_ROUNDS=$rounds");

my $t = DataflowTest->new(allow => qr/SQLSTATE 0A000/,
                          models => <<'CONF')->start;
        location /api/rows {
            dataflow_model rows {
                field tiny  smallint;
                field whole integer;
                field more  integer;
                field big   bigint;
                field num   numeric;
                field dec   numeric(12,2);
                field flt   real;
                field dbl   double;
                field flag  boolean;
                field name  text;
                field code  varchar(20);
                field uid   uuid;
                field day   date;
                field clock time;
                field plain timestamp;
                field at    timestamptz;
                field span  interval;
                field addr  inet;
                field attrs json;
                field tags  text[];
                timestamps  off;
            }
            dataflow_limit_rows default=1000 max=1000;
        }
CONF

my $dbh = $t->dbh;
$dbh->{RaiseError} = 1;
$dbh->{PrintError} = 0;
$dbh->do('SET client_min_messages = error');
$dbh->do('SET TimeZone = UTC');
$dbh->do('SET IntervalStyle = iso_8601');

sub pick { return $_[rand @_] }
sub quote { return "'" . $_[0] =~ s/'/''/gr . "'" }

my @words = ('', 'a', 'A', 'abc', 'aBc d', "it's", '100%', 'a_c', '\\', ' x ',
             "\x{e9}t\x{e9}", 'null', '5');

my %pool = (
    tiny => [-2 .. 3, 100], whole => [-3 .. 4, 40], more => [1, 2, 3, 7],
    big => [0, 1, -5, 9007199254740993],
    num => [qw(0 0.1 1.10 -5 1000 123456789.123456789)],
    dec => [qw(0.00 1.50 99.99 -1)], flt => [qw(0.1 1.5 -2.25 0)],
    dbl => [qw(0.1 0.30000000000000004 -7 100)],
    flag => [qw(true false)], name => \@words, code => \@words,
    uid => ['0189d9c4-5a7e-7b1e-9f4c-3d2a1b0c9e8f',
            '00000000-0000-0000-0000-000000000000'],
    day => [qw(2024-02-29 2024-03-31 1999-12-31)],
    clock => [qw(00:00:00 12:30:00 23:59:59.5)],
    plain => ['2024-02-29T12:00:00', '2023-12-31T23:59:59.999999'],
    at => ['2024-02-29T12:00:00Z', '2024-03-31T00:30:00Z',
           '2023-12-31T23:59:59.999999Z', '2024-10-27T00:30:00Z'],
    span => [qw(P1D PT24H P1M PT-1.5S P1Y2M3DT4H5M6S)],
    addr => [qw(10.0.0.1 10.0.0.0/8 ::1)],
    attrs => ['{"color":"red","size":1}', '{"size":"2","list":[1,2]}', '[]',
              '"a"', '{"color":null,"size":3.50}'],
    tags => ['{}', '{a}', '{a,b}'],
);

my @names = sort keys %pool;

for (1 .. 40) {
    my @values = map { rand() < 0.15 ? 'NULL' : quote(pick(@{ $pool{$_} })) }
                 @names;
    $dbh->do('INSERT INTO rows (' . join(',', @names) . ') VALUES ('
             . join(',', @values) . ')');
}

$dbh->do('ANALYZE rows');


# an expression is [here, SQL, kind of number]; the zone is of the request

my $zone;

sub zoned { return "(($_[0]) AT TIME ZONE '$zone')" }

sub same { return [ $_[0], $_[0], $_[1] ] }

# the arguments of several, put into templates of both

sub made {
    my ($ours, $sql, $kind, @args) = @_;

    for my $which (0, 1) {
        my @texts = map { $_->[$which] } @args;
        ($which ? $sql : $ours) =~ s/\{(\d)\}/$texts[$1 - 1]/g;
    }

    return [ $ours, $sql, $kind ];
}

sub both { my ($text, $kind, @args) = @_; made($text, $text, $kind, @args) }

# numbers: int, num, real or dbl

my %rank = (int => 0, num => 1, real => 2, dbl => 3);

sub arith {
    my ($a, $b) = map { $_->[2] } @_;
    return 'dbl' if $a ne $b && ($a eq 'real' || $b eq 'real');
    return $rank{$a} > $rank{$b} ? $a : $b;
}

sub common {
    my ($kind) = sort { $rank{$b} <=> $rank{$a} } map { $_->[2] } @_;
    return $kind;
}

sub number {
    my ($d, $limit) = @_;
    my $n = _number($d);

    $n = _number($d - 1) while $limit && $rank{ $n->[2] } > $rank{$limit};
    return $n;
}

sub field_number {
    my $f = pick(qw(tiny whole more big num dec flt dbl));
    return same($f, $f =~ /^(?:num|dec)$/ ? 'num' : $f eq 'flt' ? 'real'
                    : $f eq 'dbl' ? 'dbl' : 'int');
}

sub small { return same(pick(0 .. 4), 'int') }

sub _number {
    my ($d) = @_;

    if ($d <= 0) {
        return rand() < 0.7 ? field_number()
             : rand() < 0.6 ? same(pick(0 .. 5, -3, 5000000000), 'int')
                            : same(pick('0.5', '2.50', '1e2', '-1.25'), 'num');
    }

    my $n = number($d - 1);
    my $float = $rank{ $n->[2] } > 1;
    my $to = $float ? 'double precision' : 'numeric';
    my $kind = $float ? 'dbl' : 'num';

    return pick(
        sub {
            my $m = number($d - 1);
            my $op = pick('+', '-', '*');
            return both("({1} $op {2})", arith($n, $m), $n, $m);
        },
        sub {
            my $m = number($d - 1);
            my $ints = $n->[2] eq 'int' && $m->[2] eq 'int';
            return made('({1} / nullif({2}, 0))',
                        '({1}' . ($ints ? '::numeric' : '')
                        . ' / NULLIF({2}, 0))',
                        $ints ? 'num' : arith($n, $m), $n, $m);
        },
        sub { both('({1} / {2})', 'dbl', same('dbl'), $n) },
        sub {
            my @n = (number($d - 1, 'num'), number($d - 1, 'num'));
            return made(pick('({1} % {2})', 'mod({1}, {2})'), '({1} % {2})',
                        arith(@n), @n);
        },
        sub {
            my @n = (number($d - 1, 'int'), number(0, 'int'));
            return made('div({1}, {2})', '({1} / {2})', 'int', @n);
        },
        sub {
            made('div({1}, 0.5)', 'div(({1})::numeric, 0.5)', 'num',
                 number($d - 1, 'num'))
        },
        sub { made('(- {1})', '(- ({1}))', $n->[2], $n) },
        sub { both('abs({1})', $n->[2], $n) },
        sub {
            my $f = pick(qw(round ceil floor trunc sign));
            return made("$f({1})", "$f(({1})::$to)", $kind, $n);
        },
        sub {
            my $f = pick(qw(round trunc));
            return made("$f({1}, {2})", "$f(({1})::numeric, {2})", 'num', $n,
                        small());
        },
        sub { made('sqrt(abs({1}))', "sqrt(abs({1})::$to)", $kind, $n) },
        sub {
            made('power({1}, 2)', "power(({1})::$to, 2::$to)", $kind, $n)
        },
        sub {
            my @n = ($n, map { number($d - 1) } 1 .. 1 + rand 2);
            my $f = pick(qw(greatest least coalesce));
            my $args = join ', ', map { "{$_}" } 1 .. @n;
            return both("$f($args)", common(@n), @n);
        },
        sub { both('nullif({1}, {1})', $n->[2], $n) },
        sub {
            my @n = ($n, number($d - 1));
            my $to = { int => 'bigint', num => 'numeric', real => 'real',
                       dbl => 'double precision' }->{ common(@n) };
            return made('nullif({1}, {2})',
                        "NULLIF(({1})::$to, ({2})::$to)", common(@n), @n)
                if common(@n) ne 'int';
            return both('nullif({1}, {1})', 'int', $n);
        },
        sub {
            my $m = number($d - 1);
            my $c = condition($d - 1);
            return made(pick('case when {1} then {2} else {3} end',
                             'if({1}, {2}, {3})'),
                        'CASE WHEN {1} THEN {2} ELSE {3} END',
                        common($n, $m), $c, $n, $m);
        },
        sub {
            both('case when {1} then {2} when {3} then {4} end', $n->[2],
                 condition($d - 1), $n, condition(0), $n)
        },
        sub { both('length({1})', 'int', text($d - 1)) },
        sub { both('strpos({1}, {2})', 'int', text($d - 1), text(0)) },
        sub { both('({1} - {2})', 'int', date($d - 1), date(0)) },
        sub {
            my $unit = pick(qw(year isoyear quarter month week day dow isodow
                               doy hour minute));
            return made(pick("$unit({1})", "extract($unit from {1})",
                             "extract('$unit', {1})"),
                        "extract($unit FROM " . zoned('{1}') . ')::integer',
                        'int', moment($d - 1));
        },
        sub {
            made('second({1})', 'extract(second FROM ' . zoned('{1}') . ')',
                 'num', moment($d - 1))
        },
        sub { made('epoch({1})', 'extract(epoch FROM {1})', 'num',
                   pick(moment($d - 1), stamp($d - 1), span($d - 1))) },
        sub {
            my $unit = pick(qw(year month day hour minute));
            return made("$unit({1})", "extract($unit FROM {1})::integer",
                        'int', span($d - 1));
        },
        sub { made('integer({1})', '({1})::integer', 'int', $n) },
        sub { made('numeric({1})', '({1})::numeric', 'num', $n) },
        sub { made('double({1})', '({1})::double precision', 'dbl', $n) },
        sub { made('bigint({1})', '({1})::bigint', 'int', $n) },
        sub { both('cardinality(tags)', 'int') },
        sub {
            made('numeric(attrs.size)', "(attrs ->> 'size')::numeric", 'num')
        },
        sub { made('integer({1})', '({1})::integer', 'int',
                   condition($d - 1)) },
    )->();
}

sub text {
    my ($d) = @_;

    if ($d <= 0) {
        my $w = quote(pick(@words));
        return rand() < 0.7 ? same(pick(qw(name code)))
                            : [ $w, "$w\::text" ];
    }

    my $x = text($d - 1);

    return pick(
        sub { my $f = pick(qw(lower upper initcap reverse)); both("$f({1})", '', $x) },
        sub { made('trim({1})', 'btrim({1})', '', $x) },
        sub { both('ltrim({1}, {2})', '', $x, text(0)) },
        sub { my $f = pick(qw(left right)); both("$f({1}, {2})", '', $x, small()) },
        sub { both('substring({1}, {2}, {3})', '', $x, small(), small()) },
        sub { both('replace({1}, {2}, {3})', '', $x, text(0), text(0)) },
        sub { both('({1} || {2})', '', $x, text($d - 1)) },
        sub {
            both('concat({1}, {2}, {3})', '', $x, number($d - 1),
                 condition($d - 1))
        },
        sub { both("split_part({1}, ' ', 1)", '', $x) },
        sub {
            my $f = pick(qw(greatest least coalesce));
            return made("$f({1}, {2})", "$f(({1})::text, {2})", '', $x,
                        text($d - 1));
        },
        sub { both('nullif({1}, {2})', '', $x, text(0)) },
        sub { both('case when {1} then {2} else {3} end', '',
                   condition($d - 1), same('name'), text(0)) },
        sub { made('text({1})', '({1})::text', '', pick(number($d - 1),
                   condition($d - 1), date($d - 1), span($d - 1))) },
        sub {
            made("to_char({1}, 'YYYY-MM-DD HH24')",
                 'to_char(' . zoned('{1}') . ", 'YYYY-MM-DD HH24')", '',
                 moment($d - 1))
        },
        sub { made('attrs.color', "(attrs #>> '{color}')", '') },
        sub { made('text(attrs)', "(attrs #>> '{}')", '') },
        sub { made('json_type(attrs)', 'jsonb_typeof(attrs)', '') },
    )->();
}

my %sign = ('=' => '=', '<' => '<', '<=' => '<=', '>' => '>', '>=' => '>=',
            '!=' => 'IS DISTINCT FROM', '<>' => 'IS DISTINCT FROM');

sub condition {
    my ($d) = @_;

    return pick(same('flag'), same('(whole > 1)'), same('true'),
                same('(name is null)')) if $d <= 0;

    my $sign = pick(sort keys %sign);

    return pick(
        sub { made("({1} $sign {2})", "({1} $sign{$sign} {2})", '',
                   map { number($d - 1, 'num') } 1, 2) },
        sub { made("({1} $sign {2})", "({1} $sign{$sign} {2})", '',
                   map { text($d - 1) } 1, 2) },
        sub { made("({1} $sign {2})", "({1} $sign{$sign} {2})", '',
                   map { moment($d - 1) } 1, 2) },
        sub { made("({1} $sign {2})", "({1} $sign{$sign} " . '{2}::timestamp'
                   . " AT TIME ZONE '$zone')", '', moment($d - 1),
                   date($d - 1)) },
        sub { made("({1} $sign {2})", "({1} $sign{$sign} {2})", '',
                   map { span($d - 1) } 1, 2) },
        sub { made("({1} $sign {2})", "({1} $sign{$sign} {2})", '',
                   date($d - 1), stamp($d - 1)) },
        sub { made("(flt $sign 0.1)", "(flt $sign{$sign} 0.1::real)", '') },
        sub { my $op = pick(qw(and or)); both("({1} $op {2} $op {3})", '', map { condition($d - 1) } 1 .. 3) },
        sub { both('(not {1})', '', condition($d - 1)) },
        sub { made('({1} is null)', '(({1}) IS NULL)', '', number($d - 1)) },
        sub { made('({1} is not null)', '(({1}) IS NOT NULL)', '',
                   text($d - 1)) },
        sub { made('({1} = null)', '(({1}) IS NULL)', '', moment($d - 1)) },
        sub { both('({1} between {2} and {3})', '',
                   map { number($d - 1, 'num') } 1 .. 3) },
        sub { made('({1} not between {2} and {3})',
                   '(NOT ({1} BETWEEN {2} AND {3}))', '',
                   map { text($d - 1) } 1 .. 3) },
        sub { both('({1} in (1, 2.5, -3))', '', number($d - 1, 'num')) },
        sub { made('({1} in (1, null))', '({1} IN (1) OR ({1}) IS NULL)', '',
                   number($d - 1, 'num')) },
        sub { made("({1} not in ('a', 'abc'))",
                   "({1} NOT IN ('a', 'abc') OR ({1}) IS NULL)", '',
                   text($d - 1)) },
        sub { made("({1} in ({2}, {3}))", "({1} IN ({2}, {3}))", '',
                   text($d - 1), text(0), text($d - 1)) },
        sub { made('({1} contains {2})', '(position({2} in {1}) > 0)', '',
                   text($d - 1), text(0)) },
        sub { made('({1} icontains {2})',
                   '(position(lower({2}) in lower({1})) > 0)', '',
                   text($d - 1), text(0)) },
        sub { made('({1} startswith {2})', '(left({1}, length({2})) = {2})',
                   '', text($d - 1), text(0)) },
        sub { made('({1} iendswith {2})', '(right(lower({1}), '
                   . 'length(lower({2}))) = lower({2}))', '', text($d - 1),
                   text(0)) },
        sub { both("({1} like '%a_c%')", '', text($d - 1)) },
        sub { made("({1} ~* '^a')", "({1} ~* '^a')", '', text($d - 1)) },
        sub { both('starts_with({1}, {2})', '', text($d - 1), text(0)) },
        sub { both('coalesce({1}, false)', '', condition($d - 1)) },
        sub { made('({1} = {2})', '(({1}) = ({2}))', '', condition($d - 1),
                   condition($d - 1)) },
    )->();
}

sub date {
    my ($d) = @_;

    return pick(same('day'), [ "date '2024-03-01'", "'2024-03-01'::date" ],
                [ "date('2024-03-01')", "'2024-03-01'::date" ]) if $d <= 0;

    return pick(
        sub { both('({1} + {2})', '', date($d - 1), small()) },
        sub { both('({1} - {2})', '', date($d - 1), small()) },
        sub { made('date({1})', zoned('{1}') . '::date', '',
                   moment($d - 1)) },
        sub { made('date({1})', '({1})::date', '', stamp($d - 1)) },
        sub {
            my $unit = pick(qw(week month quarter year));
            return made("date_trunc('$unit', {1})",
                        "date_trunc('$unit', ({1})::timestamp)::date", '',
                        date($d - 1));
        },
        sub { both('coalesce({1}, {2})', '', date($d - 1), date(0)) },
    )->();
}

sub stamp {
    my ($d) = @_;

    return pick(same('plain'), [ "timestamp '2024-03-01T10:00:00'",
                                 "'2024-03-01 10:00'::timestamp" ]) if $d <= 0;

    return pick(
        sub { both('({1} + {2})', '', stamp($d - 1), span($d - 1)) },
        sub { both('({1} - {2})', '', date($d - 1), span($d - 1)) },
        sub { both('({1} + clock)', '', date($d - 1)) },
        sub { both("date_trunc('hour', {1})", '', stamp($d - 1)) },
        sub { made('timestamp({1})', zoned('{1}'), '', moment($d - 1)) },
        sub { made('greatest({1}, {2})', 'greatest({1}, {2}::timestamp)', '',
                   stamp($d - 1), date($d - 1)) },
    )->();
}

sub moment {
    my ($d) = @_;

    return pick(same('at'), [ "timestamptz '2024-03-31T01:30:00Z'",
                              "'2024-03-31 01:30Z'::timestamptz" ])
        if $d <= 0;

    return pick(
        sub { both('({1} + {2})', '', moment($d - 1), span($d - 1)) },
        sub { made("({1} - '1 day')", "({1} - '1 day'::interval)", '',
                   moment($d - 1)) },
        sub {
            my $unit = pick(qw(day week month quarter year));
            return made("date_trunc('$unit', {1})",
                        "(date_trunc('$unit', " . zoned('{1}')
                        . ") AT TIME ZONE '$zone')", '', moment($d - 1));
        },
        sub { made("date_trunc('hour', {1})",
                   "date_trunc('hour', {1}, '$zone')", '', moment($d - 1)) },
        sub { made('timestamptz({1})', "(({1}) AT TIME ZONE '$zone')", '',
                   stamp($d - 1)) },
        sub { made('coalesce({1}, {2})', 'coalesce({1}, {2}::timestamp'
                   . " AT TIME ZONE '$zone')", '', moment($d - 1),
                   date($d - 1)) },
        sub { made("date_bin('15 minutes', {1})",
                   "date_bin('15 minutes', {1}, '2000-01-03'::timestamp"
                   . " AT TIME ZONE '$zone')", '', moment($d - 1)) },
    )->();
}

sub span {
    my ($d) = @_;

    return pick(same('span'), [ "interval '1 day 2 hours'",
                                "'1 day 2 hours'::interval" ]) if $d <= 0;

    return pick(
        sub { both('({1} - {2})', '', moment($d - 1), moment($d - 1)) },
        sub { both('({1} - {2})', '', stamp($d - 1), stamp($d - 1)) },
        sub { both('({1} + {2})', '', span($d - 1), span($d - 1)) },
        sub { both('({1} * 2)', '', span($d - 1)) },
        sub { both('({1} / 3)', '', span($d - 1)) },
        sub { made('age({1}, {2})', 'age(' . zoned('{1}') . ', '
                   . zoned('{2}') . ')', '', moment($d - 1), moment(0)) },
        sub { both('(clock - clock)', '') },
    )->();
}

# whatever the type is: also what only has to come through

sub any {
    my ($d) = @_;

    return pick(
        sub { number($d) }, sub { number($d) }, sub { number($d) },
        sub { text($d) }, sub { text($d) }, sub { condition($d) },
        sub { condition($d) }, sub { date($d) }, sub { stamp($d) },
        sub { moment($d) }, sub { span($d) },
        sub { same(pick(qw(uid addr attrs tags clock tiny))) },
        sub { both('coalesce(code, code)', '') },
        sub { both('nullif(code, name)', '') },
        sub { [ 'nullif(code, code)', 'nullif(code::text, code::text)' ] },
        sub { made('time({1})', zoned('{1}') . '::time', '', moment(1)) },
        sub { both('(clock + span)', '') },
        sub { both('case when flag then uid end', '') },
        sub { both('coalesce(tags, tags)', '') },
        sub { both('coalesce(null, tiny)', '') },
        sub { both('(tiny * tiny)', '') },
    )->();
}

sub aggregate {
    my ($d) = @_;

    my $rows = rand() < 0.2 ? condition(1) : undef;
    my $x = number($d);

    my $agg = pick(
        sub {
            my $f = pick(qw(sum avg min max stddev variance stddev_pop
                            var_pop));
            return both("$f({1})", '', $x);
        },
        sub { both('sum(distinct {1})', '', number($d, 'num')) },
        sub {
            made('round(sum({1}) * 2 / count(*), 3)',
                 'round((sum({1}) * 2)::numeric / count(*), 3)', 'none',
                 number($d, 'num'))
        },
        sub { both('count({1})', '', $x) },
        sub { both('count(*)', '') },
        sub { made(pick('count_distinct({1})', 'count(distinct {1})'),
                   'count(DISTINCT {1})', '', any($d)) },
        sub { my $f = pick(qw(min max));
              both("$f({1})", '', pick(text($d), date($d), moment($d),
                                       span($d), same('addr'), same('code'))) },
        sub { my $f = pick(qw(sum avg)); both("$f({1})", '', span($d)) },
        sub { my $f = pick(qw(bool_and bool_or)); both("$f({1})", '', condition($d)) },
        sub { made('median({1})', 'percentile_cont(0.5) WITHIN GROUP (ORDER'
                   . ' BY ({1})::double precision)', '', $x) },
        sub { made('percentile(0.9, {1})', 'percentile_cont(0.9) WITHIN GROUP'
                   . ' (ORDER BY {1})', '', span($d)) },
        sub { made('percentile_disc(0.25, {1})', 'percentile_disc(0.25) WITHIN'
                   . ' GROUP (ORDER BY {1})', '', pick(text($d), $x)) },
        sub { made('mode({1})', 'mode() WITHIN GROUP (ORDER BY {1})', '',
                   text($d)) },
    )->();

    $agg = made('{1} filter (where {2})', '{1} FILTER (WHERE {2})', '', $agg,
                $rows) if $rows && $agg->[2] ne 'none';

    return $agg;
}


# what is answered is what SQL has, of the type that SQL says it has

sub type_of {
    my ($sql, $group) = @_;
    return $dbh->selectrow_array("SELECT format_type(t.oid, NULL), t.typcategory"
        . " FROM pg_type t WHERE t.oid = (SELECT pg_typeof(x) FROM (SELECT"
        . " ($sql) AS x FROM rows " . ($group ? 'GROUP BY flag' : '')
        . ' LIMIT 1) s)');
}

sub differs {
    my ($type) = @_;

    return 'e.v::jsonb <> to_jsonb(s.x)' if $type =~ /\[\]$/;
    return "e.v <> (s.x)::text" if $type =~ /^(?:small|big)?int|^numeric/;
    return "abs(e.v::float8 - s.x) > 1e-9 * greatest(abs(s.x), 1e-300)"
        if $type eq 'double precision';
    return "abs(e.v::float8 - s.x) > 1e-4 * greatest(abs(s.x), 1e-30)"
        if $type eq 'real';
    return 'e.j <> s.x' if $type eq 'jsonb';
    return 'e.v::interval::text <> s.x::text' if $type eq 'interval';
    return 'e.v <> s.x' if $type =~ /^(?:text|character)/;
    return "e.v::$type <> s.x";
}

sub compared {
    my ($e, $body, $group) = @_;
    my ($type) = type_of($e->[1], $group);
    my $key = $group ? 'flag' : 'id';
    my $from = $group ? 'GROUP BY flag' : '';
    my $differs = differs($type);

    return ($type, $dbh->selectrow_array(<<"SQL", undef, $body, $type));
        SELECT concat_ws(' ', 'key', coalesce(e.k, s.k), 'http', e.v, 'SQL',
                         (s.x)::text)
        FROM (SELECT o->>'k' AS k, o->>'v' AS v, o->'v' AS j
              FROM jsonb_array_elements((?::jsonb)->'data') o) e
        FULL JOIN (SELECT ($key)::text AS k, ($e->[1]) AS x FROM rows $from) s
        ON coalesce(e.k, '') = coalesce(s.k, '')
        WHERE (e.v IS NULL) <> (s.x IS NULL) OR ($differs)
              OR length(?::text) = 0
        LIMIT 1
SQL
}

sub escaped {
    my ($text) = @_;
    utf8::encode($text);
    return $text =~ s/([^A-Za-z0-9\-._~])/sprintf '%%%02X', ord $1/ger;
}

sub check {
    my ($e, $group, $wrong) = @_;

    my $query = $group
        ? '/api/rows/aggregate?group_by=flag%20as%20k&aggregate='
        : '/api/rows/aggregate?group_by=id%20as%20k,';
    my $r = $t->get($query . escaped("$e->[0] as v") . '&timezone='
                    . escaped($zone));

    if ($r->code == 422) {
        my $from = $group ? 'GROUP BY flag' : '';

        return 'failed' if !eval { $dbh->selectall_arrayref(
            "SELECT ($e->[1]) FROM rows $from") };
    }

    my ($type, $wrongness) = eval {
        compared($e, Encode::decode_utf8($r->body), $group)
    };
    my $error = $@ =~ s/\n.*//sr;

    if ($r->code != 200) {
        $wrongness = $r->body;

    } elsif ($error) {
        $wrongness = $error;
    }

    return 'found' unless defined $wrongness;

    if ($$wrong++ < 10) {
        fail($group ? 'an aggregate' : 'an expression');
        diag("$e->[0]\n$e->[1]\nzone $zone, type " . ($type // '?')
             . "\n$wrongness");
    }

    return 'wrong';
}


subtest 'random expressions of rows' => sub {
    my ($wrong, %count) = 0;

    for (1 .. $rounds) {
        $zone = pick('UTC', 'UTC', 'Europe/Berlin', 'America/New_York',
                     'Asia/Kathmandu');
        $count{ check(any(1 + rand 3), 0, \$wrong) }++;
    }

    is($wrong, 0, "$rounds expressions");
    cmp_ok($count{found}, '>', $rounds / 2, 'most of them have values');
    cmp_ok($count{failed}, '>', 0, 'and some fail in both');
};


subtest 'random aggregates' => sub {
    my ($wrong, %count) = 0;

    for (1 .. $rounds / 2) {
        $zone = pick('UTC', 'Europe/Berlin');
        $count{ check(aggregate(rand 2.5), 1, \$wrong) }++;
    }

    is($wrong, 0, $rounds / 2 . ' aggregates');
    cmp_ok($count{found}, '>', $rounds / 4, 'most of them have values');
};


subtest 'a condition finds the rows of which it is true' => sub {
    my $wrong = 0;

    for (1 .. $rounds / 2) {
        $zone = 'UTC';

        my $c = condition(1 + rand 3);
        my $r = $t->get('/api/rows?fields=id&where=' . escaped($c->[0]));
        my $want = eval { join ' ', @{ $dbh->selectcol_arrayref(
            "SELECT id FROM rows WHERE $c->[1] ORDER BY id") } } // 'failed';
        my $have = $r->code == 200
            ? join ' ', map { "$_->{id}" } @{ $r->json->{data} }
            : $r->code == 422 ? 'failed' : $r->body;

        if ($want ne $have && $wrong++ < 10) {
            fail('a condition');
            diag("$c->[0]\n$c->[1]\nSQL:  $want\nHTTP: $have");
        }
    }

    is($wrong, 0, $rounds / 2 . ' conditions');
};


$t->done;
