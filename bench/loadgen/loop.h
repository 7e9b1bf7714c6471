/* loop.h - one epoll, one timer: who waits for an fd, and until when the whole waits at most. */
#pragma once

#include "base/macros.h"

#include <stdbool.h>

/* Embedded in what waits. `ready` may free its own owner, and no other one's. */
struct source {
    int fd;
    uint32_t watched; /* what the epoll knows; 0 before loop_watch() */
    bool known;
    void (*ready)(struct source *source, uint32_t events);
};

struct loop {
    int epoll_fd, timer_fd;
};

/* 0 or -errno. */
int loop_open(struct loop *loop);
void loop_close(struct loop *loop);

/* Adds the source or changes what it waits for (EPOLLIN …; errors are always told). 0 or -errno. */
int loop_watch(struct loop *loop, struct source *source, uint32_t events);
/* Takes it out of the epoll; even its errors are not told any more. */
void loop_unwatch(struct loop *loop, struct source *source);
/* Takes it out and closes its fd. */
void loop_drop(struct loop *loop, struct source *source);

/* Waits until something is ready or it is `until_usec` on the monotonic clock, and calls who is ready. 0 or -errno. */
int loop_wait(struct loop *loop, uint64_t until_usec);
