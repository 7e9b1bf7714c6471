/*
 * load.h - what all kinds of load share, and how one looks from outside.
 *
 * A mode (echo, who, http, streams, udp) starts its work when it is due, whatever became of the work before: the loop is
 * open (but for the windows). After a stop it starts nothing more and finishes what is open.
 */
#pragma once

#include "loadgen/loop.h"
#include "loadgen/outcome.h"
#include "loadgen/pattern.h"
#include "loadgen/servers.h"
#include "loadgen/target.h"

#include <jansson.h>

struct options {
    const char *target;
    uint64_t sources;
    uint64_t seed;
    uint64_t timeout_usec;  /* for one request, and for a stream's silence */
    uint64_t duration_usec; /* USEC_INFINITY: until a signal or end-of-file on stdin */
    uint64_t finish_usec;   /* after the end, for what is open */
    bool stop_on_eof;

    uint64_t request_window;
    uint64_t echo_rate, echo_bytes;
    uint64_t who_rate;
    uint64_t http_rate, http_keep_alive;
    const char *http_path, *http_identity, *http_body;
    uint64_t streams, stream_bytes;
    uint64_t stream_interval_usec, stream_linger_usec;
    bool stream_reopen;
    uint64_t udp_rate, udp_flows, udp_bytes, udp_window;
};

struct load {
    const struct options *options;
    struct loop loop;
    struct target target;
    struct pattern pattern;
    struct servers servers;
    uint64_t random;
    uint64_t began_usec;
    uint64_t ends_usec; /* USEC_INFINITY: not known yet */
    bool stopping;      /* the end has come */
};

struct mode {
    const char *name; /* in the report */
    const struct mode_ops *ops;
    struct load *load;
    struct tally tally;
};

struct mode_ops {
    /* When run() is to be called next; USEC_INFINITY: never. */
    uint64_t (*next_usec)(const struct mode *mode);
    void (*run)(struct mode *mode, uint64_t now_usec);
    /* Nothing open (asked after the stop). */
    bool (*is_idle)(const struct mode *mode);
    /* The load flows. */
    bool (*has_started)(const struct mode *mode);
    /* Counts what is open as timed out: the time to finish is over. */
    void (*give_up)(struct mode *mode, uint64_t now_usec);
    /* Adds what only this mode knows to its part of the report. */
    void (*report)(const struct mode *mode, json_t *report);
    struct mode *(*free)(struct mode *mode);
};

/* NULL if memory is short. */
struct mode *echo_new(struct load *load);
struct mode *who_new(struct load *load);
struct mode *http_new(struct load *load);
struct mode *streams_new(struct load *load);
struct mode *udp_new(struct load *load);

/*
 * The whole report as one JSON object, or NULL if memory is short. Its times count from `began_usec`, which is of the
 * monotonic clock. `modes` ends with NULL.
 */
json_t *report_new(const struct load *load, struct mode *const *modes, uint64_t now_usec);
/* Sets one number of it. */
void report_integer(json_t *object, const char *name, uint64_t value);
/* Every mode did something, and nothing failed. */
bool report_is_good(struct mode *const *modes);
