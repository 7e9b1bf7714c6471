/*
 * fake-master.h - a master that only pretends: the control socket's ops with canned answers, for tests of the control socket
 * and of reloaderctl.
 */
#pragma once

#include "control/control.h"

struct fake_master {
    sd_event *event;
    struct control *control;
    uint64_t sequence;
    uint64_t reload_id;      /* of the newest reload */
    json_t *result;          /* of the newest reload, once it has ended */
    json_t *message;         /* that was sent last */
    bool refuse_reload;      /* -ESHUTDOWN */
    bool end_reload_at_once; /* inside the call, as a refused one does */
    bool huge_status;        /* of about 2 MB */
    bool not_ready;          /* status: a slot is FATAL */
    uint64_t inquiry, forgotten; /* the newest one of Why, and the last that was forgotten */
    int input_fd;            /* of web:0, to be written to; 0: it has none */
    unsigned shutdowns, forced;
    void (*on_reload)(struct fake_master *fake); /* may be NULL */
    void (*on_shutdown)(struct fake_master *fake);
};

/* Serves `path` with these time-outs (0: the defaults) on a new event loop. Aborts if that fails. */
void fake_master_start(struct fake_master *fake, const char *path, uint64_t message_timeout_usec,
                       uint64_t idle_timeout_usec);
void fake_master_stop(struct fake_master *fake);

/* Publishes json_pack(format, …); "time_usec" is added. */
void fake_master_publish(struct fake_master *fake, const char *type, const char *format, ...);

/* Ends the newest reload. reason may be NULL. */
void fake_master_end_reload(struct fake_master *fake, const char *result, const char *reason);

extern const struct control_ops fake_master_ops;
