#include "http-kit.h"

#include <arpa/inet.h>
#include <dlfcn.h>
#include <errno.h>
#include <microhttpd.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

struct fixture fixture;

struct MHD_Response *MHD_create_response_from_callback(uint64_t size, size_t block,
                                                       MHD_ContentReaderCallback reader,
                                                       void *userdata,
                                                       MHD_ContentReaderFreeCallback release)
{
    struct MHD_Response *(*create)(uint64_t, size_t, MHD_ContentReaderCallback, void *,
                                   MHD_ContentReaderFreeCallback);
    if (fixture.has_no_memory)
        return NULL;
    *(void **)&create = dlsym(RTLD_NEXT, "MHD_create_response_from_callback");
    return create(size, block, reader, userdata, release);
}

int sd_event_source_set_time_relative(sd_event_source *source, uint64_t usec)
{
    int (*set)(sd_event_source *, uint64_t);
    *(void **)&set = dlsym(RTLD_NEXT, "sd_event_source_set_time_relative");
    if (usec <= fixture.hurries_up_to_usec)
        usec /= 10000;
    else if (fixture.is_patient && usec >= USEC_PER_SEC)
        usec *= 10000;
    return set(source, usec);
}

static void on_drained(struct gateway *gateway UNUSED)
{
    fixture.n_drained++;
}

struct access_answer access_decide(struct access *access UNUSED,
                                   const struct access_request *request, uint64_t now_usec UNUSED)
{
    memcpy(&fixture.peer, request->peer, sizeof(fixture.peer));
    return (struct access_answer){
        .verdict = fixture.verdict, .why = "because", .delay_usec = fixture.delay_usec};
}

static void on_gone(void *userdata UNUSED)
{
    fixture.n_gone++;
    fixture.request = NULL;
}

static void handle_now(struct http_request *request, struct gateway *gateway UNUSED)
{
    size_t size;
    const char *body = http_body(request, &size);
    char text[512];
    fixture.n_handled++;
    (void)snprintf(text, sizeof(text), "%s %s %zu %.10s", http_path(request),
                   http_query(request, "q") ? http_query(request, "q") : "-", size, body);
    http_reply(request, 200, "text/plain", text, strlen(text));
}

void handle_later(struct http_request *request, struct gateway *gateway UNUSED)
{
    fixture.n_handled++;
    fixture.request = request;
    http_on_gone(request, on_gone, NULL);
}

static void handle_stream(struct http_request *request, struct gateway *gateway)
{
    handle_later(request, gateway);
    http_stream_begin(request, "text/plain");
    assert_int_equal(fixture.n_gone, 0);
}

static void handle_own(struct http_request *request, struct gateway *gateway UNUSED)
{
    fixture.own(request);
}

static const struct http_route routes[] = {
    {.path = "/now", .methods = HTTP_GET | HTTP_POST, .plain = true, .handle = handle_now},
    {.path = "/own", .methods = HTTP_GET, .handle = handle_own},
    {.path = "/later", .methods = HTTP_GET, .handle = handle_later},
    {.path = "/stream", .methods = HTTP_GET, .handle = handle_stream},
};

const struct http_route *route_find(const char *path)
{
    for (size_t i = 0; i < ARRAY_SIZE(routes); i++)
        if (strcmp(path, routes[i].path) == 0)
            return &routes[i];
    return NULL;
}

int set_up(void **state UNUSED)
{
    socklen_t size = sizeof(fixture.address);
    fixture = (struct fixture){.gateway = {.drained = on_drained},
                               .address = {.sin_family = AF_INET}};
    fixture.address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&fixture.address, size), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&fixture.address, &size), 0);
    assert_int_equal(listen(fd, 100), 0);
    assert_true(sd_event_new(&fixture.gateway.event) >= 0);
    assert_int_equal(http_new(fixture.gateway.event, fd, &fixture.gateway, &fixture.gateway.http),
                     0);
    return 0;
}

int tear_down(void **state UNUSED)
{
    http_free(fixture.gateway.http);
    sd_event_unref(fixture.gateway.event);
    return 0;
}

int connect_client(void)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&fixture.address, sizeof(fixture.address)), 0);
    return fd;
}

void say(int fd, const char *text)
{
    assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
}

int ask(const char *method, const char *path)
{
    char text[256];
    int fd = connect_client();
    (void)snprintf(text, sizeof(text), "%s %s HTTP/1.1\r\nHost: here\r\n\r\n", method, path);
    say(fd, text);
    return fd;
}

void look(int fd)
{
    for (;;) {
        ssize_t n = recv(fd, fixture.text + fixture.length,
                         sizeof(fixture.text) - 1 - fixture.length, MSG_DONTWAIT);
        if (n <= 0) {
            fixture.is_closed = n == 0 || errno != EAGAIN;
            break;
        }
        fixture.length += (size_t)n;
    }
    fixture.text[fixture.length] = '\0';
}

void forget(void)
{
    fixture.length = 0;
    fixture.text[0] = '\0';
    fixture.is_closed = false;
}

bool has_read(int fd, const char *text)
{
    look(fd);
    return strstr(fixture.text, text) != NULL;
}

bool has_read_end(int fd, const char *text)
{
    size_t keeps = strlen(text) - 1;
    if (has_read(fd, text))
        return true;
    if (fixture.length > keeps) {
        memmove(fixture.text, fixture.text + fixture.length - keeps, keeps);
        fixture.length = keeps;
    }
    return false;
}

bool is_closed(int fd)
{
    look(fd);
    return fixture.is_closed;
}

void settle(void)
{
    for (unsigned i = 0; i < TURNS && sd_event_run(fixture.gateway.event, TURN_USEC) > 0; i++)
        continue;
}
