/* What the tests of the configuration share. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/macros.h"
#include "config/config.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* Not inlined: gcc would take the freed copies of several for one. */
#define HELPER __attribute__((noinline)) static UNUSED

/* Fails the test unless the text loads. */
HELPER struct config *load_text(const char *text)
{
    const struct config_source source = {.text = text, .directory = "/"};
    struct config *config = NULL;
    CLEANUP_FREE char *errors = NULL;
    int r = config_load(&source, &config, &errors);
    if (r < 0)
        print_error("%s\nis wrong: %s\n", text, errors);
    assert_int_equal(r, 0);
    assert_null(errors);
    return config;
}

/* Fails the test if the text loads. Returns the errors. */
HELPER char *refuse_source(const struct config_source *source, int error)
{
    struct config *config = NULL;
    char *errors = NULL;
    assert_int_equal(config_load(source, &config, &errors), error);
    assert_null(config);
    assert_non_null(errors);
    return errors;
}

HELPER void assert_has(const char *text, const char *part)
{
    if (!strstr(text, part))
        print_error("'%s'\nis not in:\n%s\n", part, text);
    assert_non_null(strstr(text, part));
}

HELPER void assert_refused(const char *text, const char *part)
{
    const struct config_source source = {.text = text, .directory = "/"};
    CLEANUP_FREE char *errors = refuse_source(&source, -EINVAL);
    assert_has(errors, part);
}

/* One program 'p' with these further keys is refused with an error that has this part. */
HELPER void assert_program_refused(const char *keys, const char *part)
{
    char text[1024];
    (void)snprintf(text, sizeof(text), "programs: {p: {command: x, %s}}", keys);
    assert_refused(text, part);
}

HELPER struct config *load_program(const char *keys)
{
    char text[1024];
    (void)snprintf(text, sizeof(text), "programs: {p: {command: x, %s}}", keys);
    return load_text(text);
}
