#!/usr/bin/perl

# usage: test.pl PROVE-ARGUMENTS
#
# Runs test files against one PostgreSQL cluster that they share.  A test file
# run by hand ("prove -It/lib t/x.t") makes a cluster for itself.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use DataflowTest::Postgres;

chdir "$FindBin::Bin/../.." or die $!;

my $status = 1;

$SIG{$_} = sub { exit 1 } for qw(INT TERM HUP);

my $pg = DataflowTest::Postgres->new;

$ENV{DATAFLOW_PG} = $pg->host;

$status = system('prove', '-It/lib', @ARGV) == 0 ? 0 : 1;

undef $pg;
exit $status;
