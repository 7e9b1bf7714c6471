/* sockets: listeners, what waits at them, and who has them. */
#include "reloaderctl/commands.h"

#include "base/strv.h"
#include "reloaderctl/cells.h"
#include "reloaderctl/screen.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum column {
    COLUMN_NAME,
    COLUMN_ADDRESS,
    COLUMN_INODE,
    COLUMN_QUEUE,
    COLUMN_BACKLOG,
    COLUMN_DROPS,
    COLUMN_USERS,
    N_COLUMNS
};

/* Slots of one program, in the order of the master's list, where its workers stand together. */
struct range {
    FILE *stream;
    const char *program; /* NULL: none was told yet */
    bool open;
    uint64_t first, last;
};

static void end_range(struct range *range)
{
    if (!range->open)
        return;
    (void)fprintf(range->stream, "%" PRIu64, range->first);
    if (range->last > range->first)
        (void)fprintf(range->stream, "%s%" PRIu64, range->last > range->first + 1 ? "-" : ",",
                      range->last);
    range->open = false;
}

static void add_slot(struct range *range, const char *program, uint64_t slot)
{
    bool same = range->program && strcmp(range->program, program) == 0;
    if (same && range->open && (slot == range->last || slot == range->last + 1)) {
        range->last = slot;
        return;
    }
    end_range(range);
    if (same)
        (void)fputc(',', range->stream);
    else
        (void)fprintf(range->stream, "%s%s:", range->program ? " " : "", program);
    range->program = program;
    range->open = true;
    range->first = range->last = slot;
}

static bool has_worker_of(json_t *workers, const char *program)
{
    json_t *worker;
    size_t i;
    json_array_foreach(workers, i, worker)
    {
        const char *name = json_string_value(json_object_get(worker, "program"));
        if (name && strcmp(name, program) == 0)
            return true;
    }
    return false;
}

/* "web:0-3,7 api:0", and in brackets programs without a worker that has it; malloc-ed. */
static char *users_text(json_t *socket)
{
    json_t *workers = json_object_get(socket, "workers"), *item;
    char *text = NULL;
    size_t size, i;
    struct range range = {.stream = open_memstream(&text, &size)};
    if (!range.stream)
        die_of_memory();
    json_array_foreach(workers, i, item)
    {
        const char *program = json_string_value(json_object_get(item, "program"));
        add_slot(&range, program ? program : "?", get_number(item, "slot"));
    }
    end_range(&range);
    bool any = range.program;
    json_array_foreach(json_object_get(socket, "programs"), i, item)
    {
        const char *program = json_string_value(item);
        if (!program || has_worker_of(workers, program))
            continue;
        (void)fprintf(range.stream, "%s(%s)", any ? " " : "", program);
        any = true;
    }
    if (fclose(range.stream) != 0)
        die_of_memory();
    return text;
}

static void add_socket(struct table *table, json_t *socket)
{
    CLEANUP_FREE char *name = get_text(socket, "name"), *address = get_text(socket, "address"),
                      *users = users_text(socket);
    bool taken_over = json_is_true(json_object_get(socket, "taken_over"));
    uint64_t drops = get_number(socket, "drops");
    table_add(table, TONE_PLAIN, "%s", name);
    table_add(table, TONE_PLAIN, "%s%s", address, taken_over ? " (taken over)" : "");
    add_number(table, socket, "inode");
    add_number(table, socket, "queue");
    add_number(table, socket, "backlog");
    if (drops > 0)
        table_add(table, TONE_BAD, "%" PRIu64, drops);
    else
        add_number(table, socket, "drops");
    table_add(table, TONE_PLAIN, "%s", users[0] ? users : "-");
}

static void print_sockets(json_t *sockets)
{
    static const size_t expendable[] = {COLUMN_INODE, COLUMN_BACKLOG, COLUMN_USERS, COLUMN_DROPS,
                                        COLUMN_QUEUE};
    static const char *const titles[N_COLUMNS] = {"LISTENER", "ADDRESS", "INODE",  "QUEUE",
                                                  "BACKLOG",  "DROPS",   "USED BY"};
    CLEANUP_TABLE struct table table = {.n_columns = N_COLUMNS,
                                        .right = 1u << COLUMN_INODE | 1u << COLUMN_QUEUE |
                                                 1u << COLUMN_BACKLOG | 1u << COLUMN_DROPS,
                                        TABLE_EXPENDABLE(expendable)};
    struct screen screen = screen_look(STDOUT_FILENO);
    json_t *socket;
    size_t i;
    if (json_array_size(sockets) == 0) {
        (void)printf("there are no listening sockets\n");
        return;
    }
    add_titles(&table, titles);
    json_array_foreach(sockets, i, socket) add_socket(&table, socket);
    table_print(&table, &screen, 0, stdout);
}

int command_sockets(const struct invocation *invocation)
{
    CLEANUP_CLIENT struct client client = {.fd = -1};
    CLEANUP_REPLY struct client_reply reply = {0};
    int code = connect_or_complain(invocation, &client);
    if (code == EXIT_CODE_OK)
        code = ask(&client, "Sockets", NULL, false, &reply);
    if (code != EXIT_CODE_OK)
        return code;
    if (invocation->json)
        print_json(reply.parameters, true);
    else
        print_sockets(json_object_get(reply.parameters, "sockets"));
    return EXIT_CODE_OK;
}
