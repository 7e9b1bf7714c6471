#include "loadgen/http-reply.h"

#include "base/parse.h"

#include <stdio.h>
#include <string.h>

void http_reply_begin(struct http_reply *reply, const char *identity_header)
{
    reply->state = HTTP_STATUS;
    reply->identity_header = identity_header;
    reply->line_size = 0;
    reply->status = 0;
    reply->chunked = reply->has_length = false;
    reply->left = 0;
    reply->identity[0] = '\0';
    reply->body_size = 0;
}

/* "HTTP/1.1 200 OK" */
static bool read_status(struct http_reply *reply)
{
    const char *line = reply->line;
    if (strncmp(line, "HTTP/1.", 7) != 0 || (line[7] != '0' && line[7] != '1') || line[8] != ' ')
        return false;
    uint64_t status;
    char digits[4] = "";
    (void)snprintf(digits, sizeof(digits), "%s", line + 9);
    if (parse_unsigned(digits, 100, 599, &status) < 0 || (line[12] != '\0' && line[12] != ' '))
        return false;
    reply->status = (unsigned)status;
    reply->keep_alive = line[7] == '1';
    reply->state = HTTP_HEADER;
    return true;
}

/* The body follows, or there is none. */
static bool end_headers(struct http_reply *reply)
{
    if (reply->status < 200)
        reply->state = HTTP_STATUS;
    else if (reply->status == 204 || reply->status == 304)
        reply->state = HTTP_COMPLETE;
    else if (reply->chunked)
        reply->state = HTTP_CHUNK_SIZE;
    else if (!reply->has_length)
        reply->state = HTTP_BODY_TO_END;
    else
        reply->state = reply->left > 0 ? HTTP_BODY : HTTP_COMPLETE;
    return true;
}

static bool read_header(struct http_reply *reply)
{
    if (reply->line[0] == '\0')
        return end_headers(reply);
    char *value = strchr(reply->line, ':');
    if (!value)
        return false;
    *value++ = '\0';
    value += strspn(value, " \t");
    const char *name = reply->line;
    if (strcasecmp(name, "content-length") == 0) {
        reply->has_length = true;
        return parse_unsigned(value, 0, INT64_MAX, &reply->left) == 0;
    }
    if (strcasecmp(name, "transfer-encoding") == 0)
        reply->chunked = strcasecmp(value, "chunked") == 0;
    else if (strcasecmp(name, "connection") == 0)
        reply->keep_alive = strcasecmp(value, "close") != 0 &&
                            (reply->keep_alive || strcasecmp(value, "keep-alive") == 0);
    else if (strcasecmp(name, reply->identity_header) == 0)
        (void)snprintf(reply->identity, sizeof(reply->identity), "%.*s", SERVER_IDENTITY_SIZE - 1,
                       value);
    return true;
}

static bool read_chunk_size(struct http_reply *reply)
{
    char *end;
    size_t digits = strspn(reply->line, "0123456789abcdefABCDEF");
    if (digits == 0 || digits > 15)
        return false;
    reply->left = strtoull(reply->line, &end, 16);
    reply->state = reply->left > 0 ? HTTP_CHUNK : HTTP_TRAILER;
    return *end == '\0' || *end == ';';
}

/* A line is in reply->line, without its end. */
static bool read_line(struct http_reply *reply)
{
    switch (reply->state) {
    case HTTP_STATUS:
        return read_status(reply);
    case HTTP_HEADER:
        return read_header(reply);
    case HTTP_CHUNK_SIZE:
        return read_chunk_size(reply);
    case HTTP_CHUNK_END:
        reply->state = HTTP_CHUNK_SIZE;
        return reply->line[0] == '\0';
    case HTTP_TRAILER:
        if (reply->line[0] == '\0')
            reply->state = HTTP_COMPLETE;
        return true;
    case HTTP_BODY:
    case HTTP_BODY_TO_END:
    case HTTP_CHUNK:
    case HTTP_COMPLETE:
    case HTTP_BROKEN:
        return false;
    }
    return false;
}

/* Takes bytes up to the end of a line; how many. 0: it is too long, or no line is due. */
static size_t feed_line(struct http_reply *reply, const char *data, size_t size)
{
    const char *end = memchr(data, '\n', size);
    size_t taken = end ? (size_t)(end - data) + 1 : size;
    if (reply->line_size + taken >= sizeof(reply->line))
        return 0;
    memcpy(reply->line + reply->line_size, data, taken);
    reply->line_size += taken;
    if (!end)
        return taken;
    reply->line_size--;
    if (reply->line_size > 0 && reply->line[reply->line_size - 1] == '\r')
        reply->line_size--;
    reply->line[reply->line_size] = '\0';
    reply->line_size = 0;
    return read_line(reply) ? taken : 0;
}

static size_t feed_body(struct http_reply *reply, const char *data, size_t size)
{
    bool bounded = reply->state != HTTP_BODY_TO_END;
    size_t taken = bounded ? (size_t)MIN((uint64_t)size, reply->left) : size;
    if (reply->body_size < HTTP_BODY_KEPT)
        memcpy(reply->body + reply->body_size, data, MIN(taken, HTTP_BODY_KEPT - reply->body_size));
    reply->body_size += taken;
    if (bounded)
        reply->left -= taken;
    if (bounded && reply->left == 0)
        reply->state = reply->state == HTTP_CHUNK ? HTTP_CHUNK_END : HTTP_COMPLETE;
    return taken;
}

bool http_reply_feed(struct http_reply *reply, const char *data, size_t size)
{
    while (size > 0) {
        if (reply->state == HTTP_COMPLETE || reply->state == HTTP_BROKEN)
            return false;
        bool in_body = reply->state == HTTP_BODY || reply->state == HTTP_BODY_TO_END ||
                       reply->state == HTTP_CHUNK;
        size_t taken = in_body ? feed_body(reply, data, size) : feed_line(reply, data, size);
        if (taken == 0) {
            reply->state = HTTP_BROKEN;
            return false;
        }
        data += taken;
        size -= taken;
    }
    return true;
}

bool http_reply_end(struct http_reply *reply)
{
    if (reply->state == HTTP_BODY_TO_END)
        reply->state = HTTP_COMPLETE;
    return reply->state == HTTP_COMPLETE;
}
