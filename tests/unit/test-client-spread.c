/*
 * test-client-spread.c - libreloader: over what time a worker ends its connections, as the master says.
 */
#include "base/fd.h"
#include "client/reloader.h"

#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#define SPREAD(msec) "{\"reloader\":\"disconnect_spread\",\"msec\":" msec "}\n"
#define DRAIN        "\"graceful_shutdown\"\n"

struct fixture {
    struct reloader *reloader;
    int master;
};

static int set_up(void **state)
{
    static struct fixture fixture;
    int pair[2];
    char text[32];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    (void)snprintf(text, sizeof(text), "%d", pair[1]);
    assert_int_equal(setenv("RELOADER_CHANNEL_FD", text, 1), 0);
    assert_int_equal(setenv("RELOADER_DISCONNECT_SPREAD", "30000", 1), 0);
    assert_int_equal(reloader_new(RELOADER_UNSET_ENVIRONMENT, &fixture.reloader), 0);
    assert_null(getenv("RELOADER_DISCONNECT_SPREAD"));
    fixture.master = pair[0];
    *state = &fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    fixture->reloader = reloader_free(fixture->reloader);
    fixture->master = fd_close(fixture->master);
    return 0;
}

static void tell(const struct fixture *fixture, const char *text)
{
    assert_int_equal(write(fixture->master, text, strlen(text)), strlen(text));
}

static const char *heard(const struct fixture *fixture)
{
    static char text[4096];
    ssize_t n = recv(fixture->master, text, sizeof(text) - 1, MSG_DONTWAIT);
    text[n > 0 ? n : 0] = '\0';
    return text;
}

static void expect_event(const struct fixture *fixture, enum reloader_event_type type)
{
    struct reloader_event event;
    assert_int_equal(reloader_process(fixture->reloader, &event), 1);
    assert_int_equal(event.type, type);
    assert_null(event.message);
}

static void expect_nothing(const struct fixture *fixture)
{
    struct reloader_event event;
    assert_int_equal(reloader_process(fixture->reloader, &event), 0);
}

static void it_is_known_with_the_word(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(reloader_disconnect_spread(f->reloader), 0);
    tell(f, SPREAD("30000") DRAIN);
    expect_event(f, RELOADER_GRACEFUL_SHUTDOWN);
    assert_int_equal(reloader_disconnect_spread(f->reloader), 30000);
    expect_nothing(f);
}

static void it_is_none_unless_said(void **state)
{
    struct fixture *f = *state;
    tell(f, DRAIN);
    expect_event(f, RELOADER_GRACEFUL_SHUTDOWN);
    assert_int_equal(reloader_disconnect_spread(f->reloader), 0);
    assert_int_equal(reloader_disconnect_delay(f->reloader, 5, 10), 0);
}

/* A shutdown that begins meanwhile. */
static void it_ends_while_we_drain(void **state)
{
    struct fixture *f = *state;
    tell(f, SPREAD("30000") DRAIN SPREAD("30000") SPREAD("0"));
    expect_event(f, RELOADER_GRACEFUL_SHUTDOWN);
    assert_int_equal(reloader_disconnect_spread(f->reloader), 30000);
    expect_event(f, RELOADER_DISCONNECT_SPREAD);
    assert_int_equal(reloader_disconnect_spread(f->reloader), 0);
    expect_nothing(f);
}

static void what_is_no_number_is_dropped(void **state)
{
    struct fixture *f = *state;
    tell(f, SPREAD("-1") SPREAD("") SPREAD("1.5") SPREAD("\"7\"") SPREAD("4294967296")
                SPREAD("99999999999999999999999") SPREAD("7}")
                    SPREAD("7,\"x\":1") "{\"reloader\":\"disconnect_spread\",\"msec\":7\n"
                                        "{\"reloader\":\"disconnect_spread\"}\n");
    expect_nothing(f);
    assert_int_equal(reloader_disconnect_spread(f->reloader), 0);
    tell(f, SPREAD("4294967295"));
    expect_nothing(f);
    assert_int_equal(reloader_disconnect_spread(f->reloader), UINT_MAX);
}

static void delays_are_even(void **state)
{
    static const char *const spreads[] = {"1", "7", "30000", "4294967295"};
    static const size_t counts[] = {1, 2, 3, 7, 1000, 100000};
    struct fixture *f = *state;
    for (size_t s = 0; s < ARRAY_SIZE(spreads); s++) {
        char line[100];
        (void)snprintf(line, sizeof(line), SPREAD("%s"), spreads[s]);
        tell(f, line);
        expect_nothing(f);
        unsigned spread = reloader_disconnect_spread(f->reloader);
        for (size_t c = 0; c < ARRAY_SIZE(counts); c++) {
            size_t n = counts[c];
            unsigned before = reloader_disconnect_delay(f->reloader, 0, n);
            assert_in_range(before, 0, spread / n + 1);
            for (size_t i = 1; i < n; i++) {
                unsigned delay = reloader_disconnect_delay(f->reloader, i, n);
                assert_in_range(delay - before, spread / n, spread / n + 1);
                assert_true(delay <= spread);
                before = delay;
            }
        }
    }
}

/* Numbers out of the range are an error of the caller's that costs nobody a connection early. */
static void delays_of_odd_numbers(void **state)
{
    struct fixture *f = *state;
    tell(f, SPREAD("1000"));
    expect_nothing(f);
    assert_int_equal(reloader_disconnect_delay(f->reloader, 3, 3), 1000);
    assert_int_equal(reloader_disconnect_delay(f->reloader, SIZE_MAX, 3), 1000);
    assert_int_equal(reloader_disconnect_delay(f->reloader, 0, 0), 0);
    assert_int_equal(reloader_disconnect_delay(f->reloader, SIZE_MAX / 2, SIZE_MAX), 500);
}

/* Workers with one connection each do not end them at the same time. */
static void others_are_not_in_step(void **state)
{
    unsigned differ = 0, first = 0;
    for (int i = 0; i < 8; i++) {
        (void)tear_down(state);
        (void)set_up(state);
        const struct fixture *f = *state;
        tell(f, SPREAD("4000000000"));
        expect_nothing(f);
        unsigned delay = reloader_disconnect_delay(f->reloader, 0, 1);
        assert_int_equal(reloader_disconnect_delay(f->reloader, 0, 1), delay);
        differ += i > 0 && delay != first;
        first = i == 0 ? delay : first;
    }
    assert_true(differ > 0);
}

static void hello(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(reloader_hello(f->reloader), 0);
    assert_string_equal(heard(f), "{\"reloader\":\"hello\",\"drain\":true}\n");
    assert_int_equal(reloader_hello_spread(f->reloader), 0);
    assert_string_equal(heard(f), "{\"reloader\":\"hello\",\"drain\":true,\"spread\":true}\n");
}

static void alone(void **state)
{
    (void)state;
    struct reloader *reloader;
    assert_int_equal(reloader_new(0, &reloader), 0);
    assert_int_equal(reloader_hello_spread(reloader), 0);
    assert_int_equal(reloader_disconnect_spread(reloader), 0);
    assert_int_equal(reloader_disconnect_delay(reloader, 1, 2), 0);
    reloader_free(reloader);
}

#define WITH(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH(it_is_known_with_the_word), WITH(it_is_none_unless_said),
        WITH(it_ends_while_we_drain),    WITH(what_is_no_number_is_dropped),
        WITH(delays_are_even),           WITH(delays_of_odd_numbers),
        WITH(others_are_not_in_step),    WITH(hello),
        cmocka_unit_test(alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
