/*
 * bare-spawn - what starting N workers costs at least: the yardstick for reloader's own start and reload.
 *
 *     bare-spawn N PROGRAM [ARGUMENT…]
 *
 * vforks and execs N copies with a listening socket as fd 3 and a channel as fd 4, in the environment that reloader
 * gives, and waits until each has said "ready". No process group, limits, pidfds, logs or slots: only what must be.
 * Prints one JSON object with the seconds until all were spawned and until all were ready, then ends them.
 */
#include "base/clock.h"
#include "base/fd.h"
#include "base/parse.h"
#include "base/strv.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define WORKERS_MAX  65536
#define TIMEOUT_MSEC 60000
#define HIGH_FD      64

extern char **environ;

struct worker {
    pid_t pid;
    int channel_fd;
    bool ready;
};

struct bench {
    size_t n, n_spawned, n_ready;
    struct worker *workers;
    char *const *command;
    char **environment;
    char *listen_pid; /* the entry "LISTEN_PID=…" of environment, with room for any pid */
    int listener_fd, epoll_fd;
};

static int fail(const char *what, int r)
{
    (void)fprintf(stderr, "bare-spawn: %s: %s\n", what, strerror(-r));
    return r;
}

static int open_listener(int *ret_fd)
{
    CLEANUP_FD int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const struct sockaddr_in address = {.sin_family = AF_INET,
                                        .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    if (fd < 0 || bind(fd, (const struct sockaddr *)&address, sizeof(address)) < 0 ||
        listen(fd, SOMAXCONN) < 0)
        return -errno;
    /* Out of the way of the places that a child gives its fds. */
    int high = fcntl(fd, F_DUPFD_CLOEXEC, HIGH_FD);
    if (high < 0)
        return -errno;
    *ret_fd = high;
    return 0;
}

static int make_environment(struct bench *bench)
{
    int r = strv_copy(environ, &bench->environment);
    if (r == 0)
        r = strv_env_set(&bench->environment, "LISTEN_FDS", "1");
    if (r == 0)
        r = strv_env_set(&bench->environment, "LISTEN_FDNAMES", "web");
    if (r == 0)
        r = strv_env_set(&bench->environment, "RELOADER_CHANNEL_FD", "4");
    if (r == 0)
        r = strv_env_set(&bench->environment, "LISTEN_PID", "0000000000");
    if (r == 0)
        bench->listen_pid = (char *)strv_env_get(bench->environment, "LISTEN_PID");
    return r;
}

/* In the child, which shares the parent's memory: writes nothing but the number it is there for. */
static void become_worker(const struct bench *bench, int channel_fd)
{
    char digits[16];
    size_t n = 0;
    for (pid_t pid = getpid(); pid > 0; pid /= 10)
        digits[n++] = (char)('0' + pid % 10);
    char *to = bench->listen_pid;
    while (n > 0)
        *to++ = digits[--n];
    *to = '\0';
    if (dup2(bench->listener_fd, 3) == 3 && dup2(channel_fd, 4) == 4)
        (void)execvpe(bench->command[0], bench->command, bench->environment);
    _exit(127);
}

static int spawn(struct bench *bench, struct worker *worker)
{
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
        return -errno;
    worker->channel_fd = fcntl(pair[0], F_DUPFD_CLOEXEC, HIGH_FD);
    CLEANUP_FD int theirs = fcntl(pair[1], F_DUPFD_CLOEXEC, HIGH_FD);
    (void)fd_close(pair[0]);
    (void)fd_close(pair[1]);
    if (worker->channel_fd < 0 || theirs < 0)
        return -errno;
    worker->pid = vfork();
    if (worker->pid == 0)
        become_worker(bench, theirs);
    if (worker->pid < 0)
        return -errno;
    bench->n_spawned++;
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = worker};
    return epoll_ctl(bench->epoll_fd, EPOLL_CTL_ADD, worker->channel_fd, &event) < 0 ? -errno : 0;
}

static int hear(struct bench *bench, struct worker *worker)
{
    char words[512];
    ssize_t n = recv(worker->channel_fd, words, sizeof(words) - 1, MSG_DONTWAIT);
    if (n <= 0)
        return n < 0 && errno == EAGAIN ? 0 : -ECONNRESET;
    words[n] = '\0';
    /* Each word is one short line, sent whole: it does not arrive in parts. */
    if (!worker->ready && strstr(words, "\"ready\"\n")) {
        worker->ready = true;
        bench->n_ready++;
    }
    return 0;
}

static int await_all(struct bench *bench)
{
    struct epoll_event events[64];
    while (bench->n_ready < bench->n) {
        int n = epoll_wait(bench->epoll_fd, events, ARRAY_SIZE(events), TIMEOUT_MSEC);
        if (n <= 0)
            return n < 0 ? -errno : -ETIMEDOUT;
        for (int i = 0; i < n; i++) {
            int r = hear(bench, events[i].data.ptr);
            if (r < 0)
                return r;
        }
    }
    return 0;
}

static void end_all(struct bench *bench)
{
    for (size_t i = 0; i < bench->n_spawned; i++)
        (void)kill(bench->workers[i].pid, SIGKILL);
    for (size_t i = 0; i < bench->n_spawned; i++)
        (void)waitpid(bench->workers[i].pid, NULL, 0);
}

static int measure(struct bench *bench)
{
    uint64_t began_usec = clock_monotonic_usec();
    for (size_t i = 0; i < bench->n; i++) {
        int r = spawn(bench, &bench->workers[i]);
        if (r < 0)
            return fail("cannot start a worker", r);
    }
    uint64_t spawned_usec = clock_monotonic_usec();
    int r = await_all(bench);
    if (r < 0)
        return fail("not every worker got ready", r);
    (void)printf("{\"workers\": %zu, \"spawned_seconds\": %.6f, \"ready_seconds\": %.6f}\n",
                 bench->n, (double)(spawned_usec - began_usec) / 1e6,
                 (double)(clock_monotonic_usec() - began_usec) / 1e6);
    return 0;
}

static int prepare(struct bench *bench)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
    }
    bench->workers = calloc(bench->n, sizeof(struct worker));
    if (!bench->workers)
        return -ENOMEM;
    int r = make_environment(bench);
    if (r < 0)
        return r;
    bench->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (bench->epoll_fd < 0)
        return -errno;
    return open_listener(&bench->listener_fd);
}

int main(int argc, char **argv)
{
    uint64_t n;
    if (argc < 3 || parse_unsigned(argv[1], 1, WORKERS_MAX, &n) < 0) {
        (void)fputs("Usage: bare-spawn N PROGRAM [ARGUMENT...]\n", stderr);
        return 2;
    }
    struct bench bench = {.n = (size_t)n, .command = argv + 2, .listener_fd = -1, .epoll_fd = -1};
    int r = prepare(&bench);
    if (r < 0)
        (void)fail("cannot begin", r);
    else
        r = measure(&bench);
    end_all(&bench);
    strv_free(bench.environment);
    free(bench.workers);
    return r < 0 ? 1 : 0;
}
