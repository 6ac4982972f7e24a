package DataflowTest::JSON;

# JSON whose numbers keep their digits: a number is an object that compares
# and prints as its text, so 1.10 is not 1.1 and no bigint is rounded.

use strict;
use warnings;
no warnings 'recursion';

use JSON::PP ();
use Exporter 'import';

our @EXPORT_OK = qw(decode encode);

my $encoder = JSON::PP->new->canonical->allow_nonref->utf8;
my $string = JSON::PP->new->allow_nonref->utf8;

my %word = (true => JSON::PP::true, false => JSON::PP::false, null => undef);


sub encode {
    my ($data) = @_;
    return $encoder->encode($data);
}


# from bytes; dies when they are not one JSON value

sub decode {
    my ($text) = @_;

    die "no JSON: empty\n" unless defined $text && length $text;

    pos($text) = 0;
    my $value = _value(\$text);

    $text =~ /\G[ \t\r\n]*\z/gc or _fail(\$text);

    return $value;
}


sub _value {
    my ($t) = @_;

    $$t =~ /\G[ \t\r\n]*/gc;

    return _object($t) if $$t =~ /\G\{/gc;
    return _array($t) if $$t =~ /\G\[/gc;
    return _string($t) if substr($$t, pos $$t, 1) eq '"';
    return $word{$1} if $$t =~ /\G(true|false|null)/gc;

    $$t =~ /\G(-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?)/gc
        or _fail($t);

    return bless \(my $n = $1), 'DataflowTest::Number';
}


sub _string {
    my ($t) = @_;

    $$t =~ /\G("(?:[^"\\\x00-\x1f]++|\\.)*+")/gc or _fail($t);
    return $string->decode($1);
}


sub _array {
    my ($t) = @_;
    my @list;

    return \@list if $$t =~ /\G[ \t\r\n]*\]/gc;

    while (1) {
        push @list, _value($t);
        return \@list if $$t =~ /\G[ \t\r\n]*\]/gc;
        $$t =~ /\G[ \t\r\n]*,/gc or _fail($t);
    }
}


sub _object {
    my ($t) = @_;
    my %hash;

    return \%hash if $$t =~ /\G[ \t\r\n]*\}/gc;

    while (1) {
        $$t =~ /\G[ \t\r\n]*(?=")/gc or _fail($t);
        my $key = _string($t);
        die "no JSON: member \"$key\" twice\n" if exists $hash{$key};

        $$t =~ /\G[ \t\r\n]*:/gc or _fail($t);
        $hash{$key} = _value($t);

        return \%hash if $$t =~ /\G[ \t\r\n]*\}/gc;
        $$t =~ /\G[ \t\r\n]*,/gc or _fail($t);
    }
}


sub _fail {
    my ($t) = @_;
    my $pos = pos($$t) // 0;

    die "no JSON at byte $pos: " . substr($$t, $pos, 60) . "\n";
}


package DataflowTest::Number;

use overload '""' => sub { ${$_[0]} }, fallback => 1;

sub TO_JSON { return ${$_[0]} + 0 }


1;
