#include "reloaderctl/fg-text.h"

#include "base/lines.h"
#include "base/strv.h"
#include "reloaderctl/line-print.h"
#include "reloaderctl/screen.h"
#include "reloaderctl/tail-place.h"

#include <string.h>
#include <unistd.h>

#define NAMES_MAX 16

void fg_print_lines(bool json, json_t *lines)
{
    const char *text = json_string_value(json_object_get(lines, "text"));
    bool is_error = string_equal(json_string_value(json_object_get(lines, "stream")), "stderr");
    FILE *stream = is_error ? stderr : stdout;
    bool terminal = isatty(is_error ? STDERR_FILENO : STDOUT_FILENO);
    uint64_t missed = get_number(lines, "missed");
    if (missed > 0)
        complain("%llu lines are left out here: they come too fast", (unsigned long long)missed);
    for (size_t left = text ? strlen(text) : 0; left > 0;) {
        size_t line = lines_first(text, left), size = line - (text[line - 1] == '\n');
        if (json)
            line_print_json(lines, false, text, size);
        else
            line_print(stream, terminal, text, size);
        text += line;
        left -= line;
    }
}

/* Where both go to the same, it is said of stdout alone. */
void fg_explain_outputs(json_t *outputs, json_t *log)
{
    size_t i;
    json_t *output, *before = NULL;
    json_array_foreach(outputs, i, output)
    {
        bool same = before &&
                    json_equal(json_object_get(before, "to"), json_object_get(output, "to"));
        before = output;
        if (tail_place_is_live(output) || same)
            continue;
        CLEANUP_FREE char *text = tail_place_explain(output, log, false);
        complain("%s", text);
    }
}

/* "a, b, c"; malloc-ed. */
static char *join(json_t *names)
{
    size_t i;
    json_t *name;
    char *list = strdup("");
    json_array_foreach(names, i, name)
    {
        CLEANUP_FREE char *clean = text_clean(json_string_value(name));
        char *longer = !list            ? NULL
                       : i == NAMES_MAX ? string_format("%s, …", list)
                       : i > NAMES_MAX  ? strdup(list)
                                        : string_format("%s%s%s", list, i > 0 ? ", " : "", clean);
        free(list);
        list = longer;
    }
    if (!list)
        die_of_memory();
    return list;
}

void fg_explain_several(json_t *workers)
{
    CLEANUP_FREE char *list = join(workers);
    complain("that is several workers; name one of them: %s", list);
}

static json_t *collect_names(json_t *programs)
{
    size_t i, j;
    json_t *program, *slot, *names = json_array();
    json_array_foreach(programs, i, program)
        json_array_foreach(json_object_get(program, "slots"), j, slot)(void) json_array_append_new(
            names, json_sprintf("%s:%llu", json_string_value(json_object_get(program, "name")),
                                (unsigned long long)get_number(slot, "slot")));
    return names;
}

void fg_explain_names(const struct invocation *invocation)
{
    CLEANUP_CLIENT struct client client = {.fd = -1};
    CLEANUP_REPLY struct client_reply reply = {0};
    if (connect_or_complain(invocation, &client) != EXIT_CODE_OK ||
        ask(&client, "Status", NULL, false, &reply) != EXIT_CODE_OK)
        return;
    json_auto_t *names = collect_names(json_object_get(reply.parameters, "programs"));
    CLEANUP_FREE char *list = join(names);
    if (json_array_size(names) > 0)
        complain("there are %s", list);
}
