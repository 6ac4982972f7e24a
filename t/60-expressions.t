use strict;
use warnings;

use Test::More;

use DataflowTest;

# the language of where=: what it finds, and what it says of mistakes

binmode Test::More->builder->$_, ':utf8'
    for qw(output failure_output todo_output);

my $t = DataflowTest->new(allow => qr/SQLSTATE 0A000/,
                          models => <<'CONF')->start;
        location /api/things {
            dataflow_model things {
                field name   text;
                field code   varchar(20);
                field price  numeric(12,2);
                field stock  integer;
                field big    bigint;
                field flt    real;
                field dbl    double;
                field flag   boolean;
                field at     timestamptz;
                field day    date;
                field span   interval;
                field uid    uuid;
                field attrs  json;
                field tags   text[];
                field end    text;
                field secret text hidden;
                field maker_id bigint;
                relation maker makers maker_id;
            }
        }
        location /api/makers {
            dataflow_model makers { field tier text; }
        }
CONF

my $dbh = $t->dbh;

$dbh->do(q{INSERT INTO makers (tier) VALUES ('vip'), ('std')});
$dbh->do(q{INSERT INTO things (name, code, price, stock, big, flt, dbl, flag,
    at, day, span, attrs, tags, maker_id) VALUES
    ('Apple', 'a1', 10.50, 3, 5, 0.1, 0.1, true, '2026-01-31T23:30:00Z',
     '2026-01-31', '1 day', '{"color":"red","size":3}', '{x,y}', 1),
    ('pear', 'p1', 99.99, 0, NULL, 1.5, 2.5, false, '2026-02-01T10:00:00Z',
     '2026-02-01', NULL, '{"color":"blue","size":"3"}', '{}', 2),
    (NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
     NULL, NULL)});

sub escaped {
    my ($text) = @_;

    utf8::encode($text) if utf8::is_utf8($text);
    return $text =~ s/([^A-Za-z0-9_.-])/sprintf '%%%02X', ord $1/ger;
}

sub where { return $t->get('/api/things?where=' . escaped($_[0])) }

sub finds {
    my ($where, @ids) = @_;
    my $r = where($where);

    is($r->code == 200 ? join(',', map { $_->{id} } @{ $r->json->{data} })
                       : $r->json->{detail},
       join(',', @ids), $where);
}

sub refused {
    my ($where, $code, $detail) = @_;
    my $r = where($where);
    my $name = length $where > 60 ? substr($where, 0, 60) . '...' : $where;

    is($r->code, 400, "$name: refused");
    is($r->json->{code}, $code, "$name: as $code");
    is($r->json->{errors}[0]{parameter}, 'where', "$name: the parameter");
    like($r->json->{errors}[0]{detail}, $detail, "$name: what is wrong");
}


subtest 'comparisons of fields are filters' => sub {
    finds('price > 50', 2);
    finds('price > 50 and stock = 0', 2);
    finds(q{name icontains 'PP'}, 1);
    finds(q{name in ('Apple', 'x', null)}, 1, 3);
    finds(q{name != 'Apple'}, 2, 3);
    finds(q{name <> 'Apple'}, 2, 3);
    finds(q{name not in ('Apple')}, 2, 3);
    finds('stock between 1 and 5', 1);
    finds('not stock between 1 and 5', 2);
    finds('stock not between 1 and 5', 2);
    finds('10 < price and 50 > price', 1);
    finds('name is null', 3);
    finds('name is not null', 1, 2);
    finds('name = null', 3);
    finds('null != name', 1, 2);
    finds(q{attrs.color = 'red'}, 1);
    finds('attrs.size = 3', 1);
    finds(q{attrs.size = '3'}, 2);
    finds('attrs.size > 2', 1);
    finds(q{attrs.color in ('red', 'green')}, 1);
    finds(q{attrs contains '{"color":"red"}'}, 1);
    finds(q{tags has 'x'}, 1);
    finds(q{tags has_any ('q', 'y')}, 1);
    finds(q{tags has_all ('x', 'y')}, 1);
    finds(q{tags = '["x","y"]'}, 1);
    finds(q{maker.tier = 'vip'}, 1);
    finds(q{maker.tier != 'vip'}, 2, 3);
    finds('flag', 1);
    finds('not flag', 2);
    finds('flag = true', 1);
    finds('flt = 0.1', 1);
    finds('price > -5', 1, 2);
    finds(q{span > '1 hour'}, 1);
    finds(q{name like 'A%'}, 1);
    finds(q{name not like 'A%'}, 2);
    finds(q{name ~* '^APP'}, 1);
    finds('"end" is null', 1, 2, 3);
};


subtest 'the rest is calculated' => sub {
    finds('price * stock > 30', 1);
    finds('stock > 1.5', 1);
    finds('stock > 10000000000');
    finds('stock / 2 = 1.5', 1);
    finds('-stock < 0', 1);
    finds('5 % 3 = 2', 1, 2, 3);
    finds(q{lower(name) = 'apple'}, 1);
    finds(q{lower(name) icontains 'PP'}, 1);
    finds(q{name || 'x' = 'pearx'}, 2);
    finds(q{concat(name, stock) = 'Apple3'}, 1);
    finds('coalesce(stock, 5) = 5', 3);
    finds(q{case when stock > 1 then 'many' else 'few' end = 'many'}, 1);
    finds('if(stock > 1, price, 0) > 5', 1);
    finds('greatest(stock, price) > 5', 1, 2);
    finds(q{nullif(code, 'a1') is null}, 1, 3);
    finds('stock + 1 in (1, 2, null)', 2, 3);
    finds('stock + 1 not in (1, 2)', 1, 3);
    finds('price in (10.50, stock)', 1);
    finds('numeric(attrs.size) = 3', 1, 2);
    finds('cardinality(tags) = 2', 1);
    finds('round(price, 1) = 10.5', 1);
};


subtest 'case, and arrays of rows' => sub {
    finds(q{case name when 'Apple' then 1 when 'pear' then 2 else 0 end = 2},
          2);
    finds('case stock + 0 when 3 then 1 end = 1', 1);
    finds('case flag when true then 1 else 2 end = 2', 2, 3);
    finds(q{'x' in tags}, 1);
    finds(q{tags has lower('X')}, 1);
    finds('tags has_any tags', 1);
    finds('tags contains tags', 1, 2);
    finds('stock in ()');
    finds('stock not in ()', 1, 2, 3);
};


subtest 'dates and times are of UTC' => sub {
    finds(q{at >= date('2026-02-01')}, 2);
    finds(q{date_trunc('month', at) = '2026-01-01T00:00:00Z'}, 1);
    finds(q{date_trunc(month, at) = timestamptz '2026-01-01T00:00:00Z'}, 1);
    finds('year(at) = 2026 and month(at) = 1', 1);
    finds('extract(year from at) = 2026', 1, 2);
    finds(q{extract('epoch', at) > 0}, 1, 2);
    finds(q{at > now() - '100 years'}, 1, 2);
    finds(q{at + interval '1 day' > '2026-02-01T12:00:00Z'}, 1, 2);
    finds(q{day + 1 = '2026-02-01'}, 1);
    finds(q{to_char(at, 'YYYY-MM') = '2026-01'}, 1);
};


subtest 'mistakes are told with their place and the mend' => sub {
    refused('prize > 1', 'unknown_field',
            qr/^at character 1: things has no field "prize"; .* "price"\?$/);
    refused('summ(price) > 1', 'unknown_operator',
            qr/^at character 1: .*"summ"; did you mean "sum"\?/);
    refused('stock > 1 and sum(price) > 1', 'invalid_value',
            qr/^at character 15: "sum" is an aggregate.*having/);
    refused('secret is null', 'unknown_field', qr/no field "secret"/);
    refused('name > 5', 'invalid_value', qr/^at character 8: .*string/);
    refused('name + 1 > 3', 'invalid_value', qr{^at character 6: text \+ number is not});
    refused('price >', 'invalid_value', qr/^at character 8: .*ends/);
    refused('price > 5 5', 'invalid_value', qr/^at character 11: .*not 5/);
    refused('(price > 5', 'invalid_value', qr/expected an operator or \)/);
    refused(q{name = 'abc}, 'invalid_value', qr/^at character 8: .*end/);
    refused('end is null', 'invalid_value', qr/double quotes/);
    refused('price', 'invalid_value', qr/expected a condition, not numeric/);
    refused('name = $x', 'unknown_field', qr/no parameter "\$x"/);
    refused('price < 1 < 2', 'invalid_value', qr/^at character 11/);
    refused(q{at > '2026-01-01T10:00'}, 'invalid_value', qr/with an offset/);
    refused(q{date_trunc('dya', at) = now()}, 'invalid_value', qr/'day'\?/);
};


# the same in JSON

sub asked {
    return $t->post('/api/things/query', qq({"where":$_[0]}),
                    'Content-Type' => 'application/json');
}

sub asks {
    my ($where, @ids) = @_;
    my $r = asked($where);

    is($r->code == 200 ? join(',', map { $_->{id} } @{ $r->json->{data} })
                       : $r->json->{detail},
       join(',', @ids), $where);
}

sub denied {
    my ($where, $code, $pointer, $detail) = @_;
    my $r = asked($where);

    is($r->code, 400, "$where: refused");
    is($r->json->{code}, $code, "$where: as $code");
    is($r->json->{errors}[0]{pointer}, $pointer, "$where: the pointer");
    like($r->json->{errors}[0]{detail}, $detail, "$where: what is wrong");
}


subtest 'in JSON a string is infix, and $name a call' => sub {
    asks('"price > 50"', 2);
    asks('{"$gt":["price",50]}', 2);
    asks('{"$gt":["price * stock",30]}', 1);
    asks('{"$gt":[{"$multiply":["price","stock"]},30]}', 1);
    asks('{"$gt":[{"$add":["stock","stock","stock",1]},9]}', 1);
    asks('{"$and":[{"$gt":["price",5]},"stock = 0"]}', 2);
    asks(q({"$in":["name",["'Apple'","null"]]}), 1, 3);
    asks(q({"$eq":[{"$date_trunc":["month","at"]},)
         . q({"$literal":"2026-01-01T00:00:00Z"}]}), 1);
    asks(q({"$eq":[{"$case":["stock > 1","'many'","'few'"]},"'many'"]}), 1);
    asks(q({"$eq":[{"$case":["stock > 1","'many'","stock = 0","'none'"]},)
         . q("'none'"]}), 2);
    asks(q({"$eq":[{"$if":["stock > 1","'many'","'few'"]},"'few'"]}), 2, 3);
    asks('{"$eq":[{"$year":"at"},2026]}', 1, 2);
    asks('{"$eq":[{"$extract":["year","at"]},2026]}', 1, 2);
    asks('{"$isnull":"price"}', 3);
};


subtest 'in JSON a member compares as in a filter' => sub {
    asks('{"price":{"$gt":50}}', 2);
    asks('{"price":{"$gt":5,"$lt":50},"flag":true}', 1);
    asks('{"name":{"$in":["Apple",null]}}', 1, 3);
    asks('{"$or":[{"stock":0},{"name":"Apple"}]}', 1, 2);
    asks('{"$not":{"stock":0}}', 1);
    asks('{"attrs.color":"red"}', 1);
    asks('{"attrs":{"$contains":{"color":"red"}}}', 1);
    asks('{"attrs":{"color":"red","size":3}}', 1);
    asks('{"attrs.color":{"$in":["red",{"a":1}]}}', 1);
    asks('{"tags":["x","y"]}', 1);
    asks('{"tags":{"$has":"x"}}', 1);
    asks('{"tags":{"$contains":["y"]}}', 1);
    asks('{"price":{"$between":[1,50]}}', 1);
    asks('{"price":{"$isnull":true}}', 3);
    asks('{"maker.tier":"vip"}', 1);
};


subtest 'mistakes in JSON are told with a pointer' => sub {
    denied('{"prize":1}', 'unknown_field', '/where/prize', qr/"price"\?/);
    denied('{"$multply":["price",1]}', 'unknown_operator', '/where/$multply',
           qr/"\$multply"; did you mean "\$multiply"\?/);
    denied('{"price":{"$gtt":5}}', 'unknown_operator', '/where/price/$gtt',
           qr/did you mean "\$gt"\?/);
    denied('{"price":{"$sum":5}}', 'unknown_operator', '/where/price/$sum',
           qr/compares nothing/);
    denied('{"$lt":["price +",3]}', 'invalid_value', '/where/$lt/0',
           qr/^at character 8: expected a value/);
    denied('{"price":[1,2]}', 'invalid_value', '/where/price', qr/"in"\?/);
    denied('{"price":{"$between":[1]}}', 'invalid_value',
           '/where/price/$between', qr/two values/);
    denied('{"$gt":[{"$sum":"price"},1]}', 'invalid_value',
           '/where/$gt/0/$sum', qr/having/);
    denied('{}', 'invalid_value', '/where', qr/\$sum/);
    denied('["price > 5"]', 'invalid_value', '/where', qr/not an array/);
    denied('{"name":"a\u0000b"}', 'invalid_value', '/where/name', qr/U\+0000/);
    denied(q({"$eq":["name","'a\u0000'"]}), 'invalid_value', '/where/$eq/1',
           qr/U\+0000/);
    denied('{"name":5}', 'invalid_value', '/where/name', qr/a string/);
};


subtest 'values of other types are another statement' => sub {
    for (1 .. 3) {
        finds(q{date '2026-01-02' - date '2026-01-01' = 1}, 1, 2, 3);
        finds(q{timestamptz '2026-01-02T00:00:00Z' - interval '1 day' < now()},
              1, 2, 3);
        finds('5 - 4 = 1', 1, 2, 3);
        finds('5.5 - 4 = 1.5', 1, 2, 3);
        finds(q{epoch(interval '1 day') = 86400}, 1, 2, 3);
        finds(q{epoch(date '1970-01-02') = 86400}, 1, 2, 3);
    }
};


# nobody gets at the SQL, whatever stands where

subtest 'names, texts and numbers that are hostile' => sub {
    my @evil = (q{x"; DROP TABLE things; --}, q{x'); DROP TABLE things; --},
                'x" OR 1=1', 'x\\', q{x\\'}, '$1', '$$', 'E\\047',
                "\x{202e}x", "x\x{0}y", 'pg_sleep(9)', 'xmin', 'ctid',
                'tableoid', 't0.id', "x\x{301}", '%s%n%V', 'a' x 300,
                "\x{1f4a9}", '--', '/*x*/', q{"}, q{''}, 'things.id',
                'public.things');

    for my $x (@evil) {
        my $quoted = $x =~ s/'/''/gr;
        my $name = $x =~ s/"/""/gr;

        for my $where (qq{name = '$quoted'}, qq{'$quoted' < name || '$quoted'},
                       qq{attrs."$name" = 'x'}, qq{"$name" = 1}, "$x = 1",
                       "$x(name) = 1", "date_trunc('$quoted', at) is null",
                       "extract($x from at) = 1", "name $x 'a'",
                       "maker.$x = 1", qq{maker."$name" = 1}, "\$$x = 1",
                       "name = $x", "$x.id = 1", "price > $x")
        {
            my $r = where($where);

            ok($r->code == 200 || $r->code == 400, "nothing else: $where")
                or diag($r->code . ' ' . $r->body);
        }
    }

    is($dbh->selectrow_array('SELECT count(*) FROM things'), 3, 'all is there');
};


sub too_much {
    my ($where, $code, $detail) = @_;
    my $r = asked(qq("$where"));
    my $name = substr $where, 0, 30;

    is($r->json->{code}, $code, "$name...: refused as $code");
    like($r->json->{errors}[0]{detail}, $detail, "$name...: what is wrong");
}


subtest 'what is too much is refused' => sub {
    too_much('(' x 33 . '1' . ')' x 33 . ' = 1', 'limit_exceeded', qr/32 deep/);
    too_much('(' x 4000 . '1', 'limit_exceeded', qr/32 deep/);
    too_much('not ' x 40 . 'flag', 'limit_exceeded', qr/32 deep/);
    too_much('-' x 40 . '1 = 1', 'limit_exceeded', qr/32 deep/);
    too_much('abs(' x 40 . '1' . ')' x 40 . ' = 1', 'limit_exceeded',
            qr/32 deep/);
    too_much('case when ' x 40, 'limit_exceeded', qr/32 deep/);
    too_much(join('+', (1) x 300) . ' = 1', 'limit_exceeded', qr/500 values/);
    too_much(q{name = '} . 'x' x 8200 . q{'}, 'limit_exceeded', qr/8192 bytes/);
    too_much('a.' x 4000 . 'a = 1', 'unknown_field', qr{no field or relation "a"});
    too_much('attrs' . '.a' x 17 . ' = 1', 'limit_exceeded', qr/16 steps/);

    my $deep = '{"$not":' x 33 . '"flag"' . '}' x 33;
    is(asked($deep)->json->{code}, 'limit_exceeded', 'a deep JSON');

    $deep = '{"$and":[' x 15 . '"' . '(' x 3 . 'flag' . ')' x 3 . '"'
            . ']}' x 15;
    is(asked($deep)->json->{code}, 'limit_exceeded', 'infix deep in JSON');

    asks('"' . join(' and ', ('price > 0') x 150) . '"', 1, 2);
    asks('"' . join('+', ('stock') x 200) . ' = 600"', 1);
    finds('(' x 31 . 'flag' . ')' x 31, 1);
};


subtest 'what is stored can make a calculation fail: 422' => sub {
    for ('1 / stock > 0', 'numeric(name) > 1', 'stock * 1000000000 > 1',
         'sqrt(-price) > 1', q{date_bin('1 month', at) = now()})
    {
        my $r = where($_);

        is($r->code, 422, "$_: refused");
        is($r->json->{code}, 'validation_failed', "$_: as what is stored");
    }

    is(where(q{name ~ '('})->code, 400, 'a pattern is of the request');
};


# conditions of indexes: the same language, as SQL without parameters

sub with_index {
    my ($where) = @_;

    $where =~ s/([\\"])/\\$1/g;

    return DataflowTest->new(models => <<"CONF");
        location /api/parts {
            dataflow_model parts {
                field name  text;
                field price numeric(12,2);
                field at    timestamptz;
                field attrs json;
                field tags  text[];
                field maker_id bigint;
                relation maker makers maker_id;
                index name "where=$where";
            }
        }
        location /api/makers {
            dataflow_model makers { field tier text; }
        }
CONF
}


subtest 'the condition of an index is SQL of its own' => sub {
    my %sql = (
        q{name = 'it''s' and price > 5} =>
            q{((name = 'it''s'::text) AND (price > '5'::numeric))},
        q{name = 'a\\b'} => q{(name = 'a\\b'::text)},
        q{name in ('a,"', null)} =>
            q{((name = ANY ('{"a,\""}'::text[])) OR (name IS NULL))},
        q{attrs.size > 3 and tags has 'x'} => qr/'\{size\}'.*'\{x\}'/s,
        q{lower(name) = 'x' and price / 2 > 1.5} => qr/lower\(name\)/,
        q{year(at) = 2026} => qr/EXTRACT\(year FROM \(at AT TIME ZONE 'UTC'/,
    );

    for my $where (sort keys %sql) {
        my $i = with_index($where)->start;
        my $have = $i->dbh->selectrow_array(<<'SQL') // $i->get('/health')->body;
            SELECT pg_get_expr(indpred, indrelid) FROM pg_index
            WHERE indrelid = 'parts'::regclass AND indpred IS NOT NULL
SQL

        ref $sql{$where} ? like($have, $sql{$where}, $where)
                         : is($have, $sql{$where}, $where);
    }
};


subtest 'what no index can hold is refused by nginx -t' => sub {
    my %said = (
        'at > now()' => qr/at character 6: "now" depends on more than the row/,
        q{date_trunc('day', at) = now()} => qr/"date_trunc" depends on more/,
        q{text(at) = 'x'} => qr/"text" depends on more/,
        q{at + '1 day' > at} => qr/"\+" depends on more/,
        q{maker.tier = 'x'} => qr/"maker" is a relation/,
        'count(*) > 1' => qr/"count" is an aggregate/,
        'prize > 1' => qr/no field "prize"; did you mean "price"\?/,
        'price' => qr/expected a condition, not numeric/,
        q{name = 'a} => qr/the text does not end/,
    );

    for my $where (sort keys %said) {
        my $i = with_index($where);
        my ($ok, $out) = $i->check_conf;

        ok(!$ok, "$where: refused");
        like($out, $said{$where}, "$where: what is wrong");
        like($out, qr/nginx\.conf:\d+/, "$where: and where");
    }
};


$t->done;
