/*
 * loadgen - open-loop load for echo, HTTP and UDP servers, where every request is accounted for.
 *
 *     main.c        the run: start, stop, finish, report
 *     options.c     the command line
 *     requests.c    requests at a rate; echo.c, who.c, http.c (http-reply.c) say what they are
 *     streams.c     long connections; udp.c flows of datagrams
 *     outcome.c     the classes of ends; histogram.c latencies; servers.c who served; report.c the JSON
 *     loop.c        epoll and a timer; target.c connections; pattern.c payloads
 */
#include "loadgen/load.h"
#include "loadgen/options.h"

#include "base/clock.h"
#include "base/list.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

#define MODES_MAX 5

struct run {
    struct options options;
    struct load load;
    struct mode *modes[MODES_MAX + 1]; /* ends with NULL */
    struct source signals, input;
    bool started_told, stop_wanted;
};

static void on_signal(struct source *source, uint32_t events UNUSED)
{
    struct run *run = LIST_ENTRY(source, struct run, signals);
    struct signalfd_siginfo info;
    if (read(source->fd, &info, sizeof(info)) == (ssize_t)sizeof(info))
        run->stop_wanted = true;
}

static void on_input(struct source *source, uint32_t events UNUSED)
{
    struct run *run = LIST_ENTRY(source, struct run, input);
    char ignored[4096];
    if (read(source->fd, ignored, sizeof(ignored)) > 0)
        return;
    loop_unwatch(&run->load.loop, source);
    run->stop_wanted = true;
}

static int open_controls(struct run *run)
{
    sigset_t signals;
    (void)sigemptyset(&signals);
    (void)sigaddset(&signals, SIGTERM);
    (void)sigaddset(&signals, SIGINT);
    if (sigprocmask(SIG_BLOCK, &signals, NULL) < 0)
        return -errno;
    run->signals = (struct source){.fd = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK),
                                   .ready = on_signal};
    if (run->signals.fd < 0)
        return -errno;
    int r = loop_watch(&run->load.loop, &run->signals, EPOLLIN);
    run->input = (struct source){.fd = STDIN_FILENO, .ready = on_input};
    if (r == 0 && run->options.stop_on_eof)
        r = loop_watch(&run->load.loop, &run->input, EPOLLIN);
    return r;
}

/* Many connections are open at once under a slow server: as many as we may have. */
static void raise_fd_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return;
    limit.rlim_cur = limit.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &limit);
}

static int open_modes(struct run *run)
{
    const struct {
        uint64_t wanted;
        struct mode *(*new)(struct load *load);
    } kinds[MODES_MAX] = {
        {run->options.echo_rate, echo_new}, {run->options.who_rate, who_new},
        {run->options.http_rate, http_new}, {run->options.streams, streams_new},
        {run->options.udp_rate, udp_new},
    };
    size_t n = 0;
    for (size_t i = 0; i < MODES_MAX; i++) {
        if (kinds[i].wanted == 0)
            continue;
        run->modes[n] = kinds[i].new(&run->load);
        if (!run->modes[n])
            return -ENOMEM;
        run->modes[n++]->tally.began_usec = run->load.began_usec;
    }
    return 0;
}

static uint64_t end_usec(uint64_t begin, uint64_t duration)
{
    return duration > USEC_INFINITY - begin ? USEC_INFINITY : begin + duration;
}

static int open_run(struct run *run)
{
    raise_fd_limit();
    int r = loop_open(&run->load.loop);
    if (r < 0)
        return r;
    r = open_controls(run);
    if (r < 0)
        return r;
    pattern_init(&run->load.pattern, run->options.seed);
    run->load.random = run->options.seed | 1;
    run->load.began_usec = clock_monotonic_usec();
    run->load.ends_usec = end_usec(run->load.began_usec, run->options.duration_usec);
    return open_modes(run);
}

static void tell_started(struct run *run)
{
    for (struct mode **mode = run->modes; *mode; mode++)
        if (!(*mode)->ops->has_started(*mode))
            return;
    (void)fputs("loadgen: started\n", stderr);
    run->started_told = true;
}

static bool is_idle(const struct run *run)
{
    for (struct mode *const *mode = run->modes; *mode; mode++)
        if (!(*mode)->ops->is_idle(*mode))
            return false;
    return true;
}

/* The next time something is due. */
static uint64_t next_usec(const struct run *run)
{
    uint64_t next = run->load.ends_usec;
    if (run->load.stopping)
        next = end_usec(next, run->options.finish_usec);
    for (struct mode *const *mode = run->modes; *mode; mode++)
        next = MIN(next, (*mode)->ops->next_usec(*mode));
    return next;
}

/* One round; false at the end of the run. */
static bool step(struct run *run)
{
    uint64_t now = clock_monotonic_usec();
    if (run->stop_wanted)
        run->load.ends_usec = MIN(run->load.ends_usec, now);
    run->load.stopping = now >= run->load.ends_usec;
    for (struct mode **mode = run->modes; *mode; mode++)
        if ((*mode)->ops->next_usec(*mode) <= now || run->load.stopping)
            (*mode)->ops->run(*mode, now);
    if (!run->started_told)
        tell_started(run);
    if (!run->load.stopping)
        return true;
    return !is_idle(run) && now < end_usec(run->load.ends_usec, run->options.finish_usec);
}

static int do_run(struct run *run)
{
    int r = 0;
    while (r == 0 && step(run))
        r = loop_wait(&run->load.loop, next_usec(run));
    for (struct mode **mode = run->modes; *mode; mode++)
        (*mode)->ops->give_up(*mode, clock_monotonic_usec());
    return r;
}

static int print_report(const struct run *run)
{
    json_t *report = report_new(&run->load, run->modes, clock_monotonic_usec());
    int r = json_dumpf(report, stdout, JSON_INDENT(2) | JSON_ENSURE_ASCII | JSON_REAL_PRECISION(6));
    json_decref(report);
    return r == 0 && fputs("\n", stdout) >= 0 && fflush(stdout) == 0 ? 0 : -EIO;
}

static void close_run(struct run *run)
{
    for (struct mode **mode = run->modes; *mode; mode++)
        *mode = (*mode)->ops->free(*mode);
    servers_clear(&run->load.servers);
    loop_drop(&run->load.loop, &run->signals);
    loop_close(&run->load.loop);
}

int main(int argc, char **argv)
{
    static struct run run = {.signals.fd = -1};
    int r = options_parse(argc, argv, &run.options);
    if (r <= 0)
        return r < 0 ? 2 : 0;
    run.load.options = &run.options;
    const char *reason = NULL;
    if (target_parse(run.options.target, (unsigned)run.options.sources, &run.load.target, &reason) <
        0) {
        (void)fprintf(stderr, "loadgen: --target %s: %s\n", run.options.target, reason);
        return 2;
    }
    if (run.options.udp_rate > 0 && run.load.target.address.socket.generic.sa_family == AF_UNIX) {
        (void)fprintf(stderr, "loadgen: --udp-rate needs an IP address as --target\n");
        return 2;
    }
    r = open_run(&run);
    if (r == 0)
        r = do_run(&run);
    if (r == 0)
        r = print_report(&run);
    if (r < 0)
        (void)fprintf(stderr, "loadgen: %s\n", strerror(-r));
    bool good = r == 0 && report_is_good(run.modes);
    close_run(&run);
    return good ? 0 : 1;
}
