#include "gateway/v1.h"

#include "base/strv.h"
#include "control/methods.h"
#include "gateway/v1-call.h"
#include "gateway/v1-command.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static void refuse(struct http_request *request, const char *error, json_t *members)
{
    json_auto_t *own = members;
    v1_reply_problem(request, problem_find(error), own);
}

static void refuse_version(struct http_request *request, const struct command *command,
                           const char *parameter)
{
    char method[sizeof(V1_INTERFACE) + V1_PATH_SIZE];
    (void)snprintf(method, sizeof(method), "%s.%s", V1_INTERFACE, command->name);
    refuse(request, "NotInThisVersion",
           json_pack("{s:s, s:s*}", "method", method, "parameter", parameter));
}

static void refuse_parameter(struct http_request *request, const struct command *command,
                             const char *name, int r)
{
    CLEANUP_FREE char *text = strdup(name);
    if (r == -ENOMEM || !text) {
        http_reply_problem(request, 500, NULL);
    } else if (r == -EOPNOTSUPP) {
        refuse_version(request, command, name);
    } else {
        /* It may come from the query, which may hold any bytes. */
        string_make_utf8(text);
        refuse(request, "InvalidParameter", json_pack("{s:s}", "parameter", text));
    }
}

static void refuse_method(struct http_request *request, bool acts)
{
    http_add_header(request, "Allow", acts ? "POST" : "GET, HEAD");
    http_reply_problem(request, 405,
                       acts ? "this method changes something, which takes a POST"
                            : "this method only tells something, by GET");
}

/* Parameters */

struct query {
    const struct command *command;
    json_t *parameters;
    const char *wrong; /* the parameter that is not right */
    int result;
};

/* An acting method has none in its query, so that none is overlooked that somebody wrote there. */
static bool visit_query(const char *name, const char *value, void *userdata)
{
    struct query *query = userdata;
    query->result = query->command->acts
                        ? -EINVAL
                        : v1_add_query(query->command, query->parameters, name, value);
    query->wrong = name;
    return query->result == 0;
}

static json_t *read_body(struct http_request *request)
{
    size_t size;
    const char *body = http_body(request, &size);
    const char *type = http_header(request, "Content-Type");
    json_error_t error;
    char detail[sizeof(error.text) + 128];
    if (size == 0 && !type)
        return json_object();
    if (!type || !v1_is_json(type)) {
        http_add_header(request, "Accept-Post", "application/json");
        http_reply_problem(request, 415, "parameters are application/json");
        return NULL;
    }
    if (size == 0)
        return json_object();
    json_auto_t *json = json_loadb(body, size, JSON_REJECT_DUPLICATES, &error);
    if (json_is_object(json))
        return json_incref(json);
    if (json)
        (void)snprintf(detail, sizeof(detail), "the body is no JSON object, but an array");
    else
        (void)snprintf(detail, sizeof(detail), "the body is no JSON: line %d, column %d: %s",
                       error.line, error.column, error.text);
    /* It may quote the body. */
    string_make_utf8(detail);
    http_reply_problem(request, 400, detail);
    return NULL;
}

/* NULL: they are wrong, and that was answered. */
static json_t *read_parameters(struct http_request *request, const struct command *command)
{
    json_auto_t *parameters = command->acts ? read_body(request) : json_object();
    struct query query = {.command = command, .parameters = parameters};
    if (!parameters)
        return NULL;
    http_each_query(request, visit_query, &query);
    if (query.result == 0)
        query.result = command_check(command, parameters, &query.wrong);
    if (query.result < 0) {
        refuse_parameter(request, command, query.wrong, query.result);
        return NULL;
    }
    return json_incref(parameters);
}

/* Requests */

static void call(struct http_request *request, struct gateway *gateway,
                 const struct command *command)
{
    const char *accept = http_header(request, "Accept");
    bool streams = command->more && v1_accepts_stream(accept, command->streams);
    if (command->streams && !streams) {
        http_reply_problem(request, 406, "this method is told as text/event-stream alone");
        return;
    }
    /* It would be cut off at once, or hold up who leaves. */
    if (streams && gateway->draining) {
        http_add_header(request, "Retry-After", "1");
        http_reply_problem(request, 503, "the gateway is leaving; another one is there already");
        return;
    }
    json_t *parameters = read_parameters(request, command);
    if (parameters)
        v1_call(request, gateway, command, parameters, streams);
}

void v1_handle(struct http_request *request, struct gateway *gateway)
{
    const struct command *command = v1_find(http_path(request));
    if (!command)
        http_reply_problem(request, 404,
                           "there is no such method; /v1/openapi.json describes those there are");
    else if (command->method == METHOD_NONE)
        refuse_version(request, command, NULL);
    else if (!v1_is_served(command))
        refuse(request, "PermissionDenied", NULL);
    else if (http_method(request) != (command->acts ? HTTP_POST : HTTP_GET))
        refuse_method(request, command->acts);
    else
        call(request, gateway, command);
}

void v1_openapi(struct http_request *request, struct gateway *gateway)
{
    http_reply_static(request, 200, "application/json", gateway->openapi, strlen(gateway->openapi));
}
