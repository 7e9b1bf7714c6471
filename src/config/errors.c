#include "config/errors.h"

#include "base/strv.h"
#include "config/quote.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct error {
    struct place place;
    size_t order; /* qsort() is not stable */
    char *text;
};

void errors_clear(struct errors *errors)
{
    for (size_t i = 0; i < errors->n; i++)
        free(errors->list[i].text);
    free(errors->list);
    *errors = (struct errors){0};
}

const char *line_to_text(unsigned line, char buffer[LINE_TEXT_SIZE])
{
    buffer[0] = '\0';
    if (line > 0)
        (void)snprintf(buffer, LINE_TEXT_SIZE, " in line %u", line);
    return buffer;
}

/* One error is one line, and steers no terminal, whatever the file holds. */
static void replace_controls(char *text)
{
    for (; *text != '\0'; text++)
        if ((unsigned char)*text < 0x20 || *text == 0x7f)
            *text = '?';
}

char *place_to_text(const struct place *place)
{
    if (place->line == 0)
        return strdup(place->origin);
    return string_format("%s:%u:%u", place->origin, place->line, place->column);
}

char *place_seen_from(const struct place *place, const struct place *from)
{
    char line[LINE_TEXT_SIZE];
    if (place->file == from->file || place->line == 0)
        return strdup(line_to_text(place->line, line));
    return string_format(" in %s:%u:%u", place->origin, place->line, place->column);
}

static char *format_error(const struct place *place, const char *path, const char *what)
{
    CLEANUP_FREE char *where = place_to_text(place);
    if (!where)
        return NULL;
    return string_format("%s: %s%s%s", where, path ? path : "", path && *path ? ": " : "", what);
}

void errors_add(struct errors *errors, const struct place *place, const char *path,
                const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    errors_add_list(errors, place, path, format, arguments);
    va_end(arguments);
}

void errors_add_list(struct errors *errors, const struct place *place, const char *path,
                     const char *format, va_list arguments)
{
    if (!errors_wanted(errors)) {
        errors->dropped++;
        return;
    }
    if (!errors->list)
        errors->list = calloc(ERRORS_MAX, sizeof(struct error));
    CLEANUP_FREE char *what = NULL;
    if (vasprintf(&what, format, arguments) < 0)
        what = NULL;
    char *text = what && errors->list ? format_error(place, path, what) : NULL;
    if (!text) {
        errors->no_memory = true;
        return;
    }
    replace_controls(text);
    errors->list[errors->n] = (struct error){.place = *place, .order = errors->n, .text = text};
    errors->n++;
}

static int compare_unsigned(size_t a, size_t b)
{
    return (a > b) - (a < b);
}

static int compare_errors(const void *a, const void *b)
{
    const struct error *x = a, *y = b;
    int r = compare_unsigned(x->place.file, y->place.file);
    if (r == 0)
        r = compare_unsigned(x->place.line, y->place.line);
    if (r == 0)
        r = compare_unsigned(x->place.column, y->place.column);
    return r != 0 ? r : compare_unsigned(x->order, y->order);
}

char *errors_to_text(struct errors *errors)
{
    if (errors->n > 0)
        qsort(errors->list, errors->n, sizeof(struct error), compare_errors);
    char *text = NULL;
    size_t size = 0;
    FILE *stream = open_memstream(&text, &size);
    if (!stream)
        return NULL;
    for (size_t i = 0; i < errors->n; i++)
        (void)fprintf(stream, "%s\n", errors->list[i].text);
    if (errors->dropped > 0)
        (void)fprintf(stream, "and %zu more errors\n", errors->dropped);
    if (!memory_stream_close(stream, &text)) {
        free(text);
        return NULL;
    }
    return text;
}
