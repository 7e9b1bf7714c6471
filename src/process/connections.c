/*
 * Two dumps for each family: of those that listen, whose places are kept, then of those that are connected, of which the inodes
 * are kept where the place is one of these. So what is held in memory is small even where connections are many.
 */
#include "process/connections.h"

#include "base/macros.h"
#include "net/places.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>

/* All in which a process may still hold it. */
#define CONNECTED                                                                                  \
    (1u << TCP_ESTABLISHED | 1u << TCP_FIN_WAIT1 | 1u << TCP_FIN_WAIT2 | 1u << TCP_CLOSE_WAIT |    \
     1u << TCP_LAST_ACK | 1u << TCP_CLOSING)

struct dump {
    struct places places;
    struct connections connections;
    size_t allocated;
};

static void dump_clear(struct dump *dump)
{
    places_clear(&dump->places);
    connections_clear(&dump->connections);
}

static int compare_inodes(const void *a, const void *b)
{
    uint32_t left = *(const uint32_t *)a, right = *(const uint32_t *)b;
    return (left > right) - (left < right);
}

static int make_room(struct dump *dump)
{
    struct connections *connections = &dump->connections;
    if (connections->n < dump->allocated)
        return 0;
    if (connections->n >= CONNECTIONS_MAX)
        return -EFBIG;
    size_t wanted = MAX(dump->allocated * 2, (size_t)64);
    uint32_t *larger = reallocarray(connections->inodes, wanted, sizeof(*larger));
    if (!larger)
        return -ENOMEM;
    connections->inodes = larger;
    dump->allocated = wanted;
    return 0;
}

static int take_connection(const struct diag_socket *socket, void *userdata)
{
    struct dump *dump = userdata;
    /* Without an inode no process has it: it waits to be accepted, or was closed. */
    if (socket->inode == 0 || !places_have(&dump->places, &socket->local))
        return 0;
    int r = make_room(dump);
    if (r == 0)
        dump->connections.inodes[dump->connections.n++] = socket->inode;
    return r;
}

static int ask_all(struct dump *dump)
{
    static const int families[] = {AF_INET, AF_INET6, AF_UNIX};
    int r = places_read(&dump->places);
    for (size_t i = 0; i < ARRAY_SIZE(families) && r == 0; i++) {
        const struct diag_query query = {
            .family = families[i],
            .protocol = families[i] == AF_UNIX ? 0 : IPPROTO_TCP,
            .states = CONNECTED,
        };
        r = diag_ask(&query, take_connection, dump);
    }
    return r;
}

int connections_read(struct connections *ret)
{
    CLEANUP(dump_clear) struct dump dump = {0};
    int r = ask_all(&dump);
    if (r < 0)
        return r;
    if (dump.connections.n > 0)
        qsort(dump.connections.inodes, dump.connections.n, sizeof(uint32_t), compare_inodes);
    *ret = dump.connections;
    dump.connections = (struct connections){0};
    return 0;
}

void connections_clear(struct connections *connections)
{
    free(connections->inodes);
    *connections = (struct connections){0};
}

bool connections_have(const struct connections *connections, uint32_t inode)
{
    return connections->n > 0 &&
           bsearch(&inode, connections->inodes, connections->n, sizeof(inode), compare_inodes);
}
