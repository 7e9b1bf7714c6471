#include "import/template.h"

#include "base/strv.h"
#include "config/expand.h"
#include "config/quote.h"

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define LENGTH_MAX ((size_t)128 * 1024)

/* "%(name)s", or with a width "%(name)02d". */
struct reference {
    size_t length;
    char *name;
    bool padded;
};

static void reference_clear(struct reference *reference)
{
    free(reference->name);
}

static int fail(char **ret_reason, char *reason)
{
    if (!reason)
        return -ENOMEM;
    *ret_reason = reason;
    return -EINVAL;
}

static int read_reference(const char *at, struct reference *ret, char **ret_reason)
{
    size_t name = at[1] == '(' ? strcspn(at + 2, ")") : 0;
    size_t end = 2 + name + 1;
    bool padded = false;
    if (name > 0 && at[2 + name] == ')')
        for (; isdigit((unsigned char)at[end]); end++)
            padded = true;
    if (name == 0 || at[2 + name] != ')' || (at[end] != 's' && at[end] != 'd'))
        return fail(ret_reason,
                    string_format("'%.*s' is no expansion that there is here: expected %%(name)s, "
                                  "%%(name)02d, or %%%% for a percent sign",
                                  (int)strcspn(at, " \n"), at));
    *ret = (struct reference){.length = end + 1, .name = strndup(at + 2, name), .padded = padded};
    return ret->name ? 0 : -ENOMEM;
}

/* What it stands for, as a template, in *ret; NULL: reloader knows it by the same name. */
static int replace(const struct reference *reference, const struct template_names *names,
                   char **ret, char **ret_reason)
{
    const struct {
        const char *name, *text, *ours;
    } known[] = {
        {"here", names->here, NULL},
        {"numprocs", names->numprocs, NULL},
        {"program_name", names->program_name, names->our_program_name},
        {"group_name", names->group_name, names->our_group_name},
    };
    for (size_t i = 0; i < ARRAY_SIZE(known); i++) {
        if (strcmp(reference->name, known[i].name) != 0 || !known[i].text)
            continue;
        bool same = string_equal(known[i].text, known[i].ours);
        *ret = same ? NULL : percent_double(known[i].text);
        return same || *ret ? 0 : -ENOMEM;
    }
    if (strcmp(reference->name, "host_node_name") == 0 ||
        (strcmp(reference->name, "process_num") == 0 && names->program_name))
        return 0;
    if (!string_starts_with(reference->name, "ENV_"))
        return fail(ret_reason, string_format("%%(%s)s is not known here", reference->name));
    for (size_t i = 0; i < ARRAY_SIZE(names->environment); i++) {
        const char *value = strv_env_get(names->environment[i], reference->name + strlen("ENV_"));
        if (value)
            return (*ret = strdup(value)) ? 0 : -ENOMEM;
    }
    return 0;
}

static int put_reference(FILE *stream, const char **at, const struct template_names *names,
                         char **ret_reason)
{
    CLEANUP(reference_clear) struct reference reference = {0};
    CLEANUP_FREE char *text = NULL;
    int r = read_reference(*at, &reference, ret_reason);
    if (r == 0)
        r = replace(&reference, names, &text, ret_reason);
    if (r < 0)
        return r;
    if (text && reference.padded && strcmp(reference.name, "numprocs") != 0)
        return fail(ret_reason, string_format("%%(%s)s has a width: leave it out", reference.name));
    if (text && reference.padded) {
        const char *conversion = *at + strlen("%(numprocs)");
        int width = (int)strtoul(conversion, NULL, 10);
        bool zeros = *conversion == '0';
        for (int n = (int)strlen(text); n < MIN(width, 99); n++)
            (void)fputc(zeros ? '0' : ' ', stream);
    }
    if (text)
        (void)fputs(text, stream);
    else
        (void)fwrite(*at, 1, reference.length, stream);
    *at += reference.length;
    return 0;
}

static int translate_into(FILE *stream, const char *text, const struct template_names *names,
                          char **ret_reason)
{
    while (*text != '\0') {
        int r = 0;
        size_t literal = strcspn(text, "%");
        if (text[0] == '%' && text[1] == '%')
            literal = 2;
        (void)fwrite(text, 1, literal, stream);
        text += literal;
        if (literal == 0)
            r = put_reference(stream, &text, names, ret_reason);
        if (r == 0 && ftell(stream) > (long)LENGTH_MAX)
            r = fail(ret_reason, strdup("the expanded text is longer than 128 KiB"));
        if (r < 0)
            return r;
    }
    return 0;
}

int template_translate(const char *text, const struct template_names *names, char **ret,
                       char **ret_reason)
{
    CLEANUP_FREE char *translated = NULL;
    size_t size;
    FILE *stream = open_memstream(&translated, &size);
    if (!stream)
        return -ENOMEM;
    int r = translate_into(stream, text, names, ret_reason);
    if (!memory_stream_close(stream, &translated) && r == 0)
        r = -ENOMEM;
    if (r == 0)
        *ret = TAKE_PTR(translated);
    return r;
}

int template_evaluate(const char *text, const struct template_names *names, char **ret,
                      char **ret_reason)
{
    CLEANUP_FREE char *template = NULL;
    char host[256] = "";
    (void)gethostname(host, sizeof(host) - 1);
    const struct expansion known = {.program_name = names->our_program_name,
                                    .group_name = names->our_group_name,
                                    .host_node_name = host,
                                    .environment = environ};
    int r = template_translate(text, names, &template, ret_reason);
    return r < 0 ? r : expand(template, &known, ret, ret_reason);
}
