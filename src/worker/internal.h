/* internal.h - what worker.c (states, events, start and end) and leave.c (drain, stop, kill) share. */
#pragma once

#include "worker/worker.h"

static inline const struct config_program *worker_settings(const struct worker *worker)
{
    return worker->generation->program;
}

/* worker.c */
/* For one that is STARTING; else nothing. */
void worker_become_ready(struct worker *worker, const char *reason);
/* The only writer of the state: drops the timers that mean nothing any more and tells the owner. */
void worker_set_state(struct worker *worker, enum worker_state state, const char *reason);
void worker_set_deadline(struct worker *worker, uint64_t usec_from_now);
void worker_timer_arm(sd_event_source *timer, uint64_t usec);

/* leave.c */
void worker_send_drain_signal(struct worker *worker);
/* stop_signal, and the deadline after which worker_end_stop() is due. */
void worker_send_stop_signal(struct worker *worker);
/* The leader got it and is gone: now the others of its group, unless they had it as well, within the same deadline. */
void worker_tell_rest_to_stop(struct worker *worker);
void worker_kill(struct worker *worker);
/* One that has left its group lives on: see reaper.h. userdata: the worker. */
void worker_found_stray(pid_t pid, const char *process, bool stays, void *userdata);
/* outlived.c: others of its group are still there, though its leader is gone: see reaper.h. userdata: the worker. */
void worker_outlived(pid_t member, size_t n_members, void *userdata);
/* The deadlines of DRAINING and STOPPING have come. */
void worker_end_drain(struct worker *worker);
void worker_end_stop(struct worker *worker);
