/* test-gateway-events.c - events as server-sent events: their text, ids, what a client asks for, and its walk through what is kept. */
#include "base/macros.h"
#include "base/strv.h"
#include "gateway/event-cursor.h"

#include <errno.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#define START 1763740000000000ull
#define NOW   1763740600000000ull

static struct event_log event_log;
static struct event_cursor cursor;
/* What the client got, and how much of it it takes. */
static char *got;
static size_t room;

static int set_up(UNUSED void **state)
{
    event_log_init(&event_log);
    event_log_begin(&event_log, START);
    cursor = (struct event_cursor){0};
    got = calloc(1, 1);
    room = SIZE_MAX;
    return 0;
}

static int tear_down(UNUSED void **state)
{
    event_log_clear(&event_log);
    event_cursor_end(&cursor);
    free(TAKE_PTR(got));
    return 0;
}

static int take(const char *text, size_t size, UNUSED void *userdata)
{
    if (size > room)
        return -ENOBUFS;
    room -= size;
    char *longer = string_format("%s%.*s", got, (int)size, text);
    free(got);
    got = longer;
    return 0;
}

/* What comes at this, and no more. */
static void assert_fed(bool whole, const char *wanted)
{
    free(got);
    got = calloc(1, 1);
    assert_int_equal(event_cursor_feed(&cursor, &event_log, take, NULL), whole);
    assert_string_equal(got, wanted);
}

/* The event under that number, a second after the one before it. */
static void add(uint64_t sequence, const char *program)
{
    json_auto_t *event = json_pack("{s:s, s:I, s:s}", "type", "worker", "time_usec",
                                   (json_int_t)(START + sequence * USEC_PER_SEC), "program", program);
    assert_int_equal(event_log_add(&event_log, sequence, event), 0);
}

/* And how it reads. */
#define TEXT_SIZE 256
static const char *text(uint64_t sequence, const char *program, char buffer[TEXT_SIZE])
{
    (void)snprintf(buffer, TEXT_SIZE,
                   "id: %llu-%" PRIu64 "\nevent: worker\ndata: {\"type\":\"worker\",\"time_usec\":%" PRIu64
                   ",\"program\":\"%s\"}\n\n",
                   START, sequence, (uint64_t)(START + sequence * USEC_PER_SEC), program);
    return buffer;
}

/* With the parameters "name=value&…", and the header's id. */
static int try_begin(const char *query, const char *id, const char **ret_why)
{
    struct event_wish wish = {0};
    CLEANUP_FREE char *copy = strdup(query);
    char *rest = copy, *part;
    int r = 0;
    while (r == 0 && (part = strsep(&rest, "&")) && *part != '\0') {
        char *value = part;
        const char *name = strsep(&value, "=");
        r = event_wish_add(&wish, name, value ? value : "", NOW, ret_why);
    }
    event_wish_complete(&wish, id);
    event_cursor_end(&cursor);
    event_cursor_begin(&cursor, &wish, &event_log);
    event_wish_clear(&wish);
    return r;
}

static void begin(const char *query, const char *id)
{
    const char *why = NULL;
    assert_int_equal(try_begin(query, id, &why), 0);
    assert_null(why);
}

static void assert_refused(const char *query, const char *part)
{
    const char *why = NULL;
    assert_int_equal(try_begin(query, NULL, &why), -EINVAL);
    assert_non_null(why);
    assert_non_null(strstr(why, part));
}

static void test_ids(UNUSED void **state)
{
    struct event_id id = {.start = 7, .sequence = 8};
    static const char *const wrong[] = {"", "-", "-5", "5-", "0-5", "5-x", "x-5", "1-2-3", " 1-2", "+1-2",
                                        "5m", "99999999999999999999999-1", "1-9223372036854775807"};
    for (size_t i = 0; i < ARRAY_SIZE(wrong); i++)
        assert_int_equal(event_id_parse(wrong[i], &id), -EINVAL);
    assert_int_equal(id.start, 7);
    assert_int_equal(event_id_parse("0", &id), 0);
    assert_true(id.start == 0 && id.sequence == 0);
    assert_int_equal(event_id_parse("1763740000000000-212", &id), 0);
    assert_true(id.start == START && id.sequence == 212);
}

/* An event is one block of lines, whatever is in it. */
static void test_text(UNUSED void **state)
{
    json_auto_t *event = json_pack("{s:s, s:i, s:s}", "type", "log", "time_usec", 5, "text", "a\n\nid: 1-1\r\n");
    begin("", NULL);
    assert_int_equal(event_log_add(&event_log, 1, event), 0);
    assert_fed(true, "id: 1763740000000000-1\nevent: log\n"
                     "data: {\"type\":\"log\",\"time_usec\":5,\"text\":\"a\\n\\nid: 1-1\\r\\n\"}\n\n");
    json_auto_t *odd = json_pack("{s:s}", "type", "a\ndata: b");
    assert_int_equal(event_log_add(&event_log, 2, odd), 0);
    assert_fed(true, "id: 1763740000000000-2\nevent: other\ndata: {\"type\":\"a\\ndata: b\"}\n\n");
}

static void test_too_large(UNUSED void **state)
{
    CLEANUP_FREE char *large = calloc(1, EVENT_TEXT_MAX + 1);
    memset(large, 'x', EVENT_TEXT_MAX);
    json_auto_t *event = json_pack("{s:s, s:i, s:s}", "type", "message", "time_usec", 5, "value", large);
    begin("", NULL);
    assert_int_equal(event_log_add(&event_log, 1, event), 0);
    assert_fed(true, "id: 1763740000000000-1\nevent: message\n"
                     "data: {\"omitted\":[\"value\"],\"type\":\"message\",\"time_usec\":5}\n\n");
}

/* What was and what comes are one walk. */
static void test_resumes(UNUSED void **state)
{
    char one[TEXT_SIZE], two[TEXT_SIZE], three[TEXT_SIZE];
    CLEANUP_FREE char *both = string_format("%s%s", text(2, "a", two), text(3, "b", three));
    add(1, "a");
    begin("", NULL);
    assert_fed(true, "");
    add(2, "a");
    assert_fed(true, two);
    assert_fed(true, "");
    add(3, "b");
    begin("since=1", NULL);
    assert_fed(true, both);
    begin("last_event_id=1763740000000000-1", NULL);
    assert_fed(true, both);
    begin("since=1", "1763740000000000-2");
    assert_fed(true, three);
    begin("since=1", "");
    assert_fed(true, both);
    begin("since=1", "1763740000000000-3");
    assert_fed(true, "");
    CLEANUP_FREE char *all = string_format("%s%s", text(1, "a", one), both);
    begin("since=0", NULL);
    assert_fed(true, all);
}

static void test_since_a_time(UNUSED void **state)
{
    char last[TEXT_SIZE];
    for (uint64_t i = 1; i <= 10; i++)
        add(i, "a");
    begin("since_usec=1763740010000000", NULL);
    assert_fed(true, text(10, "a", last));
    begin("since=590s", NULL);
    assert_fed(true, last);
    begin("since=589s", NULL);
    assert_fed(true, "");
}

/* Who reads slowly gets it all, in its own time. */
static void test_no_room(UNUSED void **state)
{
    char one[TEXT_SIZE], two[TEXT_SIZE];
    begin("", NULL);
    add(1, "a");
    add(2, "b");
    room = strlen(text(1, "a", one)) + 5;
    assert_fed(false, one);
    assert_fed(false, "");
    assert_int_equal(event_cursor_id(&cursor).sequence, 1);
    room = SIZE_MAX;
    assert_fed(true, text(2, "b", two));
}

static void test_missed(UNUSED void **state)
{
    char text_of[TEXT_SIZE];
    begin("", NULL);
    event_log_skip(&event_log, 5);
    room = 10;
    assert_fed(false, "");
    room = SIZE_MAX;
    assert_fed(true, "id: 1763740000000000-5\nevent: missed\ndata: {\"first\":1,\"last\":5}\n\n");
    add(8, "a");
    CLEANUP_FREE char *wanted = string_format(
        "id: 1763740000000000-7\nevent: missed\ndata: {\"first\":6,\"last\":7}\n\n%s", text(8, "a", text_of));
    assert_fed(true, wanted);
    begin("since_usec=0", NULL);
    free(got);
    got = calloc(1, 1);
    assert_true(event_cursor_feed(&cursor, &event_log, take, NULL));
    assert_non_null(strstr(got, "event: missed\ndata: {\"last\":7}\n\n"));
    assert_fed(true, "");
}

/* One that stood still while the log forgot what it did not read. */
static void test_forgotten(UNUSED void **state)
{
    begin("program=none", NULL);
    struct event_cursor filtered = cursor;
    cursor = (struct event_cursor){0};
    begin("", NULL);
    for (uint64_t i = 1; i <= EVENT_RING_EVENTS_MAX + 10; i++)
        add(i, "a");
    room = 100;
    assert_fed(false, "id: 1763740000000000-10\nevent: missed\ndata: {\"first\":1,\"last\":10}\n\n");
    event_cursor_end(&cursor);
    cursor = filtered;
    room = SIZE_MAX;
    assert_fed(true, "id: 1763740000000000-10\nevent: missed\ndata: {\"first\":1,\"last\":10}\n\n");
    assert_int_equal(event_cursor_id(&cursor).sequence, EVENT_RING_EVENTS_MAX + 10);
}

#define RESTARTED "id: 1763740000000000-0\nevent: missed\ndata: {\"restarted\":true}\n\n"

static void test_another_master(UNUSED void **state)
{
    char one[TEXT_SIZE];
    static const char *const ids[] = {"1763730000000000-1", "1763730000000000-900", "2", "nonsense"};
    add(1, "a");
    CLEANUP_FREE char *wanted = string_format(RESTARTED "%s", text(1, "a", one));
    for (size_t i = 0; i < ARRAY_SIZE(ids); i++) {
        begin("", ids[i]);
        assert_fed(true, wanted);
    }
    begin("", NULL);
    event_log_begin(&event_log, START + 1);
    assert_fed(true, "id: 1763740000000001-0\nevent: missed\ndata: {\"restarted\":true}\n\n");
    assert_int_equal(event_cursor_id(&cursor).start, START + 1);
}

/* Another gateway told it already; this one comes to it soon. */
static void test_ahead(UNUSED void **state)
{
    char four[TEXT_SIZE];
    add(1, "a");
    begin("", "1763740000000000-3");
    assert_fed(true, "");
    for (uint64_t i = 2; i <= 4; i++)
        add(i, "a");
    assert_fed(true, text(4, "a", four));
}

static void test_told_again(UNUSED void **state)
{
    begin("", NULL);
    add(5, "a");
    add(5, "a");
    add(4, "a");
    assert_int_equal(event_log.ring.n, 1);
    assert_int_equal(event_log.ring.last, 5);
}

static void add_message(uint64_t sequence, const char *command)
{
    json_auto_t *event = json_pack("{s:s, s:s, s:{s:s}}", "type", "message", "program", "web", "value", "cmd",
                                   command);
    assert_int_equal(event_log_add(&event_log, sequence, event), 0);
}

/* The numbers that come of 1: worker of a, 2: worker of b, 3: message x, 4: message y, both of web. */
static void assert_passes(const char *query, const char *numbers)
{
    CLEANUP_FREE char *all = string_format("since=0%s%s", *query ? "&" : "", query);
    char found[16] = "";
    begin(all, NULL);
    free(got);
    got = calloc(1, 1);
    assert_true(event_cursor_feed(&cursor, &event_log, take, NULL));
    for (const char *at = got; (at = strstr(at, "id: 1763740000000000-")); at++)
        strncat(found, at + 21, 1);
    assert_string_equal(found, numbers);
}

static void test_filters(UNUSED void **state)
{
    add(1, "a");
    add(2, "b");
    add_message(3, "x");
    add_message(4, "y");
    assert_passes("", "1234");
    assert_passes("type=worker", "12");
    assert_passes("type=message,worker", "1234");
    assert_passes("type=message&type=reload", "34");
    assert_passes("program=a&program=web", "134");
    assert_passes("program=c", "");
    assert_passes("cmd=x", "3");
    assert_passes("cmd=x&cmd=y&program=web", "34");
    assert_passes("cmd=x&type=message,worker", "123");
}

static void test_refused(UNUSED void **state)
{
    assert_refused("type=workers", "reload");
    assert_refused("type=", "reload");
    assert_refused("type=worker,", "reload");
    assert_refused("program=", "need a value");
    assert_refused("cmd", "need a value");
    assert_refused("since=yesterday", "like 5m");
    assert_refused("last_event_id=1-2-3", "like 5m");
    assert_refused("since_usec=5m", "microseconds");
    assert_refused("types=worker", "the parameters are");
    CLEANUP_FREE char *many = calloc(1, 1024);
    for (size_t i = 0; i < EVENT_WISH_WORDS_MAX; i++)
        strcat(many, "program=a&");
    begin(many, NULL);
    strcat(many, "program=b");
    assert_refused(many, "64 times");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_ids, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_text, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_too_large, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_resumes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_since_a_time, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_no_room, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_missed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_forgotten, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_another_master, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_ahead, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_told_again, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_filters, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_refused, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
