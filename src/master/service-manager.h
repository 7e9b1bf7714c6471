/*
 * service-manager.h - tells the service manager (systemd, Type=notify) what the master is up to, as sd_notify(3) would: READY,
 * RELOADING, STOPPING, STATUS, EXTEND_TIMEOUT_USEC, WATCHDOG.
 *
 * Looked at after each of the master's steps; only what changed is sent. Without a NOTIFY_SOCKET there is no such object.
 */
#pragma once

#include "base/macros.h"

#include <stdbool.h>

struct master;

/* What it said to the process that was started. Strings are borrowed. */
struct service_environment {
    const char *socket;     /* NOTIFY_SOCKET: a path, or @name; NULL: nobody listens */
    uint64_t watchdog_usec; /* 0: none is expected of us */
    bool forked;            /* we are another process since: it has to be told which */
};

/* Before a fork: WATCHDOG_PID names who was started. */
struct service_environment service_environment_get(void);

struct service_manager;

/* 0 and *ret, which stays NULL where there is no socket; or -errno. */
int service_manager_new(struct master *master, const struct service_environment *environment,
                        struct service_manager **ret);
struct service_manager *service_manager_free(struct service_manager *manager);

/* Tells what changed. NULL: nothing to do. */
void service_manager_update(struct service_manager *manager);
