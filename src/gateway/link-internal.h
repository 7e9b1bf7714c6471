/* link-internal.h - what link.c and link-status.c share. */
#pragma once

#include "base/list.h"
#include "gateway/link-connection.h"

struct call_list {
    struct list calls;
    unsigned n;
};

struct lane;

struct link_call {
    struct list in_list;
    struct call_list *list; /* NULL: it is on its way in `lane` */
    struct lane *lane;
    link_handler handler;
    void *userdata;
    unsigned flags;
    bool connects; /* ours: a Connect, for a call that waits for a lane */
    uint64_t deadline_usec;
    char *text; /* until it is sent */
    size_t size;
    /* Its reply, when that is known and only has to be told. */
    bool failed;
    char *error; /* NULL, though it failed: there was no memory for it */
    json_t *parameters;
};

/* Its waiters are of one of two kinds: for the one that was asked for, or for the next one. */
struct shared_status {
    struct call_list waiting, later;
    json_t *answer;
    bool asked; /* … and not answered */
    bool good;  /* for who asks now */
    uint64_t asked_usec;
    sd_event_source *timer;
};

struct link {
    sd_event *event;
    struct lane *first;       /* of short calls; NULL: there is no master any more */
    struct list lanes;        /* others */
    unsigned n_lanes;         /* of them */
    unsigned n_connecting;    /* how many are asked for */
    struct call_list queue;   /* short calls, the oldest first */
    struct call_list waiting; /* calls for a lane of their own */
    struct call_list settled; /* to be told of their reply in the next turn of the loop */
    sd_event_source *tell, *deadline;
    uint64_t answer_usec; /* LINK_ANSWER_USEC, but for tests */
    void (*down)(void *userdata);
    void *down_userdata;
    struct shared_status status;
};

/* In no list; NULL: no memory. */
struct link_call *link_call_new(link_handler handler, void *userdata);
/* Takes it out of its list. */
struct link_call *link_call_free(struct link_call *call);
DEFINE_FREEP(struct link_call *, link_call_free)
void link_call_append(struct call_list *list, struct link_call *call);
void link_call_remove(struct link_call *call);
/* NULL: there is none. */
struct link_call *link_call_first(const struct call_list *list);
struct link_call *link_call_pop(struct call_list *list);
void link_call_list_clear(struct call_list *list);

/* A call that is in no list: its reply will be told, unless it is cancelled. `parameters` are borrowed, NULL: none. */
void link_settle(struct link *link, struct link_call *call, const char *error, json_t *parameters);

/* First of all, and cannot fail. */
void link_status_init(struct link *link);
int link_status_setup(struct link *link);
void link_status_teardown(struct link *link);
