#include "reloaderctl/cells.h"

#include "base/parse.h"
#include "reloaderctl/field.h"

#include <inttypes.h>

void add_titles(struct table *table, const char *const *titles)
{
    for (size_t i = 0; i < table->n_columns; i++)
        table_add(table, TONE_DIM, "%s", titles[i]);
}

void add_number(struct table *table, json_t *object, const char *name)
{
    if (json_is_integer(json_object_get(object, name)))
        table_add(table, TONE_PLAIN, "%" PRIu64, get_number(object, name));
    else
        table_add(table, TONE_PLAIN, "-");
}

void add_size(struct table *table, json_t *object, const char *name)
{
    char size[SIZE_TEXT_SIZE];
    bool known = json_is_integer(json_object_get(object, name));
    table_add(table, TONE_PLAIN, "%s", known ? size_to_text(get_number(object, name), size) : "-");
}

void add_percent(struct table *table, json_t *object, const char *name)
{
    char percent[PERCENT_TEXT_SIZE];
    const json_t *value = json_object_get(object, name);
    table_add(table, TONE_PLAIN, "%s",
              json_is_number(value) ? percent_to_text(json_number_value(value), percent) : "-");
}

const char *percent_to_text(double percent, char buffer[PERCENT_TEXT_SIZE])
{
    (void)snprintf(buffer, PERCENT_TEXT_SIZE, "%.*f%%", percent < 99.95, percent);
    return buffer;
}

void add_listener_titles(struct table *table)
{
    static const char *const titles[LISTENER_COLUMNS] = {"LISTENER", "ADDRESS", "QUEUE", "BACKLOG",
                                                         "DROPS"};
    add_titles(table, titles);
}

void add_listener(struct table *table, json_t *listener)
{
    CLEANUP_FREE char *name = get_text(listener, "name"), *address = get_text(listener, "address");
    bool taken_over = json_is_true(json_object_get(listener, "taken_over"));
    table_add(table, TONE_PLAIN, "%s", name);
    table_add(table, TONE_PLAIN, "%s%s", address, taken_over ? " (taken over)" : "");
    add_number(table, listener, "queue");
    add_number(table, listener, "backlog");
    add_number(table, listener, "drops");
}
