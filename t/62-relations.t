use strict;
use warnings;

use Mojo::Util ();
use Test::More;

use DataflowTest;
use DataflowTest::JSON;

# requests that reach over relations, and records within records, against what
# Perl makes of the same rows

my $seed = $ENV{DATAFLOW_SEED} // 62;
my $rounds = $ENV{DATAFLOW_ROUNDS} // 90;

srand $seed;
diag("DATAFLOW_SEED=$seed DATAFLOW_ROUNDS=$rounds");

my $t = DataflowTest->new(models => <<'CONF')->start;
        dataflow_limit_rows default=5 max=100;

        location /api/regions {
            dataflow_model regions {
                field code    text required;
                field name    text;
                field secret  text hidden;
                key code;
                timestamps off;
            }
        }

        location /api/customers {
            dataflow_model customers {
                field name         text;
                field tier         text;
                field score        double;
                field attrs        json;
                field tags         text[];
                field secret       text hidden;
                field region_code  text;
                field referrer_id  bigint;
                relation region regions region_code reverse=people;
                relation referrer customers referrer_id reverse=referred;
                index referrer_id;
                timestamps off;
            }
        }

        location /api/orders {
            dataflow_model orders {
                field customer_id  bigint;
                field payer_id     bigint;
                field number       integer;
                field total        numeric(12,2);
                field attrs        json;
                relation customer customers customer_id reverse=orders;
                relation payer customers payer_id;
                index customer_id;
                timestamps off;
            }
        }

        location /api/lines {
            dataflow_model lines {
                field order_id  bigint;
                field product   text required;
                field amount    integer;
                relation order orders order_id;
                index order_id;
                timestamps off;
            }
        }
CONF

my $dbh = $t->dbh;

sub pick { return $_[rand @_] }
sub enc { return Mojo::Util::url_escape(Mojo::Util::encode('UTF-8', $_[0])) }
sub maybe { return rand() < 0.25 ? undef : pick(@_) }


# the rows, here and there

my %rows;

sub insert {
    my ($table, $row) = @_;
    my @names = sort keys %$row;

    my $got = $dbh->selectrow_hashref(
        "INSERT INTO $table (" . join(', ', map { qq("$_") } @names)
        . ') VALUES (' . join(', ', ('?') x @names) . ') RETURNING *', undef,
        @$row{@names});

    push @{ $rows{$table} }, $got;

    return $got;
}

insert('regions', { code => $_, name => maybe('north', 'south', 'west'),
                    secret => 's' })
    for 'n', 's', 'w', 'e', "it's \"x\"";

for my $i (1 .. 40) {
    insert('customers', {
        name => maybe('ann', 'bob', 'Cyd', "d'or", ''),
        tier => maybe('vip', 'standard', 'new'),
        score => maybe('0.5', '1.25', '-3', '1e300'),
        attrs => maybe('{"color":"red","n":1}', '{"color":"blue"}', '{}'),
        tags => maybe('{a,b}', '{}', '{b}'),
        secret => 'hush',
        region_code => maybe(map { $_->{code} } @{ $rows{regions} }),
        referrer_id => maybe(map { $_->{id} } @{ $rows{customers} // [] }),
    });
}

for my $i (1 .. 120) {
    insert('orders', {
        customer_id => maybe(map { $_->{id} } @{ $rows{customers} }),
        payer_id => maybe(map { $_->{id} } @{ $rows{customers} }),
        number => int rand 20,
        total => sprintf('%.2f', rand 100),
        attrs => maybe('{"gift":true}', 'null'),
    });
}

for my $i (1 .. 200) {
    insert('lines', {
        order_id => maybe(map { $_->{id} } @{ $rows{orders} }),
        product => pick('pen', 'ink', 'pad'),
        amount => maybe(1 .. 5),
    });
}

my %one = (
    customers => { region => ['region_code', 'regions', 'code'],
                   referrer => ['referrer_id', 'customers', 'id'] },
    orders => { customer => ['customer_id', 'customers', 'id'],
                payer => ['payer_id', 'customers', 'id'] },
    lines => { order => ['order_id', 'orders', 'id'] },
    regions => {},
);

my %key = (regions => 'code', customers => 'id', orders => 'id',
           lines => 'id');

my %by;

for my $table (keys %rows) {
    $by{$table}{$_->{$key{$table}}} = $_ for @{ $rows{$table} };
}


# the value behind a dotted name, undef where a relation leads nowhere

sub reach {
    my ($table, $row, $name) = @_;
    my @steps = split /\./, $name;
    my $field = pop @steps;

    for (@steps) {
        return undef unless $row;
        my ($fk, $to) = @{ $one{$table}{$_} };
        $row = defined $row->{$fk} ? $by{$to}{$row->{$fk}} : undef;
        $table = $to;
    }

    return $row ? $row->{$field} : undef;
}


sub ids {
    my ($r, $key) = @_;

    return 'status ' . $r->code . ': ' . $r->body if $r->code != 200;
    return join ' ', map { $_->{$key // 'id'} } @{ $r->json->{data} };
}


# conditions across relations: [name, operator, operand, true of a value]

my @texts = (
    [ 'eq', sub { my $x = shift; sub { defined $_[0] && $_[0] eq $x } } ],
    [ 'ne', sub { my $x = shift; sub { !defined $_[0] || $_[0] ne $x } } ],
    [ 'gt', sub { my $x = shift; sub { defined $_[0] && $_[0] gt $x } } ],
    [ 'lte', sub { my $x = shift; sub { defined $_[0] && $_[0] le $x } } ],
    [ 'contains',
      sub { my $x = shift; sub { defined $_[0] && index($_[0], $x) >= 0 } } ],
);

my %reachable = (
    orders => [ qw(customer.tier customer.name payer.tier customer.region.name
                   customer.region_code payer.referrer.tier
                   customer.referrer.referrer.tier
                   customer.referrer.region.code) ],
    customers => [ qw(region.name referrer.tier referrer.referrer.name
                      referrer.referrer.referrer.tier referrer.region.name) ],
    lines => [ qw(order.customer.tier order.payer.name
                  order.customer.region.name) ],
);

my @operands = ('vip', 'standard', 'new', 'north', 'ann', 'bob', "d'or", 'n',
                "it's \"x\"", 'zz');


sub condition {
    my ($table) = @_;
    my $name = pick(@{ $reachable{$table} });
    my $kind = rand;

    if ($kind < 0.15) {
        my $null = pick(0, 1);
        my $word = $null ? 'true' : 'false';
        return ("${name}__isnull=$word", qq({"$name":{"\$isnull":$word}}),
                sub { !defined reach($table, $_[0], $name) == !!$null });
    }

    if ($kind < 0.3) {
        my @in = map { pick('vip', 'new', 'ann', 'north') } 1 .. 2;
        return ("${name}__in=" . join(',', @in),
                qq({"$name":{"\$in":["$in[0]","$in[1]"]}}),
                sub { my $v = reach($table, $_[0], $name);
                      defined $v && !!grep { $_ eq $v } @in });
    }

    my $op = pick(@texts);
    my $operand = pick(@operands);
    my $true = $op->[1]->($operand);
    my $json = $operand =~ s/"/\\"/gr;

    return ("${name}__$op->[0]=" . enc($operand),
            qq({"$name":{"\$$op->[0]":"$json"}}),
            sub { $true->(reach($table, $_[0], $name)) });
}


subtest 'filters across relations' => sub {
    for my $round (1 .. $rounds) {
        my $table = pick('orders', 'customers', 'lines');
        my ($arg, $json, $true) = condition($table);
        my ($arg2, $json2, $true2) = condition($table);

        my @rows = sort { $a->{id} <=> $b->{id} } @{ $rows{$table} };
        my $both = join ' ', map { $_->{id} }
                   grep { $true->($_) && $true2->($_) } @rows;

        my $args = "$arg&$arg2&limit=100";
        my $got = $t->get("/api/$table?$args&fields=id&count=exact");
        my @want = split ' ', $both;

        splice @want, 100;

        is(ids($got), "@want", "$table?$args");
        is($got->json->{count}, scalar(split ' ', $both), 'count');

        my $either = join ' ', map { $_->{id} }
                     grep { $true->($_) || $true2->($_) } @rows;

        my $r = $t->post("/api/$table/query",
            qq({"filter":{"\$or":[$json,$json2]},"limit":100,"fields":["id"],)
            . q("count":"estimated"}));

        @want = split ' ', $either;
        splice @want, 100;

        is(ids($r), "@want", "$table: $json or $json2");
        is($r->json->{count}, scalar(split ' ', $either), 'estimated count');
    }
};


subtest 'fields of every kind behind a relation' => sub {
    for (['customer.attrs.color=red',
          sub { ($_[0]{attrs} // '') =~ /red/ }],
         ['customer.attrs.n__gte=1', sub { ($_[0]{attrs} // '') =~ /"n"/ }],
         ['customer.tags__has=b', sub { grep { $_ eq 'b' }
                                        @{ $_[0]{tags} // [] } }],
         ['customer.score__gt=1', sub { ($_[0]{score} // 0) > 1 }],
         ['customer.id__lte=7', sub { ($_[0]{id} // 99) <= 7 }],
         ['customer.name__icontains=C', sub { ($_[0]{name} // '') =~ /c/i }])
    {
        my ($arg, $true) = @$_;

        my @want = map { $_->{id} } sort { $a->{id} <=> $b->{id} }
                   grep { my $c = $by{customers}{$_->{customer_id} // 0};
                          $c && $true->($c) } @{ $rows{orders} };

        is(ids($t->get("/api/orders?$arg&limit=100")), "@want", $arg);
    }

    is($t->get('/api/orders?customer.tier=vip&limit=0&count=exact')
         ->json->{count},
       scalar(grep { (reach('orders', $_, 'customer.tier') // '') eq 'vip' }
              @{ $rows{orders} }), 'a count alone');
};


# sort: nulls last unless said otherwise; texts in the order of their bytes

sub compare {
    my ($x, $y, $down, $first, $number) = @_;

    return 0 if !defined $x && !defined $y;
    return ($first ? -1 : 1) if !defined $x;
    return ($first ? 1 : -1) if !defined $y;

    my $c = $number ? $x <=> $y : $x cmp $y;

    return $down ? -$c : $c;
}

sub order {
    my ($table) = @_;
    my (@sort, @by, %seen);

    for (1 .. 1 + rand 3) {
        my $name = pick(@{ $reachable{$table} },
                        $table eq 'orders' ? ('number', 'customer.score',
                                              'payer.id') : (),
                        'id');
        next if $seen{$name}++;

        my $down = rand() < 0.5;
        my $first = $name ne 'id' && rand() < 0.4;

        push @sort, ($down ? '-' : '') . $name . ($first ? ':nullsfirst' : '');
        push @by, [ $name, $down, $first,
                    $name =~ /(?:^id|\.id|number|score)$/ ];
    }

    push @by, [ 'id', 0, 0, 1 ];

    my @rows = sort {
        my $c = 0;

        for (@by) {
            my ($name, @how) = @$_;
            $c = compare(reach($table, $a, $name), reach($table, $b, $name),
                         @how) and last;
        }

        $c;
    } @{ $rows{$table} };

    return (join(',', @sort), @rows);
}


subtest 'sort across relations, in pages' => sub {
    for my $round (1 .. $rounds / 3) {
        my $table = pick('orders', 'customers', 'lines');
        my ($sort, @rows) = order($table);
        my ($arg, undef, $true) = condition($table);
        my $limit = 1 + int rand 30;

        @rows = grep { $true->($_) } @rows;

        my $args = 'fields=id&sort=' . enc($sort) . "&$arg&limit=$limit";
        my $path = "/api/$table?$args";
        my (@got, $r);

        for (0 .. 200) {
            $r = $t->get($path);
            last if $r->code != 200;
            push @got, map { $_->{id} } @{ $r->json->{data} };

            my $next = $r->json->{next} // last;
            $path = "/api/$table?$args&cursor=" . enc($next);
        }

        is($r->code, 200, 'status') or diag($r->body);
        is("@got", join(' ', map { $_->{id} } @rows), "$table?$args");
    }
};


subtest 'cursors belong to their relations' => sub {
    my $next = sub {
        my ($args) = @_;
        return enc($t->get("/api/orders?$args&limit=2")->json->{next});
    };

    my $c = $next->('sort=customer.tier');
    is($t->get("/api/orders?sort=customer.tier&cursor=$c")->code, 200, 'same');

    for ('payer.tier', 'customer.referrer.tier', 'number') {
        my $r = $t->get("/api/orders?sort=$_&cursor=$c");
        is($r->code, 400, "another sort: $_");
        is($r->json->{code}, 'invalid_cursor', 'said so');
    }

    $c = $next->('customer.tier__ne=x');
    is($t->get("/api/orders?customer.tier__ne=x&cursor=$c")->code, 200,
       'same');

    for ('payer.tier__ne=x', 'customer.referrer.tier__ne=x', 'number__ne=9') {
        is($t->get("/api/orders?$_&cursor=$c")->code, 400,
           "another filter: $_");
    }

    my $where = 'where=' . enc(q(length(customer.tier || '') < 9));
    $c = $next->($where);
    is($t->get("/api/orders?$where&cursor=$c")->code, 200, 'an expression');
    is($t->get("/api/orders?include=payer&$where&cursor=$c")->code, 200,
       'what is included may change');
    is($t->get('/api/orders?' . $where =~ s/customer/payer/r . "&cursor=$c")
         ->code, 400, 'another expression');
};


subtest 'lists that are streamed' => sub {
    my @vip = grep { (reach('orders', $_, 'customer.tier') // '') eq 'vip' }
              @{ $rows{orders} };

    my $args = 'customer.tier=vip&fields=id&limit=all&sort=-customer.name';

    my $r = $t->get("/api/orders?$args", Accept => 'text/csv');
    my @lines = split /\r\n/, $r->body;

    is(shift @lines, 'id', 'header');
    is_deeply([ sort { $a <=> $b } @lines ],
              [ sort { $a <=> $b } map { $_->{id} } @vip ], 'CSV');

    $r = $t->get("/api/orders?$args", Accept => 'application/x-ndjson');
    is(scalar(() = $r->body =~ /\n/g), scalar @vip, 'NDJSON');
};


# what is refused, and how

sub refused {
    my ($path, $code, $detail, $name) = @_;

    my $r = $t->get($path);

    is($r->code, 400, $name // $path);
    is($r->json->{code}, $code, 'code');
    like($r->json->{errors}[0]{detail} // '', $detail, 'detail')
        or diag($r->body);
}


subtest 'refusals' => sub {
    refused('/api/orders?custmer.tier=vip', 'unknown_field',
            qr/^orders has no field or relation "custmer"; did you mean "customer"\?$/);
    refused('/api/orders?customer.teir=vip', 'unknown_field',
            qr/^customers has no field "teir"; did you mean "customer\.tier"\?$/);
    refused('/api/orders?customer.regoin.name=x', 'unknown_field',
            qr/^customers has no field or relation "regoin"; did you mean "customer\.region"\?$/);
    refused('/api/orders?customer.secret=hush', 'unknown_field',
            qr/^customers has no field "secret"/);
    refused('/api/orders?customer.secret__ne=hush', 'unknown_field',
            qr/^customers has no field "secret"/);
    refused('/api/orders?sort=customer.secret', 'unknown_field',
            qr/^customers has no field "secret"/);
    refused('/api/orders?customer.region.secret=s', 'unknown_field',
            qr/^regions has no field "secret"/);
    refused('/api/orders?customer.secrets=hush', 'unknown_field',
            qr/^customers has no field "secrets"$/);
    refused('/api/orders?customer=5', 'unknown_field',
            qr/name a field behind it, as "customer\.id"$/);
    refused('/api/orders?customer__in=5', 'unknown_field',
            qr/name a field behind it, as "customer\.id"$/);
    refused('/api/orders?filter=' . enc('{"customer":5}'), 'unknown_field',
            qr/name a field behind it, as "customer\.id"$/);
    refused('/api/orders?customer.region=n', 'unknown_field',
            qr/name a field behind it, as "customer\.region\.code"$/);
    refused('/api/customers?orders.total__gt=5', 'unknown_field',
            qr/^"orders" leads from customers to many records.*: ask orders instead, which has "customer"$/);
    refused('/api/customers?orders=5', 'unknown_field', qr/to many records/);
    refused('/api/customers?sort=orders.total', 'unknown_field',
            qr/to many records/);
    refused('/api/orders?customer.id.x=5', 'unknown_field',
            qr/^"id" is no json field and has no "x"$/);
    refused('/api/orders?customer.=5', 'unknown_field', qr/no field ""/);
    refused('/api/orders?customer..tier=5', 'unknown_field',
            qr/no field or relation ""/);
    refused('/api/orders?.tier=5', 'unknown_parameter', qr/takes no "\.tier"/);
    refused('/api/orders?customer.tier__inn=5', 'unknown_operator',
            qr/did you mean "in"\?/);
    refused('/api/orders?customer.id=x', 'invalid_value', qr/whole number/);

    refused('/api/lines?order.customer.referrer.referrer.tier=vip',
            'limit_exceeded', qr/^relations are followed at most 3 deep$/);
    refused('/api/lines?sort=order.customer.referrer.referrer.tier',
            'limit_exceeded', qr/^relations are followed at most 3 deep$/);

    refused('/api/customers?' . join('&', map { "$_.name=x" }
            'region', 'referrer', 'referrer.region', 'referrer.referrer',
            'referrer.referrer.region', 'referrer.referrer.referrer',
            'referrer.referrer.referrer.region'),
            'limit_exceeded', qr/at most 3 deep/);

    for ('sort=customer.name%20desc', 'sort=customer.name:desc') {
        refused("/api/orders?$_", 'unknown_field',
                qr/is no field: write "-customer\.name"$/);
    }

    refused('/api/orders?sort=customer.name:nullsfrist', 'unknown_field',
            qr/did you mean "customer\.name:nullsfirst"\?$/);
    refused('/api/orders?sort=%2Bcustomer.name', 'unknown_field',
            qr/is no field: write "customer\.name"$/);
    refused('/api/orders?sort=customer.attrs', 'invalid_value',
            qr/^"customer\.attrs" has no order$/);
    refused('/api/orders?sort=customer.tags', 'invalid_value',
            qr/has no order$/);
    refused('/api/orders?sort=customer.attrs.color', 'invalid_value',
            qr/has no order$/);
    refused('/api/orders?sort=custmer.name', 'unknown_field',
            qr/did you mean "customer"\?$/);
    refused('/api/orders?sort=customer', 'unknown_field',
            qr/name a field behind it/);
    refused('/api/orders?sort=customer.tier,-customer.tier', 'invalid_value',
            qr/given twice/);

    my $r = $t->post('/api/orders/query',
                     '{"filter":{"$or":[{"custmer.tier":"vip"}]}}');
    is($r->code, 400, 'in a body');
    is($r->json->{errors}[0]{pointer}, '/filter/$or/0/custmer.tier', 'where');
};


subtest 'names are never SQL' => sub {
    for my $bad (q(customer".tier), q(customer.tier"), q(customer.tier'),
                 q(customer.tier;--), q(customer.(select 1)), 'customer.*',
                 't1.tier', 'customer.xmin', 'customer.ctid', 'customers.tier',
                 q(customer.tier"="tier), "customer.\x{e9}", 'CUSTOMER.tier')
    {
        for ("$bad=x", "sort=$bad", 'filter={"' . ($bad =~ s/"/\\"/gr)
             . '":"x"}')
        {
            my ($name, $value) = split /=/, $_, 2;
            my $r = $t->get('/api/orders?' . enc($name) . '=' . enc($value));
            is($r->code, 400, $_) or diag($r->body);
        }
    }
};


# what includes should give

my %many = (
    regions => { people => ['customers', 'region_code'] },
    customers => { referred => ['customers', 'referrer_id'],
                   orders => ['orders', 'customer_id'] },
    orders => { lines => ['lines', 'order_id'] },
    lines => {},
);

my %visible = (
    regions => [qw(code name)],
    customers => [qw(id name tier score attrs tags region_code referrer_id)],
    orders => [qw(id customer_id payer_id number total attrs)],
    lines => [qw(id order_id product amount)],
);

my $most = 5;               # dataflow_limit_rows default=

sub sorted {
    my ($table, @list) = @_;

    return $table eq 'regions' ? sort { $a->{code} cmp $b->{code} } @list
                               : sort { $a->{id} <=> $b->{id} } @list;
}

# a tree: { fields => [names] or undef, in => { name => tree } }

sub record {
    my ($table, $row, $tree) = @_;
    my %r;

    for (@{ $tree->{fields} // $visible{$table} }) {
        my $v = $row->{$_};
        $r{$_} = $_ eq 'attrs' && defined $v ? DataflowTest::JSON::decode($v)
                                             : $v;
    }

    for my $name (keys %{ $tree->{in} }) {
        my $in = $tree->{in}{$name};

        if (my $to = $one{$table}{$name}) {
            my ($fk, $target) = @$to;
            my $found = defined $row->{$fk} ? $by{$target}{$row->{$fk}} : undef;

            $r{$name} = $found ? record($target, $found, $in) : undef;
            next;
        }

        my ($from, $fk) = @{ $many{$table}{$name} };

        my @list = sorted($from, grep { defined $_->{$fk}
                                        && $_->{$fk} eq $row->{$key{$table}} }
                                 @{ $rows{$from} });

        if (@list > $most) {
            splice @list, $most;
            $r{"${name}_truncated"} = JSON::PP::true;
        }

        $r{$name} = [ map { record($from, $_, $in) } @list ];
    }

    return \%r;
}


# a random tree of at most so many, and the parameters that say it

sub tree {
    my ($table) = @_;
    my %root = (in => {});
    my $n = 0;

    for (1 .. 1 + rand 4) {
        my ($at, $node) = ($table, \%root);

        for (1 .. 1 + rand 3) {
            my @names = (sort(keys %{ $one{$at} }), sort keys %{ $many{$at} });
            my $name = pick(@names);

            last if !$node->{in}{$name} && $n++ == 8;

            $at = $one{$at}{$name} ? $one{$at}{$name}[1]
                                   : $many{$at}{$name}[0];
            $node = $node->{in}{$name} //= { in => {}, table => $at };
        }
    }

    return \%root;
}

sub paths {
    my ($tree, $prefix) = @_;

    return map { my $in = $tree->{in}{$_};
                 ("$prefix$_", paths($in, "$prefix$_.")) }
           sort keys %{ $tree->{in} };
}

# fields for some of it; where fields are named nothing else is answered

sub choose {
    my ($tree, $table, $prefix) = @_;
    my @names;

    my %seen;
    my @fields = grep { !$seen{$_}++ }
                 map { pick(@{ $visible{$table} }) } 1 .. rand 4;

    my @below = map { rand() < 0.5
                      ? choose($tree->{in}{$_}, $tree->{in}{$_}{table},
                               "$prefix$_.")
                      : () } sort keys %{ $tree->{in} };

    return () unless @fields || @below;

    $tree->{fields} = \@fields;

    return ((map { "$prefix$_" } @fields), @below);
}


subtest 'records within records' => sub {
    for my $round (1 .. $rounds) {
        my $table = pick('regions', 'customers', 'orders', 'lines');
        my $tree = tree($table);
        my @paths = paths($tree, '');

        # what is on the way need not be named

        my @include = grep { my $p = $_;
                             rand() < 0.7 || !grep { /^\Q$p\E\./ } @paths }
                      @paths;
        my @fields = rand() < 0.6 ? choose($tree, $table, '') : ();

        my $limit = pick(1, 3, 20);
        my @want = map { record($table, $_, $tree) }
                   sorted($table, @{ $rows{$table} });

        my $args = "limit=$limit&include=" . join(',', @include)
                   . (@fields ? '&fields=' . join(',', @fields) : '');
        my $how = pick('get', 'body', 'ndjson');
        my (@got, $r);

        if ($how eq 'ndjson') {
            $r = $t->get("/api/$table?$args",
                         Accept => 'application/x-ndjson');
            @got = map { DataflowTest::JSON::decode($_) }
                   split /\n/, $r->body if $r->code == 200;
            splice @want, $limit;
            is($r->header('Link'), undef, 'no link');
            is($r->type, 'application/x-ndjson', 'its type');

        } else {
            my $next;

            do {
                $r = $how eq 'get'
                     ? $t->get("/api/$table?$args"
                               . ($next ? '&cursor=' . enc($next) : ''))
                     : $t->post("/api/$table/query",
                                { limit => $limit, include => \@include,
                                  @fields ? (fields => \@fields) : (),
                                  $next ? (cursor => $next) : () });
                last if $r->code != 200;
                push @got, @{ $r->json->{data} };

            } while $next = $r->json->{next} and @got < 60;

            splice @want, scalar @got if $next;
        }

        is($r->code, 200, "$how $table?$args") or diag($r->body);
        is_deeply(\@got, \@want, 'the same as from the rows');

        my $row = pick(@{ $rows{$table} });
        my $path = "/api/$table/" . enc($row->{$key{$table}}) . "?$args";

        $r = $t->get($path =~ s/limit=\d+&//r);
        is($r->code, 200, 'get') or diag($path, $r->body);
        is($r->header('ETag'), undef, 'without an entity tag');
        is_deeply($r->json, record($table, $row, $tree), 'a record');
    }
};


subtest 'pages, filters and sorts with includes' => sub {
    for my $round (1 .. $rounds / 3) {
        my $table = pick('customers', 'orders', 'lines');
        my ($sort, @rows) = order($table);
        my ($arg, undef, $true) = condition($table);
        my $tree = tree($table);
        my @paths = paths($tree, '');
        my $limit = 1 + int rand 12;
        my $offset = int rand 5;

        @rows = grep { $true->($_) } @rows;

        my $args = 'sort=' . enc($sort) . "&$arg&limit=$limit&count=exact"
                   . '&include=' . join(',', @paths);

        my $r = $t->get("/api/$table?$args&offset=$offset");
        my @want = @rows > $offset ? @rows[$offset .. $#rows] : ();
        splice @want, $limit;

        is($r->code, 200, "$table?$args") or diag($r->body);
        is($r->json->{count}, scalar @rows, 'count');
        is_deeply($r->json->{data}, [ map { record($table, $_, $tree) } @want ],
                  "offset $offset");

        my $next = $r->json->{next} or next;

        $r = $t->get("/api/$table?$args&cursor=" . enc($next));
        @want = @rows > $offset + $limit ? @rows[$offset + $limit .. $#rows]
                                         : ();
        splice @want, $limit;

        is_deeply($r->json->{data}, [ map { record($table, $_, $tree) } @want ],
                  'the next page');
    }
};


subtest 'a page of nothing' => sub {
    my $r = $t->get('/api/customers?include=orders,region&limit=0&count=exact');
    is($r->code, 200, 'limit=0');
    is($r->body, '{"data":[],"next":null,"count":40}', 'a count alone');

    $r = $t->get('/api/customers?include=orders.lines&name=nobody');
    is($r->body, '{"data":[],"next":null}', 'no match');

    is($t->get('/api/customers/999?include=orders,region')->code, 404,
       'no such record');
};


subtest 'fields that are in records' => sub {
    my $id = (grep { defined $_->{customer_id} } @{ $rows{orders} })[0]{id};
    my $get = sub { return $t->get("/api/orders/$id?$_[0]")->body };

    like($get->('fields=id,customer.id'), qr/^\{"id":$id,"customer":\{"id":\d+\}\}$/,
         'fields= includes');
    like($get->('fields=customer.id'), qr/^\{"customer":\{"id":\d+\}\}$/,
         'and answers nothing else');
    like($get->('fields=customer.region.code,id'),
         qr/^\{"id":$id,"customer":\{"region":(?:null|\{"code":".+"\})\}\}$/,
         'nor on the way');
    like($get->('fields=id,customer'),
         qr/^\{"id":$id,"customer":\{"id":.*,"referrer_id":[^{]*\}\}$/,
         'a relation is all of its fields');
    like($get->('fields=id&include=customer'),
         qr/^\{"id":$id,"customer":\{"id":.*,"referrer_id":[^{]*\}\}$/,
         'as is one that is included and not spoken of');
    like($get->('fields=customer.region.code,customer,id'),
         qr/^\{"id":$id,"customer":\{"id":.*"region":/, 'and one in it');
    is($get->('fields=id,lines.id') =~ s/"lines":\[.*\]/L/r,
       qq({"id":$id,L}), 'of lists too');
    unlike($get->('include=customer.region'), qr/secret|hush/,
           'nothing hidden');
};


subtest 'entity tags' => sub {
    my $etag = $t->get('/api/orders/1')->header('ETag');
    ok($etag, 'a tag');

    my $r = $t->get('/api/orders/1?include=customer',
                    'If-None-Match' => $etag);
    is($r->code, 200, 'what is included may have changed');
    is($t->get('/api/orders/1?fields=lines.id', 'If-None-Match' => $etag)
         ->code, 200, 'by fields= too');
    is($t->get('/api/orders/1?include=customer', 'If-Match' => $etag)->code,
       200, 'If-Match is of the record');
    is($t->get('/api/orders/1?include=customer', 'If-Match' => '"0-0"')->code,
       412, 'and another is another');
    is($t->head('/api/orders/1?include=lines')->code, 200, 'HEAD');
};


subtest 'refusals of includes' => sub {
    refused('/api/orders?include=custmer', 'unknown_field',
            qr/^orders has no relation "custmer"; did you mean "customer"\?$/);
    refused('/api/orders?include=customer_id', 'unknown_field',
            qr/no relation "customer_id"; did you mean "customer"\?$/);
    refused('/api/orders?include=xyz', 'unknown_field',
            qr/it has "customer", "payer", "lines"$/);
    refused('/api/orders?include=customer.regoin', 'unknown_field',
            qr/^customers has no relation "regoin"; did you mean "region"\?$/);
    refused('/api/orders?include=', 'unknown_field', qr/no relation ""/);
    refused('/api/orders?include', 'unknown_field', qr/no relation ""/);
    refused('/api/orders?include=customer,', 'unknown_field',
            qr/no relation ""/);
    refused('/api/orders?include=customer.', 'unknown_field',
            qr/no relation ""/);
    refused('/api/orders?include=.customer', 'unknown_field',
            qr/no relation ""/);
    refused('/api/orders?include=*', 'unknown_field', qr/no relation "\*"/);
    refused('/api/orders?include=customer,customer', 'invalid_value',
            qr/"customer" is given twice$/);
    refused('/api/orders?include=customer&include=payer', 'bad_request',
            qr/given twice/);
    refused('/api/orders?includ=customer', 'unknown_parameter',
            qr/did you mean "include"\?$/);
    refused('/api/orders/1?includ=customer', 'unknown_parameter',
            qr/did you mean "include"\?$/);
    refused('/api/orders?fields=customer.secret', 'unknown_field',
            qr/^customers has no field or relation "secret"/);
    refused('/api/orders?fields=customer.nam', 'unknown_field',
            qr/did you mean "name"\?$/);
    refused('/api/orders?fields=custmer.name', 'unknown_field',
            qr/^orders has no field or relation "custmer"; did you mean "customer"\?$/);
    refused('/api/orders?fields=customer.id,customer.id', 'invalid_value',
            qr/"customer\.id" is given twice$/);
    refused('/api/orders?fields=customer.id,customer', 'invalid_value',
            qr/fields of "customer" are given before$/);
    refused('/api/orders?fields=customer,customer.id', 'invalid_value',
            qr/"customer\.id" is given twice$/);
    refused('/api/orders?fields=attrs.gift', 'unknown_field',
            qr/"attrs" is a field, which is answered as a whole$/);
    refused('/api/orders?fields=customer.attrs.color', 'unknown_field',
            qr/answered as a whole$/);

    refused('/api/lines?include=order.customer.referrer.referrer',
            'limit_exceeded', qr/^relations are followed at most 3 deep$/);
    refused('/api/regions?include=people.orders.lines.order',
            'limit_exceeded', qr/at most 3 deep/);
    refused('/api/regions?fields=people.orders.lines.order.id',
            'limit_exceeded', qr/at most 3 deep/);
    refused('/api/orders?include=customer.region,customer.referrer.region,'
            . 'payer.region,payer.referrer.region,lines', 'limit_exceeded',
            qr/^a request includes at most 8 relations$/);
    is($t->get('/api/orders?include=customer.region,customer.referrer.region,'
               . 'payer.region,payer.referrer')->code, 200, 'up to 8');

    my $r = $t->get('/api/customers?include=orders.lines,referred.orders.lines,'
                    . 'referred.referred.orders,referred.referred.referred'
                    . '&count=estimated&limit=3');
    is($r->code, 200, '8 lists') or diag($r->body);

    refused('/api/orders?include=customer&aggregate=x', 'unknown_parameter',
            qr/aggregate/);

    for (['POST', '/api/orders?include=customer', {}],
         ['PATCH', '/api/orders/1?include=customer', {}],
         ['PUT', '/api/orders/1?include=customer', {}],
         ['DELETE', '/api/orders/1?include=customer'])
    {
        my ($method, $path, $body) = @$_;
        my $r = $t->request($method, $path, {}, $body);
        is($r->code, 400, $method);
        is($r->json->{code}, 'unknown_parameter', 'takes no include');
    }

    $r = $t->post('/api/orders?fields=id,customer.name', {});
    is($r->code, 400, 'fields of a create');
    like($r->json->{detail}, qr/by list and get only/, 'said so');

    for my $bad ('["customer.xyz"]', '[1]', '[]', '[""]', '""', '{}', 'null',
                 '1', '[["customer"]]')
    {
        $r = $t->post('/api/orders/query', qq({"include":$bad}));
        is($r->code, 400, "include: $bad") or diag($r->body);
    }

    $r = $t->post('/api/orders/query',
                  '{"include":["customer","customer.xyz"]}');
    is($r->json->{errors}[0]{pointer}, '/include/1', 'where');
    is($t->post('/api/orders/query', '{"include":"customer,lines"}')->code,
       200, 'a string');
};


subtest 'formats of includes' => sub {
    my %csv = (Accept => 'text/csv');
    my %ndjson = (Accept => 'application/x-ndjson');

    for ('include=customer', 'include=lines', 'fields=id,customer.name') {
        my $r = $t->get("/api/orders?$_", %csv);
        is($r->code, 400, "CSV: $_");
        like($r->json->{detail}, qr/text\/csv has no place/, 'said so');
        is($r->json->{errors}[0]{parameter}, s/=.*//r, 'by what was given');
    }

    my $r = $t->get('/api/orders?include=lines&limit=all', %ndjson);
    is($r->code, 400, 'all, with lists');
    is($r->json->{errors}[0]{parameter}, 'limit', 'said so');

    $r = $t->get('/api/orders?include=customer.region&limit=all', %ndjson);
    is($r->code, 200, 'all, without lists');

    my $tree = { in => { customer => { in => { region => { in => {} } } } } };

    is_deeply([ map { DataflowTest::JSON::decode($_) } split /\n/, $r->body ],
              [ map { record('orders', $_, $tree) }
                sorted('orders', @{ $rows{orders} }) ], 'streamed');
};


subtest 'includes are never SQL' => sub {
    for my $bad ('customer"', q(customer"."id), q(customer'), 'customer;--',
                 'customers', 't1', 'p.k', 'customer.*', '(select 1)',
                 'CUSTOMER', "customer\x{e9}", 'customer%00', '$1', '"customer"')
    {
        for my $param ('include', 'fields') {
            my $value = $param eq 'fields' ? "$bad.id" : $bad;
            my $r = $t->get("/api/orders?$param=" . enc($value));
            is($r->code, 400, "$param=$value") or diag($r->body);
        }
    }

    my $r = $t->get('/api/customers?include=orders,region&region_code='
                    . enc(q(it's "x")));
    is($r->code, 200, 'keys are parameters');
    is($_->{region}{code}, q(it's "x"), 'as they are')
        for @{ $r->json->{data} };
};


# what a location does not offer is not reached over relations either

my $closed = DataflowTest->new(models => <<'CONF')->start;
        location /api/orders {
            dataflow_model orders {
                field total        integer;
                field customer_id  bigint;
                field card_id      bigint;
                field shop_id      bigint;
                relation customer customers customer_id;
                relation card cards card_id;
                relation shop shops shop_id;
                timestamps off;
            }
        }

        location /api/customers {
            dataflow_expose get;
            dataflow_model customers {
                field name     text;
                field card_id  bigint;
                relation card cards card_id;
                timestamps off;
            }
        }

        location /api/cards {
            dataflow_expose create aggregate bulk_create;
            dataflow_model cards { field digits text; timestamps off; }

            limit_except POST { deny all; }
        }

        location /api/shops {
            dataflow_expose list;
            dataflow_model shops { field name text; timestamps off; }
        }

        location /api/notes {
            dataflow_expose get create;
            dataflow_model notes {
                field shop_id  bigint;
                field text     text;
                relation shop shops shop_id;
                timestamps off;
            }
        }

        location /api/audits {
            dataflow_model audits {
                field shop_id  bigint;
                relation shop shops shop_id reverse=off;
                timestamps off;
            }
        }

        location /api/reports {
            dataflow_analytics {
                report digits {
                    from   orders;
                    filter "customer.card.digits = '4711'";
                    group  card.digits as digits;
                    value  n "count(*)";
                }
            }
        }

        location = /openapi.json { dataflow_openapi; }
CONF

$closed->dbh->do($_) for
    "INSERT INTO cards (digits) VALUES ('4711')",
    "INSERT INTO customers (name, card_id) VALUES ('ann', 1)",
    "INSERT INTO shops (name) VALUES ('here')",
    'INSERT INTO orders (total, customer_id, card_id, shop_id)'
    . ' VALUES (5, 1, 1, 1)',
    "INSERT INTO notes (shop_id, text) VALUES (1, 'hush')",
    'INSERT INTO audits (shop_id) VALUES (1)';

subtest 'relations to what is not offered do not exist' => sub {
    my $same = sub {
        my ($name, $make) = @_;

        # "crad" is as far from every other name as "card" is

        my ($got, $want) = map { $make->($_) } 'card', 'crad';
        my ($said, $says) = map { my $b = $_->body; $b =~ s/crad/card/g;
                                  $b =~ s/urn:request:\w+//; $b } $got, $want;

        is($got->code, 400, "$name: refused") or diag($got->body);
        is($said, $says, "$name: as one that is not there");
        unlike($got->body, qr/4711|cards|did you mean/, "$name: tells nothing");
    };

    for my $query ('include=NAME', 'fields=id,NAME.digits', 'fields=NAME',
                   'include=customer.NAME', 'fields=customer.NAME.digits',
                   'NAME.digits=4711', 'NAME.digits__contains=47', 'NAME=1',
                   'customer.NAME.digits=4711', 'sort=NAME.digits',
                   'sort=-customer.NAME.digits:nullsfirst', 'sort=NAME',
                   'filter=' . enc('{"$or":[{"NAME.digits":"4711"}]}'),
                   'filter=' . enc('{"NAME":1}'),
                   'where=' . enc("NAME.digits = '4711'"),
                   'where=' . enc('length(customer.NAME.digits) > 1'))
    {
        $same->($query, sub {
            $closed->get("/api/orders?" . $query =~ s/NAME/$_[0]/r) });
    }

    for my $query ('group_by=NAME.digits', 'count=NAME.digits', 'min=NAME.digits',
                   'group_by=customer.NAME.digits', 'count_distinct=NAME.digits',
                   'aggregate=max(NAME.digits)%20as%20m',
                   'count=*&having=max(NAME.digits)%3E1',
                   'count=*&where=NAME.digits%20is%20null',
                   'count=*&NAME.digits=4711')
    {
        $same->("aggregate: $query", sub {
            $closed->get("/api/orders/aggregate?"
                         . $query =~ s/NAME/$_[0]/r) });
    }

    for (['query', '{"include":["NAME"]}'], ['query', '{"sort":"NAME.digits"}'],
         ['query', '{"where":{"$eq":["NAME.digits","\'4711\'"]}}'],
         ['aggregate', '{"group_by":["NAME.digits"]}'],
         ['aggregate', '{"aggregates":{"a":{"group_by":["NAME.digits"]}}}'],
         ['bulk', '{"operation":"delete","filter":{"NAME.digits":"4711"}}'],
         ['bulk', '{"operation":"update","set":{"total":6},'
                  . '"where":"NAME.digits = \'4711\'"}'])
    {
        my ($resource, $body) = @$_;

        $same->("$resource: $body", sub {
            $closed->post("/api/orders/$resource",
                          $body =~ s/NAME/$_[0]/r) });
    }

    is($closed->get('/api/orders')->json->{data}[0]{total}, 5,
       'nothing was done');
};

subtest 'relations to what is offered' => sub {
    is($closed->get('/api/orders?include=customer,shop&fields=total,'
                    . 'customer.name,shop.name')->body,
       '{"data":[{"total":5,"customer":{"name":"ann"},'
       . '"shop":{"name":"here"}}],"next":null}', 'by get, and by list');
    is($closed->get('/api/orders?customer.name=ann&sort=shop.name')->code, 200,
       'filter and sort');
    is($closed->get('/api/shops?include=orders')->json->{data}[0]{orders}[0]
       {total}, 5, 'from the other end');

    for my $name ('notes', 'audits') {
        my $r = $closed->get("/api/shops?include=$name");
        is($r->code, 400, "$name are not to be listed");
        is($r->json->{errors}[0]{detail},
           qq(shops has no relation "$name"; it has "orders"), 'said so');
        is($closed->get("/api/shops?$name.id=1")->json->{errors}[0]{detail},
           qq(shops has no field or relation "$name"), 'nor in conditions');
    }

    is($closed->get('/api/audits?include=shop')->json->{data}[0]{shop}{name},
       'here', 'reverse=off closes one end only');
    is($closed->get('/api/customers/1?include=crad')->json->{errors}[0]{detail},
       'customers has no relation "crad"; it has "orders"', 'what there is');
};

subtest 'reports reach all' => sub {
    is($closed->get('/api/reports/digits')->body,
       '{"data":[{"digits":"4711","n":1}]}', 'nginx.conf says it');
};

subtest 'the OpenAPI document knows no other' => sub {
    my $r = $closed->get('/openapi.json');
    my $doc = $r->json;
    my $models = $doc->{'x-dataflow'}{models};

    is_deeply([ sort keys %{ $models->{orders}{relations} } ],
              [qw(customer shop)], 'relations');
    is_deeply([ sort keys %{ $models->{shops}{reverses} } ], ['orders'],
              'reverses');
    is_deeply([ sort keys %{ $models->{cards}{reverses} } ], ['orders'],
              'of what is closed itself');
    is_deeply($doc->{components}{schemas}{'orders.include'}{anyOf}[0]{enum},
              [qw(customer shop)], 'include');

    my $properties = $doc->{components}{schemas}{orders}{properties};
    ok($properties->{customer} && !$properties->{card}, 'records');

    unlike($r->body, qr/\bcard\b/, 'conditions, and all else');
};

is_deeply([ $closed->finish ], [], 'nginx ended cleanly');

$t->done;
