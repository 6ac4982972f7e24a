use strict;
use warnings;

use Test::More;
use URI::Escape ();

use DataflowTest;

# requests that reach over relations, and records within records, against what
# Perl makes of the same rows

my $seed = $ENV{DATAFLOW_SEED} // 62;
my $rounds = $ENV{DATAFLOW_ROUNDS} // 150;

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
sub enc { return URI::Escape::uri_escape_utf8($_[0]) }
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
            qr/^customers has no field "teir"; did you mean "tier"\?$/);
    refused('/api/orders?customer.regoin.name=x', 'unknown_field',
            qr/^customers has no field or relation "regoin"; did you mean "region"\?$/);
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
            qr/name a field behind it, as "region\.code"$/);
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

$t->done;
