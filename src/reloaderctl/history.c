/* How reloads ended: one line each, or all that is known of one. */
#include "reloaderctl/commands.h"

#include "base/parse.h"
#include "base/strv.h"
#include "reloaderctl/screen.h"

#include <inttypes.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define WHEN_SIZE 32

static const char *when_text(uint64_t usec, char buffer[WHEN_SIZE])
{
    time_t seconds = (time_t)(usec / USEC_PER_SEC);
    struct tm tm;
    buffer[0] = '\0';
    if (localtime_r(&seconds, &tm))
        (void)strftime(buffer, WHEN_SIZE, "%Y-%m-%d %H:%M:%S", &tm);
    return buffer;
}

/* What was asked for, where it was not just everything: "only web api, ". */
static char *wish_text(json_t *record)
{
    json_t *asked = json_object_get(record, "asked"), *name;
    const char *kind = json_string_value(json_object_get(record, "kind"));
    bool scale = kind && strcmp(kind, "scale") == 0;
    bool restart = kind && strcmp(kind, "restart") == 0;
    CLEANUP_FREE char *names = strdup("");
    size_t i;
    if (json_is_true(json_object_get(record, "undo")))
        return strdup("undo, ");
    if (json_is_string(asked))
        return strdup(strcmp(json_string_value(asked), "changed") == 0 ? "update, " : "");
    json_array_foreach(json_is_object(asked) ? json_object_get(asked, "programs") : asked, i, name)
    {
        CLEANUP_FREE char *clean = text_clean(json_string_value(name));
        char *longer = string_format("%s%s%s", names ? names : "", i > 0 ? " " : "", clean);
        free(names);
        names = longer;
    }
    return names && *names ? string_format("%s%s, ",
                                           scale                   ? "scaling of "
                                           : restart               ? "restart of "
                                           : json_is_object(asked) ? "update and "
                                                                   : "only ",
                                           names)
           : names         ? strdup("")
                           : NULL;
}

/* "SIGHUP by root (pid 4711)"; a name is looked up here, where it may take its time. */
static char *cause_text(json_t *record)
{
    json_t *cause = json_object_get(record, "cause");
    CLEANUP_FREE char *by = get_text(cause, "by");
    uint64_t uid = get_number(cause, "uid"), also = get_number(record, "also");
    const struct passwd *user = getpwuid((uid_t)uid);
    CLEANUP_FREE char *more = also ? string_format(", and %" PRIu64 " more", also) : strdup("");
    CLEANUP_FREE char *name = user ? text_clean(user->pw_name) : string_format("uid %" PRIu64, uid);
    CLEANUP_FREE char *what = wish_text(record);
    if (!what)
        die_of_memory();
    CLEANUP_FREE char *path = get_text(cause, "path");
    char *text = path[0] ? string_format("watch, %s changed%s", path, more)
                 : strcmp(by, "http") == 0
                     ? string_format("%sHTTP (gateway, pid %" PRIu64 ")%s", what,
                                     get_number(cause, "pid"), more)
                     : string_format("%s%s by %s (pid %" PRIu64 ")%s", what, by, name,
                                     get_number(cause, "pid"), more);
    if (!text)
        die_of_memory();
    return text;
}

static enum tone result_tone(const char *result)
{
    return strcmp(result, "committed") == 0    ? TONE_GOOD
           : strcmp(result, "superseded") == 0 ? TONE_BUSY
                                               : TONE_BAD;
}

static void add_record(struct table *table, json_t *record)
{
    char when[WHEN_SIZE], took[DURATION_TEXT_SIZE];
    CLEANUP_FREE char *result = get_words(record, "result"), *reason = get_text(record, "reason"),
                      *cause = cause_text(record);
    table_add(table, TONE_PLAIN, "%" PRIu64, get_number(record, "id"));
    table_add(table, TONE_PLAIN, "%s", when_text(get_number(record, "began_usec"), when));
    table_add(table, result_tone(result), "%s", result);
    table_add(table, TONE_PLAIN, "%s", duration_to_text(get_number(record, "duration_usec"), took));
    table_add(table, TONE_PLAIN, "%s", cause);
    table_add(table, TONE_PLAIN, "%s", reason);
}

static void print_list(json_t *reloads)
{
    static const char *const titles[] = {"ID", "BEGAN", "RESULT", "AFTER", "CAUSE", "REASON"};
    static const size_t expendable[] = {4, 1, 3};
    CLEANUP_TABLE struct table table = {
        .n_columns = ARRAY_SIZE(titles), .right = 1 << 0 | 1 << 3, TABLE_EXPENDABLE(expendable)};
    struct screen screen = screen_look(STDOUT_FILENO);
    json_t *record;
    size_t i;
    if (json_array_size(reloads) == 0) {
        (void)printf("no reload yet\n");
        return;
    }
    for (size_t column = 0; column < ARRAY_SIZE(titles); column++)
        table_add(&table, TONE_DIM, "%s", titles[column]);
    json_array_foreach(reloads, i, record) add_record(&table, record);
    table_print(&table, &screen, 0, stdout);
}

static void print_phases(json_t *phases)
{
    const char *name;
    json_t *usec;
    json_object_foreach(phases, name, usec)
    {
        char took[DURATION_TEXT_SIZE];
        CLEANUP_FREE char *clean = text_clean(name);
        for (char *c = clean; *c; c++)
            *c = *c == '_' ? ' ' : *c;
        if (json_integer_value(usec) > 0)
            (void)printf("  %-14s %s\n", clean, duration_to_text(get_number(phases, name), took));
    }
}

static void print_programs(json_t *programs)
{
    json_t *program;
    size_t i;
    json_array_foreach(programs, i, program)
    {
        CLEANUP_FREE char *name = get_text(program, "name"), *result = get_words(program, "result"),
                          *reason = get_text(program, "reason");
        uint64_t workers = get_number(program, "workers");
        (void)printf("  %s: %s, generation %" PRIu64 ", %" PRIu64 " worker%s%s%s\n", name, result,
                     get_number(program, "generation"), workers, workers == 1 ? "" : "s",
                     reason[0] ? ": " : "", reason);
    }
}

static void print_one(json_t *record)
{
    char when[WHEN_SIZE], took[DURATION_TEXT_SIZE];
    struct screen screen = screen_look(STDOUT_FILENO);
    CLEANUP_FREE char *result = get_words(record, "result"), *reason = get_text(record, "reason"),
                      *cause = cause_text(record);
    enum tone tone = result_tone(result);
    (void)printf("reload %" PRIu64 " %s%s%s after %s%s%s\n", get_number(record, "id"),
                 tone_begin(&screen, tone), result, tone_end(&screen, tone),
                 duration_to_text(get_number(record, "duration_usec"), took), reason[0] ? ": " : "",
                 reason);
    (void)printf("  began          %s\n  cause          %s\n",
                 when_text(get_number(record, "began_usec"), when), cause);
    print_phases(json_object_get(record, "phases"));
    print_programs(json_object_get(record, "programs"));
}

static int show_one(const struct invocation *invocation, json_t *reloads, uint64_t id)
{
    json_t *record;
    size_t i;
    json_array_foreach(reloads, i, record)
    {
        if (get_number(record, "id") != id)
            continue;
        if (invocation->json)
            print_json(record, true);
        else
            print_one(record);
        return EXIT_CODE_OK;
    }
    complain("reload %" PRIu64
             " has not ended, or is not among the last 100; `reloaderctl history` "
             "lists them",
             id);
    return EXIT_CODE_FAILED;
}

int command_history(const struct invocation *invocation)
{
    CLEANUP_CLIENT struct client client = {.fd = -1};
    CLEANUP_REPLY struct client_reply reply = {0};
    uint64_t id = 0;
    const char *argument = invocation->arguments[0];
    if (argument && (invocation->arguments[1] || parse_unsigned(argument, 1, INT64_MAX, &id) < 0)) {
        complain("history takes the id of one reload, a number from 1");
        return EXIT_CODE_USAGE;
    }
    int code = connect_or_complain(invocation, &client);
    if (code == EXIT_CODE_OK)
        code = ask(&client, "History", NULL, false, &reply);
    if (code != EXIT_CODE_OK)
        return code;
    json_t *reloads = json_object_get(reply.parameters, "reloads");
    if (id > 0)
        return show_one(invocation, reloads, id);
    if (invocation->json)
        print_json(reloads, true);
    else
        print_list(reloads);
    return EXIT_CODE_OK;
}
