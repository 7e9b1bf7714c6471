/*
 * Two dumps for each family: of those that listen, whose places are kept, then of those that are connected, of which the inodes
 * are kept where the place is one of these. So what is held in memory is small even where connections are many.
 */
#include "process/connections.h"

#include "base/macros.h"
#include "net/diag.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define LISTENING (1u << TCP_LISTEN)
/* All in which a process may still hold it. */
#define CONNECTED                                                                                  \
    (1u << TCP_ESTABLISHED | 1u << TCP_FIN_WAIT1 | 1u << TCP_FIN_WAIT2 | 1u << TCP_CLOSE_WAIT |    \
     1u << TCP_LAST_ACK | 1u << TCP_CLOSING)

struct dump {
    bool of_listeners; /* else of connections */
    struct diag_place *places;
    size_t n_places, places_allocated;
    struct connections connections;
    size_t inodes_allocated;
};

static void dump_clear(struct dump *dump)
{
    free(dump->places);
    connections_clear(&dump->connections);
}

static int compare_places(const void *a, const void *b)
{
    return memcmp(a, b, sizeof(struct diag_place));
}

static int compare_inodes(const void *a, const void *b)
{
    uint32_t left = *(const uint32_t *)a, right = *(const uint32_t *)b;
    return (left > right) - (left < right);
}

/* Room for one more; `array` is NULL or malloc-ed. */
static int make_room(void *array, size_t n, size_t size, size_t *allocated)
{
    void **pointer = array;
    if (n < *allocated)
        return 0;
    if (n >= CONNECTIONS_MAX)
        return -EFBIG;
    size_t wanted = MAX(*allocated * 2, (size_t)64);
    void *larger = reallocarray(*pointer, wanted, size);
    if (!larger)
        return -ENOMEM;
    *pointer = larger;
    *allocated = wanted;
    return 0;
}

static int add_place(struct dump *dump, const struct diag_place *place)
{
    int r = make_room(&dump->places, dump->n_places, sizeof(*place), &dump->places_allocated);
    if (r == 0)
        dump->places[dump->n_places++] = *place;
    return r;
}

static int add_inode(struct dump *dump, uint32_t inode)
{
    struct connections *connections = &dump->connections;
    int r = make_room(&connections->inodes, connections->n, sizeof(inode), &dump->inodes_allocated);
    if (r == 0)
        connections->inodes[connections->n++] = inode;
    return r;
}

static bool is_place(const struct dump *dump, const struct diag_place *place)
{
    return dump->n_places > 0 &&
           bsearch(place, dump->places, dump->n_places, sizeof(*place), compare_places);
}

/* Does somebody listen there, or at that port of every address? */
static bool is_listened_at(const struct dump *dump, const struct diag_place *place)
{
    const struct diag_place wildcard = {.family = place->family, .detail = place->detail};
    return is_place(dump, place) || (place->family != AF_UNIX && is_place(dump, &wildcard));
}

static int take_socket(const struct diag_socket *socket, void *userdata)
{
    struct dump *dump = userdata;
    if (socket->local.family == 0)
        return 0;
    if (dump->of_listeners)
        return add_place(dump, &socket->local);
    /* Without one, no process has it: it waits to be accepted, or was closed. */
    return socket->inode != 0 && is_listened_at(dump, &socket->local)
               ? add_inode(dump, socket->inode)
               : 0;
}

static int ask_all(struct dump *dump, bool of_listeners)
{
    static const int families[] = {AF_INET, AF_INET6, AF_UNIX};
    dump->of_listeners = of_listeners;
    int r = 0;
    for (size_t i = 0; i < ARRAY_SIZE(families) && r == 0; i++) {
        const struct diag_query query = {
            .family = families[i],
            .protocol = families[i] == AF_UNIX ? 0 : IPPROTO_TCP,
            .states = of_listeners ? LISTENING : CONNECTED,
        };
        r = diag_ask(&query, take_socket, dump);
    }
    return r;
}

int connections_read(struct connections *ret)
{
    CLEANUP(dump_clear) struct dump dump = {0};
    int r = ask_all(&dump, true);
    if (dump.n_places > 0)
        qsort(dump.places, dump.n_places, sizeof(*dump.places), compare_places);
    if (r == 0)
        r = ask_all(&dump, false);
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
