/*
 * Streams. What a handler sends waits in a bounded queue; libmicrohttpd takes from it as the socket takes from libmicrohttpd, and the connection is
 * suspended while there is nothing.
 */
#include "gateway/http-internal.h"

#include <netinet/in.h>
#include <netinet/tcp.h>

#define STREAM_BLOCK ((size_t)8 * 1024)
/* What the kernel keeps of a stream that is not even sent yet; it would be megabytes. */
#define STREAM_UNSENT_MAX (64 * 1024)

void http_on_room(struct http_request *request, void (*room)(void *userdata), void *userdata)
{
    request->room = room;
    request->room_userdata = userdata;
}

/* What is there; if nothing is, what the handler has more of. */
static size_t take(struct http_request *request, char *space, size_t size)
{
    if (buffer_size(&request->stream) == 0 && request->room &&
        request->connection->state == HTTP_STREAMING)
        request->room(request->room_userdata);
    return buffer_take(&request->stream, space, size);
}

static ssize_t read_stream(void *userdata, uint64_t position, char *space, size_t size)
{
    struct http_request *request = userdata;
    struct http_connection *connection = request->connection;
    (void)position;
    /* Nothing can be sent any more, but after END_WITH_ERROR libmicrohttpd 0.9.75 would not close a connection while an older one is there. */
    if (connection->state == HTTP_CUT)
        return MHD_CONTENT_READER_END_OF_STREAM;
    size_t n = take(request, space, size);
    if (n > 0)
        return (ssize_t)n;
    if (connection->state == HTTP_ENDING)
        return MHD_CONTENT_READER_END_OF_STREAM;
    http_connection_suspend(connection);
    return 0;
}

void http_stream_begin(struct http_request *request, const char *type)
{
    const int unsent = STREAM_UNSENT_MAX;
    /* A Unix socket has no such bound, and needs none. */
    (void)setsockopt(request->connection->fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &unsent,
                     sizeof(unsent));
    http_add_header(request, MHD_HTTP_HEADER_CONTENT_TYPE, type);
    struct MHD_Response *response = MHD_create_response_from_callback(
        MHD_SIZE_UNKNOWN, STREAM_BLOCK, read_stream, request, NULL);
    /* Version 0.9.75 sends the last chunk after HEAD, too: what follows on that connection would not be understood. */
    if (response && request->is_head)
        (void)MHD_set_response_options(response, MHD_RF_HTTP_VERSION_1_0_ONLY, MHD_RO_END);
    http_reply_with(request, MHD_HTTP_OK, response, HTTP_STREAMING);
}

int http_stream_send(struct http_request *request, const void *data, size_t size)
{
    int r = buffer_append(&request->stream, data, size);
    if (r == 0 && size > 0)
        http_connection_resume(request->connection);
    return r;
}

size_t http_stream_pending(const struct http_request *request)
{
    return buffer_size(&request->stream);
}

void http_stream_end(struct http_request *request)
{
    request->gone = NULL;
    if (request->connection->state == HTTP_CUT)
        return;
    http_connection_set_state(request->connection, HTTP_ENDING);
    http_connection_resume(request->connection);
}

void http_stream_cease(struct http_request *request)
{
    http_connection_set_state(request->connection, HTTP_ENDING);
    http_connection_resume(request->connection);
    http_request_gone(request);
}
