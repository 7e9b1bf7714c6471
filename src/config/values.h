/*
 * values.h - the types of values. Each knows how to read, print and explain itself.
 */
#pragma once

#include "config/keys.h"

/* Of any key. */
extern const struct value_type type_bool, type_number, type_duration, type_signal, type_mode,
    type_factor, type_choice, type_text, type_size, type_interface, type_user, type_group,
    type_integer, type_umask, type_affinity, type_capabilities;
/* Of a process, in a struct config_account: looked up when all of it is known. */
extern const struct value_type type_account_user, type_account_group, type_account_groups;

/* A resource limit: key->min is one of these, key->max the largest number. */
enum limit_unit { LIMIT_NUMBER, LIMIT_BYTES, LIMIT_SECONDS, LIMIT_MICROSECONDS };
extern const struct value_type type_limit;
/* Paths: expanded and absolute. */
extern const struct value_type type_path;
/* Text that nobody is to read in a log. */
extern const struct value_type type_secret;
bool value_is_same_secret(const struct key *key, const void *a, const void *b);
/* A mapping with a table of its own; its keys live in the object that holds the section. */
extern const struct value_type type_section;

/* Of one key only; `object` is what holds it. */
extern const struct value_type type_workers, type_probation, type_amount, type_backlog,
    type_socket_mode, type_control_socket;
extern const struct value_type type_runtime_directory, type_environment_file, type_template,
    type_directory, type_template_path;
extern const struct value_type type_command, type_environment, type_handoff, type_ready;
extern const struct value_type type_listen, type_private_listen, type_socket_names;
extern const struct value_type type_sockets, type_programs;
extern const struct value_type type_event_types, type_on_event;
extern const struct value_type type_watch, type_watch_ignore;
/* A section, or none. */
extern const struct value_type type_health, type_gateway;
/* A section, or its `to` alone, or its `path` alone. */
extern const struct value_type type_output;
/* Does it hold keys of its own, one of each? */
static inline bool key_is_section(const struct key *key)
{
    return key->type == &type_section || key->type == &type_output;
}
extern const struct value_type type_exit_codes, type_retries, type_max_restarts, type_groups;
/* Reads the files that it names into reader->files; prints nothing, as what it brings is printed where it belongs. */
extern const struct value_type type_include;

void value_read_scalar(struct reader *reader, const struct key *key, const struct tree_node *node,
                       void *object);
void value_print_scalar(struct printer *printer, const struct key *key, const void *object);

/* By name or number. 0, or -errno for value_account_failure(), which says why. */
int value_find_group(struct reader *reader, const char *text, gid_t *ret);
void value_account_failure(struct reader *reader, const struct place *place, const char *text,
                           bool is_group, int error);

/* True if node is a scalar; else an error says that `expected` was. */
bool value_is_scalar(struct reader *reader, const struct tree_node *node, const char *expected);

/* A list, where a single scalar counts as a list of one. */
size_t value_list_length(const struct tree_node *node);
const struct tree_node *value_list_item(const struct tree_node *node, size_t i);

/*
 * Expands what is known when the configuration is loaded: here, host and environment, inside a program its name as well.
 * NULL after an error was said.
 */
char *value_expand(struct reader *reader, const struct tree_node *node, const char *text);

/* Absolute, relative to the directory of the file that is being read. malloc-ed or NULL. */
char *value_absolute(const struct reader *reader, const char *path);
