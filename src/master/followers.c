#include "master/followers.h"

#include "base/lines.h"
#include "base/strv.h"
#include "master/master.h"

#include <errno.h>
#include <string.h>

/* An event costs much more than a line. */
#define EVENTS_PER_SECOND 1000

struct follower {
    struct list link;
    uint64_t id;
    struct target *targets;
    size_t n_targets;
    unsigned streams;
};

void followers_init(struct followers *followers)
{
    *followers = (struct followers){
        .events = {.interval_usec = USEC_PER_SEC, .burst = EVENTS_PER_SECOND}};
    list_init(&followers->list);
}

static void drop(struct follower *follower)
{
    list_remove(&follower->link);
    targets_free(follower->targets, follower->n_targets);
    free(follower);
}

void followers_clear(struct followers *followers)
{
    LIST_FOREACH_SAFE(follower, &followers->list, struct follower, link)
        drop(follower);
}

int followers_add(struct master *master, struct target *targets, size_t n_targets, unsigned streams,
                  uint64_t *ret_id)
{
    struct followers *followers = &master->followers;
    struct follower *follower = malloc(sizeof(*follower));
    if (!follower) {
        targets_free(targets, n_targets);
        return -ENOMEM;
    }
    *follower = (struct follower){.id = ++followers->last_id,
                                  .targets = targets,
                                  .n_targets = n_targets,
                                  .streams = streams};
    list_append(&followers->list, &follower->link);
    logging_taps_changed(master->logging);
    *ret_id = follower->id;
    return 0;
}

void followers_remove(struct master *master, uint64_t id)
{
    LIST_FOREACH_SAFE(follower, &master->followers.list, struct follower, link)
        if (follower->id == id)
            drop(follower);
    logging_taps_changed(master->logging);
}

static bool follows(const struct follower *follower, const struct output_pipe *pipe)
{
    if (!(follower->streams & (1u << pipe->stream)))
        return false;
    for (size_t i = 0; i < follower->n_targets; i++) {
        const struct target *target = &follower->targets[i];
        if ((target->slot < 0 || (unsigned)target->slot == pipe->slot) &&
            strcmp(target->program, pipe->generation->program->name) == 0)
            return true;
    }
    return false;
}

bool followers_want(const struct output_pipe *pipe, void *userdata)
{
    const struct master *master = userdata;
    if (pipe->settings->events)
        return true;
    LIST_FOREACH(follower, &master->followers.list, struct follower, link)
        if (follows(follower, pipe))
            return true;
    return false;
}

static json_t *describe(const struct output_pipe *pipe, const char *text, size_t size,
                        uint64_t missed)
{
    json_t *lines = json_pack(
        "{s:s, s:s, s:I, s:I, s:I, s:s, s:s%}", "program", pipe->generation->program->name, "name",
        pipe->worker, "slot", (json_int_t)pipe->slot, "pid", (json_int_t)pipe->pid, "generation",
        (json_int_t)pipe->generation->number, "stream", output_stream_name(pipe->stream), "text",
        text, size);
    if (lines && missed > 0)
        (void)json_object_set_new(lines, "missed", json_integer((json_int_t)missed));
    return lines;
}

static void publish(struct master *master, const struct output_pipe *pipe, const char *text,
                    uint64_t missed)
{
    size_t left = strlen(text);
    while (left > 0) {
        size_t line = lines_first(text, left);
        unsigned suppressed;
        if (log_limit_pass(&master->followers.events, &suppressed)) {
            event_bus_publish(&master->events, EVENT_LOG,
                              describe(pipe, text, line - 1, missed + suppressed));
            missed = 0;
        }
        text += line;
        left -= line;
    }
}

void followers_tell(const struct output_pipe *pipe, const char *text, uint64_t missed,
                    void *userdata)
{
    struct master *master = userdata;
    CLEANUP_FREE char *clean = strdup(text);
    if (!clean)
        return;
    string_make_utf8(clean);
    if (pipe->settings->events && event_bus_is_heard(&master->events))
        publish(master, pipe, clean, missed);
    json_auto_t *lines = NULL;
    /* One whose connection breaks at this is gone. */
    LIST_FOREACH_SAFE (follower, &master->followers.list, struct follower, link) {
        if (!follows(follower, pipe))
            continue;
        if (!lines)
            lines = describe(pipe, clean, strlen(clean), missed);
        if (lines)
            event_bus_pass(&master->events, follower->id, lines);
    }
}
