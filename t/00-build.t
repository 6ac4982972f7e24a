use strict;
use warnings;

use Test::More;

use DataflowTest;

# the module as a file: what it exports and how it was built

my $module = DataflowTest::module();

SKIP: {
    skip 'linked into nginx', 2 if $module eq '';

    my @symbols = map { (split)[-1] } `nm -D --defined-only '$module'`;

    is_deeply([ sort @symbols ],
              [ qw(ngx_dataflow_block_module ngx_dataflow_module
                   ngx_module_names ngx_module_order ngx_modules) ],
              'nothing else is visible to other modules');

    like(scalar `readelf -dW '$module'`, qr/\bNOW\b/, 'bound at load');
}

# nginx -t accepts it next to the modules of the distribution, and needs no
# database for that

my $t = DataflowTest->new(
    conninfo => 'host=/nonexistent dbname=none user=none',
    models => <<'CONF');
        location /api/things {
            dataflow_model things {
                field name text required;
            }
        }
CONF

my ($ok, $said) = $t->check_conf;

ok($ok, 'nginx -t') or diag($said);
unlike($said, qr/\[warn\]/, 'without warnings') or diag($said);

# the examples, as they are but for paths

for my $file (glob 'conf/*.conf') {
    open my $fh, '<', $file or die $!;
    my $text = do { local $/; <$fh> };

    my $paths = join '', map { "${_}_temp_path %%DIR%%/$_; " }
                qw(client_body proxy fastcgi uwsgi scgi);

    $text =~ s/^load_module .*\n/%%MODULE%%/m;
    $text =~ s/^http \{/http { access_log off; $paths/m;
    $text =~ s/listen 127\.0\.0\.1:8000/listen 127.0.0.1:%%PORT%%/;

    $t->write_conf(config => "pid %%DIR%%/nginx.pid;\n$text");

    ($ok, $said) = $t->check_conf;
    ok($ok, $file) or diag($said);
}

$t->done;
