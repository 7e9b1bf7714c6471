/*
 * worker.c with real processes: every way from one state to another. A worker here is a line of shell whose channel is fd 3:
 * what it writes there is seen by the event loop, which is what the test waits for.
 */
#include "worker-kit.h"

#include "base/strv.h"

#include <errno.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define READY "echo '\"ready\"' >&3; "
#define HEAR  "read -r line <&3; "
#define LONG  "    drain_grace: 60s\n    disconnect_timeout: 60s\n    stop_timeout: 60s\n"
/* Neither reads its channel nor leaves; its child goes when it is told. */
#define WAIT "wait; "
#define DEAF "sleep 100 & trap \"kill $!; exit 7\" USR1 TERM; " READY WAIT

/* STARTING -> READY */

static void test_it_says_that_it_is_ready(void **state)
{
    struct kit *kit = *state;
    kit_run(kit, "    ready: message\n", READY HEAR);
    kit_await(kit, WORKER_READY);
    assert_true(kit->worker->announced);
    assert_true(kit->worker->ready_usec >= kit->worker->started_usec);
    assert_true(kit->generation->habits->announces);
    worker_stop(kit->worker, "enough");
    assert_string_equal(kit->reason, "enough");
    kit_expect_end(kit, "READY STOPPING exited GONE");
    kit_expect_killed_by(kit, SIGTERM);
}

static void test_it_notifies_that_it_is_ready(void **state)
{
    struct kit *kit = *state;
    kit_run(kit, "    start_seconds: 60s\n", "\"$NOTIFY_SAY\" READY=1; " HEAR);
    kit_await(kit, WORKER_READY);
    assert_true(kit->worker->announced);
}

static void test_ready_by_notify_alone(void **state)
{
    struct kit *kit = *state;
    kit_run(kit, "    ready: notify\n    start_seconds: 0s\n",
            READY "echo 1 >&3; " HEAR "\"$NOTIFY_SAY\" READY=1; " HEAR);
    kit_await_messages(kit, 1);
    live_run_ready(kit->event);
    assert_int_equal(kit->worker->state, WORKER_STARTING);
    kit_go(kit);
    kit_await(kit, WORKER_READY);
}

static void test_ready_by_message_alone(void **state)
{
    struct kit *kit = *state;
    kit_run(kit, "    ready: message\n    start_seconds: 0s\n",
            "\"$NOTIFY_SAY\" READY=1; echo 1 >&3; " HEAR READY HEAR);
    kit_await_messages(kit, 1);
    live_run_ready(kit->event);
    assert_int_equal(kit->worker->state, WORKER_STARTING);
    kit_go(kit);
    kit_await(kit, WORKER_READY);
}

static void test_ready_by_time(void **state)
{
    struct kit *kit = *state;
    kit_run(kit, "    start_seconds: 1ms\n", HEAR READY HEAR);
    kit_await(kit, WORKER_READY);
    assert_false(kit->worker->announced);
    assert_false(kit->generation->habits->announces);
}

static void test_ready_after(void **state)
{
    struct kit *kit = *state;
    kit_run(kit, "    ready: {after: 1ms}\n    start_seconds: 60s\n", HEAR);
    kit_await(kit, WORKER_READY);
    assert_false(kit->worker->announced);
}

/* Time proves nothing any more once a worker of this command has said so, be it later than time did. */
static void test_a_late_announcement_is_learned(void **state)
{
    struct kit *kit = *state;
    kit_run(kit, "    start_seconds: 1ms\n", HEAR READY "echo 1 >&3; " HEAR);
    kit_await(kit, WORKER_READY);
    kit_go(kit);
    kit_await_messages(kit, 1);
    assert_true(kit->generation->habits->announces);
    kit_start(kit);
    assert_int_equal(sd_event_source_get_enabled(kit->worker->step_timer, NULL), 0);
    assert_int_equal(kit->worker->state, WORKER_STARTING);
    kit_go(kit);
    kit_await(kit, WORKER_READY);
    assert_true(kit->worker->announced);
}

/* STARTING -> STOPPING */

static void test_start_timeout(void **state)
{
    struct kit *kit = *state;
    kit_run(kit, "    ready: message\n    start_timeout: 20ms\n", HEAR);
    kit_expect_end(kit, "STOPPING exited GONE");
    assert_true(string_starts_with(kit->worker->failure, "was not ready within 20"));
    assert_true(kit->worker->asked_to_leave);
    kit_expect_killed_by(kit, SIGTERM);
}

static void test_exit_before_it_is_ready(void **state)
{
    struct kit *kit = *state;
    kit_run(kit, "    ready: message\n", "exit 3");
    kit_expect_end(kit, "STOPPING exited GONE");
    assert_false(kit->worker->asked_to_leave);
    assert_null(kit->worker->failure);
    kit_expect_exit(kit, 3);
}

/* What it said last is heard first. */
static void test_exit_right_behind_ready(void **state)
{
    struct kit *kit = *state;
    kit_run(kit, "", READY "echo 41 >&3; echo 42 >&3; exit 0");
    kit_expect_end(kit, "READY STOPPING exited GONE");
    assert_int_equal(kit->messages, 2);
    assert_int_equal(kit->number, 42);
}

/* More than is read from one worker in a while; then it is gone, and all that it said is heard at once. */
static void test_exit_behind_a_flood(void **state)
{
    struct kit *kit = *state;
    kit_run(kit, "", "seq 3000 >&3; " READY "exit 0");
    kit_expect_end(kit, "READY STOPPING exited GONE");
    assert_int_equal(kit->messages, 3000);
    assert_int_equal(kit->number, 3000);
}

static void test_drain_before_it_is_ready(void **state)
{
    struct kit *kit = *state;
    kit_run(kit, "    ready: message\n" LONG, HEAR);
    worker_drain(kit->worker, "reload", NULL);
    assert_false(channel_is_unread(kit->worker->channel));
    kit_expect_end(kit, "STOPPING exited GONE");
    assert_false(kit->worker->drain_signalled);
}

/* EXTEND_TIMEOUT_USEC */

static void test_extended_timeout(void **state)
{
    struct kit *kit = *state;
    kit_run(kit, "    ready: message\n    start_timeout: 60s\n",
            "for usec in 90000000 1 18446744073709551615; do"
            " \"$NOTIFY_SAY\" EXTEND_TIMEOUT_USEC=$usec; echo 1 >&3; " HEAR "done; " READY
            "\"$NOTIFY_SAY\" EXTEND_TIMEOUT_USEC=90000000; echo 1 >&3; " HEAR);
    uint64_t configured = kit->worker->deadline_usec;
    kit_await_messages(kit, 1);
    uint64_t extended = kit->worker->deadline_usec;
    assert_true(extended >= configured + 30 * USEC_PER_SEC);
    kit_go(kit);
    kit_await_messages(kit, 2);
    assert_int_equal(kit->worker->deadline_usec, extended);
    kit_go(kit);
    kit_await_messages(kit, 3);
    assert_int_equal(kit->worker->deadline_usec, kit->worker->state_usec + 600 * USEC_PER_SEC);
    kit_go(kit);
    kit_await_messages(kit, 4);
    assert_int_equal(kit->worker->state, WORKER_READY);
    assert_int_equal(kit->worker->deadline_usec, kit->worker->started_usec + 600 * USEC_PER_SEC);
}

static void test_start_timeout_ends_at_the_cap(void **state)
{
    struct kit *kit = *state;
    kit_run(kit, "    ready: message\n    start_timeout: 30ms\n",
            "\"$NOTIFY_SAY\" EXTEND_TIMEOUT_USEC=600000000; " HEAR);
    kit_expect_end(kit, "STOPPING exited GONE");
    assert_non_null(kit->worker->failure);
}

/* READY -> DRAINING -> STOPPING */

static void test_drain_by_message(void **state)
{
    struct kit *kit = *state;
    kit_run(kit, LONG, READY HEAR "echo '\"fully_closed\"' >&3; " HEAR);
    kit_await(kit, WORKER_READY);
    worker_drain(kit->worker, "reload", NULL);
    assert_int_equal(kit->worker->state, WORKER_DRAINING);
    assert_true(worker_is_leaving(kit->worker));
    worker_drain(kit->worker, "again", NULL);
    assert_string_equal(kit->reason, "reload");
    kit_expect_end(kit, "READY DRAINING STOPPING exited GONE");
    assert_false(kit->worker->drain_signalled);
    assert_false(kit->generation->habits->deaf);
    assert_true(kit->worker->asked_to_leave);
    assert_false(worker_is_leaving(kit->worker));
    kit_expect_killed_by(kit, SIGTERM);
}

static void test_the_message_is_what_is_configured(void **state)
{
    struct kit *kit = *state;
    kit_run(kit, LONG "    drain: message\n    drain_message: 'say \"bye\"'\n",
            READY HEAR "[ \"$line\" = '\"say \\\"bye\\\"\"' ] && exit 5; exit 6");
    kit_await(kit, WORKER_READY);
    worker_drain(kit->worker, "reload", NULL);
    kit_expect_end(kit, "READY DRAINING STOPPING exited GONE");
    kit_expect_exit(kit, 5);
}

static void test_exit_while_draining(void **state)
{
    struct kit *kit = *state;
    kit_run(kit, LONG, READY HEAR "exit 4");
    kit_await(kit, WORKER_READY);
    worker_drain(kit->worker, "reload", NULL);
    kit_expect_end(kit, "READY DRAINING STOPPING exited GONE");
    kit_expect_exit(kit, 4);
    assert_false(kit->worker->stop_signalled);
}

static void test_disconnect_timeout(void **state)
{
    struct kit *kit = *state;
    kit_run(kit, "    disconnect_timeout: 20ms\n    drain_grace: 60s\n",
            READY "while " HEAR "do :; done");
    kit_await(kit, WORKER_READY);
    worker_drain(kit->worker, "reload", NULL);
    kit_await(kit, WORKER_STOPPING);
    assert_string_equal(kit->reason, "disconnect_timeout");
    kit_expect_end(kit, "READY DRAINING STOPPING exited GONE");
    kit_expect_killed_by(kit, SIGTERM);
}

static void test_drain_by_signal(void **state)
{
    struct kit *kit = *state;
    kit_run(kit, LONG "    drain: signal\n    drain_signal: USR1\n", DEAF);
    kit_await(kit, WORKER_READY);
    worker_drain(kit->worker, "reload", NULL);
    assert_true(kit->worker->drain_signalled);
    assert_false(channel_is_unread(kit->worker->channel));
    kit_expect_end(kit, "READY DRAINING STOPPING exited GONE");
    kit_expect_exit(kit, 7);
}

static void test_drain_by_message_alone(void **state)
{
    struct kit *kit = *state;
    kit_run(kit,
            "    drain: message\n    drain_grace: 1ms\n    disconnect_timeout: 50ms\n"
            "    drain_signal: KILL\n",
            DEAF);
    kit_await(kit, WORKER_READY);
    worker_drain(kit->worker, "reload", NULL);
    kit_expect_end(kit, "READY DRAINING STOPPING exited GONE");
    assert_false(kit->worker->drain_signalled);
    kit_expect_exit(kit, 7);
}

static void test_deaf_worker(void **state)
{
    struct kit *kit = *state;
    kit_run(kit, "    drain_grace: 1ms\n    disconnect_timeout: 60s\n    drain_signal: USR1\n",
            DEAF);
    kit_await(kit, WORKER_READY);
    worker_drain(kit->worker, "reload", NULL);
    assert_false(kit->worker->drain_signalled);
    kit_expect_end(kit, "READY DRAINING STOPPING exited GONE");
    kit_expect_exit(kit, 7);
    assert_true(kit->generation->habits->deaf);
    /* The next one is not waited for. */
    kit_start(kit);
    kit_await(kit, WORKER_READY);
    worker_drain(kit->worker, "reload", NULL);
    assert_true(kit->worker->drain_signalled);
    kit_expect_end(kit, "READY DRAINING STOPPING exited GONE");
}

/* It has said that it knows the message: late is not deaf. */
static void test_understanding_worker(void **state)
{
    struct kit *kit = *state;
    kit_run(kit, "    drain_grace: 1ms\n    disconnect_timeout: 50ms\n",
            "echo '{\"reloader\":\"hello\",\"drain\":true}' >&3; " DEAF);
    kit_await(kit, WORKER_READY);
    assert_true(kit->worker->understands);
    worker_drain(kit->worker, "reload", NULL);
    kit_expect_end(kit, "READY DRAINING STOPPING exited GONE");
    assert_false(kit->worker->drain_signalled);
    assert_false(kit->generation->habits->deaf);
}

static void test_drain_after_it_closed_its_channel(void **state)
{
    struct kit *kit = *state;
    kit_run(kit, LONG "    drain_signal: USR1\n",
            "sleep 100 3>&- & trap \"kill $!; exit 7\" USR1 TERM; " READY "exec 3>&-; " WAIT);
    kit_await(kit, WORKER_READY);
    RUN_UNTIL(kit->event, channel_is_closed(kit->worker->channel));
    worker_drain(kit->worker, "reload", NULL);
    assert_true(kit->worker->drain_signalled);
    kit_expect_end(kit, "READY DRAINING STOPPING exited GONE");
    kit_expect_exit(kit, 7);
}

static void test_it_closes_its_channel_unread(void **state)
{
    struct kit *kit = *state;
    kit_run(kit, LONG "    drain_signal: USR1\n",
            "sleep 100 3>&- & trap \"kill $!; exit 7\" USR1 TERM; trap 'exec 3>&-' USR2; " READY
            "wait; wait");
    kit_await(kit, WORKER_READY);
    worker_drain(kit->worker, "reload", NULL);
    assert_false(kit->worker->drain_signalled);
    assert_int_equal(kill(kit->worker->pid, SIGUSR2), 0);
    kit_expect_end(kit, "READY DRAINING STOPPING exited GONE");
    assert_true(kit->worker->drain_signalled);
    kit_expect_exit(kit, 7);
}

static void test_fully_closed_of_one_that_serves(void **state)
{
    struct kit *kit = *state;
    kit_run(kit, "", READY "echo '\"fully_closed\"' >&3; echo 1 >&3; " HEAR);
    kit_await_messages(kit, 1);
    live_run_ready(kit->event);
    assert_int_equal(kit->worker->state, WORKER_READY);
}

static void test_it_drains_by_itself(void **state)
{
    struct kit *kit = *state;
    kit_run(kit, LONG, READY HEAR "\"$NOTIFY_SAY\" STOPPING=1; echo 1 >&3; " HEAR "exit 0");
    kit_await(kit, WORKER_READY);
    kit_go(kit);
    kit_await(kit, WORKER_DRAINING);
    kit_await_messages(kit, 1);
    assert_false(channel_is_unread(kit->worker->channel));
    worker_drain(kit->worker, "told as well", NULL);
    assert_false(channel_is_unread(kit->worker->channel));
    kit_go(kit);
    kit_expect_end(kit, "READY DRAINING STOPPING exited GONE");
    kit_expect_exit(kit, 0);
    assert_false(kit->worker->asked_to_leave);
    assert_false(kit->worker->stop_signalled);
}

static void test_it_drains_by_itself_for_too_long(void **state)
{
    struct kit *kit = *state;
    kit_run(kit, "    disconnect_timeout: 20ms\n", READY "\"$NOTIFY_SAY\" STOPPING=1; " HEAR);
    kit_expect_end(kit, "READY DRAINING STOPPING exited GONE");
    kit_expect_killed_by(kit, SIGTERM);
}

static void test_stopping_before_ready_means_nothing(void **state)
{
    struct kit *kit = *state;
    kit_run(kit, "", "\"$NOTIFY_SAY\" STOPPING=1; " READY HEAR);
    kit_await(kit, WORKER_READY);
    assert_string_equal(kit->trace, "READY");
}

/* READY -> STOPPING, STOPPING -> GONE */

static void test_exit_of_one_that_serves(void **state)
{
    struct kit *kit = *state;
    kit_run(kit, "", READY HEAR "kill -SEGV $$");
    kit_await(kit, WORKER_READY);
    kit_go(kit);
    kit_expect_end(kit, "READY STOPPING exited GONE");
    assert_int_equal(kit->worker->exit.si_status, SIGSEGV);
    assert_false(kit->worker->asked_to_leave);
}

static void test_stop_signal(void **state)
{
    struct kit *kit = *state;
    kit_run(kit, LONG "    stop_signal: USR1\n", DEAF);
    kit_await(kit, WORKER_READY);
    worker_stop(kit->worker, "enough");
    assert_true(worker_is_leaving(kit->worker));
    kit_expect_end(kit, "READY STOPPING exited GONE");
    kit_expect_exit(kit, 7);
    assert_false(kit->worker->killed);
    worker_stop(kit->worker, "too late");
    worker_drain(kit->worker, "too late", NULL);
    assert_int_equal(kit->worker->state, WORKER_GONE);
}

static void test_stop_timeout(void **state)
{
    struct kit *kit = *state;
    kit_run(kit, "    stop_timeout: 20ms\n", "trap '' TERM; " READY "while :; do " HEAR "done");
    kit_await(kit, WORKER_READY);
    worker_stop(kit->worker, "enough");
    kit_expect_end(kit, "READY STOPPING exited GONE");
    kit_expect_killed_by(kit, SIGKILL);
    assert_true(kit->worker->killed);
}

static void test_stop_of_a_stopped_process(void **state)
{
    struct kit *kit = *state;
    siginfo_t info;
    kit_run(kit, LONG, READY "kill -STOP $$; " HEAR);
    kit_await(kit, WORKER_READY);
    assert_int_equal(waitid(P_PID, (id_t)kit->worker->pid, &info, WSTOPPED | WNOWAIT), 0);
    worker_stop(kit->worker, "enough");
    kit_expect_end(kit, "READY STOPPING exited GONE");
    kit_expect_killed_by(kit, SIGTERM);
}

/* What it says of itself */

static void expect_status(struct kit *kit, const char *script, const char *wanted)
{
    CLEANUP_FREE char *text = string_format("%s; echo 1 >&3; " HEAR, script);
    kit_run(kit, "", text);
    kit_await_messages(kit, 1);
    assert_string_equal(kit->worker->status, wanted);
    json_t *value = json_string(kit->worker->status);
    assert_non_null(value);
    json_decref(value);
}

static void test_status(void **state)
{
    struct kit *kit = *state;
    expect_status(kit, "\"$NOTIFY_SAY\" STATUS=busy", "busy");
    expect_status(kit, "\"$NOTIFY_SAY\" STATUS=a; \"$NOTIFY_SAY\" STATUS=b", "b");
    expect_status(kit, "echo '{\"reloader\":\"status\",\"text\":\"gr\u00fcn\"}' >&3", "gr\u00fcn");
}

/* It is shown as JSON and on terminals: whatever is no text there is not kept. */
static void test_hostile_status(void **state)
{
    struct kit *kit = *state;
    expect_status(kit, "\"$NOTIFY_SAY\" \"STATUS=a$(printf '\\377')b\"", "a?b");
    expect_status(kit, "\"$NOTIFY_SAY\" \"STATUS=a$(printf '\\033')[1mb\"", "a?[1mb");
    expect_status(kit, "\"$NOTIFY_SAY\" \"STATUS=a$(printf '\\302\\233\\302\\240')b\"",
                  "a??\u00a0b");
    expect_status(kit,
                  "printf '%s\\n' '{\"reloader\":\"status\",\"text\":\"two\\nlines\\u0000\"}' >&3",
                  "two?lines");
    /* Cut between characters: 255 bytes, and one of two bytes that has no room any more. */
    char wanted[256];
    memset(wanted, '0', 255);
    wanted[255] = '\0';
    expect_status(kit, "\"$NOTIFY_SAY\" \"STATUS=$(printf '%0255d\u00fc\u00fc' 0)\"", wanted);
}

/* The group */

/* A child that ignores TERM has said so; then its leader goes on. */
#define STUBBORN "(trap '' TERM; echo 1 >&3; exec sleep 100) & "

static void test_survivors_are_told_to_stop(void **state)
{
    struct kit *kit = *state;
    kit_run(kit, LONG, "sleep 100 & " READY HEAR "exit 0");
    kit_await(kit, WORKER_READY);
    kit_go(kit);
    kit_expect_end(kit, "READY STOPPING exited GONE");
    kit_expect_exit(kit, 0);
    assert_true(kit->worker->stop_signalled);
    assert_false(kit->worker->killed);
}

static void test_survivors_are_killed(void **state)
{
    struct kit *kit = *state;
    kit_run(kit, "    stop_timeout: 20ms\n", STUBBORN READY HEAR "exit 0");
    kit_await_messages(kit, 1);
    kit_await(kit, WORKER_READY);
    kit_go(kit);
    RUN_UNTIL(kit->event, kit->worker->exited);
    assert_int_equal(kit->worker->state, WORKER_STOPPING);
    kit_expect_end(kit, "READY STOPPING exited GONE");
    assert_true(kit->worker->killed);
}

/* The leader has left as it was asked to; its child may use what is left of the time for its connections. */
static void test_survivors_of_a_drain(void **state)
{
    struct kit *kit = *state;
    kit_run(kit, LONG, "sleep 100 & " READY HEAR "exit 0");
    kit_await(kit, WORKER_READY);
    worker_drain(kit->worker, "reload", NULL);
    uint64_t deadline = kit->worker->deadline_usec;
    RUN_UNTIL(kit->event, kit->worker->exited);
    assert_false(kit->worker->stop_signalled);
    assert_true(kit->worker->deadline_usec <= deadline + USEC_PER_SEC);
    assert_false(worker_is_leaving(kit->worker));
    worker_stop(kit->worker, "forced shutdown");
    assert_true(kit->worker->stop_signalled);
    kit_expect_end(kit, "READY DRAINING STOPPING exited GONE");
    assert_false(kit->worker->killed);
}

static void test_survivors_of_a_drain_run_out_of_time(void **state)
{
    struct kit *kit = *state;
    kit_run(kit, "    disconnect_timeout: 50ms\n    drain_grace: 60s\n    stop_timeout: 60s\n",
            "sleep 100 & " READY HEAR "exit 0");
    kit_await(kit, WORKER_READY);
    worker_drain(kit->worker, "reload", NULL);
    kit_expect_end(kit, "READY DRAINING STOPPING exited GONE");
    assert_true(kit->worker->stop_signalled);
    assert_false(kit->worker->killed);
}

static void test_mixed_stops_the_leader_and_kills_the_group(void **state)
{
    struct kit *kit = *state;
    kit_run(kit, "    stop_timeout: 20ms\n", STUBBORN READY HEAR);
    kit_await_messages(kit, 1);
    kit_await(kit, WORKER_READY);
    worker_stop(kit->worker, "enough");
    kit_expect_end(kit, "READY STOPPING exited GONE");
    kit_expect_killed_by(kit, SIGTERM);
    assert_true(kit->worker->killed);
}

/* Its turn comes when the leader is gone; nobody has to be killed. */
static void test_mixed_stops_the_group_after_the_leader(void **state)
{
    struct kit *kit = *state;
    kit_run(kit, LONG, "sleep 100 & " READY HEAR);
    kit_await(kit, WORKER_READY);
    worker_stop(kit->worker, "enough");
    kit_expect_end(kit, "READY STOPPING exited GONE");
    kit_expect_killed_by(kit, SIGTERM);
    assert_false(kit->worker->killed);
}

static void test_group_stops_all(void **state)
{
    struct kit *kit = *state;
    kit_run(kit, LONG "    kill_mode: group\n", "sleep 100 & " READY HEAR);
    kit_await(kit, WORKER_READY);
    worker_stop(kit->worker, "enough");
    kit_expect_end(kit, "READY STOPPING exited GONE");
    assert_false(kit->worker->killed);
}

static void test_process_leaves_the_others_alone(void **state)
{
    struct kit *kit = *state;
    kit_run(kit, "    kill_mode: process\n", "sleep 100 3>&- & echo $! >&3; " READY HEAR);
    kit_await(kit, WORKER_READY);
    assert_int_equal(kit->messages, 1);
    worker_stop(kit->worker, "enough");
    kit_expect_end(kit, "READY STOPPING exited GONE");
    assert_int_equal(kill((pid_t)kit->number, 0), 0);
    assert_int_equal(kill((pid_t)kit->number, SIGKILL), 0);
}

/* Start and end of the object */

static unsigned count_files(const struct kit *kit)
{
    unsigned n = 0;
    for (uint64_t id = 1; id <= kit->id; id++) {
        CLEANUP_FREE char *socket = string_format("%s/%d-%llu", kit->directory, (int)getpid(),
                                                  (unsigned long long)id);
        n += access(socket, F_OK) == 0;
    }
    return n;
}

static void test_what_cannot_be_started(void **state)
{
    struct kit *kit = *state;
    CLEANUP_FREE char *error = NULL;
    kit_configure(kit, "", "exit 0");
    char *shell = kit->generation->program->command[0];
    kit->generation->program->command[0] = strdup("no-such-program");
    unsigned before = live_count_fds();
    assert_int_equal(kit_try_start(kit, &error), -ENOENT);
    assert_string_equal(error, "web/0: cannot execute 'no-such-program': No such file or directory "
                               "(it is in no directory of its PATH)");
    assert_null(kit->worker);
    assert_int_equal(live_count_fds(), before);
    assert_int_equal(count_files(kit), 0);
    assert_int_equal(kit->generation->references, 1);
    free(kit->generation->program->command[0]);
    kit->generation->program->command[0] = shell;
}

/* With just as many descriptors as one worker takes. The first has exited, but is not reaped yet. */
static void test_started_with_what_the_last_one_held(void **state)
{
    struct kit *kit = *state;
    unsigned spare = 0;
    int r = -EMFILE;
    kit_configure(kit, "", "exit 3");
    for (; r == -EMFILE; spare++) {
        CLEANUP_FREE char *error = NULL;
        live_begin_scarcity(spare);
        r = kit_try_start(kit, &error);
        assert_true(r == 0 || string_starts_with(error, "web/0: "));
    }
    assert_int_equal(r, 0);
    RUN_UNTIL(kit->event, kit->worker->exited);
    assert_int_equal(kit->worker->state, WORKER_STOPPING);
    struct worker *first = kit->worker;
    kit->worker = NULL;
    kit_start(kit);
    live_end_scarcity();
    assert_int_equal(first->state, WORKER_GONE);
    (void)worker_free(first);
    kit_expect_end(kit, "GONE STOPPING exited GONE");
}

/* The tear-down looks whether anything is left of it. */
static void test_freed_in_any_state(void **state)
{
    struct kit *kit = *state;
    unsigned before = live_count_fds();
    kit_run(kit, "    ready: message\n" LONG, STUBBORN HEAR READY HEAR HEAR);
    kit->worker = worker_free(kit->worker);
    kit_start(kit);
    kit_await_messages(kit, 1);
    pid_t group = kit->worker->pid;
    kit->worker = worker_free(kit->worker);
    assert_int_equal(kill(group, 0), -1);
    kit_start(kit);
    kit_go(kit);
    kit_await(kit, WORKER_READY);
    assert_int_equal(count_files(kit), 1);
    kit->worker = worker_free(kit->worker);
    kit_start(kit);
    kit_go(kit);
    kit_await(kit, WORKER_READY);
    worker_drain(kit->worker, "reload", NULL);
    kit->worker = worker_free(kit->worker);
    kit_start(kit);
    worker_stop(kit->worker, "enough");
    kit->worker = worker_free(kit->worker);
    assert_int_equal(count_files(kit), 0);
    assert_int_equal(kit->generation->references, 1);
    assert_int_equal(live_count_fds(), before + 1); /* the directory that the generation holds */
}

#define A_TEST(name) cmocka_unit_test_setup_teardown(name, kit_set_up, kit_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        A_TEST(test_it_says_that_it_is_ready),
        A_TEST(test_it_notifies_that_it_is_ready),
        A_TEST(test_ready_by_notify_alone),
        A_TEST(test_ready_by_message_alone),
        A_TEST(test_ready_by_time),
        A_TEST(test_ready_after),
        A_TEST(test_a_late_announcement_is_learned),
        A_TEST(test_start_timeout),
        A_TEST(test_exit_before_it_is_ready),
        A_TEST(test_exit_right_behind_ready),
        A_TEST(test_exit_behind_a_flood),
        A_TEST(test_drain_before_it_is_ready),
        A_TEST(test_extended_timeout),
        A_TEST(test_start_timeout_ends_at_the_cap),
        A_TEST(test_drain_by_message),
        A_TEST(test_the_message_is_what_is_configured),
        A_TEST(test_exit_while_draining),
        A_TEST(test_disconnect_timeout),
        A_TEST(test_drain_by_signal),
        A_TEST(test_drain_by_message_alone),
        A_TEST(test_deaf_worker),
        A_TEST(test_understanding_worker),
        A_TEST(test_drain_after_it_closed_its_channel),
        A_TEST(test_it_closes_its_channel_unread),
        A_TEST(test_fully_closed_of_one_that_serves),
        A_TEST(test_it_drains_by_itself),
        A_TEST(test_it_drains_by_itself_for_too_long),
        A_TEST(test_stopping_before_ready_means_nothing),
        A_TEST(test_exit_of_one_that_serves),
        A_TEST(test_stop_signal),
        A_TEST(test_stop_timeout),
        A_TEST(test_stop_of_a_stopped_process),
        A_TEST(test_status),
        A_TEST(test_hostile_status),
        A_TEST(test_survivors_are_told_to_stop),
        A_TEST(test_survivors_are_killed),
        A_TEST(test_survivors_of_a_drain),
        A_TEST(test_survivors_of_a_drain_run_out_of_time),
        A_TEST(test_mixed_stops_the_leader_and_kills_the_group),
        A_TEST(test_mixed_stops_the_group_after_the_leader),
        A_TEST(test_group_stops_all),
        A_TEST(test_process_leaves_the_others_alone),
        A_TEST(test_what_cannot_be_started),
        A_TEST(test_started_with_what_the_last_one_held),
        A_TEST(test_freed_in_any_state),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
