/* What a reload would do, for people: a line for each thing that it does, and what it leaves alone in one. */
#include "reloaderctl/commands.h"

#include "reloaderctl/screen.h"

#include <errno.h>
#include <libgen.h>
#include <limits.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static char *join(json_t *changes)
{
    char *text = NULL;
    size_t size, i;
    json_t *change;
    FILE *stream = open_memstream(&text, &size);
    if (!stream)
        die_of_memory();
    json_array_foreach(changes, i, change)
    {
        CLEANUP_FREE char *clean = text_clean(json_string_value(change));
        (void)fprintf(stream, "%s%s", i > 0 ? ", " : "", clean);
    }
    if (fclose(stream) != 0)
        die_of_memory();
    return text;
}

static enum tone tone_of(const char *action)
{
    return strcmp(action, "stop") == 0 || strcmp(action, "close") == 0 ? TONE_BAD : TONE_GOOD;
}

/* False: it is left alone. */
static bool add_row(struct table *table, const char *kind, json_t *entry)
{
    CLEANUP_FREE char *name = get_text(entry, "name"), *action = get_text(entry, "action"),
                      *was = get_text(entry, "was"), *address = get_text(entry, "address"),
                      *changes = join(json_object_get(entry, "changes"));
    if (strcmp(action, "keep") == 0)
        return false;
    table_add(table, tone_of(action), "%s", action);
    table_add(table, TONE_PLAIN, "%s", kind);
    table_add(table, TONE_PLAIN, "%s", name);
    if (strcmp(action, "bind") == 0 || strcmp(action, "close") == 0)
        table_add(table, TONE_PLAIN, "%s", address);
    else
        table_add(table, TONE_PLAIN, "%s%s%s%s", was[0] ? "called " : "", was,
                  was[0] ? " until now; " : "", changes);
    return true;
}

static size_t add_rows(struct table *table, const char *kind, json_t *entries)
{
    json_t *entry;
    size_t i, kept = 0;
    json_array_foreach(entries, i, entry) kept += !add_row(table, kind, entry);
    return kept;
}

static void add_settings(struct table *table, json_t *settings)
{
    json_t *setting;
    size_t i;
    json_array_foreach(settings, i, setting)
    {
        CLEANUP_FREE char *clean = text_clean(json_string_value(setting));
        table_add(table, TONE_GOOD, "set");
        table_add(table, TONE_PLAIN, "%s", "");
        table_add(table, TONE_PLAIN, "%.*s", (int)strcspn(clean, ":"), clean);
        table_add(table, TONE_PLAIN, "%s",
                  clean[strcspn(clean, ":")] ? clean + strcspn(clean, ":") + 2 : "");
    }
}

static void print_plan(json_t *plan)
{
    static const char *const titles[] = {"DO", "WHAT", "NAME", "HOW"};
    static const size_t expendable[] = {3};
    struct screen screen = screen_look(STDOUT_FILENO);
    CLEANUP_TABLE struct table table = {.n_columns = ARRAY_SIZE(titles),
                                        TABLE_EXPENDABLE(expendable)};
    for (size_t i = 0; i < ARRAY_SIZE(titles); i++)
        table_add(&table, TONE_PLAIN, "%s", titles[i]);
    size_t sockets = add_rows(&table, "socket", json_object_get(plan, "sockets"));
    size_t programs = add_rows(&table, "program", json_object_get(plan, "programs"));
    add_settings(&table, json_object_get(plan, "settings"));
    bool any = table.n_cells > ARRAY_SIZE(titles);
    if (any)
        table_print(&table, &screen, 0, stdout);
    (void)printf("%s%zu %s and %zu %s stay as they are.\n", any ? "" : "Nothing to do: ", programs,
                 programs == 1 ? "program" : "programs", sockets,
                 sockets == 1 ? "socket" : "sockets");
}

int show_plan(const struct invocation *invocation, const char *method, json_t *parameters)
{
    CLEANUP_CLIENT struct client client = {.fd = -1};
    CLEANUP_REPLY struct client_reply reply = {0};
    int code = connect_or_complain(invocation, &client);
    if (code == EXIT_CODE_OK)
        code = ask(&client, method, parameters, false, &reply);
    else
        json_decref(parameters);
    if (code != EXIT_CODE_OK)
        return code;
    CLEANUP_FREE char *result = get_text(reply.parameters, "result"),
                      *reason = get_lines(reply.parameters, "reason", "  ");
    bool refused = strcmp(result, "refused") == 0;
    if (invocation->json)
        print_json(reply.parameters, true);
    else if (refused)
        (void)printf("would be refused: %s\n", reason);
    else
        print_plan(json_object_get(reply.parameters, "plan"));
    return refused ? EXIT_CODE_FAILED : EXIT_CODE_OK;
}

/* The program that reads configurations, beside this one or where PATH finds it. Its exit status, or -1 and errno. */
static int run_reloader(char *file)
{
    char path[PATH_MAX], beside[PATH_MAX + 16];
    char *const arguments[] = {(char *)"reloader", (char *)"--check", file, NULL};
    ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - 1);
    path[MAX(n, 0)] = '\0';
    (void)snprintf(beside, sizeof(beside), "%s/reloader", dirname(path));
    pid_t pid;
    int status;
    errno = posix_spawn(&pid, beside, NULL, NULL, arguments, environ);
    if (errno == ENOENT)
        errno = posix_spawnp(&pid, "reloader", NULL, NULL, arguments, environ);
    if (errno != 0 || waitpid(pid, &status, 0) < 0)
        return -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : EXIT_CODE_FAILED;
}

int command_check(const struct invocation *invocation)
{
    char *file = invocation->arguments[0];
    if (!file)
        return show_plan(invocation, "CheckConfig", NULL);
    if (invocation->arguments[1]) {
        complain("check takes one file, but got '%s' as well", invocation->arguments[1]);
        return EXIT_CODE_USAGE;
    }
    if (invocation->json) {
        complain("check FILE does not take --json: it is what `reloader --check FILE` says");
        return EXIT_CODE_USAGE;
    }
    int status = run_reloader(file);
    if (status < 0)
        complain("cannot run reloader, which checks files: %s", strerror(errno));
    return status == 0 ? EXIT_CODE_OK : EXIT_CODE_FAILED;
}
