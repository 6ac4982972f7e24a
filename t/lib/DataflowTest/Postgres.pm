package DataflowTest::Postgres;

# A PostgreSQL cluster in a directory of its own, reached by a unix socket
# only.  It ends with the process that made it, however that ends.

use strict;
use warnings;

use DBI;
use File::Path ();
use File::Temp ();
use POSIX ();
use Time::HiRes qw(sleep time);

our $BIN = '/usr/lib/postgresql/15/bin';

# PostgreSQL refuses to run as root

our $USER = $> == 0 ? 'postgres' : undef;


# settings => { name => value }, initdb => [options], tcp => 1 for a port

sub new {
    my ($class, %o) = @_;

    my $dir = File::Temp::tempdir('dataflow-pg-XXXXXX', TMPDIR => 1);
    chmod 0755, $dir;

    if ($USER) {
        my ($uid, $gid) = (getpwnam $USER)[2, 3];
        chown $uid, $gid, $dir;
    }

    my $self = bless {
        dir => $dir,
        owner => $$,
        settings => {
            fsync => 'off',
            synchronous_commit => 'off',
            full_page_writes => 'off',
            wal_level => 'logical',
            max_connections => 200,
            shared_buffers => '64MB',
            timezone => 'UTC',
            listen_addresses => $o{tcp} ? '127.0.0.1' : '',
            %{ $o{settings} // {} },
        },
    }, $class;

    $self->{settings}{port} = $self->{port} = $o{tcp} ? $o{tcp} : 5432;

    my $pid = _spawn("$dir/initdb.log", "$BIN/initdb", '-D', "$dir/data",
                     '-U', 'dataflow', '-A', 'trust', '-E', 'UTF8',
                     '--locale=C.UTF-8', '--no-sync',
                     @{ $o{initdb} // [] });
    waitpid $pid, 0;
    die "initdb failed:\n" . _slurp("$dir/initdb.log") if $?;

    return $self->start;
}


sub attach {
    my ($class, $dir) = @_;
    return bless { dir => $dir, owner => 0, port => 5432 }, $class;
}


# as the unprivileged user, and not longer than this process

sub _spawn {
    my ($log, @command) = @_;

    my @as = $USER ? ("--reuid=$USER", "--regid=$USER", '--init-groups') : ();

    my $pid = fork // die "fork: $!";
    return $pid if $pid;

    chdir '/';
    delete @ENV{qw(LD_PRELOAD PGHOST PGPORT PGUSER PGDATABASE PGOPTIONS)};
    open STDIN, '<', '/dev/null';
    open STDOUT, '>>', $log or POSIX::_exit(126);
    open STDERR, '>&', \*STDOUT;
    { exec 'setpriv', @as, '--pdeathsig', 'INT', @command }
    POSIX::_exit(127);
}


sub _slurp {
    my ($path) = @_;
    open my $fh, '<', $path or return '';
    local $/;
    return scalar <$fh>;
}


sub start {
    my ($self) = @_;

    return $self if $self->{pid};

    my %s = %{ $self->{settings} };

    $self->{pid} = _spawn("$self->{dir}/log", "$BIN/postgres",
                          '-D', "$self->{dir}/data", '-k', $self->{dir},
                          map { ('-c', "$_=$s{$_}") } sort keys %s);

    for (my $end = time + 60; time < $end; sleep 0.02) {
        return $self if eval { $self->connect('postgres')->disconnect; 1 };

        if (waitpid($self->{pid}, POSIX::WNOHANG) == $self->{pid}) {
            delete $self->{pid};
            last;
        }
    }

    die "PostgreSQL does not start:\n" . _slurp("$self->{dir}/log");
}


# how: INT is fast, QUIT immediate, KILL as a crash

sub stop {
    my ($self, $how) = @_;

    my $pid = delete $self->{pid} or return;

    kill $how // 'INT', $pid;
    waitpid $pid, 0;

    # after a crash its children end by themselves, holding the data till then
    for (my $end = time + 30; time < $end && $self->_orphans; sleep 0.02) { }
}


sub _orphans {
    my ($self) = @_;

    for my $cwd (glob '/proc/[0-9]*/cwd') {
        return 1 if (readlink($cwd) // '') eq "$self->{dir}/data";
    }

    return 0;
}


sub crash { $_[0]->stop('KILL') }
sub running { return !!$_[0]{pid} }
sub pid { return $_[0]{pid} }
sub host { return $_[0]{dir} }
sub port { return $_[0]{port} }
sub log { return _slurp("$_[0]{dir}/log") }


sub conninfo {
    my ($self, $database) = @_;
    return "host=$self->{dir} port=$self->{port} user=dataflow"
           . " dbname=$database";
}


sub connect {
    my ($self, $database) = @_;

    return DBI->connect("dbi:Pg:host=$self->{dir};port=$self->{port};"
                        . "dbname=$database;application_name=harness",
                        'dataflow', '',
                        { RaiseError => 1, PrintError => 0, PrintWarn => 0,
                          AutoCommit => 1,
                          pg_enable_utf8 => 1 });
}


sub DESTROY {
    my ($self) = @_;

    return if $self->{owner} != $$;

    local ($?, $@, $!);
    $self->stop('QUIT');
    File::Path::remove_tree($self->{dir}, { safe => 0 });
}


1;
