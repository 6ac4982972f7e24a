package DataflowTest::Client;

# A plain HTTP/1.1 client on a kept connection, for what a user agent hides:
# answers that break off, clients that stop reading, or leave.  And loads:
# processes that ask again and again until they are told to stop, and note
# each answer.
#
#   my $c = DataflowTest::Client->new($t);
#   my $r = $c->request('GET', '/api/things');
#
#   my $load = DataflowTest::Client->load($t, 4, sub {
#       my ($client, $i) = @_;
#       ...
#       return [ @note ];
#   });
#   my @notes = $load->stop;

use strict;
use warnings;

use Errno ();
use IO::Select;
use IO::Socket::INET;
use JSON::PP ();
use POSIX ();
use Socket qw(SOL_SOCKET SO_RCVBUF);
use Time::HiRes qw(sleep time);

use DataflowTest::JSON;


# timeout => seconds without a byte

sub new {
    my ($class, $t, %o) = @_;
    return bless { port => $t->port, timeout => 30, buffer => '', %o }, $class;
}


sub connect {
    my ($self) = @_;

    return $self->{socket} if $self->{socket};

    $self->{buffer} = '';

    for (1 .. 20) {
        $self->{socket} = IO::Socket::INET->new(
            PeerAddr => "127.0.0.1:$self->{port}",
            $self->{window}
                ? (Sockopts => [[SO_RCVBUF, pack 'i', $self->{window}]]) : ());
        return $self->{socket} if $self->{socket};
        sleep 0.05;
    }

    die "connect: $@";
}


sub close {
    my ($self) = @_;
    CORE::close $self->{socket} if $self->{socket};
    delete $self->{socket};
}


# what leaves as a RST

sub reset {
    my ($self) = @_;

    if ($self->{socket}) {
        setsockopt $self->{socket}, SOL_SOCKET, Socket::SO_LINGER(),
                   pack 'ii', 1, 0;
    }

    $self->close;
}


sub write {
    my ($self, $bytes) = @_;

    local $SIG{PIPE} = 'IGNORE';
    my $socket = $self->connect;

    while (length $bytes) {
        my $n = syswrite $socket, $bytes;
        return 0 unless $n;
        substr $bytes, 0, $n, '';
    }

    return 1;
}


sub text {
    my ($self, $method, $path, $body, %h) = @_;

    if (defined $body) {
        $body = JSON::PP->new->utf8->encode($body) if ref $body;
        $h{'Content-Type'} //= 'application/json';
        $h{'Content-Length'} //= length $body;
    }

    my $version = delete $h{version} // '1.1';

    return "$method $path HTTP/$version\r\nHost: localhost\r\n"
           . join('', map { "$_: $h{$_}\r\n" } sort keys %h)
           . "\r\n" . ($body // '');
}


sub send {
    my ($self, $method, @request) = @_;

    push @{ $self->{methods} }, $method;

    return $self->write($self->text($method, @request));
}


# an answer, with error when it is not whole; what changes nothing is asked
# again when the kept connection was closed meanwhile

sub request {
    my ($self, @request) = @_;

    my $start = time;
    my $kept = $self->{socket};

    $self->send(@request);
    my $r = $self->read;

    if ($kept && $request[0] eq 'GET' && $r->{silent} && !$r->{timeout}) {
        $self->close;
        $self->send(@request);
        $r = $self->read;
    }

    $r->{took} = time - $start;

    return $r;
}


# more bytes: false at the end, or when there are none for too long

sub _more {
    my ($self, $r) = @_;

    my $socket = $self->{socket} or return 0;

    my $select = IO::Select->new($socket);
    my $end = time + $self->{timeout};

    # signals interrupt both calls

    until ($select->can_read($end > time ? $end - time : 0)) {
        next if time < $end;
        $r->{timeout} = 1;
        return 0;
    }

    my $n;

    do {
        $n = sysread $socket, $self->{buffer}, 262144,
                     length $self->{buffer};
    } while (!defined $n && $!{EINTR});

    return $n;
}


sub _take {
    my ($self, $r, $n) = @_;

    while (length $self->{buffer} < $n) {
        $self->_more($r) or return undef;
    }

    return substr $self->{buffer}, 0, $n, '';
}


sub _line {
    my ($self, $r) = @_;
    my $at;

    while (($at = index $self->{buffer}, "\r\n") < 0) {
        $self->_more($r) or return undef;
    }

    return substr substr($self->{buffer}, 0, $at + 2, ''), 0, -2;
}


# on => sub: is given the body's pieces instead of keeping them

sub read {
    my ($self, %o) = @_;

    my $method = shift @{ $self->{methods} } // 'GET';
    my $r = bless { body => '', headers => {}, bytes => 0 },
                  'DataflowTest::Client::Answer';

    $r->{silent} = 1 unless length $self->{buffer};

    my $status = $self->_line($r);
    my $error = defined $status ? $self->_rest($r, $method, $status, %o)
                                : 'no answer';

    delete $r->{silent} if defined $status;

    if ($error) {
        $r->{error} = $r->{timeout} ? "$error (timeout)" : $error;
        $self->close;

    } elsif (($r->{headers}{connection} // '') eq 'close') {
        $self->close;
    }

    return $r;
}


sub _rest {
    my ($self, $r, $method, $status, %o) = @_;

    ($r->{version}, $r->{code}) = $status =~ m{^HTTP/(1\.\d) (\d+)}
        or return "not HTTP: $status";

    while (1) {
        my $line = $self->_line($r) // return 'header broken off';
        last if $line eq '';
        my ($name, $value) = $line =~ /^([^:]+):\s*(.*)$/ or return $line;
        $r->{headers}{lc $name} = $value;
    }

    my $on = $o{on} // sub { $r->{body} .= $_[0] };
    my $h = $r->{headers};

    return if $method eq 'HEAD' || $r->{code} == 204 || $r->{code} == 304;

    if (($h->{'transfer-encoding'} // '') eq 'chunked') {
        return $self->_chunks($r, $on);
    }

    my $left = $h->{'content-length'};

    while (!defined $left || $left) {

        unless (length $self->{buffer}) {
            my $n = $self->_more($r);
            return 'broken off' if !defined $n || $r->{timeout};
            last if !$n && !defined $left;
            return 'broken off' unless $n;
        }

        my $part = substr $self->{buffer}, 0,
                          $left // length $self->{buffer}, '';

        $left -= length $part if defined $left;
        $r->{bytes} += length $part;
        $on->($part);
    }

    return;
}


sub _chunks {
    my ($self, $r, $on) = @_;

    while (1) {
        my $line = $self->_line($r) // return 'broken off';
        $line =~ /^([0-9a-f]+)$/i or return "not a chunk: $line";

        my $size = hex $1;
        my $part = $self->_take($r, $size + 2) // return 'broken off';

        return if $size == 0;

        $r->{bytes} += $size;
        $on->(substr $part, 0, $size);
    }
}


# loads

# n processes; what each call of the sub returns is noted, undef ends it

sub load {
    my ($class, $t, $n, $sub) = @_;

    my @children;

    # who is stopped early has to be able to say so

    my $term = POSIX::SigSet->new(POSIX::SIGTERM());
    my $old = POSIX::SigSet->new;
    POSIX::sigprocmask(POSIX::SIG_BLOCK(), $term, $old);

    for my $i (1 .. $n) {
        pipe my $in, my $out or die $!;

        my $pid = fork // die "fork: $!";

        if ($pid) {
            push @children, { pid => $pid, in => $in };
            next;
        }

        CORE::close $in;
        my $ok = eval { _child($class->new($t), $i, $sub, $out, $old); 1 };
        print STDERR "# load $i: $@" unless $ok;
        $out->flush;
        POSIX::_exit($ok ? 0 : 1);
    }

    POSIX::sigprocmask(POSIX::SIG_SETMASK(), $old);

    return bless { children => \@children }, 'DataflowTest::Client::Load';
}


# notes are kept till the end: nobody reads the pipe before

sub _child {
    my ($client, $i, $sub, $out, $mask) = @_;

    my $stop;
    my @notes;

    local $SIG{TERM} = sub { $stop = 1 };
    local $SIG{INT} = 'IGNORE';
    POSIX::sigprocmask(POSIX::SIG_SETMASK(), $mask);

    srand $$;

    while (!$stop) {
        my $note = $sub->($client, $i) // last;
        push @notes, $note;
    }

    local $SIG{TERM} = 'IGNORE';
    print $out JSON::PP->new->encode(\@notes);
}


package DataflowTest::Client::Load;

use strict;
use warnings;

use JSON::PP ();


sub stop {
    my ($self, $signal) = @_;

    my @notes;

    kill $signal // 'TERM', map { $_->{pid} } @{ $self->{children} };

    for my $child (@{ delete $self->{children} }) {
        local $/;
        my $text = readline $child->{in};
        waitpid $child->{pid}, 0;
        die "a load failed\n" if $?;
        push @notes, @{ JSON::PP->new->decode($text) };
    }

    return @notes;
}


# until the processes end by themselves

sub wait { return $_[0]->stop(0) }


package DataflowTest::Client::Answer;

use strict;
use warnings;

use DataflowTest::JSON;


sub code { return $_[0]{code} // 0 }
sub body { return $_[0]{body} }
sub header { return $_[0]{headers}{lc $_[1]} }


# undef when it is none

sub json {
    my ($self) = @_;
    return $self->{json} //= eval { DataflowTest::JSON::decode($self->{body}) };
}


# the code of a problem

sub problem {
    my ($self) = @_;

    return '' unless ($self->header('Content-Type') // '')
                     =~ m{^application/problem\+json};
    return ($self->json // {})->{code} // '';
}


1;
