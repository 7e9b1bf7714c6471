/*
 * systemd's EnvironmentFile=: NAME=value lines; # and ; begin comments; values may be quoted by ' or ", where "…" knows the
 * escapes of a shell; a backslash at the end of a line joins the next one to it; quoted values may span lines.
 */
#include "config/config.h"

#include "base/fd.h"
#include "base/strv.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>

#define VARIABLES_MAX 4096

struct env_reader {
    const char *path, *at;
    unsigned line;
    char *value;         /* room for all of the file */
    size_t length, kept; /* `kept`: up to here trailing blanks were quoted */
    unsigned assignments;
    char **variables;
};

static int fail(const struct env_reader *r, unsigned line, const char *what, char **ret_error)
{
    char *error = string_format("%s:%u: %s", r->path, line, what);
    if (!error)
        return -ENOMEM;
    *ret_error = error;
    return -EINVAL;
}

static char next(struct env_reader *r)
{
    char c = *r->at++;
    if (c == '\n')
        r->line++;
    return c;
}

static void put(struct env_reader *r, char c)
{
    r->value[r->length++] = c;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

/* A comment ends with its line, unless that ends with a backslash. */
static void skip_comment(struct env_reader *r)
{
    while (*r->at != '\0') {
        char c = next(r);
        if (c == '\\' && *r->at != '\0')
            (void)next(r);
        else if (c == '\n')
            return;
    }
}

static int read_name(struct env_reader *r, char **ret, char **ret_error)
{
    size_t length = strcspn(r->at, "=\n");
    if (r->at[length] != '=')
        return fail(r, r->line, "expected NAME=value", ret_error);
    const char *name = r->at;
    r->at += length + 1;
    while (length > 0 && is_blank(name[length - 1]))
        length--;
    for (size_t i = 0; i < length; i++)
        if (!isalnum((unsigned char)name[i]) && name[i] != '_')
            length = 0;
    if (length == 0 || isdigit((unsigned char)name[0]))
        return fail(r, r->line,
                    "the name of a variable has letters, digits and _, and begins with no digit",
                    ret_error);
    *ret = strndup(name, length);
    return *ret ? 0 : -ENOMEM;
}

static int read_single_quotes(struct env_reader *r, char **ret_error)
{
    unsigned line = r->line;
    while (*r->at != '\'') {
        if (*r->at == '\0')
            return fail(r, line, "the quote ' has no end", ret_error);
        put(r, next(r));
    }
    r->at++;
    return 0;
}

static int read_double_quotes(struct env_reader *r, char **ret_error)
{
    unsigned line = r->line;
    while (*r->at != '"') {
        if (*r->at == '\0')
            return fail(r, line, "the quote \" has no end", ret_error);
        char c = next(r);
        if (c != '\\' || *r->at == '\0') {
            put(r, c);
            continue;
        }
        char escaped = next(r);
        if (!strchr("\"\\`$\n", escaped))
            put(r, '\\');
        if (escaped != '\n')
            put(r, escaped);
    }
    r->at++;
    return 0;
}

/* One character of a value outside quotes, or a whole quoted part. */
static int read_part(struct env_reader *r, char **ret_error)
{
    int result = 0;
    char c = next(r);
    if (c == '\'') {
        result = read_single_quotes(r, ret_error);
    } else if (c == '"') {
        result = read_double_quotes(r, ret_error);
    } else if (c == '\\') {
        char escaped = *r->at != '\0' ? next(r) : '\n';
        if (escaped != '\n')
            put(r, escaped);
    } else {
        put(r, c);
        return 0;
    }
    r->kept = r->length;
    return result;
}

static int read_value(struct env_reader *r, char **ret_error)
{
    r->length = r->kept = 0;
    while (is_blank(*r->at))
        r->at++;
    while (*r->at != '\0' && *r->at != '\n') {
        int result = read_part(r, ret_error);
        if (result < 0)
            return result;
    }
    while (r->length > r->kept && is_blank(r->value[r->length - 1]))
        r->length--;
    r->value[r->length] = '\0';
    return 0;
}

static int read_assignment(struct env_reader *r, char **ret_error)
{
    CLEANUP_FREE char *name = NULL;
    if (++r->assignments > VARIABLES_MAX)
        return fail(r, r->line, "more than 4096 variables", ret_error);
    int result = read_name(r, &name, ret_error);
    if (result == 0)
        result = read_value(r, ret_error);
    return result < 0 ? result : strv_env_set(&r->variables, name, r->value);
}

static int read_all(struct env_reader *r, char **ret_error)
{
    int result = 0;
    while (result == 0 && *r->at != '\0') {
        if (is_blank(*r->at) || *r->at == '\n')
            (void)next(r);
        else if (*r->at == '#' || *r->at == ';')
            skip_comment(r);
        else
            result = read_assignment(r, ret_error);
    }
    return result;
}

static int fail_file(const char *path, int error, char **ret_error)
{
    const char *why = error == EISDIR    ? "this is a directory, expected a file"
                      : error == ENOTSUP ? "this is no regular file"
                      : error == EFBIG   ? "this file is larger than 1 MiB"
                                         : strerror(error);
    char *text = string_format("%s: cannot read the environment: %s", path, why);
    if (!text)
        return -ENOMEM;
    *ret_error = text;
    return -error;
}

int config_read_environment_file(const char *path, char ***ret, char **ret_error)
{
    CLEANUP_FREE char *text = NULL;
    size_t size;
    int r = fd_read_file(path, CONFIG_FILE_SIZE_MAX, &text, &size);
    if (r == -ENOMEM)
        return r;
    if (r < 0)
        return fail_file(path, -r, ret_error);
    CLEANUP_FREE char *value = malloc(size + 1);
    if (!value)
        return -ENOMEM;
    struct env_reader reader = {.path = path, .at = text, .line = 1, .value = value};
    if (strlen(text) != size)
        return fail(&reader, 1, "a NUL character cannot be part of an environment", ret_error);
    r = read_all(&reader, ret_error);
    CLEANUP_STRV char **variables = TAKE_PTR(reader.variables);
    if (r == 0)
        *ret = TAKE_PTR(variables);
    return r;
}
