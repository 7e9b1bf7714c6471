/*
 * worker.h - one worker process, from fork to its last child's end.
 *
 *   STARTING -> READY -> DRAINING -> STOPPING -> GONE     (each may be skipped, none is ever gone back to)
 *
 * STOPPING lasts until the process group is empty; a worker that dies by itself goes there from wherever it was. Every state
 * but READY has a deadline. Handlers only record, set the state and tell the owner by the ops, from inside the event loop;
 * the owner frees a worker later, never from within one of its ops.
 */
#pragma once

#include "base/list.h"
#include "base/log.h"
#include "base/macros.h"
#include "net/listener.h"
#include "worker/generation.h"
#include "worker/output.h"
#include "worker/reaper.h"

#include <jansson.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/resource.h>
#include <sys/types.h>
#include <systemd/sd-event.h>

enum worker_state { WORKER_STARTING, WORKER_READY, WORKER_DRAINING, WORKER_STOPPING, WORKER_GONE };
const char *worker_state_to_string(enum worker_state state);

/* Is a ready worker well, by all that is looked at? */
enum health {
    HEALTH_UNKNOWN, /* it has not shown it yet */
    HEALTH_GOOD,    /* also where nothing is looked at */
    HEALTH_BAD,
};

struct channel;
struct notify;
struct probe;
struct worker;

struct worker_ops {
    /* The state has changed; `reason` is for people. */
    void (*changed)(struct worker *worker, enum worker_state from, const char *reason,
                    void *userdata);
    /* The leader has exited (worker->exit); its group may still hold others. Before this the state became STOPPING. */
    void (*exited)(struct worker *worker, void *userdata);
    /* Its state's deadline was put off, as it asked. */
    void (*granted)(struct worker *worker, void *userdata);
    /* worker_health() has changed. */
    void (*health)(struct worker *worker, void *userdata);
    /* The application said something of its own. Borrowed. */
    void (*message)(struct worker *worker, json_t *value, void *userdata);
};

struct worker_params {
    sd_event *event;
    struct reaper *reaper;
    struct generation *generation; /* a reference is taken; it has the listeners */
    unsigned slot;
    const char *notify_directory; /* NULL: none is to be had, notify sockets are abstract */
    uint64_t id;                 /* unique in this master */
    const struct rlimit *nofile; /* the limit that the master was started with */
    const struct output_sink *output; /* of programs whose output goes elsewhere than the master's */
    const struct probe_sink *probes;  /* of programs with checks */
    const struct worker_ops *ops;
    void *userdata;
};

/* See health.h. */
struct worker_health {
    enum health watchdog, check;
    bool triggered;         /* it asked for its end */
    uint64_t watchdog_usec; /* 0: off */
    uint64_t alive_usec;    /* monotonic: its last WATCHDOG=1, or when it became ready */
    sd_event_source *timer; /* NULL without a watchdog */
    const struct probe_sink *probes;
    struct probe *probe; /* while one is made */
    unsigned failures;   /* of checks in a row */
    char *text;          /* why it is not well, or what the last check failed with; for people */
};

/* From when on, and why, it is on its way out; also one that died. */
#define WORKER_REASON_SIZE 64
struct worker_leave {
    uint64_t began_usec; /* monotonic; 0: it is not */
    uint64_t reload;     /* the owner's mark: which one made it leave; 0: none */
    char reason[WORKER_REASON_SIZE]; /* the first one, for people */
};

/* More of them get nothing but SIGKILL at the end. */
#define WORKER_STRAYS_MAX 16

struct worker {
    struct list link; /* the owner's, while it is leaving */
    struct reaper *reaper;
    struct generation *generation;
    const struct worker_ops *ops;
    void *userdata;
    uint64_t id;
    unsigned slot;
    char *name; /* "web/0" */

    enum worker_state state;
    uint64_t started_usec, ready_usec, state_usec; /* monotonic; ready_usec 0: never was */
    bool announced;      /* it said that it is ready, time alone did not */
    bool understands;    /* it said hello: it knows graceful_shutdown */
    bool spreads;        /* … and that it ends its connections one by one, as it is told */
    bool asked_to_leave; /* by us; else it died or left by itself */
    bool left_by_itself; /* it drains because it said so, not because we did */
    struct worker_leave leave;
    bool mixed; /* not made of what its generation began with: see pins.h */
    const char *worn; /* the owner's mark: why it is to be replaced; static text, NULL: it is not */
    bool drain_signalled, stop_signalled, killed;
    bool main_pid_refused; /* it was told so */
    bool given_up; /* it did not die of SIGKILL: a shutdown does not wait for it */
    bool exited;
    siginfo_t exit; /* when exited */
    char *failure;  /* why the start failed, when it did not just exit; for people */
    char *status;   /* its own words, or NULL */
    char *reason;   /* why it is in its state; for people. NULL: memory was short */

    pid_t pid;
    int pidfd;
    int input_fd; /* `stdin: pipe`: the end to write to, non-blocking, for others alone; -1: none */
    struct reaper_entry reaping;
    pid_t strays[WORKER_STRAYS_MAX]; /* of kill_mode: tree; those that got the stop_signal */
    unsigned n_strays;
    struct channel *channel;
    struct notify *notify;
    struct worker_health health;
    sd_event_source *exit_source;
    sd_event_source
        *deadline_timer;         /* of the state: start_timeout, disconnect_timeout, stop_timeout */
    sd_event_source *step_timer; /* within a state: ready by time, drain_grace */
    uint64_t deadline_usec;
    bool granted;         /* the deadline is one that it asked for */
    uint64_t spread_usec; /* of a drain's deadline: what is beyond disconnect_timeout */
    bool told_spread;     /* it was told over what time to end its connections */
};

/*
 * By what a drain may last longer than disconnect_timeout, so that the clients of a program do not all come back in one instant.
 * Which of the two counts depends on the worker.
 */
struct worker_spread {
    uint64_t wait_usec; /* its connections end all at once, at the end */
    uint64_t own_usec;  /* it spreads their ends over this time by itself: it is told */
};

/*
 * Forks and execs. 0 and a STARTING worker, or -errno with *ret_error, one line that names the worker, step and reason:
 * "web/0: cannot execute 'nod': No such file or directory" (malloc-ed).
 */
int worker_new(const struct worker_params *params, struct worker **ret, char **ret_error);
/* Frees a worker in any state; one that is not GONE is killed with its group first. */
struct worker *worker_free(struct worker *worker);
DEFINE_FREEP(struct worker *, worker_free)

/*
 * Tells a READY worker to leave when its connections are closed; one that is still STARTING is stopped. Else nothing.
 * `spread` NULL: it has disconnect_timeout and no more.
 */
void worker_drain(struct worker *worker, const char *reason, const struct worker_spread *spread);
/* For one that drains: its drain is not spread any more, and has disconnect_timeout from now on at most. */
void worker_end_spread(struct worker *worker);
/* stop_signal now, SIGKILL after stop_timeout. Nothing for one that is already STOPPING. */
void worker_stop(struct worker *worker, const char *reason);

/* Sends a signal that somebody asks for, and changes nothing here: 0, -ESRCH if nobody is there to get it, or another -errno. */
int worker_signal(struct worker *worker, int signal, bool whole_group);

/*
 * Makes it one of another generation that differs in further sockets alone, and hands it these over its channel. 0, or -errno with
 * *ret_error (malloc-ed): it is what it was.
 */
int worker_adopt(struct worker *worker, struct generation *generation, char **ret_error);

/* By all that is looked at: of one that is READY. */
enum health worker_health(const struct worker *worker);
const char *health_to_string(enum health health);

/* Makes it one of another generation that is made of the very same, and has the same sockets. */
void worker_become(struct worker *worker, struct generation *generation);

/* For log lines about it. Its strings live as long as the worker. */
struct log_subject worker_subject(const struct worker *worker);

/* Has it left unread anything that it was told? */
bool worker_is_deaf(const struct worker *worker);

/* Is it in the way of a successor: told, and its leader alive? */
bool worker_is_leaving(const struct worker *worker);
