#include "gateway/openapi.h"

#include "base/macros.h"
#include "base/strv.h"
#include "gateway/idl.h"
#include "gateway/openapi-components.h"
#include "gateway/openapi-paths.h"
#include "gateway/v1-command.h"

#include <errno.h>
#include <string.h>

static const char about[] =
    "What a running reloader knows and does, over HTTP.\n\n"
    "Below `/v1/` there is a path for each method of the control socket: its name in lower case, "
    "with hyphens between words. Those that only tell are GET, with "
    "their parameters in the query (a list by its name again and again); those that act are POST, "
    "with a JSON object of parameters as their body, or none. A "
    "parameter that is null counts as absent.\n\n"
    "A method that was carried out is answered by 200, whatever came of it: a reload that did not "
    "commit is a reply with its result. Errors are problem details "
    "(RFC 9457); those of methods have a `type`, which is where their schema is, and members of "
    "their own.\n\n"
    "Where a method can tell more than once, Accept: text/event-stream asks for it: each of its "
    "replies is the `data` of an event `reply`; an event `error` has problem "
    "details; an event `end` comes last. A stream that ends without it was cut off. Comments in "
    "between show that it lives. A client that "
    "does not read what it asked for is told so by an `error`, and its stream ends.\n\n"
    "Members that are not described here may be added to answers.";

/* Parameters */

static json_t *describe_parameter_type(enum command_type type)
{
    switch (type) {
    case COMMAND_BOOL:
        return openapi_schema("bool");
    case COMMAND_INT:
        return openapi_schema("int");
    case COMMAND_STRING:
        return openapi_schema("string");
    case COMMAND_STRINGS:
        return openapi_schema("[]string");
    case COMMAND_ANY:
        return openapi_schema("object");
    }
    return NULL;
}

static int add_query(json_t *operation, const struct command *command)
{
    json_auto_t *list = json_array();
    for (const struct command_parameter *p = command->parameters; p->name; p++) {
        json_t *parameter = p->later ? NULL
                                     : json_pack("{s:s, s:s, s:b, s:o}", "name", p->name, "in",
                                                 "query", "required", p->required, "schema",
                                                 describe_parameter_type(p->type));
        if (!p->later && json_array_append_new(list, parameter) < 0)
            return -ENOMEM;
    }
    return json_array_size(list) > 0 ? openapi_put(operation, "parameters", json_incref(list)) : 0;
}

/* Unlike those of answers, this schema is closed: a parameter that is not known is refused. */
static json_t *describe_parameters(const struct command *command, bool *ret_required)
{
    json_auto_t *properties = json_object(), *required = json_array();
    int r = properties && required ? 0 : -ENOMEM;
    for (const struct command_parameter *p = command->parameters; r == 0 && p->name; p++) {
        if (p->later)
            continue;
        r = openapi_put(properties, p->name, describe_parameter_type(p->type));
        if (r == 0 && p->required && json_array_append_new(required, json_string(p->name)) < 0)
            r = -ENOMEM;
    }
    if (r < 0)
        return NULL;
    *ret_required = json_array_size(required) > 0;
    return json_pack("{s:s, s:O, s:O*, s:b}", "type", "object", "properties", properties,
                     "required", *ret_required ? required : NULL, "additionalProperties", false);
}

static int add_body(json_t *operation, const struct command *command)
{
    bool required = false;
    json_t *schema = describe_parameters(command, &required);
    return openapi_put(operation, "requestBody",
                       json_pack("{s:b, s:{s:{s:o}}}", "required", required, "content",
                                 "application/json", "schema", schema));
}

/* Answers */

static json_t *describe_reply(const struct command *command)
{
    json_auto_t *content = json_object();
    int r = content ? 0 : -ENOMEM;
    if (r == 0 && !command->streams)
        r = openapi_put(
            content, "application/json",
            json_pack("{s:{s:s++}}", "schema", "$ref", IDL_REFERENCE, command->name, "Reply"));
    if (r == 0 && command->more)
        r = openapi_put(content, "text/event-stream",
                        json_pack("{s:{s:s}}", "schema", "type", "string"));
    if (r < 0)
        return NULL;
    return json_pack("{s:s++, s:O}", "description",
                     command->more ? "What is told: each reply, and each event `reply`, is a "
                                   : "The reply, a ",
                     command->name, "Reply.", "content", content);
}

static bool has_names(const struct command *command)
{
    for (const struct command_parameter *p = command->parameters; p->name; p++)
        if (string_starts_with(p->name, "program"))
            return true;
    return false;
}

static bool has_later(const struct command *command)
{
    for (const struct command_parameter *p = command->parameters; p->name; p++)
        if (p->later)
            return true;
    return false;
}

static int add_responses(json_t *operation, const struct command *command)
{
    const struct {
        unsigned status;
        bool possible;
    } others[] = {
        {400, true},
        {401, true},
        {403, true},
        {404, has_names(command)},
        {406, command->streams},
        {409, true},
        {413, command->acts},
        {415, command->acts},
        {429, true},
        {501, has_later(command)},
        {502, true},
        {503, true},
        {504, true},
        {0, true},
    };
    json_auto_t *responses = json_object();
    int r = responses ? openapi_put(responses, "200", describe_reply(command)) : -ENOMEM;
    for (size_t i = 0; r == 0 && i < ARRAY_SIZE(others); i++)
        if (others[i].possible)
            r = openapi_add_response(responses, others[i].status);
    return r < 0 ? r : openapi_put(operation, "responses", json_incref(responses));
}

/* Operations */

/* The first sentence, or what comes before its colon. */
static size_t measure_summary(const char *text)
{
    for (size_t i = 0; text[i] != '\0'; i++)
        if ((text[i] == '.' || text[i] == ':') && (text[i + 1] == ' ' || text[i + 1] == '\0'))
            return i;
    return strlen(text);
}

static json_t *begin_operation(const struct command *command)
{
    CLEANUP_FREE char *help = strdup(command->help);
    if (!help)
        return NULL;
    for (char *c = help; *c != '\0'; c++)
        *c = *c == '\n' ? ' ' : *c;
    return json_pack("{s:s, s:[s], s:s%, s:s}", "operationId", command->name, "tags",
                     OPENAPI_TAG_METHODS, "summary", help, measure_summary(help), "description",
                     help);
}

static json_t *describe_method(const struct command *command)
{
    json_auto_t *operation = begin_operation(command);
    if (!operation)
        return NULL;
    int r = command->acts ? add_body(operation, command) : add_query(operation, command);
    if (r == 0)
        r = add_responses(operation, command);
    return r < 0 ? NULL : json_pack("{s:O}", command->acts ? "post" : "get", operation);
}

static int add_methods(json_t *paths)
{
    const struct command_interface *interface = v1_interface();
    int r = 0;
    for (size_t i = 0; r == 0 && i < interface->n_commands; i++) {
        const struct command *command = &interface->commands[i];
        char path[V1_PATH_SIZE];
        v1_path(command, path);
        if (v1_is_served(command))
            r = openapi_put(paths, path, describe_method(command));
    }
    return r;
}

static json_t *describe_paths(void)
{
    json_auto_t *paths = json_object();
    if (!paths || add_methods(paths) < 0 || openapi_add_paths(paths) < 0)
        return NULL;
    return json_incref(paths);
}

/* The second word on security is that none is needed: of public paths, and where no username is configured. */
char *openapi_make(void)
{
    json_auto_t *document = json_pack(
        "{s:s, s:{s:s, s:s, s:s}, s:[{s:s}], s:[{s:[]}, {}], s:o, s:o, s:o}", "openapi", "3.0.3",
        "info", "title", "reloader", "version", RELOADER_VERSION, "description", about, "servers",
        "url", "/", "security", "basic", "tags", openapi_tags(), "paths", describe_paths(),
        "components", openapi_components());
    return document ? json_dumps(document, JSON_COMPACT) : NULL;
}
