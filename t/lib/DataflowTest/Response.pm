package DataflowTest::Response;

# An answer as tests look at it.

use strict;
use warnings;

use DataflowTest::JSON;


sub new {
    my ($class, $res) = @_;
    return bless { res => $res }, $class;
}


sub code { return $_[0]{res}->code }
sub body { return $_[0]{res}->body }
sub type { return $_[0]->header('Content-Type') // '' }
sub header { return scalar $_[0]{res}->headers->header($_[1]) }
sub headers { return $_[0]{res}->headers }


# decoded; a number is its own text (DataflowTest::JSON)

sub json {
    my ($self) = @_;
    return $self->{json} //= DataflowTest::JSON::decode($self->body);
}


# the text of a member of the top level object as it was sent: 1.10, "a"

sub json_text {
    my ($self, $name) = @_;

    my $value = qr/"(?:[^"\\]|\\.)*"|[^\s,\[\]{}]+/;

    return $self->body =~ /"\Q$name\E"\s*:\s*($value)/ ? $1 : undef;
}


1;
