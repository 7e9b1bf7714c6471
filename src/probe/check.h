/* check.h - one check, made again and again at its interval. Each time over a connection of its own. */
#pragma once

#include "base/list.h"
#include "base/macros.h"
#include "probe/report.h"
#include "probe/target.h"
#include "probe/transfers.h"

struct check_params {
    uint64_t number;
    struct target target; /* taken over */
    uint64_t interval_usec, timeout_usec;
    bool counts; /* see report.h */
    /* Something that the master is to be told; false: it could not be, so it is news the next time, too. The check must not be freed in here. */
    bool (*result)(uint64_t number, bool good, const char *text, void *userdata);
    /* It could not be made: we lack descriptors or memory, and of the worker nothing is known. Once for a row of these, if it could be
     * told. */
    bool (*unmade)(uint64_t number, const char *why, void *userdata);
    void *userdata;
};

struct check {
    struct list link; /* the owner's */
    struct check_params params;
    struct transfers *transfers;
    sd_event_source *timer;
    CURL *easy; /* NULL: none is under way */
    uint64_t began_usec;
    size_t received;
    int shortage; /* errno of a socket that there was not; 0: none */
    bool told_unmade;
    struct report report;
    char error[CURL_ERROR_SIZE];
};

/* The first one is made at once. `target` is taken over in any case. */
int check_new(sd_event *event, struct transfers *transfers, const struct check_params *params,
              struct check **ret);
struct check *check_free(struct check *check);
DEFINE_FREEP(struct check *, check_free)

/* For the transfers: `userdata` is a check. */
void check_ended(void *userdata, CURL *easy, CURLcode result);

/* Is this status an answer of somebody who is well? Pure. */
bool check_is_good_status(long status);
