#include "master/gateway.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/strv.h"
#include "master/helper.h"
#include "master/listener-use.h"
#include "master/master.h"
#include "master/programs.h"

#include <errno.h>
#include <string.h>

#define RETRY_MIN_USEC (5 * USEC_PER_SEC)
#define RETRY_MAX_USEC (60 * USEC_PER_SEC)

/* Failures */

static void arm_retry(struct gateway *gateway)
{
    uint64_t delay = RETRY_MIN_USEC << MIN(gateway->failures, 4u);
    gateway->failures++;
    (void)sd_event_source_set_time(gateway->retry_timer,
                                   clock_monotonic_usec() + MIN(delay, RETRY_MAX_USEC));
    (void)sd_event_source_set_enabled(gateway->retry_timer, SD_EVENT_ONESHOT);
}

/* Said once, until it is another one. */
static void fail(struct gateway *gateway, const char *reason)
{
    if (string_equal(gateway->failure, reason))
        return;
    free(gateway->failure);
    gateway->failure = strdup(reason);
    log_error("gateway: %s; %s", reason,
              gateway->program ? "the former one serves on" : "it is tried again");
}

static void succeed(struct gateway *gateway)
{
    free(TAKE_PTR(gateway->failure));
    gateway->failures = 0;
    (void)sd_event_source_set_enabled(gateway->retry_timer, SD_EVENT_OFF);
}

static int on_retry(sd_event_source *source UNUSED, uint64_t now UNUSED, void *userdata)
{
    struct gateway *gateway = userdata;
    gateway->again = true;
    master_wake(gateway->master);
    return 0;
}

/* Its program */

static void on_changed(struct program *program, void *userdata)
{
    const struct gateway *gateway = userdata;
    program->dirty = true;
    master_wake(gateway->master);
}

static void on_worker_changed(struct program *program, struct worker *worker,
                              enum worker_state from UNUSED, const char *reason UNUSED,
                              void *userdata UNUSED)
{
    if (worker->state != WORKER_STARTING)
        master_restore_listeners(program, worker);
}

static void on_worker_message(struct program *program UNUSED, struct worker *worker, json_t *value,
                              void *userdata)
{
    const struct gateway *gateway = userdata;
    const struct config *own = worker->generation->config;
    const char *cmd = json_string_value(json_object_get(value, "cmd"));
    if (!string_equal(cmd, "gateway"))
        return;
    if (own == gateway->current.own)
        gateway_answer(gateway, &gateway->current, worker);
    else if (own == gateway->next.own)
        gateway_answer(gateway, &gateway->next, worker);
}

static const struct program_ops program_ops = {
    .changed = on_changed,
    .worker_changed = on_worker_changed,
    .worker_message = on_worker_message,
};

static int start(struct gateway *gateway, struct generation *generation)
{
    struct program_params params = master_program_params(gateway->master, generation);
    params.ops = &program_ops;
    params.userdata = gateway;
    int r = program_new(&params, &gateway->program);
    if (r < 0)
        return r;
    program_start(gateway->program);
    gateway->phase = GATEWAY_RUNNING;
    return 0;
}

static int roll(struct gateway *gateway, struct generation *generation)
{
    int r = program_begin(gateway->program, generation);
    if (r == 0)
        gateway->phase = GATEWAY_ROLLING;
    return r;
}

static int bring(struct gateway *gateway, struct gateway_version *version, char **ret_error)
{
    CLEANUP(generation_unrefp) struct generation *generation = NULL;
    uint64_t number = gateway->program ? gateway->program->last_generation + 1 : 1;
    int r = gateway_version_generation(version, number, gateway->master->options.environment,
                                       &generation, ret_error);
    if (r == 0)
        r = gateway->program ? roll(gateway, generation) : start(gateway, generation);
    if (r < 0)
        return r;
    *(gateway->phase == GATEWAY_ROLLING ? &gateway->next : &gateway->current) = *version;
    *version = (struct gateway_version){0};
    return 0;
}

static int take(struct gateway *gateway, struct config *config, char **ret_error)
{
    CLEANUP(gateway_version_clear) struct gateway_version version = {0};
    const struct gateway_version *known = gateway->program ? &gateway->current : NULL;
    CLEANUP_FREE char *executable = helper_find(GATEWAY_NAME);
    if (!executable) {
        *ret_error = strdup(GATEWAY_NAME " is not installed: it comes with reloader, unless that "
                                         "was built with -Dgateway=disabled");
        return -ENOENT;
    }
    int r = gateway_version_make(config, known, executable, &version, ret_error);
    if (r < 0 || (known && gateway_version_is_same(known, &version)))
        return r;
    return bring(gateway, &version, ret_error);
}

static void leave(struct gateway *gateway)
{
    if (!gateway->program)
        return;
    log_info("gateway: the configuration has none any more");
    program_remove(gateway->program);
    listener_close(gateway->current.listener);
    gateway->phase = GATEWAY_LEAVING;
}

/* The steps */

static bool is_settled(const struct gateway *gateway)
{
    return gateway->phase == GATEWAY_OFF || gateway->phase == GATEWAY_RUNNING;
}

static void look(struct gateway *gateway)
{
    struct config *config = gateway->master->release.config;
    CLEANUP_FREE char *error = NULL;
    if (gateway->stopping || !is_settled(gateway) || (config == gateway->seen && !gateway->again))
        return;
    gateway->again = false;
    if (config != gateway->seen) {
        (void)config_unref(gateway->seen);
        gateway->seen = config_ref(config);
        gateway->failures = 0;
    }
    int r = config->gateway.is_on ? take(gateway, config, &error) : 0;
    if (!config->gateway.is_on)
        leave(gateway);
    if (r < 0) {
        fail(gateway, error ? error : strerror(-r));
        arm_retry(gateway);
    } else {
        succeed(gateway);
    }
}

static void drop_listener(const struct gateway_version *version, const struct gateway_version *kept)
{
    if (version->listener && version->listener != kept->listener)
        listener_close(version->listener);
}

static void open_listener(const struct gateway *gateway)
{
    CLEANUP_FREE char *error = NULL;
    int r = gateway_version_open(&gateway->current, &error);
    if (r < 0)
        log_error("gateway: %s", error ? error : strerror(-r));
}

static void commit(struct gateway *gateway)
{
    program_commit(gateway->program);
    drop_listener(&gateway->current, &gateway->next);
    gateway_version_clear(&gateway->current);
    gateway->current = gateway->next;
    gateway->next = (struct gateway_version){0};
    gateway->phase = GATEWAY_RUNNING;
    open_listener(gateway);
    log_info("gateway: replaced, generation %llu",
             (unsigned long long)gateway->program->committed->number);
}

static void go_back(struct gateway *gateway)
{
    CLEANUP_FREE char *reason = string_format("its new settings are not in force: %s",
                                              gateway->program->failure ? gateway->program->failure
                                                                        : "it did not start");
    fail(gateway, reason ? reason : "it did not start");
    program_roll_back(gateway->program);
    gateway->phase = GATEWAY_RETURNING;
}

static void be_back(struct gateway *gateway)
{
    program_forget_target(gateway->program);
    drop_listener(&gateway->next, &gateway->current);
    gateway_version_clear(&gateway->next);
    gateway->phase = GATEWAY_RUNNING;
    open_listener(gateway);
}

static void be_off(struct gateway *gateway)
{
    gateway->program = program_free(gateway->program);
    gateway_version_clear(&gateway->current);
    gateway_version_clear(&gateway->next);
    gateway->phase = GATEWAY_OFF;
}

static void roll_on(struct gateway *gateway)
{
    struct program *program = gateway->program;
    if (program->failed)
        go_back(gateway);
    else if (program->done)
        commit(gateway);
    else if (program->canary_proven)
        program_release(program);
}

static void converge(struct gateway *gateway)
{
    if (!gateway->program || !gateway->program->dirty)
        return;
    gateway->program->dirty = false;
    program_converge(gateway->program);
}

static void advance(struct gateway *gateway)
{
    switch (gateway->phase) {
    case GATEWAY_OFF:
    case GATEWAY_RUNNING:
        return;
    case GATEWAY_ROLLING:
        if (!gateway->stopping)
            roll_on(gateway);
        return;
    case GATEWAY_RETURNING:
        if (gateway->program->rolled_back)
            be_back(gateway);
        return;
    case GATEWAY_LEAVING:
        if (program_is_empty(gateway->program))
            be_off(gateway);
        return;
    }
}

/* Each turn brings it to another phase, in which a configuration that had to wait is looked at, or releases it. */
#define TURNS_MAX 8

void gateway_step(struct gateway *gateway)
{
    if (!gateway)
        return;
    for (unsigned i = 0; i < TURNS_MAX; i++) {
        enum gateway_phase phase = gateway->phase;
        look(gateway);
        converge(gateway);
        advance(gateway);
        if (gateway->phase == phase && (!gateway->program || !gateway->program->dirty))
            return;
    }
    master_wake(gateway->master);
}

char *gateway_describe_secret(const struct gateway *gateway, const struct config *config)
{
    if (!gateway || !gateway->program || config == gateway->seen)
        return NULL;
    const struct gateway_version *known = gateway->phase == GATEWAY_ROLLING ? &gateway->next
                                                                            : &gateway->current;
    return gateway_version_describe_secret(known, &config->gateway);
}

/* From the start to the end */

int gateway_new(struct master *master, struct gateway **ret)
{
    CLEANUP(gateway_freep) struct gateway *gateway = calloc(1, sizeof(*gateway));
    if (!gateway)
        return -ENOMEM;
    gateway->master = master;
    int r = sd_event_add_time(master->event, &gateway->retry_timer, CLOCK_MONOTONIC, 0,
                              USEC_PER_SEC, on_retry, gateway);
    if (r >= 0)
        r = sd_event_source_set_enabled(gateway->retry_timer, SD_EVENT_OFF);
    if (r < 0)
        return r;
    (void)sd_event_source_set_description(gateway->retry_timer, "gateway-retry");
    look(gateway);
    *ret = TAKE_PTR(gateway);
    return 0;
}

struct gateway *gateway_free(struct gateway *gateway)
{
    if (!gateway)
        return NULL;
    if (gateway->current.listener)
        listener_close(gateway->current.listener);
    if (gateway->next.listener)
        listener_close(gateway->next.listener);
    be_off(gateway);
    (void)sd_event_source_disable_unref(gateway->retry_timer);
    (void)config_unref(gateway->seen);
    free(gateway->failure);
    free(gateway);
    return NULL;
}

void gateway_stop(struct gateway *gateway, bool force)
{
    if (!gateway)
        return;
    bool is_told = gateway->stopping && (!gateway->program || gateway->program->forced >= force);
    gateway->stopping = true;
    (void)sd_event_source_set_enabled(gateway->retry_timer, SD_EVENT_OFF);
    if (gateway->program && !is_told)
        program_stop(gateway->program, force);
}

bool gateway_is_gone(const struct gateway *gateway)
{
    return !gateway || !gateway->program || program_is_empty(gateway->program);
}
