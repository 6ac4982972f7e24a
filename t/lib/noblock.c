
/*
 * Copyright (C) the ngx_dataflow authors
 *
 * A library for LD_PRELOAD that aborts an nginx worker at the first call
 * that could block its event loop, with a backtrace.  It watches processes
 * that were forked and have called epoll_wait(), and there the main thread
 * only: thread pools may block.
 */


#define _GNU_SOURCE
#undef _FORTIFY_SOURCE

#include <dlfcn.h>
#include <execinfo.h>
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>


static int    noblock_forked;
static pid_t  noblock_pid;      /* the process that is watched */


static void
noblock_child(void)
{
    noblock_forked = 1;
}


__attribute__((constructor)) static void
noblock_init(void)
{
    void  *frames[1];

    pthread_atfork(NULL, NULL, noblock_child);

    /* the first backtrace() loads libgcc: not in the middle of a failure */

    (void) backtrace(frames, 1);
}


static int
noblock_watched(void)
{
    return noblock_pid && noblock_pid == getpid() && gettid() == noblock_pid;
}


__attribute__((format(printf, 1, 2))) static void
noblock_abort(const char *fmt, ...)
{
    int      n;
    char     text[256];
    void    *frames[32];
    va_list  args;

    va_start(args, fmt);
    n = vsnprintf(text, sizeof(text) - 1, fmt, args);
    va_end(args);

    text[n++] = '\n';

    noblock_pid = 0;

    if (write(STDERR_FILENO, text, n) == n) {
        n = backtrace(frames, 32);
        backtrace_symbols_fd(frames, n, STDERR_FILENO);
    }

    abort();
}


static void
noblock_socket(const char *call, int fd, int flags)
{
    int          mode;
    struct stat  st;

    if (!noblock_watched() || (flags & MSG_DONTWAIT)) {
        return;
    }

    mode = fcntl(fd, F_GETFL);

    if (mode == -1 || (mode & O_NONBLOCK)) {
        return;
    }

    if (fstat(fd, &st) == 0 && S_ISSOCK(st.st_mode)) {
        noblock_abort("noblock: [alert] %s() on a blocking socket %d",
                      call, fd);
    }
}


static void
noblock_wait(const char *call, long ms)
{
    if (ms != 0 && noblock_watched()) {
        noblock_abort("noblock: [alert] %s() would wait %ld ms", call, ms);
    }
}


static void
noblock_never(const char *call)
{
    if (noblock_watched()) {
        noblock_abort("noblock: [alert] %s() blocks", call);
    }
}


#define noblock_timespec(t)                                                   \
    ((t) ? (t)->tv_sec * 1000L + ((t)->tv_nsec + 999999) / 1000000 : -1)

#define noblock_timeval(t)                                                    \
    ((t) ? (t)->tv_sec * 1000L + ((t)->tv_usec + 999) / 1000 : -1)

#define noblock_wrap(type, name, params, args, check)                         \
                                                                              \
    type name params;                                                         \
                                                                              \
    type                                                                      \
    name params                                                               \
    {                                                                         \
        static type (*next) params;                                           \
                                                                              \
        if (next == NULL) {                                                   \
            next = (type (*) params) dlsym(RTLD_NEXT, #name);                 \
        }                                                                     \
                                                                              \
        check;                                                                \
                                                                              \
        return next args;                                                     \
    }


/* the event loop has begun */

noblock_wrap(int, epoll_wait,
    (int ep, struct epoll_event *events, int n, int timeout),
    (ep, events, n, timeout),
    if (noblock_forked && noblock_pid == 0) noblock_pid = getpid())


/* waiting */

noblock_wrap(int, poll, (struct pollfd *fds, nfds_t n, int timeout),
    (fds, n, timeout), noblock_wait("poll", timeout))

noblock_wrap(int, __poll_chk,
    (struct pollfd *fds, nfds_t n, int timeout, size_t size),
    (fds, n, timeout, size), noblock_wait("poll", timeout))

noblock_wrap(int, ppoll,
    (struct pollfd *fds, nfds_t n, const struct timespec *ts,
     const sigset_t *set),
    (fds, n, ts, set), noblock_wait("ppoll", noblock_timespec(ts)))

noblock_wrap(int, select,
    (int n, fd_set *r, fd_set *w, fd_set *e, struct timeval *tv),
    (n, r, w, e, tv), noblock_wait("select", noblock_timeval(tv)))

noblock_wrap(int, pselect,
    (int n, fd_set *r, fd_set *w, fd_set *e, const struct timespec *ts,
     const sigset_t *set),
    (n, r, w, e, ts, set), noblock_wait("pselect", noblock_timespec(ts)))

noblock_wrap(unsigned int, sleep, (unsigned int s), (s),
    noblock_wait("sleep", s * 1000L))

noblock_wrap(int, usleep, (useconds_t us), (us),
    noblock_wait("usleep", (us + 999) / 1000))

noblock_wrap(int, nanosleep,
    (const struct timespec *ts, struct timespec *left), (ts, left),
    noblock_wait("nanosleep", noblock_timespec(ts)))

noblock_wrap(int, clock_nanosleep,
    (clockid_t clock, int flags, const struct timespec *ts,
     struct timespec *left),
    (clock, flags, ts, left),
    noblock_wait("clock_nanosleep", noblock_timespec(ts)))


/* names: numbers need no resolver */

noblock_wrap(int, getaddrinfo,
    (const char *node, const char *service, const struct addrinfo *hints,
     struct addrinfo **res),
    (node, service, hints, res),
    if (node && !(hints && (hints->ai_flags & AI_NUMERICHOST)))
        noblock_never("getaddrinfo"))

noblock_wrap(struct hostent *, gethostbyname, (const char *name), (name),
    noblock_never("gethostbyname"))


/* sockets */

noblock_wrap(int, connect,
    (int fd, const struct sockaddr *sa, socklen_t len), (fd, sa, len),
    noblock_socket("connect", fd, 0))

noblock_wrap(ssize_t, read, (int fd, void *buf, size_t n), (fd, buf, n),
    noblock_socket("read", fd, 0))

noblock_wrap(ssize_t, __read_chk,
    (int fd, void *buf, size_t n, size_t size), (fd, buf, n, size),
    noblock_socket("read", fd, 0))

noblock_wrap(ssize_t, readv, (int fd, const struct iovec *iov, int n),
    (fd, iov, n), noblock_socket("readv", fd, 0))

noblock_wrap(ssize_t, recv, (int fd, void *buf, size_t n, int flags),
    (fd, buf, n, flags), noblock_socket("recv", fd, flags))

noblock_wrap(ssize_t, __recv_chk,
    (int fd, void *buf, size_t n, size_t size, int flags),
    (fd, buf, n, size, flags), noblock_socket("recv", fd, flags))

noblock_wrap(ssize_t, recvfrom,
    (int fd, void *buf, size_t n, int flags, struct sockaddr *sa,
     socklen_t *len),
    (fd, buf, n, flags, sa, len), noblock_socket("recvfrom", fd, flags))

noblock_wrap(ssize_t, recvmsg, (int fd, struct msghdr *msg, int flags),
    (fd, msg, flags), noblock_socket("recvmsg", fd, flags))

noblock_wrap(ssize_t, write, (int fd, const void *buf, size_t n),
    (fd, buf, n), noblock_socket("write", fd, 0))

noblock_wrap(ssize_t, writev, (int fd, const struct iovec *iov, int n),
    (fd, iov, n), noblock_socket("writev", fd, 0))

noblock_wrap(ssize_t, send, (int fd, const void *buf, size_t n, int flags),
    (fd, buf, n, flags), noblock_socket("send", fd, flags))

noblock_wrap(ssize_t, sendto,
    (int fd, const void *buf, size_t n, int flags, const struct sockaddr *sa,
     socklen_t len),
    (fd, buf, n, flags, sa, len), noblock_socket("sendto", fd, flags))

noblock_wrap(ssize_t, sendmsg, (int fd, const struct msghdr *msg, int flags),
    (fd, msg, flags), noblock_socket("sendmsg", fd, flags))


/* disks */

noblock_wrap(int, fsync, (int fd), (fd), noblock_never("fsync"))
noblock_wrap(int, fdatasync, (int fd), (fd), noblock_never("fdatasync"))


/* libpq's blocking face; types are libpq's, opaque here */

noblock_wrap(void *, PQconnectdb, (const char *info), (info),
    noblock_never("PQconnectdb"))

noblock_wrap(void *, PQconnectdbParams,
    (const char *const *keywords, const char *const *values, int expand),
    (keywords, values, expand), noblock_never("PQconnectdbParams"))

noblock_wrap(void, PQreset, (void *conn), (conn), noblock_never("PQreset"))

noblock_wrap(void *, PQexec, (void *conn, const char *sql), (conn, sql),
    noblock_never("PQexec"))

noblock_wrap(void *, PQexecParams,
    (void *conn, const char *sql, int n, const unsigned *types,
     const char *const *values, const int *lengths, const int *formats,
     int format),
    (conn, sql, n, types, values, lengths, formats, format),
    noblock_never("PQexecParams"))

noblock_wrap(void *, PQexecPrepared,
    (void *conn, const char *name, int n, const char *const *values,
     const int *lengths, const int *formats, int format),
    (conn, name, n, values, lengths, formats, format),
    noblock_never("PQexecPrepared"))

noblock_wrap(void *, PQprepare,
    (void *conn, const char *name, const char *sql, int n,
     const unsigned *types),
    (conn, name, sql, n, types), noblock_never("PQprepare"))

noblock_wrap(int, PQcancel, (void *cancel, char *buf, int size),
    (cancel, buf, size), noblock_never("PQcancel"))
