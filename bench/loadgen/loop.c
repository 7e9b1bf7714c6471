/*
 * loop.c - the timer is a timerfd: epoll's own timeout knows milliseconds only, and an open loop of 2,000 requests a
 * second has two of them in each.
 */
#include "loadgen/loop.h"

#include "base/fd.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>

#define EVENTS_MAX 256

int loop_open(struct loop *loop)
{
    loop->timer_fd = -1;
    loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (loop->epoll_fd < 0)
        return -errno;
    loop->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    struct epoll_event event = {.events = EPOLLIN | EPOLLET};
    if (loop->timer_fd < 0 || epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, loop->timer_fd, &event) < 0)
        return -errno;
    return 0;
}

void loop_close(struct loop *loop)
{
    loop->timer_fd = fd_close(loop->timer_fd);
    loop->epoll_fd = fd_close(loop->epoll_fd);
}

int loop_watch(struct loop *loop, struct source *source, uint32_t events)
{
    if (source->known && source->watched == events)
        return 0;
    struct epoll_event event = {.events = events, .data.ptr = source};
    if (epoll_ctl(loop->epoll_fd, source->known ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, source->fd,
                  &event) < 0)
        return -errno;
    source->known = true;
    source->watched = events;
    return 0;
}

void loop_unwatch(struct loop *loop, struct source *source)
{
    if (source->known)
        (void)epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, source->fd, NULL);
    source->known = false;
    source->watched = 0;
}

void loop_drop(struct loop *loop, struct source *source)
{
    loop_unwatch(loop, source);
    source->fd = fd_close(source->fd);
}

static int set_timer(struct loop *loop, uint64_t until_usec)
{
    /* All zero would stop the timer: what is long due is due at the first nanosecond of the clock. */
    const struct itimerspec timer = {
        .it_value.tv_sec = (time_t)(until_usec / USEC_PER_SEC),
        .it_value.tv_nsec = (long)(until_usec % USEC_PER_SEC * NSEC_PER_USEC + 1),
    };
    return timerfd_settime(loop->timer_fd, TFD_TIMER_ABSTIME, &timer, NULL) < 0 ? -errno : 0;
}

int loop_wait(struct loop *loop, uint64_t until_usec)
{
    struct epoll_event events[EVENTS_MAX];
    int r = set_timer(loop, until_usec);
    if (r < 0)
        return r;
    int n = epoll_wait(loop->epoll_fd, events, EVENTS_MAX, -1);
    if (n < 0)
        return errno == EINTR ? 0 : -errno;
    for (int i = 0; i < n; i++) {
        struct source *source = events[i].data.ptr;
        if (source)
            source->ready(source, events[i].events);
    }
    return 0;
}
