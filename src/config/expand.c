#include "config/expand.h"

#include "base/strv.h"
#include "config/quote.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* No argument of a program may be longer (MAX_ARG_STRLEN of Linux). */
#define EXPANDED_MAX       ((size_t)128 * 1024)
#define WIDTH_MAX          99
#define EXPANSION_NAME_MAX 128

/* One "%(name)05d", taken apart. */
struct directive {
    const char *begin;
    size_t length;
    char name[EXPANSION_NAME_MAX];
    bool zeros;
    unsigned width;
    char conversion; /* s or d */
};

/* What a name stands for. */
struct meaning {
    bool is_known_name;
    const char *text;
    bool is_number;
    uint64_t number;
    char *reason; /* malloc-ed; why there is no value */
};

static const char *skip_width(const char *s, struct directive *ret)
{
    ret->zeros = *s == '0';
    while (isdigit((unsigned char)*s)) {
        ret->width = MIN(ret->width * 10 + (unsigned)(*s - '0'), (unsigned)WIDTH_MAX + 1);
        s++;
    }
    return s;
}

static bool parse_directive(const char *text, struct directive *ret)
{
    struct directive directive = {.begin = text};
    if (text[0] != '%' || text[1] != '(')
        return false;
    const char *name = text + 2;
    size_t length = strcspn(name, ")");
    if (name[length] == '\0' || length == 0 || length >= sizeof(directive.name))
        return false;
    memcpy(directive.name, name, length);
    const char *s = skip_width(name + length + 1, &directive);
    if ((*s != 's' && *s != 'd') || directive.width > WIDTH_MAX)
        return false;
    directive.conversion = *s;
    directive.length = (size_t)(s + 1 - text);
    *ret = directive;
    return true;
}

/* The names that are known here, for people. */
static char *list_known(const struct expansion *e)
{
    return string_format("%s%s%s%s%s%s%s%%(ENV_NAME)s", e->program_name ? "%(program_name)s " : "",
                         e->process_num ? "%(process_num)s %(process_num)02d " : "",
                         e->group_name ? "%(group_name)s " : "", e->here ? "%(here)s " : "",
                         e->host_node_name ? "%(host_node_name)s " : "",
                         e->generation ? "%(generation)s " : "",
                         e->socket_fd ? "%(fd:SOCKET)s " : "");
}

static void find_text(const char *name, const struct expansion *e, struct meaning *ret)
{
    const struct {
        const char *name, *text;
    } texts[] = {
        {"program_name", e->program_name},
        {"group_name", e->group_name},
        {"here", e->here},
        {"host_node_name", e->host_node_name},
    };
    for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
        if (strcmp(name, texts[i].name) == 0)
            *ret = (struct meaning){.is_known_name = true, .text = texts[i].text};
}

static void find_number(const char *name, const struct expansion *e, struct meaning *ret)
{
    if (strcmp(name, "process_num") == 0) {
        *ret = (struct meaning){.is_known_name = true, .is_number = e->process_num};
        ret->number = e->process_num ? *e->process_num : 0;
    } else if (strcmp(name, "generation") == 0) {
        *ret = (struct meaning){.is_known_name = true, .is_number = e->generation};
        ret->number = e->generation ? *e->generation : 0;
    }
}

static void find_socket(const char *name, const struct expansion *e, struct meaning *ret)
{
    if (!string_starts_with(name, "fd:"))
        return;
    *ret = (struct meaning){.is_known_name = true};
    if (!e->socket_fd)
        return;
    int fd = e->socket_fd(name + 3, e->userdata);
    if (fd == -ENXIO) {
        ret->reason = string_format("%%(%s)s: with handoff scm-rights alone a socket has no number "
                                    "when the worker starts; add env to handoff",
                                    name);
    } else if (fd < 0) {
        ret->reason = string_format("%%(%s)s: the program has no socket '%s'", name, name + 3);
    } else {
        ret->is_number = true;
        ret->number = (uint64_t)fd;
    }
}

static void find_environment(const char *name, const struct expansion *e, struct meaning *ret)
{
    if (!string_starts_with(name, "ENV_"))
        return;
    *ret = (struct meaning){.is_known_name = true, .text = strv_env_get(e->environment, name + 4)};
    if (!ret->text)
        ret->reason = string_format("%%(%s)s: there is no environment variable '%s'", name,
                                    name + 4);
}

static char *explain(const struct directive *d, const struct meaning *meaning,
                     const struct expansion *e)
{
    CLEANUP_FREE char *known = list_known(e);
    if (!known)
        return NULL;
    return string_format("%.*s is %s; known here: %s", (int)MIN(d->length, (size_t)60), d->begin,
                         meaning->is_known_name ? "not known here" : "unknown", known);
}

/* Without a value, *ret_reason says why; with neither, memory is short. */
static int look_up(const struct directive *d, const struct expansion *e, struct meaning *ret,
                   char **ret_reason)
{
    struct meaning meaning = {0};
    find_text(d->name, e, &meaning);
    find_number(d->name, e, &meaning);
    find_socket(d->name, e, &meaning);
    find_environment(d->name, e, &meaning);
    if (meaning.text || meaning.is_number) {
        if (d->conversion == 's' || meaning.is_number) {
            *ret = meaning;
            return 0;
        }
        meaning.reason = string_format("%.*s is no number: write %%(%s)s", (int)d->length, d->begin,
                                       d->name);
    } else if (!meaning.reason) {
        meaning.reason = explain(d, &meaning, e);
    }
    if (!meaning.reason)
        return -ENOMEM;
    *ret_reason = meaning.reason;
    return -EINVAL;
}

static void put_meaning(FILE *stream, const struct directive *d, const struct meaning *meaning)
{
    int width = (int)d->width;
    if (!meaning->is_number)
        (void)fprintf(stream, "%*s", width, meaning->text);
    else if (d->zeros)
        (void)fprintf(stream, "%0*" PRIu64, width, meaning->number);
    else
        (void)fprintf(stream, "%*" PRIu64, width, meaning->number);
}

static int fail_percent(const char *at, char **ret_reason)
{
    char *reason = string_format(
        "'%.12s' is no expansion: write %%%% for a percent sign, %%(name)s or %%(name)02d "
        "for an expansion",
        at);
    if (!reason)
        return -ENOMEM;
    *ret_reason = reason;
    return -EINVAL;
}

static int expand_into(FILE *stream, const char *text, const struct expansion *e, char **ret_reason)
{
    while (*text != '\0') {
        size_t literal = strcspn(text, "%");
        (void)fwrite(text, 1, literal, stream);
        text += literal;
        if (*text == '\0')
            break;
        if (text[1] == '%') {
            (void)fputc('%', stream);
            text += 2;
            continue;
        }
        struct directive directive;
        struct meaning meaning;
        if (!parse_directive(text, &directive))
            return fail_percent(text, ret_reason);
        int r = look_up(&directive, e, &meaning, ret_reason);
        if (r < 0)
            return r;
        put_meaning(stream, &directive, &meaning);
        text += directive.length;
        if (ftell(stream) > (long)EXPANDED_MAX) {
            *ret_reason = strdup("the expanded text is longer than 128 KiB");
            return *ret_reason ? -EINVAL : -ENOMEM;
        }
    }
    return 0;
}

int expand(const char *text, const struct expansion *expansion, char **ret, char **ret_reason)
{
    CLEANUP_FREE char *expanded = NULL;
    size_t size;
    FILE *stream = open_memstream(&expanded, &size);
    if (!stream)
        return -ENOMEM;
    int r = expand_into(stream, text, expansion, ret_reason);
    if (!memory_stream_close(stream, &expanded) && r == 0)
        r = -ENOMEM;
    if (r == 0)
        *ret = TAKE_PTR(expanded);
    return r;
}

/* How long what begins with a percent sign is: a doubled one, an expansion, else the sign itself. */
static size_t measure_percent(const char *text, struct directive *ret)
{
    *ret = (struct directive){.begin = text};
    if (text[1] == '%')
        return 2;
    return parse_directive(text, ret) ? ret->length : 1;
}

static int put_here(FILE *stream, const struct directive *d, const char *here)
{
    CLEANUP_FREE char *padded = string_format("%*s", (int)d->width, here),
                      *doubled = padded ? percent_double(padded) : NULL;
    if (!doubled)
        return -ENOMEM;
    (void)fputs(doubled, stream);
    return 0;
}

char *expand_here(const char *text, const char *here)
{
    char *expanded = NULL;
    size_t size;
    FILE *stream = open_memstream(&expanded, &size);
    int r = stream ? 0 : -ENOMEM;
    while (r == 0 && *text != '\0') {
        struct directive directive = {0};
        size_t length = *text == '%' ? measure_percent(text, &directive) : strcspn(text, "%");
        if (strcmp(directive.name, "here") == 0)
            r = put_here(stream, &directive, here);
        else
            (void)fwrite(text, 1, length, stream);
        text += length;
    }
    if (stream && !memory_stream_close(stream, &expanded))
        r = -ENOMEM;
    if (r < 0) {
        free(expanded);
        return NULL;
    }
    return expanded;
}

bool expand_uses(const char *text, const char *name)
{
    for (; *text != '\0'; text++) {
        struct directive directive;
        if (*text != '%')
            continue;
        if (parse_directive(text, &directive) && strcmp(directive.name, name) == 0)
            return true;
        if (text[1] == '%')
            text++;
    }
    return false;
}
