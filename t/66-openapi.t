use strict;
use warnings;

use Test::More;

use DataflowTest;
use DataflowTest::OpenAPI;

# the OpenAPI document: made when the configuration is read, served as a file
# of nginx would be

my $models = <<'CONF';
    location /api/things {
        dataflow_expose list get create update replace delete;
        dataflow_model things {
            description "Things of \"all\" kinds.";
            field name text required max=20;
            field n    integer min=0;
        }
    }

    location /api/read {
        dataflow_expose list get;
        dataflow_model readings { field value double; }
    }

    location = /openapi.json {
        dataflow_openapi "title=The shop's" version=1.2 "description=All of \"it\".";
    }

    location = /closed.json {
        dataflow_openapi;
        deny all;
    }

    location /limited {
        dataflow_openapi;
        limit_except GET { deny all; }
    }
CONF

my $t = DataflowTest->new(
    http => "gzip on; gzip_types application/json;",
    models => $models)->start;

my $r = $t->get('/openapi.json');

is($r->code, 200, 'the document is there');
is($r->type, 'application/json', 'its type');
is($r->json->{openapi}, '3.1.0', 'its version of OpenAPI');
is_deeply($r->json->{info}, { title => "The shop's", version => '1.2',
                              description => 'All of "it".' },
          'what the directive says');
is_deeply($r->json->{servers}, [ { url => '/' } ],
          'paths begin at the root of the server it was read from');
is_deeply([ sort keys %{ $r->json->{paths} } ],
          [ '/api/read', '/api/read/query', '/api/read/{id}',
            '/api/things', '/api/things/query', '/api/things/{id}' ],
          'the paths of all locations')
    or diag(explain([ keys %{ $r->json->{paths} } ]));
is_deeply([ sort keys %{ $r->json->{paths}{'/api/read/{id}'} } ],
          [ qw(get parameters) ], 'what is not exposed is not in it');
is($r->json->{tags}[0]{description}, 'Things of "all" kinds.',
   'descriptions are escaped');

my $etag = $r->header('ETag');

like($etag, qr/^"[0-9a-f]{32}"$/, 'a strong entity tag');
is($t->get('/openapi.json')->header('ETag'), $etag, 'which stays');
isnt($t->get('/limited')->header('ETag'), $etag,
     'and is another one of another document');

is($t->head('/openapi.json')->code, 200, 'HEAD');
is($t->head('/openapi.json')->header('Content-Length'), length $r->body,
   'HEAD tells the length');
is($t->head('/openapi.json')->body, '', 'and nothing else');

my $same = $t->get('/openapi.json', 'If-None-Match' => $etag);

is($same->code, 304, 'If-None-Match: 304');
is($same->body, '', 'without the document');
is($t->get('/openapi.json', 'If-None-Match' => '"other"')->code, 200,
   'If-None-Match of another document');
is($t->get('/openapi.json', 'If-Match' => '"other"')->code, 412,
   'If-Match of another document');

my $gzip = $t->get('/openapi.json', 'Accept-Encoding' => 'gzip');

is($gzip->header('Content-Encoding'), 'gzip', 'compressed by nginx');
is($gzip->header('ETag'), "W/$etag", 'with a weak tag');
is($t->get('/openapi.json', 'Accept-Encoding' => 'gzip',
           'If-None-Match' => "W/$etag")->code, 304, 'which is known again');

is($t->options('/openapi.json')->code, 204, 'OPTIONS');
is($t->options('/openapi.json')->header('Allow'), 'GET, HEAD, OPTIONS',
   'the methods');

for my $method (qw(POST PUT DELETE)) {
    $r = $t->request($method, '/openapi.json', {}, {});
    is($r->code, 405, "$method is refused");
    is($r->json->{code}, 'method_not_allowed', 'with a problem');
    is($r->header('Allow'), 'GET, HEAD, OPTIONS', 'and the methods');
}

is($t->get('/closed.json')->code, 403, 'deny holds for it');
is($t->get('/limited')->code, 200, 'limit_except lets GET through');
is($t->post('/limited', {})->code, 403, 'and nothing else');
is($t->get('/limited/below')->code, 200, 'a prefix location serves it below');

$t->reload;

is($t->get('/openapi.json', 'If-None-Match' => $etag)->code, 304,
   'the tag is the same after a reload');

$t->write_conf(models => $models =~ s/max=20/max=21/r);
$t->reload;

$r = $t->get('/openapi.json', 'If-None-Match' => $etag);

is($r->code, 200, 'another model, another tag');
is($r->json->{components}{schemas}{things}{properties}{name}{maxLength}, 21,
   'and another document');


# what other people's programs make of a document of every type and option

$t->write_conf(http => '', models => DataflowTest::OpenAPI::models());
$t->reload;
$t->wait_ready;

DataflowTest::OpenAPI::script($t, 'document');
DataflowTest::OpenAPI::script($t, 'document', '/patterns.json');

cmp_ok(length $t->get('/patterns.json')->body, '<',
       length $t->get('/openapi.json')->body,
       'conditions as patterns make it smaller');


# patterns: PCRE in nginx.conf, ECMAScript in the document as far as both read
# them alike

my @alike = ('^a', 'b$', '^[A-Z]{2}-\d{4,5}$', '^[^@ ]+@[^@ ]+$', 'a|b|',
             '^(?:a|b)*?c+$', '\bab\b', '[\w.-]+', '[\]\\\\^-]', '^\S*$', 'é',
             '^.{3}$', '^\.\/$', '[a-c-e]', '(a(b(c)?)?)?');
my @apart = ('(?i)a', 'a++', 'a*+', '(?=a)b', '(?<n>a)', '(a)\1', '[[:alpha:]]',
             '\Aa\z', 'a{,2}', '}', ']', '[]a]', '[\d-z]', '\h', '(?#x)a',
             '\-', '\p{L}', '^*a', 'a{2}{3}', '(?>a)', '\Qa\E', '[\b]',
             '(*UTF8)a', '\x41');

sub quoted { return $_[0] =~ s/(["\\])/\\$1/gr }


sub with_patterns {
    my @patterns = @_;

    my $fields = join "\n", map { sprintf 'field p%d text "pattern=%s";', $_,
                                          quoted($patterns[$_]) }
                            0 .. $#patterns;

    $t->write_conf(http => '', migrate => 'off', models => <<"CONF");
        location /api/patterns { dataflow_model patterns { $fields } }
        location = /openapi.json { dataflow_openapi; }
CONF

    return ($t->check_conf)[0];
}


sub differing {
    my ($fields, $name, @patterns) = @_;

    utf8::decode($_) for @patterns;

    return [ @patterns[grep { ($fields->{"p$_"}{$name} // '')
                              ne $patterns[$_] } 0 .. $#patterns] ];
}

for (['pattern', @alike],
     ['x-dataflow-pattern', grep { with_patterns($_) } @apart])
{
    my ($name, @patterns) = @$_;

    with_patterns(@patterns);
    $t->reload;

    my $fields = $t->get('/openapi.json')->json->{components}{schemas}
                   {'patterns.create'}{properties};

    is_deeply(differing($fields, $name, @patterns), [], $name);
}


# expressions of any kind that PCRE takes

srand($ENV{DATAFLOW_SEED} //= 66);
diag("DATAFLOW_SEED=$ENV{DATAFLOW_SEED}");

my @pieces = ('a', 'b', '0', 'Z', '_', '-', ' ', '.', '\.', '\d', '\w', '\s',
              '\D', '\W', '\S', '[a-c]', '[^a-c]', '[\w-]', '[^\d_]', '[0-]',
              '[-a]', '\/', '\[', '\\\\', 'é', '[é-ü]', ',', '@', '\t', '\b');
my @times = ('') x 6;
push @times, '*', '+', '?', '{2}', '{1,}', '{0,2}', '*?', '+?', '{1,2}?';

sub expression {
    my ($depth) = @_;

    my $text = join '', map {
        my $piece = $depth && rand() < 0.2
                    ? (rand() < 0.5 ? '(' : '(?:') . expression($depth - 1)
                      . ')'
                    : $pieces[rand @pieces];
        $piece . ($piece eq '\b' ? '' : $times[rand @times]);
    } 1 .. 1 + rand 4;

    return rand() < 0.2 ? "$text|" . expression(0) : $text;
}

with_patterns(map { my $text = expression(2);
                    rand() < 0.6 ? "^(?:$text)\$" : $text } 1 .. 90);
$t->write_conf(migrate => 'apply');
$t->reload;
$t->wait_ready;

DataflowTest::OpenAPI::script($t, 'patterns', '/openapi.json',
                              $ENV{DATAFLOW_SEED});

# two servers, and two databases with a model of the same name

$t->write_conf(migrate => 'off', http => <<"CONF", models => <<'MODELS');
    dataflow_database other { primary "dbname=other"; }

    server {
        listen 127.0.0.1:@{[ $t->port ]};
        server_name other;
        dataflow test;

        location /api/parents {
            dataflow_model parents { field name text; }
        }
        location /openapi.json { dataflow_openapi; }
    }
CONF
    server_name here;
    location /api/children {
        dataflow_model children {
            field parent_id bigint;
            relation parent parents parent_id;
        }
    }
    location /a { dataflow_model same { field a text; } }
    location /b { dataflow other; dataflow_model same { field b text; } }
    location /openapi.json { dataflow_openapi; }
MODELS

$t->reload;

my $here = $t->get('/openapi.json', Host => 'here')->json;
my $there = $t->get('/openapi.json', Host => 'other')->json;

is_deeply([ sort grep { !/\./ } keys %{ $there->{'x-dataflow'}{models} } ],
          [ 'parents' ], 'a document tells of its own server');
is_deeply([ sort keys %{ $here->{'x-dataflow'}{models} } ],
          [ 'children', 'other.same', 'test.same' ],
          'models of one name are told apart by their databases');
is($here->{paths}{'/b'}{get}{operationId}, 'other.same_list',
   'in operationIds too');
is_deeply($here->{components}{schemas}{children}{properties}{parent}{anyOf}[0],
          { type => 'object' }, 'of a model of another server there is no more');
is_deeply($there->{components}{schemas}{parents}{properties}{children}{items},
          { type => 'object' }, 'in both directions');



# nginx.conf

sub refused {
    my ($lines, $regex, $name) = @_;

    $t->write_conf(models => $lines);
    my ($ok, $out) = $t->check_conf;
    ok(!$ok, $name);
    like($out, $regex, "$name: the message");
}

refused('location / { dataflow_openapi tittle=x; }',
        qr/"tittle".*did you mean "title"/, 'an unknown option');
refused('location / { dataflow_openapi conditions=none; }',
        qr/"conditions".*each or patterns was expected/, 'a wrong value');
refused('location / { dataflow_openapi; dataflow_openapi; }',
        qr/"dataflow_openapi" directive is duplicate/, 'given twice');
refused('location / { dataflow_health; dataflow_openapi; }',
        qr/has a directive that answers already/, 'beside another one');
refused('dataflow_openapi;', qr/is not allowed here/, 'in a server');

$t->write_conf(models => <<'CONF');
    location /a { dataflow_model a { field b text; } }
    location /a/ { dataflow_model c { field b text; } }
    location = /openapi.json { dataflow_openapi; }
CONF

my ($ok, $out) = $t->check_conf;

ok($ok, 'two locations that differ in a slash');
like($out, qr/another location has the path "\/a" of model "c"/,
     'one of them is left out, which is said');

$t->done;
