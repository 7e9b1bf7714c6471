#include "worker-kit.h"

#include "base/log.h"
#include "base/strv.h"

#include <errno.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static void trace(struct kit *kit, const char *word)
{
    size_t length = strlen(kit->trace);
    assert_true(length + strlen(word) + 2 <= sizeof(kit->trace));
    (void)strcat(strcat(kit->trace, length > 0 ? " " : ""), word);
}

static void on_changed(struct worker *worker, enum worker_state from, const char *reason,
                       void *userdata)
{
    struct kit *kit = userdata;
    assert_true(from < worker->state);
    trace(kit, worker_state_to_string(worker->state));
    (void)strncpy(kit->reason, reason, sizeof(kit->reason) - 1);
}

static void on_exited(struct worker *worker, void *userdata)
{
    assert_int_equal(worker->state, WORKER_STOPPING);
    assert_true(worker->exited);
    trace(userdata, "exited");
}

static void on_health(struct worker *worker, void *userdata)
{
    struct kit *kit = userdata;
    kit->health = worker_health(worker);
}

static void on_granted(struct worker *worker, void *userdata UNUSED)
{
    assert_true(worker->state != WORKER_READY && worker->state != WORKER_GONE);
}

static void on_message(struct worker *worker UNUSED, json_t *value, void *userdata)
{
    struct kit *kit = userdata;
    kit->messages++;
    kit->number = json_integer_value(value);
}

static const struct worker_ops ops = {
    .changed = on_changed,
    .exited = on_exited,
    .granted = on_granted,
    .health = on_health,
    .message = on_message,
};

int kit_set_up(void **state)
{
    struct kit *kit = calloc(1, sizeof(*kit));
    log_set_level(LOG_LEVEL_ERROR);
    assert_non_null(getenv("NOTIFY_SAY"));
    kit->directory = live_make_directory();
    assert_int_equal(sd_event_new(&kit->event), 0);
    assert_int_equal(reaper_new(kit->event, &kit->reaper), 0);
    *state = kit;
    return 0;
}

/* Whatever a test did: no child is left, dead or alive. */
int kit_tear_down(void **state)
{
    struct kit *kit = *state;
    (void)worker_free(kit->worker);
    (void)generation_unref(kit->generation);
    (void)reaper_free(kit->reaper);
    (void)sd_event_unref(kit->event);
    live_remove_directory(kit->directory);
    free(kit);
    siginfo_t info;
    assert_int_equal(waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT), -1);
    assert_int_equal(errno, ECHILD);
    return 0;
}

void kit_configure(struct kit *kit, const char *settings, const char *script)
{
    CLEANUP_CONFIG struct config *config = live_config(kit->directory, settings, script);
    CLEANUP_FREE char *error = NULL;
    (void)generation_unref(kit->generation);
    if (generation_new(config, config->programs[0], 1, NULL, environ, &kit->generation, &error) < 0)
        fail_msg("%s", error);
}

int kit_try_start(struct kit *kit, char **ret_error)
{
    const struct worker_params params = {
        .event = kit->event,
        .reaper = kit->reaper,
        .generation = kit->generation,
        .notify_directory = kit->directory,
        .id = ++kit->id,
        .ops = &ops,
        .userdata = kit,
    };
    kit->worker = worker_free(kit->worker);
    kit->trace[0] = '\0';
    kit->messages = 0;
    return worker_new(&params, &kit->worker, ret_error);
}

void kit_start(struct kit *kit)
{
    CLEANUP_FREE char *error = NULL;
    if (kit_try_start(kit, &error) < 0)
        fail_msg("%s", error);
    assert_int_equal(kit->worker->state, WORKER_STARTING);
}

void kit_run(struct kit *kit, const char *settings, const char *script)
{
    kit_configure(kit, settings, script);
    kit_start(kit);
}

void kit_await(struct kit *kit, enum worker_state state)
{
    RUN_UNTIL(kit->event, kit->worker->state >= state);
    assert_int_equal(kit->worker->state, state);
}

void kit_await_messages(struct kit *kit, unsigned n)
{
    RUN_UNTIL(kit->event, kit->messages >= n);
    assert_int_equal(kit->messages, n);
}

void kit_go(struct kit *kit)
{
    json_t *word = json_string("go");
    assert_int_equal(channel_send(kit->worker->channel, word), 0);
    json_decref(word);
}

void kit_expect_end(struct kit *kit, const char *trace)
{
    RUN_UNTIL(kit->event, kit->worker->state == WORKER_GONE);
    assert_string_equal(kit->trace, trace);
}

void kit_expect_exit(const struct kit *kit, int code)
{
    assert_int_equal(kit->worker->exit.si_code, CLD_EXITED);
    assert_int_equal(kit->worker->exit.si_status, code);
}

void kit_expect_killed_by(const struct kit *kit, int signal)
{
    assert_int_equal(kit->worker->exit.si_code, CLD_KILLED);
    assert_int_equal(kit->worker->exit.si_status, signal);
}
