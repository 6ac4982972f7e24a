package DataflowTest;

# An nginx of one test file: in a directory of its own, with a database of its
# own in a real PostgreSQL, watched for everything that must never happen.
#
#   my $t = DataflowTest->new(models => <<'CONF')->start;
#       location /api/things {
#           dataflow_model things { field name text required; }
#       }
#   CONF
#
#   my $r = $t->post('/api/things', { name => 'a' });
#   is($r->code, 201);
#   is($r->json->{name}, 'a');
#
#   $t->done;
#
# Options of new():
#   models     what stands in server { }; a location = /health is added
#   http       what stands in http { } besides
#   database   more lines of the dataflow_database block
#   migrate    apply (default), verify or off
#   conninfo   instead of the test's own database
#   workers    1
#   main       lines of the main context
#   config     the whole configuration instead; %%PORT%%, %%CONNINFO%%, %%DIR%%
#              and %%MODULE%% (the load_module line) stand for this test's own
#   cluster    shared (default), or own: a PostgreSQL this test may break
#   pg         options of an own cluster: { settings => { … }, tcp => 1 }
#   noblock    0: without the shim that kills a worker which blocks
#   env        environment of nginx
#   allow      a regex: lines of the error log that are no failure
#
# Environment: DATAFLOW_NGINX, the binary; DATAFLOW_MODULE, the module (empty
# when it is linked in); DATAFLOW_PG, the shared cluster; DATAFLOW_NOBLOCK=0;
# DATAFLOW_KEEP=1 keeps the directory.

use strict;
use warnings;

use Cwd ();
use Fcntl qw(:flock O_RDWR O_CREAT);
use File::Basename ();
use File::Path ();
use File::Temp ();
use IO::Socket::INET;
use POSIX ();
use Scalar::Util ();
use Test::More ();
use Time::HiRes qw(sleep time);

use DataflowTest::JSON;
use DataflowTest::Postgres;
use DataflowTest::Response;

my $root = Cwd::realpath(File::Basename::dirname(__FILE__) . '/../..');

my $bad = qr/\[(?:alert|emerg|crit)\]|Sanitizer|runtime error:
             |exited\ with\ (?:fatal\ )?code\ [1-9]/x;

my $failed = 0;
my $count = 0;
my %live;
my $own;


sub new {
    my ($class, %o) = @_;

    my $dir = File::Temp::tempdir('dataflow-XXXXXX', TMPDIR => 1);
    chmod 0755, $dir;

    my $self = bless {
        workers => 1,
        migrate => 'apply',
        noblock => $ENV{DATAFLOW_NOBLOCK} // 1,
        %o,
        dir => $dir,
        owner => $$,
        name => sprintf('t%d_%d', $$, ++$count),
    }, $class;

    Scalar::Util::weaken($live{$dir} = $self);

    $self->{port} = $self->_take_port;
    $self->{pg} = $self->_cluster;

    my $dbh = $self->{pg}->connect('postgres');
    $dbh->do("CREATE DATABASE $self->{name}");
    $dbh->disconnect;

    $self->write_conf;

    return $self;
}


sub _cluster {
    my ($self) = @_;

    if (($self->{cluster} // 'shared') eq 'own') {
        return DataflowTest::Postgres->new(%{ $self->{pg} // {} });
    }

    return DataflowTest::Postgres->attach($ENV{DATAFLOW_PG})
        if $ENV{DATAFLOW_PG};

    return $own //= DataflowTest::Postgres->new;
}


# below the range of outgoing connections, locked against other test files

sub _take_port {
    my ($self) = @_;

    for (1 .. 500) {
        my $port = 20000 + int rand 10000;

        sysopen(my $lock, "/tmp/dataflow-port-$port", O_RDWR|O_CREAT, 0666)
            or next;
        flock($lock, LOCK_EX|LOCK_NB) or next;

        IO::Socket::INET->new(Listen => 1, LocalAddr => "127.0.0.1:$port",
                              ReuseAddr => 1) or next;

        push @{ $self->{locks} }, [ $lock, "/tmp/dataflow-port-$port" ];
        return $port;
    }

    die 'no free port';
}


# configuration

sub module {
    return $ENV{DATAFLOW_MODULE} // "$root/build/ngx_dataflow_module.so";
}


sub nginx {
    return $ENV{DATAFLOW_NGINX} || '/usr/sbin/nginx';
}


sub _load {
    my $module = module();
    return $module eq '' ? '' : "load_module \"$module\";\n";
}


sub conninfo {
    my ($self) = @_;
    return $self->{conninfo} // $self->{pg}->conninfo($self->{name});
}


# the configuration from the options; new options replace old ones

sub write_conf {
    my ($self, %o) = @_;

    %$self = (%$self, %o);

    open my $fh, '>', "$self->{dir}/nginx.conf" or die $!;
    print $fh $self->_text;
    close $fh or die $!;

    return $self;
}


sub _text {
    my ($self) = @_;

    my $user = $DataflowTest::Postgres::USER;
    my $load = _load();

    if (defined $self->{config}) {
        my %value = (PORT => $self->{port}, CONNINFO => $self->conninfo,
                     DIR => $self->{dir}, MODULE => $load);
        return $self->{config} =~ s/%%([A-Z]+)%%/$value{$1}/gr;
    }

    my $main = $load
               . ($user ? "user $user;\n" : '')
               . ($self->{main} // '');

    my $models = $self->{models} // '';
    my $database = $self->{database} // '';
    my $http = $self->{http} // '';

    $models .= "\nlocation = /health { dataflow_health; }\n"
        unless $models =~ /dataflow_health/;

    return <<"CONF";
$main
worker_processes $self->{workers};
error_log $self->{dir}/error.log info;
pid $self->{dir}/nginx.pid;
daemon off;

events {
    worker_connections 1024;
}

http {
    access_log off;
    client_body_temp_path $self->{dir}/body;
    proxy_temp_path $self->{dir}/proxy;
    fastcgi_temp_path $self->{dir}/fastcgi;
    uwsgi_temp_path $self->{dir}/uwsgi;
    scgi_temp_path $self->{dir}/scgi;

    dataflow_zone test:8m;

    dataflow_database test {
        primary "@{[ $self->conninfo ]}";
        migrate $self->{migrate};
        $database
    }

    $http

    server {
        listen 127.0.0.1:$self->{port};
        dataflow test;

        $models
    }
}
CONF
}


# nginx -t: (true when accepted, what nginx said)

sub check_conf {
    my ($self) = @_;

    my $nginx = nginx();
    my $out = `$nginx -t -p $self->{dir}/ -e stderr -c nginx.conf 2>&1`;

    return ($? == 0, $out);
}


# start, reload, stop

sub start {
    my ($self, %o) = @_;

    my $pid = $self->{pid} = fork // die "fork: $!";

    if ($pid == 0) {
        my $shim = "$root/build/noblock.so";

        $ENV{LD_PRELOAD} = $shim if $self->{noblock} && -e $shim;
        $ENV{$_} = $self->{env}{$_} for keys %{ $self->{env} // {} };

        open STDIN, '<', '/dev/null';
        open STDOUT, '>>', "$self->{dir}/stderr" or POSIX::_exit(126);
        open STDERR, '>&', \*STDOUT;
        { exec 'setpriv', '--pdeathsig', 'TERM', nginx(),
               '-p', "$self->{dir}/", '-e', "$self->{dir}/error.log",
               '-c', 'nginx.conf' }
        POSIX::_exit(127);
    }

    $self->wait_ready if $o{wait} // 1;

    return $self;
}


# until /health answers 200 and the tables have been looked at

sub wait_ready {
    my ($self, $seconds) = @_;
    my $r;

    for (my $end = time + ($seconds // 20); time < $end; sleep 0.02) {
        $r = eval { $self->get('/health') };
        return $self if $r && $r->code == 200 && $self->_migrated($r->body);

        if (waitpid($self->{pid}, POSIX::WNOHANG) == $self->{pid}) {
            delete $self->{pid};
            die "nginx does not start:\n" . $self->stderr . $self->error_log;
        }
    }

    die "nginx is not ready:\n" . ($r ? $r->body . "\n" : '')
        . $self->stderr . $self->error_log;
}


sub _migrated {
    my ($self, $health) = @_;

    return $self->{migrate} eq 'off'
           || $health !~ /"migration":\{"state":"(?:pending|running)"/;
}


# children that run, without those that are about to leave

sub worker_pids {
    my ($self) = @_;

    open my $fh, '<', "/proc/$self->{pid}/task/$self->{pid}/children"
        or return ();

    my @pids = split ' ', <$fh> // '';

    @pids = sort { $a <=> $b }
            grep { _title($_) =~ /^nginx: worker process\0*$/ } @pids;

    return @pids;
}


sub _title {
    my ($pid) = @_;

    open my $fh, '<', "/proc/$pid/cmdline" or return '';
    local $/;
    return <$fh> // '';
}


# returns when the new workers run; the old ones may still be draining

sub reload {
    my ($self) = @_;

    my %old = map { $_ => 1 } $self->worker_pids;

    kill 'HUP', $self->{pid} or die "no nginx: $!";

    for (my $end = time + 20; time < $end; sleep 0.02) {
        my @pids = $self->worker_pids;
        next unless @pids == $self->{workers} && !grep { $old{$_} } @pids;

        # connections that were kept are closed, or about to be

        delete $self->{ua};

        return $self;
    }

    die "nginx does not reload:\n" . $self->error_log;
}


# graceful; what went wrong is returned, and reported by done()

sub stop {
    my ($self, $signal) = @_;

    my $pid = delete $self->{pid} or return;

    kill $signal // 'QUIT', $pid;

    for (my $end = time + 20; time < $end; sleep 0.02) {
        my $gone = waitpid $pid, POSIX::WNOHANG or next;
        my $status = $gone == $pid ? $? : 0;

        push @{ $self->{problems} }, "nginx ended with status $status"
            if $status;
        return;
    }

    push @{ $self->{problems} }, 'nginx does not end';
    kill 'KILL', $self->_tree($pid);
    waitpid $pid, 0;
}


sub _tree {
    my ($self, $pid) = @_;

    open my $fh, '<', "/proc/$pid/task/$pid/children" or return $pid;
    return ($pid, split ' ', <$fh> // '');
}


# requests

sub port { return $_[0]{port} }
sub dir { return $_[0]{dir} }
sub url { return "http://127.0.0.1:$_[0]{port}" . ($_[1] // '') }


# a Mojo::UserAgent for what happens at the same time

sub ua {
    my ($self) = @_;

    return $self->{ua} //= do {
        require Mojo::UserAgent;
        my $ua = Mojo::UserAgent->new(max_redirects => 0, max_connections => 5,
                                      inactivity_timeout => 60,
                                      request_timeout => 60,
                                      max_response_size => 0);
        $ua->transactor->compressed(0);
        $ua->proxy->not(['127.0.0.1']);
        $ua;
    };
}


# a body that is a reference is sent as JSON, any other as it is

sub request {
    my ($self, $method, $path, $headers, $body) = @_;

    my %h = %{ $headers // {} };

    if (ref $body) {
        $body = DataflowTest::JSON::encode($body);
    }

    if (defined $body && !grep { lc eq 'content-type' } keys %h) {
        $h{'Content-Type'} = 'application/json';
    }

    my $tx = $self->ua->build_tx($method, $self->url($path), \%h,
                                 defined $body ? $body : ());
    $tx = $self->ua->start($tx);

    my $error = $tx->error;
    die "$method $path: $error->{message}\n" if $error && !$error->{code};

    return DataflowTest::Response->new($tx->res);
}


sub get { my ($t, $path, %h) = @_; return $t->request('GET', $path, \%h) }
sub head { my ($t, $path, %h) = @_; return $t->request('HEAD', $path, \%h) }

sub options {
    my ($t, $path, %h) = @_;
    return $t->request('OPTIONS', $path, \%h);
}

sub delete {
    my ($t, $path, %h) = @_;
    return $t->request('DELETE', $path, \%h);
}

sub post {
    my ($t, $path, $body, %h) = @_;
    return $t->request('POST', $path, \%h, $body);
}

sub put {
    my ($t, $path, $body, %h) = @_;
    return $t->request('PUT', $path, \%h, $body);
}

sub patch {
    my ($t, $path, $body, %h) = @_;
    return $t->request('PATCH', $path, \%h, $body);
}


# a connection to nginx

sub socket {
    my ($self, %o) = @_;

    return IO::Socket::INET->new(PeerAddr => "127.0.0.1:$self->{port}",
                                 Timeout => 10, %o)
           || die "connect: $@";
}


# bytes as they are; everything nginx sends until it closes, or for seconds

sub raw {
    my ($self, $bytes, $seconds) = @_;

    my $socket = $self->socket;
    my $answer = '';

    local $SIG{PIPE} = 'IGNORE';
    local $SIG{ALRM} = sub { die "timeout\n" };

    eval {
        alarm($seconds // 10);
        $socket->print($bytes);
        $socket->flush;
        while ($socket->sysread(my $part, 65536)) {
            $answer .= $part;
        }
    };
    alarm 0;

    return $answer;
}


# PostgreSQL

sub pg { return $_[0]{pg} }
sub database { return $_[0]{name} }


sub dbh {
    my ($self) = @_;

    my $dbh = $self->{dbh};
    return $dbh if $dbh && $dbh->ping;

    return $self->{dbh} = $self->{pg}->connect($self->{name});
}


sub pg_start { $_[0]{pg}->start }
sub pg_stop { $_[0]{pg}->stop($_[1] // 'INT') }
sub pg_kill { $_[0]{pg}->crash }


# connections of nginx to the test's database

sub backends {
    my ($self) = @_;

    return @{ $self->dbh->selectcol_arrayref(
        "SELECT pid FROM pg_stat_activity WHERE datname = ?"
        . " AND application_name <> 'harness'", undef, $self->{name}) };
}


# logs and the end

sub error_log { return DataflowTest::Postgres::_slurp("$_[0]{dir}/error.log") }
sub stderr { return DataflowTest::Postgres::_slurp("$_[0]{dir}/stderr") }


# until the error log matches

sub wait_log {
    my ($self, $regex, $seconds) = @_;

    for (my $end = time + ($seconds // 10); time < $end; sleep 0.02) {
        return 1 if $self->error_log =~ $regex;
    }

    return 0;
}


sub problems {
    my ($self) = @_;

    my $allow = $self->{allow};
    my %seen;

    my @lines = grep { /$bad/ && !($allow && /$allow/) && !$seen{$_}++ }
                split /\n/, $self->error_log . "\n" . $self->stderr;

    return (@{ $self->{problems} // [] }, @lines);
}


# stops nginx and gives back what it used; returns what went wrong

sub finish {
    my ($self) = @_;

    return if $self->{finished}++;

    $self->stop;

    if ($self->{pg}{owner} ? $self->{pg}->running : 1) {
        eval { $self->_finish_database; 1 }
            or push @{ $self->{problems} }, "database: $@";
    }

    for (@{ delete $self->{locks} // [] }) {
        unlink $_->[1];
    }

    return $self->problems;
}


sub _finish_database {
    my ($self) = @_;
    my @left;

    for (my $end = time + 5; time < $end; sleep 0.02) {
        @left = $self->backends;
        last unless @left;
    }

    push @{ $self->{problems} }, "backends left: @left" if @left;

    $self->{dbh}->disconnect;

    my $dbh = $self->{pg}->connect('postgres');
    $dbh->do("DROP DATABASE $self->{name} WITH (FORCE)");
    $dbh->disconnect;
}


# ends nginx, checks what must hold at the end of every test, and the plan

sub done {
    my ($self) = @_;

    my @problems = $self->finish;

    Test::More::ok(!@problems, 'nginx ended cleanly')
        or Test::More::diag(join "\n", @problems > 20 ? @problems[0 .. 19]
                                                       : @problems);
    Test::More::done_testing();
}


# for a test that forgot or died

sub DESTROY {
    my ($self) = @_;

    return if $self->{owner} != $$ || $self->{destroyed}++;

    local ($?, $@, $!);

    delete $live{$self->{dir}};

    unless ($self->{finished}) {
        my @problems = $self->finish;
        Test::More::diag("not clean: $_") for @problems;
        $failed ||= @problems;
    }

    if ($ENV{DATAFLOW_KEEP} || !Test::More->builder->is_passing) {
        Test::More::diag("kept $self->{dir}");
        return;
    }

    File::Path::remove_tree($self->{dir}, { safe => 0 });
}


# before PostgreSQL goes

END {
    $_ && $_->DESTROY for values %live;
    undef $own;
    $? ||= 1 if $failed;
}


1;
