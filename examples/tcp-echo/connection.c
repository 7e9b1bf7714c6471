/*
 * connection.c - one client: what it sends comes back, as fast as it reads.
 *
 * At the end of a client's words the rest is echoed, then the connection is closed. While the server drains, it is
 * the server that ends, each connection at its time: all when the drain begins, or one by one if the master says over what time.
 * Until then it is served as ever. A client gets back all that had arrived when its time came, then a FIN. From there on the
 * server reads and drops until the client closes too, because closing with unread data would send a reset, which
 * could destroy an echo that is still on its way. So what a client has received, once it reads end-of-file, is a
 * prefix of what it sent, with not a byte missing of what the server had taken.
 *
 * A client that was accepted but has not spoken yet gets its first words echoed: to send a FIN instead would turn
 * away somebody whose request is on its way.
 */
#include "server.h"

#include <reloader.h>

#include <errno.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

/* Steps of one connection before the others have their turn. */
#define STEPS_MAX 16

struct connection {
    struct source source;
    LIST_ENTRY(connection) link;
    uint32_t watched;
    bool heard;       /* the client has said something */
    bool client_done; /* the client has ended its side */
    bool server_done; /* we have ended ours: what comes is dropped */
    bool broken;
    bool ending;       /* the drain has come to it */
    size_t number;     /* its place among those that the drain ends */
    size_t owed;       /* when ending: bytes yet to be read that are still echoed */
    size_t begin, end; /* what waits in data to be sent */
    char data[16384];
};

int connection_open(struct server *server, int fd)
{
    struct connection *connection = calloc(1, sizeof(*connection));
    if (!connection) {
        close(fd);
        return -ENOMEM;
    }
    connection->source = (struct source){.kind = SOURCE_CONNECTION, .fd = fd};
    connection->watched = EPOLLIN;
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = &connection->source};
    if (epoll_ctl(server->epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0) {
        int r = -errno;
        close(fd);
        free(connection);
        return r;
    }
    /* Small echoes must not wait for the client's acknowledgements. Fails for Unix sockets, which never wait. */
    int on = 1;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    LIST_INSERT_HEAD(&server->connections, connection, link);
    server->n_connections++;
    return 0;
}

void connection_close(struct server *server, struct connection *connection)
{
    close(connection->source.fd);
    if (server->next_end == connection)
        server->next_end = LIST_NEXT(connection, link);
    LIST_REMOVE(connection, link);
    server->n_connections--;
    free(connection);
}

static size_t unread(const struct connection *connection)
{
    int size = 0;
    return ioctl(connection->source.fd, SIOCINQ, &size) == 0 && size > 0 ? (size_t)size : 0;
}

static void answer_who(const struct server *server, struct connection *connection)
{
    connection->end = (size_t)snprintf(
        connection->data, sizeof(connection->data), "slot=%ld generation=%ld pid=%d\n",
        reloader_slot(server->reloader), reloader_generation(server->reloader), (int)getpid());
}

/* How much may be read in order to be echoed. Who has not spoken yet is not bound by what is owed. */
static size_t wanted(const struct connection *connection)
{
    size_t room = sizeof(connection->data) - connection->end;
    if (connection->ending && connection->heard && connection->owed < room)
        return connection->owed;
    return room;
}

static bool read_failed(struct connection *connection)
{
    if (errno != EAGAIN && errno != EINTR)
        connection->broken = true;
    return false;
}

/* True if something came. */
static bool read_words(const struct server *server, struct connection *connection)
{
    size_t size = wanted(connection);
    if (size == 0)
        return false;
    ssize_t n = read(connection->source.fd, connection->data + connection->end, size);
    if (n < 0)
        return read_failed(connection);
    if (n == 0) {
        connection->client_done = true;
        return true;
    }
    bool first = !connection->heard;
    connection->heard = true;
    connection->end += (size_t)n;
    if (connection->ending)
        connection->owed = first ? unread(connection) : connection->owed - (size_t)n;
    if (first && server->answers_who && n == 4 && memcmp(connection->data, "WHO\n", 4) == 0)
        answer_who(server, connection);
    return true;
}

static bool drop_words(struct connection *connection)
{
    char dropped[16384];
    ssize_t n = read(connection->source.fd, dropped, sizeof(dropped));
    if (n < 0)
        return read_failed(connection);
    if (n == 0)
        connection->client_done = true;
    return true;
}

static bool write_words(struct connection *connection)
{
    if (connection->begin == connection->end)
        return false;
    ssize_t n = send(connection->source.fd, connection->data + connection->begin,
                     connection->end - connection->begin, MSG_NOSIGNAL);
    if (n < 0)
        return read_failed(connection);
    connection->begin += (size_t)n;
    if (connection->begin == connection->end)
        connection->begin = connection->end = 0;
    return true;
}

/* Ends our side once the drain owes this client nothing more. */
static void finish(struct connection *connection)
{
    if (!connection->ending || !connection->heard || connection->owed > 0 || connection->end > 0 ||
        connection->server_done)
        return;
    (void)shutdown(connection->source.fd, SHUT_WR);
    connection->server_done = true;
}

static bool step(const struct server *server, struct connection *connection)
{
    bool moved = false;
    if (!connection->client_done && !connection->broken)
        moved = connection->server_done ? drop_words(connection) : read_words(server, connection);
    if (!connection->broken && write_words(connection))
        moved = true;
    if (!connection->client_done)
        finish(connection);
    return moved;
}

static void watch(const struct server *server, struct connection *connection)
{
    uint32_t events = connection->end > 0 ? EPOLLOUT : 0;
    if (!connection->client_done && (connection->server_done || wanted(connection) > 0))
        events |= EPOLLIN;
    if (events == connection->watched)
        return;
    struct epoll_event event = {.events = events, .data.ptr = &connection->source};
    if (epoll_ctl(server->epoll_fd, EPOLL_CTL_MOD, connection->source.fd, &event) < 0)
        connection->broken = true;
    connection->watched = events;
}

void connection_run(struct server *server, struct connection *connection)
{
    for (int i = 0; i < STEPS_MAX && step(server, connection); i++)
        ;
    watch(server, connection);
    if (connection->broken || (connection->client_done && connection->end == 0))
        connection_close(server, connection);
}

void connection_plan_ends(struct server *server)
{
    struct connection *c;
    server->n_ends = 0;
    server->next_end = LIST_FIRST(&server->connections);
    LIST_FOREACH (c, &server->connections, link)
        c->number = server->n_ends++;
}

uint64_t connection_next_end_msec(const struct server *server)
{
    if (!server->next_end)
        return UINT64_MAX;
    return server->drain_began_msec + reloader_disconnect_delay(server->reloader,
                                                                server->next_end->number,
                                                                server->n_ends);
}

static void end(struct server *server, struct connection *connection)
{
    connection->ending = true;
    connection->owed = unread(connection);
    connection->heard |= server->silence_over;
    connection_run(server, connection);
}

void connection_end_due(struct server *server, uint64_t now_msec)
{
    while (connection_next_end_msec(server) <= now_msec) {
        struct connection *c = server->next_end;
        server->next_end = LIST_NEXT(c, link);
        end(server, c);
    }
}

void connection_end_silent(struct server *server)
{
    server->silence_over = true;
    struct connection *next;
    for (struct connection *c = LIST_FIRST(&server->connections); c; c = next) {
        next = LIST_NEXT(c, link);
        if (c->ending && !c->heard)
            end(server, c);
    }
}
