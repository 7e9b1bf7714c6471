#include "reloaderctl/event-text.h"

#include "reloaderctl/field.h"
#include "reloaderctl/screen.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static void put_worker(FILE *stream, json_t *event)
{
    CLEANUP_FREE char *name = get_text(event, "name"), *old = get_text(event, "old"),
                      *new = get_text(event, "new"), *health = get_text(event, "health");
    bool came = old[0] == '\0' || strcmp(old, "NONE") == 0;
    if (health[0] != '\0')
        (void)fprintf(stream, "worker %s: %s", name, health);
    else
        (void)fprintf(stream, "worker %s: %s%s%s", name, came ? "" : old, came ? "" : " -> ", new);
    if (get_number(event, "pid") > 0)
        (void)fprintf(stream, ", pid %" PRIu64, get_number(event, "pid"));
    if (get_number(event, "generation") > 0)
        (void)fprintf(stream, ", generation %" PRIu64, get_number(event, "generation"));
}

static void put_rollout(FILE *stream, json_t *event)
{
    CLEANUP_FREE char *program = get_text(event, "program"), *step = get_words(event, "step");
    (void)fprintf(stream, "rollout %s: %s, %" PRIu64 " of %" PRIu64 " ready", program, step,
                  get_number(event, "ready"), get_number(event, "workers"));
}

static void put_reload(FILE *stream, json_t *event)
{
    CLEANUP_FREE char *state = get_text(event, "state"), *result = get_words(event, "result");
    (void)fprintf(stream, "reload %" PRIu64 " %s%s%s", get_number(event, "id"), state,
                  result[0] ? ": " : "", result);
}

static void put_target(FILE *stream, json_t *target)
{
    CLEANUP_FREE char *program = get_text(target, "program"), *result = get_words(target, "result"),
                      *reason = get_text(target, "reason");
    (void)fputs(program, stream);
    if (json_is_integer(json_object_get(target, "slot")))
        (void)fprintf(stream, ":%" PRIu64, get_number(target, "slot"));
    (void)fprintf(stream, "%s%s%s%s%s", result[0] ? " " : "", result, reason[0] ? " (" : "", reason,
                  reason[0] ? ")" : "");
}

/* "job 3 start of web api:1 began", "job 3 start: web started", "job 3 start ended". */
static void put_job(FILE *stream, json_t *event)
{
    CLEANUP_FREE char *verb = get_text(event, "verb"), *state = get_text(event, "state");
    json_t *one = json_object_get(event, "target"), *several = json_object_get(event, "targets"),
           *target;
    size_t i;
    (void)fprintf(stream, "job %" PRIu64 " %s", get_number(event, "id"), verb);
    if (one) {
        (void)fputs(": ", stream);
        put_target(stream, one);
        return;
    }
    json_array_foreach(several, i, target)
    {
        (void)fputs(i == 0 ? " of " : " ", stream);
        put_target(stream, target);
    }
    (void)fprintf(stream, " %s", state);
}

static void put_log(FILE *stream, json_t *event)
{
    CLEANUP_FREE char *name = get_text(event, "name"), *from = get_text(event, "stream"),
                      *text = get_text(event, "text");
    (void)fprintf(stream, "log %s %s: %s", name, from, text);
    if (get_number(event, "missed") > 0)
        (void)fprintf(stream, " (%" PRIu64 " before it are left out)", get_number(event, "missed"));
}

static void put_value(FILE *stream, json_t *value)
{
    if (json_is_string(value)) {
        CLEANUP_FREE char *text = text_clean(json_string_value(value));
        (void)fputs(text, stream);
    } else {
        (void)json_dumpf(value, stream, JSON_COMPACT | JSON_ENSURE_ASCII | JSON_ENCODE_ANY);
    }
}

static void put_message(FILE *stream, json_t *event)
{
    CLEANUP_FREE char *name = get_text(event, "name");
    (void)fprintf(stream, "message %s: ", name);
    if (json_object_get(event, "value"))
        (void)json_dumpf(json_object_get(event, "value"), stream,
                         JSON_COMPACT | JSON_ENSURE_ASCII | JSON_ENCODE_ANY);
    else
        (void)fputs("too large to be shown", stream);
}

static void put_fields(FILE *stream, json_t *event)
{
    const char *name;
    json_t *value;
    json_object_foreach(event, name, value)
    {
        if (strcmp(name, "type") == 0 || strcmp(name, "time_usec") == 0 || json_is_null(value))
            continue;
        CLEANUP_FREE char *clean = text_clean(name);
        (void)fprintf(stream, " %s=", clean);
        put_value(stream, value);
    }
}

static void put_event(FILE *stream, json_t *event)
{
    CLEANUP_FREE char *type = get_text(event, "type"), *reason = get_text(event, "reason");
    if (strcmp(type, "worker") == 0) {
        put_worker(stream, event);
    } else if (strcmp(type, "reload") == 0) {
        put_reload(stream, event);
    } else if (strcmp(type, "rollout") == 0) {
        put_rollout(stream, event);
    } else if (strcmp(type, "log") == 0) {
        put_log(stream, event);
    } else if (strcmp(type, "job") == 0) {
        put_job(stream, event);
    } else if (strcmp(type, "message") == 0) {
        put_message(stream, event);
    } else {
        (void)fputs(type, stream);
        put_fields(stream, event);
        return;
    }
    if (reason[0] != '\0')
        (void)fprintf(stream, " (%s)", reason);
}

char *event_text(json_t *event)
{
    char *text = NULL;
    size_t size;
    FILE *stream = open_memstream(&text, &size);
    if (!stream)
        die_of_memory();
    put_event(stream, event);
    if (fclose(stream) != 0)
        die_of_memory();
    return text;
}
