/*
 * The running state as people like to read it: the master, its last reload, each program with a line per worker (and one for
 * a slot without), the listeners. The exit code tells scripts whether all that should run is ready.
 *
 * On a narrow terminal what matters least is left out first; only the reason of a reload goes on in the next line.
 */
#include "reloaderctl/commands.h"

#include "base/clock.h"
#include "base/parse.h"
#include "base/strv.h"
#include "reloaderctl/cells.h"
#include "reloaderctl/narrow.h"
#include "reloaderctl/numbers.h"
#include "reloaderctl/screen.h"
#include "reloaderctl/top.h"

#include <inttypes.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

struct page {
    FILE *stream;
    const struct screen *screen;
    bool pss;
    bool fixed; /* no line goes on in the next one */
};

/* A slot that is stopped by wish, or has left and is not to come back, misses nothing. */
static bool is_as_wished(const char *state)
{
    return strcasecmp(state, "READY") == 0 || strcasecmp(state, "STOPPED") == 0 ||
           strcasecmp(state, "EXITED") == 0;
}

static bool has_state(json_t *entry, const char *state)
{
    return string_equal(json_string_value(json_object_get(entry, "state")), state);
}

/* Who leaves it was told to, and nobody is to come after him: it was stopped, or removed. */
static bool is_leaving(json_t *program)
{
    return has_state(program, "STOPPED") || has_state(program, "EXITED") ||
           has_state(program, "STOPPING");
}

/* Who is surplus may leave while the others are ready. */
static bool slot_is_as_wished(json_t *program, json_t *slot)
{
    const char *state = json_string_value(json_object_get(slot, "state"));
    bool surplus = get_number(slot, "slot") >= get_number(program, "workers");
    return state && (is_as_wished(state) || (surplus && has_state(program, "READY")));
}

static bool all_is_as_wished(json_t *status)
{
    json_t *program, *slot;
    size_t i, k;
    if (has_state(json_object_get(status, "master"), "stopping"))
        return false;
    json_array_foreach(json_object_get(status, "programs"), i, program)
    {
        if (json_object_get(program, "waits_for"))
            return false;
        if (is_leaving(program))
            continue;
        json_array_foreach(json_object_get(program, "slots"), k,
                           slot) if (!slot_is_as_wished(program, slot)) return false;
    }
    return true;
}

static void print_reload(const struct page *page, json_t *reload)
{
    const struct screen *screen = page->screen;
    uint64_t id = get_number(reload, "id");
    if (id == 0)
        return;
    CLEANUP_FREE char *result = get_words(reload, "result"), *reason = get_text(reload, "reason"),
                      *progress = get_words(reload, "state");
    const char *state = result[0] ? result : progress;
    CLEANUP_FREE char *before = string_format("reload  %" PRIu64 "  %s: ", id, state);
    if (!before)
        die_of_memory();
    if (page->fixed)
        reason[text_fit(reason, screen->width - MIN(text_width(before), screen->width))] = '\0';
    (void)fprintf(page->stream, "%sreload%s  %" PRIu64 "  %s%s%s%s%s\n",
                  tone_begin(screen, TONE_BOLD), tone_end(screen, TONE_BOLD), id,
                  tone_begin(screen, tone_of_state(state)), state,
                  tone_end(screen, tone_of_state(state)), reason[0] ? ": " : "", reason);
}

static void print_master(const struct page *page, json_t *status)
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
    table_print(&line, page->screen, 0, page->stream);
    print_reload(page, json_object_get(status, "reload"));
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

static void print_program_line(const struct page *page, json_t *program)
{
    static const size_t expendable[] = {2, 1};
    CLEANUP_TABLE struct table line = {.n_columns = 4, .right = ~0u, TABLE_EXPENDABLE(expendable)};
    CLEANUP_FREE char *name = get_text(program, "name"), *state = get_text(program, "state");
    table_add(&line, TONE_BOLD, "%s", name);
    table_add(&line, tone_of_state(state), "%s", state);
    table_add(&line, TONE_PLAIN, "generation %" PRIu64, get_number(program, "generation"));
    table_add(&line, TONE_PLAIN, "%" PRIu64 " of %" PRIu64 " ready", get_number(program, "ready"),
              get_number(program, "workers"));
    table_print(&line, page->screen, 0, page->stream);
}

static void print_output_line(const struct page *page, json_t *output)
{
    CLEANUP_TABLE struct table line = {.n_columns = 1};
    if (!output)
        return;
    table_add(&line, TONE_BAD,
              "output: %" PRIu64 " lines (%" PRIu64 " bytes) dropped, %" PRIu64 " bytes lost",
              get_number(output, "dropped_lines"), get_number(output, "dropped_bytes"),
              get_number(output, "lost_bytes"));
    table_print(&line, page->screen, 2, page->stream);
}

static void print_health_line(const struct page *page, json_t *program)
{
    CLEANUP_TABLE struct table line = {.n_columns = 1};
    CLEANUP_FREE char *health = get_text(program, "health");
    if (health[0] == '\0')
        return;
    table_add(&line, TONE_BAD, "health: %s", health);
    table_print(&line, page->screen, 2, page->stream);
}

static void print_wait_line(const struct page *page, json_t *program)
{
    CLEANUP_TABLE struct table line = {.n_columns = 1};
    CLEANUP_FREE char *awaited = get_text(program, "waits_for");
    if (awaited[0] == '\0')
        return;
    table_add(&line, TONE_BUSY, "waits for: %s, which has to start before it (priority)", awaited);
    table_print(&line, page->screen, 2, page->stream);
}

static void print_program(const struct page *page, json_t *program)
{
    static const size_t expendable[] = {COLUMN_CONNECTIONS, COLUMN_RESTARTS, COLUMN_CPU,
                                        COLUMN_SINCE,       COLUMN_TEXT,     COLUMN_MEMORY,
                                        COLUMN_GENERATION,  COLUMN_PID};
    const char *const titles[N_COLUMNS] = {
        "WORKER",      "PID",      "GEN", "STATE",
        "SINCE",       "RESTARTS", "CPU", page->pss ? "PSS" : "MEMORY",
        "CONNECTIONS", "TEXT"};
    CLEANUP_TABLE struct table table = {.n_columns = N_COLUMNS,
                                        .right = RIGHT(PID) | RIGHT(GENERATION) | RIGHT(SINCE) |
                                                 RIGHT(RESTARTS) | RIGHT(CPU) | RIGHT(MEMORY) |
                                                 RIGHT(CONNECTIONS),
                                        TABLE_EXPENDABLE(expendable)};
    json_t *slots = json_object_get(program, "slots"), *slot;
    size_t i;
    print_program_line(page, program);
    print_output_line(page, json_object_get(program, "output"));
    print_health_line(page, program);
    print_wait_line(page, program);
    if (json_array_size(slots) == 0)
        return;
    add_titles(&table, titles);
    json_array_foreach(slots, i, slot) add_slot(&table, slot, page->pss);
    table_print(&table, page->screen, 2, page->stream);
}

static void print_listeners(const struct page *page, json_t *listeners)
{
    static const size_t expendable[] = {4, 3, 2};
    CLEANUP_TABLE struct table table = {LISTENER_TABLE, TABLE_EXPENDABLE(expendable)};
    json_t *listener;
    size_t i;
    if (json_array_size(listeners) == 0)
        return;
    (void)fputc('\n', page->stream);
    add_listener_titles(&table);
    json_array_foreach(listeners, i, listener) add_listener(&table, listener);
    table_print(&table, page->screen, 0, page->stream);
}

static void print_strays(const struct page *page, json_t *strays)
{
    json_t *stray;
    size_t i;
    if (json_array_size(strays) > 0)
        (void)fputc('\n', page->stream);
    json_array_foreach(strays, i, stray)
    {
        CLEANUP_TABLE struct table line = {.n_columns = 1};
        CLEANUP_FREE char *worker = get_text(stray, "worker"), *name = get_text(stray, "process");
        table_add(&line, TONE_BAD, "left behind by %s: pid %" PRIu64 " (%s)", worker,
                  get_number(stray, "pid"), name);
        table_print(&line, page->screen, 0, page->stream);
    }
}

static void print_gateway(const struct page *page, json_t *gateway)
{
    static const size_t expendable[] = {3, 2};
    CLEANUP_TABLE struct table line = {.n_columns = 4, .right = ~0u, TABLE_EXPENDABLE(expendable)};
    CLEANUP_TABLE struct table more = {.n_columns = 1};
    json_t *program = json_object_get(gateway, "program");
    json_t *slot = json_array_get(json_object_get(program, "slots"), 0);
    json_t *worker = json_array_get(json_object_get(slot, "workers"), 0);
    CLEANUP_FREE char *state = get_text(gateway, "state"), *address = get_text(gateway, "address"),
                      *reason = get_text(gateway, "reason"), *why = get_text(slot, "reason");
    if (!gateway)
        return;
    (void)fputc('\n', page->stream);
    table_add(&line, TONE_BOLD, "gateway");
    table_add(&line, tone_of_state(state), "%s", state);
    table_add(&line, TONE_PLAIN, "%s", address);
    if (worker)
        table_add(&line, TONE_PLAIN, "pid %" PRIu64, get_number(worker, "pid"));
    else
        table_add(&line, TONE_PLAIN, "%s", "");
    table_print(&line, page->screen, 0, page->stream);
    if (reason[0] == '\0' && why[0] == '\0')
        return;
    table_add(&more, TONE_BAD, "%s", reason[0] ? reason : why);
    table_print(&more, page->screen, 2, page->stream);
}

static void print_page(const struct page *page, json_t *status)
{
    json_t *program;
    size_t i;
    bool part = !json_object_get(status, "listeners");
    if (!part)
        print_master(page, status);
    json_array_foreach(json_object_get(status, "programs"), i, program)
    {
        if (!part || i > 0)
            (void)fputc('\n', page->stream);
        print_program(page, program);
    }
    print_listeners(page, json_object_get(status, "listeners"));
    print_strays(page, json_object_get(status, "strays"));
    print_gateway(page, json_object_get(status, "gateway"));
}

static int exit_code(json_t *status)
{
    return all_is_as_wished(status) ? EXIT_CODE_OK : EXIT_CODE_NOT_READY;
}

/* Again and again */

/* The lines that are on the screen, from `first` on as far as there are so many. */
static char *cut_out(const char *text, struct top_view *view, size_t height)
{
    size_t lines = 0, skip;
    for (const char *c = text; *c != '\0'; c++)
        lines += *c == '\n';
    view->page = height;
    view->first = MIN(view->first, lines > height ? lines - height : 0);
    for (skip = view->first; skip > 0; skip--)
        text += strcspn(text, "\n") + 1;
    char *part = strdup(text);
    if (!part)
        die_of_memory();
    return part;
}

static char *make_frame(json_t *status, bool pss, struct top_view *view,
                        const struct screen *screen)
{
    CLEANUP_FREE char *text = NULL;
    size_t size;
    FILE *stream = open_memstream(&text, &size);
    if (!stream)
        die_of_memory();
    const struct page page = {
        .stream = stream, .screen = screen, .pss = pss, .fixed = screen->terminal};
    print_page(&page, status);
    if (fclose(stream) != 0)
        die_of_memory();
    if (!screen->terminal)
        return TAKE_PTR(text);
    bool troubled = view->trouble && screen->height > 1;
    CLEANUP_FREE char *part = cut_out(text, view, screen->height - troubled);
    size_t fits = troubled ? text_fit(view->trouble, screen->width) : 0;
    char *frame = troubled ? string_format("%s%.*s%s\n%s", tone_begin(screen, TONE_BAD), (int)fits,
                                           view->trouble, tone_end(screen, TONE_BAD), part)
                           : TAKE_PTR(part);
    if (!frame)
        die_of_memory();
    return frame;
}

/* Once */

int command_status(const struct invocation *invocation)
{
    static const struct top_kind watching = {.frame = make_frame, .code = exit_code};
    CLEANUP_CLIENT struct client client = {.fd = -1};
    CLEANUP_REPLY struct client_reply reply = {0};
    if (invocation->watch)
        return top_run(invocation, &watching);
    int code = connect_or_complain(invocation, &client);
    if (code == EXIT_CODE_OK)
        code = ask(&client, "Status", NULL, false, &reply);
    if (code != EXIT_CODE_OK)
        return code;
    const char *unknown = status_narrow(reply.parameters, invocation->arguments);
    if (unknown)
        return complain_of_name(unknown);
    numbers_add(reply.parameters, client.pid, invocation->pss);
    if (invocation->json) {
        print_json(reply.parameters, true);
    } else {
        struct screen screen = screen_look(STDOUT_FILENO);
        const struct page page = {.stream = stdout, .screen = &screen, .pss = invocation->pss};
        print_page(&page, reply.parameters);
    }
    return exit_code(reply.parameters);
}
