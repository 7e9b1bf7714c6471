/*
 * helper.h - a helper process of ours: started when it is needed, talked to by messages (base/message.h), started again when it dies.
 *
 * It finds its end of the socket as fd 3, nothing at stdin and stdout, and leaves when the other end is closed. The executable lies
 * beside our own, as in a build directory, or where it is installed, seen from there.
 */
#pragma once

#include "base/macros.h"
#include "worker/reaper.h"

#include <stdbool.h>
#include <systemd/sd-event.h>

struct helper_ops {
    const char *name; /* of the executable */
    const char *task; /* for people: "checks workers" */
    /* It has just been started, and has been told nothing. */
    void (*started)(void *userdata);
    /* It said something; `fields` as of base/message.h, borrowed. */
    void (*message)(char **fields, void *userdata);
    /* There is room again, after helper_send() said -EAGAIN. */
    void (*room)(void *userdata);
    /* It is gone. True: another one is to be started. */
    bool (*gone)(void *userdata);
};

struct helper {
    const struct helper_ops *ops;
    void *userdata;
    sd_event *event;
    struct reaper *reaper;
    char *executable; /* NULL: not found */
    pid_t pid;        /* 0: none runs */
    int pidfd, socket;
    struct reaper_entry reaping;
    sd_event_source *exit_source, *socket_source, *retry_timer;
    uint64_t started_usec;
    unsigned failures; /* in a row */
    bool waits;        /* for the next try */
    uint64_t deaths;
};

/* Where the executable of that name is (malloc-ed), or NULL. */
char *helper_find(const char *name);

int helper_new(sd_event *event, struct reaper *reaper, const struct helper_ops *ops, void *userdata,
               struct helper **ret);
/* It is killed, and gone afterwards. */
struct helper *helper_free(struct helper *helper);
DEFINE_FREEP(struct helper *, helper_free)

/* It is needed: starts it unless it runs, or waits for the next try. */
void helper_want(struct helper *helper);
/* 0, -EAGAIN (ops->room follows), -EPIPE where none runs, or another -errno. */
int helper_send(struct helper *helper, char *const *fields);
