/* Any text as another supervisor's file: it is refused with words, or what comes out is a configuration. */
#include "config/config.h"
#include "import/import.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP_FREE char *text = malloc(size + 1), *yaml = NULL, *error = NULL, *errors = NULL;
    size_t yaml_size;
    unsigned refused;
    FILE *stream = open_memstream(&yaml, &yaml_size);
    if (!text || !stream)
        abort();
    memcpy(text, data, size);
    text[size] = '\0';
    int r = import_text(text, size, "/x", stream, &refused, &error);
    if (fclose(stream) != 0 || (r < 0 && !error))
        abort();
    if (r < 0)
        return 0;
    const struct config_source source = {.text = yaml, .directory = "/"};
    CLEANUP_CONFIG struct config *config = NULL;
    if (config_load(&source, &config, &errors) < 0)
        abort();
    return 0;
}
