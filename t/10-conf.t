#!/usr/bin/perl

# nginx.conf: what is taken, and what every mistake is answered with: the line
# (the one with the mark "#!"), the offending word and what to write instead.
# No database is needed, neither for "nginx -t" nor for a start.

use strict;
use warnings;

use Cwd ();
use File::Basename ();
use File::Temp ();
use HTTP::Tiny;
use IO::Socket::INET;
use Test::More;
use Time::HiRes qw(sleep time);

my $root = Cwd::realpath(File::Basename::dirname(__FILE__) . '/..');
my $nginx = $ENV{DATAFLOW_NGINX} || '/usr/sbin/nginx';
my $module = $ENV{DATAFLOW_MODULE} // "$root/build/ngx_dataflow_module.so";
my $dir = File::Temp::tempdir('dataflow-XXXXXX', TMPDIR => 1, CLEANUP => 1);

my $log = 'stderr';

mkdir "$dir/logs" or die $!;
chmod 0755, $dir;

# a test that dies leaves no nginx behind

END {
    if (open my $f, '<', "$dir/logs/nginx.pid") {
        kill 'TERM', <$f> =~ /(\d+)/;
    }
}


sub spew {
    my ($name, $text) = @_;

    open my $f, '>', "$dir/$name" or die "$name: $!";
    print {$f} $text;
    close $f or die "$name: $!";
}


sub configure {
    my ($http) = @_;

    my $load = $module eq '' ? '' : "load_module $module;";

    spew('nginx.conf', <<"CONF");
$load
error_log $log notice;
pid $dir/logs/nginx.pid;
events { }
http {
    access_log off;
    client_body_temp_path $dir/logs/body;
    proxy_temp_path $dir/logs/proxy;
    fastcgi_temp_path $dir/logs/fastcgi;
    uwsgi_temp_path $dir/logs/uwsgi;
    scgi_temp_path $dir/logs/scgi;
$http
}
CONF
}


sub check {
    my ($http) = @_;

    configure($http);

    my $out = `$nginx -t -p $dir -c $dir/nginx.conf -e stderr 2>&1`;

    return ($? >> 8, $out);
}


# text of a context to what stands in http { }

my %context = (

    http => sub { $_[0] },

    database => sub { "dataflow_database other {\n$_[0]\n}" },

    conninfo => sub { "dataflow_database other {\nprimary \"$_[0]\"; #!\n}" },

    server => sub { <<"CONF" },
dataflow_database shop { primary "dbname=shop"; }
server {
dataflow shop;
$_[0]
}
CONF

    model => sub { <<"CONF" },
dataflow_database shop { primary "dbname=shop"; }
server {
dataflow shop;
location /api/things {
dataflow_model things {
$_[0]
} } }
CONF
);

# beside a model of its own
$context{example} = sub { $context{server}->(<<"CONF") };
location /things { dataflow_model things { field name text; } }
location /example {
$_[0]
}
CONF

# beside models to report on
$context{shop} = sub { $context{server}->(<<"CONF") };
location /products { dataflow_model products {
    field price numeric; field stock integer; field category text; } }
location /orders { dataflow_model orders {
    field total numeric; field status text; } }
location /order_items { dataflow_model order_items {
    field order_id bigint; field product_id bigint;
    field quantity integer; field price numeric;
    relation order orders order_id;
    relation product products product_id; } }
$_[0]
CONF

$context{report} = sub { $context{shop}->(<<"CONF") };
location /reports { dataflow_analytics { report example {
$_[0]
} } }
CONF

# a model to relate to, and fields of every kind
$context{field} = sub { $context{model}->("field $_[0]; #!") };
$context{option} = sub { $context{model}->("field f $_[0]; #!") };
$context{related} = sub { $context{server}->(<<"CONF") };
location /api/customers { dataflow_model customers { field name text; } }
location /api/places { dataflow_model places { field code text; key code; } }
location /api/things {
dataflow_model things {
field customer_id bigint;
field place text;
field count_of integer;
field secret bigint hidden;
field many bigint[];
$_[0]
} }
CONF


sub good {
    my ($name, $context, $text) = @_;

    my ($status, $out) = check($context{$context}->($text));

    ok($status == 0 && $out =~ /test is successful/
       && $out !~ /\[(?:warn|error|crit|alert|emerg)\]/, "good: $name")
        or diag $out;
}


sub bad {
    my ($name, $context, $text, @parts) = @_;

    my $http = $context{$context}->($text);
    my ($status, $out) = check($http);

    open my $f, '<', "$dir/nginx.conf" or die $!;
    my $line;
    while (<$f>) {
        $line = $. if /#!/;
    }
    close $f;

    die "no mark in \"$name\"" unless $line;

    my @emerg = $out =~ /^(.*\[emerg\].*)$/mg;

    my @wrong;
    push @wrong, "status $status" unless $status == 1;
    push @wrong, scalar(@emerg) . ' messages' unless @emerg == 1;
    push @wrong, "no line $line" unless $out =~ m{ in \S*nginx\.conf:$line$}m;
    push @wrong, map { "no: $_" } grep { index($out, $_) < 0 } @parts;

    ok(!@wrong, "bad: $name") or diag join("\n", @wrong, $out);
}


my $name63 = 'n' x 63;
my $name64 = 'n' x 64;


# what is taken

good 'no directive at all', http => '';

good 'the shop', http => <<'CONF';
dataflow_zone shop:64m;

server {
    listen 8000;
    dataflow shop;      # before its database
    dataflow_limit_rows default=50 max=500 offset=0 stream=off;

    location /api/products {
        dataflow_model products {
            description "What is for sale";
            field sku      text          required unique;
            field name     text          required max=200;
            field price    numeric(12,2) required min=0;
            field stock    integer       default=0 min=0;
            field active   boolean       default=true;
            field category text;
            index category price;
            index name unique;
        }
        client_max_body_size 1k;
        limit_except GET HEAD { deny all; }
        if ($arg_closed) { return 403; }
    }
    location /api/customers/ {
        dataflow_expose all;
        dataflow_model customers {
            table crm.people;
            field id   uuid;
            field name text required;
            field mail varchar(200) pattern=@;
            key id;
            timestamps off;
        }
    }
    location ^~ /api/orders {
        dataflow_expose list get create;
        dataflow_limit_rows max=60;
        dataflow_model orders {
            relation customer customers customer_id;
            index created_at;
            field customer_id uuid required;
            field status text default=pending enum=pending,paid,shipped;
            field created_by text default=$sub readonly;
        }
        location /api/orders/nested { return 204; }
    }
    location = /health { dataflow_health; }
}

dataflow_database shop {
    primary "host=/run/postgresql dbname=shop";
    pool    size=20 overflow=10 recycle=1h idle=5m queue=1024 wait=5s;
    timeout connect=2s statement=10s;
    prepare off;
    migrate apply;
}
CONF

good 'every type', model => join "\n", (map { my $i = $_ =~ s/\W/_/gr;
        "field ${i}x $_;\nfield ${i}xs ${_}[];" }
    'smallint', 'integer', 'bigint', 'numeric', 'numeric(5)', 'numeric(12,2)',
    'real', 'double', 'boolean', 'text', 'varchar(20)', 'uuid', 'date',
    'time', 'timestamp', 'timestamptz', 'interval', 'json', 'bytea', 'inet');

good 'every default', model => <<'CONF';
field a smallint default=-5;
field b numeric(4,2) default=12.50;
field c double default=1e3;
field d boolean default=false;
field e text default=;
field f varchar(3) default=abc;
field g uuid default=uuid;
field h uuid default=0189d9c4-5a7e-7b1e-9f4c-3d2a1b0c9e8f;
field i date default=now;
field j time default=now;
field k timestamp default=2026-01-31T13:30:00;
field l timestamptz default=now;
field m interval default=P1D;
field n json "default={\"a\":[1,2.50]}";
field o inet default=192.0.2.1;
field p text default=$tenant;
field q text[] "default=[\"a\",null]";
field r bigint required default=9223372036854775807;
field s timestamptz default=2026-01-31T13:30:00+01:00 readonly required;
CONF

good 'every bound', model => <<'CONF';
field a integer min=-1 max=-1;
field b numeric min=0.1 max=0.25;
field c double max=1e10;
field d date min=2000-01-01 max=2000-01-02;
field e timestamptz max=2030-01-01T00:00:00Z;
field f interval min=PT1S max=P1D;
field g text min=1 max=5 default=abcde pattern=^a;
field h varchar(5) max=3 min=3 enum=abc;
field i time min=08:00:00;
CONF

good 'names of 63 bytes', model => <<"CONF";
table $name63;
field $name63 text;
field b text;
index $name63 b;
relation @{[ 'r' x 63 ]} things id;
CONF

good 'indexes whose names would be the same', model => <<'CONF';
field a_b text;
field c text;
field a text;
field b_c text;
index a_b c;
index a b_c;
index c a_b unique;
CONF

good 'keys of every type', server => join "\n", map {
    my $i = $_ =~ s/\W/_/gr;
    "location /$i { dataflow_model m_$i { key k; field k $_; } }"
} 'smallint', 'integer', 'bigint', 'text', 'varchar(9)', 'uuid';

good 'timestamps of its own', model => <<'CONF';
timestamps off;
field created_at date;
field updated_at text;
CONF

good 'one model name in two databases', http => <<'CONF';
dataflow_database a { primary "dbname=a"; }
dataflow_database b { primary "dbname=b"; }
dataflow a;
server { location /x { dataflow_model m { field f text; } } }
server { dataflow b; listen 81;
         location /x { dataflow_model m { field f text; } } }
CONF

good 'a location in a location', server => <<'CONF';
location /a { dataflow_model a { field f text; }
    location /a/b { dataflow_limit_rows max=5;
                    dataflow_model b { field f text; } }
}
CONF

good 'the default follows a smaller maximum', http => <<'CONF';
dataflow_database d { primary "dbname=d"; }
dataflow_limit_rows offset=5;
server { dataflow d; dataflow_limit_rows stream=off;
         location / { dataflow_limit_rows max=10;
                      dataflow_model m { field f text; } } }
CONF

for my $conninfo (
    'host=/run/postgresql', 'host=db.example user=a password=b', '',
    'host=localhost port=5433 dbname=x', 'hostaddr=192.0.2.1 sslmode=require',
    'hostaddr=::1 port=5432', 'host=a sslmode=verify-full sslrootcert=/ca',
    'postgresql://u:p@db.example:5433/x?sslmode=disable',
    'dbname=x options=-csearch_path=a client_encoding=UTF8',
    'host=a keepalives=1 keepalives_idle=5 tcp_user_timeout=100',
    'host=a channel_binding=require ssl_min_protocol_version=TLSv1.3',
    'dbname=x target_session_attrs=any gssencmode=disable')
{
    good "conninfo \"$conninfo\"", conninfo => $conninfo;
}


# dataflow_zone

bad 'zone without a size', http => 'dataflow_zone shop; #!',
    '"shop"', 'NAME:SIZE';
bad 'zone with a bad size', http => 'dataflow_zone shop:64x; #!',
    '"shop:64x"', 'shop:64m';
bad 'zone without a name', http => 'dataflow_zone :64m; #!',
    '":64m"', 'NAME:SIZE';
bad 'zone with a bad name', http => 'dataflow_zone Shop:64m; #!',
    '"Shop:64m"', 'NAME:SIZE';
bad 'small zone', http => 'dataflow_zone shop:4k; #!',
    '"shop"', 'too small';
bad 'two zones', http => "dataflow_zone a:1m;\ndataflow_zone b:1m; #!",
    '"dataflow_zone"', 'duplicate';
bad 'the zone of another module', http =>
    "limit_req_zone \$uri zone=a:1m rate=1r/s;\ndataflow_zone a:1m; #!",
    '"a"', 'already';


# dataflow_database

bad 'database with a bad name', http => "dataflow_database my-shop { #!\n}",
    '"my-shop"', 'underscores';
bad 'database with a long name', http => "dataflow_database $name64 { #!\n}",
    $name64, '63';
bad 'two databases of a name', http => <<'CONF', '"a"', 'nginx.conf:12';
dataflow_database a { primary "dbname=a"; }
dataflow_database a { #!
    primary "dbname=b"; }
CONF
bad 'database without primary', http => "dataflow_database a {\n} #!",
    '"a"', '"primary \'host=... dbname=...\';"';
bad 'unknown directive in a database', database => 'prymary "dbname=a"; #!',
    'unknown directive "prymary"';
bad 'directive of a model in a database', database => 'field a text; #!',
    '"field"', 'not allowed here';
bad 'two primaries', database => "primary dbname=a;\nprimary dbname=b; #!",
    '"primary"', 'duplicate';
bad 'two pools', database => "pool size=1;\npool queue=5; #!",
    '"pool"', 'duplicate';
bad 'two timeouts', database => "timeout connect=1s;\ntimeout connect=1s; #!",
    '"timeout"', 'duplicate';
bad 'two prepares', database => "prepare on;\nprepare off; #!",
    '"prepare"', 'duplicate';
bad 'two migrates', database => "migrate off;\nmigrate apply; #!",
    '"migrate"', 'duplicate';
bad 'unknown option of pool', database => 'pool sise=5; #!',
    '"sise"', 'did you mean "size"?';
bad 'pool option without a value', database => 'pool size; #!',
    '"size"', 'expected';
bad 'pool option twice', database => 'pool size=5 size=6; #!',
    '"size"', 'duplicate';
bad 'no connection', database => 'pool size=0; #!',
    '"0"', '"size"', 'from 1 to 10000';
bad 'size that is no number', database => 'pool size=many; #!',
    '"many"', 'a number';
bad 'no queue', database => 'pool queue=0; #!', '"0"', 'from 1';
bad 'wait that is no time', database => 'pool wait=5x; #!',
    '"5x"', 'a time such as';
bad 'no recycling', database => 'pool recycle=0; #!', '"0"', 'a time such as';
bad 'negative overflow', database => 'pool overflow=-1; #!', '"-1"', 'from 0';
bad 'unknown timeout', database => 'timeout read=5s; #!',
    '"read"', '"connect"', '"statement"';
bad 'no statement timeout', database => 'timeout statement=0; #!',
    '"0"', 'a time such as';
bad 'unknown prepare', database => 'prepare maybe; #!', '"maybe"', '"on" or "off"';
bad 'unknown migrate', database => 'migrate aply; #!',
    '"aply"', 'did you mean "apply"?', '"verify"';

my @conninfo = (
    ['host', 'missing "="', '"host"'],
    ['hots=a', 'invalid connection option "hots"'],
    ['postgresql://[::1', 'matching "]"'],
    ['service=shop', '"service=shop"', 'reads no service file'],
    ['passfile=/p', '"passfile=/p"', 'use password='],
    ['connect_timeout=5', '"connect_timeout=5"', '"timeout connect=2s"'],
    ['replication=database', '"replication=database"', 'statements'],
    ['krbsrvname=a', '"krbsrvname=a"', 'GSSAPI'],
    ['gsslib=gssapi', 'GSSAPI|gsslib'],
    ['gssencmode=prefer', '"gssencmode=prefer"', 'use disable'],
    ['host=a,b', '"host=a,b"', 'one host'],
    ['hostaddr=10.0.0.1,10.0.0.2', 'one IP address'],
    ['hostaddr=db.example', '"hostaddr=db.example"', 'one IP address'],
    ['port=0', '"port=0"', '1 to 65535'],
    ['port=5432,5433', '"port=5432,5433"', 'one port'],
    ['port=65536', '"port=65536"', '1 to 65535'],
    ['host=a sslmode=prefer', '"sslmode=prefer"',
     'use disable, require, verify-ca or verify-full'],
    ['host=a sslmode=allow', '"sslmode=allow"', 'require'],
    ['host=a sslmode=REQUIRE', '"sslmode=REQUIRE"', 'require'],
    ['postgresql://h/d?sslmode=prefer', '"sslmode=prefer"', 'require'],
    ['host=a sslmode=verify-ca', 'sslmode=verify-ca', 'sslrootcert=FILE'],
    ['channel_binding=on', '"channel_binding=on"', 'disable, prefer'],
    ['ssl_min_protocol_version=1.2', 'TLSv1.2'],
    ['ssl_max_protocol_version=SSLv3', '"ssl_max_protocol_version=SSLv3"',
     'TLSv1.3'],
    ['client_encoding=LATIN1', '"client_encoding=LATIN1"', 'UTF8'],
    ['target_session_attrs=primary', '"target_session_attrs=primary"', 'any'],
    ['keepalives=yes', '"keepalives=yes"', '0 or 1'],
    ['keepalives_idle=5s', '"keepalives_idle=5s"', 'seconds'],
    ['keepalives_interval=x', '"keepalives_interval=x"', 'seconds'],
    ['keepalives_count=-1', '"keepalives_count=-1"', 'a number'],
    ['tcp_user_timeout=1s', '"tcp_user_timeout=1s"', 'milliseconds'],
);

for my $case (@conninfo) {
    my ($text, @parts) = @$case;

    # libpq may be built without an option
    bad "conninfo \"$text\"", conninfo => $text,
        map { /^GSSAPI\|/ ? 'gsslib' : $_ } @parts;
}


# dataflow, dataflow_model and the other directives of a location

bad 'unknown database', http => <<'CONF', '"shp"', 'did you mean "shop"?';
dataflow_database shop { primary dbname=shop; }
server {
    dataflow shp; #!
}
CONF
bad 'no database at all', http => "dataflow shop; #!\nserver { }",
    '"shop"', 'dataflow_database shop {';
bad 'two databases for a server', server => 'dataflow shop; #!',
    '"dataflow"', 'duplicate';
bad 'model without a database', http => <<'CONF', '"m"', '"dataflow NAME;"';
dataflow_database shop { primary dbname=shop; }
server {
    location /m {
        dataflow_model m { #!
            field f text;
        }
    }
}
CONF
bad 'model in a server', server => "dataflow_model m { #!\n}",
    '"dataflow_model"', 'not allowed here';
bad 'model in an exact location', server =>
    "location = /m { dataflow_model m { #!\nfield f text; } }",
    'an exact location "/m"', '"location /api/products"';
bad 'model in a regex location', server =>
    "location ~ ^/m\$ { dataflow_model m { #!\nfield f text; } }",
    'a regular expression location', '"location /api/products"';
bad 'model in a named location', server =>
    "location \@m { dataflow_model m { #!\nfield f text; } }",
    'a named location "@m"', '"location /api/products"';
bad 'model in an if', server =>
    "location /m { if (\$arg_a) { dataflow_model m { #!\nfield f text; } } }",
    '"dataflow_model"', 'not allowed here';
bad 'two models in a location', server => <<'CONF', 'duplicate';
location /m {
    dataflow_model m { field f text; }
    dataflow_model n { #!
        field f text; }
}
CONF
bad 'two models of a name', server => <<'CONF', '"m"', '"shop"', 'conf:16';
location /m {
    dataflow_model m { field f text; } }
location /n {
    dataflow_model m { #!
        field f text; } }
CONF
bad 'model behind another handler', server => <<'CONF', '"/m"', 'of its own';
location /m {
    proxy_pass http://127.0.0.1:1;
    dataflow_model m { #!
        field f text; } }
CONF
bad 'model before another handler', server => <<'CONF', '"/m"', 'of its own';
location /m {
    dataflow_model m { #!
        field f text; }
    proxy_pass http://127.0.0.1:1; }
CONF
bad 'another handler in an if', server => <<'CONF', '"m"', 'of its own';
location /m {
    dataflow_model m { #!
        field f text; }
    if ($arg_a) { proxy_pass http://127.0.0.1:1; } }
CONF
for my $directive ('dataflow_health', 'dataflow_openapi') {
    bad "$directive before another handler", server =>
        "location /m {\n$directive; #!\nproxy_pass http://127.0.0.1:1; }",
        "\"$directive\"", '"/m"', 'of its own';
    bad "$directive behind another handler", server =>
        "location /m {\nproxy_pass http://127.0.0.1:1;\n$directive; #! \n}",
        "\"$directive\"", '"/m"', 'of its own';
    bad "$directive, and another handler in an if", server =>
        "location /m {\n$directive; #!\n"
        . 'if ($arg_a) { proxy_pass http://127.0.0.1:1; } }',
        "\"$directive\"", 'of its own';
    good "$directive, and an if without", server =>
        "location /m {\n$directive;\n"
        . "if (\$arg_a) { set \$a 1; }\nlimit_except GET { deny all; } }";
}

bad 'health and a model', server => <<'CONF', '"dataflow_health"', 'of its own';
location /m {
    dataflow_model m { field f text; }
    dataflow_health; #!
}
CONF
bad 'health twice', server =>
    "location /h {\ndataflow_health;\ndataflow_health; #!\n}",
    '"dataflow_health"', 'duplicate';
bad 'health in a server', server => 'dataflow_health; #!', 'not allowed here';

bad 'default over maximum', server =>
    'dataflow_limit_rows default=50 max=20; #!',
    'default=50', 'max=20', 'raise max=';
bad 'default over the maximum by itself', server =>
    'dataflow_limit_rows default=5000; #!', 'default=5000', 'max=1000';
bad 'default over an inherited maximum', server => <<'CONF', 'max=20';
dataflow_limit_rows max=20;
location /a {
    dataflow_limit_rows default=50; #!
}
CONF
bad 'inherited default over maximum', server => <<'CONF', 'default=50';
dataflow_limit_rows default=50;
location /a {
    dataflow_limit_rows max=20; #!
}
CONF
bad 'rows twice', server =>
    "dataflow_limit_rows max=20;\ndataflow_limit_rows max=30; #!",
    '"dataflow_limit_rows"', 'duplicate';
bad 'unknown limit', server => 'dataflow_limit_rows maxx=5; #!',
    '"maxx"', 'did you mean "max"?';
bad 'no rows', server => 'dataflow_limit_rows max=0; #!', '"0"', 'from 1';
bad 'offset that is no number', server => 'dataflow_limit_rows offset=all; #!',
    '"all"', 'a number';
bad 'stream', server => 'dataflow_limit_rows stream=yes; #!',
    '"yes"', 'on or off';
bad 'unknown operation', server => 'dataflow_expose list gets; #!',
    '"gets"', 'did you mean "get"?', '"replace"';
bad 'operation twice', server => 'dataflow_expose list get list; #!',
    '"list"', 'duplicate';
bad 'all and more', server => 'dataflow_expose all get; #!',
    '"all"', '"all" alone';
bad 'expose twice', server => "dataflow_expose get;\ndataflow_expose list; #!",
    '"dataflow_expose"', 'duplicate';


# the block of a model

bad 'model with a bad name', server =>
    "location /m { dataflow_model Things { #!\nfield f text; } }",
    '"Things"', 'lower-case letters';
bad 'model with a long name', server =>
    "location /m { dataflow_model $name64 { #!\nfield f text; } }",
    $name64, '64 bytes', 'at most 63';
bad 'model without fields', server =>
    "location /m { dataflow_model m {\n} #!\n}", '"m"', '"field NAME TYPE;"';
bad 'unknown directive in a model', model => 'feild a text; #!',
    'unknown directive "feild"';
bad 'later directive in a model', model => 'versioned; #!', '"versioned"';
bad 'table with a bad name', model => 'table my-things; #!',
    '"my-things"', 'underscores';
bad 'schema with a bad name', model => 'table Shop.things; #!',
    'schema name "Shop"', 'lower-case letters';
bad 'three parts of a table', model => 'table a.b.c; #!', '"b.c"', 'table';
bad 'empty table', model => 'table shop.; #!', '""', 'lower-case letters';
bad 'two tables', model => "table a;\ntable b; #!", '"table"', 'duplicate';
bad 'two keys', model => "key a;\nkey b; #!", '"key"', 'duplicate';
bad 'timestamps', model => 'timestamps yes; #!', '"yes"', '"on" or "off"';
bad 'timestamps twice', model => "timestamps on;\ntimestamps off; #!",
    '"timestamps"', 'duplicate';
bad 'two descriptions', model => "description a;\ndescription b; #!",
    '"description"', 'duplicate';


# fields: names and types

bad 'field without a type', model => 'field a; #!', '"field"', 'arguments',
    'write "field NAME TYPE [OPTION ...];"';
bad 'field without a name', model => 'field; #!', 'write "field NAME TYPE';
bad 'field with a bad name', field => 'my-field text', '"my-field"',
    'underscores';
bad 'field with a digit first', field => '1st text', '"1st"', 'no digit first';
bad 'field with a long name', field => "$name64 text", $name64, 'at most 63';
bad 'field with a quote', field => q('a"b' text), 'a"b', 'lower-case';
bad 'field twice', model => "field a text;\nfield a integer; #!",
    'duplicate field "a"', 'nginx.conf:17';
bad 'two underscores', field => 'a__gte text', '"a__gte"', 'operator';
bad 'an underscore at the end', field => 'a_ text', '"a_"', 'at its end';
for my $word (qw(sort limit offset cursor fields filter where count include
                 dry_run))
{
    bad "field $word", field => "$word text", "\"$word\"",
        'parameters of a query';
}
for my $word (qw(tableoid xmin cmin xmax cmax ctid)) {
    bad "field $word", field => "$word text", "\"$word\"",
        'every table of PostgreSQL';
}
bad 'unknown type', field => 'f nummeric', '"nummeric"',
    'did you mean "numeric"?';
bad 'type from nowhere', field => 'f zzzzzzzzzzz', '"zzzzzzzzzzz"',
    'known are "smallint"', '"inet"', 'varchar(n)', 'numeric(p,s)', 'TYPE[]';
bad 'type in upper case', field => 'f TEXT', '"TEXT"', '"text"';
bad 'type of another system', field => 'f int', '"int"',
    'called "integer" here';
bad 'type in an array', field => 'f string[]', '"string"',
    'called "text" here';
bad 'array of arrays', field => 'f text[][]', '"text[][]"', 'one pair of';
bad 'array of a size', field => 'f integer[3]', '"integer[3]"', 'one pair of';
bad 'varchar without a length', field => 'f varchar', '"f"', 'varchar(n)';
bad 'varchar of nothing', field => 'f varchar(0)', '"0"', 'varchar(n)';
bad 'varchar of words', field => 'f varchar(max)', '"max"', 'or text';
bad 'varchar too long', field => 'f varchar(10485761)', '10485760';
bad 'text with a length', field => 'f text(20)', '"(20)"', 'takes no';
bad 'numeric without digits', field => 'f numeric(0)', '"0"', 'numeric(p,s)';
bad 'numeric with a scale too large', field => 'f numeric(2,3)', '"2,3"',
    'numeric(p,s)';
bad 'numeric with three parts', field => 'f numeric(5,2,1)', '"5,2,1"';
bad 'numeric of nothing', field => 'f numeric()', '""', 'numeric(p,s)';
bad 'numeric too precise', field => 'f numeric(1001)', '"1001"', 'to 1000';
bad 'type with blanks', field => 'f numeric(12, 2)', '"numeric(12,"',
    'without blanks';


# fields: options

bad 'unknown option', option => 'text requird', '"requird"',
    'did you mean "required"?';
bad 'unknown option with a value', option => 'text lenght=5', '"lenght"',
    '"pattern"';
bad 'NOT NULL', option => 'text not null', '"not"', '"required" for NOT NULL';
bad 'NULL', option => 'text null', '"null"', 'nothing for NULL';
bad 'option of a later feature', option => 'text encrypted', '"encrypted"',
    'known are';
bad 'option twice', option => 'text required required', '"required"',
    'duplicate';
bad 'option with a value twice', option => 'integer min=1 min=2', '"min"',
    'duplicate';
bad 'flag with a value', option => 'text required=on', '"required=on"',
    'takes no value';
bad 'option without a value', option => 'integer min', '"min"',
    'write "min=..."';
bad 'option with an empty value', option => 'integer max=', '"max"',
    'write "max=..."';
bad 'default without a value', option => 'integer default', '"default"',
    'write "default=..."';

bad 'unique json', option => 'json unique', '"unique"', 'not for json';
bad 'unique bytea', option => 'bytea unique', '"unique"', 'bytea';
bad 'unique array', option => 'text[] unique', '"text[]"', 'arrays';
bad 'array with min', option => 'integer[] min=1', '"min"', 'arrays';
bad 'array with max', option => 'text[] max=1', '"max"', 'arrays';
bad 'array with pattern', option => 'text[] pattern=a', '"pattern"', 'arrays';
bad 'array with enum', option => 'text[] enum=a', '"enum"', 'arrays';

bad 'min of a boolean', option => 'boolean min=true', '"min"', 'for numbers';
bad 'max of a uuid', option => 'uuid max=5', '"max"', 'for numbers';
bad 'max of json', option => 'json max=5', '"max"', 'for numbers';
bad 'min that is no number', option => 'integer min=few', '"few"',
    'a whole number';
bad 'max that is no date', option => 'date max=2026-02-30', '"2026-02-30"',
    'a date such as';
bad 'min out of the type', option => 'smallint min=-32769', '"-32769"',
    '-32768';
bad 'max too precise', option => 'numeric(4,2) max=1.234', '"1.234"';
bad 'min over max', option => 'integer min=10 max=9', 'min "10"', 'max "9"';
bad 'min over max of numeric', option => 'numeric min=0.10 max=0.09',
    'min "0.10"', 'max "0.09"';
bad 'min over max of time', option =>
    'timestamptz min=2026-01-01T00:00:00Z max=2026-01-01T00:30:00+01:00',
    'over its max';
bad 'length that is no number', option => 'text min=abc', '"abc"',
    'number of characters';
bad 'length of nothing', option => 'text max=0', '"0"',
    'number of characters';
bad 'shortest over longest', option => 'text min=10 max=9', 'min "10"',
    'max "9"';
bad 'max over varchar', option => 'varchar(5) max=6', 'max "6"', 'varchar(5)';
bad 'min over varchar', option => 'varchar(5) min=6', 'min "6"', 'max "5"';

bad 'pattern of a number', option => 'integer pattern=a', '"pattern"',
    'for text and varchar';
bad 'pattern that does not compile', option => 'text "pattern=(a"', '"(a"',
    'pcre', 'in "(a"';

bad 'enum of a number', option => 'integer enum=1,2', '"enum"',
    'for text and varchar';
bad 'empty choice', option => 'text enum=a,,b', 'enum=one,two';
bad 'empty choice at the end', option => 'text enum=a,b,', 'enum=one,two';
bad 'choice twice', option => 'text enum=a,b,a', '"a"', 'duplicate';
bad 'choice too long', option => 'varchar(3) enum=abc,abcd', '"abcd"',
    'expected';
bad 'choice against the pattern', option => 'text enum=abc,bcd pattern=^a',
    '"bcd"', 'expected';

bad 'default of a wrong type', option => 'integer default=abc', '"abc"',
    'a whole number';
bad 'empty default of a number', option => 'integer default=', 'invalid',
    'a whole number';
bad 'default that is no boolean', option => 'boolean default=maybe',
    '"maybe"', 'true or false';
bad 'default below min', option => 'integer default=0 min=1', '"0"',
    'expected';
bad 'default over max', option => 'numeric(5,2) max=10 default=10.01',
    '"10.01"', 'expected';
bad 'default too long', option => 'varchar(3) default=abcd', '"abcd"',
    'expected';
bad 'default not in the enum', option => 'text enum=a,b default=c', '"c"',
    'expected';
bad 'default against the pattern', option => 'text pattern=^a default=b',
    '"b"', 'expected';
bad 'now()', option => 'timestamptz default=now()', '"now()"',
    'write "default=now"';
bad 'gen_random_uuid()', option => 'uuid default=gen_random_uuid()',
    '"gen_random_uuid()"', 'write "default=uuid"';
good 'now() as a text', model => 'field f text default=now();';
bad 'now for a number', option => 'integer default=now', '"now"',
    'timestamptz';
bad 'now for a text', option => 'text default=now', '"now"', 'timestamptz';
bad 'now for an array', option => 'date[] default=now', '"now"', 'date';
bad 'uuid for a text', option => 'text default=uuid', '"uuid"',
    'of type uuid';
bad '$sub for a number', option => 'bigint default=$sub', '"$sub"', 'varchar';
bad '$tenant for json', option => 'json default=$tenant', '"$tenant"',
    'varchar';
bad 'unknown variable', option => 'text default=$user', '"$user"', '$sub';
bad 'default that is no JSON', option => 'json "default={a}"', '"{a}"',
    'JSON';
bad 'null as a default', option => 'json default=null', '"null"',
    'without a default';
bad 'default that is no array', option => 'text[] default=a', '"a"',
    'a JSON array';
bad 'default with a wrong element', option => 'integer[] default=["a"]',
    'expected';
bad 'readonly and required', option => 'text readonly required', '"f"',
    'add "default=..."';


# keys and what a model has by itself

bad 'id that is no key', model => "field id uuid; #!", '"id"', '"key id;"';
bad 'created_at', model => "field a text;\nfield created_at date; #!",
    '"created_at"', '"timestamps off;"';
bad 'updated_at', model => "field a text;\nfield updated_at date; #!",
    '"updated_at"', '"timestamps off;"';
bad 'unknown key', model => "field sku text;\nkey sk; #!",
    '"sk"', 'did you mean "sku"?';
bad 'key of json', model => "field a json;\nkey a; #!", '"a"',
    'bigint, text, varchar or uuid';
bad 'key of an array', model => "field a text[];\nkey a; #!", '"a"', 'uuid';
bad 'key of an automatic field', model => "field a text;\nkey created_at; #!",
    '"created_at"', 'uuid';
bad 'hidden key', model => "field a text hidden;\nkey a; #!", '"a"', 'hidden';
bad 'key with a default', model => "field a integer default=5;\nkey a; #!",
    '"a"', 'same key';
bad 'readonly key', model => "key a;\nfield a text readonly; #!", '"a"',
    'add "default=..."';


# indexes and relations

bad 'index of nothing', model => 'index; #!', '"index"', 'arguments';
bad 'unique index of nothing', model => 'index unique; #!', '"unique"',
    'index FIELD ... [unique] [where=CONDITION];';
bad 'unknown field in an index', model =>
    "field category text;\nindex categry; #!",
    '"categry"', 'did you mean "category"?';
bad 'field twice in an index', model => "field a text;\nindex a a; #!",
    '"a"', 'duplicate';
bad 'json in an index', model => "field a json;\nindex a; #!", '"a"', 'json';
bad 'bytea in an index', model => "field a bytea;\nindex id a; #!",
    '"a"', 'bytea';
bad 'array in an index', model => "field a text[];\nindex a; #!", '"a"',
    'text[]';
bad 'index twice', model =>
    "field a text;\nfield b text;\nindex a b;\nindex a b unique; #!",
    '"a"', 'nginx.conf:19';
bad 'index of the key', model => "field a text;\nindex id; #!",
    '"id"', 'as the key';
bad 'index of a unique field', model => "field a text unique;\nindex a; #!",
    '"a"', 'as a unique field';

good 'relations', related => <<'CONF';
relation customer customers customer_id;
relation place_of places place;
relation parent things id;
CONF
bad 'relation with a bad name', related =>
    'relation Customer customers customer_id; #!',
    '"Customer"', 'lower-case letters';
bad 'relation with two words', related => 'relation customer customers; #!',
    '"relation"', 'arguments',
    'write "relation NAME MODEL FIELD [reverse=NAME|off];"';
bad 'index of nothing', model => "field a text;\nindex; #!", '"index"',
    'write "index FIELD ... [unique] [where=CONDITION];"';
bad 'relation twice', related =>
    "relation a customers customer_id;\nrelation a things id; #!",
    '"a"', 'duplicate';
bad 'relation to nothing', related =>
    'relation customer custmers customer_id; #!',
    '"custmers"', 'did you mean "customers"?';
bad 'relation of nothing', related =>
    'relation customer customers custmer_id; #!',
    '"custmer_id"', 'did you mean "customer_id"?';
bad 'relation with the name of a field', related =>
    'relation place places place; #!', '"place"', 'name of a field';
bad 'relation of another type', related =>
    'relation customer customers count_of; #!',
    '"count_of"', 'integer', 'bigint', 'must be equal';
bad 'relation to a text key', related =>
    'relation a places customer_id; #!', '"customer_id"', 'bigint', 'text';
bad 'relation of an array', related =>
    'relation a customers many; #!', '"many"', 'bigint[]', 'must be equal';
bad 'relation of a hidden field', related =>
    'relation a customers secret; #!', '"secret"', 'hidden';
bad 'relation with two underscores', related =>
    'relation a__b customers customer_id; #!', '"a__b"', '"__"';

good 'reverses', related => <<'CONF';
relation customer customers customer_id reverse=things;
relation other customers customer_id reverse=others;
relation third customers customer_id;
relation parent things id reverse=children;
relation uncle things id reverse=off;
CONF
bad 'reverse with a bad name', related =>
    'relation a customers customer_id reverse=Things; #!', '"Things"',
    'lower-case letters';
bad 'reverse with two underscores', related =>
    'relation a customers customer_id reverse=a__b; #!', '"a__b"', '"__"';
bad 'reverse without a name', related =>
    'relation a customers customer_id reverse=; #!', 'reverse';
bad 'reverse twice', related =>
    'relation a customers customer_id reverse=b reverse=c; #!', 'duplicate';
bad 'another option of a relation', related =>
    'relation a customers customer_id revers=b; #!', '"revers"',
    'did you mean "reverse"?';
bad 'reverse with the name of a field', related =>
    'relation a customers customer_id reverse=name; #!',
    '"name"', '"customers"', 'a field of this name', 'choose another';
bad 'reverse with the name of a field, automatic', related =>
    'relation a customers customer_id reverse=created_at; #!',
    '"created_at"', 'a field of this name';
bad 'reverse with the name of a relation', related =>
    "relation up things id reverse=kids;\n"
    . 'relation other things id reverse=up; #!',
    '"up"', '"things"', 'a relation of this name';
bad 'reverse with the name of another reverse', related =>
    "relation a customers customer_id reverse=c;\n"
    . 'relation b customers customer_id reverse=c; #!',
    '"c"', 'another reverse of this name';
bad 'reverse that says another is cut', related =>
    "relation a customers customer_id reverse=c;\n"
    . 'relation b customers customer_id reverse=c_truncated; #!',
    '"c_truncated"', 'differs by "_truncated"';
bad 'reverse whose end is a field', related =>
    "field kids_truncated text;\n"
    . 'relation a things id reverse=kids; #!',
    '"kids"', 'a field of this name and "_truncated"';

bad 'relation to another database', http => <<'CONF', '"n"', 'known are "m"';
dataflow_database a { primary "dbname=a"; }
dataflow_database b { primary "dbname=b"; }
server { dataflow a;
         location /m { dataflow_model m { field f bigint;
             relation other n f; #!
         } } }
server { dataflow b;
         location /n { dataflow_model n { field f text; } } }
CONF


# two models of one table

my $shared = <<'CONF';
location /all { dataflow_model everyone { table people;
field name text; field size numeric(5,2); field born date;
} }
location /some { dataflow_model people {
CONF

good 'two models of one table', server =>
    "$shared field name text; field size numeric(5,2); } }";

for ('name varchar(10)', 'name text[]', 'size numeric(5,1)', 'born text') {
    my ($status, $out) = check($context{server}->("$shared field $_; } }"));
    my ($field) = /(\w+)/;

    ok($status == 0
       && $out =~ m{\[warn\].*"$field"\ of\ table\ "people"\ has\ another\ type
                    \ in\ model\ "everyone"\ in\ \S*nginx\.conf:16
                    \ than\ in\ model\ "people"\ in\ \S*nginx\.conf:19$}mx,
       "warned of: $_") or diag $out;
}


# what the reference shows

{
    open my $f, '<', "$root/docs/directives.md" or die $!;
    my $text = do { local $/; <$f> };
    my $n = 0;

    while ($text =~ /^```nginx\n(.*?)^```/gms) {
        my $block = $1;

        my $context = $block =~ /^http \{/m ? 'http'
                    : $block =~ /^dataflow_database/ ? 'http'
                    : $block =~ /^dataflow_model/ ? 'example'
                    : $block =~ /dataflow_analytics/ ? 'shop'
                    : $block =~ /^from/ ? 'report'
                    : $block =~ /^(?:dataflow_|location)/ ? 'server'
                    : 'model';

        $block =~ s/^load_module.*\n//m;
        $block =~ s/^http \{(.*)^\}/$1/ms;
        $block =~ s/customers customer_id/things customer_id/;

        good 'docs/directives.md, example ' . ++$n, $context, $block;
    }

    cmp_ok($n, '>=', 5, 'examples');
}


# an included file is named

spew('fields.conf', "field a text;\nindex b;\n");
{
    my ($status, $out) = check($context{model}->("include fields.conf;"));

    ok($status == 1 && $out =~ m{unknown field "b".* in \S*/fields\.conf:2$}m,
       'bad: in an included file') or diag $out;
}


# as many models as anyone will write

{
    my $models = join '', map {
        my $i = $_;
        "location /m$i {\ndataflow_model m$i {\n"
        . join('', map { "field f$_ text max=100 default=abc;\n" } 1 .. 20)
        . "field parent bigint;\nrelation other m" . ($i % 200 + 1)
        . " parent;\nindex f1 f2;\nindex f3;\n} }\n"
    } 1 .. 200;

    my $started = time;
    my ($status, $out) = check($context{server}->($models));
    my $took = time - $started;

    ok($status == 0, '200 models') or diag $out;
    cmp_ok($took, '<', 1, '200 models in well under a second');
}


# what a location passes on to "if" and "limit_except", and that a reload
# knows nothing of what was before; the database is away: 503 is an answer
# of the module

{
    my $socket = IO::Socket::INET->new(Listen => 1,
                                       LocalAddr => '127.0.0.1') or die $!;
    my $port = $socket->sockport;
    my $url = "http://127.0.0.1:$port";
    my $http = HTTP::Tiny->new(timeout => 10);

    my $answer = sub {
        my ($method, $path, $length) = @_;

        my $r = $http->request($method, "$url$path", {
            headers => { 'Content-Type' => 'application/json' },
            content => $length ? '{"a":"' . 'x' x $length . '"}' : '',
        });

        return "$r->{status} " . ($r->{headers}{'content-type'} // '');
    };

    my $conf = sub { <<"CONF" };
dataflow_database shop {
    primary "host=$dir/nowhere dbname=shop";
    pool wait=100ms;
}
server {
    listen 127.0.0.1:$port;
    dataflow shop;
    location /m {
        client_max_body_size 100;
        dataflow_model m { field a text; $_[0] }
        limit_except GET POST { deny 192.0.2.1; }
        if (\$arg_b) { set \$c 1; }
    }
    location = /health {
        dataflow_health;
        limit_except POST { deny 192.0.2.1; }
    }
}
CONF

    my ($away, $bad, $large) = map { "$_ application/problem+json" }
                               503, 400, 413;

    $log = "$dir/logs/error.log";
    configure($conf->(''));
    close $socket;

    is(system("$nginx -p $dir -c $dir/nginx.conf -e $log"), 0, 'nginx starts');

    is($answer->('GET', '/m'), $away, 'the location itself');
    is($answer->('GET', '/m?b=1'), $bad, 'in "if"');
    is($answer->('DELETE', '/m/1'), $away, 'in "limit_except"');
    is($answer->('POST', '/m', 200), $large, 'body over the limit');
    is($answer->('PATCH', '/m/1', 200), $large, 'in "limit_except" as well');
    like($answer->('GET', '/health'), qr{^503 application/json},
         'health in "limit_except"');

    for my $i (1 .. 3) {
        configure($conf->("field b$i text;"));
        system("$nginx -p $dir -c $dir/nginx.conf -e $log -s reload");

        my $until = time + 10;
        sleep 0.05 until $answer->('GET', "/m?b$i=1") eq $away
                         || time > $until;

        is($answer->('GET', "/m?b$i=1"), $away, "reload $i: the new field");
        is($answer->('GET', "/m?b@{[ $i - 1 ]}=1"), $bad, 'the former is gone');
    }

    system("$nginx -p $dir -c $dir/nginx.conf -e $log -s quit");

    my $until = time + 10;
    sleep 0.05 while -e "$dir/logs/nginx.pid" && time < $until;

    ok(! -e "$dir/logs/nginx.pid", 'nginx ends');

    open my $f, '<', $log or die $!;
    my @wrong = grep { /\[(?:alert|emerg|crit)\]|exited on signal/ } <$f>;

    is("@wrong", '', 'nothing wrong in the log');
}


done_testing;
