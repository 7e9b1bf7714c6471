#include "config/validate.h"

#include "base/strv.h"
#include "config/addresses.h"
#include "config/expand.h"
#include "config/section.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>

#define WORKER_NAME_MAX 128
#define BINDINGS_MAX    65536

/* One address that will be bound. */
struct binding {
    const struct config_socket *socket;
    size_t order;
    unsigned slot;
    struct address address;
};

struct bindings {
    struct binding *list;
    size_t n, allocated;
};

static void bindings_clear(struct bindings *bindings)
{
    free(bindings->list);
}

/* The first program that uses a socket, and how many do. */
static const struct config_program *find_user(const struct config *config,
                                              const struct config_socket *socket, size_t *ret_users)
{
    const struct config_program *first = NULL;
    *ret_users = 0;
    for (size_t i = 0; i < config->n_programs; i++)
        for (size_t j = 0; j < config->programs[i]->n_sockets; j++)
            if (config->programs[i]->sockets[j] == socket) {
                first = first ? first : config->programs[i];
                ++*ret_users;
            }
    return first;
}

static const struct draft *find_draft(const struct reader *reader,
                                      const struct config_socket *socket)
{
    size_t i = 0;
    while (reader->config->sockets[i] != socket)
        i++;
    return &reader->sockets[i];
}

static void fail_socket(struct reader *reader, const struct config_socket *socket, const char *key,
                        const char *format, ...) PRINTF_LIKE(4, 5);

static void fail_socket(struct reader *reader, const struct config_socket *socket, const char *key,
                        const char *format, ...)
{
    const struct draft *draft = find_draft(reader, socket);
    const char *dot = strchr(key, '.');
    CLEANUP_FREE char *section = dot ? strndup(key, (size_t)(dot - key)) : NULL;
    const struct tree_node *node = section ? tree_get2(draft->value, section, dot + 1)
                                           : tree_get(draft->value, key);
    size_t users;
    char path[200];
    if (socket->is_private)
        (void)snprintf(path, sizeof(path), "programs.%s.listen",
                       find_user(reader->config, socket, &users)->name);
    else
        (void)snprintf(path, sizeof(path), "sockets.%s.%s", socket->name, key);
    va_list arguments;
    va_start(arguments, format);
    errors_add_list(reader->errors, node ? &node->place : &draft->key->place, path, format,
                    arguments);
    va_end(arguments);
}

static void add_binding(struct reader *reader, struct bindings *bindings,
                        const struct config_socket *socket, unsigned slot,
                        const struct address *address)
{
    if (bindings->n == bindings->allocated) {
        size_t allocated = MAX(bindings->allocated * 2, (size_t)16);
        struct binding *larger = reallocarray(bindings->list, allocated, sizeof(*larger));
        if (!larger) {
            reader->errors->no_memory = true;
            return;
        }
        bindings->list = larger;
        bindings->allocated = allocated;
    }
    bindings->list[bindings->n] = (struct binding){socket, bindings->n, slot, *address};
    bindings->n++;
}

static void add_slots(struct reader *reader, struct bindings *bindings,
                      const struct config_socket *socket)
{
    size_t users;
    const struct config_program *program = find_user(reader->config, socket, &users);
    if (users != 1) {
        fail_socket(reader, socket, "listen",
                    "one socket per slot (%%(process_num)s) belongs to exactly one program, "
                    "but %zu use it",
                    users);
        return;
    }
    for (unsigned slot = 0; slot < program->workers; slot++) {
        CLEANUP_FREE char *reason = NULL;
        struct address address;
        if (bindings->n == BINDINGS_MAX) {
            fail_socket(reader, socket, "listen", "more than %d sockets in all", BINDINGS_MAX);
            return;
        }
        int r = config_resolve_address(socket, program, slot, &address, &reason);
        if (r == -ENOMEM)
            reader->errors->no_memory = true;
        else if (r < 0)
            fail_socket(reader, socket, "listen", "slot %u: %s", slot, reason);
        if (r < 0)
            return;
        add_binding(reader, bindings, socket, slot, &address);
    }
}

static int compare_bindings(const void *a, const void *b)
{
    const struct binding *x = a, *y = b;
    if (x->address.length != y->address.length)
        return x->address.length < y->address.length ? -1 : 1;
    if (x->address.datagram != y->address.datagram)
        return x->address.datagram ? 1 : -1;
    int r = memcmp(&x->address.socket, &y->address.socket, x->address.length);
    if (r == 0)
        r = (x->socket->file->number > y->socket->file->number) -
            (x->socket->file->number < y->socket->file->number);
    if (r == 0)
        r = (x->socket->line > y->socket->line) - (x->socket->line < y->socket->line);
    return r != 0 ? r : (x->order > y->order) - (x->order < y->order);
}

/* Where another socket is: " in line 7". malloc-ed, or NULL when memory is short. */
static char *where_is(const struct reader *reader, const struct config_socket *other,
                      const struct config_socket *socket)
{
    return place_seen_from(&find_draft(reader, other)->key->place,
                           &find_draft(reader, socket)->key->place);
}

static void fail_same_address(struct reader *reader, const struct binding *a,
                              const struct binding *b)
{
    CLEANUP_FREE char *address = address_to_text(&b->address);
    CLEANUP_FREE char *where = where_is(reader, a->socket, b->socket);
    if (!address || !where)
        reader->errors->no_memory = true;
    else if (a->socket == b->socket)
        fail_socket(reader, b->socket, "listen", "slots %u and %u would both get %s", a->slot,
                    b->slot, address);
    else
        fail_socket(reader, b->socket, "listen",
                    "%s is the address of socket '%s'%s as well: two sockets cannot "
                    "share it, let both programs name one",
                    address, a->socket->name, where);
}

static void check_control_path(struct reader *reader, const struct binding *binding)
{
    const char *path = address_unix_path(&binding->address);
    if (path && string_equal(path, reader->config->control.socket))
        fail_socket(reader, binding->socket, "listen", "'%s' is the path of the control socket",
                    path);
}

/* The gateway would never get it: the socket is there for as long as the master is. */
static void check_gateway_address(struct reader *reader, const struct binding *binding)
{
    const struct config_gateway *gateway = &reader->config->gateway;
    if (!gateway->is_on || !address_equal(&binding->address, &gateway->address))
        return;
    CLEANUP_FREE char *address = address_to_text(&binding->address);
    if (address)
        fail_socket(reader, binding->socket, "listen", "%s is the address of the gateway", address);
    else
        reader->errors->no_memory = true;
}

static void check_addresses(struct reader *reader)
{
    CLEANUP(bindings_clear) struct bindings bindings = {0};
    for (size_t i = 0; i < reader->config->n_sockets; i++) {
        const struct config_socket *socket = reader->config->sockets[i];
        if (reader->sockets[i].broken)
            continue;
        if (socket->per_slot)
            add_slots(reader, &bindings, socket);
        else if (socket->address.length > 0)
            add_binding(reader, &bindings, socket, 0, &socket->address);
    }
    if (bindings.n > 0)
        qsort(bindings.list, bindings.n, sizeof(struct binding), compare_bindings);
    for (size_t i = 0; i < bindings.n; i++) {
        check_control_path(reader, &bindings.list[i]);
        check_gateway_address(reader, &bindings.list[i]);
        if (i > 0 && address_equal(&bindings.list[i - 1].address, &bindings.list[i].address))
            fail_same_address(reader, &bindings.list[i - 1], &bindings.list[i]);
    }
}

static void check_descriptors(struct reader *reader)
{
    const struct config *config = reader->config;
    for (size_t i = 1; i < config->n_sockets; i++)
        for (size_t j = 0; j < i; j++) {
            const struct config_socket *a = config->sockets[j], *b = config->sockets[i];
            if (b->fd < 0 || b->fd != a->fd)
                continue;
            CLEANUP_FREE char *where = where_is(reader, a, b);
            if (where)
                fail_socket(
                    reader, b, "listen",
                    "descriptor %d is socket '%s'%s as well: let both programs name that one",
                    b->fd, a->name, where);
            else
                reader->errors->no_memory = true;
            break;
        }
}

/* Node's sockets must not block, all others do by default: one open socket cannot be both. */
static void check_nonblocking(struct reader *reader, const struct config_socket *socket)
{
    const struct config_program *yes = NULL, *no = NULL;
    const struct config *config = reader->config;
    for (size_t i = 0; i < config->n_programs; i++)
        for (size_t j = 0; j < config->programs[i]->n_sockets; j++) {
            if (config->programs[i]->sockets[j] != socket)
                continue;
            if (config->programs[i]->handoff & CONFIG_HANDOFF_NODE_IPC)
                yes = config->programs[i];
            else
                no = config->programs[i];
        }
    if (socket->nonblocking == CONFIG_NONBLOCKING_AUTO && yes && no)
        fail_socket(reader, socket, "nonblocking",
                    "program '%s' (node-ipc) wants this socket non-blocking, '%s' does not: "
                    "set nonblocking to true or false",
                    yes->name, no->name);
}

static void check_sharing(struct reader *reader, const struct config_socket *socket)
{
    size_t users;
    (void)find_user(reader->config, socket, &users);
    if (socket->sharing != CONFIG_PER_WORKER)
        return;
    if (socket->fd >= 0)
        fail_socket(reader, socket, "sharing",
                    "per_worker needs a socket for each slot, and fd: is a single one");
    else if (socket->per_slot)
        fail_socket(
            reader, socket, "sharing",
            "with %%(process_num)s in 'listen' each slot has an address of its own already: "
            "leave out one of the two");
    else if (socket->address.socket.generic.sa_family == AF_UNIX)
        fail_socket(reader, socket, "sharing",
                    "per_worker is for internet sockets: Unix sockets cannot share an address");
    else if (users != 1)
        fail_socket(reader, socket, "sharing",
                    "sockets per_worker belong to exactly one program, but %zu use this one",
                    users);
}

enum kind { KIND_FD, KIND_UNIX_PATH, KIND_UNIX_ABSTRACT, KIND_TCP, KIND_UDP };

static enum kind kind_of(const struct config_socket *socket, const struct address *address)
{
    if (socket->fd >= 0)
        return KIND_FD;
    if (address->socket.generic.sa_family == AF_UNIX)
        return address_unix_path(address) ? KIND_UNIX_PATH : KIND_UNIX_ABSTRACT;
    return address->datagram ? KIND_UDP : KIND_TCP;
}

#define ON(kind) (1u << (kind))

/* What is given for a socket of a kind that cannot have it. */
static void check_kind(struct reader *reader, const struct config_socket *socket,
                       const struct address *address)
{
    const struct config_socket_options *options = &socket->options;
    const unsigned path = ON(KIND_UNIX_PATH), tcp = ON(KIND_TCP), ip = tcp | ON(KIND_UDP);
    const struct {
        const char *key;
        bool given;
        unsigned kinds;
        const char *whose;
    } rules[] = {
        {"mode", socket->mode_set, path, "a Unix socket with a path has a file mode"},
        {"owner", socket->owner.set, path, "a Unix socket with a path has an owner"},
        {"group", socket->group.set, path, "a Unix socket with a path has a group"},
        {"backlog", socket->backlog > 0, ~ON(KIND_UDP),
         "a socket that accepts connections has a backlog; for UDP there is "
         "options.receive_buffer"},
        {"ipv6_only", socket->ipv6_only, address->socket.generic.sa_family == AF_INET6 ? ip : 0,
         "a socket of IPv6 can have this, as [::]:8080"},
        {"options.nodelay", options->nodelay, tcp, "a TCP socket that we bind can have this"},
        {"options.keepalive", options->keepalive, tcp, "a TCP socket that we bind can have this"},
        {"options.defer_accept", options->defer_accept_usec > 0, tcp,
         "a TCP socket that we bind can have this"},
        {"options.fastopen", options->fastopen > 0, tcp, "a TCP socket that we bind can have this"},
        {"options.freebind", options->freebind, ip,
         "an internet socket that we bind can have this"},
        {"options.transparent", options->transparent, ip,
         "an internet socket that we bind can have this"},
        {"options.device", options->device[0] != '\0', ip,
         "an internet socket that we bind can have this"},
        {"options.mark", options->mark > 0, ip, "an internet socket that we bind can have this"},
        {"options.receive_buffer", options->receive_buffer > 0, ip,
         "an internet socket that we bind can have this"},
        {"options.send_buffer", options->send_buffer > 0, ip,
         "an internet socket that we bind can have this"},
    };
    enum kind kind = kind_of(socket, address);
    for (size_t i = 0; i < ARRAY_SIZE(rules); i++)
        if (rules[i].given && !(rules[i].kinds & ON(kind)))
            fail_socket(reader, socket, rules[i].key, "only %s", rules[i].whose);
}

static void check_socket_options(struct reader *reader, const struct config_socket *socket)
{
    size_t users;
    const struct config_program *program = find_user(reader->config, socket, &users);
    CLEANUP_FREE char *reason = NULL;
    struct address address = socket->address;
    check_nonblocking(reader, socket);
    check_sharing(reader, socket);
    /* Where a slot's address is wrong, that was said. */
    if (socket->per_slot &&
        (!program || config_resolve_address(socket, program, 0, &address, &reason) < 0))
        return;
    if (socket->fd >= 0 || address.length > 0)
        check_kind(reader, socket, &address);
}

/* A worker's name, and whose it is. */
struct worker_name {
    char *text;
    const struct config_program *program;
    unsigned slot;
};

struct worker_names {
    struct worker_name *list;
    size_t n;
};

static void worker_names_clear(struct worker_names *names)
{
    for (size_t i = 0; i < names->n; i++)
        free(names->list[i].text);
    free(names->list);
}

static void fail_worker_name(struct reader *reader, const struct config_program *program,
                             const char *text)
{
    const struct draft *draft = &reader->programs[program->number];
    const struct tree_node *node = tree_get(draft->value, "worker_name");
    char path[200];
    (void)snprintf(path, sizeof(path), "programs.%s.worker_name", program->name);
    errors_add(reader->errors, node ? &node->place : &draft->key->place, path, "%s", text);
}

static const char *judge_name(const char *name)
{
    if (*name == '\0' || strlen(name) > WORKER_NAME_MAX)
        return "the name of a worker has 1 to 128 characters";
    for (; *name != '\0'; name++)
        if ((unsigned char)*name <= ' ' || *name == 0x7f)
            return "the name of a worker has no blanks";
    return NULL;
}

/* 0, or -EINVAL after an error was said. */
static int add_worker_name(struct reader *reader, struct worker_names *names,
                           const struct config_program *program, unsigned slot)
{
    const unsigned process_num = program->numprocs_start + slot;
    const struct expansion known = {
        .program_name = program->name,
        .group_name = config_group_name(program),
        .here = program->file->directory,
        .host_node_name = reader->host_node_name,
        .process_num = &process_num,
        .environment = environ,
    };
    CLEANUP_FREE char *name = NULL, *reason = NULL;
    int r = expand(program->worker_name, &known, &name, &reason);
    const char *wrong = r == 0 ? judge_name(name) : reason;
    if (r == -ENOMEM) {
        reader->errors->no_memory = true;
        return r;
    }
    if (wrong) {
        fail_worker_name(reader, program, wrong);
        return -EINVAL;
    }
    names->list[names->n++] = (struct worker_name){TAKE_PTR(name), program, slot};
    return 0;
}

/* Where `workers` is wrong, one slot stands for all: errors of the name want to be said as well. */
static void add_worker_names(struct reader *reader, struct worker_names *names,
                             const struct config_program *program)
{
    unsigned slots = MAX(program->workers, 1u);
    for (unsigned slot = 0; program->worker_name && slot < slots; slot++)
        if (add_worker_name(reader, names, program, slot) < 0)
            break;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(((const struct worker_name *)a)->text, ((const struct worker_name *)b)->text);
}

/* A program that is there twice has been complained of already. */
static bool is_same_name(const struct worker_name *a, const struct worker_name *b)
{
    if (a->program != b->program && strcmp(a->program->name, b->program->name) == 0)
        return false;
    return strcmp(a->text, b->text) == 0;
}

static void fail_same_name(struct reader *reader, const struct worker_name *a,
                           const struct worker_name *b)
{
    CLEANUP_FREE char *text = NULL;
    const struct worker_name *later = a->program->number > b->program->number ? a : b;
    if (a->program == b->program)
        text = string_format(
            "slots %u and %u would both be called '%s': use %%(process_num)s in it", a->slot,
            b->slot, a->text);
    else
        text = string_format("a worker of '%s' and one of '%s' would both be called '%s'",
                             a->program->name, b->program->name, a->text);
    if (text)
        fail_worker_name(reader, later->program, text);
    else
        reader->errors->no_memory = true;
}

static void check_worker_names(struct reader *reader)
{
    CLEANUP(worker_names_clear) struct worker_names names = {0};
    const struct config *config = reader->config;
    size_t total = 1;
    for (size_t i = 0; i < config->n_programs; i++)
        total += MAX(config->programs[i]->workers, 1u);
    names.list = calloc(total, sizeof(struct worker_name));
    if (!names.list) {
        reader->errors->no_memory = true;
        return;
    }
    for (size_t i = 0; i < config->n_programs; i++)
        add_worker_names(reader, &names, config->programs[i]);
    qsort(names.list, names.n, sizeof(struct worker_name), compare_names);
    /* One pair tells it: the other slots have the same reason. */
    for (size_t i = 1; i < names.n; i++)
        if (is_same_name(&names.list[i - 1], &names.list[i])) {
            fail_same_name(reader, &names.list[i - 1], &names.list[i]);
            break;
        }
}

void validate(struct reader *reader)
{
    const struct config *config = reader->config;
    validate_gateway(reader);
    if (config->log.format == CONFIG_LOG_JOURNAL && config->log.file)
        errors_add(reader->errors, reader->scope->place, "log",
                   "the journal is no file: leave out either 'file' or 'format: journal'");
    for (size_t i = 0; i < config->n_programs; i++)
        validate_program(reader, config->programs[i], &reader->programs[i]);
    for (size_t i = 0; i < config->n_sockets; i++)
        if (!reader->sockets[i].broken)
            check_socket_options(reader, config->sockets[i]);
    check_addresses(reader);
    check_descriptors(reader);
    check_worker_names(reader);
    if (config->n_programs == 0 && !errors_any(reader->errors))
        errors_add(reader->errors, reader->scope->place, "programs",
                   "there is nothing to run: name at least one program");
}
