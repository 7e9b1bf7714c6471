/*
 * master.h - the one long-lived process: owns the event loop, sockets, programs and the configuration.
 *
 * Everything that happens only records and calls master_wake(); one deferred step then does, in this order: the intent
 * (shutdown, or a reload that is wanted), converging the programs that changed, the reload's next step.
 *
 * All sources have the same priority: the loop then serves them in the order in which they became pending, so that no number
 * of workers that flood us keeps the others or a shutdown waiting. The step comes when nothing else is pending, so that what
 * happens together is dealt with together, but within 5 ms in any case.
 */
#pragma once

#include "base/macros.h"
#include "config/config.h"
#include "master/event.h"
#include "master/followers.h"
#include "master/inquiry.h"
#include "master/intent.h"
#include "master/jobs.h"
#include "master/listener-watch.h"
#include "master/logging.h"
#include "master/probing.h"
#include "master/lookup.h"
#include "master/loop-delay.h"
#include "master/release.h"
#include "master/reload.h"
#include "master/service-manager.h"
#include "master/undo.h"
#include "master/watching.h"
#include "net/listener.h"
#include "net/passed.h"
#include "program/program.h"
#include "worker/reaper.h"

#include <sys/resource.h>
#include <sys/socket.h>
#include <systemd/sd-event.h>

struct master_options {
    const struct config_source
        *source;              /* read again by each reload; borrowed for the master's life */
    char *const *environment; /* what workers inherit; borrowed likewise */
    struct service_environment service;
    struct passed_sockets *passed; /* by whoever started us; what was not passed is bound */
    bool journal;                  /* standard error was the journal when we were started */
    bool outlive_terminal; /* SIGHUP always means reload, even when the terminal is gone */
    bool exit_on_failed_start; /* -d: the first start that fails before all were ready ends the master */
    /* Once: every program that should run is ready. */
    void (*ready)(void *userdata);
    /*
     * Settings that are made true outside of the master, at a reload that changes any: prepare() does all that can fail, given what a reload that
     * is on its way has prepared (or NULL), commit() cannot fail, discard() gets each that was prepared in the end. All or none may be NULL.
     */
    int (*prepare)(const struct config *config, void *other, void *userdata, void **ret,
                   char **ret_error);
    void (*commit)(const struct config *config, void *prepared, void *userdata);
    void (*discard)(void *prepared);
    /* Takes over one end of a connection of the gateway's to the control service. 0 or -errno. NULL: there is no such service. */
    int (*connect)(int fd, const struct ucred *peer, void *userdata);
    void *userdata;
};

enum master_state { MASTER_STARTING, MASTER_RUNNING, MASTER_RELOADING, MASTER_STOPPING };
const char *master_state_to_string(enum master_state state);

struct gateway;
struct hooks;

struct master {
    struct master_options options;
    sd_event *event;
    struct event_bus events;
    struct release release; /* in force */
    struct undo undo;
    char *notify_directory; /* NULL: none was to be had */
    bool made_runtime_directory; /* and so remove it in the end */
    int pid_fd;
    struct rlimit nofile; /* as it was when we were started */
    struct reaper *reaper;
    struct listener_watch *listener_watch;
    struct watching *watching;
    struct logging *logging; /* reloader-log */
    struct probing *probing; /* reloader-probe */
    struct program **programs; /* by priority, then in the order of the file; removed ones until they are empty */
    size_t n_programs;
    uint64_t next_worker_id;
    unsigned starts_left; /* in this step */
    uint64_t started_usec; /* monotonic */
    struct intent intent;
    struct reload reload;
    struct jobs jobs;
    struct followers followers;
    struct inquiries inquiries;
    struct lookup lookup;
    struct hooks *hooks;
    struct gateway *gateway; /* NULL before it was made, and when the master is on its way out */
    struct service_manager *service; /* NULL: we are no service of its kind */
    sd_event_source *step_at_rest, *step_in_time;
    sd_event_source *log_rotated;
    bool awake; /* the step is due */
    uint64_t awake_usec; /* monotonic: since when */
    struct loop_delay loop_delay;
    bool gives_back; /* something large is over: memory_give_back() at the step's end */
    sd_event_source *signals[10];
    size_t n_signals;
    int terminal_fd; /* the controlling terminal it was started on; -1: none */
    bool was_ready;
    int exit_code;
};

/*
 * Makes the master and everything it owns, binds the sockets, starts no worker. Signals must be blocked already. A reference to
 * `config` is taken. 0 or -errno with *ret_error (malloc-ed, one line).
 */
int master_new(const struct master_options *options, struct config *config, struct master **ret,
               char **ret_error);
/* Kills what is left, closes, unlinks. */
struct master *master_free(struct master *master);
DEFINE_FREEP(struct master *, master_free)

/* Starts the workers; from here on the event loop does the rest. */
void master_start(struct master *master);

/* 0 and the id of the reload that will take what is asked for now, -ESHUTDOWN or -ENOMEM. cause->path is copied. */
int master_reload(struct master *master, const struct reload_wish *wish,
                  const struct reload_cause *cause, uint64_t *ret_id);
void master_shutdown(struct master *master, bool force);

void master_wake(struct master *master);
enum master_state master_get_state(const struct master *master);

/* For the layers of the master itself: */

int master_add_signals(struct master *master);
/* Sends new clients of a program with a socket for each slot to slots that are ready, and closes the sockets of slots that are gone. */
void master_steer(struct master *master);
/* How many clients wait at the sockets that a slot does not share; false: it has none. */
bool master_slot_queue(const struct master *master, const struct program *program, unsigned slot,
                       unsigned *ret_waiting);
/* Enough descriptors for a configuration, as far as the limit goes. */
void master_raise_nofile(const struct config *config);
/* `journal`: standard error was the journal when we were started. */
int master_apply_log(const struct config *config, bool journal, char **ret_error);
/* Whenever its file is rotated reloader-log is told, from now until master_unwatch_log(). */
int master_watch_log(struct master *master);
void master_unwatch_log(struct master *master);
/* Would its file be opened? Makes none. */
int master_try_log(const struct config *config, char **ret_error);
