use strict;
use warnings;

use JSON::PP ();
use Test::More;

use DataflowTest;

# random filters, through HTTP and as SQL written here from what the operators
# are said to mean

binmode Test::More->builder->$_, ':utf8'
    for qw(output failure_output todo_output);

my $seed = $ENV{DATAFLOW_SEED} // 34;
my $rounds = $ENV{DATAFLOW_ROUNDS} // 3000;

srand $seed;
diag("DATAFLOW_SEED=$seed DATAFLOW_ROUNDS=$rounds");

my $t = DataflowTest->new(models => <<'CONF')->start;
        location /api/rows {
            dataflow_model rows {
                field tiny    smallint;
                field whole   integer;
                field big     bigint;
                field num     numeric;
                field dec     numeric(12,2);
                field flt     real;
                field dbl     double;
                field flag    boolean;
                field name    text;
                field code    varchar(20);
                field uid     uuid;
                field day     date;
                field clock   time;
                field plain   timestamp;
                field at      timestamptz;
                field span    interval;
                field bin     bytea;
                field addr    inet;
                field attrs   json;
                field nums    integer[];
                field tags    text[];
                field days    date[];
                field odd_in integer;
                field secret  text hidden;
            }
            dataflow_limit_rows default=1000 max=1000;
        }
CONF

my $dbh = $t->dbh;
$dbh->do('SET client_min_messages = warning');
my $json = JSON::PP->new->allow_nonref->utf8->canonical;

sub pick { return $_[rand @_] }
sub quoted { return $json->encode("$_[0]") }
sub sql { return $dbh->quote($_[0]) }


# values of each type: [text for SQL and for a query string, JSON]; few enough
# to be met

sub numbers { return map { [ $_, $_ ], [ $_, qq("$_") ] } @_ }
sub strings { return map { [ $_, quoted($_) ] } @_ }

my @words = ('', 'a', 'A', 'abc', 'ABC', 'aBc d', 'b', '100%', '_', 'a_c',
             'a\\b', '\\', '%', "it's", '"q"', 'x;y', 'null', 'NULL', 'true',
             '5', '10', "\x{e9}", "\x{c9}", "\x{20ac}5", 'red car', 'Car',
             'blue', "tab\there", '$1', '{}', ' ');

my %pool = (
    smallint => [numbers(-2 .. 3, 32767)],
    integer => [numbers(-2 .. 3, 2147483647)],
    bigint => [numbers(0, 1, '9007199254740993', '9007199254740992',
                       '-9223372036854775808')],
    numeric => [numbers('0', '0.1', '1.10', '1.1', '-5', '1e3', '1000.0',
                        '123456789012345678901234567890.1'),
                ['NaN', '"NaN"'], ['Infinity', '"Infinity"']],
    'numeric(12,2)' => [numbers('0.00', '1.50', '1.5', '99.99', '-1')],
    real => [numbers('0.1', '1.5', '16777216', '-0', '0'), ['NaN', '"NaN"']],
    'double precision' => [numbers('0.1', '0.30000000000000004', '0.3', '-0',
                                   '1e300'), ['Infinity', '"Infinity"']],
    boolean => [['true', 'true'], ['false', 'false']],
    text => [strings(@words)],
    'varchar(20)' => [strings(@words)],
    uuid => [strings('0189d9c4-5a7e-7b1e-9f4c-3d2a1b0c9e8f',
                     '00000000-0000-0000-0000-000000000000',
                     'FFFFFFFF-FFFF-FFFF-FFFF-FFFFFFFFFFFF')],
    date => [strings('2024-02-29', '2024-03-01', '1999-12-31', 'infinity')],
    time => [strings('00:00:00', '12:30:00', '12:30:00.5', '24:00:00')],
    timestamp => [strings('2024-02-29T12:00:00', '2024-02-29T12:00:00.000001',
                          '1970-01-01T00:00:00')],
    timestamptz => [strings('2024-02-29T12:00:00Z',
                            '2024-02-29T14:00:00+02:00',
                            '2024-02-29T12:00:00.5-00:30', '-infinity')],
    interval => [strings('P1D', 'PT24H', 'P30D', 'P1M', 'PT-1.5S', 'PT0S')],
    bytea => [['', '""'], ["\\x00", '"AA=="', 'AA=='],
              ["\\xff", '"/w=="', '_w'], ["\\x00ff", '"AP8="', 'AP8']],
    inet => [strings('10.0.0.1', '10.0.0.0/8', '10.0.0.1/8', '::1',
                     '2001:db8::/32', '::ffff:10.0.0.1')],
);

my @documents = ('{"color":"red","size":1}', '{"color":"blue","size":"1"}',
                 '{"color":null,"size":10.50}', '{"size":2}', '[]', '{}',
                 '{"deep":{"list":[1,"a",{"x":null}]},"color":["red"]}',
                 '["a","b"]', '"a"', '5', '{"a":true,"size":1.0}',
                 '{"color":"Red","size":9007199254740993,"a":{"b":1}}',
                 '{"size":-1,"color":"10"}');

my @paths = (['color'], ['size'], ['a'], ['a', 'b'], ['deep', 'list', '0'],
             ['deep', 'list', '2', 'x'], ['0'], ['none'], ['deep', 'list']);

my %scalar = (tiny => 'smallint', whole => 'integer', big => 'bigint',
              num => 'numeric', dec => 'numeric(12,2)', flt => 'real',
              dbl => 'double precision', flag => 'boolean', name => 'text',
              code => 'varchar(20)', uid => 'uuid', day => 'date',
              clock => 'time', plain => 'timestamp', at => 'timestamptz',
              span => 'interval', bin => 'bytea', addr => 'inet',
              odd_in => 'integer');

my %array = (nums => 'integer', tags => 'text', days => 'date');


sub fill {
    my @names = (sort(keys %scalar), sort(keys %array), 'attrs');

    for (1 .. 150) {
        my @values = map { rand() < 0.15 ? 'NULL' : stored($_) } @names;

        $dbh->do('INSERT INTO rows (' . join(',', @names) . ') VALUES ('
                 . join(',', @values) . ')');
    }
}

sub stored {
    my ($name) = @_;
    my $type = $scalar{$name} // $array{$name}
        or return sql(pick(@documents)) . '::jsonb';

    return cast(pick(@{ $pool{$type} }), $type) if $scalar{$name};
    return list_sql($type, map { rand() < 0.2 ? undef : pick(@{ $pool{$type} }) }
                           1 .. rand 4);
}

sub cast { return sql($_[0][0]) . "::$_[1]" }

sub list_sql {
    my ($type, @values) = @_;
    return 'ARRAY[' . join(',', map { $_ ? cast($_, $type) : 'NULL' } @values)
           . "]::$type\[]";
}


# a comparison: { json => its operators' object, suffix => [name, text] or
# undef, sql }

my @equal = qw(eq ne in nin);
my @order = qw(gt gte lt lte between);
my @text = qw(contains icontains startswith istartswith endswith iendswith
              like ilike regex iregex search);
my @elements = qw(has has_any has_all overlap contains);
my %compare = (gt => '>', gte => '>=', lt => '<', lte => '<=');


sub comparison {
    my $what = rand;

    return json_comparison() if $what < 0.1;
    return path_comparison() if $what < 0.3;

    my $name = $what < 0.45 ? pick(sort keys %array)
                            : pick(sort keys %scalar);

    return null_comparison($name, $name) if rand() < 0.08;
    return array_comparison($name) if $array{$name};
    return scalar_comparison($name);
}


sub null_comparison {
    my ($name, $left, $negative) = @_;
    my $op = pick(qw(isnull eq ne));
    my $yes = pick('true', 'false');

    return made($name, isnull => $yes, $yes,
                "($left IS " . ($yes eq 'true' ? '' : 'NOT ') . 'NULL)')
        if $op eq 'isnull';

    return made($name, $op, 'null', undef,
                "($left IS " . ($op eq 'ne' ? 'NOT ' : '') . 'NULL)');
}


sub made {
    my ($name, $op, $json, $text, $sql) = @_;

    my $plain = $op eq 'eq' && rand() < 0.5 && $json !~ /^\{/;

    return {
        name => $name,
        op => $op,
        json => $plain ? $json : qq({"\$$op":$json}),
        operators => $plain ? undef : qq("\$$op":$json),
        suffix => defined $text ? [ $op eq 'eq' && rand() < 0.7 && $name !~ /__/
                                    ? $name : "${name}__$op", $text ] : undef,
        sql => $sql,
    };
}


# what stands in a query string; lists only where no value holds a comma

sub text_of { return $_[0][2] // ($_[0][1] =~ /^"/ && $_[0][0] =~ /^\\x/
                                  ? substr($_[0][1], 1, -1) : $_[0][0]) }

sub characters { my ($text) = @_; utf8::decode($text); return $text }

sub texts_of {
    return undef if !@_ || grep { !defined || text_of($_) =~ /,/ } @_;
    return join ',', map { text_of($_) } @_;
}


sub scalar_comparison {
    my ($name) = @_;
    my $type = $scalar{$name};
    my @pool = @{ $pool{$type} };
    my $is_text = $type eq 'text' || $type =~ /^varchar/;

    my $op = pick(@equal, @order, $is_text ? @text : ());
    my $v = pick(@pool);

    return made($name, $op, $v->[1], text_of($v), "($name = "
                . cast($v, $type) . ')') if $op eq 'eq';

    return made($name, $op, $v->[1], text_of($v), "($name IS DISTINCT FROM "
                . cast($v, $type) . ')') if $op eq 'ne';

    return made($name, $op, $v->[1], text_of($v), "($name $compare{$op} "
                . cast($v, $type) . ')') if $compare{$op};

    if ($op eq 'between') {
        my $w = pick(@pool);
        return made($name, $op, "[$v->[1],$w->[1]]", texts_of($v, $w),
                    "($name >= " . cast($v, $type) . " AND $name <= "
                    . cast($w, $type) . ')');
    }

    return in_comparison($name, $name, $op, sub { cast($_[0], $type) }, @pool)
        if $op eq 'in' || $op eq 'nin';

    return text_comparison($name, $name, $op);
}


sub in_comparison {
    my ($name, $left, $op, $cast, @pool) = @_;

    my @values = map { rand() < 0.1 ? undef : pick(@pool) } 1 .. rand 4;
    my $null = grep { !defined } @values;
    my @given = grep { defined } @values;

    my $among = join(' OR ', map { "$left = " . $cast->($_) } @given)
                || 'FALSE';

    my $sql = $op eq 'nin'
        ? "CASE WHEN $left IS NULL THEN " . ($null ? 'FALSE' : 'TRUE')
          . " ELSE NOT ($among) END"
        : "CASE WHEN $left IS NULL THEN "
          . ($null ? 'TRUE' : @values ? 'NULL' : 'FALSE')
          . " ELSE ($among) END";

    return made($name, $op, '[' . join(',', map { $_ ? $_->[1] : 'null' }
                                              @values) . ']',
                texts_of(@values), "($sql)");
}


sub text_comparison {
    my ($name, $left, $op) = @_;

    my $word = pick(@words, 'c', 'ca', "\x{e9}", 'b');
    my $v = sql($word);

    my ($f, $g) = $op =~ /^i(?!n)/ ? ("lower($left)", "lower($v)")
                                   : ($left, $v);

    my $sql = $op =~ /contains/ ? "strpos($f, $g) > 0"
            : $op =~ /startswith/ ? "left($f, length($g)) = $g"
            : $op =~ /endswith/ ? "right($f, length($g)) = $g"
            : undef;

    if ($op =~ /like/) {
        $word = pick('%', '_', 'a%', '%c', '_b_', 'A%', '', '100\\%', 'a\\_c',
                     '\\\\', '%\'%', "\x{c9}", '%a%b%');
        $sql = "$left " . uc($op) . ' ' . sql($word);

    } elsif ($op =~ /regex/) {
        $word = pick('^a', 'c$', '^[a-c]+$', '\\d', '.', '', '(red|blue)', 'B',
                     "\x{e9}", '^.{3}$', '\\\\', 'a(?=b)');
        $sql = "$left " . ($op eq 'regex' ? '~' : '~*') . ' ' . sql($word);

    } elsif ($op eq 'search') {
        $word = pick('red', 'car', 'red car', 'red or blue', '-red', '"red car"',
                     '', '!', 'NULL');
        $sql = "to_tsvector('simple', $left)"
               . " @@ websearch_to_tsquery('simple', " . sql($word) . ')';
    }

    return made($name, $op, quoted($word), $word, "($sql)");
}


sub array_comparison {
    my ($name) = @_;
    my $type = $array{$name};
    my @pool = @{ $pool{$type} };
    my $op = pick('eq', 'ne', @elements);

    my @values = map { pick(@pool) } 1 .. ($op eq 'has' ? 1 : rand 3);

    if ($op eq 'eq' || $op eq 'ne') {
        @values = map { rand() < 0.2 ? undef : $_ } @values;

        my $text = '[' . join(',', map { $_ ? $_->[1] : 'null' } @values)
                   . ']';
        my $is = $op eq 'eq' ? '=' : 'IS DISTINCT FROM';

        return made($name, $op, $text, characters($text),
                    "($name $is " . list_sql($type, @values) . ')');
    }

    my @each = map {
        "EXISTS (SELECT 1 FROM unnest($name) e WHERE e = " . cast($_, $type)
        . ')'
    } @values;

    my $found = $op =~ /all|contains/ ? join(' AND ', @each) || 'TRUE'
                                      : join(' OR ', @each) || 'FALSE';

    return made($name, $op,
                $op eq 'has' ? $values[0][1]
                             : '[' . join(',', map { $_->[1] } @values) . ']',
                $op eq 'has' ? text_of($values[0]) : texts_of(@values),
                "(CASE WHEN $name IS NOT NULL THEN $found END)");
}


sub keys_comparison {
    my ($name, $left, $op) = @_;

    my @names = map { pick('color', 'size', 'a', 'b', 'none', 'red', "it's") }
                    1 .. ($op eq 'has' ? 1 : rand 3);
    my @each = map {
        "(CASE jsonb_typeof($left) WHEN 'object' THEN EXISTS (SELECT 1 FROM"
        . " jsonb_object_keys(CASE jsonb_typeof($left) WHEN 'object' THEN"
        . " $left ELSE '{}' END) k WHERE k = " . sql($_) . ')'
        . " WHEN 'array' THEN $left \@> jsonb_build_array(" . sql($_)
        . "::text) WHEN 'string' THEN $left = to_jsonb(" . sql($_)
        . "::text) WHEN NULL THEN NULL ELSE FALSE END)"
    } @names;

    my $found = $op eq 'has_all' ? join(' AND ', @each) || 'TRUE'
                                 : join(' OR ', @each) || 'FALSE';
    my @json = map { quoted($_) } @names;

    return made($name, $op, $op eq 'has' ? $json[0]
                                         : '[' . join(',', @json) . ']',
                @names ? join(',', @names) : undef,
                "(CASE WHEN $left IS NOT NULL THEN $found END)");
}


sub json_comparison {
    my $name = 'attrs';
    my $op = pick(@equal, 'contains', 'has', 'has_any', 'has_all', 'overlap',
                  'isnull');
    my @pool = map { [ $_, $_ ] } grep { !/,/ } @documents;
    my $v = pick(@pool);

    # an object is not a shorter eq, it would be taken for operators

    return null_comparison($name, $name) if $op eq 'isnull';

    return in_comparison($name, $name, $op, sub { cast($_[0], 'jsonb') },
                         @pool) if $op =~ /^n?in$/;
    return keys_comparison($name, $name, $op) if $op =~ /^(has|overlap)/;

    my $is = $op eq 'eq' ? '=' : $op eq 'ne' ? 'IS DISTINCT FROM' : '@>';
    $v = [ ('{"color":"red"}') x 2 ] if $op eq 'contains' && rand() < 0.5;

    return made($name, $op, $v->[1], $v->[0],
                "($name $is " . cast($v, 'jsonb') . ')');
}


sub path_comparison {
    my @path = @{ pick(@paths) };
    my $name = join '.', 'attrs', @path;
    my $args = join ', ', 'attrs', map { sql($_) } @path;
    my $value = "jsonb_extract_path($args)";
    my $text = "jsonb_extract_path_text($args)";

    my $op = pick(@equal, @order, @text[0 .. 9], 'isnull', 'has', 'has_any',
                  'has_all', 'overlap');

    return null_comparison($name, $text) if $op eq 'isnull';
    return text_comparison($name, $text, $op) if grep { $_ eq $op } @text;
    return keys_comparison($name, $value, $op) if $op =~ /^(has|overlap)/;

    my @numbers = ('1', '1.0', '10.5', '-1', '2', '9007199254740993', '1e0');
    my @strings = ('red', 'blue', '1', 'true', 'a', 'Red', '');
    my $suffix = rand() < 0.5;

    if ($op eq 'eq' || $op eq 'ne' || $op =~ /^n?in$/) {
        my ($left, $cast, @pool);

        if ($suffix) {
            @pool = strings(@strings, '10.50', '{}');
            ($left, $cast) = ($text, sub { sql($_[0][0]) });

        } else {
            @pool = map { [ $_, $_ ] } 'true', '[]', '["red"]', @numbers,
                                       map { quoted($_) } @strings;
            ($left, $cast) = ($value, sub { cast($_[0], 'jsonb') });
        }

        my $c;

        if ($op =~ /^n?in$/) {

            # a null among the values is JSON's null as well

            $left = "(CASE WHEN $text IS NOT NULL THEN $left END)";
            $c = in_comparison($name, $left, $op, $cast, @pool);
            my $has_null = $c->{json} =~ /null/;

            return $suffix ? only($c, 'suffix') // path_comparison()
                           : $has_null ? only($c, 'json') : only_json_in($c);
        }

        my $v = pick(@pool);
        my $is = $op eq 'eq' ? '=' : 'IS DISTINCT FROM';

        $c = made($name, $op, $v->[1], $v->[0],
                  "($left $is " . $cast->($v) . ')');
        return only($c, $suffix ? 'suffix' : 'json');
    }

    my $number = rand() < 0.5;
    my $left = $number
        ? "(CASE WHEN jsonb_typeof($value) = 'number' THEN $value END)::numeric"
        : "($text COLLATE \"C\")";
    my @pool = $number ? map { [ $_, $_ ] } @numbers
                       : strings(grep { !/^1/ } @strings);
    my $cast = sub { $number ? sql($_[0][0]) . '::numeric' : sql($_[0][0]) };
    my ($v, $w) = (pick(@pool), pick(@pool));

    return made($name, $op, "[$v->[1],$w->[1]]", texts_of($v, $w),
                "($left >= " . $cast->($v) . " AND $left <= " . $cast->($w)
                . ')') if $op eq 'between';

    return made($name, $op, $v->[1], text_of($v),
                "($left $compare{$op} " . $cast->($v) . ')');
}


# text in a query string and JSON in JSON compare differently at a path

sub only {
    my ($c, $how) = @_;
    return undef if $how eq 'suffix' && !$c->{suffix};
    delete $c->{$_} for $how eq 'json' ? 'suffix' : qw(json operators);
    return $c;
}

sub only_json_in {
    my ($c) = @_;
    my $value = $c->{sql};

    # no null among the operands: a stored JSON null is a value that is not
    # in the list, so it may not be looked at as NULL

    $value =~ s/\(CASE WHEN \S+\([^)]*\) IS NOT NULL THEN (\S+\([^)]*\)) END\)/$1/g;
    $c->{sql} = $value;
    return only($c, 'json');
}


# trees

sub tree {
    my ($depth) = @_;
    my $kind = $depth > 3 ? 0 : rand;

    if ($kind < 0.45) {
        my $c = comparison();
        $c = comparison() until defined $c->{json};
        return [ quoted($c->{name}) . ":$c->{json}", $c->{sql} ];
    }

    if ($kind < 0.6) {

        # several operators on one field

        my (@c, %seen);

        for (1 .. 40) {
            my $c = comparison();
            next unless $c->{operators} && !$seen{$c->{op}};
            next if @c && $c->{name} ne $c[0]{name};
            $seen{$c->{op}} = 1;
            push @c, $c;
        }

        return [ quoted($c[0]{name}) . ':{'
                 . join(',', map { $_->{operators} } @c) . '}',
                 '(' . join(' AND ', map { $_->{sql} } @c) . ')' ];
    }

    if ($kind < 0.75) {
        my ($json, $sql) = @{ object($depth + 1) };
        return [ qq("\$not":$json), "(NOT $sql)" ];
    }

    my $and = rand() < 0.4;
    my @parts = map { object($depth + 1) } 1 .. rand 4;

    return [ ($and ? '"$and":[' : '"$or":[')
             . join(',', map { $_->[0] } @parts) . ']',
             '(' . (join($and ? ' AND ' : ' OR ', map { $_->[1] } @parts)
                    || ($and ? 'TRUE' : 'FALSE')) . ')' ];
}


sub object {
    my ($depth) = @_;
    my @members = map { tree($depth) } 1 .. 1 + rand 1.4;
    my %seen;

    @members = grep { my ($n) = $_->[0] =~ /^("[^"]*")/; !$seen{$n}++ }
               @members;

    return [ '{' . join(',', map { $_->[0] } @members) . '}',
             '(' . join(' AND ', map { $_->[1] } @members) . ')' ];
}


sub escaped {
    my ($text) = @_;
    utf8::encode($text);
    $text =~ s/([^A-Za-z0-9\-._~])/sprintf '%%%02X', ord $1/ge;
    return $text;
}


sub suffixes {
    my @c;

    while (!@c || rand() < 0.35) {
        my $c = comparison();
        push @c, $c if $c->{suffix};
    }

    my $query = join '&', map {
        my $value = escaped($_->{suffix}[1]);
        $value =~ s/%2B/+/ if $_->{name} eq 'at';
        escaped($_->{suffix}[0]) . "=$value"
    } @c;

    return ($query, join ' AND ', map { $_->{sql} } @c);
}


# a JSON filter in infix; undef when it compares with what infix has no word
# for: an array or an object within json

my %sign = (eq => '=', ne => '!=', gt => '>', gte => '>=', lt => '<',
            lte => '<=');

sub infix {
    my ($filter) = @_;
    my @parts = map { infix_member($_, $filter->{$_}) } sort keys %$filter;

    return (grep { !defined } @parts) ? undef : joined('and', @parts);
}

sub joined {
    my ($op, @parts) = @_;
    return $op eq 'and' ? 'true' : 'false' unless @parts;
    return join " $op ", map { "($_)" } @parts;
}

sub infix_member {
    my ($name, $value) = @_;

    if ($name eq '$not') {
        my $not = infix($value) // return undef;
        return "not ($not)";
    }

    if ($name eq '$and' || $name eq '$or') {
        my @parts = map { infix($_) } @$value;
        return undef if grep { !defined } @parts;
        return joined(substr($name, 1), @parts);
    }

    my $operators = ref $value eq 'HASH' && grep { /^\$/ } keys %$value;

    $value = { '$eq' => $value } unless $operators;

    my @parts = map { infix_operator($name, substr($_, 1), $value->{$_}) }
                sort keys %$value;

    return (grep { !defined } @parts) ? undef : joined('and', @parts);
}

sub infix_operator {
    my ($name, $op, $value) = @_;

    return "$name is " . ("$value" eq '1' ? '' : 'not ') . 'null'
        if $op eq 'isnull';

    my $whole = $name eq 'attrs' && $op =~ /^(?:eq|ne|in|nin|contains)$/
                || $array{$name} && $op =~ /^(?:eq|ne)$/;
    my @values = map { infix_literal($_, $whole) }
                 ref $value eq 'ARRAY' && !($whole && $op !~ /in$/)
                 ? @$value : $value;

    return undef if grep { !defined } @values;
    return "$name between $values[0] and $values[1]" if $op eq 'between';

    my $list = '(' . join(', ', @values) . ')';

    return "$name in $list" if $op eq 'in';
    return "$name not in $list" if $op eq 'nin';
    return $sign{$op} ? undef : "$name $op $list"
        if ref $value eq 'ARRAY' && !$whole;
    return "$name " . ($sign{$op} // $op) . " $values[0]";
}

my $characters = JSON::PP->new->allow_nonref;

sub printed {
    my ($value) = @_;

    return '[' . join(',', map { printed($_) } @$value) . ']'
        if ref $value eq 'ARRAY';
    return '{' . join(',', map { quoted($_) . ':' . printed($value->{$_}) }
                           sort keys %$value) . '}' if ref $value eq 'HASH';
    return $value ? 'true' : 'false' if JSON::PP::is_bool($value);

    return ref $value ? "$value" : defined $value ? $characters->encode($value)
                                                  : 'null';
}

# whole: the text of JSON is asked for

sub infix_literal {
    my ($value, $whole) = @_;

    return 'null' if !defined $value;
    return "'" . printed($value) =~ s/'/''/gr . "'"
        if $whole && ref($value) !~ /Number/;
    return undef if ref $value eq 'HASH' || ref $value eq 'ARRAY';
    return $value ? 'true' : 'false' if JSON::PP::is_bool($value);
    return "$value" if ref $value;

    return "'" . $value =~ s/'/''/gr . "'";
}


fill();
$dbh->do('ANALYZE rows');

# what SQL gives for a row is what HTTP gives

sub found {
    my ($sql) = @_;
    return join ' ', @{ $dbh->selectcol_arrayref(
        "SELECT id FROM rows WHERE $sql ORDER BY id") };
}


subtest 'random filters' => sub {
    my ($wrong, $some, $all) = (0, 0, 0);
    my (%used, @spelled);

    for my $round (1 .. $rounds) {
        my ($how, $query, $sql, $r);

        if ($round % 2) {
            ($query, $sql) = suffixes();
            $how = "?$query";
            $r = $t->get("/api/rows?fields=id&$query");

        } else {
            my $tree = object(0);
            ($how, $sql) = @$tree;

            if (length $how < 1500 && $round % 4) {
                $r = $t->get('/api/rows?fields=id&filter='
                             . $how =~ s/([^A-Za-z0-9\-._~])/
                                         sprintf '%%%02X', ord $1/gexr);
            } else {
                $r = $t->post('/api/rows/query',
                              qq({"fields":["id"],"filter":$how}));
            }

            # the other spellings find the same

            my $where = $round % 8 < 4
                ? $how
                : infix(DataflowTest::JSON::decode($how));

            if (defined $where) {
                my $other = $t->post('/api/rows/query', sprintf(
                    '{"fields":["id"],"where":%s}',
                    $round % 8 < 4 ? $where : $json->encode($where)));

                if ($other->body ne $r->body && $wrong++ < 10) {
                    fail("round $round");
                    diag("$how\n$where\nfilter: " . $r->body . "\nwhere: "
                         . $other->body);
                }

                $spelled[$round % 8 < 4]++;
            }
        }

        my $want = eval { found($sql) } // "SQL: $@";
        my $have = $r->code == 200
                   ? join ' ', map { "$_->{id}" } @{ $r->json->{data} }
                   : $r->code . ' ' . $r->body;

        if ($want ne $have && $wrong++ < 10) {
            fail("round $round");
            diag("$how\n$sql\nSQL:  $want\nHTTP: $have");
        }

        $some++ if $want ne '';
        $used{$_} = 1 for $how =~ /\$([a-z_]+)/g, $how =~ /__([a-z_]+)=/g;
    }

    is($wrong, 0, "$rounds filters");
    cmp_ok($some, '>', $rounds / 3, 'most of them find something');

    cmp_ok($spelled[$_], '>', $rounds / 10, 'as expressions too') for 0, 1;

    my @unused = grep { !$used{$_} } @equal, @order, @text, @elements,
                                     qw(isnull and or not);
    is("@unused", '', 'every operator was used');
};


subtest 'count and pages of a filter' => sub {
    for (1 .. 20) {
        my ($query, $sql) = suffixes();
        my @want = split / /, found($sql);

        my $r = $t->get("/api/rows?$query&limit=0&count=exact");
        is("" . $r->json->{count}, scalar @want, "count of $query")
            or diag($r->body);

        my $path = "/api/rows?$query&limit=7&fields=id";
        my @have;

        while ($path) {
            $r = $t->get($path);
            is($r->code, 200, 'a page') or last;
            push @have, map { "$_->{id}" } @{ $r->json->{data} };
            my ($next) = ($r->header('Link') // '') =~ /^<(.*)>/;
            $path = $next && "/api/rows$next";
        }

        is("@have", "@want", "pages of $query");
    }
};


subtest 'what means the same' => sub {
    my @same = (
        ['whole__in=1', 'whole=1'],
        ['whole__in=1,2', 'filter={"$or":[{"whole":1},{"whole":2}]}'],
        ['whole__nin=1', 'whole__ne=1'],
        ['whole__between=0,2', 'whole__gte=0&whole__lte=2'],
        ['name=%20', 'name=+'],
        ['at=2024-02-29T14:00:00%2B02:00', 'at=2024-02-29T14:00:00+02:00'],
        ['num=1.1', 'num=1.100'],
        ['at__lt=2024-03-01', 'at__lt=2024-03-01T00:00:00Z'],
        ['plain__lt=2024-03-01', 'plain__lt=2024-03-01T00:00:00'],
        ['span=PT24H', 'span=P1D'],
        ['uid=FFFFFFFF-FFFF-FFFF-FFFF-FFFFFFFFFFFF',
         'uid=ffffffffffffffffffffffffffffffff'],
        ['nums__has=1', 'nums__has_any=1'],
        ['filter={"$not":{"nums":{"$has":2}}}',
         'filter={"$not":{"nums":{"$has_any":[2]}}}'],
        ['odd_in=1', 'odd_in__in=1'],
        ['whole=1&&name=a&', 'name=a&whole=1'],
    );

    for (@same) {
        my @r = map { $t->get("/api/rows?fields=id&"
                              . s/[{}"\[\]]/sprintf '%%%02X', ord $&/ger) }
                    @$_;
        is($r[0]->code, 200, $_->[0]) or diag($r[0]->body);
        is(ids($r[1]), ids($r[0]), "$_->[0] and $_->[1]");
    }
};


sub ids {
    my ($r) = @_;
    return join ' ', map { "$_->{id}" } @{ ($r->json // {})->{data} // [] };
}


subtest 'refusals name what is meant' => sub {
    my @refused = (

        # a query string: code, parameter, what the detail holds

        ['namee=1', 'unknown_parameter', 'namee', '"name"'],
        ['namee__gt=1', 'unknown_field', 'namee__gt', '"name"'],
        ['whole__gtt=1', 'unknown_operator', 'whole__gtt', '"gt'],
        ['name__containz=1', 'unknown_operator', 'name__containz',
         '"contains"'],
        ['whole__contains=1', 'unknown_operator', 'whole__contains', 'gte'],
        ['flag__like=1', 'unknown_operator', 'flag__like', 'isnull'],
        ['nums__gt=1', 'unknown_operator', 'nums__gt', 'has_any'],
        ['attrs__gt=1', 'unknown_operator', 'attrs__gt', 'contains'],
        ['bin__icontains=AA', 'unknown_operator', 'bin__icontains', 'eq'],
        ['secret=1', 'unknown_parameter', 'secret', ''],
        ['secret__eq=1', 'unknown_field', 'secret__eq', ''],
        ['secret.a=1', 'unknown_field', 'secret.a', ''],
        ['whole.a=1', 'unknown_field', 'whole.a', 'json'],
        ['tags.0=a', 'unknown_field', 'tags.0', 'json'],
        ['attrs.=a', 'unknown_field', 'attrs.', 'empty'],
        ['attrs..a=a', 'unknown_field', 'attrs..a', 'empty'],
        ['atrs.color=a', 'unknown_field', 'atrs.color', '"attrs"'],
        ['whole_lt=5', 'unknown_parameter', 'whole_lt', '"whole__lt"'],
        ['whole[gte]=5', 'unknown_parameter', 'whole[gte]', '"whole__gte"'],
        ['whole:in=5', 'unknown_parameter', 'whole:in', '"whole__in"'],
        ['whole<5', 'unknown_parameter', 'whole<5', '"whole__lt"'],
        ['whole>=5', 'unknown_parameter', 'whole>', '"whole__gte"'],
        ['whole%3C=5', 'unknown_parameter', 'whole<', '"whole__lte"'],
        ['whole!=5', 'unknown_parameter', 'whole!', '"whole__ne"'],
        ['num>1.5', 'unknown_parameter', 'num>1.5', '"num__gt"'],
        ['odd_in_gt=5', 'unknown_parameter', 'odd_in_gt', '"odd_in__gt"'],
        ['secret_gt=5', 'unknown_parameter', 'secret_gt', 'no "secret_gt"'],
        ['nums_gt=5', 'unknown_parameter', 'nums_gt', 'no "nums_gt"'],
        ['lmit=5', 'unknown_parameter', 'lmit', '"limit"'],
        ['sort=nme', 'unknown_field', 'sort', '"name"'],
        ['sort=attrs', 'invalid_value', 'sort', 'order'],
        ['sort=nums', 'invalid_value', 'sort', 'order'],
        ['sort=name,name', 'invalid_value', 'sort', 'twice'],
        ['sort=', 'unknown_field', 'sort', ''],
        ['sort=name:desc', 'unknown_field', 'sort', 'write "-name"'],
        ['sort=name:ASC', 'unknown_field', 'sort', 'write "name"'],
        ['sort=name+desc', 'unknown_field', 'sort', 'write "-name"'],
        ['sort=id,%2Bname', 'unknown_field', 'sort', 'write "name"'],
        ['sort=+name', 'unknown_field', 'sort', 'write "name"'],
        ['sort=name:nullsfrist', 'unknown_field', 'sort',
         '"name:nullsfirst"'],
        ['sort=-name:nulllast', 'unknown_field', 'sort', '"name:nullslast"'],
        ['sort=nme:desc', 'unknown_field', 'sort', '"name"'],
        ['sort=secret:desc', 'unknown_field', 'sort', 'no field "secret"'],
        ['sort=name:first', 'unknown_field', 'sort', ''],
        ['fields=id,nme', 'unknown_field', 'fields', '"name"'],
        ['fields=', 'unknown_field', 'fields', ''],
        ['whole=x', 'invalid_value', 'whole', 'whole number'],
        ['whole=', 'invalid_value', 'whole', 'whole number'],
        ['whole=1.0', 'invalid_value', 'whole', 'whole number'],
        ['tiny=40000', 'invalid_value', 'tiny', '32767'],
        ['whole__in=1,x', 'invalid_value', 'whole__in',
         'at /1: expected a whole number'],
        ['tags__has_any=a,%01,b&whole__between=1,x', 'invalid_value',
         'whole__between', 'at /1: expected a whole number'],
        ['whole__in=', 'invalid_value', 'whole__in', 'whole number'],
        ['whole__between=1', 'invalid_value', 'whole__between', 'two'],
        ['whole__between=1,2,3', 'invalid_value', 'whole__between', 'two'],
        ['whole__isnull=1', 'invalid_value', 'whole__isnull', 'true or'],
        ['flag=yes', 'invalid_value', 'flag', 'true or false'],
        ['day=2023-02-29', 'invalid_value', 'day', 'a date'],
        ['uid=1', 'invalid_value', 'uid', 'UUID'],
        ['nums=1', 'invalid_value', 'nums', 'an array'],
        ['at=2024-01-01T00:00:00', 'invalid_value', 'at', 'offset'],
        ['attrs={', 'invalid_value', 'attrs', 'JSON'],
        ['filter=1', 'invalid_value', 'filter', 'object'],
        ['filter=', 'invalid_json', 'filter', ''],
        ['whole', 'invalid_value', 'whole', ''],
        ['=1', 'unknown_parameter', '', ''],
        ['__gt=1', 'unknown_parameter', '__gt', ''],
        ['name__regex=(', 'invalid_value', 'name__regex',
         'regular expression'],
        ['code=a&name__iregex=%5B&name__ilike', 'invalid_value', undef, ''],
        ['code=a&name__iregex=%5B&name__contains=(', 'invalid_value',
         'name__iregex', 'regular expression'],
        ['filter={"name":{"$regex":"("}}', 'invalid_value', 'filter',
         'regular expression'],
        ['name__like=%5C', 'invalid_value', 'name__like', 'escape'],
    );

    for (@refused) {
        my ($query, $code, $parameter, $detail) = @$_;

        my $r = $t->get('/api/rows?' . $query =~ s/[{}]/
                        sprintf '%%%02X', ord $&/gexr);
        is($r->code, 400, $query) or diag($r->body), next;

        my $p = $r->json;
        is($p->{code}, $code, "$query: code") or diag($r->body);
        next unless defined $parameter;
        is($p->{errors}[0]{parameter}, $parameter, "$query: parameter")
            or diag($r->body);
        like($p->{errors}[0]{detail}, qr/\Q$detail\E/, "$query: detail");
    }

    my @json = (
        ['{"namee":1}', 'unknown_field', '/filter/namee', '"name"'],
        ['{"secret":1}', 'unknown_field', '/filter/secret', ''],
        ['{"whole":{"$gtt":1}}', 'unknown_operator', '/filter/whole/$gtt',
         '"$gt'],
        ['{"whole":{"gt":1}}', 'unknown_operator', '/filter/whole/gt',
         'did you mean "$gt"?'],
        ['{"whole":{"$gt":1,"ltt":5}}', 'unknown_operator',
         '/filter/whole/ltt', 'did you mean "$lt"?'],
        ['{"tags":{"has":"a"}}', 'unknown_operator', '/filter/tags/has',
         'did you mean "$has"?'],
        ['{"whole":{"least":1}}', 'unknown_operator', '/filter/whole/least',
         'starts with $'],
        ['{"whole":{}}', 'invalid_value', '/filter/whole', 'whole number'],
        ['{"whole":[1,2]}', 'invalid_value', '/filter/whole',
         'did you mean {"$in":[...]}?'],
        ['{"or":[{"whole":1}]}', 'unknown_operator', '/filter/or',
         'did you mean "$or"?'],
        ['{"not":{"whole":1}}', 'unknown_operator', '/filter/not',
         'did you mean "$not"?'],
        ['{"$or":[{"and":[]}]}', 'unknown_operator', '/filter/$or/0/and',
         'did you mean "$and"?'],
        ['{"$nor":[]}', 'unknown_operator', '/filter/$nor', '"$or"'],
        ['{"$or":{}}', 'invalid_value', '/filter/$or', 'array'],
        ['{"$or":[1]}', 'invalid_value', '/filter/$or/0', 'object'],
        ['{"$or":[{"whole":1},{"whole":"x"}]}', 'invalid_value',
         '/filter/$or/1/whole', 'whole number'],
        ['{"$not":[]}', 'invalid_value', '/filter/$not', 'object'],
        ['{"whole":{"$gt":null}}', 'invalid_value', '/filter/whole/$gt',
         'null'],
        ['{"whole":{"$between":[1,null]}}', 'invalid_value',
         '/filter/whole/$between/1', 'null'],
        ['{"nums":{"$has":null}}', 'invalid_value', '/filter/nums/$has',
         'null'],
        ['{"nums":{"$has_any":[1,null]}}', 'invalid_value',
         '/filter/nums/$has_any/1', 'null'],
        ['{"name":{"$contains":null}}', 'invalid_value',
         '/filter/name/$contains', 'null'],
        ['{"whole":{"$isnull":null}}', 'invalid_value',
         '/filter/whole/$isnull', 'true or false'],
        ['{"whole":{"$in":1}}', 'invalid_value', '/filter/whole/$in',
         'array'],
        ['{"whole":{"$in":[1,[2]]}}', 'invalid_value', '/filter/whole/$in/1',
         ''],
        ['{"whole":true}', 'invalid_value', '/filter/whole', ''],
        ['{"name":5}', 'invalid_value', '/filter/name', 'a string'],
        ['{"name":"a\u0000"}', 'invalid_value', '/filter/name', 'U+0000'],
        ['{"attrs.a\u0000":1}', 'unknown_field', "/filter/attrs.a\x{fffd}",
         ''],
        ['{"attrs.size":{"$gt":true}}', 'invalid_value',
         '/filter/attrs.size/$gt', 'number or a string'],
        ['{"attrs.size":{"$between":[1,"a"]}}', 'invalid_value',
         '/filter/attrs.size/$between', 'two numbers or two strings'],
        ['{"$or":[{"name":{"$regex":"("}}]}', 'invalid_value',
         '/filter/$or/0/name/$regex', 'regular expression'],
        ['[]', undef, '/filter', ''],
        ['null', undef, '/filter', ''],
        ['"a"', undef, '/filter', ''],
    );

    for (@json) {
        my ($filter, $code, $pointer, $detail) = @$_;

        my $r = $t->post('/api/rows/query', qq({"filter":$filter}));
        is($r->code, 400, $filter) or diag($r->body), next;

        my $p = $r->json;
        is($p->{code}, $code, "$filter: code") if $code;
        is($p->{errors}[0]{pointer}, $pointer, "$filter: pointer") or diag($r->body);
        like($p->{errors}[0]{detail}, qr/\Q$detail\E/, "$filter: detail");
    }

    for my $name ('whole', 'whole__gt', 'attrs.color', '$or') {
        my $r = $t->post('/api/rows/query', qq({"limit":1,"$name":1}));
        is($r->code, 400, "beside the filter: $name");
        is($r->json->{errors}[0]{pointer}, "/$name", "$name: pointer");
        is($r->json->{errors}[0]{detail},
           'a condition belongs in "filter"', "$name: where it belongs");
    }

    is($t->post('/api/rows/query', '{"secret":1}')->json->{errors}[0]{detail},
       'list of rows takes no "secret"', 'of a hidden field nothing is told');
};


$t->done;
