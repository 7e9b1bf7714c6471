#include "gateway/v1-command.h"

#include "base/macros.h"
#include "base/parse.h"
#include "control/methods.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>
#include <strings.h>

#define PREFIX "/v1/"

const struct command_interface *v1_interface(void)
{
    return command_find_interface(methods_interfaces, methods_n_interfaces, V1_INTERFACE,
                                  strlen(V1_INTERFACE));
}

void v1_path(const struct command *command, char buffer[V1_PATH_SIZE])
{
    size_t n = strlen(PREFIX);
    memcpy(buffer, PREFIX, n);
    for (const char *c = command->name; *c != '\0' && n + 2 < V1_PATH_SIZE; c++) {
        if (isupper((unsigned char)*c) && c != command->name)
            buffer[n++] = '-';
        buffer[n++] = (char)tolower((unsigned char)*c);
    }
    buffer[n] = '\0';
}

bool v1_has_path(const struct command *command)
{
    return command->method != METHOD_CONNECT;
}

bool v1_is_served(const struct command *command)
{
    return v1_has_path(command) && command->method != METHOD_NONE &&
           command->role == CONTROL_ROLE_GATEWAY;
}

const struct command *v1_find(const char *path)
{
    char own[V1_PATH_SIZE];
    const struct command_interface *interface = v1_interface();
    for (size_t i = 0; i < interface->n_commands; i++) {
        const struct command *command = &interface->commands[i];
        v1_path(command, own);
        if (v1_has_path(command) && strcmp(own, path) == 0)
            return command;
    }
    return NULL;
}

static json_t *read_bool(const char *value)
{
    if (strcmp(value, "true") == 0)
        return json_true();
    return strcmp(value, "false") == 0 ? json_false() : NULL;
}

static json_t *read_int(const char *value)
{
    uint64_t number;
    bool negative = *value == '-';
    if (parse_unsigned(value + negative, 0, INT64_MAX, &number) < 0)
        return NULL;
    return json_integer(negative ? -(json_int_t)number : (json_int_t)number);
}

static int add_to_list(json_t *parameters, const char *name, const char *value)
{
    json_t *list = json_object_get(parameters, name);
    if (!list && json_object_set_new(parameters, name, json_array()) < 0)
        return -ENOMEM;
    list = json_object_get(parameters, name);
    json_t *text = json_string(value);
    if (!text)
        return -EINVAL;
    return json_array_append_new(list, text) < 0 ? -ENOMEM : 0;
}

/* NULL: it is not of that type, or no UTF-8. */
static json_t *read_value(enum command_type type, const char *value)
{
    switch (type) {
    case COMMAND_BOOL:
        return read_bool(value);
    case COMMAND_INT:
        return read_int(value);
    case COMMAND_STRING:
        return json_string(value);
    case COMMAND_STRINGS:
    case COMMAND_ANY:
        return NULL;
    }
    return NULL;
}

int v1_add_query(const struct command *command, json_t *parameters, const char *name,
                 const char *value)
{
    const struct command_parameter *p = command->parameters;
    while (p->name && strcmp(p->name, name) != 0)
        p++;
    if (!p->name)
        return -EINVAL;
    if (p->type == COMMAND_STRINGS)
        return add_to_list(parameters, name, value);
    json_t *json = json_object_get(parameters, name) ? NULL : read_value(p->type, value);
    if (!json)
        return -EINVAL;
    return json_object_set_new(parameters, name, json) < 0 ? -ENOMEM : 0;
}

/* Behind a media type come its parameters, or nothing. */
static bool is_type(const char *text, size_t length, const char *type)
{
    while (length > 0 && (*text == ' ' || *text == '\t')) {
        text++;
        length--;
    }
    size_t own = strlen(type);
    if (length < own || strncasecmp(text, type, own) != 0)
        return false;
    return length == own || text[own] == ';' || text[own] == ' ' || text[own] == '\t';
}

bool v1_is_json(const char *content_type)
{
    return is_type(content_type, strlen(content_type), "application/json");
}

bool v1_accepts_stream(const char *accept, bool any)
{
    if (!accept)
        return any;
    while (*accept != '\0') {
        size_t length = strcspn(accept, ",");
        if (is_type(accept, length, "text/event-stream") ||
            (any && (is_type(accept, length, "text/*") || is_type(accept, length, "*/*"))))
            return true;
        accept += length + (accept[length] == ',');
    }
    return false;
}
