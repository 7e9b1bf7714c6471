/* Types that hold several things: the command, its environment, ways of handing over. */
#include "config/values.h"

#include "base/strv.h"
#include "config/section.h"
#include "config/suggest.h"
#include "base/words.h"

#include <errno.h>
#include <string.h>

static void append(struct reader *reader, char ***list, const char *text)
{
    if (strv_append(list, text) < 0)
        reader->errors->no_memory = true;
}

static void read_command_text(struct reader *reader, const struct tree_node *node, char ***command)
{
    CLEANUP_FREE char *reason = NULL;
    int r = words_split(node->text, command, &reason);
    if (r == -ENOMEM)
        reader->errors->no_memory = true;
    else if (r < 0)
        reader_error(reader, &node->place, "%s", reason);
    else if (!*command)
        reader_error(reader, &node->place,
                     "empty, expected a command, as [node, app.js] or \"node app.js\"");
}

static void read_command_list(struct reader *reader, const struct tree_node *node, char ***command)
{
    if (node->n > WORDS_MAX) {
        reader_error(reader, &node->place, "more than %d words", WORDS_MAX);
        return;
    }
    for (size_t i = 0; i < node->n; i++) {
        if (!value_is_scalar(reader, node->items[i], "a text: one argument of the command"))
            return;
        append(reader, command, node->items[i]->text);
    }
    if (node->n == 0)
        reader_error(reader, &node->place,
                     "empty, expected a command, as [node, app.js] or \"node app.js\"");
}

/* "PORT=80 node app.js" needs a shell as well. */
static bool is_assignment(const char *word)
{
    size_t length = strspn(word, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_");
    return length > 0 && word[length] == '=';
}

static void read_command(struct reader *reader, const struct key *key, const struct tree_node *node,
                         void *object)
{
    char ***field = (char ***)(void *)((char *)object + key->offset);
    CLEANUP_STRV char **command = NULL;
    switch (node->type) {
    case TREE_SCALAR:
        read_command_text(reader, node, &command);
        break;
    case TREE_SEQUENCE:
        read_command_list(reader, node, &command);
        break;
    case TREE_MAPPING:
        (void)value_is_scalar(reader, node, "a command, as [node, app.js] or \"node app.js\"");
        break;
    }
    if (!command)
        return;
    if (command[0][0] == '\0')
        reader_error(reader, &node->place, "the first word is empty, expected the program to run");
    else if (is_assignment(command[0]))
        reader_error(reader, &node->place,
                     "there is no shell to understand '%.40s': write it under 'environment'",
                     command[0]);
    *field = TAKE_PTR(command);
}

static void print_templates(struct printer *printer, const struct key *key, char *const *texts)
{
    CLEANUP_STRV char **list = NULL;
    STRV_FOREACH (text, texts) {
        char *seen = printer_template(printer, *text);
        if (!seen || strv_consume(&list, seen) < 0)
            printer->failed = true;
    }
    print_list(printer, key->name, list);
}

static void print_command(struct printer *printer, const struct key *key, const void *object)
{
    char *const *const *field = (const void *)((const char *)object + key->offset);
    if (*field) {
        print_templates(printer, key, *field);
        return;
    }
    print_key(printer, key->name);
    (void)fputs(" ~\n", printer->stream);
}

const struct value_type type_command = {
    .label = "list or text", .read = read_command, .print = print_command};

static bool is_variable_name(const char *name)
{
    if (*name == '\0' || strlen(name) > 255)
        return false;
    for (; *name != '\0'; name++)
        if ((unsigned char)*name <= ' ' || *name == '=' || *name == 0x7f)
            return false;
    return true;
}

static void read_variable(struct reader *reader, const struct tree_node *name,
                          const struct tree_node *value, char ***list)
{
    struct scope scope = {.up = reader->scope, .name = name->text, .place = &value->place};
    reader->scope = &scope;
    if (!is_variable_name(name->text))
        reader_error(reader, &name->place, "this is no name of a variable");
    else if (value_is_scalar(reader, value, "a text") &&
             strv_appendf(list, "%s=%s", name->text, tree_is_null(value) ? "" : value->text) < 0)
        reader->errors->no_memory = true;
    reader->scope = scope.up;
}

static void read_environment(struct reader *reader, const struct key *key,
                             const struct tree_node *node, void *object)
{
    char ***field = (void *)((char *)object + key->offset);
    char text[TREE_TEXT_SIZE];
    if (node->type != TREE_MAPPING) {
        reader_error(reader, &node->place,
                     "%s is wrong here, expected variables, as {PORT: 80, DEBUG: yes}",
                     tree_describe(node, text));
        return;
    }
    for (size_t i = 0; i < node->n; i++)
        read_variable(reader, node->keys[i], node->items[i], field);
}

static void print_environment(struct printer *printer, const struct key *key, const void *object)
{
    char **const *field = (const void *)((const char *)object + key->offset);
    print_key(printer, key->name);
    (void)fputs(*field ? "\n" : " {}\n", printer->stream);
    printer->indent += 2;
    STRV_FOREACH (variable, *field) {
        size_t length = strcspn(*variable, "=");
        CLEANUP_FREE char *name = strndup(*variable, length),
                          *value = printer_template(printer, *variable + length + 1);
        print_key(printer, name ? name : "");
        print_text(printer, value ? value : "");
        (void)fputc('\n', printer->stream);
        printer->failed = printer->failed || !name;
    }
    printer->indent -= 2;
}

const struct value_type type_environment = {
    .label = "mapping", .read = read_environment, .print = print_environment};

static const char *const handoff_words[] = {"env", "node-ipc", "stdin", "scm-rights", NULL};
static const char *const handoff_later[] = {"einhorn", "nginx",   "gunicorn",     "unicorn",
                                            "puma",    "php-fpm", "node-cluster", NULL};

static void read_one_handoff(struct reader *reader, const struct tree_node *node, unsigned *handoff)
{
    char text[TREE_TEXT_SIZE], buffer[SUGGESTION_TEXT_SIZE];
    if (!value_is_scalar(reader, node, "env, node-ipc, stdin or scm-rights"))
        return;
    for (unsigned i = 0; handoff_words[i]; i++)
        if (strcmp(node->text, handoff_words[i]) == 0) {
            *handoff |= 1u << i;
            return;
        }
    bool later = strv_contains((char *const *)handoff_later, node->text);
    struct suggestion suggestion;
    suggestion_init(&suggestion, node->text);
    STRV_FOREACH (word, (char *const *)handoff_words)
        suggestion_try(&suggestion, *word);
    reader_error(reader, &node->place, "%s is %s, expected env, node-ipc, stdin or scm-rights%s",
                 tree_describe(node, text), later ? "not in this version" : "wrong here",
                 suggestion_to_text(&suggestion, buffer));
}

static void read_handoff(struct reader *reader, const struct key *key UNUSED,
                         const struct tree_node *node, void *object)
{
    struct config_program *program = object;
    if (value_list_length(node) == 0)
        reader_error(reader, &node->place,
                     "empty, expected at least one of env, node-ipc, stdin, scm-rights");
    for (size_t i = 0; i < value_list_length(node); i++)
        read_one_handoff(reader, value_list_item(node, i), &program->handoff);
}

static void print_handoff(struct printer *printer, const struct key *key, const void *object)
{
    const struct config_program *program = object;
    char *words[ARRAY_SIZE(handoff_words)] = {NULL};
    size_t n = 0;
    for (unsigned i = 0; handoff_words[i]; i++)
        if (program->handoff & (1u << i))
            words[n++] = (char *)(uintptr_t)handoff_words[i];
    print_list(printer, key->name, words);
}

const struct value_type type_handoff = {
    .label = "list", .read = read_handoff, .print = print_handoff};
