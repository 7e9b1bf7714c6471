#include "reloaderctl/field.h"

#include "reloaderctl/screen.h"

char *get_text(json_t *object, const char *name)
{
    return text_clean(json_string_value(json_object_get(object, name)));
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
