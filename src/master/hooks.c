#include "master/hooks.h"

#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/sealed-file.h"
#include "base/strv.h"
#include "master/hook-queue.h"
#include "master/master.h"
#include "master/programs.h"
#include "worker/oneshot.h"

#include <errno.h>
#include <string.h>

#define HOOK_LIMIT_USEC  (60 * USEC_PER_SEC)
#define LINGER_USEC      (5 * USEC_PER_SEC)
#define TELL_USEC        (10 * USEC_PER_SEC) /* between two lines about events that were dropped */
#define FAILURES_AT_ONCE 10                  /* that are logged in TELL_USEC */
#define OUTPUT_LINES_MAX 10                  /* of each */

struct hooks {
    struct master *master;
    struct event_subscriber subscriber;
    struct hook_queue queue;
    sd_event_source *work, *tell_timer, *linger_timer;
    struct log_limit failures;
    bool tells; /* its timer is armed */
    bool lingers, lingered;
};

/* Which event for whom */

static bool is_text(json_t *event, const char *key, const char *text)
{
    const char *value = json_string_value(json_object_get(event, key));
    return value && strcmp(value, text) == 0;
}

unsigned hooks_classify(enum event_type type, json_t *event)
{
    switch (type) {
    case EVENT_MASTER:
        return CONFIG_EVENT_MASTER;
    case EVENT_RELOAD:
        return CONFIG_EVENT_RELOAD;
    case EVENT_ROLLOUT:
        return CONFIG_EVENT_ROLLOUT;
    case EVENT_WORKER:
        if (is_text(event, "new", "FATAL"))
            return CONFIG_EVENT_WORKER | CONFIG_EVENT_FATAL;
        if (json_is_true(json_object_get(event, "crashed")))
            return CONFIG_EVENT_WORKER | CONFIG_EVENT_CRASH;
        return CONFIG_EVENT_WORKER;
    case EVENT_SOCKET:
        return CONFIG_EVENT_SOCKET;
    case EVENT_JOB:
        return CONFIG_EVENT_JOB;
    case EVENT_MESSAGE:
        return CONFIG_EVENT_MESSAGE;
    /* A process for each line would be too many. */
    case EVENT_LOG:
        return 0;
    }
    return 0;
}

const char *hooks_subject(json_t *event)
{
    const char *program = json_string_value(json_object_get(event, "program"));
    json_t *target = json_object_get(event, "target");
    return program ? program : json_string_value(json_object_get(target, "program"));
}

/* Has it a hook? One that a reload is about to add is not in force yet. */
static const struct config_on_event *hook_of(const struct program *program)
{
    const struct config_on_event *hook = &program_config(program)->on_event;
    return hook->types != 0 && program->committed->number > 0 ? hook : NULL;
}

/* Of one that was removed there may still be workers. */
static bool is_meant(const struct master *master, const struct program *program,
                     const char *subject)
{
    if (!subject)
        return !program->removed;
    if (strcmp(program->name, subject) != 0)
        return false;
    return !program->removed || !master_find_program(master, subject);
}

static bool has_any_hook(void *userdata)
{
    const struct hooks *hooks = userdata;
    for (size_t i = 0; i < hooks->master->n_programs; i++)
        if (hook_of(hooks->master->programs[i]))
            return true;
    return false;
}

/* What is dropped */

static void tell_dropped(struct hooks *hooks)
{
    LIST_FOREACH (lane, &hooks->queue.lanes, struct hook_lane, link) {
        if (lane->n_dropped == 0)
            continue;
        log_about((struct log_subject){.program = lane->program}, LOG_LEVEL_WARNING,
                  "on_event: %llu event%s dropped: there are more than its command keeps up with "
                  "(%d may wait)",
                  (unsigned long long)lane->n_dropped, lane->n_dropped == 1 ? " was" : "s were",
                  HOOKS_WAITING_LANE_MAX);
        lane->n_dropped = 0;
        hooks->tells = true;
    }
    if (!hooks->tells)
        return;
    (void)sd_event_source_set_time(hooks->tell_timer, clock_monotonic_usec() + TELL_USEC);
    (void)sd_event_source_set_enabled(hooks->tell_timer, SD_EVENT_ONESHOT);
}

static int on_tell(sd_event_source *source UNUSED, uint64_t now UNUSED, void *userdata)
{
    struct hooks *hooks = userdata;
    hooks->tells = false;
    tell_dropped(hooks);
    hook_queue_prune(&hooks->queue);
    return 0;
}

/* Queueing */

static void want_work(struct hooks *hooks)
{
    (void)sd_event_source_set_enabled(hooks->work, SD_EVENT_ONESHOT);
}

/* Not the committed one itself: a hook that hangs must not keep its sockets open. */
static int remember_generation(struct hook_lane *lane, const struct generation *committed)
{
    const struct generation *known = lane->generation;
    struct generation *generation;
    if (known && known->number == committed->number && known->program == committed->program &&
        known->pins == committed->pins)
        return 0;
    int r = generation_again(committed, committed->number, &generation);
    if (r < 0)
        return r;
    (void)generation_unref(lane->generation);
    lane->generation = generation;
    return 0;
}

static int queue_one(struct hooks *hooks, const struct program *program, struct hook_text *text,
                     const char *event)
{
    struct hook_lane *lane = hook_queue_lane(&hooks->queue, program->name);
    if (!lane)
        return -ENOMEM;
    int r = remember_generation(lane, program->committed);
    if (r < 0) {
        lane->n_dropped++;
        return r;
    }
    return hook_queue_push(&hooks->queue, lane, text, event);
}

/* One line, so that a shell's `read` is enough. */
static struct hook_text *make_text(json_t *event)
{
    CLEANUP_FREE char *json = json_dumps(event, JSON_COMPACT);
    CLEANUP_FREE char *line = json ? string_format("%s\n", json) : NULL;
    return line ? hook_text_new(line, strlen(line)) : NULL;
}

static void on_event(enum event_type type, uint64_t sequence UNUSED, json_t *event, void *userdata)
{
    struct hooks *hooks = userdata;
    CLEANUP(hook_text_unrefp) struct hook_text *text = NULL;
    const unsigned types = hooks_classify(type, event);
    const char *subject = hooks_subject(event);
    int r = 0;
    for (size_t i = 0; i < hooks->master->n_programs; i++) {
        const struct program *program = hooks->master->programs[i];
        const struct config_on_event *hook = hook_of(program);
        unsigned matching = hook ? hook->types & types : 0;
        if (matching == 0 || !is_meant(hooks->master, program, subject))
            continue;
        if (!text)
            text = make_text(event);
        /* The lowest bit is what says most. */
        int one = text ? queue_one(hooks, program, text,
                                   config_event_to_string(matching & -matching))
                       : -ENOMEM;
        r = one < 0 ? one : r;
    }
    if (r == -ENOMEM)
        log_error("on_event: an event of type %s was lost: out of memory",
                  event_type_to_string(type));
    if (r < 0 && !hooks->tells)
        tell_dropped(hooks);
    if (text)
        want_work(hooks);
}

/* Running */

/* The last lines of what it printed. */
static void log_output(struct log_subject subject, const char *output)
{
    size_t n = 0;
    for (const char *c = output; *c; c++)
        n += *c == '\n';
    while (*output) {
        size_t length = strcspn(output, "\n");
        if (n < OUTPUT_LINES_MAX)
            log_about(subject, LOG_LEVEL_WARNING, "  %.*s", (int)length, output);
        n -= n > 0;
        output += length + (output[length] == '\n');
    }
}

static void tell_failure(struct hooks *hooks, const struct hook *hook, const char *reason)
{
    const struct log_subject subject = {.program = hook->lane->program};
    size_t headline = strcspn(reason, "\n");
    unsigned suppressed;
    if (!log_limit_pass(&hooks->failures, &suppressed))
        return;
    if (suppressed > 0)
        log_warning("on_event: %u more failures of hooks before this one", suppressed);
    log_about(subject, LOG_LEVEL_WARNING, "event %s: %.*s", hook->event, (int)headline, reason);
    log_output(subject, reason + headline + (reason[headline] == '\n'));
}

static void on_changed(struct oneshot *oneshot UNUSED, void *userdata)
{
    want_work(userdata);
}

static int start(struct hooks *hooks, struct hook *hook, char **ret_error)
{
    CLEANUP_FD int event_fd = -1;
    int r = sealed_file_new("reloader-event", hook->text->data, hook->text->size, &event_fd);
    if (r < 0)
        return r;
    const struct oneshot_params params = {
        .event = hooks->master->event,
        .reaper = hooks->master->reaper,
        .generation = hook->generation,
        .command = {.name = "on_event",
                    .key = "on_event.command",
                    .words = hook->generation->program->on_event.command,
                    .event = hook->event},
        .stdin_fd = event_fd,
        .nofile = &hooks->master->nofile,
        .limit_usec = HOOK_LIMIT_USEC,
        .changed = on_changed,
        .userdata = hooks,
    };
    return oneshot_new(&params, &hook->run, ret_error);
}

/* Bounded, also where none can be started: true if there may be more to do. */
static bool start_some(struct hooks *hooks)
{
    for (unsigned i = 0; i < HOOKS_RUNNING_MAX; i++) {
        struct hook *hook = hook_queue_next(&hooks->queue);
        CLEANUP_FREE char *error = NULL;
        if (!hook)
            return false;
        int r = start(hooks, hook, &error);
        if (r == 0)
            continue;
        tell_failure(hooks, hook, error ? error : strerror(-r));
        hook_queue_end(&hooks->queue, hook);
    }
    return true;
}

static void end_gone(struct hooks *hooks)
{
    LIST_FOREACH (lane, &hooks->queue.lanes, struct hook_lane, link)
        LIST_FOREACH_SAFE (hook, &lane->running, struct hook, link) {
            if (!hook->run->gone)
                continue;
            if (hook->run->verdict == ONESHOT_FAILED)
                tell_failure(hooks, hook, hook->run->failure ? hook->run->failure : "failed");
            hook->run = oneshot_free(hook->run);
            hook_queue_end(&hooks->queue, hook);
        }
}

static int on_work(sd_event_source *source UNUSED, void *userdata)
{
    struct hooks *hooks = userdata;
    end_gone(hooks);
    if (start_some(hooks))
        want_work(hooks);
    hook_queue_prune(&hooks->queue);
    if (hooks->lingers)
        master_wake(hooks->master);
    return 0;
}

/* The end */

static int on_lingered(sd_event_source *source UNUSED, uint64_t now UNUSED, void *userdata)
{
    struct hooks *hooks = userdata;
    hooks->lingered = true;
    master_wake(hooks->master);
    return 0;
}

bool hooks_linger(struct hooks *hooks)
{
    if (hooks->lingered || hooks->queue.n_waiting + hooks->queue.n_running == 0)
        return false;
    if (!hooks->lingers) {
        hooks->lingers = true;
        (void)sd_event_source_set_time(hooks->linger_timer, clock_monotonic_usec() + LINGER_USEC);
        (void)sd_event_source_set_enabled(hooks->linger_timer, SD_EVENT_ONESHOT);
    }
    return true;
}

static void leave_alone(struct hooks *hooks, struct hook_lane *lane)
{
    const struct log_subject subject = {.program = lane->program};
    LIST_FOREACH_SAFE (hook, &lane->running, struct hook, link) {
        log_about(subject, LOG_LEVEL_WARNING,
                  "event %s: on_event, pid %d, still runs; it is left alone", hook->event,
                  (int)hook->run->pid);
        hook->run = oneshot_leave(hook->run);
        hook_queue_end(&hooks->queue, hook);
    }
    if (lane->n_waiting > 0)
        log_about(subject, LOG_LEVEL_WARNING, "on_event: %u event%s never told, reloader leaves",
                  lane->n_waiting, lane->n_waiting == 1 ? " was" : "s were");
}

struct hooks *hooks_free(struct hooks *hooks)
{
    if (!hooks)
        return NULL;
    event_bus_unsubscribe(&hooks->subscriber);
    end_gone(hooks);
    tell_dropped(hooks);
    LIST_FOREACH (lane, &hooks->queue.lanes, struct hook_lane, link)
        leave_alone(hooks, lane);
    hook_queue_clear(&hooks->queue);
    (void)sd_event_source_disable_unref(hooks->work);
    (void)sd_event_source_disable_unref(hooks->tell_timer);
    (void)sd_event_source_disable_unref(hooks->linger_timer);
    free(hooks);
    return NULL;
}

static int add_timer(struct hooks *hooks, sd_event_source **ret, sd_event_time_handler_t handler,
                     const char *description)
{
    int r = sd_event_add_time(hooks->master->event, ret, CLOCK_MONOTONIC, 0, 0, handler, hooks);
    if (r >= 0)
        r = sd_event_source_set_enabled(*ret, SD_EVENT_OFF);
    if (r >= 0)
        (void)sd_event_source_set_description(*ret, description);
    return r;
}

static int add_sources(struct hooks *hooks)
{
    int r = sd_event_add_defer(hooks->master->event, &hooks->work, on_work, hooks);
    if (r >= 0)
        r = sd_event_source_set_enabled(hooks->work, SD_EVENT_OFF);
    if (r >= 0)
        r = add_timer(hooks, &hooks->tell_timer, on_tell, "hooks-tell");
    if (r >= 0)
        r = add_timer(hooks, &hooks->linger_timer, on_lingered, "hooks-linger");
    if (r < 0)
        return r;
    (void)sd_event_source_set_description(hooks->work, "hooks-work");
    return 0;
}

int hooks_new(struct master *master, struct hooks **ret)
{
    CLEANUP(hooks_freep) struct hooks *hooks = calloc(1, sizeof(*hooks));
    if (!hooks)
        return -ENOMEM;
    hooks->master = master;
    hooks->failures = (struct log_limit){.interval_usec = TELL_USEC, .burst = FAILURES_AT_ONCE};
    hooks->subscriber = (struct event_subscriber){
        .handle = on_event, .listens = has_any_hook, .userdata = hooks};
    hook_queue_init(&hooks->queue);
    event_bus_subscribe(&master->events, &hooks->subscriber);
    int r = add_sources(hooks);
    if (r < 0)
        return r;
    *ret = TAKE_PTR(hooks);
    return 0;
}
