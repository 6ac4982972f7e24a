use strict;
use warnings;

use Test::More;

use DataflowTest;

# reading: lists, records, pages, entity tags

my $t = DataflowTest->new(models => <<'CONF')->start;
        location /api/products {
            dataflow_model products {
                field sku      text           required unique;
                field name     text           required max=200;
                field price    numeric(12,2)  required min=0;
                field stock    integer        default=0;
                field active   boolean        default=true;
                field category text;
                field secret   text           hidden;
            }
            dataflow_limit_rows default=10 max=50 offset=100;
        }
CONF

my @category = ('audio', 'video', undef);

for my $i (1 .. 30) {
    my $r = $t->post('/api/products', {
        sku => "s$i", name => "Product $i", price => 5 * $i . '.50',
        stock => $i % 4, category => $category[$i % 3],
        active => $i % 2 ? JSON::PP::true : JSON::PP::false,
    });
    is($r->code, 201) or diag($r->body);
}


sub ids {
    my ($r) = @_;
    return join ' ', map { "$_->{id}" } @{ $r->json->{data} // [] };
}


subtest 'a record' => sub {
    my $r = $t->get('/api/products/3');

    is($r->code, 200, 'status');
    is($r->type, 'application/json', 'type');
    is($r->header('Content-Length'), length $r->body, 'length');
    like($r->body, qr/^\{"id":3,"sku":"s3","name":"Product\ 3","price":15\.50,
                       "stock":3,"active":true,"category":"audio",
                       "created_at":"[^"]+","updated_at":"[^"]+"\}$/x,
         'all fields but the hidden one, in order');
    like($r->json->{created_at},
         qr/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[-+]\d\d:\d\d)$/,
         'RFC 3339');

    is($t->get('/api/products/3?fields=name,id')->body,
       '{"name":"Product 3","id":3}', 'fields');
    is($t->get('/api/products/31')->code, 404, 'none');

    $r = $t->get('/api/products/3?limit=1');
    is($r->code, 400, 'limit is a list\'s');
    is($r->json->{code}, 'unknown_parameter', 'said so');
};


subtest 'entity tags' => sub {
    my $tag = $t->get('/api/products/3')->header('ETag');

    like($tag, qr/^"\d+-[0-9a-f]{8}"$/, 'form');
    is($t->get('/api/products/3')->header('ETag'), $tag, 'stays');
    isnt($t->get('/api/products/4')->header('ETag'), undef, 'another');
    isnt($t->get('/api/products/3?fields=id')->header('ETag'), $tag,
         'other fields');
    isnt($t->get('/api/products/3?fields=id')->header('ETag'),
         $t->get('/api/products/3?fields=name')->header('ETag'),
         'yet others');

    for my $value ($tag, "W/$tag", "\"x\", $tag", '*') {
        my $r = $t->get('/api/products/3', 'If-None-Match' => $value);
        is($r->code, 304, "If-None-Match: $value");
        is($r->body, '', 'empty');
        is($r->header('ETag'), $tag, 'with its tag');
    }

    is($t->get('/api/products/3', 'If-None-Match' => '"x"')->code, 200,
       'If-None-Match of another');
    is($t->get('/api/products/3', 'If-Match' => $tag)->code, 200,
       'If-Match');
    is($t->get('/api/products/3', 'If-Match' => '*')->code, 200,
       'If-Match: *');

    my $r = $t->get('/api/products/3', 'If-Match' => '"1-00000000"');
    is($r->code, 412, 'If-Match of another');
    is($r->json->{code}, 'precondition_failed', 'a problem');

    is($t->get('/api/products/99', 'If-Match' => $tag)->code, 404,
       'If-Match of nothing');
    is($t->get('/api/products/3', 'If-Match' => 'x')->code, 400,
       'If-Match that is none');
};


subtest 'lists' => sub {
    my $r = $t->get('/api/products');

    is($r->code, 200, 'status');
    is(ids($r), '1 2 3 4 5 6 7 8 9 10', 'the default limit, by key');
    ok($r->json->{next}, 'there is more');
    ok(!exists $r->json->{count}, 'not counted');

    $r = $t->get('/api/products?limit=50');
    is(scalar @{ $r->json->{data} }, 30, 'all');
    ok(exists $r->json->{next} && !defined $r->json->{next}, 'next is null');
    is($r->header('Link'), undef, 'and no Link');

    is($t->get('/api/products?id=99')->body, '{"data":[],"next":null}',
       'none');
    is(ids($t->get('/api/products?price__gte=100&active=true')),
       '21 23 25 27 29', 'filters are joined by AND');
    is(ids($t->get('/api/products?sort=-price&limit=3')), '30 29 28',
       'sorted');
    is(ids($t->get('/api/products?sort=category,-id&limit=2')), '30 27',
       'by two fields');
    is(ids($t->get('/api/products?sort=category:nullsfirst&limit=2')), '2 5',
       'nulls first');
    is(ids($t->get('/api/products?offset=28')), '29 30', 'offset');
    is("" . $t->get('/api/products?stock=0&count=exact&limit=1')
              ->json->{count}, 7, 'count');
    is($t->get('/api/products?fields=sku&limit=1')->json->{data}[0]{sku},
       's1', 'fields');
};


subtest 'the same as a body' => sub {
    my $r = $t->post('/api/products/query', {
        filter => { '$or' => [ { stock => { '$lt' => 1 } },
                               { active => JSON::PP::false } ] },
        sort => '-id', limit => 3, fields => ['id'], count => 'exact',
    });

    is($r->code, 200, 'status') or diag($r->body);
    is(ids($r), '30 28 26', 'rows');
    is("" . $r->json->{count}, 15, 'count');
    is($r->header('Link'), undef, 'no Link: a URL cannot tell a body');

    my $next = $t->post('/api/products/query', {
        filter => { '$or' => [ { stock => { '$lt' => 1 } },
                               { active => JSON::PP::false } ] },
        sort => '-id', limit => 3, fields => ['id'],
        cursor => $r->json->{next},
    });
    is(ids($next), '24 22 20', 'the next page');
};


subtest 'pages' => sub {
    my $path = '/api/products?sort=-stock&active=true&limit=4';
    my @seen;

    for (1 .. 10) {
        my $r = $t->get($path);
        is($r->code, 200, $path) or diag($r->body);

        push @seen, map { "$_->{id}" } @{ $r->json->{data} };

        my $link = $r->header('Link');
        is(!!$link, !!$r->json->{next}, 'Link and next agree');
        last unless $link;

        my ($query) = $link =~ /^<(\?[^>]+)>; rel="next"$/ or last;
        like($query, qr/^\?sort=-stock&active=true&limit=4&cursor=[^&]+$/,
             'the same query');
        $path = "/api/products$query";
    }

    is("@seen", '3 7 11 15 19 23 27 1 5 9 13 17 21 25 29',
       'every row once, in order');

    my $r = $t->get('/api/products?limit=2&offset=1');
    like($r->header('Link'), qr/^<\?limit=2&cursor=[^&>]+>/,
         'Link goes on without offset');
    is(ids($t->get('/api/products' . ($r->header('Link') =~ /<(.*)>/)[0])),
       '4 5', 'behind it');

    my $cursor = $t->get('/api/products?limit=2')->json->{next};

    for my $begin ("c%75rsor=$cursor", "cursor=$cursor", '%6Fffse%74=1',
                   '%6f%66%66%73%65%74=0')
    {
        my $r = $t->get("/api/products?limit=1&$begin&sort=id");
        is($r->code, 200, $begin) or diag($r->body);
        like($r->header('Link'), qr/^<\?limit=1&sort=id&cursor=[^&>]+>/,
             "$begin: Link goes on without it");
    }

    for (['limit=2&sort=-id', 'another sort'], ['limit=2&stock=1', 'filter'])
    {
        my $r = $t->get("/api/products?$_->[0]&cursor=$cursor");
        is($r->code, 400, "a cursor of $_->[1]");
        is($r->json->{code}, 'invalid_cursor', 'said so');
    }

    is($t->get('/api/products?cursor=x')->code, 400, 'not a cursor');
};


subtest 'refusals' => sub {
    my @refused = (
        ['limit=51', 'limit_exceeded', 'limit'],
        ['limit=x', 'invalid_value', 'limit'],
        ['limit=all', 'invalid_value', 'limit'],
        ['limit=1&limit=2', 'bad_request', 'limit'],
        ['offset=101', 'limit_exceeded', 'offset'],
        ['pric=1', 'unknown_parameter', 'pric'],
        ['price__gtt=1', 'unknown_operator', 'price__gtt'],
        ['price=cheap', 'invalid_value', 'price'],
        ['secret=1', 'unknown_parameter', 'secret'],
        ['fields=secret', 'unknown_field', 'fields'],
        ['sort=colour', 'unknown_field', 'sort'],
        ['filter={', 'invalid_json', 'filter'],
        ['count=maybe', 'invalid_value', 'count'],
        ['dry_run=true', 'unknown_parameter', 'dry_run'],
        ['name=%00', 'bad_request', 'name'],
        ['name=%zz', 'bad_request', 'name'],
    );

    for (@refused) {
        my ($query, $code, $parameter) = @$_;

        my $r = $t->get("/api/products?$query");
        is($r->code, 400, $query);
        is($r->type, 'application/problem+json', "$query: type");
        is($r->json->{code}, $code, "$query: code") or diag($r->body);
        is($r->json->{errors}[0]{parameter}, $parameter,
           "$query: parameter");
    }

    like($t->get('/api/products?pric=1')->body, qr/\\"price\\"/,
         'the nearest name is said');
    like($t->get('/api/products?sort=price:last')->body, qr/nullsfirst/,
         'what can stand behind a colon');
};


subtest 'a record has one address' => sub {
    my ($none) = map { $_->json->{detail} } $t->get('/api/products/999');
    is($none, 'there is no record with this key', 'none');

    for my $key ('%2B1', '+1', '007', '01', '-0', '%201', '1%20', 'abc', '1.0',
                 '99999999999999999999')
    {
        for my $method (qw(GET PATCH DELETE)) {
            my $r = $t->request($method, "/api/products/$key", {},
                                $method eq 'PATCH' ? { stock => 1 } : undef);
            is($r->code, 404, "$method $key");
            is($r->json->{detail}, $none, "$method $key: the same words");
        }
    }

    is(ids($t->get('/api/products?id__in=%2B1,007')), '1 7',
       'filters take what is the same number');
};


subtest 'formats' => sub {
    my $r = $t->get('/api/products?limit=2&fields=id,category',
                    Accept => 'application/x-ndjson');
    is($r->body, qq({"id":1,"category":"video"}\n{"id":2,"category":null}\n),
       'NDJSON');

    $r = $t->get('/api/products?limit=2&fields=id,category,name',
                 Accept => 'text/csv');
    is($r->body, "id,category,name\r\n1,video,Product 1\r\n2,,Product 2\r\n",
       'CSV');

    is($t->get('/api/products?limit=all&fields=id', Accept => 'text/csv')
         ->body =~ tr/\n//, 31, 'limit=all');

    $r = $t->get('/api/products?count=exact', Accept => 'text/csv');
    is($r->code, 400, 'no count in CSV');
    is($r->json->{errors}[0]{parameter}, 'count', 'said so');
};


$t->done;
