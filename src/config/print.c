#include "config/config.h"

#include "config/section.h"

#include <errno.h>

int config_print(const struct config *config, FILE *stream)
{
    struct printer printer = {.stream = stream, .config = config};
    section_print(&printer, &root_table, config);
    if (printer.failed)
        return -ENOMEM;
    return fflush(stream) != 0 || ferror(stream) ? -EIO : 0;
}

static void print_key_help(const struct key *key, FILE *stream)
{
    const char *standard = key->default_help ? key->default_help : key->default_text;
    (void)fprintf(stream, "  %-20s %s", key->name, key->help);
    for (size_t i = 0; key->words && key->words[i]; i++)
        (void)fprintf(stream, "%s%s", i == 0 ? " (" : ", ", key->words[i]);
    (void)fprintf(stream, "%s; %s", key->words ? ")" : "", key->type->label);
    if (key->required)
        (void)fputs(", required\n", stream);
    else
        (void)fprintf(stream, ", default %s\n", standard);
}

void config_print_keys(FILE *stream)
{
    for (const struct key_table *const *table = key_tables; *table; table++) {
        (void)fprintf(stream, "%s%s\n", table == key_tables ? "" : "\n",
                      *(*table)->path == '\0' ? "at the top" : (*table)->path);
        for (const struct key *key = (*table)->keys; key->name; key++)
            if (key->type && key->help)
                print_key_help(key, stream);
    }
}
