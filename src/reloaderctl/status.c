/*
 * The running state as people like to read it: the master, its last reload, each program with a line per worker (and one for
 * a slot without), the listeners. The exit code tells scripts whether all that should run is ready.
 *
 * On a narrow terminal what matters least is left out first; only the reason of a reload goes on in the next line.
 */
#include "reloaderctl/commands.h"

#include "base/clock.h"
#include "base/parse.h"
#include "reloaderctl/cells.h"
#include "reloaderctl/numbers.h"
#include "reloaderctl/screen.h"

#include <inttypes.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

/* A slot that is stopped by wish, or has left and is not to come back, misses nothing. */
static bool is_as_wished(const char *state)
{
    return strcasecmp(state, "READY") == 0 || strcasecmp(state, "STOPPED") == 0 ||
           strcasecmp(state, "EXITED") == 0;
}

static bool slot_is_as_wished(json_t *slot)
{
    const char *state = json_string_value(json_object_get(slot, "state"));
    return state && is_as_wished(state);
}

static bool all_is_as_wished(json_t *status)
{
    json_t *program, *slot;
    size_t i, k;
    json_array_foreach(json_object_get(status, "programs"), i, program)
    {
        if (json_object_get(program, "waits_for"))
            return false;
        json_array_foreach(json_object_get(program, "slots"), k,
                           slot) if (!slot_is_as_wished(slot)) return false;
    }
    return true;
}

static void print_toned(const struct screen *screen, const char *text)
{
    enum tone tone = tone_of_state(text);
    (void)printf("%s%s%s", tone_begin(screen, tone), text, tone_end(screen, tone));
}

static void print_reload(const struct screen *screen, json_t *reload)
{
    uint64_t id = get_number(reload, "id");
    if (id == 0)
        return;
    CLEANUP_FREE char *result = get_words(reload, "result"), *reason = get_text(reload, "reason"),
                      *progress = get_words(reload, "state");
    (void)printf("%sreload%s  %" PRIu64 "  ", tone_begin(screen, TONE_BOLD),
                 tone_end(screen, TONE_BOLD), id);
    print_toned(screen, result[0] ? result : progress);
    (void)printf("%s%s\n", reason[0] ? ": " : "", reason);
}

static void print_master(const struct screen *screen, json_t *status)
{
    static const size_t expendable[] = {2, 5, 4, 1, 6};
    CLEANUP_TABLE struct table line = {.n_columns = 7, .right = ~0u, TABLE_EXPENDABLE(expendable)};
    json_t *master = json_object_get(status, "master");
    CLEANUP_FREE char *version = get_text(master, "version"), *state = get_text(master, "state");
    json_t *cpu = json_object_get(master, "cpu"), *memory = json_object_get(master, "memory");
    char up[DURATION_TEXT_SIZE], percent[PERCENT_TEXT_SIZE], size[SIZE_TEXT_SIZE];
    table_add(&line, TONE_BOLD, "master");
    table_add(&line, TONE_PLAIN, "pid %" PRIu64, get_number(master, "pid"));
    table_add(&line, TONE_PLAIN, "version %s", version);
    table_add(&line, tone_of_state(state), "%s", state);
    table_add(&line, TONE_PLAIN, "up %s", duration_to_text(get_number(master, "uptime_usec"), up));
    table_add(&line, TONE_PLAIN, "%s%s", cpu ? "cpu " : "",
              cpu ? percent_to_text(json_number_value(cpu), percent) : "");
    table_add(&line, TONE_PLAIN, "%s%s", memory ? "memory " : "",
              memory ? size_to_text(get_number(master, "memory"), size) : "");
    table_print(&line, screen, 0, stdout);
    print_reload(screen, json_object_get(status, "reload"));
}

static const char *age_text(uint64_t since_usec, char buffer[DURATION_TEXT_SIZE])
{
    uint64_t now = clock_realtime_usec();
    if (since_usec == 0)
        return "";
    return duration_to_text(now > since_usec ? now - since_usec : 0, buffer);
}

/* The columns; PSS stands in the place of MEMORY where it is asked for. */
enum column {
    COLUMN_WORKER,
    COLUMN_PID,
    COLUMN_GENERATION,
    COLUMN_STATE,
    COLUMN_SINCE,
    COLUMN_RESTARTS,
    COLUMN_CPU,
    COLUMN_MEMORY,
    COLUMN_CONNECTIONS,
    COLUMN_TEXT,
    N_COLUMNS
};

#define RIGHT(column) (1u << COLUMN_##column)

static void add_worker(struct table *table, const char *name, json_t *worker, bool pss)
{
    CLEANUP_FREE char *state = get_text(worker, "state"), *text = get_text(worker, "text");
    char since[DURATION_TEXT_SIZE];
    table_add(table, TONE_PLAIN, "%s", name);
    table_add(table, TONE_PLAIN, "%" PRIu64, get_number(worker, "pid"));
    bool mixed = json_is_true(json_object_get(worker, "mixed"));
    table_add(table, mixed ? TONE_BUSY : TONE_PLAIN, "%s%" PRIu64, mixed ? "mixed " : "",
              get_number(worker, "generation"));
    table_add(table, tone_of_state(state), "%s", state);
    table_add(table, TONE_PLAIN, "%s", age_text(get_number(worker, "since_usec"), since));
    table_add(table, TONE_PLAIN, "%" PRIu64, get_number(worker, "restarts"));
    add_percent(table, worker, "cpu");
    add_size(table, worker, pss ? "pss" : "memory");
    add_number(table, worker, "connections");
    json_t *health = json_object_get(worker, "health");
    CLEANUP_FREE char *condition = get_text(health, "state"), *why = get_text(health, "text"),
                      *reason = get_text(worker, "reason");
    bool leaves = strcmp(state, "DRAINING") == 0 || strcmp(state, "STOPPING") == 0;
    if (strcmp(condition, "unhealthy") == 0)
        table_add(table, TONE_BAD, "unhealthy: %s", why);
    else
        table_add(table, TONE_PLAIN, "%s", leaves && text[0] == '\0' ? reason : text);
}

static void add_slot_reason(struct table *table, json_t *slot)
{
    CLEANUP_FREE char *reason = get_text(slot, "reason");
    uint64_t retry = get_number(slot, "retry_usec"), now = clock_realtime_usec();
    char left[DURATION_TEXT_SIZE];
    if (retry > now)
        table_add(table, TONE_PLAIN, "%s%snext start in %s", reason, reason[0] ? "; " : "",
                  duration_to_text(retry - now, left));
    else
        table_add(table, TONE_PLAIN, "%s", reason);
}

/* A slot's own state is told where no worker tells it. */
static void add_slot(struct table *table, json_t *slot, bool pss)
{
    CLEANUP_FREE char *name = get_text(slot, "name"), *state = get_text(slot, "state");
    json_t *workers = json_object_get(slot, "workers"), *worker;
    size_t i;
    json_array_foreach(workers, i, worker) add_worker(table, name, worker, pss);
    if (json_array_size(workers) > 0)
        return;
    table_add(table, TONE_PLAIN, "%s", name);
    table_add(table, TONE_PLAIN, "-");
    table_add(table, TONE_PLAIN, "-");
    table_add(table, tone_of_state(state), "%s", state);
    table_add(table, TONE_PLAIN, "%s", "");
    table_add(table, TONE_PLAIN, "%" PRIu64, get_number(slot, "restarts"));
    for (int blank = COLUMN_CPU; blank < COLUMN_TEXT; blank++)
        table_add(table, TONE_PLAIN, "%s", "");
    add_slot_reason(table, slot);
}

static void print_program_line(const struct screen *screen, json_t *program)
{
    static const size_t expendable[] = {2, 1};
    CLEANUP_TABLE struct table line = {.n_columns = 4, .right = ~0u, TABLE_EXPENDABLE(expendable)};
    CLEANUP_FREE char *name = get_text(program, "name"), *state = get_text(program, "state");
    table_add(&line, TONE_BOLD, "%s", name);
    table_add(&line, tone_of_state(state), "%s", state);
    table_add(&line, TONE_PLAIN, "generation %" PRIu64, get_number(program, "generation"));
    table_add(&line, TONE_PLAIN, "%" PRIu64 " of %" PRIu64 " ready", get_number(program, "ready"),
              get_number(program, "workers"));
    table_print(&line, screen, 0, stdout);
}

static void print_output_line(const struct screen *screen, json_t *output)
{
    CLEANUP_TABLE struct table line = {.n_columns = 1};
    if (!output)
        return;
    table_add(&line, TONE_BAD,
              "output: %" PRIu64 " lines (%" PRIu64 " bytes) dropped, %" PRIu64 " bytes lost",
              get_number(output, "dropped_lines"), get_number(output, "dropped_bytes"),
              get_number(output, "lost_bytes"));
    table_print(&line, screen, 2, stdout);
}

static void print_health_line(const struct screen *screen, json_t *program)
{
    CLEANUP_TABLE struct table line = {.n_columns = 1};
    CLEANUP_FREE char *health = get_text(program, "health");
    if (health[0] == '\0')
        return;
    table_add(&line, TONE_BAD, "health: %s", health);
    table_print(&line, screen, 2, stdout);
}

static void print_wait_line(const struct screen *screen, json_t *program)
{
    CLEANUP_TABLE struct table line = {.n_columns = 1};
    CLEANUP_FREE char *awaited = get_text(program, "waits_for");
    if (awaited[0] == '\0')
        return;
    table_add(&line, TONE_BUSY, "waits for: %s, which has to start before it (priority)", awaited);
    table_print(&line, screen, 2, stdout);
}

static void print_program(const struct screen *screen, json_t *program, bool pss)
{
    static const size_t expendable[] = {COLUMN_CONNECTIONS, COLUMN_RESTARTS, COLUMN_CPU,
                                        COLUMN_SINCE,       COLUMN_TEXT,     COLUMN_MEMORY,
                                        COLUMN_GENERATION,  COLUMN_PID};
    const char *const titles[N_COLUMNS] = {"WORKER",      "PID",      "GEN", "STATE",
                                           "SINCE",       "RESTARTS", "CPU", pss ? "PSS" : "MEMORY",
                                           "CONNECTIONS", "TEXT"};
    CLEANUP_TABLE struct table table = {.n_columns = N_COLUMNS,
                                        .right = RIGHT(PID) | RIGHT(GENERATION) | RIGHT(SINCE) |
                                                 RIGHT(RESTARTS) | RIGHT(CPU) | RIGHT(MEMORY) |
                                                 RIGHT(CONNECTIONS),
                                        TABLE_EXPENDABLE(expendable)};
    json_t *slots = json_object_get(program, "slots"), *slot;
    size_t i;
    (void)fputc('\n', stdout);
    print_program_line(screen, program);
    print_output_line(screen, json_object_get(program, "output"));
    print_health_line(screen, program);
    print_wait_line(screen, program);
    if (json_array_size(slots) == 0)
        return;
    add_titles(&table, titles);
    json_array_foreach(slots, i, slot) add_slot(&table, slot, pss);
    table_print(&table, screen, 2, stdout);
}

static void print_listeners(const struct screen *screen, json_t *listeners)
{
    static const size_t expendable[] = {4, 3, 2};
    CLEANUP_TABLE struct table table = {LISTENER_TABLE, TABLE_EXPENDABLE(expendable)};
    json_t *listener;
    size_t i;
    if (json_array_size(listeners) == 0)
        return;
    (void)fputc('\n', stdout);
    add_listener_titles(&table);
    json_array_foreach(listeners, i, listener) add_listener(&table, listener);
    table_print(&table, screen, 0, stdout);
}

static void print_strays(const struct screen *screen, json_t *strays)
{
    json_t *stray;
    size_t i;
    if (json_array_size(strays) > 0)
        (void)fputc('\n', stdout);
    json_array_foreach(strays, i, stray)
    {
        CLEANUP_TABLE struct table line = {.n_columns = 1};
        CLEANUP_FREE char *worker = get_text(stray, "worker"), *name = get_text(stray, "process");
        table_add(&line, TONE_BAD, "left behind by %s: pid %" PRIu64 " (%s)", worker,
                  get_number(stray, "pid"), name);
        table_print(&line, screen, 0, stdout);
    }
}

int command_status(const struct invocation *invocation)
{
    CLEANUP_CLIENT struct client client = {.fd = -1};
    CLEANUP_REPLY struct client_reply reply = {0};
    int code = connect_or_complain(invocation, &client);
    if (code == EXIT_CODE_OK)
        code = ask(&client, "Status", NULL, false, &reply);
    if (code != EXIT_CODE_OK)
        return code;
    numbers_add(reply.parameters, client.pid, invocation->pss);
    if (invocation->json) {
        print_json(reply.parameters, true);
    } else {
        struct screen screen = screen_look(STDOUT_FILENO);
        json_t *program;
        size_t i;
        print_master(&screen, reply.parameters);
        json_array_foreach(json_object_get(reply.parameters, "programs"), i, program)
            print_program(&screen, program, invocation->pss);
        print_listeners(&screen, json_object_get(reply.parameters, "listeners"));
        print_strays(&screen, json_object_get(reply.parameters, "strays"));
    }
    return all_is_as_wished(reply.parameters) ? EXIT_CODE_OK : EXIT_CODE_NOT_READY;
}
