/* Types that any key may have. */
#include "config/values.h"

#include "base/parse.h"
#include "base/strv.h"
#include "config/expand.h"
#include "config/quote.h"
#include "config/section.h"
#include "config/suggest.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <string.h>
#include <unistd.h>

bool value_is_scalar(struct reader *reader, const struct tree_node *node, const char *expected)
{
    char text[TREE_TEXT_SIZE];
    if (node->type == TREE_SCALAR)
        return true;
    reader_error(reader, &node->place, "%s is wrong here, expected %s", tree_describe(node, text),
                 expected);
    return false;
}

size_t value_list_length(const struct tree_node *node)
{
    return node->type == TREE_SEQUENCE ? node->n : 1;
}

const struct tree_node *value_list_item(const struct tree_node *node, size_t i)
{
    return node->type == TREE_SEQUENCE ? node->items[i] : node;
}

static bool is_negative(const char *text)
{
    return text[0] == '-' && isdigit((unsigned char)text[1]);
}

static const char *suggest_word(const struct key *key, const char *text,
                                char buffer[SUGGESTION_TEXT_SIZE])
{
    struct suggestion suggestion;
    suggestion_init(&suggestion, text);
    STRV_FOREACH (word, (char *const *)key->words)
        suggestion_try(&suggestion, *word);
    return suggestion_to_text(&suggestion, buffer);
}

void value_read_scalar(struct reader *reader, const struct key *key, const struct tree_node *node,
                       void *object)
{
    char expected[VALUE_TEXT_SIZE], text[TREE_TEXT_SIZE], suggestion[SUGGESTION_TEXT_SIZE];
    key->type->expect(key, expected);
    if (!value_is_scalar(reader, node, expected))
        return;
    STRV_FOREACH (word, (char *const *)key->later)
        if (strcmp(*word, node->text) == 0) {
            reader_error(reader, &node->place, "'%s' is not in this version, expected %s", *word,
                         expected);
            return;
        }
    int r = key->type->parse(key, node->text, (char *)object + key->offset);
    if (r == -ENOMEM)
        reader->errors->no_memory = true;
    else if (r == -ERANGE || (r < 0 && is_negative(node->text)))
        reader_error(reader, &node->place, "%s is out of range, expected %s",
                     tree_describe(node, text), expected);
    else if (r < 0)
        reader_error(reader, &node->place, "%s is wrong here, expected %s%s",
                     tree_describe(node, text), expected,
                     suggest_word(key, node->text, suggestion));
}

void value_print_scalar(struct printer *printer, const struct key *key, const void *object)
{
    char text[VALUE_TEXT_SIZE];
    bool set = key->type->format(key, (const char *)object + key->offset, text);
    print_key(printer, key->name);
    if (set)
        print_text(printer, text);
    else
        (void)fputs(" null", printer->stream);
    (void)fputc('\n', printer->stream);
}

#define SCALAR_TYPE(name_, label_, parse_, format_, expect_)                                       \
    const struct value_type name_ = {                                                              \
        .label = label_,                                                                           \
        .read = value_read_scalar,                                                                 \
        .print = value_print_scalar,                                                               \
        .parse = parse_,                                                                           \
        .format = format_,                                                                         \
        .expect = expect_,                                                                         \
    }

static int parse_bool_value(const struct key *key UNUSED, const char *text, void *field)
{
    return parse_bool(text, field);
}

static bool format_bool(const struct key *key UNUSED, const void *field,
                        char buffer[VALUE_TEXT_SIZE])
{
    strcpy(buffer, *(const bool *)field ? "true" : "false");
    return true;
}

static void expect_bool(const struct key *key UNUSED, char buffer[VALUE_TEXT_SIZE])
{
    strcpy(buffer, "true or false");
}

/* print_text() would quote true and false, which other tools must not read as text. */
static void print_bool(struct printer *printer, const struct key *key, const void *object)
{
    const bool *field = (const bool *)((const char *)object + key->offset);
    print_key(printer, key->name);
    (void)fprintf(printer->stream, " %s\n", *field ? "true" : "false");
}

const struct value_type type_bool = {
    .label = "true or false",
    .read = value_read_scalar,
    .print = print_bool,
    .parse = parse_bool_value,
    .format = format_bool,
    .expect = expect_bool,
};

static int parse_number(const struct key *key, const char *text, void *field)
{
    uint64_t value;
    int r = parse_unsigned(text, key->min, key->max, &value);
    if (r == 0)
        *(unsigned *)field = (unsigned)value;
    return r;
}

static bool format_number(const struct key *key UNUSED, const void *field,
                          char buffer[VALUE_TEXT_SIZE])
{
    (void)snprintf(buffer, VALUE_TEXT_SIZE, "%u", *(const unsigned *)field);
    return true;
}

static void expect_number(const struct key *key, char buffer[VALUE_TEXT_SIZE])
{
    (void)snprintf(buffer, VALUE_TEXT_SIZE, "a number from %" PRIu64 " to %" PRIu64, key->min,
                   key->max);
}

SCALAR_TYPE(type_number, "number", parse_number, format_number, expect_number);

static int parse_duration_value(const struct key *key, const char *text, void *field)
{
    uint64_t usec;
    int r = parse_duration(text, &usec);
    if (r == 0 && (usec < key->min || (key->max > 0 && usec > key->max)))
        r = -ERANGE;
    if (r == 0)
        *(uint64_t *)field = usec;
    return r;
}

static bool format_duration(const struct key *key UNUSED, const void *field,
                            char buffer[VALUE_TEXT_SIZE])
{
    char text[DURATION_TEXT_SIZE];
    strcpy(buffer, duration_to_config(*(const uint64_t *)field, text));
    return true;
}

static void expect_duration(const struct key *key, char buffer[VALUE_TEXT_SIZE])
{
    char text[DURATION_TEXT_SIZE];
    int n = snprintf(buffer, VALUE_TEXT_SIZE, "a duration (it needs a unit: 500ms, 10s, 5m)");
    if (key->min > 0)
        n += snprintf(buffer + n, VALUE_TEXT_SIZE - (size_t)n, " from %s",
                      duration_to_config(key->min, text));
    if (key->max > 0)
        (void)snprintf(buffer + n, VALUE_TEXT_SIZE - (size_t)n, " up to %s",
                       duration_to_config(key->max, text));
}

/* The most common slip gets the plainest words. */
static void read_duration(struct reader *reader, const struct key *key,
                          const struct tree_node *node, void *object)
{
    if (node->type == TREE_SCALAR && *node->text != '\0' && strcmp(node->text, "0") != 0 &&
        strspn(node->text, "0123456789.") == strlen(node->text)) {
        char text[TREE_TEXT_SIZE];
        reader_error(reader, &node->place,
                     "%s has no unit, a duration needs a unit: 500ms, 10s, 5m",
                     tree_describe(node, text));
        return;
    }
    value_read_scalar(reader, key, node, object);
}

const struct value_type type_duration = {
    .label = "duration",
    .read = read_duration,
    .print = value_print_scalar,
    .parse = parse_duration_value,
    .format = format_duration,
    .expect = expect_duration,
};

static int parse_signal_value(const struct key *key UNUSED, const char *text, void *field)
{
    return parse_signal(text, field);
}

static bool format_signal(const struct key *key UNUSED, const void *field,
                          char buffer[VALUE_TEXT_SIZE])
{
    int signal = *(const int *)field;
    char text[SIGNAL_NAME_SIZE];
    const char *name = signal_to_string(signal, text);
    if (string_starts_with(name, "SIG"))
        strcpy(buffer, name);
    else
        (void)snprintf(buffer, VALUE_TEXT_SIZE, "%d", signal);
    return signal != CONFIG_SIGNAL_UNSET;
}

static void expect_signal(const struct key *key UNUSED, char buffer[VALUE_TEXT_SIZE])
{
    strcpy(buffer, "a signal, as TERM, SIGTERM or 15");
}

SCALAR_TYPE(type_signal, "signal", parse_signal_value, format_signal, expect_signal);

static int parse_mode_value(const struct key *key UNUSED, const char *text, void *field)
{
    unsigned mode;
    int r = parse_mode(text, &mode);
    if (r == 0 && mode > 0777)
        r = -ERANGE;
    if (r == 0)
        *(mode_t *)field = (mode_t)mode;
    return r;
}

static bool format_mode(const struct key *key UNUSED, const void *field,
                        char buffer[VALUE_TEXT_SIZE])
{
    (void)snprintf(buffer, VALUE_TEXT_SIZE, "%04o", (unsigned)*(const mode_t *)field);
    return true;
}

static void expect_mode(const struct key *key UNUSED, char buffer[VALUE_TEXT_SIZE])
{
    strcpy(buffer, "an octal file mode from \"0000\" to \"0777\"");
}

SCALAR_TYPE(type_mode, "octal mode", parse_mode_value, format_mode, expect_mode);

/*
 * min and max of a factor are in hundredths; one that is at most 1 may be a percentage. strtod() would also take hex, inf and blanks, and obey
 * the locale.
 */
static int parse_factor(const struct key *key, const char *text, void *field)
{
    size_t whole = strspn(text, "0123456789");
    size_t fraction = text[whole] == '.' ? strspn(text + whole + 1, "0123456789") : 0;
    size_t length = whole + (text[whole] == '.' ? 1 + fraction : 0);
    bool percent = key->max <= 100 && strcmp(text + length, "%") == 0;
    if (whole == 0 || (text[length] != '\0' && !percent) || text[length - 1] == '.' || length > 20)
        return -EINVAL;
    double value = 0, scale = percent ? 100 : 1;
    for (const char *s = text; s < text + length; s++) {
        if (*s == '.')
            continue;
        value = value * 10 + (*s - '0');
        scale *= s > text + whole ? 10 : 1;
    }
    value /= scale;
    if (value < (double)key->min / 100 || value > (double)key->max / 100)
        return -ERANGE;
    *(double *)field = value;
    return 0;
}

static bool format_factor(const struct key *key UNUSED, const void *field,
                          char buffer[VALUE_TEXT_SIZE])
{
    (void)snprintf(buffer, VALUE_TEXT_SIZE, "%.12f", *(const double *)field);
    size_t n = strlen(buffer);
    while (buffer[n - 1] == '0')
        n--;
    n -= buffer[n - 1] == '.';
    buffer[n] = '\0';
    return true;
}

static void expect_factor(const struct key *key, char buffer[VALUE_TEXT_SIZE])
{
    (void)snprintf(buffer, VALUE_TEXT_SIZE, "a number from %g to %g%s", (double)key->min / 100,
                   (double)key->max / 100, key->max <= 100 ? ", or a percentage" : "");
}

SCALAR_TYPE(type_factor, "number", parse_factor, format_factor, expect_factor);

static int parse_choice(const struct key *key, const char *text, void *field)
{
    for (unsigned i = 0; key->words[i]; i++)
        if (strcmp(key->words[i], text) == 0) {
            *(unsigned *)field = i;
            return 0;
        }
    return -EINVAL;
}

static bool format_choice(const struct key *key, const void *field, char buffer[VALUE_TEXT_SIZE])
{
    strcpy(buffer, key->words[*(const unsigned *)field]);
    return true;
}

static void expect_choice(const struct key *key, char buffer[VALUE_TEXT_SIZE])
{
    int n = 0;
    for (size_t i = 0; key->words[i]; i++)
        n += snprintf(buffer + n, VALUE_TEXT_SIZE - (size_t)n, "%s%s",
                      i == 0               ? ""
                      : !key->words[i + 1] ? " or "
                                           : ", ",
                      key->words[i]);
}

/* Words that YAML takes for something else (true, false) need no quotes in our own file. */
static void print_choice(struct printer *printer, const struct key *key, const void *object)
{
    print_key(printer, key->name);
    (void)fprintf(
        printer->stream, " %s\n",
        key->words[*(const unsigned *)(const void *)((const char *)object + key->offset)]);
}

const struct value_type type_choice = {
    .label = "choice",
    .read = value_read_scalar,
    .print = print_choice,
    .parse = parse_choice,
    .format = format_choice,
    .expect = expect_choice,
};

static void read_section(struct reader *reader, const struct key *key, const struct tree_node *node,
                         void *object)
{
    section_read(reader, key->table, node, object);
}

static void print_section(struct printer *printer, const struct key *key, const void *object)
{
    print_key(printer, key->name);
    (void)fputc('\n', printer->stream);
    printer->indent += 2;
    section_print(printer, key->table, object);
    printer->indent -= 2;
}

const struct value_type type_section = {.read = read_section, .print = print_section};
