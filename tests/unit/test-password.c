/* What may be configured as a password, and what is right then. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "gateway/password.h"

#include <crypt.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

static struct password *make(const char *text)
{
    struct password *password = NULL;
    const char *reason = NULL;
    if (password_new(text, &password, &reason) < 0)
        fail_msg("%s is refused: %s", text, reason);
    return password;
}

static void assert_is(const char *text, const char *given)
{
    CLEANUP(password_freep) struct password *password = make(text);
    /* Twice: it is remembered then. */
    for (int i = 0; i < 2; i++)
        if (!password_is(password, given))
            fail_msg("%s is not %s", given, text);
}

static void assert_is_not(const char *text, const char *given)
{
    CLEANUP(password_freep) struct password *password = make(text);
    for (int i = 0; i < 2; i++)
        if (password_is(password, given))
            fail_msg("%s is %s", given, text);
}

static void assert_refused(const char *text, const char *reason_part)
{
    struct password *password = NULL;
    const char *reason = NULL;
    if (password_new(text, &password, &reason) != -EINVAL)
        fail_msg("%s is taken", text);
    assert_null(password);
    if (!strstr(reason, reason_part))
        fail_msg("of %s it is said: %s", text, reason);
}

static void test_plain(void **state UNUSED)
{
    assert_is("secret", "secret");
    assert_is("secret\n", "secret");
    assert_is("secret\r\n", "secret");
    assert_is(" secret ", " secret ");
    assert_is("s\xc3\xa4$1$:{", "s\xc3\xa4$1$:{");
    assert_is_not("secret\r", "secret");
    assert_is_not("secret", "secret\n");
    assert_is_not("secret", "Secret");
    assert_is_not("secret", "secre");
    assert_is_not("secret", "secrett");
    assert_is_not("secret", "");
    assert_is_not("s", "secret");
}

static void test_refused(void **state UNUSED)
{
    assert_refused("", "empty");
    assert_refused("\n", "empty");
    assert_refused("\r\n", "empty");
    assert_refused("\nsecret", "line");
    assert_refused("secret\n\n", "line");
    assert_refused("secret\nother\n", "line");
}

static void test_length(void **state UNUSED)
{
    char text[PASSWORD_SIZE_MAX + 2];
    memset(text, 'a', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    assert_refused(text, "longer");
    assert_is_not("a", text);
    text[PASSWORD_SIZE_MAX] = '\0';
    assert_is(text, text);
}

/* As htpasswd -s, supervisord, openssl and slappasswd make them. */
static void test_digests(void **state UNUSED)
{
    assert_is("{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=", "secret");
    assert_is("{sha}5en6G6MezRroT3XKqkdPOmY/BfQ=\n", "secret");
    assert_is("{SHA}e5e9fa1ba31ecd1ae84f75caaa474f3a663f05f4", "secret");
    assert_is("{SHA}E5E9FA1BA31ECD1AE84F75CAAA474F3A663F05F4", "secret");
    assert_is("{SHA256}K7gNU3sdo+OL0wNhqoVWhr3g6s1xYv72ol/pe/Unols=", "secret");
    assert_is("{SHA256}2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b", "secret");
    assert_is("{SSHA}gVK8WC9YyFT1gMsQHTGCgT3sSv5zYWx0", "secret");
    assert_is("{SSHA256}+E+iFJ27Yu1ODPH1UNKUmzOmUT06dwfghQJRHHnMsO5zYWx0", "secret");
    assert_is_not("{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=", "Secret");
    assert_is_not("{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=", "{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=");
    assert_is_not("{SSHA}gVK8WC9YyFT1gMsQHTGCgT3sSv5zYWx0", "secretsalt");
}

static void test_refused_digests(void **state UNUSED)
{
    assert_refused("{", "no kind");
    assert_refused("{MD5}Xr4ilOzQ4PCOq3aQ0qbuaQ==", "no kind");
    assert_refused("{SHA", "no kind");
    assert_refused("{SHA}", "base64");
    assert_refused("{SHA}secret", "base64");
    assert_refused("{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ", "base64");
    assert_refused("{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ= ", "base64");
    assert_refused("{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=5en6G6MezRroT3XKqkdPOmY/BfQ=", "base64");
    assert_refused("{SHA}z5e9fa1ba31ecd1ae84f75caaa474f3a663f05f4", "base64");
    assert_refused("{SHA256}5en6G6MezRroT3XKqkdPOmY/BfQ=", "base64");
    assert_refused("{SSHA}5en6G6MezRroT3XKqkdPOmY/BfQ=", "base64"); /* without a salt */
    char text[600] = "{SSHA}";
    memset(text + 6, 'A', 592);
    assert_refused(text, "base64");
    text[6 + 120] = '\0'; /* 20 bytes of hash and 70 of salt */
    assert_refused(text, "base64");
    text[6 + 112] = '\0';
    assert_is_not(text, "secret");
}

static void test_crypt(void **state UNUSED)
{
    static const char *const prefixes[] = {"$y$",  "$gy$", "$7$",  "$6$",    "$5$",
                                           "$2b$", "$2a$", "$2y$", "$sha1$", "$1$"};
    for (size_t i = 0; i < ARRAY_SIZE(prefixes); i++) {
        char salt[CRYPT_GENSALT_OUTPUT_SIZE], text[CRYPT_OUTPUT_SIZE];
        static struct crypt_data data;
        assert_non_null(crypt_gensalt_rn(prefixes[i], 0, NULL, 0, salt, sizeof(salt)));
        (void)snprintf(text, sizeof(text), "%s", crypt_r("s\xc3\xa4:cret", salt, &data));
        assert_is(text, "s\xc3\xa4:cret");
        assert_is_not(text, "s\xc3\xa4:creT");
        assert_is_not(text, text);
        assert_is_not(text, "");
        assert_refused(salt, "not a whole one");
        text[strlen(text) - 1] = '\0';
        assert_refused(text, "not a whole one");
    }
    assert_is("$6$rounds=1000$salt$HNxBeBnDfSfUrTj6KiLnmd7tGCvHEmcExh8kl/S0cZ5W"
              "rCciNZgfhbpkeFQ4JfkHX.8vPq45lY0iINnCx1Lkm.\n",
              "secret");
}

static void test_refused_crypts(void **state UNUSED)
{
    assert_refused("$", "no kind");
    assert_refused("$ecret", "no kind");
    assert_refused("$apr1$salt$Y8.5bTvuNzHEzZ0Kh9Y8a/", "no kind");
    assert_refused("$argon2id$v=19$m=65536,t=2,p=1$c2FsdA$aGFzaA", "no kind");
    assert_refused("$6$", "not a whole one");
    assert_refused("$2b$99$", "not a whole one");
    assert_refused("$5$rounds=5000$salt$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWE:8",
                   "not a whole one");
}

/* From the first right one on, nothing is computed any more, not even for wrong ones. */
static void test_known(void **state UNUSED)
{
    CLEANUP(password_freep)
    struct password *password = make(
        "$2b$04$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW");
    assert_true(password_is_costly(password));
    assert_false(password_is(password, "other"));
    assert_true(password_is_costly(password));
    assert_true(password_is(password, "secret"));
    assert_false(password_is_costly(password));
    assert_false(password_is(password, "other"));
    assert_false(password_is(password, ""));
    assert_true(password_is(password, "secret"));

    CLEANUP(password_freep) struct password *plain = make("secret");
    assert_false(password_is_costly(plain));
}

/* bcrypt has 72 bytes of it; whoever gives more has to be right with and without being remembered. */
static void test_long_bcrypt(void **state UNUSED)
{
    char longer[81], other[81], shorter[73];
    static struct crypt_data data;
    memset(longer, 'a', 80);
    memset(other, 'a', 80);
    memset(shorter, 'a', 72);
    longer[80] = other[80] = shorter[72] = '\0';
    other[75] = 'b';
    CLEANUP(password_freep)
    struct password *password = make(crypt_r(longer, "$2b$04$abcdefghijklmnopqrstuu", &data));
    assert_true(password_is(password, longer));
    assert_true(password_is(password, other));
    assert_true(password_is(password, shorter));
    shorter[71] = '\0';
    assert_false(password_is(password, shorter));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plain),           cmocka_unit_test(test_refused),
        cmocka_unit_test(test_length),          cmocka_unit_test(test_digests),
        cmocka_unit_test(test_refused_digests), cmocka_unit_test(test_crypt),
        cmocka_unit_test(test_refused_crypts),  cmocka_unit_test(test_known),
        cmocka_unit_test(test_long_bcrypt),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
