#include "reloaderctl/line-print.h"

#include "base/lines.h"
#include "base/strv.h"
#include "reloaderctl/commands.h"
#include "reloaderctl/screen.h"

#include <string.h>

static void print_clean(FILE *stream, const char *line, size_t size)
{
    CLEANUP_FREE char *text = malloc(size + 2);
    if (!text)
        die_of_memory();
    memcpy(text, line, size);
    text[size] = '\n';
    size_t left = lines_strip_ansi(text, size + 1);
    text[left - 1] = '\0';
    CLEANUP_FREE char *clean = text_clean(text);
    (void)fprintf(stream, "%s\n", clean);
}

void line_print(FILE *stream, bool terminal, const char *line, size_t size)
{
    if (terminal) {
        print_clean(stream, line, size);
        return;
    }
    (void)fwrite(line, 1, size, stream);
    (void)fputc('\n', stream);
}

void line_print_json(json_t *of, bool shared, const char *line, size_t size)
{
    CLEANUP_FREE char *text = strndup(line, size);
    if (!text)
        die_of_memory();
    string_make_utf8(text);
    json_auto_t *object = json_pack("{s:O, s:O, s:s}", "program", json_object_get(of, "program"),
                                    "stream", json_object_get(of, "stream"), "text", text);
    if (!shared && object) {
        (void)json_object_set(object, "name", json_object_get(of, "name"));
        (void)json_object_set(object, "slot", json_object_get(of, "slot"));
    }
    print_json(object, false);
}
