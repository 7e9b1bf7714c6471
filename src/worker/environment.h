/*
 * environment.h - what a worker finds when it starts: its expanded command line and environment block.
 *
 * Listening sockets are fds 3 to 3+n-1 in the order of the program's `sockets`, the channel is 3+n. Which variables say so
 * is the program's `handoff`; the conventions set together do not collide. With scm-rights alone there are none: the channel
 * is 3, and RELOADER_LISTENERS how many sockets come over it.
 */
#pragma once

#include "base/macros.h"
#include "net/listener.h"
#include "process/spawn.h"
#include "worker/generation.h"

#define WORKER_FIRST_FD 3

/* How many listening sockets it finds among its fds when it starts. */
size_t worker_inherited(const struct config_program *program);

struct worker_place {
    const struct generation *generation;
    unsigned slot;
    const char *notify_path;
};

struct worker_command {
    char **argv;
    char **envp;
    /* Inside envp, behind "LISTEN_PID=" and "WATCHDOG_PID="; NULL where the handoff does not set it, or there is no watchdog. */
    char *pid_texts[SPAWN_PID_TEXTS];
};

/* "web/0": `worker_name` expanded. 0 or -errno with *ret_error. */
int worker_make_name(const struct generation *generation, unsigned slot, char **ret,
                     char **ret_error);

/* `directory` expanded. Likewise. */
int worker_make_directory(const struct generation *generation, unsigned slot, char **ret,
                          char **ret_error);

/* `path` of stdout or stderr expanded; it is set. Likewise. */
int worker_make_output_path(const struct generation *generation, unsigned slot,
                            enum config_stream stream, char **ret, char **ret_error);

/* The target of a check, which is the value of `key`. Likewise. */
int worker_make_check_target(const struct generation *generation, unsigned slot, const char *key,
                             const char *text, char **ret, char **ret_error);

/* 0, or -errno with *ret_error, one line that names the key that cannot be expanded (malloc-ed). */
int worker_make_command(const struct worker_place *place, struct worker_command *ret,
                        char **ret_error);

/* A command of the program that is no worker. */
struct oneshot_command {
    const char *name;   /* what messages call it: "check_command". Static text */
    const char *key;    /* where it is configured: "reload.check_command". Likewise */
    char *const *words; /* expansions still in them */
    const char *event;  /* RELOADER_EVENT; NULL: there is none */
};

/* The same for such a one: without sockets, channel and slot. */
int worker_make_oneshot(const struct generation *generation, const struct oneshot_command *oneshot,
                        struct worker_command *ret, char **ret_error);
void worker_command_clear(struct worker_command *command);
