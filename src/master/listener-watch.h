/* listener-watch.h - listeners that workers shut down listen again at once. */
#pragma once

#include "base/log.h"
#include "base/macros.h"
#include "net/listener.h"

struct master;
struct listener_watch;

/* To be freed after the listeners, and before the master's event loop. 0 or -errno. */
int listener_watch_new(struct master *master, struct listener_watch **ret);
struct listener_watch *listener_watch_free(struct listener_watch *watch);
DEFINE_FREEP(struct listener_watch *, listener_watch_free)

/* All sockets that it has now; those that are watched already stay so. 0 or -errno. */
int listener_watch_add(struct listener_watch *watch, struct listener *listener);

/* Logs what listener_restore() returned, of a worker or of whoever it was. */
void listener_tell(struct log_subject subject, const struct listener *listener, int r);
