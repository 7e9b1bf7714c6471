/*
 * helper.h - a helper process of ours: started when it is needed, talked to by messages (base/message.h), started again when it dies.
 *
 * It finds its end of the socket as fd 3, nothing at stdin and stdout, and leaves when the other end is closed; its side is helper/master-link.h. The
 * executable lies beside our own, as in a build directory, or where it is installed, seen from there.
 *
 * One that is stopped, or hangs, dies to nobody's notice. So it is pinged, and killed when it does not answer; then it is as if it had died.
 */
#pragma once

#include "base/macros.h"
#include "worker/reaper.h"

#include <stdbool.h>
#include <systemd/sd-event.h>

struct helper_ops {
    const char *name;    /* of the executable */
    const char *task;    /* for people: "checks workers" */
    const char *without; /* likewise, what is so while none can be started; NULL: nothing that matters */
    /* One is about to be started: the descriptor (borrowed) that it finds as fd 4, or -errno. NULL: it gets none. */
    int (*prepare)(void *userdata);
    /* It has just been started, and has been told nothing. */
    void (*started)(void *userdata);
    /* It said something; `fields` as of base/message.h, borrowed. */
    void (*message)(char **fields, void *userdata);
    /* What could not be sent may be tried again: there is room, or some time has passed. */
    void (*room)(void *userdata);
    /* It has died: what is lost with it, for people (malloc-ed). NULL, or returns NULL: nothing. */
    char *(*lost)(void *userdata);
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
    sd_event_source *exit_source, *socket_source, *retry_timer, *look_timer;
    uint64_t started_usec;
    unsigned failures; /* in a row */
    bool waits;        /* for the next try */
    bool asked;        /* whether it is there, and it has not answered yet */
    unsigned silent;   /* how many looks it has not answered */
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
/* `pass` (borrowed) goes along unless it is -1. 0, -EPIPE where none runs, -EMSGSIZE, or another -errno, as -EAGAIN: ops->room follows. */
int helper_send(struct helper *helper, char *const *fields, int pass);

/*
 * Before helper_free(), when the event loop has ended: lets it end its work. `farewell` tells it, once more and again until it returns 0: then all was told.
 * Its exit is waited for, all in all for at most `patience_usec`. One that dies is replaced as long as ops->gone() asks for that. 0, or -errno: none
 * could be started.
 */
int helper_finish(struct helper *helper, int (*farewell)(void *userdata), uint64_t patience_usec);
