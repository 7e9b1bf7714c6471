/*
 * Connections. Each has one deadline, whose length and meaning come with its state: nobody holds a connection longer than that by
 * sending or reading a byte now and then. libmicrohttpd's own limit for one without any traffic comes on top of it.
 *
 * libmicrohttpd does not watch a suspended connection. We do: a client that has left is not worked for any longer. Nor does it see the end of
 * one that comes together with the last bytes, as it is told of both by one event: those that have no whole request for us are closed by us.
 *
 * The end of what a client sends may be its own end or half a close: TCP does not tell. Who has asked may wait for the answer, so there
 * it is sent, within a time; a reset, and the end of a Unix socket, are the client's own. A stream, or a refusal that is delayed, is for nobody then;
 * what is to become a stream may still be refused, within a shorter time, as streams have few places.
 */
#include "gateway/http-internal.h"

#include "base/clock.h"

#include <netinet/in.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

struct http_connection *http_connection_of(struct MHD_Connection *mhd)
{
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(
        mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    return info ? info->socket_context : NULL;
}

void http_connection_set_deadline(struct http_connection *connection, uint64_t usec)
{
    bool is_on = usec != USEC_INFINITY;
    if (is_on)
        (void)sd_event_source_set_time_relative(connection->deadline, usec);
    (void)sd_event_source_set_enabled(connection->deadline,
                                      is_on ? SD_EVENT_ONESHOT : SD_EVENT_OFF);
}

/* At even distances, and half of one from the beginning and the end. */
static uint64_t drain_usec(const struct http *http, unsigned index, unsigned count)
{
    return (uint64_t)http->spread_msec * USEC_PER_MSEC * (2 * index + 1) / (2 * MAX(count, 1u));
}

static uint64_t in_time(const struct http *http, unsigned seconds)
{
    return (http->is_draining ? MIN(seconds, HTTP_DRAIN_SECONDS) : seconds) * USEC_PER_SEC;
}

/* For an answer to come, or a stream to begin, to a client that sends no more and may have left. */
static uint64_t half_closed_usec(const struct http_connection *connection)
{
    bool will_stream = connection->request->will_stream;
    return in_time(connection->http, will_stream ? HTTP_BEGIN_SECONDS : HTTP_SEND_SECONDS);
}

/* From its handler, or from there as soon as its password has been checked. */
static bool awaits_answer(const struct http_connection *connection)
{
    return connection->state == HTTP_HANDLED ||
           (connection->state == HTTP_DELAYED && connection->request->turn_usec > 0);
}

static void watch_leaving(struct http_connection *connection)
{
    bool has_no_request = connection->state == HTTP_WAITING || connection->state == HTTP_READING;
    bool is_on = connection->is_suspended || has_no_request;
    bool is_known = connection->is_half_closed && awaits_answer(connection);
    (void)sd_event_source_set_io_events(connection->leaving, is_known ? 0 : EPOLLRDHUP);
    (void)sd_event_source_set_enabled(connection->leaving, is_on ? SD_EVENT_ON : SD_EVENT_OFF);
}

void http_connection_set_state(struct http_connection *connection, enum http_state state)
{
    const struct http *http = connection->http;
    uint64_t usec = USEC_INFINITY;
    switch (state) {
    case HTTP_WAITING:
        usec = http->is_draining ? HTTP_FAREWELL_MSEC * USEC_PER_MSEC
                                 : HTTP_IDLE_SECONDS * USEC_PER_SEC;
        break;
    case HTTP_READING:
        usec = in_time(http, HTTP_REQUEST_SECONDS);
        break;
    case HTTP_ANSWERED:
    case HTTP_ENDING:
        usec = in_time(http, HTTP_SEND_SECONDS);
        break;
    case HTTP_STREAMING:
        if (http->is_draining)
            usec = drain_usec(http, 0, 1);
        break;
    case HTTP_HANDLED:
        if (connection->is_half_closed)
            usec = half_closed_usec(connection);
        break;
    case HTTP_DELAYED:
    case HTTP_CUT:
        break;
    }
    connection->state = state;
    http_connection_set_deadline(connection, usec);
    watch_leaving(connection);
}

static void limit_half_closed(struct http_connection *connection)
{
    if (connection->is_half_closed && connection->state == HTTP_HANDLED)
        http_connection_set_deadline(connection, half_closed_usec(connection));
}

void http_connection_drain(struct http_connection *connection, unsigned index, unsigned count)
{
    uint64_t usec = drain_usec(connection->http, index, count);
    switch (connection->state) {
    case HTTP_WAITING:
        http_connection_set_deadline(connection, MAX(usec, HTTP_FAREWELL_MSEC * USEC_PER_MSEC));
        break;
    case HTTP_STREAMING:
        http_connection_set_deadline(connection, usec);
        break;
    case HTTP_READING:
    case HTTP_ANSWERED:
    case HTTP_ENDING:
        http_connection_set_deadline(connection, HTTP_DRAIN_SECONDS * USEC_PER_SEC);
        break;
    case HTTP_HANDLED:
        limit_half_closed(connection);
        break;
    case HTTP_DELAYED:
    case HTTP_CUT:
        break;
    }
}

void http_will_stream(struct http_request *request)
{
    request->will_stream = true;
    limit_half_closed(request->connection);
}

/* libmicrohttpd sees it, and closes it. */
static void hang_up(struct http_connection *connection)
{
    (void)shutdown(connection->fd, SHUT_RDWR);
}

/* A request may have come this very moment: its sender would not know whether it was served. */
static void close_idle(struct http_connection *connection)
{
    int waiting = 0;
    if (ioctl(connection->fd, FIONREAD, &waiting) == 0 && waiting > 0)
        http_connection_set_deadline(connection, HTTP_FAREWELL_MSEC * USEC_PER_MSEC);
    else
        hang_up(connection);
}

static int on_deadline(sd_event_source *source, uint64_t usec, void *userdata)
{
    struct http_connection *connection = userdata;
    (void)source;
    (void)usec;
    switch (connection->state) {
    case HTTP_WAITING:
        close_idle(connection);
        break;
    case HTTP_READING:
    case HTTP_ANSWERED:
    case HTTP_ENDING:
        hang_up(connection);
        break;
    case HTTP_DELAYED:
        http_request_delay_over(connection->request);
        break;
    case HTTP_STREAMING:
        http_stream_cease(connection->request);
        break;
    case HTTP_HANDLED:
        http_connection_cut(connection);
        break;
    case HTTP_CUT:
        break;
    }
    return 0;
}

static void half_close(struct http_connection *connection)
{
    connection->is_half_closed = true;
    limit_half_closed(connection);
    watch_leaving(connection);
}

static int on_leaving(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
    struct http_connection *connection = userdata;
    int waiting = 0;
    bool is_end = revents & (EPOLLHUP | EPOLLERR);
    if (connection->is_suspended && awaits_answer(connection) && !is_end) {
        half_close(connection);
    } else if (connection->is_suspended) {
        http_connection_cut(connection);
    } else if (ioctl(fd, FIONREAD, &waiting) < 0 || waiting == 0) {
        (void)sd_event_source_set_enabled(source, SD_EVENT_OFF);
        hang_up(connection);
    }
    return 0;
}

void http_connection_suspend(struct http_connection *connection)
{
    MHD_suspend_connection(connection->mhd);
    connection->is_suspended = true;
    watch_leaving(connection);
}

void http_connection_resume(struct http_connection *connection)
{
    if (!connection->is_suspended)
        return;
    connection->is_suspended = false;
    watch_leaving(connection);
    MHD_resume_connection(connection->mhd);
    http_has_resumed(connection->http);
}

/*
 * On going on, version 0.9.75 reads first, and closes where a half-closed client has no more, before we can give it our answer; but for connections
 * with a limit of their own, and the oldest one: these it has go on before.
 */
static void set_answers_first(struct http_connection *connection, bool on)
{
    connection->answers_first = on;
    (void)MHD_set_connection_option(connection->mhd, MHD_CONNECTION_OPTION_TIMEOUT,
                                    on ? HTTP_IDLE_SECONDS + 1 : HTTP_IDLE_SECONDS);
}

void http_connection_answer(struct http_connection *connection)
{
    if (connection->is_suspended && connection->state == HTTP_ANSWERED)
        set_answers_first(connection, true);
    http_connection_resume(connection);
}

void http_connection_answered(struct http_connection *connection)
{
    if (connection->answers_first)
        set_answers_first(connection, false);
    http_connection_set_state(connection, HTTP_WAITING);
}

void http_connection_give_up(struct http_connection *connection)
{
    http_connection_set_state(connection, HTTP_CUT);
    hang_up(connection);
    http_connection_resume(connection);
}

void http_connection_cut(struct http_connection *connection)
{
    struct http_request *request = connection->request;
    http_connection_give_up(connection);
    if (request)
        http_request_gone(request);
}

static struct http_connection *connection_free(struct http_connection *connection)
{
    sd_event_source_disable_unref(connection->deadline);
    sd_event_source_disable_unref(connection->leaving);
    http_request_free(connection->request);
    free(connection);
    return NULL;
}

static int add_sources(struct http_connection *connection)
{
    sd_event *event = connection->http->event;
    int r = sd_event_add_time_relative(event, &connection->deadline, CLOCK_MONOTONIC,
                                       HTTP_REQUEST_SECONDS * USEC_PER_SEC, 0, on_deadline,
                                       connection);
    if (r >= 0)
        r = sd_event_add_io(event, &connection->leaving, connection->fd, EPOLLRDHUP, on_leaving,
                            connection);
    if (r < 0)
        return r;
    (void)sd_event_source_set_description(connection->deadline, "http-deadline");
    (void)sd_event_source_set_description(connection->leaving, "http-leaving");
    return 0;
}

/* What libmicrohttpd keeps is as long as the address it was given: of some families that is less than a sockaddr_storage. */
static struct sockaddr_storage peer_of(struct MHD_Connection *mhd)
{
    struct sockaddr_storage peer = {.ss_family = AF_UNSPEC};
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(
        mhd, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    const struct sockaddr *address = info ? info->client_addr : NULL;
    if (!address)
        return peer;
    peer.ss_family = address->sa_family;
    if (address->sa_family == AF_INET)
        memcpy(&peer, address, sizeof(struct sockaddr_in));
    else if (address->sa_family == AF_INET6)
        memcpy(&peer, address, sizeof(struct sockaddr_in6));
    return peer;
}

/* NULL: want of memory; libmicrohttpd closes it at its first request, for which there is no place. */
static struct http_connection *connection_new(struct http *http, struct MHD_Connection *mhd)
{
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(
        mhd, MHD_CONNECTION_INFO_CONNECTION_FD);
    struct http_connection *connection = calloc(1, sizeof(*connection));
    if (!connection)
        return NULL;
    connection->http = http;
    connection->mhd = mhd;
    connection->fd = info->connect_fd;
    connection->state = HTTP_WAITING;
    connection->peer = peer_of(mhd);
    if (add_sources(connection) < 0)
        return connection_free(connection);
    list_append(&http->connections, &connection->link);
    return connection;
}

void http_connection_notify(void *userdata, struct MHD_Connection *mhd, void **context,
                            enum MHD_ConnectionNotificationCode code)
{
    struct http *http = userdata;
    switch (code) {
    case MHD_CONNECTION_NOTIFY_STARTED:
        http->n_connections++;
        http_connection_opened(http);
        *context = connection_new(http, mhd);
        break;
    case MHD_CONNECTION_NOTIFY_CLOSED:
        http->n_connections--;
        if (*context) {
            struct http_connection *connection = *context;
            list_remove(&connection->link);
            connection_free(connection);
            *context = NULL;
        }
        http_connection_closed(http);
        break;
    }
}
