/*
 * test-worker-spread.c - a drain that may last longer than disconnect_timeout: by how much, whom it is told, what ends it early.
 */
#include "worker-kit.h"

#include "base/clock.h"
#include "base/strv.h"

#include <stdio.h>
#include <unistd.h>

#define READY   "echo '\"ready\"' >&3; "
#define HELLO   "echo '{\"reloader\":\"hello\",\"drain\":true,\"spread\":true}' >&3; "
#define HEAR    "read -r line <&3; "
#define WAIT    "sleep 100 3>&- & trap \"kill $!; exit 7\" USR1 TERM; wait"
#define PATIENT "    drain_grace: 60s\n    disconnect_timeout: 50s\n    stop_timeout: 60s\n"

static const struct worker_spread spread = {.wait_usec = 20 * USEC_PER_SEC,
                                            .own_usec = 30 * USEC_PER_SEC};

/* From the state's begin to its deadline, within the moments that the code in between takes. */
static void expect_limit(const struct kit *kit, unsigned seconds)
{
    uint64_t limit = kit->worker->deadline_usec - kit->worker->state_usec;
    assert_in_range(limit, seconds * USEC_PER_SEC, (seconds + 1) * USEC_PER_SEC - 1);
}

static void expect_heard(const struct kit *kit, const char *text)
{
    char found[512] = "";
    CLEANUP_FREE char *path = string_format("%s/heard", kit->directory);
    FILE *file = fopen(path, "re");
    assert_non_null(file);
    (void)fread(found, 1, sizeof(found) - 1, file);
    (void)fclose(file);
    (void)unlink(path);
    assert_string_equal(found, text);
}

/* Writes down each line that it hears, and says a number then. */
#define SCRIPT HELLO READY "while " HEAR "do printf '%s\\n' \"$line\" >> heard; echo 1 >&3; done"

static void test_one_that_ends_all_at_once_waits(void **state)
{
    struct kit *kit = *state;
    kit_run(kit, PATIENT "    drain: signal\n    drain_signal: URG\n", READY WAIT);
    kit_await(kit, WORKER_READY);
    worker_drain(kit->worker, "reload", &spread);
    expect_limit(kit, 70);
    assert_int_equal(kit->worker->spread_usec, spread.wait_usec);
    assert_false(kit->worker->told_spread);
}

static void test_the_wait_ends(void **state)
{
    struct kit *kit = *state;
    const struct worker_spread short_one = {.wait_usec = 30 * USEC_PER_MSEC};
    kit_run(kit, "    drain_grace: 60s\n    disconnect_timeout: 0s\n",
            READY "while " HEAR "do :; done");
    kit_await(kit, WORKER_READY);
    uint64_t told = clock_monotonic_usec();
    worker_drain(kit->worker, "reload", &short_one);
    kit_await(kit, WORKER_STOPPING);
    assert_true(clock_monotonic_usec() >= told + short_one.wait_usec);
    assert_string_equal(kit->reason, "disconnect_timeout");
    kit_expect_end(kit, "READY DRAINING STOPPING exited GONE");
}

static void test_one_that_spreads_is_told(void **state)
{
    struct kit *kit = *state;
    kit_run(kit, PATIENT, SCRIPT);
    kit_await(kit, WORKER_READY);
    assert_true(kit->worker->spreads && kit->worker->understands);
    worker_drain(kit->worker, "reload", &spread);
    expect_limit(kit, 80);
    kit_await_messages(kit, 2);
    expect_heard(kit, "{\"reloader\":\"disconnect_spread\",\"msec\":30000}\n"
                      "\"graceful_shutdown\"\n");
}

/* Where nothing is to be spread, nothing is said of it. */
static void test_without_a_spread(void **state)
{
    struct kit *kit = *state;
    const struct worker_spread none = {0};
    for (int i = 0; i < 2; i++) {
        kit_run(kit, PATIENT, SCRIPT);
        kit_await(kit, WORKER_READY);
        kit->messages = 0;
        worker_drain(kit->worker, "reload", i == 0 ? NULL : &none);
        expect_limit(kit, 50);
        kit_await_messages(kit, 1);
        expect_heard(kit, "\"graceful_shutdown\"\n");
        worker_end_spread(kit->worker);
        expect_limit(kit, 50);
        worker_stop(kit->worker, "enough");
        kit_expect_end(kit, "READY DRAINING STOPPING exited GONE");
    }
}

/* drain: signal writes nothing: it cannot know, and ends all at once. */
static void test_by_signal_it_is_not_told(void **state)
{
    struct kit *kit = *state;
    kit_run(kit, PATIENT "    drain: signal\n    drain_signal: URG\n", SCRIPT);
    kit_await(kit, WORKER_READY);
    worker_drain(kit->worker, "reload", &spread);
    expect_limit(kit, 70);
    assert_false(channel_is_unread(kit->worker->channel));
}

static void test_the_end_of_the_spread(void **state)
{
    struct kit *kit = *state;
    kit_run(kit, PATIENT, SCRIPT);
    kit_await(kit, WORKER_READY);
    worker_end_spread(kit->worker);
    assert_int_equal(kit->worker->state, WORKER_READY);
    worker_drain(kit->worker, "reload", &spread);
    kit_await_messages(kit, 2);
    worker_end_spread(kit->worker);
    uint64_t now = clock_monotonic_usec();
    assert_in_range(kit->worker->deadline_usec, now, now + 50 * USEC_PER_SEC);
    assert_int_equal(kit->worker->spread_usec, 0);
    kit_await_messages(kit, 3);
    expect_heard(kit, "{\"reloader\":\"disconnect_spread\",\"msec\":30000}\n"
                      "\"graceful_shutdown\"\n"
                      "{\"reloader\":\"disconnect_spread\",\"msec\":0}\n");
    uint64_t deadline = kit->worker->deadline_usec;
    worker_end_spread(kit->worker);
    assert_int_equal(kit->worker->deadline_usec, deadline);
    worker_stop(kit->worker, "enough");
    worker_end_spread(kit->worker);
    assert_int_equal(kit->worker->state, WORKER_STOPPING);
}

/* What it asked for it keeps: that is no matter of spreading. */
static void test_a_granted_time_is_kept(void **state)
{
    struct kit *kit = *state;
    kit_run(kit, PATIENT,
            READY HEAR "\"$NOTIFY_SAY\" EXTEND_TIMEOUT_USEC=300000000; echo 1 >&3; " HEAR);
    kit_await(kit, WORKER_READY);
    worker_drain(kit->worker, "reload", &spread);
    kit_await_messages(kit, 1);
    uint64_t deadline = kit->worker->deadline_usec;
    assert_true(deadline >= kit->worker->state_usec + 300 * USEC_PER_SEC);
    worker_end_spread(kit->worker);
    assert_int_equal(kit->worker->deadline_usec, deadline);
}

#define A_TEST(name) cmocka_unit_test_setup_teardown(name, kit_set_up, kit_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        A_TEST(test_one_that_ends_all_at_once_waits), A_TEST(test_the_wait_ends),
        A_TEST(test_one_that_spreads_is_told),        A_TEST(test_without_a_spread),
        A_TEST(test_by_signal_it_is_not_told),        A_TEST(test_the_end_of_the_spread),
        A_TEST(test_a_granted_time_is_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
