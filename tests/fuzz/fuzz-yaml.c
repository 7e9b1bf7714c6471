/* Any text as a configuration: it is refused with words, or what is printed loads to the same. */
#include "config/config.h"
#include "config/diff.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct config *load(const char *text)
{
    const struct config_source source = {.text = text, .directory = "/"};
    struct config *config = NULL;
    CLEANUP_FREE char *errors = NULL;
    if (config_load(&source, &config, &errors) < 0 &&
        (!errors || config || errors[strlen(errors) - 1] != '\n'))
        abort();
    return config;
}

static char *print(const struct config *config)
{
    char *text = NULL;
    size_t size;
    FILE *stream = open_memstream(&text, &size);
    if (!stream || config_print(config, stream) < 0 || fclose(stream) != 0)
        abort();
    return text;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP_FREE char *text = strndup((const char *)data, size);
    CLEANUP_CONFIG struct config *config = load(text);
    if (!config)
        return 0;
    CLEANUP_FREE char *once = print(config);
    CLEANUP_CONFIG struct config *again = load(once);
    if (!again)
        abort();
    CLEANUP_FREE char *twice = print(again);
    CLEANUP(config_diff_freep) struct config_diff *diff = NULL;
    if (config_diff_new(config, again, &diff) < 0 || strcmp(once, twice) != 0 ||
        !config_diff_is_empty(diff))
        abort();
    return 0;
}
