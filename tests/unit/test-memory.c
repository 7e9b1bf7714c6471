/* Giving memory back takes nothing that was written, and does give something back. */
#include "base/memory.h"

#include "base/parse.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

/* Pointers in constant data are written by the loader before it makes their pages read-only. */
static const char *const names[] = {"one", "two", "three"};

static unsigned long file_pages_kib(void)
{
    unsigned long kib = 0;
    char line[256];
    FILE *status = fopen("/proc/self/status", "re");
    assert_non_null(status);
    while (fgets(line, sizeof(line), status))
        if (sscanf(line, "RssFile: %lu", &kib) == 1)
            break;
    (void)fclose(status);
    return kib;
}

static void test_what_was_written_stays(void **state)
{
    (void)state;
    char *text = strdup("kept");
    assert_non_null(text);
    memory_give_back();
    assert_string_equal(text, "kept");
    assert_string_equal(names[2], "three");
    uint64_t usec;
    assert_int_equal(parse_duration("90s", &usec), 0);
    assert_int_equal(usec, 90000000);
    free(text);
}

static void test_it_gives_back(void **state)
{
    (void)state;
    /* Something of a library that nobody needs afterwards. */
    struct tm day = {.tm_year = 126, .tm_mday = 1};
    char text[64];
    assert_true(mktime(&day) != -1 && strftime(text, sizeof(text), "%A %B %Z", &day) > 0);
    unsigned long before = file_pages_kib();
    memory_give_back();
    unsigned long after = file_pages_kib();
    assert_true(before > 0 && after < before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_was_written_stays),
        cmocka_unit_test(test_it_gives_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
