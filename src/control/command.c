#include "control/command.h"

#include <errno.h>
#include <string.h>

static const char *const type_names[] = {
    [COMMAND_BOOL] = "bool",
    [COMMAND_INT] = "int",
    [COMMAND_STRING] = "string",
    [COMMAND_STRINGS] = "[]string",
    [COMMAND_ANY] = "object",
};

const struct command_interface *
command_find_interface(const struct command_interface *const *interfaces, size_t n_interfaces,
                       const char *name, size_t length)
{
    for (size_t i = 0; i < n_interfaces; i++)
        if (strlen(interfaces[i]->name) == length && memcmp(interfaces[i]->name, name, length) == 0)
            return interfaces[i];
    return NULL;
}

const struct command *command_find(const struct command_interface *interface, const char *name)
{
    for (size_t i = 0; i < interface->n_commands; i++)
        if (strcmp(interface->commands[i].name, name) == 0)
            return &interface->commands[i];
    return NULL;
}

static bool has_type(json_t *value, enum command_type type)
{
    switch (type) {
    case COMMAND_BOOL:
        return json_is_boolean(value);
    case COMMAND_INT:
        return json_is_integer(value);
    case COMMAND_STRING:
        return json_is_string(value);
    case COMMAND_STRINGS:
        if (!json_is_array(value))
            return false;
        for (size_t i = 0; i < json_array_size(value); i++)
            if (!json_is_string(json_array_get(value, i)))
                return false;
        return true;
    case COMMAND_ANY:
        return true;
    }
    return false;
}

static const struct command_parameter *find_parameter(const struct command *command,
                                                      const char *name)
{
    for (const struct command_parameter *p = command->parameters; p->name; p++)
        if (strcmp(p->name, name) == 0)
            return p;
    return NULL;
}

int command_check(const struct command *command, json_t *parameters, const char **ret_name)
{
    const char *name;
    json_t *value;
    json_object_foreach(parameters, name, value)
    {
        const struct command_parameter *p = find_parameter(command, name);
        if (p && json_is_null(value) && !p->required)
            continue;
        if (!p || !has_type(value, p->type)) {
            *ret_name = name;
            return -EINVAL;
        }
        if (p->later) {
            *ret_name = name;
            return -EOPNOTSUPP;
        }
    }
    for (const struct command_parameter *p = command->parameters; p->name; p++)
        if (p->required && !json_object_get(parameters, p->name)) {
            *ret_name = p->name;
            return -EINVAL;
        }
    return 0;
}

static void describe_help(FILE *stream, const char *help)
{
    while (*help != '\0') {
        size_t length = strcspn(help, "\n");
        (void)fprintf(stream, "# %.*s\n", (int)length, help);
        help += length + (help[length] == '\n');
    }
}

static void describe_command(FILE *stream, const struct command *command)
{
    (void)fputc('\n', stream);
    describe_help(stream, command->help);
    (void)fprintf(stream, "method %s(", command->name);
    const char *separator = "";
    for (const struct command_parameter *p = command->parameters; p->name; p++) {
        if (p->later)
            continue;
        (void)fprintf(stream, "%s%s: %s%s", separator, p->name, p->required ? "" : "?",
                      type_names[p->type]);
        separator = ", ";
    }
    (void)fprintf(stream, ") -> %s\n", command->reply);
}

char *command_describe(const struct command_interface *interface)
{
    char *text = NULL;
    size_t size;
    FILE *stream = open_memstream(&text, &size);
    if (!stream)
        return NULL;
    describe_help(stream, interface->help);
    (void)fprintf(stream, "interface %s\n%s", interface->name, interface->types);
    for (size_t i = 0; i < interface->n_commands; i++)
        if (interface->commands[i].help)
            describe_command(stream, &interface->commands[i]);
    (void)fputs(interface->errors, stream);
    bool failed = ferror(stream);
    if (fclose(stream) != 0 || failed) {
        free(text);
        return NULL;
    }
    return text;
}
