/*
 * http.h - the gateway's HTTP server: libmicrohttpd within our event loop, and what is bounded about it.
 *
 * A request is given to its handler when it is there as a whole and may be served: routes.c knows the paths, access.c who may. The handler
 * answers by one of the http_reply functions or begins a stream, at once or later; the request is gone with that, or with `gone`.
 *
 * What libmicrohttpd refuses before it calls us, it answers by itself, in HTML, and closes: a request line or header that is none, another
 * version than 1.x, headers or cookies that do not fit, a broken chunk. For a Content-Length that is no number, and for cookies that do not fit,
 * version 0.9.75 sends the head of that answer twice; nothing of ours is called in between. A query of too many
 * parameters (some 400) ends the connection, as may what is twice as large as it may be.
 */
#pragma once

#include "base/macros.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <systemd/sd-event.h>

/*
 * Bounds: connections; bytes of one for a request line with its headers, of the request line's target alone, of a body, and of one that is
 * read to its end though it is too large, so that its sender reads why; headers that a handler adds; bytes that a stream's reader may be behind.
 */
#define HTTP_CONNECTIONS_MAX   1500
#define HTTP_HEADERS_MAX       ((size_t)32 * 1024)
#define HTTP_TARGET_MAX        ((size_t)8 * 1024)
#define HTTP_BODY_MAX          ((size_t)64 * 1024)
#define HTTP_DISCARD_MAX       ((size_t)1024 * 1024)
#define HTTP_REPLY_HEADERS_MAX 16
#define HTTP_STREAM_QUEUE_MAX  ((size_t)256 * 1024)
/* Descriptors of a gateway: one a connection, and some for the rest of it. Where there may not be that many, there are fewer connections. */
#define HTTP_FILES_SPARE 200
#define HTTP_FILES_MAX   (HTTP_CONNECTIONS_MAX + HTTP_FILES_SPARE)
/*
 * Seconds: without a request on a connection that had one, or in which nothing could be sent; for a request line on a new connection, and
 * again from there to the end of the request; for an answer to be taken; for these last two in a drain, so that half a request does not hold
 * up who replaces or stops us. An idle connection is left alone that many milliseconds in a drain. Where a client sends no more, and may have left, its
 * answer may take as long to come as to be taken, in a drain as well; a stream has that many seconds to begin, or to be refused.
 */
#define HTTP_IDLE_SECONDS    60u
#define HTTP_REQUEST_SECONDS 20u
#define HTTP_SEND_SECONDS    120u
#define HTTP_DRAIN_SECONDS   5u
#define HTTP_BEGIN_SECONDS   5u
#define HTTP_FAREWELL_MSEC   1000u

struct gateway;
struct http;
struct http_request;

/* HEAD counts as GET, and is refused where that acts. */
enum http_method { HTTP_GET = 1 << 0, HTTP_POST = 1 << 1, HTTP_OTHER = 1 << 2 };

/* What may be served without a password, where it is configured so. */
enum http_public {
    HTTP_PUBLIC_HEALTHZ = 1 << 0,
    HTTP_PUBLIC_READYZ = 1 << 1,
    HTTP_PUBLIC_METRICS = 1 << 2,
};

struct http_route {
    /* "/v1/" with a slash at its end stands for all below it, others (and "/") for themselves */
    const char *path;
    unsigned methods; /* of enum http_method; others get 405 with Allow */
    unsigned public; /* enum config_public: served without a password if it is among the configured ones; 0: never */
    unsigned
        acts; /* those of the methods that change something: a browser on another site may not make them */
    bool
        plain; /* its errors are {"error":…} as clients of plain paths know them, not problem details */
    void (*handle)(struct http_request *request, struct gateway *gateway);
};

/*
 * Of a request that is there, borrowed from it; all text is percent-decoded, NUL-terminated, and without a NUL within. It need not be UTF-8:
 * json_string() may fail.
 */
enum http_method http_method(const struct http_request *request);
const char *http_path(const struct http_request *request);
/* NULL: it is not there; "" without a value. Names of headers in any case. */
const char *http_query(const struct http_request *request, const char *name);
const char *http_header(const struct http_request *request, const char *name);
/* Each parameter of the query, in its order, until `visit` returns false. A name may come more than once. */
void http_each_query(const struct http_request *request,
                     bool (*visit)(const char *name, const char *value, void *userdata),
                     void *userdata);
/* Never NULL, and NUL-terminated behind its size. */
const char *http_body(const struct http_request *request, size_t *ret_size);

/*
 * For a handler that answers later: `gone` is called once when the client leaves before the answer, or in the midst of a stream; the request is not
 * to be touched from then on. A client that half-closes has not left while it waits for an answer, other than a stream. It is not called any more after an answer or http_stream_end(), and never from within a function of this header.
 */
void http_on_gone(struct http_request *request, void (*gone)(void *userdata), void *userdata);
/*
 * For one that means to begin a stream later, and holds for it what there is little of: a client that half-closes is not waited with for as long as
 * with others.
 */
void http_will_stream(struct http_request *request);

/* Before the answer. The value is copied; line breaks in it are not sent. */
void http_add_header(struct http_request *request, const char *name, const char *value);

/*
 * The answer. It ends the request, which is not to be touched any more. `body` is copied. One from a kilobyte on, and without an ETag, goes as gzip
 * to a client that accepts it; of a shared body, packed once.
 */
void http_reply(struct http_request *request, unsigned status, const char *type, const void *body,
                size_t size);
/* The same without a copy: static data, as the page is made of. */
void http_reply_static(struct http_request *request, unsigned status, const char *type,
                       const void *body, size_t size);
/*
 * A body that many answers share, each of which has a reference of its own until its client has read it or left. http_body_new() takes over `data`, malloc-ed, if it
 * succeeds: 0 or -ENOMEM. `freed` (or NULL) is called when the last reference is gone.
 */
struct http_body;
int http_body_new(char *data, size_t size, void (*freed)(void *userdata), void *userdata,
                  struct http_body **ret);
struct http_body *http_body_ref(struct http_body *body);
struct http_body *http_body_unref(struct http_body *body);
DEFINE_FREEP(struct http_body *, http_body_unref)
/* It is borrowed: the answer takes a reference. */
void http_reply_body(struct http_request *request, unsigned status, const char *type,
                     struct http_body *body);
/* Takes over `body`; NULL, want of memory, is answered by 500. Compact, members in their order, no newline. */
void http_reply_json(struct http_request *request, unsigned status, json_t *body);
/* An error as the route's clients know them: application/problem+json (RFC 9457), or {"error":detail} where it is plain. `detail` may be NULL. */
void http_reply_problem(struct http_request *request, unsigned status, const char *detail);
/* The same with further members (borrowed) of a problem. */
void http_reply_problem_with(struct http_request *request, unsigned status, const char *detail,
                             json_t *members);

/*
 * A stream: 200 with that type, and then what is sent until http_stream_end() or `gone`. What the client has not read is kept up to
 * HTTP_STREAM_QUEUE_MAX: 0, or -ENOBUFS when it does not fit (nothing of it is kept).
 */
void http_stream_begin(struct http_request *request, const char *type);
int http_stream_send(struct http_request *request, const void *data, size_t size);
/* Bytes that wait to be read. */
size_t http_stream_pending(const struct http_request *request);
/*
 * For a stream: `room` is called when all that was sent is taken and more is wanted, never from within http_stream_send(). It may send, but not
 * end the stream.
 */
void http_on_room(struct http_request *request, void (*room)(void *userdata), void *userdata);
void http_stream_end(struct http_request *request);

/* Serves on the listener, which is taken over, and gets O_NONBLOCK. 0 or -errno. */
int http_new(sd_event *event, int listener_fd, struct gateway *gateway, struct http **ret);
/*
 * No more connections; requests that are there are served, idle connections closed, and streams end one by one over `spread_msec`.
 * Once more with another number: that one holds.
 */
void http_drain(struct http *http, unsigned spread_msec);
/* How many connections there are; a drain is over at 0, and `drained` of the gateway is called. */
unsigned http_connections(const struct http *http);
struct http *http_free(struct http *http);
DEFINE_FREEP(struct http *, http_free)
