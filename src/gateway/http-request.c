/*
 * From a request's first line to its handler. libmicrohttpd calls http_request_proceed() when the headers are there, for each part of the
 * body, at its end, and again whenever the suspended connection goes on.
 *
 * What could be understood in more than one way (a proxy in front of us might understand the other one) is refused: two lengths, no host or two,
 * an unknown transfer coding. An answer before the end of the body closes the connection, so what is too large is read up to HTTP_DISCARD_MAX.
 */
#include "gateway/http-internal.h"

#include "base/clock.h"
#include "gateway/access.h"
#include "gateway/gateway.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <strings.h>

enum http_method http_method(const struct http_request *request)
{
    return request->method;
}

const char *http_path(const struct http_request *request)
{
    return request->path;
}

static const char *find_value(const struct http_request *request, enum MHD_ValueKind kind,
                              const char *name)
{
    const char *value = NULL;
    enum MHD_Result found = MHD_lookup_connection_value_n(request->connection->mhd, kind, name,
                                                          strlen(name), &value, NULL);
    if (found == MHD_NO)
        return NULL;
    return value ? value : "";
}

const char *http_query(const struct http_request *request, const char *name)
{
    return find_value(request, MHD_GET_ARGUMENT_KIND, name);
}

const char *http_header(const struct http_request *request, const char *name)
{
    return find_value(request, MHD_HEADER_KIND, name);
}

struct visitor {
    bool (*visit)(const char *name, const char *value, void *userdata);
    void *userdata;
};

static enum MHD_Result visit_one(void *userdata, enum MHD_ValueKind kind, const char *name,
                                 const char *value)
{
    const struct visitor *visitor = userdata;
    (void)kind;
    return visitor->visit(name, value ? value : "", visitor->userdata) ? MHD_YES : MHD_NO;
}

void http_each_query(const struct http_request *request,
                     bool (*visit)(const char *name, const char *value, void *userdata),
                     void *userdata)
{
    struct visitor visitor = {.visit = visit, .userdata = userdata};
    (void)MHD_get_connection_values(request->connection->mhd, MHD_GET_ARGUMENT_KIND, visit_one,
                                    &visitor);
}

const char *http_body(const struct http_request *request, size_t *ret_size)
{
    *ret_size = buffer_size(&request->body);
    /* The NUL was appended when it was there as a whole. */
    return *ret_size > 0 ? request->body.data + request->body.begin : "";
}

void http_on_gone(struct http_request *request, void (*gone)(void *userdata), void *userdata)
{
    request->gone = gone;
    request->gone_userdata = userdata;
}

void http_request_gone(struct http_request *request)
{
    void (*gone)(void *userdata) = request->gone;
    request->gone = NULL;
    if (gone)
        gone(request->gone_userdata);
}

struct http_request *http_request_free(struct http_request *request)
{
    if (!request)
        return NULL;
    http_request_gone(request);
    for (unsigned i = 0; i < request->n_headers; i++) {
        free(request->headers[i].name);
        free(request->headers[i].value);
    }
    if (request->response)
        MHD_destroy_response(request->response);
    buffer_clear(&request->body);
    buffer_clear(&request->stream);
    free(request);
    return NULL;
}

static const char *find_target_error(const char *target)
{
    for (const char *c = target; *c; c++)
        if ((unsigned char)*c <= ' ' || *c == 0x7f)
            return "a blank or control character in the path or query";
    return strstr(target, "%00") ? "a NUL in the path or query" : NULL;
}

/* For a target with what it takes beside its text: of the half that nothing is read into. */
#define TARGET_ROOM (HTTP_MEMORY / 16 * 7)

/* Where a query does not fit, version 0.9.75 neither answers nor goes on: we would hold the connection to the end of its time. */
static bool query_fits(const char *target)
{
    const char *query = strchr(target, '?');
    size_t needs = strlen(target);
    if (!query)
        return true;
    for (const char *c = query; *c; c++)
        if (c == query || *c == '&')
            needs += HTTP_FIELD_SIZE;
    return needs <= TARGET_ROOM;
}

void *http_request_begin(void *userdata, const char *target, struct MHD_Connection *mhd)
{
    struct http_connection *connection = http_connection_of(mhd);
    struct http_request *request = connection ? calloc(1, sizeof(*request)) : NULL;
    (void)userdata;
    if (!request)
        return NULL;
    request->connection = connection;
    request->target_size = strlen(target);
    request->target_error = find_target_error(target);
    buffer_init(&request->body, HTTP_BODY_MAX + 1);
    buffer_init(&request->stream, HTTP_STREAM_QUEUE_MAX);
    connection->request = request;
    if (query_fits(target))
        http_connection_set_state(connection, HTTP_READING);
    else
        http_connection_give_up(connection);
    return request;
}

void http_request_completed(void *userdata, struct MHD_Connection *mhd, void **context,
                            enum MHD_RequestTerminationCode code)
{
    struct http_request *request = *context;
    (void)userdata;
    (void)mhd;
    (void)code;
    *context = NULL;
    if (!request)
        return;
    struct http_connection *connection = request->connection;
    connection->request = NULL;
    http_connection_answered(connection);
    http_request_free(request);
}

static enum http_method method_from_string(const char *name)
{
    if (strcmp(name, MHD_HTTP_METHOD_GET) == 0 || strcmp(name, MHD_HTTP_METHOD_HEAD) == 0)
        return HTTP_GET;
    return strcmp(name, MHD_HTTP_METHOD_POST) == 0 ? HTTP_POST : HTTP_OTHER;
}

/* What says where the request ends, and whom it is for. */
struct framing {
    unsigned hosts, lengths, codings;
    const char *length, *coding;
};

static enum MHD_Result note_framing(void *userdata, enum MHD_ValueKind kind, const char *name,
                                    const char *value)
{
    struct framing *framing = userdata;
    (void)kind;
    if (strcasecmp(name, MHD_HTTP_HEADER_HOST) == 0) {
        framing->hosts++;
    } else if (strcasecmp(name, MHD_HTTP_HEADER_CONTENT_LENGTH) == 0) {
        framing->lengths++;
        framing->length = value;
    } else if (strcasecmp(name, MHD_HTTP_HEADER_TRANSFER_ENCODING) == 0) {
        framing->codings++;
        framing->coding = value;
    }
    return MHD_YES;
}

/* libmicrohttpd has refused what is no number. */
static bool is_beyond(const char *length, size_t limit)
{
    return length && strtoumax(length, NULL, 10) > limit;
}

static const char *find_head_error(const struct http_request *request,
                                   const struct framing *framing, const char *version)
{
    if (request->target_error)
        return request->target_error;
    if (framing->hosts > 1)
        return "more than one Host";
    if (framing->hosts == 0 && strcmp(version, MHD_HTTP_VERSION_1_0) != 0)
        return "no Host";
    if (framing->lengths + framing->codings > 1)
        return "more than one Content-Length or Transfer-Encoding";
    if (framing->coding && strcasecmp(framing->coding, "chunked") != 0)
        return "no Transfer-Encoding but chunked is known here";
    return NULL;
}

struct extent {
    size_t text, fields;
};

static enum MHD_Result measure_one(void *userdata, enum MHD_ValueKind kind, const char *name,
                                   const char *value)
{
    struct extent *extent = userdata;
    extent->fields++;
    if (kind != MHD_GET_ARGUMENT_KIND)
        extent->text += strlen(name) + strlen(": \r\n") + (value ? strlen(value) : 0);
    return MHD_YES;
}

static bool is_head_too_large(const struct http_request *request)
{
    struct extent extent = {.text = request->target_size};
    (void)MHD_get_connection_values(request->connection->mhd,
                                    MHD_HEADER_KIND | MHD_COOKIE_KIND | MHD_GET_ARGUMENT_KIND,
                                    measure_one, &extent);
    return extent.text > HTTP_HEADERS_MAX ||
           extent.text + extent.fields * HTTP_FIELD_SIZE > HTTP_MEMORY - HTTP_ANSWER_MEMORY;
}

/* When the headers are there. True: it is refused. */
static bool refuse_head(struct http_request *request, const char *version)
{
    struct framing framing = {.hosts = 0};
    (void)MHD_get_connection_values(request->connection->mhd, MHD_HEADER_KIND, note_framing,
                                    &framing);
    const char *error = find_head_error(request, &framing, version);
    if (error)
        http_reply_problem(request, MHD_HTTP_BAD_REQUEST, error);
    else if (request->target_size > HTTP_TARGET_MAX)
        http_reply_problem(request, MHD_HTTP_URI_TOO_LONG, NULL);
    else if (is_head_too_large(request))
        http_reply_problem(request, MHD_HTTP_REQUEST_HEADER_FIELDS_TOO_LARGE, NULL);
    else if (is_beyond(framing.length, HTTP_DISCARD_MAX))
        http_reply_problem(request, MHD_HTTP_CONTENT_TOO_LARGE, NULL);
    else
        return false;
    return true;
}

static enum MHD_Result take_body(struct http_request *request, const char *data, size_t *size)
{
    size_t n = *size;
    *size = 0;
    if (!request->is_too_large && buffer_size(&request->body) + n <= HTTP_BODY_MAX)
        return buffer_append(&request->body, data, n) < 0 ? MHD_NO : MHD_YES;
    request->is_too_large = true;
    buffer_clear(&request->body);
    request->discarded += n;
    return request->discarded > HTTP_DISCARD_MAX ? MHD_NO : MHD_YES;
}

static void refuse_method(struct http_request *request)
{
    unsigned methods = request->route->methods;
    bool gets = methods & HTTP_GET, acts = request->route->acts & HTTP_GET;
    const char *allowed = acts                          ? "GET, POST"
                          : gets && methods & HTTP_POST ? "GET, HEAD, POST"
                          : gets                        ? "GET, HEAD"
                                                        : "POST";
    http_add_header(request, MHD_HTTP_HEADER_ALLOW, allowed);
    http_reply_problem(request, MHD_HTTP_METHOD_NOT_ALLOWED, NULL);
}

/* HEAD counts as GET, but for a GET that acts: whoever asks for headers alone wants nothing to happen. */
static bool is_method_known(const struct http_request *request)
{
    const struct http_route *route = request->route;
    return route->methods & request->method && !(request->is_head && route->acts & HTTP_GET);
}

/* True: it may be served. Else it is answered, or will be. */
static bool ask_access(struct http_request *request)
{
    struct http_connection *connection = request->connection;
    struct access_request asked = {
        .route = request->route,
        .acts = request->route && (request->route->acts & request->method),
        .authorization = http_header(request, MHD_HTTP_HEADER_AUTHORIZATION),
        .host = http_header(request, MHD_HTTP_HEADER_HOST),
        .origin = http_header(request, "Origin"),
        .fetch_site = http_header(request, "Sec-Fetch-Site"),
        .peer = (const struct sockaddr *)&connection->peer,
        .turn_usec = request->turn_usec,
    };
    struct access_answer answer = access_decide(connection->http->gateway->access, &asked,
                                                clock_monotonic_usec());
    request->turn_usec = answer.turn_usec;
    switch (answer.verdict) {
    case ACCESS_GRANTED:
        return true;
    case ACCESS_UNAUTHORIZED:
    case ACCESS_LATER:
        if (answer.verdict == ACCESS_UNAUTHORIZED && answer.delay_usec == 0) {
            http_reply_unauthorized(request);
            break;
        }
        http_connection_set_state(connection, HTTP_DELAYED);
        http_connection_set_deadline(connection, answer.delay_usec);
        break;
    case ACCESS_FORBIDDEN:
        http_reply_problem(request, MHD_HTTP_FORBIDDEN, answer.why);
        break;
    case ACCESS_MISDIRECTED:
        http_reply_problem(request, MHD_HTTP_MISDIRECTED_REQUEST, answer.why);
        break;
    case ACCESS_BUSY:
        http_add_header(request, MHD_HTTP_HEADER_RETRY_AFTER, "1");
        http_reply_problem(request, MHD_HTTP_SERVICE_UNAVAILABLE, answer.why);
        break;
    }
    return false;
}

static void handle(struct http_request *request)
{
    if (!ask_access(request))
        return;
    http_connection_set_state(request->connection, HTTP_HANDLED);
    request->route->handle(request, request->connection->http->gateway);
}

void http_request_delay_over(struct http_request *request)
{
    if (request->turn_usec > 0)
        handle(request);
    else
        http_reply_unauthorized(request);
}

static void serve(struct http_request *request)
{
    if (request->is_too_large) {
        http_reply_problem(request, MHD_HTTP_CONTENT_TOO_LARGE, NULL);
        return;
    }
    if (buffer_size(&request->body) > 0) {
        if (buffer_append(&request->body, "", 1) < 0) {
            http_reply_problem(request, MHD_HTTP_INTERNAL_SERVER_ERROR, NULL);
            return;
        }
        request->body.end--;
    }
    if (!request->route)
        http_reply_problem(request, MHD_HTTP_NOT_FOUND, NULL);
    else if (!is_method_known(request))
        refuse_method(request);
    else
        handle(request);
}

/* After whatever may have answered it. */
static enum MHD_Result go_on(struct http_request *request)
{
    struct http_connection *connection = request->connection;
    switch (connection->state) {
    case HTTP_ANSWERED:
    case HTTP_STREAMING:
    case HTTP_ENDING:
        return http_reply_queue(request);
    case HTTP_DELAYED:
    case HTTP_HANDLED:
        http_connection_suspend(connection);
        return MHD_YES;
    case HTTP_WAITING:
    case HTTP_READING:
        return MHD_YES;
    case HTTP_CUT:
        break;
    }
    return MHD_NO;
}

enum MHD_Result http_request_proceed(void *userdata, struct MHD_Connection *mhd, const char *path,
                                     const char *method, const char *version, const char *data,
                                     size_t *size, void **context)
{
    struct http_request *request = *context;
    (void)userdata;
    (void)mhd;
    if (!request)
        return MHD_NO;
    if (request->connection->state == HTTP_READING) {
        if (!request->path) {
            request->path = path;
            request->method = method_from_string(method);
            request->is_head = strcmp(method, MHD_HTTP_METHOD_HEAD) == 0;
            request->route = route_find(path);
            if (!refuse_head(request, version))
                return MHD_YES;
        } else if (*size > 0) {
            return take_body(request, data, size);
        } else {
            serve(request);
        }
    }
    return go_on(request);
}
