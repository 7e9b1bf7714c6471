/* test-gateway-setup.c - what the master hands to the gateway. */
#include "base/fd.h"
#include "gateway/http.h"
#include "gateway/setup.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

static int hear(struct setup *setup, const char *text)
{
    return setup_hear(setup, text, strlen(text));
}

static void test_message(void **state UNUSED)
{
    struct setup setup = {.is_told = false};
    assert_int_equal(hear(&setup, "{\"cmd\":\"gateway\",\"username\":\"admin\",\"password\":true,"
                                  "\"public\":[\"healthz\",\"metrics\",\"later\",7]}"),
                     0);
    assert_true(setup.is_told && setup.has_password);
    assert_string_equal(setup.username, "admin");
    assert_int_equal(setup.public, HTTP_PUBLIC_HEALTHZ | HTTP_PUBLIC_METRICS);
    /* It counts once. */
    assert_int_equal(hear(&setup, "{\"cmd\":\"gateway\"}"), -ENOMSG);
    assert_string_equal(setup.username, "admin");
    setup_clear(&setup);
}

static void test_nobody_is_asked(void **state UNUSED)
{
    struct setup setup = {.is_told = false};
    assert_int_equal(hear(&setup, "{\"cmd\":\"gateway\",\"public\":[]}"), 0);
    assert_null(setup.username);
    assert_false(setup.has_password);
    assert_int_equal(setup.public, 0);
    setup_clear(&setup);
}

static void test_others(void **state UNUSED)
{
    static const char *const others[] = {"", "7", "[]", "{", "{\"cmd\":7}", "{\"cmd\":\"other\"}"};
    for (size_t i = 0; i < ARRAY_SIZE(others); i++) {
        struct setup setup = {.is_told = false};
        assert_int_equal(hear(&setup, others[i]), -ENOMSG);
        assert_false(setup.is_told);
        setup_clear(&setup);
    }
}

static void test_what_makes_no_sense(void **state UNUSED)
{
    static const char *const bad[] = {
        "{\"cmd\":\"gateway\",\"username\":7,\"password\":true}",
        "{\"cmd\":\"gateway\",\"username\":\"admin\"}",
        "{\"cmd\":\"gateway\",\"username\":\"admin\",\"password\":false}",
    };
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        struct setup setup = {.is_told = false};
        assert_int_equal(hear(&setup, bad[i]), -EBADMSG);
        setup_clear(&setup);
    }
}

static int read_password(const char *text, size_t size, char **ret)
{
    CLEANUP_FD int fd = memfd_create("password", MFD_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, size), (ssize_t)size);
    return setup_read_password(fd, ret);
}

static void expect_password(const char *text, const char *expected)
{
    CLEANUP_FREE char *password = NULL;
    assert_int_equal(read_password(text, strlen(text), &password), 0);
    assert_string_equal(password, expected);
}

static void test_password(void **state UNUSED)
{
    expect_password("secret", "secret");
    expect_password("secret\n", "secret");
    expect_password("secret\r\n", "secret");
    expect_password(" two words \n\n", " two words \n");
    expect_password("", "");
}

static void test_password_that_is_none(void **state UNUSED)
{
    static char large[SETUP_PASSWORD_MAX + 1];
    char *password = NULL;
    memset(large, 'x', sizeof(large));
    assert_int_equal(read_password("a\0b", 3, &password), -EBADMSG);
    assert_int_equal(read_password(large, sizeof(large), &password), -EFBIG);
    assert_null(password);
    assert_int_equal(read_password(large, sizeof(large) - 1, &password), 0);
    free(password);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_message),  cmocka_unit_test(test_nobody_is_asked),
        cmocka_unit_test(test_others),   cmocka_unit_test(test_what_makes_no_sense),
        cmocka_unit_test(test_password), cmocka_unit_test(test_password_that_is_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
