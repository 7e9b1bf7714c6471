/*
 * http-reply.h - an HTTP/1.x reply as it comes in, in pieces of any size.
 *
 * Bodies by Content-Length, chunked, or up to the end of the connection.
 */
#pragma once

#include "loadgen/servers.h"

#include <stdbool.h>

#define HTTP_LINE_SIZE 2048
#define HTTP_BODY_KEPT 256

enum http_state {
    HTTP_STATUS,
    HTTP_HEADER,
    HTTP_BODY,
    HTTP_BODY_TO_END,
    HTTP_CHUNK_SIZE,
    HTTP_CHUNK,
    HTTP_CHUNK_END,
    HTTP_TRAILER,
    HTTP_COMPLETE,
    HTTP_BROKEN,
};

struct http_reply {
    enum http_state state;
    const char *identity_header;
    char line[HTTP_LINE_SIZE];
    size_t line_size;
    unsigned status;
    bool chunked, has_length, keep_alive;
    uint64_t left; /* of the body or the chunk */
    char identity[SERVER_IDENTITY_SIZE];
    char body[HTTP_BODY_KEPT]; /* its beginning */
    size_t body_size;          /* all of it */
};

/* `identity_header` names the header that says who served. Borrowed. */
void http_reply_begin(struct http_reply *reply, const char *identity_header);
/* False: these bytes are no such reply, or more than one. */
bool http_reply_feed(struct http_reply *reply, const char *data, size_t size);
/* The connection ended: whether the reply is complete by that. */
bool http_reply_end(struct http_reply *reply);
