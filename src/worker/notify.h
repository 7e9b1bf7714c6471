/*
 * notify.h - one worker's NOTIFY_SOCKET: the datagrams of sd_notify(3).
 *
 * Each worker has a socket of its own, in the runtime directory or an abstract one, so it is known who is meant; who writes is told by the kernel
 * (SCM_CREDENTIALS) and must be the worker's process group or a descendant. Descriptors that come along are closed, which is
 * also the answer that BARRIER=1 waits for. Reading is throttled, datagrams are at most 4 KiB.
 */
#pragma once

#include "base/macros.h"

#include <stdbool.h>
#include <sys/types.h>
#include <systemd/sd-event.h>

#define NOTIFY_DATAGRAM_MAX ((size_t)4096)

struct notify_message {
    bool ready, stopping;
    pid_t main_pid; /* who is to be the worker from now on; 0: not said */
    const char *status;           /* NULL: not said. Valid during the call */
    uint64_t extend_timeout_usec; /* 0: not said */
    bool alive, trigger;          /* WATCHDOG=1, WATCHDOG=trigger */
    bool sets_watchdog;           /* WATCHDOG_USEC=, which is: */
    uint64_t watchdog_usec;
};

/* Takes a datagram apart (NUL-terminated, changed in place). Unknown assignments are skipped. Pure. */
void notify_parse(char *datagram, struct notify_message *ret);

struct notify_ops {
    /* The notify object must not be freed in here. */
    void (*received)(const struct notify_message *message, void *userdata);
};

struct notify;

/*
 * Binds DIRECTORY/NAME; with no directory (NULL) an abstract name that the kernel chooses, which anybody in the network namespace may
 * write to, believed or not. `worker` (borrowed) is how log lines call the worker.
 */
int notify_new(sd_event *event, const char *directory, const char *name, const char *worker,
               const struct notify_ops *ops, void *userdata, struct notify **ret);
struct notify *notify_free(struct notify *notify);
DEFINE_FREEP(struct notify *, notify_free)

/* NOTIFY_SOCKET: a path, or "@name". Borrowed. */
const char *notify_path(const struct notify *notify);

/* Whose datagrams count; before it is told, none do. */
void notify_set_leader(struct notify *notify, pid_t leader);

/* Reads what a worker that is gone has left behind, bounded. */
void notify_read_rest(struct notify *notify);
