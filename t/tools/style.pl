#!/usr/bin/perl

# usage: style.pl FILE...
#
# What nginx's style can be asked of a file mechanically.

use strict;
use warnings;

my $found = 0;


sub complain {
    my ($file, $line, $what) = @_;

    print "$file:$line: $what\n";
    $found++;
}


# one line by itself

my @rules = (
    [ qr/\t/, 'a tab' ],
    [ qr/[ \t]\n/, 'blanks at the end' ],

    # of C only

    [ qr/^.{81}/, 'more than 80 columns' ],
    [ qr{^(?:[^"]|"(?:[^"\\]|\\.)*")*?(?<!:)//}, 'a // comment' ],
    [ qr/\b(?:if|for|while|switch)\(/, 'no blank before the parenthesis' ],
    [ qr/\)\{/, 'no blank before the brace' ],
);


sub check {
    my ($file) = @_;

    open my $fh, '<:encoding(UTF-8)', $file or die "$file: $!\n";
    my @lines = ("\n", <$fh>);
    my $c = $file =~ /\.[ch]$/;
    my $begin;

    complain($file, $#lines, 'no newline at the end')
        if $lines[-1] !~ /\n$/;
    complain($file, $#lines, 'blank lines at the end')
        if $lines[-1] eq "\n";
    complain($file, 1, 'does not begin with a blank line and a comment')
        if $c && ($lines[1] ne "\n" || $lines[2] !~ m{^/\*});
    complain($file, $#lines, 'more than 900 lines') if $c && @lines > 901;

    for my $n (1 .. $#lines) {
        my ($line, $before) = @lines[$n, $n - 1];

        for my $rule (@rules[0 .. ($c ? $#rules : 1)]) {
            complain($file, $n, $rule->[1]) if $line =~ $rule->[0];
        }

        next unless $c;

        complain($file, $n, 'no blank line before else')
            if $line =~ /^\s+\} else\b/ && $before !~ /^(?:#.*)?\n$/;

        $begin = $n if $line eq "{\n" && $before =~ /\)$/;

        if ($line eq "}\n" && $begin) {
            complain($file, $begin, 'a function of more than 100 lines')
                if $n - $begin > 100;

            complain($file, $n, 'not two blank lines after a function')
                if join('', @lines[$n + 1 .. $#lines])
                   !~ /^(?:\n\n(?!\n)|\n?#(?:endif|else)|\z)/;
            undef $begin;
        }
    }
}


check($_) for @ARGV;

exit($found ? 1 : 0);
