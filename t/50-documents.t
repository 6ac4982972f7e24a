use strict;
use warnings;

use Test::More;

use DataflowTest;

# the examples of the documents, carried out in their order: what curl prints
# is what they show, but for what is another one each time


sub read_file {
    my ($name) = @_;

    open my $fh, '<', $name or die "$name: $!";
    local $/;
    return <$fh>;
}


# entity tags, cursors, request identifiers, times

my $changing = qr/\b\d+-[0-9a-f]{8}\b|\b[0-9a-f]{32}\b|\bA[\w-]{30,}
                  |\b\d{4}-\d\d-\d\dT[\d:.]+\+00:00/x;


# long lines are broken in the documents: what is indented goes on; of headers
# those are left out that nginx adds to any answer

sub plain {
    my ($text) = @_;

    $text =~ s/\r//g;
    $text =~ s/\n +//g;
    $text =~ s/^(?:Server|Date|Connection|Content-Length):.*\n//mg;
    $text =~ s/"pool":\K\{.*?\}/$& =~ s{\d+}{0}gr/e;
    $text =~ s/\s+\z//;

    return $text;
}


sub example {
    my ($t, $command, $shown, $known) = @_;

    my $name = $command =~ s/\\\n\s*//gr;

    $command =~ s/($changing)/$known->{$1} \/\/ $1/ge;
    $command =~ s/127\.0\.0\.1:8000/'127.0.0.1:' . $t->port/e
        or return fail("$name: where is that?");
    $command =~ s/^curl/curl -q -sS --noproxy '*'/;

    my $got = plain(scalar `$command 2>&1`);
    my $want = plain($shown);

    my @got = $got =~ /$changing/g;
    my @want = $want =~ /$changing/g;

    @$known{@want} = @got if @want == @got;

    s/$changing/.../g for $got, $want;

    is($got, $want, $name);
}


# a command goes on behind a backslash, and until its quotes are closed

sub parts {
    my ($text) = @_;

    my $command = '';

    while ($text =~ s/^(.*)\n//) {
        $command .= $1;
        last if $1 !~ /\\$/ && ($command =~ tr/'//) % 2 == 0;
        $command .= "\n";
    }

    return ($command, $text);
}


sub document {
    my ($t, $file, $least) = @_;

    my $n = 0;
    my %known;

    my @blocks = read_file($file) =~ /^```\n(\$ .*?)^```/gms;

    for (map { split /^\$ /m } @blocks) {
        next unless /^curl /;

        my ($command, $shown) = parts($_);

        example($t, $command, $shown, \%known);
        $n++;
    }

    cmp_ok($n, '>=', $least, "$file: examples");
}


# the tour, through the shop with its data

my ($server) = read_file('conf/shop.conf') =~ /^    server \{\n(.*?)^    \}/ms;

$server =~ s/^\s*(?:listen|dataflow) .*\n//mg;

my $t = DataflowTest->new(models => $server)->start;

is(system('psql', '-qXd', $t->conninfo, '-f', 'conf/shop.sql'), 0, 'shop.sql');

document($t, 'README.md', 7);

is_deeply([ $t->finish ], [], 'nginx ended cleanly');


# the reference, of the locations in it and four products

my @locations = grep { /dataflow_(?:model|analytics)/ }
                read_file('docs/api.md') =~ /^```nginx\n(.*?)^```/gms;

sub products {
    my $t = DataflowTest->new(models => join '', @locations)->start;

    for (
        '{"sku":"HP-1","name":"Headphones","price":79.90,"stock":12,
          "category":"audio","tags":["new"],"attrs":{"color":"black"}}',
        '{"sku":"SP-1","name":"Speaker","price":49.50,"stock":5,
          "category":"audio","attrs":{"color":"white","size":40}}',
        '{"sku":"TV-1","name":"Television","price":499,"category":"video"}',
        '{"sku":"CB-1","name":"Cable","price":4.50,"stock":200,
          "category":"audio"}')
    {
        is($t->post('/api/products', $_)->code, 201, 'a product');
    }

    return $t;
}


$t = products();

document($t, 'docs/api.md', 12);

is_deeply([ $t->finish ], [], 'nginx ended cleanly');


$t = products();

document($t, 'docs/expressions.md', 5);

$t->done;
