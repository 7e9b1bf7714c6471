/*
 * The program's shell with real processes: that what rollout_next() says is done, and that what workers do is told to it. Which
 * decision is right is test-rollout's; here the test plays the master, which converges what is marked and drives the reload.
 */
#include "live.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/strv.h"
#include "program/program.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define READY   "echo '\"ready\"' >&3; "
#define HEAR    "read -r line <&3; "
#define SERVE   READY HEAR "echo '\"fully_closed\"' >&3; " HEAR
#define PATIENT "    drain_grace: 60s\n    disconnect_timeout: 60s\n    stop_timeout: 60s\n"
#define CANARY  PATIENT "    reload: {canary: true}\n"
#define HOLD    READY "while " HEAR "do :; done"
#define SPREADS "echo '{\"reloader\":\"hello\",\"drain\":true,\"spread\":true}' >&3; "
#define ONE_BY_ONE                                                                                 \
    PATIENT "    workers: 2\n    disconnect_spread: 40s\n"                                         \
            "    reload: {canary: false, max_unavailable: 1}\n"

struct fixture {
    sd_event *event;
    struct reaper *reaper;
    char *directory;
    struct program *program;
    uint64_t next_worker_id;
    unsigned started, lowest_ready;
    json_int_t number; /* the last message */
    bool dirty;
    unsigned fatal; /* how often it was told */
};

static void on_changed(struct program *program UNUSED, void *userdata)
{
    ((struct fixture *)userdata)->dirty = true;
}

static void on_worker_changed(struct program *program, struct worker *worker,
                              enum worker_state from UNUSED, const char *reason, void *userdata)
{
    struct fixture *fixture = userdata;
    assert_non_null(reason);
    fixture->started += worker->state == WORKER_STARTING;
    fixture->lowest_ready = MIN(fixture->lowest_ready, program_count_ready(program));
}

static void on_message(struct program *program UNUSED, struct worker *worker UNUSED, json_t *value,
                       void *userdata)
{
    ((struct fixture *)userdata)->number = json_integer_value(value);
}

static void on_fatal(struct slot *slot UNUSED, int status UNUSED, const char *why UNUSED,
                     void *userdata)
{
    ((struct fixture *)userdata)->fatal++;
}

static const struct program_ops ops = {
    .fatal = on_fatal,
    .changed = on_changed,
    .worker_changed = on_worker_changed,
    .worker_message = on_message,
};

static int set_up(void **state)
{
    struct fixture *fixture = calloc(1, sizeof(*fixture));
    (void)log_set_file("/dev/null");
    fixture->directory = live_make_directory();
    fixture->next_worker_id = 1;
    assert_int_equal(sd_event_new(&fixture->event), 0);
    assert_int_equal(reaper_new(fixture->event, &fixture->reaper), 0);
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    siginfo_t info;
    (void)program_free(fixture->program);
    (void)reaper_free(fixture->reaper);
    (void)sd_event_unref(fixture->event);
    live_remove_directory(fixture->directory);
    free(fixture);
    assert_int_equal(waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT), -1);
    assert_int_equal(errno, ECHILD);
    return 0;
}

/* One event, or one pass of what the master's deferred step does. */
static void step(struct fixture *fixture)
{
    if (!fixture->dirty) {
        assert_true(sd_event_run(fixture->event, LIVE_PATIENCE_USEC) > 0);
        return;
    }
    fixture->dirty = false;
    program_converge(fixture->program);
}

#define AWAIT(fixture, condition)                                                                  \
    while (!(condition))                                                                           \
    step(fixture)

static struct generation *make_generation(struct fixture *fixture, const char *settings,
                                          const char *script)
{
    CLEANUP_CONFIG struct config *config = live_config(fixture->directory, settings, script);
    const struct program *program = fixture->program;
    struct generation *generation = NULL;
    CLEANUP_FREE char *error = NULL;
    if (generation_new(config, config->programs[0], program ? program->last_generation + 1 : 1,
                       program ? program->committed : NULL, environ, &generation, &error) < 0)
        fail_msg("%s", error);
    return generation;
}

static void start(struct fixture *fixture, const char *settings, const char *script)
{
    CLEANUP(generation_unrefp)
    struct generation *generation = make_generation(fixture, settings, script);
    const struct program_params params = {
        .event = fixture->event,
        .reaper = fixture->reaper,
        .generation = generation,
        .notify_directory = fixture->directory,
        .next_worker_id = &fixture->next_worker_id,
        .ops = &ops,
        .userdata = fixture,
    };
    assert_int_equal(program_new(&params, &fixture->program), 0);
    program_start(fixture->program);
}

static void start_all(struct fixture *fixture, const char *settings, const char *script)
{
    start(fixture, settings, script);
    AWAIT(fixture, program_count_ready(fixture->program) == program_wanted(fixture->program));
    fixture->lowest_ready = UINT_MAX;
}

static void begin(struct fixture *fixture, const char *settings, const char *script)
{
    CLEANUP(generation_unrefp)
    struct generation *generation = make_generation(fixture, settings, script);
    assert_int_equal(program_begin(fixture->program, generation), 0);
}

static void commit(struct fixture *fixture)
{
    AWAIT(fixture, fixture->program->canary_proven || fixture->program->failed);
    assert_false(fixture->program->failed);
    program_release(fixture->program);
    AWAIT(fixture, fixture->program->done || fixture->program->failed);
    assert_false(fixture->program->failed);
    program_commit(fixture->program);
}

static void roll_back(struct fixture *fixture)
{
    AWAIT(fixture, fixture->program->failed);
    program_roll_back(fixture->program);
    AWAIT(fixture, fixture->program->rolled_back);
}

static struct worker *current(const struct fixture *fixture, unsigned slot)
{
    return fixture->program->slots[slot]->current;
}

static bool has_leaving(const struct fixture *fixture)
{
    for (size_t i = 0; i < fixture->program->n_slots; i++)
        if (!list_is_empty(&fixture->program->slots[i]->leaving))
            return true;
    return false;
}

static void expect_all_of(struct fixture *fixture, uint64_t generation, unsigned workers)
{
    AWAIT(fixture, !has_leaving(fixture) && !fixture->dirty);
    assert_int_equal(fixture->program->n_slots, workers);
    assert_int_equal(program_count_ready(fixture->program), workers);
    for (unsigned i = 0; i < workers; i++) {
        assert_int_equal(current(fixture, i)->generation->number, generation);
        assert_null(fixture->program->slots[i]->successor);
    }
    assert_null(fixture->program->target);
}

/* Life */

static void test_start_and_stop(void **state)
{
    struct fixture *fixture = *state;
    start(fixture, PATIENT "    workers: 3\n", SERVE);
    assert_int_equal(fixture->started, 0);
    AWAIT(fixture, program_count_ready(fixture->program) == 3);
    assert_int_equal(fixture->started, 3);
    assert_string_equal(current(fixture, 2)->name, "web/2");
    program_stop(fixture->program, false);
    assert_false(program_is_empty(fixture->program));
    AWAIT(fixture, program_is_empty(fixture->program));
    assert_int_equal(fixture->started, 3);
}

static void test_forced_stop(void **state)
{
    struct fixture *fixture = *state;
    start_all(fixture, PATIENT "    workers: 2\n", READY "while " HEAR "do :; done");
    program_stop(fixture->program, false);
    AWAIT(fixture, program_count_ready(fixture->program) == 0);
    assert_int_equal(slot_get_state(fixture->program->slots[0]), SLOT_DRAINING);
    program_stop(fixture->program, true);
    assert_int_equal(slot_get_state(fixture->program->slots[0]), SLOT_STOPPING);
    AWAIT(fixture, program_is_empty(fixture->program));
    assert_int_equal(fixture->started, 2);
}

static void test_stop_while_starting(void **state)
{
    struct fixture *fixture = *state;
    start(fixture, PATIENT "    ready: message\n", HEAR);
    AWAIT(fixture, fixture->started == 1);
    assert_int_equal(slot_get_state(fixture->program->slots[0]), SLOT_STARTING);
    program_stop(fixture->program, false);
    AWAIT(fixture, program_is_empty(fixture->program));
}

static void test_crash(void **state)
{
    struct fixture *fixture = *state;
    start_all(fixture, "    start_seconds: 0s\n    backoff: {initial: 10ms}\n    workers: 2\n",
              "echo $$ >&3; " SERVE);
    pid_t other = current(fixture, 0)->pid, pid = current(fixture, 1)->pid;
    assert_int_equal(kill(pid, SIGKILL), 0);
    AWAIT(fixture, program_count_ready(fixture->program) == 1);
    AWAIT(fixture, program_count_ready(fixture->program) == 2);
    assert_int_equal(current(fixture, 0)->pid, other);
    assert_int_not_equal(current(fixture, 1)->pid, pid);
    assert_int_equal(fixture->number, current(fixture, 1)->pid);
    assert_int_equal(fixture->program->slots[1]->restarts, 1);
    assert_null(fixture->program->start_failure);
}

static void test_backoff(void **state)
{
    struct fixture *fixture = *state;
    start(fixture, "    backoff: {initial: 60s, max: 60s, jitter: 0}\n", "exit 3");
    AWAIT(fixture, fixture->program->start_failure);
    assert_string_equal(fixture->program->start_failure, "web/0 exited with 3 before it was ready");
    AWAIT(fixture, !fixture->dirty && list_is_empty(&fixture->program->slots[0]->leaving));
    assert_int_equal(slot_get_state(fixture->program->slots[0]), SLOT_BACKOFF);
    assert_int_equal(fixture->started, 1);
    program_stop(fixture->program, false);
    AWAIT(fixture, !fixture->dirty);
    assert_true(program_is_empty(fixture->program));
}

static void test_backoff_ends(void **state)
{
    struct fixture *fixture = *state;
    start(fixture, "    backoff: {initial: 10ms, max: 10ms}\n", "exit 3");
    AWAIT(fixture, fixture->program->slots[0]->restarts == 4);
    assert_true(fixture->started >= 4);
}

static void test_a_short_life_is_a_failed_start(void **state)
{
    struct fixture *fixture = *state;
    start(fixture, "    start_seconds: 60s\n    backoff: {initial: 60s, max: 60s}\n",
          READY "exit 0");
    AWAIT(fixture, fixture->program->start_failure);
    assert_non_null(
        strstr(fixture->program->start_failure, "web/0 exited with 0 within its first"));
    assert_int_equal(fixture->program->slots[0]->restarts, 1);
}

static void test_start_timeout(void **state)
{
    struct fixture *fixture = *state;
    start(fixture,
          "    ready: message\n    start_timeout: 20ms\n    backoff: {initial: 60s, max: 60s}\n",
          HEAR);
    AWAIT(fixture, fixture->program->start_failure);
    assert_non_null(strstr(fixture->program->start_failure, "web/0 was not ready within 20"));
    AWAIT(fixture, list_is_empty(&fixture->program->slots[0]->leaving) && !fixture->dirty);
    /* Its exit is no further failure. */
    assert_int_equal(fixture->program->slots[0]->restarts, 1);
}

static void test_what_cannot_be_executed(void **state)
{
    struct fixture *fixture = *state;
    start_all(fixture, "    start_seconds: 0s\n    backoff: {initial: 10ms}\n", SERVE);
    char **command = fixture->program->committed->program->command;
    char *shell = command[0];
    command[0] = strdup("no-such-program");
    assert_int_equal(kill(current(fixture, 0)->pid, SIGKILL), 0);
    AWAIT(fixture, fixture->program->start_failure);
    assert_string_equal(fixture->program->start_failure,
                        "web/0: cannot execute 'no-such-program': No such file or directory (it is in no directory of its PATH)");
    assert_true(fixture->program->slots[0]->backoff_until_usec > 0);
    free(command[0]);
    command[0] = shell;
}

/* Nobody told it to: it counts as not ready at once, and its place is filled. */
static void test_one_that_leaves_by_itself_is_replaced(void **state)
{
    struct fixture *fixture = *state;
    CLEANUP_FREE char *script = string_format(
        "[ -e %s/again ] || { " READY ": >%s/again; \"$NOTIFY_SAY\" STOPPING=1; " HEAR "}; " SERVE,
        fixture->directory, fixture->directory);
    start(fixture, CANARY "    start_seconds: 0s\n    backoff: {initial: 10ms}\n", script);
    AWAIT(fixture, fixture->started == 2 && program_count_ready(fixture->program) == 1);
    const struct worker *left = LIST_ENTRY(fixture->program->slots[0]->leaving.next, struct worker,
                                           link);
    assert_int_equal(left->state, WORKER_DRAINING);
    assert_false(left->asked_to_leave);
}

/* The reload */

static void test_reload(void **state)
{
    struct fixture *fixture = *state;
    start_all(fixture, CANARY "    workers: 4\n", SERVE);
    begin(fixture, CANARY "    workers: 4\n", SERVE ":");
    commit(fixture);
    expect_all_of(fixture, 2, 4);
    assert_int_equal(fixture->lowest_ready, 3);
    assert_int_equal(fixture->started, 8);
    begin(fixture, CANARY "    workers: 4\n", SERVE);
    commit(fixture);
    expect_all_of(fixture, 3, 4);
}

static void test_reload_of_one(void **state)
{
    struct fixture *fixture = *state;
    start_all(fixture, CANARY, SERVE);
    begin(fixture, CANARY, SERVE);
    commit(fixture);
    expect_all_of(fixture, 2, 1);
    assert_int_equal(fixture->lowest_ready, 1);
}

static void test_reload_without_canary(void **state)
{
    struct fixture *fixture = *state;
    const char *settings = PATIENT "    workers: 3\n"
                                   "    reload: {canary: false, max_unavailable: 100%}\n";
    start_all(fixture, settings, SERVE);
    begin(fixture, settings, SERVE);
    assert_true(fixture->program->waiting);
    commit(fixture);
    expect_all_of(fixture, 2, 3);
    assert_int_equal(fixture->lowest_ready, 0);
}

static void test_scaling(void **state)
{
    struct fixture *fixture = *state;
    start_all(fixture, CANARY, SERVE);
    begin(fixture, CANARY "    workers: 3\n", SERVE);
    commit(fixture);
    expect_all_of(fixture, 2, 3);
    begin(fixture, CANARY, SERVE);
    commit(fixture);
    expect_all_of(fixture, 3, 1);
}

static void test_canary_that_does_not_start(void **state)
{
    struct fixture *fixture = *state;
    start_all(fixture, CANARY "    workers: 2\n", SERVE);
    pid_t first = current(fixture, 0)->pid, second = current(fixture, 1)->pid;
    begin(fixture, CANARY "    workers: 2\n", "exit 9");
    roll_back(fixture);
    assert_string_equal(fixture->program->failure, "web/0 exited with 9 before it was ready");
    assert_false(fixture->program->degraded);
    expect_all_of(fixture, 1, 2);
    assert_int_equal(current(fixture, 0)->pid, first);
    assert_int_equal(current(fixture, 1)->pid, second);
    assert_int_equal(fixture->lowest_ready, 2);
    assert_null(fixture->program->start_failure);
    /* The reason is that of the last reload. */
    begin(fixture, CANARY "    workers: 2\n", SERVE);
    assert_null(fixture->program->failure);
    commit(fixture);
    expect_all_of(fixture, 3, 2);
}

static void test_canary_that_cannot_be_executed(void **state)
{
    struct fixture *fixture = *state;
    start_all(fixture, CANARY, SERVE);
    CLEANUP(generation_unrefp) struct generation *target = make_generation(fixture, CANARY, SERVE);
    char **command = target->program->command;
    free(command[0]);
    command[0] = strdup("no-such-program");
    assert_int_equal(program_begin(fixture->program, target), 0);
    roll_back(fixture);
    assert_string_equal(fixture->program->failure,
                        "web/0: cannot execute 'no-such-program': No such file or directory (it is in no directory of its PATH)");
    expect_all_of(fixture, 1, 1);
}

static void test_canary_that_dies_on_probation(void **state)
{
    struct fixture *fixture = *state;
    const char *settings = PATIENT "    start_seconds: 0s\n"
                                   "    reload: {canary: true, probation: 60s}\n";
    start_all(fixture, settings, SERVE);
    begin(fixture, settings, READY HEAR "exit 0");
    AWAIT(fixture, fixture->program->slots[0]->successor &&
                       fixture->program->slots[0]->successor->state == WORKER_READY);
    assert_false(fixture->program->canary_proven);
    assert_int_equal(kill(fixture->program->slots[0]->successor->pid, SIGKILL), 0);
    roll_back(fixture);
    assert_string_equal(fixture->program->failure, "web/0 was killed by SIGKILL in its probation");
    expect_all_of(fixture, 1, 1);
}

static void test_canary_that_leaves_on_probation(void **state)
{
    struct fixture *fixture = *state;
    const char *settings = PATIENT "    start_seconds: 0s\n"
                                   "    reload: {canary: true, probation: 60s}\n";
    start_all(fixture, settings, SERVE);
    begin(fixture, settings, READY "\"$NOTIFY_SAY\" STOPPING=1; exit 0");
    roll_back(fixture);
    assert_string_equal(fixture->program->failure,
                        "web/0 began to stop by itself in its probation");
    expect_all_of(fixture, 1, 1);
}

static void test_probation_ends(void **state)
{
    struct fixture *fixture = *state;
    const char *settings = PATIENT "    reload: {canary: true, probation: 1ms}\n";
    start_all(fixture, settings, SERVE);
    begin(fixture, settings, SERVE);
    AWAIT(fixture, fixture->program->slots[0]->successor &&
                       fixture->program->slots[0]->successor->state == WORKER_READY);
    assert_false(fixture->program->canary_proven);
    commit(fixture);
    expect_all_of(fixture, 2, 1);
}

static void test_failure_after_the_canary(void **state)
{
    struct fixture *fixture = *state;
    start_all(fixture, CANARY "    workers: 3\n", SERVE);
    pid_t untouched = current(fixture, 2)->pid;
    begin(fixture, CANARY "    workers: 3\n", "[ $RELOADER_SLOT = 1 ] && exit 1; " SERVE);
    AWAIT(fixture, fixture->program->canary_proven);
    program_release(fixture->program);
    roll_back(fixture);
    assert_string_equal(fixture->program->failure, "web/1 exited with 1 before it was ready");
    assert_false(fixture->program->degraded);
    expect_all_of(fixture, 1, 3);
    assert_int_equal(current(fixture, 2)->pid, untouched);
    assert_true(fixture->lowest_ready >= 1);
}

/* No descriptor at all, whatever is given back. */
static void begin_famine(void)
{
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = 3;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

#define HASTY CANARY "    workers: 2\n    backoff: {initial: 10ms, max: 10ms}\n"

/* The way back goes on when there are some again, but does not wait for ever. */
static void test_way_back_through_a_famine(void **state)
{
    struct fixture *fixture = *state;
    /* It is no failed start of the old version. */
    start_all(fixture, HASTY "    start_retries: 0\n", SERVE);
    begin(fixture, HASTY, "[ $RELOADER_SLOT = 1 ] && exit 1; " SERVE);
    AWAIT(fixture, fixture->program->canary_proven);
    program_release(fixture->program);
    AWAIT(fixture, fixture->program->failed);
    begin_famine();
    program_roll_back(fixture->program);
    AWAIT(fixture, fixture->program->slots[1]->shortages >= 2);
    assert_false(fixture->program->rolled_back);
    live_end_scarcity();
    AWAIT(fixture, fixture->program->rolled_back);
    assert_false(fixture->program->degraded);
    expect_all_of(fixture, 1, 2);
}

static void test_famine_without_an_end(void **state)
{
    struct fixture *fixture = *state;
    start_all(fixture, HASTY, SERVE);
    begin(fixture, HASTY, "[ $RELOADER_SLOT = 1 ] && exit 1; " SERVE);
    AWAIT(fixture, fixture->program->canary_proven);
    program_release(fixture->program);
    AWAIT(fixture, fixture->program->failed);
    begin_famine();
    roll_back(fixture);
    assert_true(fixture->program->degraded);
    live_end_scarcity();
    AWAIT(fixture, program_count_ready(fixture->program) == 2);
}

/* Who dies of a version that nobody wants any more is no reason to give up its slot, and with it perhaps the master (exit_on_fatal). */
static void test_the_new_version_dies_on_the_way_back(void **state)
{
    struct fixture *fixture = *state;
    const char *settings = CANARY "    workers: 2\n    start_retries: 0\n    start_seconds: 60s\n";
    start_all(fixture, settings, SERVE);
    begin(fixture, settings, SERVE ":");
    AWAIT(fixture, fixture->program->canary_proven);
    program_release(fixture->program);
    AWAIT(fixture, fixture->program->done);
    pid_t other = current(fixture, 1)->pid;
    assert_int_equal(kill(current(fixture, 0)->pid, SIGKILL), 0);
    AWAIT(fixture, fixture->program->failed);
    program_roll_back(fixture->program);
    assert_int_equal(kill(other, SIGKILL), 0);
    AWAIT(fixture, fixture->program->rolled_back);
    assert_false(fixture->program->degraded);
    expect_all_of(fixture, 1, 2);
    assert_int_equal(fixture->fatal, 0);
}

static void test_no_way_back(void **state)
{
    struct fixture *fixture = *state;
    CLEANUP_FREE char *old = string_format("[ -e %s/broken ] && exit 1; " SERVE,
                                           fixture->directory);
    start_all(fixture, CANARY "    workers: 2\n    backoff: {initial: 60s, max: 60s}\n", old);
    begin(fixture, CANARY "    workers: 2\n", "[ $RELOADER_SLOT = 1 ] && exit 1; " SERVE);
    AWAIT(fixture, fixture->program->canary_proven);
    live_write_file(fixture->directory, "broken", "");
    program_release(fixture->program);
    roll_back(fixture);
    assert_true(fixture->program->degraded);
    assert_null(fixture->program->target);
    assert_true(program_count_ready(fixture->program) >= 1);
}

static void test_superseded(void **state)
{
    struct fixture *fixture = *state;
    start_all(fixture, CANARY "    workers: 3\n", SERVE);
    begin(fixture, CANARY "    workers: 3\n", SERVE ":");
    AWAIT(fixture, fixture->program->canary_proven);
    program_release(fixture->program);
    AWAIT(fixture, current(fixture, 0) && current(fixture, 0)->generation->number == 2);
    begin(fixture, CANARY "    workers: 3\n", SERVE "::");
    assert_false(fixture->program->canary_proven);
    commit(fixture);
    expect_all_of(fixture, 3, 3);
    assert_true(fixture->lowest_ready >= 2);
}

static void test_superseded_while_the_canary_starts(void **state)
{
    struct fixture *fixture = *state;
    start_all(fixture, CANARY, SERVE);
    begin(fixture, CANARY "    ready: message\n", HEAR);
    AWAIT(fixture, fixture->started == 2);
    begin(fixture, CANARY, SERVE);
    commit(fixture);
    expect_all_of(fixture, 3, 1);
}

static void test_crash_during_the_canary(void **state)
{
    struct fixture *fixture = *state;
    const char *settings = PATIENT "    start_seconds: 0s\n    backoff: {initial: 10ms}\n"
                                   "    workers: 2\n    reload: {canary: true, probation: 60s}\n";
    start_all(fixture, settings, SERVE);
    begin(fixture, settings, SERVE);
    AWAIT(fixture, fixture->program->slots[0]->successor &&
                       fixture->program->slots[0]->successor->state == WORKER_READY);
    pid_t pid = current(fixture, 1)->pid;
    assert_int_equal(kill(pid, SIGKILL), 0);
    AWAIT(fixture, current(fixture, 1) && current(fixture, 1)->pid != pid &&
                       current(fixture, 1)->state == WORKER_READY);
    assert_int_equal(current(fixture, 1)->generation->number, 1);
    assert_false(fixture->program->failed);
}

#define GIVEN_UP CANARY "    workers: 3\n    start_retries: 0\n"

static bool all_are_fatal(const struct fixture *fixture)
{
    for (size_t i = 0; i < fixture->program->n_slots; i++)
        if (slot_get_state(fixture->program->slots[i]) != SLOT_FATAL)
            return false;
    return fixture->program->n_slots > 0;
}

/* One canary is tried for all, and they are what they were. */
static void test_stays_fatal(void **state)
{
    struct fixture *fixture = *state;
    start(fixture, GIVEN_UP, "exit 9");
    AWAIT(fixture, all_are_fatal(fixture));
    assert_null(program_fatal_text(fixture->program));
    unsigned started = fixture->started;
    begin(fixture, GIVEN_UP, "exit 7");
    program_expect_fatal(fixture->program);
    commit(fixture);
    AWAIT(fixture, all_are_fatal(fixture) && !fixture->dirty);
    assert_int_equal(fixture->started - started, 1);
    assert_true(program_stays_fatal(fixture->program));
    CLEANUP_FREE char *text = program_fatal_text(fixture->program);
    assert_string_equal(text, "FATAL as before: web/0 exited with 7 before it was ready");
    assert_null(fixture->program->failure);
    begin(fixture, GIVEN_UP, SERVE);
    program_expect_fatal(fixture->program);
    commit(fixture);
    expect_all_of(fixture, 3, 3);
    assert_null(program_fatal_text(fixture->program));
}

static void test_fatal_is_a_failure_where_nobody_expects_it(void **state)
{
    struct fixture *fixture = *state;
    start(fixture, GIVEN_UP, "exit 9");
    AWAIT(fixture, all_are_fatal(fixture));
    begin(fixture, GIVEN_UP, "exit 7");
    roll_back(fixture);
    assert_false(fixture->program->degraded);
    AWAIT(fixture, all_are_fatal(fixture));
}

/* Another program has failed: this one is as it was, and not degraded. */
static void test_stays_fatal_on_the_way_back(void **state)
{
    struct fixture *fixture = *state;
    start(fixture, GIVEN_UP, "exit 9");
    AWAIT(fixture, all_are_fatal(fixture));
    begin(fixture, GIVEN_UP, "exit 7");
    program_expect_fatal(fixture->program);
    AWAIT(fixture, fixture->program->canary_proven);
    unsigned started = fixture->started;
    program_roll_back(fixture->program);
    AWAIT(fixture, fixture->program->rolled_back);
    assert_false(fixture->program->degraded);
    AWAIT(fixture, all_are_fatal(fixture) && !fixture->dirty);
    assert_int_equal(fixture->started, started);
}

/* A slot that was FATAL is no proof of anything, and one that was not is. */
static void test_one_slot_stays_fatal(void **state)
{
    struct fixture *fixture = *state;
    const char *script = "[ $RELOADER_SLOT = 1 ] && exit 9; " SERVE;
    start(fixture, GIVEN_UP, script);
    AWAIT(fixture, program_count_ready(fixture->program) == 2 &&
                       slot_get_state(fixture->program->slots[1]) == SLOT_FATAL);
    begin(fixture, GIVEN_UP, script);
    program_expect_fatal(fixture->program);
    commit(fixture);
    AWAIT(fixture, !has_leaving(fixture) && !fixture->dirty);
    assert_int_equal(program_count_ready(fixture->program), 2);
    assert_false(program_stays_fatal(fixture->program));
    CLEANUP_FREE char *text = program_fatal_text(fixture->program);
    assert_string_equal(text,
                        "1 of 3 slots FATAL as before: web/1 exited with 9 before it was ready");
    begin(fixture, GIVEN_UP, "exit 7");
    program_expect_fatal(fixture->program);
    roll_back(fixture);
    assert_string_equal(fixture->program->failure, "web/0 exited with 7 before it was ready");
    assert_int_equal(program_count_ready(fixture->program), 2);
}

#define MENDED_SLOT "[ $RELOADER_SLOT = 1 ] && [ ! -e %s/mended ] && exit 9; " SERVE

#define READY_FIRST                                                                                \
    PATIENT                                                                                        \
    "    workers: 3\n    start_retries: 0\n    reload: {canary: false, order: ready-first}\n"

static bool is_partly_fatal(const struct fixture *fixture)
{
    return !fixture->dirty && program_count_ready(fixture->program) == 2 &&
           slot_get_state(fixture->program->slots[1]) == SLOT_FATAL;
}

static void try_mended(struct fixture *fixture, const char *settings, const char *script)
{
    start(fixture, settings, script);
    AWAIT(fixture, is_partly_fatal(fixture));
    live_write_file(fixture->directory, "mended", "");
    begin(fixture, settings, script);
    program_expect_fatal(fixture->program);
}

static void begin_mended(struct fixture *fixture, const char *settings, const char *script)
{
    try_mended(fixture, settings, script);
    AWAIT(fixture, fixture->program->canary_proven);
}

static void break_again(const struct fixture *fixture)
{
    CLEANUP_FREE char *path = string_format("%s/mended", fixture->directory);
    assert_int_equal(unlink(path), 0);
}

static void expect_fatal_again(struct fixture *fixture)
{
    AWAIT(fixture, fixture->program->rolled_back);
    assert_false(fixture->program->degraded);
    AWAIT(fixture, !has_leaving(fixture));
    AWAIT(fixture, is_partly_fatal(fixture));
    assert_int_equal(current(fixture, 0)->generation->number, 1);
    assert_int_equal(current(fixture, 2)->generation->number, 1);
}

/* Another one has failed when this one's FATAL slot had come up, for once. Who served before serves again: that is the way back. */
static void check_fatal_again(struct fixture *fixture, const char *settings, bool released)
{
    CLEANUP_FREE char *script = string_format(MENDED_SLOT, fixture->directory);
    begin_mended(fixture, settings, script);
    if (released) {
        program_release(fixture->program);
        AWAIT(fixture, fixture->program->done);
    }
    assert_int_equal(program_count_ready(fixture->program), 3);
    break_again(fixture);
    program_roll_back(fixture->program);
    expect_fatal_again(fixture);
}

static void test_a_canary_that_is_fatal_again(void **state)
{
    check_fatal_again(*state, GIVEN_UP, false);
}

static void test_a_slot_that_is_fatal_again(void **state)
{
    check_fatal_again(*state, GIVEN_UP, true);
}

static void test_a_slot_that_is_fatal_again_ready_first(void **state)
{
    check_fatal_again(*state, READY_FIRST, true);
}

/* What was no start before is none on the way back, though it was ready for a moment. */
static void test_a_slot_that_is_ready_and_fatal_again(void **state)
{
    struct fixture *fixture = *state;
    CLEANUP_FREE char *script = string_format(MENDED_SLOT, fixture->directory);
    begin_mended(fixture, GIVEN_UP "    start_seconds: 60s\n", script);
    program_release(fixture->program);
    AWAIT(fixture, fixture->program->done);
    program_roll_back(fixture->program);
    AWAIT(fixture, current(fixture, 1) && current(fixture, 1)->generation->number == 1 &&
                       current(fixture, 1)->state == WORKER_READY);
    assert_false(fixture->program->rolled_back);
    assert_int_equal(kill(current(fixture, 1)->pid, SIGKILL), 0);
    expect_fatal_again(fixture);
}

/* A newer reload finds it as it was before the way back. */
static void test_superseded_on_the_way_back(void **state)
{
    struct fixture *fixture = *state;
    CLEANUP_FREE char *script = string_format(MENDED_SLOT, fixture->directory);
    begin_mended(fixture, GIVEN_UP, script);
    program_release(fixture->program);
    AWAIT(fixture, fixture->program->done);
    break_again(fixture);
    program_roll_back(fixture->program);
    const struct slot *slot = fixture->program->slots[1];
    AWAIT(fixture, slot->current && slot->current->state == WORKER_STARTING);
    begin(fixture, GIVEN_UP, script);
    program_expect_fatal(fixture->program);
    commit(fixture);
    AWAIT(fixture, !has_leaving(fixture));
    AWAIT(fixture, is_partly_fatal(fixture));
    assert_int_equal(current(fixture, 0)->generation->number, 3);
}

/* The one that failed first takes its time to end. By then the next canary is on probation, and nothing but the timer lets it pass. */
static void test_a_late_end_leaves_the_next_canary_its_probation(void **state)
{
    struct fixture *fixture = *state;
    const char *settings = PATIENT "    workers: 3\n    start_retries: 0\n    start_seconds: 0s\n"
                                   "    reload: {canary: true, probation: 60s}\n";
    CLEANUP_FREE char *script = string_format(
        "[ $RELOADER_SLOT = 1 ] && { [ -e %s/mended ] || exit 9; " READY
        "\"$NOTIFY_SAY\" STOPPING=1; while " HEAR "do :; done; }; " SERVE,
        fixture->directory);
    try_mended(fixture, settings, script);
    const struct slot *first = fixture->program->slots[1], *next = fixture->program->slots[0];
    AWAIT(fixture, first->stays_fatal && next->successor &&
                       next->successor->state == WORKER_READY && !fixture->dirty);
    assert_false(list_is_empty(&first->leaving));
    assert_int_equal(kill(LIST_ENTRY(first->leaving.next, struct worker, link)->pid, SIGKILL), 0);
    AWAIT(fixture, list_is_empty(&first->leaving) && !fixture->dirty);
    int enabled = SD_EVENT_OFF;
    assert_true(sd_event_source_get_enabled(fixture->program->probation_timer, &enabled) >= 0);
    assert_int_equal(enabled, SD_EVENT_ONESHOT);
    assert_false(fixture->program->canary_proven);
    assert_false(fixture->program->failed);
}

static void test_stop_during_a_reload(void **state)
{
    struct fixture *fixture = *state;
    start_all(fixture, CANARY "    workers: 2\n", SERVE);
    begin(fixture, CANARY "    workers: 2\n    ready: message\n", HEAR);
    AWAIT(fixture, fixture->started == 3);
    program_stop(fixture->program, false);
    AWAIT(fixture, program_is_empty(fixture->program));
    assert_null(fixture->program->target);
    assert_int_equal(fixture->started, 3);
}

/* Told at the same time, each slot has its own end; a shutdown waits for none of them. */
static void test_spread(void **state)
{
    struct fixture *fixture = *state;
    const char *settings = PATIENT "    workers: 4\n    disconnect_spread: 40s\n"
                                   "    reload: {canary: false, max_unavailable: 100%}\n";
    start_all(fixture, settings, HOLD);
    const struct worker *old[4];
    for (unsigned i = 0; i < 4; i++)
        old[i] = current(fixture, i);
    begin(fixture, settings, SERVE);
    program_release(fixture->program);
    step(fixture);
    for (unsigned i = 0; i < 4; i++) {
        assert_int_equal(old[i]->state, WORKER_DRAINING);
        uint64_t wait = old[i]->deadline_usec - old[i]->state_usec - 60 * USEC_PER_SEC;
        assert_in_range(wait, i * 10 * USEC_PER_SEC, (i + 1) * 10 * USEC_PER_SEC + USEC_PER_SEC);
        if (i > 0)
            assert_true(old[i]->deadline_usec >= old[i - 1]->deadline_usec + 9 * USEC_PER_SEC);
    }
    program_stop(fixture->program, false);
    for (unsigned i = 0; i < 4; i++)
        assert_true(old[i]->deadline_usec <= clock_monotonic_usec() + 60 * USEC_PER_SEC);
}

/* Those that end their connections by themselves, one worker after the other, take the whole time together. */
static void test_spread_by_workers_themselves(void **state)
{
    struct fixture *fixture = *state;
    start_all(fixture, ONE_BY_ONE, SPREADS HOLD);
    const struct worker *old = current(fixture, 0);
    begin(fixture, ONE_BY_ONE, SERVE);
    program_release(fixture->program);
    step(fixture);
    assert_int_equal(old->state, WORKER_DRAINING);
    assert_true(old->told_spread);
    assert_int_equal(old->spread_usec, 20 * USEC_PER_SEC);
    assert_int_equal(current(fixture, 1)->state, WORKER_READY);
}

/* A slot whose turn comes when its point is past is not kept for longer, and the next reload begins anew. */
static void test_spread_of_the_late(void **state)
{
    struct fixture *fixture = *state;
    start_all(fixture, ONE_BY_ONE, HOLD);
    const struct worker *first = current(fixture, 0), *second = current(fixture, 1);
    begin(fixture, ONE_BY_ONE, HOLD);
    program_release(fixture->program);
    step(fixture);
    fixture->program->drain_began_usec -= 41 * USEC_PER_SEC;
    assert_int_equal(kill(first->pid, SIGKILL), 0);
    AWAIT(fixture, second->state == WORKER_DRAINING);
    assert_int_equal(second->spread_usec, 0);
    assert_int_equal(kill(second->pid, SIGKILL), 0);
    commit(fixture);
    begin(fixture, ONE_BY_ONE, HOLD);
    assert_int_equal(fixture->program->drain_began_usec, 0);
}

/* Its clients may come back to another one, unless the master leaves: then the removed one hurries as well. */
static void test_spread_of_the_removed(void **state)
{
    struct fixture *fixture = *state;
    start_all(fixture, ONE_BY_ONE, SPREADS HOLD);
    const struct worker *old[] = {current(fixture, 0), current(fixture, 1)};
    program_remove(fixture->program);
    step(fixture);
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(old[i]->state, WORKER_DRAINING);
        assert_int_equal(old[i]->spread_usec, 40 * USEC_PER_SEC);
    }
    program_stop(fixture->program, false);
    assert_true(fixture->program->removed);
    for (unsigned i = 0; i < 2; i++)
        assert_int_equal(old[i]->spread_usec, 0);
}

static void test_reload_of_one_that_is_not_started(void **state)
{
    struct fixture *fixture = *state;
    start(fixture, CANARY, SERVE);
    fixture->program->started = false;
    begin(fixture, CANARY "    workers: 2\n", SERVE);
    AWAIT(fixture, !fixture->dirty);
    assert_int_equal(fixture->started, 0);
    program_commit(fixture->program);
    program_start(fixture->program);
    AWAIT(fixture, program_count_ready(fixture->program) == 2);
    expect_all_of(fixture, 2, 2);
}

/* Nobody is left to be the canary: the reload does not wait for one. */
static void test_held_while_the_canary_starts(void **state)
{
    struct fixture *fixture = *state;
    const char *settings = CANARY "    workers: 2\n    ready: message\n";
    start_all(fixture, settings, SERVE);
    begin(fixture, settings, HEAR);
    AWAIT(fixture, fixture->started == 3);
    slot_hold(fixture->program->slots[0], false);
    AWAIT(fixture, fixture->started == 4 && fixture->program->slots[1]->successor);
    assert_false(fixture->program->canary_proven);
    slot_hold(fixture->program->slots[1], false);
    AWAIT(fixture, !fixture->dirty);
    assert_true(fixture->program->canary_proven);
    commit(fixture);
    AWAIT(fixture, !has_leaving(fixture) && !fixture->dirty);
    assert_null(current(fixture, 0));
    assert_int_equal(fixture->program->committed->number, 2);
}

/* What is back already has no more to do in the reload, whatever its operator wishes. */
static void test_halted_and_resumed_once_back(void **state)
{
    struct fixture *fixture = *state;
    start_all(fixture, CANARY, SERVE);
    begin(fixture, CANARY, "exit 1");
    roll_back(fixture);
    program_halt(fixture->program, false);
    program_resume(fixture->program);
    assert_false(program_is_rolling(fixture->program) && !fixture->program->rolled_back);
    AWAIT(fixture, program_count_ready(fixture->program) == 1);
    expect_all_of(fixture, 1, 1);
}

/* It began to leave before the reload, and its place is another's by now: how it ends is no reason to restart or to give up. */
static void test_an_end_after_the_reload(void **state)
{
    struct fixture *fixture = *state;
    const char *settings = CANARY "    restart: unexpected\n    start_seconds: 0s\n";
    start(fixture, settings,
          READY "\"$NOTIFY_SAY\" STOPPING=1; while :; do sleep 1; done");
    AWAIT(fixture, slot_get_state(fixture->program->slots[0]) == SLOT_DRAINING);
    const struct slot *slot = fixture->program->slots[0];
    const struct worker *old = LIST_ENTRY(slot->leaving.next, struct worker, link);
    begin(fixture, settings, SERVE);
    commit(fixture);
    assert_int_equal(old->state, WORKER_DRAINING);
    assert_int_equal(kill(old->pid, SIGKILL), 0);
    AWAIT(fixture, !has_leaving(fixture) && !fixture->dirty);
    assert_int_not_equal(slot->history_generation, 1);
    assert_int_equal(slot->backoff_until_usec, 0);
    expect_all_of(fixture, 2, 1);
}

static void test_freed_while_it_runs(void **state)
{
    struct fixture *fixture = *state;
    unsigned before = live_count_fds();
    start_all(fixture, CANARY "    workers: 2\n", SERVE);
    begin(fixture, CANARY "    workers: 2\n    ready: message\n", HEAR);
    AWAIT(fixture, fixture->started == 3);
    fixture->program = program_free(fixture->program);
    assert_int_equal(live_count_fds(), before);
}

#define A_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        A_TEST(test_start_and_stop),
        A_TEST(test_forced_stop),
        A_TEST(test_stop_while_starting),
        A_TEST(test_crash),
        A_TEST(test_backoff),
        A_TEST(test_backoff_ends),
        A_TEST(test_a_short_life_is_a_failed_start),
        A_TEST(test_start_timeout),
        A_TEST(test_what_cannot_be_executed),
        A_TEST(test_one_that_leaves_by_itself_is_replaced),
        A_TEST(test_reload),
        A_TEST(test_reload_of_one),
        A_TEST(test_reload_without_canary),
        A_TEST(test_scaling),
        A_TEST(test_canary_that_does_not_start),
        A_TEST(test_canary_that_cannot_be_executed),
        A_TEST(test_canary_that_dies_on_probation),
        A_TEST(test_canary_that_leaves_on_probation),
        A_TEST(test_probation_ends),
        A_TEST(test_failure_after_the_canary),
        A_TEST(test_way_back_through_a_famine),
        A_TEST(test_the_new_version_dies_on_the_way_back),
        A_TEST(test_famine_without_an_end),
        A_TEST(test_no_way_back),
        A_TEST(test_superseded),
        A_TEST(test_superseded_while_the_canary_starts),
        A_TEST(test_crash_during_the_canary),
        A_TEST(test_stays_fatal),
        A_TEST(test_fatal_is_a_failure_where_nobody_expects_it),
        A_TEST(test_stays_fatal_on_the_way_back),
        A_TEST(test_one_slot_stays_fatal),
        A_TEST(test_a_canary_that_is_fatal_again),
        A_TEST(test_a_slot_that_is_fatal_again),
        A_TEST(test_a_slot_that_is_fatal_again_ready_first),
        A_TEST(test_a_slot_that_is_ready_and_fatal_again),
        A_TEST(test_superseded_on_the_way_back),
        A_TEST(test_a_late_end_leaves_the_next_canary_its_probation),
        A_TEST(test_stop_during_a_reload),
        A_TEST(test_spread),
        A_TEST(test_spread_by_workers_themselves),
        A_TEST(test_spread_of_the_late),
        A_TEST(test_spread_of_the_removed),
        A_TEST(test_reload_of_one_that_is_not_started),
        A_TEST(test_held_while_the_canary_starts),
        A_TEST(test_halted_and_resumed_once_back),
        A_TEST(test_an_end_after_the_reload),
        A_TEST(test_freed_while_it_runs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
