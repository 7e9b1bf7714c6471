#include "master/lookup.h"

#include "base/clock.h"
#include "base/log.h"
#include "config/names.h"

#include <errno.h>
#include <sys/epoll.h>

int lookup_init(struct lookup *lookup, void (*done)(void *userdata), void *userdata)
{
    *lookup = (struct lookup){.names = names_new("/etc"), .done = done, .userdata = userdata};
    return lookup->names ? 0 : -ENOMEM;
}

static void stop_waiting(struct lookup *lookup)
{
    lookup->answers = sd_event_source_disable_unref(lookup->answers);
    lookup->patience = sd_event_source_disable_unref(lookup->patience);
}

void lookup_clear(struct lookup *lookup)
{
    stop_waiting(lookup);
    lookup->names = names_free(lookup->names);
}

bool lookup_is_asking(const struct lookup *lookup)
{
    return lookup->answers != NULL;
}

struct names *lookup_names(struct lookup *lookup)
{
    if (!lookup->answered && !lookup_is_asking(lookup))
        names_forget(lookup->names);
    lookup->answered = false;
    return lookup->names;
}

static void finish(struct lookup *lookup)
{
    stop_waiting(lookup);
    lookup->answered = true;
    lookup->done(lookup->userdata);
}

static int on_answer(sd_event_source *source UNUSED, int fd UNUSED, uint32_t revents UNUSED,
                     void *userdata)
{
    struct lookup *lookup = userdata;
    if (names_receive(lookup->names))
        finish(lookup);
    else
        (void)sd_event_source_set_time(lookup->patience,
                                       clock_monotonic_usec() + NAMES_PATIENCE_USEC);
    return 0;
}

static int on_silence(sd_event_source *source UNUSED, uint64_t now UNUSED, void *userdata)
{
    struct lookup *lookup = userdata;
    log_warning("the directory service (NSS) does not answer; giving up on it");
    names_give_up(lookup->names);
    finish(lookup);
    return 0;
}

int lookup_ask(struct lookup *lookup, sd_event *event)
{
    int fd;
    if (lookup_is_asking(lookup))
        return 0;
    if (!names_are_wanted(lookup->names))
        return -ENOENT;
    int r = names_ask(lookup->names, &fd);
    if (r == 0)
        r = sd_event_add_io(event, &lookup->answers, fd, EPOLLIN, on_answer, lookup);
    if (r >= 0)
        r = sd_event_add_time(event, &lookup->patience, CLOCK_MONOTONIC,
                              clock_monotonic_usec() + NAMES_PATIENCE_USEC, 100 * USEC_PER_MSEC,
                              on_silence, lookup);
    if (r < 0) {
        /* That is the answer then; whoever looks again reads it. */
        names_give_up(lookup->names);
        finish(lookup);
        return 0;
    }
    (void)sd_event_source_set_description(lookup->answers, "lookup-answers");
    (void)sd_event_source_set_description(lookup->patience, "lookup-patience");
    log_info("asking the directory service (NSS) for users and groups that /etc does not know");
    return 0;
}
