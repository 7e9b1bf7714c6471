#include "reloaderctl/field.h"

#include "base/macros.h"
#include "reloaderctl/screen.h"

#include <stdio.h>
#include <string.h>

char *get_text(json_t *object, const char *name)
{
    return text_clean(json_string_value(json_object_get(object, name)));
}

char *get_lines(json_t *object, const char *name, const char *indent)
{
    const char *text = json_string_value(json_object_get(object, name));
    char *lines = NULL;
    size_t size;
    FILE *stream = open_memstream(&lines, &size);
    if (!stream)
        die_of_memory();
    for (const char *line = text; line && *line;) {
        size_t length = strcspn(line, "\n");
        CLEANUP_FREE char *copy = strndup(line, length), *clean = text_clean(copy);
        (void)fprintf(stream, "%s%s%s", line == text ? "" : "\n", line == text ? "" : indent,
                      clean);
        line += length + (line[length] == '\n');
    }
    if (fclose(stream) != 0)
        die_of_memory();
    return lines;
}

char *get_words(json_t *object, const char *name)
{
    char *words = get_text(object, name);
    for (char *c = words; *c != '\0'; c++)
        if (*c == '_')
            *c = ' ';
    return words;
}

uint64_t get_number(json_t *object, const char *name)
{
    json_int_t value = json_integer_value(json_object_get(object, name));
    return value > 0 ? (uint64_t)value : 0;
}
