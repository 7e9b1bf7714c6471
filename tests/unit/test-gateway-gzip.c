/* test-gateway-gzip.c - what is packed, and that it is the same again. */
#include "base/macros.h"
#include "gateway/accept.h"
#include "gateway/http-internal.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <zlib.h>

#include <cmocka.h>

#define SIZE ((size_t)100 * 1000)

static void unpack(char *packed, size_t size, char *text, size_t text_size)
{
    z_stream stream = {.next_in = (unsigned char *)packed, .avail_in = (unsigned)size};
    assert_int_equal(inflateInit2(&stream, MAX_WBITS + 16), Z_OK);
    stream.next_out = (unsigned char *)text;
    stream.avail_out = (unsigned)text_size;
    assert_int_equal(inflate(&stream, Z_FINISH), Z_STREAM_END);
    assert_int_equal(stream.avail_in, 0);
    assert_int_equal(stream.avail_out, 0);
    assert_int_equal(inflateEnd(&stream), Z_OK);
}

static void test_the_same_again(void **state UNUSED)
{
    static char text[SIZE], again[SIZE];
    CLEANUP_FREE char *packed = NULL;
    size_t size = 0;
    for (size_t i = 0; i < SIZE; i++)
        text[i] = "state=\"READY\"} "[i % 15];
    assert_int_equal(http_gzip(text, SIZE, &packed, &size), 0);
    assert_in_range(size, 20, SIZE / 10);
    unpack(packed, size, again, SIZE);
    assert_memory_equal(text, again, SIZE);
}

static void test_not_worth_it(void **state UNUSED)
{
    static unsigned char noise[SIZE];
    char *packed = NULL;
    size_t size = 0;
    unsigned number = 1;
    for (size_t i = 0; i < SIZE; i++) {
        number = number * 1103515245 + 12345;
        noise[i] = (unsigned char)(number >> 16);
    }
    assert_int_equal(http_gzip(noise, SIZE, &packed, &size), -ENOSPC);
    assert_null(packed);
}

static void test_accepted(void **state UNUSED)
{
    static const struct {
        const char *header;
        bool named;
    } cases[] = {
        {NULL, false},
        {"", false},
        {"gzip", true},
        {"GZip", true},
        {"identity, gzip", true},
        {"deflate , gzip;q=0.5", true},
        {"gzip;q=0", false},
        {"gzip; q=0.0, deflate", false},
        {"gzip ;q=0.001", true},
        {"*", false},
        {"gzipped, xgzip", false},
        {"deflate;gzip", false},
        {",, ,gzip", true},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
        if (accept_names(cases[i].header, "gzip") != cases[i].named)
            fail_msg("wrong about %s", cases[i].header);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_same_again),
        cmocka_unit_test(test_not_worth_it),
        cmocka_unit_test(test_accepted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
