/* test-gateway-gzip.c - what is packed, that it is the same again, and that whoever gets it is told. */
#include "base/macros.h"
#include "gateway/accept.h"
#include "gateway/http-internal.h"
#include "http-kit.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
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

/* Content-Type, Vary and Content-Encoding. */
#define OWN_HEADERS 3
#define LETTERS     4000

static unsigned spare; /* places for headers of an answer */
static bool is_shared; /* its body */

static void reply_letters(struct http_request *request)
{
    CLEANUP_FREE char *text = malloc(LETTERS);
    char name[16];
    for (unsigned i = 0; i + spare < HTTP_REPLY_HEADERS_MAX; i++) {
        (void)snprintf(name, sizeof(name), "X-%u", i);
        http_add_header(request, name, "y");
    }
    memset(text, 'a', LETTERS);
    if (!is_shared) {
        http_reply(request, 200, "text/plain", text, LETTERS);
        return;
    }
    struct http_body *body;
    assert_int_equal(http_body_new(text, LETTERS, NULL, NULL, &body), 0);
    TAKE_PTR(text);
    http_reply_body(request, 200, "text/plain", body);
    (void)http_body_unref(body);
}

static void expect_letters(void)
{
    static char letters[LETTERS + 1];
    memset(letters, 'a', LETTERS);
    forget();
    CLEANUP_FD int fd = connect_client();
    say(fd,
        "GET /own HTTP/1.1\r\nHost: here\r\nAccept-Encoding: gzip\r\nConnection: close\r\n\r\n");
    run_until(is_closed(fd));
    assert_non_null(strstr(fixture.text, "HTTP/1.1 200 OK\r\n"));
    bool is_packed = strstr(fixture.text, "Content-Encoding: gzip\r\n") != NULL;
    bool is_plain = strstr(fixture.text, letters) != NULL;
    assert_true(is_packed != is_plain);
    assert_int_equal(is_packed, spare >= OWN_HEADERS);
}

/* As it is where memory is short. */
static void test_no_place_for_its_header(void **state UNUSED)
{
    fixture.own = reply_letters;
    for (spare = 0; spare <= OWN_HEADERS; spare++) {
        is_shared = false;
        expect_letters();
        is_shared = true;
        expect_letters();
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_same_again),
        cmocka_unit_test(test_not_worth_it),
        cmocka_unit_test(test_accepted),
        with_server(test_no_place_for_its_header),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
