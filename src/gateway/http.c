/*
 * libmicrohttpd within our event loop. It has an epoll of its own, which is one source here, and says when it wants to be called next, which
 * is a timer; it runs in no thread, and a request that waits for something is suspended.
 *
 * We accept by ourselves and hand connections to it, for it would read beyond the address of a client on a Unix socket, and could not wait for
 * descriptors. The listener is shared with another gateway while one replaces the other, so accepting never blocks.
 */
#include "gateway/http-internal.h"

#include "base/fd.h"
#include "base/memory.h"
#include "gateway/gateway.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <unistd.h>

/* Connections taken in a row, before others have their turn. */
#define ACCEPT_AT_ONCE 16
/* How long nobody is accepted for want of descriptors or memory, unless a connection ends. */
#define RETRY_USEC (1 * USEC_PER_SEC)
/* When half of so many have gone, what they needed is given back, that long after. */
#define MANY_CONNECTIONS 64
#define CALM_USEC        (5 * USEC_PER_SEC)

static void call_in(struct http *http, uint64_t usec)
{
    (void)sd_event_source_set_time_relative(http->timer, usec);
    (void)sd_event_source_set_enabled(http->timer, SD_EVENT_ONESHOT);
}

static void schedule(struct http *http)
{
    MHD_UNSIGNED_LONG_LONG msec;
    if (http->has_resumed)
        call_in(http, 0);
    else if (MHD_get_timeout(http->daemon, &msec) == MHD_YES)
        call_in(http, (uint64_t)msec * USEC_PER_MSEC);
    else
        (void)sd_event_source_set_enabled(http->timer, SD_EVENT_OFF);
}

static void run(struct http *http)
{
    http->has_resumed = false;
    (void)MHD_run(http->daemon);
    schedule(http);
}

void http_has_resumed(struct http *http)
{
    http->has_resumed = true;
    call_in(http, 0);
}

static int on_daemon(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
    (void)source;
    (void)fd;
    (void)revents;
    run(userdata);
    return 0;
}

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata)
{
    (void)source;
    (void)usec;
    run(userdata);
    return 0;
}

static void listen_if_possible(struct http *http)
{
    bool is_on = !http->is_paused && http->n_connections < http->connections_max;
    if (http->listener_source)
        (void)sd_event_source_set_enabled(http->listener_source,
                                          is_on ? SD_EVENT_ON : SD_EVENT_OFF);
}

static void pause_accepting(struct http *http, int error)
{
    if (!http->is_paused)
        log_error("can't accept connections: %s; they wait until one of ours ends (%u are open)",
                  strerror(error), http->n_connections);
    http->is_paused = true;
    (void)sd_event_source_set_time_relative(http->retry, RETRY_USEC);
    (void)sd_event_source_set_enabled(http->retry, SD_EVENT_ONESHOT);
    listen_if_possible(http);
}

static int on_retry(sd_event_source *source, uint64_t usec, void *userdata)
{
    struct http *http = userdata;
    (void)source;
    (void)usec;
    http->is_paused = false;
    listen_if_possible(http);
    return 0;
}

/* Many at once leave free memory behind, some KiB each, beside HTTP_MEMORY, which libmicrohttpd gives back. */
static bool has_shrunk(const struct http *http)
{
    return http->connections_peak >= MANY_CONNECTIONS &&
           http->n_connections <= http->connections_peak / 2;
}

static int on_calm(sd_event_source *source, uint64_t usec, void *userdata)
{
    struct http *http = userdata;
    (void)source;
    (void)usec;
    if (has_shrunk(http)) {
        http->connections_peak = http->n_connections;
        memory_give_back();
    }
    return 0;
}

static void await_calm(struct http *http)
{
    int enabled;
    if (!has_shrunk(http) || !http->calm || sd_event_source_get_enabled(http->calm, &enabled) != 0)
        return;
    (void)sd_event_source_set_time_relative(http->calm, CALM_USEC);
    (void)sd_event_source_set_enabled(http->calm, SD_EVENT_ONESHOT);
}

void http_connection_opened(struct http *http)
{
    http->connections_peak = MAX(http->connections_peak, http->n_connections);
}

void http_connection_closed(struct http *http)
{
    await_calm(http);
    http->is_paused = false;
    listen_if_possible(http);
    if (http->is_draining && http->n_connections == 0)
        http->gateway->drained(http->gateway);
}

static bool accept_one(struct http *http)
{
    struct sockaddr_storage peer = {.ss_family = AF_UNSPEC};
    socklen_t size = sizeof(peer);
    int fd = accept4(http->listener, (struct sockaddr *)&peer, &size, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0) {
        if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
            pause_accepting(http, errno);
        return false;
    }
    /* Some versions take note of it only when they run. It closes the fd in any case. */
    (void)MHD_add_connection(http->daemon, fd, (struct sockaddr *)&peer, size);
    return true;
}

static int on_listener(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
    struct http *http = userdata;
    (void)source;
    (void)fd;
    (void)revents;
    for (unsigned i = 0; i < ACCEPT_AT_ONCE && http->n_connections < http->connections_max; i++)
        if (!accept_one(http))
            break;
    listen_if_possible(http);
    run(http);
    return 0;
}

/* Clients can cause any number of these. */
__attribute__((format(printf, 2, 0))) static void on_message(void *userdata, const char *format,
                                                             va_list arguments)
{
    struct http *http = userdata;
    char text[256];
    unsigned suppressed;
    if (log_get_level() < LOG_LEVEL_DEBUG || !log_limit_pass(&http->messages, &suppressed))
        return;
    (void)vsnprintf(text, sizeof(text), format, arguments);
    text[strcspn(text, "\r\n")] = '\0';
    log_debug("libmicrohttpd: %s (%u more before it)", text, suppressed);
}

static int start_daemon(struct http *http)
{
    http->daemon = MHD_start_daemon(
        MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_NO_LISTEN_SOCKET | MHD_USE_ERROR_LOG, 0,
        NULL, NULL, http_request_proceed, http, MHD_OPTION_EXTERNAL_LOGGER, on_message, http,
        MHD_OPTION_NOTIFY_CONNECTION, http_connection_notify, http, MHD_OPTION_NOTIFY_COMPLETED,
        http_request_completed, http, MHD_OPTION_URI_LOG_CALLBACK, http_request_begin, http,
        MHD_OPTION_CONNECTION_LIMIT, http->connections_max, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
        HTTP_MEMORY, MHD_OPTION_CONNECTION_TIMEOUT, HTTP_IDLE_SECONDS, MHD_OPTION_END);
    return http->daemon ? 0 : -ENOTSUP;
}

static int add_sources(struct http *http)
{
    const union MHD_DaemonInfo *info = MHD_get_daemon_info(http->daemon, MHD_DAEMON_INFO_EPOLL_FD);
    if (!info)
        return -ENOTSUP;
    int r = sd_event_add_io(http->event, &http->daemon_source, info->epoll_fd, EPOLLIN, on_daemon,
                            http);
    if (r >= 0)
        r = sd_event_add_io(http->event, &http->listener_source, http->listener, EPOLLIN,
                            on_listener, http);
    if (r >= 0)
        r = sd_event_add_time(http->event, &http->timer, CLOCK_MONOTONIC, 0, 1, on_timer, http);
    if (r >= 0)
        r = sd_event_add_time(http->event, &http->retry, CLOCK_MONOTONIC, 0, 0, on_retry, http);
    if (r >= 0)
        r = sd_event_add_time(http->event, &http->calm, CLOCK_MONOTONIC, 0, 0, on_calm, http);
    if (r < 0)
        return r;
    (void)sd_event_source_set_description(http->daemon_source, "http");
    (void)sd_event_source_set_description(http->listener_source, "http-listener");
    (void)sd_event_source_set_description(http->timer, "http-timer");
    (void)sd_event_source_set_description(http->retry, "http-retry");
    (void)sd_event_source_set_description(http->calm, "http-calm");
    return 0;
}

static unsigned connections_max(void)
{
    struct rlimit limit = {.rlim_cur = 0};
    (void)getrlimit(RLIMIT_NOFILE, &limit);
    rlim_t files = MAX(limit.rlim_cur, (rlim_t)(2 * HTTP_FILES_SPARE));
    return (unsigned)MIN(files - HTTP_FILES_SPARE, (rlim_t)HTTP_CONNECTIONS_MAX);
}

int http_new(sd_event *event, int listener_fd, struct gateway *gateway, struct http **ret)
{
    CLEANUP(http_freep) struct http *http = calloc(1, sizeof(*http));
    if (!http) {
        (void)fd_close(listener_fd);
        return -ENOMEM;
    }
    http->event = sd_event_ref(event);
    http->gateway = gateway;
    http->listener = listener_fd;
    http->connections_max = connections_max();
    http->messages = (struct log_limit){.interval_usec = 10 * USEC_PER_SEC, .burst = 20};
    list_init(&http->connections);
    int r = fd_set_nonblocking(listener_fd, true);
    if (r == 0)
        r = start_daemon(http);
    if (r == 0)
        r = add_sources(http);
    if (r < 0)
        return r;
    schedule(http);
    *ret = TAKE_PTR(http);
    return 0;
}

static void stop_listening(struct http *http)
{
    http->listener_source = sd_event_source_disable_unref(http->listener_source);
    http->listener = fd_close(http->listener);
}

void http_drain(struct http *http, unsigned spread_msec)
{
    http->is_draining = true;
    http->spread_msec = spread_msec;
    stop_listening(http);
    unsigned index = 0, count = http->n_connections;
    LIST_FOREACH (connection, &http->connections, struct http_connection, link)
        http_connection_drain(connection, index++, count);
    if (http->n_connections == 0)
        http->gateway->drained(http->gateway);
}

unsigned http_connections(const struct http *http)
{
    return http->n_connections;
}

struct http *http_free(struct http *http)
{
    if (!http)
        return NULL;
    http->is_draining = false;
    stop_listening(http);
    /* It aborts where a connection is suspended. */
    LIST_FOREACH (connection, &http->connections, struct http_connection, link)
        http_connection_cut(connection);
    sd_event_source_disable_unref(http->daemon_source);
    sd_event_source_disable_unref(http->timer);
    sd_event_source_disable_unref(http->retry);
    http->calm = sd_event_source_disable_unref(http->calm);
    if (http->daemon)
        MHD_stop_daemon(http->daemon);
    sd_event_unref(http->event);
    free(http);
    return NULL;
}
