#include "worker/health.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/parse.h"
#include "base/strv.h"
#include "worker/environment.h"
#include "worker/internal.h"
#include "worker/probe.h"

#include <limits.h>
#include <string.h>

/* While it starts: often, as others wait for it, and with patience, as the first answer may take its time. */
#define READY_INTERVAL_USEC (200 * USEC_PER_MSEC)
#define READY_TIMEOUT_USEC  (5 * USEC_PER_SEC)
#define ACCURACY_USEC       (10 * USEC_PER_MSEC)

enum health health_join(enum health a, enum health b)
{
    if (a == HEALTH_BAD || b == HEALTH_BAD)
        return HEALTH_BAD;
    return a == HEALTH_GOOD && b == HEALTH_GOOD ? HEALTH_GOOD : HEALTH_UNKNOWN;
}

enum health health_of_failures(enum health before, unsigned failures, unsigned limit)
{
    return failures >= limit ? HEALTH_BAD : before;
}

const char *health_to_string(enum health health)
{
    switch (health) {
    case HEALTH_UNKNOWN:
        return "unknown";
    case HEALTH_GOOD:
        return "healthy";
    case HEALTH_BAD:
        return "unhealthy";
    }
    return "?";
}

enum health worker_health(const struct worker *worker)
{
    return health_join(worker->health.watchdog, worker->health.check);
}

static void set_text(struct worker *worker, char *text)
{
    if (text)
        string_make_utf8(text);
    free(worker->health.text);
    worker->health.text = text;
}

/* `member` is one of the two that are joined. */
static void set_health(struct worker *worker, enum health *member, enum health health)
{
    enum health before = worker_health(worker);
    *member = health;
    enum health now = worker_health(worker);
    if (now == before)
        return;
    if (now == HEALTH_BAD)
        log_about(worker_subject(worker), LOG_LEVEL_WARNING, "unhealthy: %s",
                  worker->health.text ? worker->health.text : "no memory for the reason");
    else if (before == HEALTH_BAD)
        log_about(worker_subject(worker), LOG_LEVEL_INFO, "not unhealthy any more");
    if (now == HEALTH_GOOD)
        set_text(worker, NULL);
    worker->ops->health(worker, worker->userdata);
}

/* The watchdog */

static void arm_watchdog(struct worker *worker)
{
    struct worker_health *health = &worker->health;
    uint64_t left = UINT64_MAX - health->alive_usec;
    (void)sd_event_source_set_enabled(health->timer, SD_EVENT_OFF);
    if (health->watchdog_usec > 0 && health->watchdog_usec < left)
        worker_timer_arm(health->timer, health->alive_usec + health->watchdog_usec);
}

static int on_watchdog(sd_event_source *source UNUSED, uint64_t now UNUSED, void *userdata)
{
    struct worker *worker = userdata;
    struct worker_health *health = &worker->health;
    char limit[DURATION_TEXT_SIZE];
    /* We may be the one who was late. */
    notify_read_rest(worker->notify);
    if (worker->state != WORKER_READY)
        return 0;
    if (health->watchdog_usec == 0 ||
        clock_monotonic_usec() - health->alive_usec < health->watchdog_usec) {
        arm_watchdog(worker);
        return 0;
    }
    set_text(worker, string_format("no WATCHDOG=1 within %s (watchdog)",
                                   duration_to_text(health->watchdog_usec, limit)));
    set_health(worker, &health->watchdog, HEALTH_BAD);
    return 0;
}

/* The timer stays as it is, and sees when it comes that there is time left: that costs less than to set it each time. */
static void note_alive(struct worker *worker)
{
    struct worker_health *health = &worker->health;
    bool ran = health->watchdog != HEALTH_BAD;
    health->alive_usec = clock_monotonic_usec();
    if (!ran)
        arm_watchdog(worker);
    set_health(worker, &health->watchdog, HEALTH_GOOD);
}

static void set_watchdog(struct worker *worker, uint64_t usec)
{
    worker->health.watchdog_usec = usec;
    worker->health.alive_usec = clock_monotonic_usec();
    arm_watchdog(worker);
    if (usec == 0)
        set_health(worker, &worker->health.watchdog, HEALTH_GOOD);
}

void health_notified(struct worker *worker, const struct notify_message *message)
{
    struct worker_health *health = &worker->health;
    if (!health->timer || health->triggered)
        return;
    if (message->sets_watchdog && worker->state != WORKER_READY)
        health->watchdog_usec = message->watchdog_usec;
    if (worker->state != WORKER_READY)
        return;
    if (message->sets_watchdog)
        set_watchdog(worker, message->watchdog_usec);
    if (message->trigger) {
        health->triggered = true;
        set_text(worker, strdup("it asked for it by WATCHDOG=trigger"));
        set_health(worker, &health->watchdog, HEALTH_BAD);
    } else if (message->alive) {
        note_alive(worker);
    }
}

/* Checks */

static void drop_probe(struct worker *worker)
{
    struct worker_health *health = &worker->health;
    if (health->probe)
        health->probes->drop(health->probe, health->probes->userdata);
    health->probe = probe_free(health->probe);
}

static void on_ready_result(struct probe *probe, bool good, const char *text)
{
    struct worker *worker = probe->userdata;
    set_text(worker, good ? NULL : string_format("%s: %s", probe->target, text));
    if (good)
        worker_become_ready(worker, "its check was good");
}

/* If it is never ready, that is why. */
static void on_ready_unmade(struct probe *probe, const char *why)
{
    set_text(probe->userdata, string_format("%s cannot be checked: %s", probe->target, why));
}

static void on_health_result(struct probe *probe, bool good, const char *text)
{
    struct worker *worker = probe->userdata;
    struct worker_health *health = &worker->health;
    if (good) {
        health->failures = 0;
        set_health(worker, &health->check, HEALTH_GOOD);
        return;
    }
    unsigned limit = worker_settings(worker)->health.failures;
    health->failures += health->failures < UINT_MAX;
    if (health->watchdog != HEALTH_BAD)
        set_text(worker,
                 string_format("%s: %s (%u in a row)", probe->target, text, health->failures));
    log_about(worker_subject(worker), LOG_LEVEL_DEBUG, "check %u failed, %s: %s", health->failures,
              probe->target, text);
    set_health(worker, &health->check, health_of_failures(health->check, health->failures, limit));
}

static void say_uncheckable(const struct worker *worker, const char *key, const char *why)
{
    log_about(worker_subject(worker), LOG_LEVEL_ERROR, "cannot be checked (%s): %s", key, why);
}

/* What cannot be expanded has been refused with the configuration. */
static struct probe *make_probe(const struct worker *worker, const char *key,
                                const struct config_check *check)
{
    CLEANUP_FREE char *error = NULL;
    char *target = NULL;
    int r = worker_make_check_target(worker->generation, worker->slot, key,
                                     check->http ? check->http : check->tcp, &target, &error);
    struct probe *probe = r == 0 ? probe_new(check->http ? PROBE_HTTP : PROBE_TCP, target) : NULL;
    if (!probe)
        say_uncheckable(worker, key, error ? error : "out of memory");
    return probe;
}

static void begin_probe(struct worker *worker, struct probe *probe)
{
    struct worker_health *health = &worker->health;
    if (!probe)
        return;
    probe->userdata = worker;
    health->probe = probe;
    health->probes->add(probe, health->probes->userdata);
}

static void begin_ready_check(struct worker *worker)
{
    const struct config_program *program = worker_settings(worker);
    if (program->ready != CONFIG_READY_CHECK)
        return;
    struct probe *probe = make_probe(worker, "ready", &program->ready_check);
    if (probe) {
        probe->interval_usec = READY_INTERVAL_USEC;
        probe->timeout_usec = READY_TIMEOUT_USEC;
        probe->result = on_ready_result;
        probe->unmade = on_ready_unmade;
    }
    begin_probe(worker, probe);
}

static void begin_health_check(struct worker *worker)
{
    const struct config_health *settings = &worker_settings(worker)->health;
    if (!config_has_check(&settings->check))
        return;
    struct probe *probe = make_probe(worker, "health", &settings->check);
    if (probe) {
        probe->interval_usec = settings->interval_usec;
        probe->timeout_usec = settings->timeout_usec;
        probe->counts = true;
        probe->result = on_health_result;
    }
    begin_probe(worker, probe);
}

/* The whole */

int health_init(struct worker *worker, const struct worker_params *params)
{
    const struct config_program *program = worker_settings(worker);
    struct worker_health *health = &worker->health;
    health->probes = params->probes;
    health->watchdog_usec = program->watchdog_usec;
    health->watchdog = program->watchdog_usec > 0 ? HEALTH_UNKNOWN : HEALTH_GOOD;
    health->check = config_has_check(&program->health.check) ? HEALTH_UNKNOWN : HEALTH_GOOD;
    if (program->watchdog_usec == 0)
        return 0;
    int r = sd_event_add_time(params->event, &health->timer, CLOCK_MONOTONIC, 0, ACCURACY_USEC,
                              on_watchdog, worker);
    if (r >= 0)
        r = sd_event_source_set_enabled(health->timer, SD_EVENT_OFF);
    if (r < 0)
        return r;
    (void)sd_event_source_set_description(health->timer, "worker-watchdog");
    return 0;
}

void health_follow(struct worker *worker)
{
    struct worker_health *health = &worker->health;
    drop_probe(worker);
    if (health->timer)
        (void)sd_event_source_set_enabled(health->timer, SD_EVENT_OFF);
    switch (worker->state) {
    case WORKER_STARTING:
        begin_ready_check(worker);
        break;
    case WORKER_READY:
        if (health->timer)
            set_watchdog(worker, health->watchdog_usec);
        begin_health_check(worker);
        break;
    case WORKER_DRAINING:
    case WORKER_STOPPING:
    case WORKER_GONE:
        break;
    }
}

void health_clear(struct worker *worker)
{
    drop_probe(worker);
    (void)sd_event_source_disable_unref(worker->health.timer);
    free(worker->health.text);
}
