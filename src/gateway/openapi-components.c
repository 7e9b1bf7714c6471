#include "gateway/openapi-components.h"

#include "base/log.h"
#include "base/macros.h"
#include "gateway/idl.h"
#include "gateway/problem.h"
#include "control/methods.h"
#include "gateway/v1-command.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* Answers that are no success; a problem without a type of its own may come with each. */
static const struct response {
    unsigned status; /* 0: any other */
    const char *name, *description;
} responses[] = {
    {400, "BadRequest",
     "A parameter is missing, unknown, or not of its type, or the body is no JSON object."},
    {401, "Unauthorized",
     "No credentials, or wrong ones; who fails again and again waits longer for this answer."},
    {403, "Forbidden",
     "The request comes from a page of another site, or the method is not for HTTP."},
    {404, "NotFound", "There is no such program or worker."},
    {406, "NotAcceptable", "It is told as server-sent events only, which Accept does not allow."},
    {409, "Conflict", "It is not possible now, or at all; the detail tells why."},
    {413, "ContentTooLarge", "The body is more than the gateway or the reloader takes."},
    {415, "UnsupportedMediaType", "The body has to be application/json."},
    {429, "TooManyRequests", "Too many requests wait for the reloader already. Try again."},
    {501, "NotImplemented", "This version does not have it."},
    {502, "BadGateway", "The reloader gave an answer that is not understood."},
    {503, "ServiceUnavailable",
     "The reloader is shutting down, or there is none at the moment. Try again."},
    {504, "GatewayTimeout", "The reloader does not answer."},
    {0, "Error", "Any other error."},
};

/* What a plain problem looks like: those which HTTP knows by their status. */
static const char problem_type[] = "(type: string, title: string, status: int, detail: ?string)";

int openapi_put(json_t *object, const char *name, json_t *value)
{
    return json_object_set_new(object, name, value) < 0 ? -ENOMEM : 0;
}

static void complain(int r, const char *where)
{
    if (r != -ENOMEM)
        log_error("openapi: the command table cannot be read from here on: %.60s", where);
}

json_t *openapi_schema(const char *type)
{
    json_t *schema = NULL;
    const char *where = type;
    int r = idl_read_type(type, &schema, &where);
    if (r < 0)
        complain(r, where);
    return schema;
}

static json_t *read_members(const char *text, const char *keyword)
{
    json_t *members = NULL;
    const char *where = text;
    int r = idl_read_members(text, keyword, &members, &where);
    if (r < 0)
        complain(r, where);
    return members;
}

/* Schemas */

/* An error's own members, and those that every problem has. */
static int extend_error(json_t *schema, const struct problem_kind *kind)
{
    json_t *properties = json_object_get(schema, "properties");
    json_auto_t *own = json_pack("{s:{s:s, s:[s+]}, s:{s:s}, s:{s:s, s:[i]}, s:{s:s}}", "type",
                                 "type", "string", "enum", PROBLEM_TYPE_PREFIX, kind->name, "title",
                                 "type", "string", "status", "type", "integer", "enum",
                                 (int)kind->status, "detail", "type", "string");
    json_auto_t *required = json_pack("[s, s, s, s]", "type", "title", "status", "detail");
    json_t *also = json_object_get(schema, "required");
    if (!own || !required || (also && json_array_extend(required, also) < 0) ||
        json_object_update(own, properties) < 0)
        return -ENOMEM;
    int r = openapi_put(schema, "properties", json_incref(own));
    return r < 0 ? r : openapi_put(schema, "required", json_incref(required));
}

/* Errors of all interfaces, by name. */
static json_t *read_errors(void)
{
    json_auto_t *all = json_object();
    for (size_t i = 0; all && i < methods_n_interfaces; i++) {
        json_auto_t *errors = read_members(methods_interfaces[i]->errors, "error");
        if (!errors || json_object_update(all, errors) < 0)
            return NULL;
    }
    return json_incref(all);
}

/* What ours have for members is text. */
static json_t *find_error(json_t *errors, const struct problem_kind *kind)
{
    if (!kind->ours)
        return json_incref(json_object_get(errors, kind->name));
    return kind->member ? json_pack("{s:s, s:{s:{s:s}}, s:[s]}", "type", "object", "properties",
                                    kind->member, "type", "string", "required", kind->member)
                        : openapi_schema("()");
}

static int add_errors(json_t *schemas)
{
    json_auto_t *errors = read_errors();
    if (!errors)
        return -ENOMEM;
    int r = openapi_put(schemas, "Problem", openapi_schema(problem_type));
    for (size_t i = 0; r == 0 && i < problem_n_kinds; i++) {
        json_auto_t *schema = find_error(errors, &problem_kinds[i]);
        r = schema ? extend_error(schema, &problem_kinds[i]) : -ENOENT;
        if (r == 0)
            r = openapi_put(schemas, problem_kinds[i].name, json_incref(schema));
    }
    return r;
}

static int add_replies(json_t *schemas)
{
    const struct command_interface *interface = v1_interface();
    for (size_t i = 0; i < interface->n_commands; i++) {
        const struct command *command = &interface->commands[i];
        char name[V1_PATH_SIZE];
        if (!v1_is_served(command))
            continue;
        (void)snprintf(name, sizeof(name), "%sReply", command->name);
        int r = openapi_put(schemas, name, openapi_schema(command->reply));
        if (r < 0)
            return r;
    }
    return 0;
}

static json_t *make_schemas(void)
{
    json_auto_t *schemas = read_members(v1_interface()->types, "type");
    if (!schemas || add_replies(schemas) < 0 || add_errors(schemas) < 0)
        return NULL;
    return json_incref(schemas);
}

/* Answers */

static int refer_to_schema(json_t *list, const char *name)
{
    json_t *reference = json_pack("{s:s+}", "$ref", IDL_REFERENCE, name);
    return json_array_append_new(list, reference) < 0 ? -ENOMEM : 0;
}

static json_t *make_response(const struct response *response)
{
    json_auto_t *any = json_array();
    int r = any ? 0 : -ENOMEM;
    for (size_t i = 0; r == 0 && i < problem_n_kinds; i++)
        if (problem_kinds[i].status == response->status)
            r = refer_to_schema(any, problem_kinds[i].name);
    if (r == 0)
        r = refer_to_schema(any, "Problem");
    if (r < 0)
        return NULL;
    return json_pack("{s:s, s:{s:{s:{s:O}}}}", "description", response->description, "content",
                     PROBLEM_CONTENT_TYPE, "schema", "anyOf", any);
}

static json_t *make_responses(void)
{
    json_auto_t *all = json_object();
    for (size_t i = 0; all && i < ARRAY_SIZE(responses); i++)
        if (openapi_put(all, responses[i].name, make_response(&responses[i])) < 0)
            return NULL;
    return json_incref(all);
}

int openapi_add_response(json_t *to, unsigned status)
{
    char key[16];
    size_t i = 0;
    (void)snprintf(key, sizeof(key), "%u", status);
    while (i < ARRAY_SIZE(responses) && responses[i].status != status)
        i++;
    if (i == ARRAY_SIZE(responses))
        return -ENOENT;
    return openapi_put(to, status > 0 ? key : "default",
                       json_pack("{s:s+}", "$ref", "#/components/responses/", responses[i].name));
}

json_t *openapi_components(void)
{
    return json_pack("{s:o, s:o, s:{s:{s:s, s:s, s:s}}}", "schemas", make_schemas(), "responses",
                     make_responses(), "securitySchemes", "basic", "type", "http", "scheme",
                     "basic", "description",
                     "The username of the configuration's gateway section, and its password.");
}
