/* Who is served: credentials, Host, site, and how long failures wait. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "gateway/access.h"
#include "gateway/credentials.h"
#include "gateway/failures.h"
#include "gateway/site.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>

enum { PUBLIC_HEALTHZ = 1, PUBLIC_METRICS = 4 };

/* "secret", and cheap as bcrypt goes. */
#define COSTLY "$2b$04$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW"

#define ADMIN_SECRET "Basic YWRtaW46c2VjcmV0" /* admin:secret */
#define ADMIN_WRONG  "Basic YWRtaW46d3Jvbmc=" /* admin:wrong */
#define ROOT_SECRET  "Basic cm9vdDpzZWNyZXQ=" /* root:secret */
#define ROOT_WRONG   "Basic cm9vdDp3cm9uZw==" /* root:wrong */

static const struct http_route reads = {.path = "/stats", .methods = HTTP_GET};
static const struct http_route acts = {
    .path = "/reload", .methods = HTTP_GET | HTTP_POST, .acts = HTTP_GET | HTTP_POST};
static const struct http_route healthz = {.path = "/healthz", .public = PUBLIC_HEALTHZ};
static const struct http_route metrics = {.path = "/metrics", .public = PUBLIC_METRICS};

union socket_address {
    struct sockaddr generic;
    struct sockaddr_in in;
    struct sockaddr_in6 in6;
};

static const union socket_address *address(const char *text)
{
    static union socket_address a;
    memset(&a, 0, sizeof(a));
    if (inet_pton(AF_INET, text, &a.in.sin_addr) == 1)
        a.generic.sa_family = AF_INET;
    else if (inet_pton(AF_INET6, text, &a.in6.sin6_addr) == 1)
        a.generic.sa_family = AF_INET6;
    else
        a.generic.sa_family = AF_UNIX;
    return &a;
}

static struct access *make(const char *username, const char *password, const char *listens_on)
{
    struct access_settings settings = {
        .username = username,
        .password = password,
        .public = PUBLIC_HEALTHZ,
        .listens_on = listens_on ? &address(listens_on)->generic : NULL,
    };
    struct access *access = NULL;
    assert_int_equal(access_new(&settings, &access), 0);
    return access;
}

static struct access_answer decide(struct access *access, const struct access_request *request)
{
    struct access_answer answer = access_decide(access, request, USEC_PER_SEC);
    bool said = answer.verdict != ACCESS_GRANTED && answer.verdict != ACCESS_LATER;
    assert_int_equal(answer.why != NULL, said);
    return answer;
}

#define assert_verdict(access, expected, ...)                                                      \
    assert_int_equal(decide(access, &(struct access_request){__VA_ARGS__}).verdict, expected)

/* Headers */

static void test_credentials(void **state UNUSED)
{
    static const struct {
        const char *header, *user, *password; /* no user: it is refused */
    } cases[] = {
        {ADMIN_SECRET, "admin", "secret"},
        {"basic  YWRtaW46c2VjcmV0 \t", "admin", "secret"},
        {"BASIC Og==", "", ""},
        {"Basic YTpiOmM=", "a", "b:c"},
        {"Basic w6Q6w7Y=", "\xc3\xa4", "\xc3\xb6"},
        {"", NULL, NULL},
        {"Basic", NULL, NULL},
        {"Basic ", NULL, NULL},
        {"Basic\tYWRtaW46c2VjcmV0", NULL, NULL},
        {"BasicYWRtaW46c2VjcmV0", NULL, NULL},
        {" Basic YWRtaW46c2VjcmV0", NULL, NULL},
        {"Bearer YWRtaW46c2VjcmV0", NULL, NULL},
        {"Digest username=\"admin\"", NULL, NULL},
        {"Basic admin:secret", NULL, NULL},
        {"Basic YWRtaW4=", NULL, NULL},          /* no colon */
        {"Basic YWRtaW46c2VjcmV0=", NULL, NULL}, /* too much of padding */
        {"Basic YWRtaW46c2VjcmV", NULL, NULL},   /* cut off */
        {"Basic YWRt aW46c2VjcmV0", NULL, NULL}, /* a blank within */
        {"Basic YWRtaW46c2VjcmV0, x", NULL, NULL},
        {"Basic YWRtaW46c2VjcmV0AA==", NULL, NULL}, /* a NUL behind the password */
        {"Basic YWRtAGluOnNlY3JldA==", NULL, NULL}, /* within the user */
        {"Basic YW_-", NULL, NULL},
        {"Basic ====", NULL, NULL},
        {"Basic \xff\xfe", NULL, NULL},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct credentials credentials;
        int r = credentials_parse(cases[i].header, &credentials);
        if (r != (cases[i].user ? 0 : -EINVAL))
            fail_msg("%s: %d", cases[i].header, r);
        if (r == 0) {
            assert_string_equal(credentials.user, cases[i].user);
            assert_string_equal(credentials.password, cases[i].password);
        }
    }
}

static void test_long_credentials(void **state UNUSED)
{
    char header[CREDENTIALS_HEADER_MAX + 10] = "Basic Og==";
    struct credentials credentials;
    memset(header + 10, ' ', CREDENTIALS_HEADER_MAX - 11);
    assert_int_equal(credentials_parse(header, &credentials), 0);
    header[CREDENTIALS_HEADER_MAX - 1] = ' ';
    assert_int_equal(credentials_parse(header, &credentials), -EINVAL);
    /* The most that decodes: one character less than the maximum, in fours. */
    memset(header + 10, '\0', sizeof(header) - 10);
    for (size_t i = 6; i + 4 < CREDENTIALS_HEADER_MAX; i += 4)
        memcpy(header + i, "Ojo6", 4);
    assert_int_equal(credentials_parse(header, &credentials), 0);
    assert_int_equal(strlen(credentials.password), (CREDENTIALS_HEADER_MAX - 7) / 4 * 3 - 1);
}

static void test_local_hosts(void **state UNUSED)
{
    static const char *const local[] = {
        "localhost",     "LocalHost:9999", "127.0.0.1", "127.0.0.1:80",
        "10.1.2.3:9999", "[::1]",          "[::1]:80",  "[fe80::1]:9999",
        "localhost:",    "0.0.0.0:1",      "",          "[::ffff:1.2.3.4]",
    };
    static const char *const others[] = {
        "evil.example",
        "evil.example:9999",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "127.0.0.1evil",
        "1.2.3",
        "2130706433",
        "0x7f.1",
        "::1",
        "[::1",
        "[::1]x",
        "[evil.example]",
        "[127.0.0.1]",
        "localhost:80:80",
        "localhost:99999",
        "localhost:x",
        "localhost:+80",
        "localhost/",
        "evil@localhost",
        "localhost@evil.example",
        "localhost evil",
        ":80",
        "[]:80",
        " localhost",
        "localhost.",
        "localhost,evil",
        "localhost\\",
        "[::1%25lo]",
        "[[::1]]",
        "xn--localhost",
    };
    assert_true(site_host_is_local(NULL));
    for (size_t i = 0; i < ARRAY_SIZE(local); i++)
        if (!site_host_is_local(local[i]))
            fail_msg("%s is not local", local[i]);
    for (size_t i = 0; i < ARRAY_SIZE(others); i++)
        if (site_host_is_local(others[i]))
            fail_msg("%s is local", others[i]);
    char name[1000];
    memset(name, '1', sizeof(name) - 1);
    name[sizeof(name) - 1] = '\0';
    assert_false(site_host_is_local(name));
}

static void test_sites(void **state UNUSED)
{
    static const struct {
        const char *fetch_site, *origin, *host;
        bool foreign;
    } cases[] = {
        {NULL, NULL, NULL, false},
        {NULL, NULL, "a.example", false},
        /* Sec-Fetch-Site decides. */
        {"same-origin", NULL, "a.example", false},
        {"none", NULL, "a.example", false},
        {"same-origin", "null", "a.example", false},
        {"same-site", NULL, "a.example", true},
        {"cross-site", NULL, "a.example", true},
        {"cross-site", "http://a.example", "a.example", true},
        {"", NULL, "a.example", true},
        {"Same-Origin", NULL, "a.example", true},
        {"same-origin, cross-site", NULL, "a.example", true},
        /* By Origin: scheme does not matter but for its port. */
        {NULL, "http://a.example", "a.example", false},
        {NULL, "https://a.example", "a.example", false},
        {NULL, "HTTPS://A.example", "a.EXAMPLE:443", false},
        {NULL, "http://a.example:80", "a.example", false},
        {NULL, "http://a.example:8080", "a.example:8080", false},
        {NULL, "http://[::1]:8080", "[::1]:8080", false},
        {NULL, "https://a.example", "a.example:80", true},
        {NULL, "http://a.example", "a.example:8080", true},
        {NULL, "http://a.example:8080", "a.example", true},
        {NULL, "http://b.example", "a.example", true},
        {NULL, "http://a.example.b.example", "a.example", true},
        {NULL, "http://localhost:1", "127.0.0.1:1", true},
        {NULL, "http://[127.0.0.1]", "127.0.0.1", true},
        {NULL, "null", "a.example", true},
        {NULL, "null", "null", true},
        {NULL, "", "", true},
        {NULL, "", "a.example", true},
        {NULL, "a.example", "a.example", true},
        {NULL, "http://", "", true},
        {NULL, "http://a.example", NULL, true},
        {NULL, "http://a.example", "", true},
        {NULL, "http://a.example/", "a.example", true},
        {NULL, "http://a.example@b.example", "b.example", true},
        {NULL, "chrome-extension://a.example", "a.example", true},
        {NULL, "file://a.example", "a.example", true},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
        if (site_is_foreign(cases[i].fetch_site, cases[i].origin, cases[i].host) !=
            cases[i].foreign)
            fail_msg("case %zu: %s, %s", i, cases[i].origin, cases[i].host);
}

/* Verdicts */

static void test_settings(void **state UNUSED)
{
    static const char *const passwords[] = {NULL, "", "\n", "$x$", "{MD5}x"};
    for (size_t i = 0; i < ARRAY_SIZE(passwords); i++) {
        struct access_settings settings = {.username = "admin", .password = passwords[i]};
        struct access *access = NULL;
        assert_int_equal(access_new(&settings, &access), -EINVAL);
        assert_null(access);
    }
}

static void test_with_credentials(void **state UNUSED)
{
    static const char *const passwords[] = {"secret\n", COSTLY,
                                            "{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ="};
    for (size_t i = 0; i < ARRAY_SIZE(passwords); i++) {
        CLEANUP(access_freep) struct access *access = make("admin", passwords[i], "0.0.0.0");
        assert_verdict(access, ACCESS_GRANTED, .route = &reads, .authorization = ADMIN_SECRET);
        assert_verdict(access, ACCESS_GRANTED, .route = &reads, .authorization = ADMIN_SECRET,
                       .host = "proxy.example");
        assert_verdict(access, ACCESS_GRANTED, .route = &acts, .acts = true,
                       .authorization = ADMIN_SECRET);
        assert_verdict(access, ACCESS_GRANTED, .route = NULL, .authorization = ADMIN_SECRET);
        assert_verdict(access, ACCESS_UNAUTHORIZED, .route = &reads);
        assert_verdict(access, ACCESS_UNAUTHORIZED, .route = &reads, .host = "localhost");
        assert_verdict(access, ACCESS_UNAUTHORIZED, .route = NULL);
        assert_verdict(access, ACCESS_UNAUTHORIZED, .route = &reads, .authorization = ADMIN_WRONG);
        assert_verdict(access, ACCESS_UNAUTHORIZED, .route = &reads, .authorization = ROOT_SECRET);
        assert_verdict(access, ACCESS_UNAUTHORIZED, .route = &reads, .authorization = ROOT_WRONG);
        assert_verdict(access, ACCESS_UNAUTHORIZED, .route = &reads, .authorization = "garbage");
        assert_verdict(access, ACCESS_UNAUTHORIZED, .route = &metrics);
        assert_verdict(access, ACCESS_GRANTED, .route = &healthz);
        assert_verdict(access, ACCESS_GRANTED, .route = &healthz, .authorization = ADMIN_WRONG,
                       .host = "pod.example", .origin = "null");
        /* Right credentials are what a browser adds by itself. */
        assert_verdict(access, ACCESS_FORBIDDEN, .route = &acts, .acts = true,
                       .authorization = ADMIN_SECRET, .fetch_site = "cross-site");
        assert_verdict(access, ACCESS_FORBIDDEN, .route = &acts, .acts = true,
                       .authorization = ADMIN_SECRET, .host = "a.example",
                       .origin = "http://b.example");
        assert_verdict(access, ACCESS_GRANTED, .route = &reads, .authorization = ADMIN_SECRET,
                       .fetch_site = "cross-site");
    }
}

/* A password alone that is right must not be remembered as one of another user. */
static void test_wrong_user_first(void **state UNUSED)
{
    CLEANUP(access_freep) struct access *access = make("admin", COSTLY, "unix");
    struct access_request request = {.route = &reads, .authorization = ROOT_SECRET};
    assert_int_equal(access_decide(access, &request, 1).verdict, ACCESS_UNAUTHORIZED);
    assert_int_equal(access_decide(access, &request, 10 * USEC_PER_SEC).verdict,
                     ACCESS_UNAUTHORIZED);
    request.authorization = ADMIN_SECRET;
    assert_int_equal(access_decide(access, &request, 20 * USEC_PER_SEC).verdict, ACCESS_GRANTED);
}

static void test_without_credentials(void **state UNUSED)
{
    static const char *const local[] = {"127.0.0.1", "127.1.2.3", "::1", "unix"};
    for (size_t i = 0; i < ARRAY_SIZE(local); i++) {
        CLEANUP(access_freep) struct access *access = make(NULL, NULL, local[i]);
        assert_verdict(access, ACCESS_GRANTED, .route = &reads, .host = "127.0.0.1:9999");
        assert_verdict(access, ACCESS_GRANTED, .route = &acts, .acts = true, .host = "localhost");
        assert_verdict(access, ACCESS_GRANTED, .route = &acts, .acts = true);
        assert_verdict(access, ACCESS_GRANTED, .route = &acts, .acts = true, .host = "localhost:1",
                       .origin = "http://localhost:1");
        assert_verdict(access, ACCESS_MISDIRECTED, .route = &reads, .host = "evil.example");
        /* Its own origin, it thinks, as its name was led here. */
        assert_verdict(access, ACCESS_MISDIRECTED, .route = &acts, .acts = true,
                       .host = "evil.example:1", .origin = "http://evil.example:1",
                       .fetch_site = "same-origin");
        assert_verdict(access, ACCESS_MISDIRECTED, .route = NULL, .host = "evil.example");
        assert_verdict(access, ACCESS_GRANTED, .route = &healthz, .host = "pod.example");
        assert_verdict(access, ACCESS_FORBIDDEN, .route = &acts, .acts = true, .host = "localhost",
                       .origin = "http://evil.example");
    }
}

static void test_public_paths_alone(void **state UNUSED)
{
    static const char *const remote[] = {
        "0.0.0.0", "10.0.0.1", "::", "2001:db8::1", "128.0.0.1", NULL};
    for (size_t i = 0; i < ARRAY_SIZE(remote); i++) {
        CLEANUP(access_freep) struct access *access = make(NULL, NULL, remote[i]);
        assert_verdict(access, ACCESS_GRANTED, .route = &healthz, .host = "pod.example");
        assert_verdict(access, ACCESS_FORBIDDEN, .route = &metrics, .host = "10.0.0.1");
        assert_verdict(access, ACCESS_FORBIDDEN, .route = &reads, .host = "127.0.0.1");
        assert_verdict(access, ACCESS_FORBIDDEN, .route = &acts, .acts = true);
        assert_verdict(access, ACCESS_FORBIDDEN, .route = NULL);
    }
}

/* Delays */

static uint64_t wrong_from(struct access *access, const char *peer, uint64_t now_usec)
{
    struct access_request request = {
        .route = &reads, .authorization = ADMIN_WRONG, .peer = &address(peer)->generic};
    struct access_answer answer = access_decide(access, &request, now_usec);
    assert_int_equal(answer.verdict, ACCESS_UNAUTHORIZED);
    return answer.delay_usec;
}

static void test_delays_grow(void **state UNUSED)
{
    CLEANUP(access_freep) struct access *access = make("admin", "secret", "unix");
    uint64_t before = 0;
    for (int i = 0; i < 6; i++) {
        uint64_t delay = wrong_from(access, "10.0.0.1", USEC_PER_SEC);
        assert_true(delay > before);
        before = delay;
    }
    for (int i = 0; i < 40; i++)
        assert_true(wrong_from(access, "10.0.0.1", USEC_PER_SEC) <= ACCESS_DELAY_MAX_USEC);
    assert_int_equal(wrong_from(access, "10.0.0.1", USEC_PER_SEC), ACCESS_DELAY_MAX_USEC);
    assert_int_equal(wrong_from(access, "10.0.0.2", USEC_PER_SEC), FAILURES_DELAY_MIN_USEC);
    /* Nobody who is right waits for that, wherever he is. */
    static const char *const peers[] = {"10.0.0.1", "10.0.0.2", "10.0.0.3", "unix"};
    for (size_t i = 0; i < ARRAY_SIZE(peers); i++) {
        struct access_request request = {
            .route = &reads, .authorization = ADMIN_SECRET, .peer = &address(peers[i])->generic};
        struct access_answer answer = access_decide(access, &request, USEC_PER_SEC);
        assert_int_equal(answer.verdict, ACCESS_GRANTED);
        assert_int_equal(answer.delay_usec, 0);
    }
    /* It is forgotten. */
    assert_int_equal(wrong_from(access, "10.0.0.1", 1000 * USEC_PER_SEC), FAILURES_DELAY_MIN_USEC);
    /* Whoever only asks what is needed has not failed. */
    struct access_request request = {.route = &reads, .peer = &address("10.0.0.1")->generic};
    assert_int_equal(access_decide(access, &request, USEC_PER_SEC).delay_usec, 0);
}

static uint64_t add(struct failures *failures, const char *peer, uint64_t now_usec)
{
    return failures_add(failures, peer ? &address(peer)->generic : NULL, now_usec);
}

static void test_same_addresses(void **state UNUSED)
{
    static const struct {
        const char *a, *b;
        bool same;
    } cases[] = {
        {"10.0.0.1", "10.0.0.1", true},
        {"10.0.0.1", "10.0.0.2", false},
        {"10.0.0.1", "::ffff:10.0.0.1", true},
        {"2001:db8:1:2::1", "2001:db8:1:2:3:4:5:6", true}, /* one network */
        {"2001:db8:1:2::1", "2001:db8:1:3::1", false},
        {"0.0.0.0", "::", false},
        {"unix", NULL, true},
        {"unix", "0.0.0.0", false},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        CLEANUP(failures_freep) struct failures *failures = NULL;
        assert_int_equal(failures_new(ACCESS_DELAY_MAX_USEC, &failures), 0);
        uint64_t first = add(failures, cases[i].a, 0);
        if ((add(failures, cases[i].b, 0) > first) != cases[i].same)
            fail_msg("%s and %s", cases[i].a, cases[i].b);
    }
}

static uint64_t add_number(struct failures *failures, uint32_t number, uint64_t now_usec)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(number)};
    return failures_add(failures, (const struct sockaddr *)&in, now_usec);
}

static void test_many_addresses(void **state UNUSED)
{
    CLEANUP(failures_freep) struct failures *failures = NULL;
    assert_int_equal(failures_new(ACCESS_DELAY_MAX_USEC, &failures), 0);
    for (uint32_t i = 0; i < 64; i++)
        assert_int_equal(add_number(failures, i, 0), FAILURES_DELAY_MIN_USEC);
    for (uint32_t i = 64; i < 100000; i++) {
        uint64_t delay = add_number(failures, i, i);
        assert_true(delay <= ACCESS_DELAY_MAX_USEC);
        assert_true(failures_count(failures) <= FAILURES_ADDRESSES_MAX);
    }
    assert_int_equal(failures_count(failures), FAILURES_ADDRESSES_MAX);
    assert_int_equal(add_number(failures, 100000, 100000), ACCESS_DELAY_MAX_USEC);
    /* All is well again when they are gone. */
    assert_int_equal(add_number(failures, 100001, 10000 * USEC_PER_SEC), FAILURES_DELAY_MIN_USEC);
}

/* Of a full table the one goes that failed longest ago. */
static void test_forgotten_address(void **state UNUSED)
{
    CLEANUP(failures_freep) struct failures *failures = NULL;
    assert_int_equal(failures_new(ACCESS_DELAY_MAX_USEC, &failures), 0);
    uint64_t now = USEC_PER_SEC;
    for (uint32_t i = 0; i < FAILURES_ADDRESSES_MAX; i++)
        for (int k = 0; k < 8; k++)
            (void)add_number(failures, i, now + i);
    now += 75 *
           USEC_PER_SEC; /* all but one failure of each are forgiven, and those of all together */
    (void)add_number(failures, FAILURES_ADDRESSES_MAX, now);
    assert_true(add_number(failures, 1, now) > FAILURES_DELAY_MIN_USEC);
    assert_int_equal(add_number(failures, 0, now), FAILURES_DELAY_MIN_USEC);
}

/* The clock may stand still, or seem to go backwards. */
static void test_odd_times(void **state UNUSED)
{
    CLEANUP(failures_freep) struct failures *failures = NULL;
    assert_int_equal(failures_new(ACCESS_DELAY_MAX_USEC, &failures), 0);
    (void)add(failures, "10.0.0.1", UINT64_MAX);
    assert_int_equal(add(failures, "10.0.0.1", 0), 2 * FAILURES_DELAY_MIN_USEC);
    assert_int_equal(add(failures, "10.0.0.1", UINT64_MAX), 4 * FAILURES_DELAY_MIN_USEC);
}

/* Turns */

static struct access_answer try(struct access *access, const char *authorization,
                                uint64_t turn_usec, uint64_t now_usec)
{
    struct access_request request = {
        .route = &reads, .authorization = authorization, .turn_usec = turn_usec};
    return access_decide(access, &request, now_usec);
}

static void test_turns(void **state UNUSED)
{
    CLEANUP(access_freep) struct access *access = make("admin", COSTLY, "unix");
    uint64_t now = USEC_PER_SEC;
    assert_int_equal(try(access, ADMIN_WRONG, 0, now).verdict, ACCESS_UNAUTHORIZED);
    struct access_answer second = try(access, ADMIN_WRONG, 0, now);
    struct access_answer third = try(access, ADMIN_SECRET, 0, now);
    assert_int_equal(second.verdict, ACCESS_LATER);
    assert_int_equal(third.verdict, ACCESS_LATER);
    assert_true(second.delay_usec > 0);
    assert_int_equal(second.turn_usec, now + second.delay_usec);
    assert_true(third.turn_usec > second.turn_usec);
    /* Nobody goes before his turn; it stays the same. */
    struct access_answer early = try(access, ADMIN_SECRET, third.turn_usec, now + 1);
    assert_int_equal(early.verdict, ACCESS_LATER);
    assert_int_equal(early.turn_usec, third.turn_usec);
    assert_int_equal(early.delay_usec, third.delay_usec - 1);

    int n = 0;
    while (try(access, ADMIN_WRONG, 0, now).verdict == ACCESS_LATER)
        assert_true(n++ < 100000);
    assert_int_equal(try(access, ADMIN_WRONG, 0, now).verdict, ACCESS_BUSY);
    /* Others are not concerned. */
    assert_verdict(access, ACCESS_GRANTED, .route = &healthz);
    assert_int_equal(try(access, NULL, 0, now).verdict, ACCESS_UNAUTHORIZED);

    now = third.turn_usec;
    assert_int_equal(try(access, ADMIN_WRONG, second.turn_usec, now).verdict, ACCESS_UNAUTHORIZED);
    /* It took a while, and as long it is the turn of nobody, be he late or not. */
    struct access_answer late = try(access, ADMIN_SECRET, third.turn_usec, now);
    assert_int_equal(late.verdict, ACCESS_LATER);
    assert_int_equal(late.turn_usec, third.turn_usec);
    assert_true(late.delay_usec > 0);
    now += late.delay_usec;
    assert_int_equal(try(access, ADMIN_SECRET, late.turn_usec, now).verdict, ACCESS_GRANTED);
    /* It is known now: nobody waits any more. */
    assert_int_equal(try(access, ADMIN_SECRET, 0, now).verdict, ACCESS_GRANTED);
    assert_int_equal(try(access, ADMIN_WRONG, 0, now).verdict, ACCESS_UNAUTHORIZED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_credentials),
        cmocka_unit_test(test_long_credentials),
        cmocka_unit_test(test_local_hosts),
        cmocka_unit_test(test_sites),
        cmocka_unit_test(test_settings),
        cmocka_unit_test(test_with_credentials),
        cmocka_unit_test(test_wrong_user_first),
        cmocka_unit_test(test_without_credentials),
        cmocka_unit_test(test_public_paths_alone),
        cmocka_unit_test(test_delays_grow),
        cmocka_unit_test(test_same_addresses),
        cmocka_unit_test(test_many_addresses),
        cmocka_unit_test(test_forgotten_address),
        cmocka_unit_test(test_odd_times),
        cmocka_unit_test(test_turns),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
