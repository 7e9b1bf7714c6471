/*
 * test-config-secrets.c - a password is in no memory that was given back.
 *
 * Each free() is looked at. What is large is libyaml's, which reads ahead in blocks of its own.
 */
#include "config-test.h"

#include "config/diff.h"

#include <malloc.h>

#define LIBYAML_BLOCK ((size_t)16 * 1024)
#define SECRET        "open sesame, please"

#if defined(__has_feature)
#define HAS_FEATURE(name) __has_feature(name)
#else
#define HAS_FEATURE(name) 0
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) ||                               \
    HAS_FEATURE(address_sanitizer) || HAS_FEATURE(thread_sanitizer) ||                             \
    HAS_FEATURE(memory_sanitizer)
#define HAS_OTHER_FREE 1
#else
#define HAS_OTHER_FREE 0
#endif

static bool is_looking;
static unsigned n_found, n_large;

#if !HAS_OTHER_FREE
void __libc_free(void *data);

void free(void *data)
{
    size_t size = data && is_looking ? malloc_usable_size(data) : 0;
    if (size > 0 && memmem(data, size, SECRET, strlen(SECRET)))
        (*(size < LIBYAML_BLOCK ? &n_found : &n_large))++;
    __libc_free(data);
}
#endif

static struct config *load_secret(const char *address)
{
    char text[512];
    (void)snprintf(text, sizeof(text),
                   "programs: {p: {command: sleep 1}}\n"
                   "gateway: {listen: '%s', username: admin, password: '" SECRET "'}\n",
                   address);
    struct config *config = load_text(text);
    explicit_bzero(text, sizeof(text));
    return config;
}

static void test_password_is_wiped(void **state UNUSED)
{
    if (HAS_OTHER_FREE) {
        print_message("# a sanitizer has a free() of its own: nothing can be looked at\n");
        skip();
    }
    is_looking = true;
    struct config *old = load_secret("127.0.0.1:1"), *new = load_secret("127.0.0.1:2");
    struct config_diff *diff;
    assert_int_equal(config_diff_new(old, new, &diff), 0);
    (void)config_diff_free(diff);
    assert_string_equal(new->gateway.password, SECRET);
    (void)config_unref(old);
    (void)config_unref(new);
    /* The rest of libyaml's is seen, so what we free would be. */
    is_looking = false;
    assert_int_equal(n_found, 0);
    assert_true(n_large > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_password_is_wiped)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
