/*
 * http-internal.h - what the files of the HTTP server share: a connection and the request on it.
 *
 *   http.c             libmicrohttpd within sd-event, accepting, draining
 *   http-connection.c  states of a connection, its deadline, and who has left
 *   http-request.c     from a request's first line to its handler
 *   http-reply.c, http-body.c, http-stream.c, http-gzip.c   answers
 */
#pragma once

#include "base/buffer.h"
#include "base/list.h"
#include "base/log.h"
#include "gateway/http.h"

#include <microhttpd.h>
#include <sys/socket.h>

/*
 * Of a connection, for libmicrohttpd. It reads into one half; in the other one it keeps HTTP_FIELD_SIZE for each parameter and header, beside their
 * text, and then writes the head of the answer. What does not fit there may get no answer at all, so we refuse it before.
 */
#define HTTP_MEMORY        (2 * HTTP_HEADERS_MAX)
#define HTTP_FIELD_SIZE    ((size_t)64)
#define HTTP_ANSWER_MEMORY ((size_t)4 * 1024)

enum http_state {
    HTTP_WAITING, /* for a request line */
    HTTP_READING, /* the rest of the request */
    HTTP_DELAYED, /* refused, and the answer waits for its time; or its password waits for its turn to be checked */
    HTTP_HANDLED,   /* its handler has it */
    HTTP_ANSWERED,  /* the answer is being sent */
    HTTP_STREAMING, /* likewise, and the handler goes on with it */
    HTTP_ENDING,    /* the handler is done with the stream, and what is left is being sent */
    HTTP_CUT,       /* the client has left, or is cut off: to be closed */
};

struct http {
    sd_event *event;
    struct gateway *gateway;
    struct MHD_Daemon *daemon;
    int listener;
    sd_event_source *listener_source, *daemon_source, *timer, *retry, *calm;
    struct list connections;
    unsigned n_connections, connections_max;
    unsigned connections_peak; /* since memory was last given back */
    bool is_paused;            /* want of descriptors or memory: nobody is accepted */
    bool is_draining;
    bool has_resumed; /* a connection: libmicrohttpd does not see that until it is called */
    unsigned spread_msec;
    struct log_limit messages; /* of libmicrohttpd */
};

struct http_connection {
    struct http *http;
    struct list link; /* http.connections */
    struct MHD_Connection *mhd;
    int fd; /* libmicrohttpd's */
    enum http_state state;
    sd_event_source *deadline; /* what happens then depends on the state */
    sd_event_source *leaving;  /* on where libmicrohttpd does not look, or not well enough */
    bool is_suspended;
    bool answers_first;           /* before libmicrohttpd reads from it */
    bool is_half_closed;          /* the client sends no more; whether it reads on is not known */
    struct http_request *request; /* NULL: waiting for one */
    struct sockaddr_storage peer;
};

struct http_header {
    char *name, *value;
};

struct http_request {
    struct http_connection *connection;
    const char *path; /* libmicrohttpd's; NULL until all headers are there */
    enum http_method method;
    bool is_head; /* which is GET, else */
    const struct http_route *route;
    size_t target_size;
    const char *target_error; /* NULL: none */
    bool is_too_large;        /* its body, which is read nevertheless */
    size_t discarded;
    struct buffer body;
    struct http_header headers[HTTP_REPLY_HEADERS_MAX];
    unsigned n_headers;
    struct MHD_Response *response; /* until libmicrohttpd has it */
    unsigned status;
    bool will_stream;   /* has a place that a stream needs, but no answer yet */
    uint64_t turn_usec; /* of its password; 0: there is none to wait for */
    struct buffer stream;
    void (*gone)(void *userdata);
    void *gone_userdata;
    void (*room)(void *userdata);
    void *room_userdata;
};

/* http.c */
void http_has_resumed(struct http *http);
/* For who was told of one connection less. */
void http_connection_opened(struct http *http);
void http_connection_closed(struct http *http);

/* http-connection.c */
void http_connection_notify(void *userdata, struct MHD_Connection *mhd, void **context,
                            enum MHD_ConnectionNotificationCode code);
struct http_connection *http_connection_of(struct MHD_Connection *mhd);
/* The one writer of the state; sets the deadline that goes with it. */
void http_connection_set_state(struct http_connection *connection, enum http_state state);
/* Another one than the state's own; USEC_INFINITY: none. */
void http_connection_set_deadline(struct http_connection *connection, uint64_t usec);
/* In a drain: when to end number `index` of `count`. */
void http_connection_drain(struct http_connection *connection, unsigned index, unsigned count);
/* Only from within libmicrohttpd's callbacks. */
void http_connection_suspend(struct http_connection *connection);
/* Does nothing where it is not suspended. */
void http_connection_resume(struct http_connection *connection);
/* As the answer is there; when it has been sent, or never will be. */
void http_connection_answer(struct http_connection *connection);
void http_connection_answered(struct http_connection *connection);
/* It is closed; its handler is told when that is done, and may go on until then as if it were not. */
void http_connection_give_up(struct http_connection *connection);
/* It is closed, and its handler is told at once. */
void http_connection_cut(struct http_connection *connection);

/* http-request.c */
void *http_request_begin(void *userdata, const char *target, struct MHD_Connection *mhd);
enum MHD_Result http_request_proceed(void *userdata, struct MHD_Connection *mhd, const char *path,
                                     const char *method, const char *version, const char *data,
                                     size_t *size, void **context);
void http_request_completed(void *userdata, struct MHD_Connection *mhd, void **context,
                            enum MHD_RequestTerminationCode code);
struct http_request *http_request_free(struct http_request *request);
/* HTTP_DELAYED has ended. */
void http_request_delay_over(struct http_request *request);
/* Once: the handler has lost it. */
void http_request_gone(struct http_request *request);

/* http-reply.c */
/* Gives the answer to libmicrohttpd, from within its callback. */
enum MHD_Result http_reply_queue(struct http_request *request);
/* `response` is taken over; NULL is want of memory. */
void http_reply_with(struct http_request *request, unsigned status, struct MHD_Response *response,
                     enum http_state state);
void http_reply_unauthorized(struct http_request *request);

/* As http_add_header(). False: the answer will go without it, for there is no memory or place. */
bool http_try_header(struct http_request *request, const char *name, const char *value);
/* Among those that the handler added. */
bool http_has_header(const struct http_request *request, const char *name);

/* http-gzip.c */
/*
 * Before an answer of that size: says that others may get it otherwise, and whether this client accepts gzip. Who packs it adds Content-Encoding,
 * and sends it as it is where that can't be added.
 */
bool http_gzip_is_wanted(struct http_request *request, size_t size);
/* malloc-ed. -ENOSPC: it is not worth it; -ENOMEM. */
int http_gzip(const void *data, size_t size, char **ret, size_t *ret_size);

/* http-stream.c */
/* A drain's turn. */
void http_stream_cease(struct http_request *request);
