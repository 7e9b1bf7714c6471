/*
 * Answers. All say that nobody may guess their type, keep them or frame them, unless the handler says something else of it.
 */
#include "gateway/http-internal.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

static const struct {
    const char *name, *value;
} defaults[] = {
    {"X-Content-Type-Options", "nosniff"},
    {"Cache-Control", "no-store"},
    {"Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'"},
    {"Referrer-Policy", "no-referrer"},
    {"Cross-Origin-Resource-Policy", "same-origin"},
};

/* A line break in it would begin another header. */
static char *copy_value(const char *value)
{
    char *copy = strdup(value);
    for (char *c = copy; c && *c; c++)
        if (iscntrl((unsigned char)*c) && *c != '\t')
            *c = ' ';
    return copy;
}

bool http_try_header(struct http_request *request, const char *name, const char *value)
{
    if (request->n_headers == HTTP_REPLY_HEADERS_MAX)
        return false;
    struct http_header header = {.name = strdup(name), .value = copy_value(value)};
    if (!header.name || !header.value) {
        free(header.name);
        free(header.value);
        return false;
    }
    request->headers[request->n_headers++] = header;
    return true;
}

void http_add_header(struct http_request *request, const char *name, const char *value)
{
    (void)http_try_header(request, name, value);
}

bool http_has_header(const struct http_request *request, const char *name)
{
    for (unsigned i = 0; i < request->n_headers; i++)
        if (strcasecmp(request->headers[i].name, name) == 0)
            return true;
    return false;
}

static bool add_headers(const struct http_request *request, struct MHD_Response *response)
{
    bool ok = true;
    for (unsigned i = 0; i < request->n_headers; i++)
        ok &= MHD_add_response_header(response, request->headers[i].name,
                                      request->headers[i].value) == MHD_YES;
    for (size_t i = 0; i < ARRAY_SIZE(defaults); i++)
        if (!http_has_header(request, defaults[i].name))
            ok &= MHD_add_response_header(response, defaults[i].name, defaults[i].value) == MHD_YES;
    return ok;
}

enum MHD_Result http_reply_queue(struct http_request *request)
{
    struct MHD_Response *response = TAKE_PTR(request->response);
    if (!response)
        return MHD_NO;
    enum MHD_Result result = MHD_YES;
    if (request->connection->http->is_draining)
        result = MHD_add_response_header(response, MHD_HTTP_HEADER_CONNECTION, "close");
    if (result == MHD_YES)
        result = MHD_queue_response(request->connection->mhd, request->status, response);
    MHD_destroy_response(response);
    return result;
}

void http_reply_with(struct http_request *request, unsigned status, struct MHD_Response *response,
                     enum http_state state)
{
    struct http_connection *connection = request->connection;
    if (!response || !add_headers(request, response)) {
        if (response)
            MHD_destroy_response(response);
        http_connection_give_up(connection);
        return;
    }
    request->status = status;
    request->response = response;
    http_connection_set_state(connection, state);
    http_connection_answer(connection);
}

/* True: what is sent is another body now, to be freed by whoever sends it. */
static bool pack(struct http_request *request, const void **body, size_t *size,
                 enum MHD_ResponseMemoryMode mode)
{
    CLEANUP_FREE char *packed = NULL;
    size_t length;
    if (!http_gzip_is_wanted(request, *size) || http_gzip(*body, *size, &packed, &length) < 0 ||
        !http_try_header(request, MHD_HTTP_HEADER_CONTENT_ENCODING, "gzip"))
        return false;
    if (mode == MHD_RESPMEM_MUST_FREE)
        free((void *)*body);
    *body = TAKE_PTR(packed);
    *size = length;
    return true;
}

static void reply_buffer(struct http_request *request, unsigned status, const char *type,
                         const void *body, size_t size, enum MHD_ResponseMemoryMode mode)
{
    if (type)
        http_add_header(request, MHD_HTTP_HEADER_CONTENT_TYPE, type);
    if (pack(request, &body, &size, mode))
        mode = MHD_RESPMEM_MUST_FREE;
    /* Not written to: libmicrohttpd frees it, copies it or leaves it. */
    struct MHD_Response *response = MHD_create_response_from_buffer(size, (void *)body, mode);
    if (!response && mode == MHD_RESPMEM_MUST_FREE)
        free((void *)body);
    request->gone = NULL;
    http_reply_with(request, status, response, HTTP_ANSWERED);
}

void http_reply(struct http_request *request, unsigned status, const char *type, const void *body,
                size_t size)
{
    reply_buffer(request, status, type, body, size, MHD_RESPMEM_MUST_COPY);
}

void http_reply_static(struct http_request *request, unsigned status, const char *type,
                       const void *body, size_t size)
{
    reply_buffer(request, status, type, body, size, MHD_RESPMEM_PERSISTENT);
}

static void reply_json(struct http_request *request, unsigned status, const char *type,
                       json_t *body)
{
    char *text = body ? json_dumps(body, JSON_COMPACT) : NULL;
    json_decref(body);
    if (text)
        reply_buffer(request, status, type, text, strlen(text), MHD_RESPMEM_MUST_FREE);
    else
        http_reply_static(request, MHD_HTTP_INTERNAL_SERVER_ERROR, NULL, "", 0);
}

void http_reply_json(struct http_request *request, unsigned status, json_t *body)
{
    reply_json(request, status, "application/json", body);
}

/* What is on no route is as the paths around it. */
static bool is_plain(const struct http_request *request)
{
    if (request->route)
        return request->route->plain;
    return !request->path || strncmp(request->path, "/v1/", 4) != 0;
}

static void reply_plain_error(struct http_request *request, unsigned status, const char *detail)
{
    char title[64];
    size_t n = 0;
    for (const char *c = MHD_get_reason_phrase_for(status); *c && n < sizeof(title) - 1; c++)
        title[n++] = (char)tolower((unsigned char)*c);
    title[n] = '\0';
    http_reply_json(request, status, json_pack("{s:s}", "error", detail ? detail : title));
}

void http_reply_problem_with(struct http_request *request, unsigned status, const char *detail,
                             json_t *members)
{
    if (is_plain(request)) {
        reply_plain_error(request, status, detail);
        return;
    }
    json_t *problem = json_pack("{s:s, s:s, s:i}", "type", "about:blank", "title",
                                MHD_get_reason_phrase_for(status), "status", (int)status);
    if (problem && detail && json_object_set_new(problem, "detail", json_string(detail)) < 0) {
        json_decref(problem);
        problem = NULL;
    }
    if (problem && members && json_object_update_missing(problem, members) < 0) {
        json_decref(problem);
        problem = NULL;
    }
    reply_json(request, status, "application/problem+json", problem);
}

void http_reply_problem(struct http_request *request, unsigned status, const char *detail)
{
    http_reply_problem_with(request, status, detail, NULL);
}

void http_reply_unauthorized(struct http_request *request)
{
    http_add_header(request, MHD_HTTP_HEADER_WWW_AUTHENTICATE,
                    "Basic realm=\"reloader\", charset=\"UTF-8\"");
    http_reply_problem(request, MHD_HTTP_UNAUTHORIZED, NULL);
}
