/*
 * A socket that a worker shuts down listens again at once, not only when that worker is gone: until then clients are refused.
 *
 * The sockets are in an epoll of their own that asks for nothing. So it tells hang-ups alone, which a listening socket has when
 * it was shut down, and the kernel sorts out connections before anybody is woken. Edge-triggered: what cannot listen again is told
 * of once. A worker that does it again and again gets a bounded part of our time.
 */
#include "master/master.h"

#include "base/fd.h"
#include "base/log.h"
#include "master/known.h"
#include "worker/throttle.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>

#define RESTORES_PER_WINDOW 5
#define DRAIN_MAX           64

struct listener_watch {
    struct master *master;
    int epoll_fd;
    sd_event_source *source;
    struct throttle throttle;
};

void listener_tell(struct log_subject subject, const struct listener *listener, int r)
{
    const char *who = subject.worker ? "it" : "a worker";
    if (r == -ESHUTDOWN)
        log_about(subject, LOG_LEVEL_ERROR,
                  "%s shut down socket '%s' for all who share it; a Unix socket cannot listen "
                  "again, and connections are refused: restart reloader, and let a server that "
                  "leaves close it instead",
                  who, listener->name);
    else if (r < 0)
        log_about(subject, LOG_LEVEL_ERROR,
                  "%s shut down socket '%s' for all who share it, and it cannot listen again: %s; "
                  "connections are refused until it can",
                  who, listener->name, strerror(-r));
    else if (r > 0)
        log_about(subject, LOG_LEVEL_WARNING,
                  "%s shut down socket '%s' for all who share it, and connections were refused "
                  "until now: a server that leaves should close it instead",
                  who, listener->name);
}

static bool has_listener(const struct program *program, const struct listener *listener)
{
    return !program->stopping && known_is_of(listener, program);
}

/* The kernel does not say who it was. Servers do it when they leave: if just one is leaving, it was that one. */
static struct log_subject find_culprit(const struct master *master, const struct listener *listener,
                                       unsigned slot)
{
    struct log_subject found = {0};
    size_t leaving = 0;
    for (size_t i = 0; i < master->n_programs; i++) {
        const struct program *program = master->programs[i];
        if (!has_listener(program, listener))
            continue;
        if (leaving == 0)
            found = program_subject(program);
        for (size_t j = 0; j < program->n_slots; j++) {
            if (listener->n_sockets > 1 && j != slot)
                continue;
            LIST_FOREACH (worker, &program->slots[j]->leaving, struct worker, link)
                if (worker->state != WORKER_GONE && leaving++ == 0)
                    found = worker_subject(worker);
        }
    }
    return leaving == 1 ? found : (struct log_subject){.program = found.program};
}

static void restore_all(struct master *master)
{
    CLEANUP_KNOWN struct known known = {0};
    if (known_collect(master, &known) < 0)
        return;
    for (size_t i = 0; i < known.n; i++) {
        struct listener *listener = known.list[i].listener;
        for (unsigned slot = 0; slot < listener->n_sockets; slot++) {
            int r = listener_restore(listener, slot);
            if (r != 0)
                listener_tell(find_culprit(master, listener, slot), listener, r);
        }
    }
    master_wake(master);
}

static int on_hang_up(sd_event_source *source, int fd, uint32_t events UNUSED, void *userdata)
{
    struct listener_watch *watch = userdata;
    struct epoll_event hung_up[DRAIN_MAX];
    if (epoll_wait(fd, hung_up, DRAIN_MAX, 0) <= 0)
        return 0;
    if (!throttle_spend(&watch->throttle, 1))
        (void)sd_event_source_set_enabled(source, SD_EVENT_OFF);
    restore_all(watch->master);
    return 0;
}

static int on_window_over(sd_event_source *timer UNUSED, uint64_t now UNUSED, void *userdata)
{
    const struct listener_watch *watch = userdata;
    (void)sd_event_source_set_enabled(watch->source, SD_EVENT_ON);
    return 0;
}

struct listener_watch *listener_watch_free(struct listener_watch *watch)
{
    if (!watch)
        return NULL;
    (void)sd_event_source_disable_unref(watch->source);
    throttle_clear(&watch->throttle);
    (void)fd_close(watch->epoll_fd);
    free(watch);
    return NULL;
}

int listener_watch_new(struct master *master, struct listener_watch **ret)
{
    CLEANUP(listener_watch_freep) struct listener_watch *watch = calloc(1, sizeof(*watch));
    if (!watch)
        return -ENOMEM;
    watch->master = master;
    watch->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (watch->epoll_fd < 0)
        return -errno;
    int r = sd_event_add_io(master->event, &watch->source, watch->epoll_fd, EPOLLIN, on_hang_up,
                            watch);
    if (r >= 0)
        r = throttle_init(&watch->throttle, master->event, RESTORES_PER_WINDOW, on_window_over,
                          watch);
    if (r < 0)
        return r;
    (void)sd_event_source_set_description(watch->source, "listeners");
    *ret = TAKE_PTR(watch);
    return 0;
}

int listener_watch_add(struct listener_watch *watch, struct listener *listener)
{
    int r = 0;
    for (size_t i = 0; r == 0 && i < listener->n_sockets; i++)
        r = listener_socket_watch(listener->sockets[i], watch->epoll_fd);
    return r;
}
