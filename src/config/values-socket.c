/* Types that make sockets and programs. */
#include "config/values.h"

#include "base/strv.h"
#include "config/addresses.h"
#include "config/expand.h"
#include "config/section.h"
#include "config/suggest.h"

#include <errno.h>
#include <string.h>

#define NAME_LENGTH_MAX 64
#define ENTRIES_MAX     256 /* programs; named sockets */
#define LISTEN_MAX      64  /* sockets of one program */
#define SOCKETS_MAX     1024

static bool is_name(const char *name)
{
    static const char letters[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-";
    size_t length = strlen(name);
    return length > 0 && length <= NAME_LENGTH_MAX && strspn(name, letters) == length;
}

static void no_memory(struct reader *reader)
{
    reader->errors->no_memory = true;
}

/* Reads the address into a socket. One without a program has to know it for all; one per slot is known later. */
static void read_listen_into(struct reader *reader, const struct tree_node *node,
                             struct config_socket *socket)
{
    CLEANUP_FREE char *reason = NULL;
    if (!value_is_scalar(
            reader, node,
            "an address: 8080, 127.0.0.1:8080, [::1]:8080, udp:53, unix:/path, unix:@name or fd:3"))
        return;
    free(socket->listen);
    socket->listen = strdup(node->text);
    if (!socket->listen) {
        no_memory(reader);
        return;
    }
    socket->per_slot = expand_uses(node->text, "process_num");
    if (socket->per_slot)
        return;
    int r = config_resolve_descriptor(socket, reader->program, &socket->fd, &reason);
    if (r == 0 && socket->fd < 0)
        r = config_resolve_address(socket, reader->program, 0, &socket->address, &reason);
    if (r == -EINVAL)
        reader_error(reader, &node->place, "%s", reason);
    else if (r < 0)
        no_memory(reader);
}

static void read_listen(struct reader *reader, const struct key *key UNUSED,
                        const struct tree_node *node, void *object)
{
    read_listen_into(reader, node, object);
}

static char *listen_to_print(struct printer *printer, const struct config_socket *socket)
{
    char *listen = printer_is_elsewhere(printer)
                       ? config_listen_elsewhere(socket, config_find_user(printer->config, socket))
                       : strdup(socket->listen);
    printer->failed = printer->failed || !listen;
    return listen;
}

static void print_listen(struct printer *printer, const struct key *key, const void *object)
{
    CLEANUP_FREE char *listen = listen_to_print(printer, object);
    print_key(printer, key->name);
    print_text(printer, listen ? listen : "");
    (void)fputc('\n', printer->stream);
}

const struct value_type type_listen = {
    .label = "address", .read = read_listen, .print = print_listen};

/* A new socket at the end of the list, with all defaults; NULL when memory is short. */
static struct config_socket *add_socket(struct reader *reader, const char *name,
                                        const struct tree_node *key, const struct tree_node *value)
{
    struct config *config = reader->config;
    size_t n = config->n_sockets;
    struct config_socket **sockets = reallocarray(config->sockets, n + 2, sizeof(*sockets));
    if (!sockets)
        return NULL;
    config->sockets = sockets;
    sockets[n] = NULL;
    struct draft *drafts = reallocarray(reader->sockets, n + 1, sizeof(*drafts));
    if (!drafts)
        return NULL;
    reader->sockets = drafts;
    drafts[n] = (struct draft){.key = key, .value = value};
    struct config_socket *socket = calloc(1, sizeof(*socket));
    if (!socket)
        return NULL;
    sockets[n] = socket;
    sockets[n + 1] = NULL;
    config->n_sockets++;
    *socket = (struct config_socket){
        .name = strdup(name), .file = reader->file, .fd = -1, .line = key->place.line};
    socket->column = key->place.column;
    return socket->name ? socket : NULL;
}

static int use_socket(struct config_program *program, struct config_socket *socket)
{
    struct config_socket **sockets = reallocarray(program->sockets, program->n_sockets + 2,
                                                  sizeof(*sockets));
    if (!sockets)
        return -ENOMEM;
    sockets[program->n_sockets++] = socket;
    sockets[program->n_sockets] = NULL;
    program->sockets = sockets;
    return 0;
}

static struct config_socket *find_named(const struct reader *reader, const char *name)
{
    for (size_t i = 0; i < reader->n_named_sockets; i++)
        if (strcmp(reader->config->sockets[i]->name, name) == 0)
            return reader->config->sockets[i];
    return NULL;
}

static bool room_for_socket(struct reader *reader, const struct tree_node *node)
{
    if (reader->program->n_sockets >= LISTEN_MAX)
        reader_error(reader, &node->place, "more than %d sockets in one program", LISTEN_MAX);
    else if (reader->config->n_sockets >= SOCKETS_MAX)
        reader_error(reader, &node->place, "more than %d sockets in all", SOCKETS_MAX);
    else
        return true;
    return false;
}

static void read_socket_name(struct reader *reader, const struct tree_node *node)
{
    struct config_program *program = reader->program;
    char text[TREE_TEXT_SIZE], buffer[SUGGESTION_TEXT_SIZE];
    if (!value_is_scalar(reader, node, "the name of a socket under 'sockets'") ||
        !room_for_socket(reader, node))
        return;
    struct config_socket *socket = find_named(reader, node->text);
    if (!socket) {
        struct suggestion suggestion;
        suggestion_init(&suggestion, node->text);
        for (size_t i = 0; i < reader->n_named_sockets; i++)
            suggestion_try(&suggestion, reader->config->sockets[i]->name);
        reader_error(reader, &node->place, "there is no socket %s under 'sockets'%s",
                     tree_describe(node, text), suggestion_to_text(&suggestion, buffer));
        return;
    }
    for (size_t i = 0; i < program->n_sockets; i++)
        if (program->sockets[i] == socket) {
            reader_error(reader, &node->place, "socket '%s' is there twice", socket->name);
            return;
        }
    if (use_socket(program, socket) < 0)
        no_memory(reader);
}

static void read_socket_names(struct reader *reader, const struct key *key UNUSED,
                              const struct tree_node *node, void *object UNUSED)
{
    for (size_t i = 0; i < value_list_length(node) && !reader->errors->no_memory; i++)
        read_socket_name(reader, value_list_item(node, i));
}

/* Named or private: programs print those they name under `sockets`, the others under `listen`. */
static void print_sockets_of(struct printer *printer, const struct key *key,
                             const struct config_program *program, bool is_private)
{
    CLEANUP_STRV char **texts = NULL;
    for (size_t i = 0; i < program->n_sockets; i++) {
        const struct config_socket *socket = program->sockets[i];
        if (socket->is_private != is_private)
            continue;
        char *text = is_private ? listen_to_print(printer, socket) : strdup(socket->name);
        if (!text || strv_consume(&texts, text) < 0)
            printer->failed = true;
    }
    print_list(printer, key->name, texts);
}

static void print_socket_names(struct printer *printer, const struct key *key, const void *object)
{
    print_sockets_of(printer, key, object, false);
}

const struct value_type type_socket_names = {
    .label = "list", .read = read_socket_names, .print = print_socket_names};

static void check_private_name(struct reader *reader, const struct tree_node *node,
                               const char *name)
{
    for (size_t i = 0; i + 1 < reader->config->n_sockets; i++) {
        if (strcmp(reader->config->sockets[i]->name, name) != 0)
            continue;
        CLEANUP_FREE char *where = place_seen_from(&reader->sockets[i].key->place, &node->place);
        if (!where)
            no_memory(reader);
        else
            reader_error(reader, &node->place,
                         "this socket would be called '%s', as one%s is: give that one another "
                         "name, or name both under 'sockets'",
                         name, where);
    }
}

static void read_private_socket(struct reader *reader, const struct tree_node *node, size_t number)
{
    struct config_program *program = reader->program;
    if (!room_for_socket(reader, node))
        return;
    CLEANUP_FREE char *name = number == 1 ? strdup(program->name)
                                          : string_format("%s-%zu", program->name, number);
    struct config_socket *socket = name ? add_socket(reader, name, node, NULL) : NULL;
    if (!socket || use_socket(program, socket) < 0) {
        no_memory(reader);
        return;
    }
    section_read(reader, &socket_table, NULL, socket);
    socket->is_private = true;
    read_listen_into(reader, node, socket);
    check_private_name(reader, node, name);
}

static void read_private_listen(struct reader *reader, const struct key *key UNUSED,
                                const struct tree_node *node, void *object UNUSED)
{
    for (size_t i = 0; i < value_list_length(node) && !reader->errors->no_memory; i++)
        read_private_socket(reader, value_list_item(node, i), i + 1);
}

static void print_private_listen(struct printer *printer, const struct key *key, const void *object)
{
    print_sockets_of(printer, key, object, true);
}

const struct value_type type_private_listen = {
    .label = "address or list",
    .read = read_private_listen,
    .print = print_private_listen,
};

/* What an entry says of paths begins at the file that holds it. */
static void read_entry_of_file(struct reader *reader, const struct tree_node *key,
                               const struct tree_node *value,
                               void (*read_entry)(struct reader *reader,
                                                  const struct tree_node *key,
                                                  const struct tree_node *value))
{
    const struct config_file *outer = reader->file;
    reader->file = reader->config->files[key->place.file];
    read_entry(reader, key, value);
    reader->file = outer;
}

/* Calls `read_entry` for each entry of a mapping of names. */
static void read_map(struct reader *reader, const struct tree_node *node,
                     void (*read_entry)(struct reader *reader, const struct tree_node *key,
                                        const struct tree_node *value))
{
    char text[TREE_TEXT_SIZE];
    if (node && node->type != TREE_MAPPING) {
        reader_error(reader, &node->place,
                     "%s is wrong here, expected names and what they mean (web: {…})",
                     tree_describe(node, text));
        return;
    }
    for (size_t i = 0; node && i < node->n && !reader->errors->no_memory; i++) {
        struct scope scope = {
            .up = reader->scope, .name = node->keys[i]->text, .place = &node->keys[i]->place};
        reader->scope = &scope;
        if (i == ENTRIES_MAX)
            reader_error(reader, NULL, "more than %d entries", ENTRIES_MAX);
        else if (i < ENTRIES_MAX && !is_name(node->keys[i]->text))
            reader_error(reader, NULL, "a name has 1 to %d letters, digits and any of _ . -",
                         NAME_LENGTH_MAX);
        else if (i < ENTRIES_MAX)
            read_entry_of_file(reader, node->keys[i], node->items[i], read_entry);
        reader->scope = scope.up;
    }
}

static void read_socket_entry(struct reader *reader, const struct tree_node *key,
                              const struct tree_node *value)
{
    struct config_socket *socket = add_socket(reader, key->text, key, value);
    if (!socket) {
        no_memory(reader);
        return;
    }
    size_t index = reader->config->n_sockets - 1, before = errors_count(reader->errors);
    section_require(reader, &socket_table, value);
    section_read(reader, &socket_table, value, socket);
    reader->n_named_sockets = reader->config->n_sockets;
    reader->sockets[index].broken = errors_count(reader->errors) > before;
}

static void read_sockets(struct reader *reader, const struct key *key UNUSED,
                         const struct tree_node *node, void *object UNUSED)
{
    read_map(reader, node, read_socket_entry);
}

static void print_entry(struct printer *printer, const char *name, const struct key_table *table,
                        const void *object)
{
    printer->indent += 2;
    print_key(printer, name);
    (void)fputc('\n', printer->stream);
    printer->indent += 2;
    section_print(printer, table, object);
    printer->indent -= 4;
}

static void print_sockets(struct printer *printer, const struct key *key, const void *object)
{
    const struct config *config = object;
    size_t named = 0;
    while (named < config->n_sockets && !config->sockets[named]->is_private)
        named++;
    print_key(printer, key->name);
    (void)fputs(named > 0 ? "\n" : " {}\n", printer->stream);
    for (size_t i = 0; i < named; i++) {
        printer->file = config->sockets[i]->file;
        print_entry(printer, config->sockets[i]->name, &socket_table, config->sockets[i]);
    }
    printer->file = NULL;
}

const struct value_type type_sockets = {.read = read_sockets, .print = print_sockets};

static struct config_program *add_program(struct reader *reader, const struct tree_node *key,
                                          const struct tree_node *value)
{
    struct config *config = reader->config;
    size_t n = config->n_programs;
    struct config_program **programs = reallocarray(config->programs, n + 2, sizeof(*programs));
    if (!programs)
        return NULL;
    config->programs = programs;
    programs[n] = NULL;
    struct draft *drafts = reallocarray(reader->programs, n + 1, sizeof(*drafts));
    if (!drafts)
        return NULL;
    reader->programs = drafts;
    drafts[n] = (struct draft){.key = key, .value = value};
    struct config_program *program = calloc(1, sizeof(*program));
    if (!program)
        return NULL;
    programs[n] = program;
    programs[n + 1] = NULL;
    config->n_programs++;
    *program = (struct config_program){
        .name = strdup(key->text), .file = reader->file, .number = (unsigned)n};
    program->line = key->place.line;
    program->column = key->place.column;
    return program->name ? program : NULL;
}

static void read_program_entry(struct reader *reader, const struct tree_node *key,
                               const struct tree_node *value)
{
    struct config_program *program = add_program(reader, key, value);
    if (!program) {
        no_memory(reader);
        return;
    }
    reader->program = program;
    /* `stop all` would stop the others as well. */
    if (strcmp(key->text, "all") == 0)
        reader_error(reader, NULL,
                     "this name is taken, in commands it is that of all programs; choose another");
    size_t index = reader->config->n_programs - 1, before = errors_count(reader->errors);
    section_require(reader, &program_table, value);
    section_read(reader, &program_table, value, program);
    reader->programs[index].broken = errors_count(reader->errors) > before;
    reader->program = NULL;
}

static void read_programs(struct reader *reader, const struct key *key UNUSED,
                          const struct tree_node *node, void *object UNUSED)
{
    read_map(reader, node, read_program_entry);
}

static void print_programs(struct printer *printer, const struct key *key, const void *object)
{
    const struct config *config = object;
    print_key(printer, key->name);
    (void)fputc('\n', printer->stream);
    for (size_t i = 0; i < config->n_programs; i++) {
        printer->file = config->programs[i]->file;
        print_entry(printer, config->programs[i]->name, &program_table, config->programs[i]);
    }
    printer->file = NULL;
}

const struct value_type type_programs = {.read = read_programs, .print = print_programs};
