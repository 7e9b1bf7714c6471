#include "why/gather.h"

#include "base/fd.h"
#include "base/macros.h"
#include "net/places.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/socket.h>

#define LISTED_MAX ((size_t)500) /* of all workers together */
#define LISTED_MIN ((size_t)5)   /* of each, however many they are */

/* States in which a process may hold it; and of those that know no connections, that it has a peer. */
#define OPEN                                                                                       \
    (1u << TCP_ESTABLISHED | 1u << TCP_SYN_SENT | 1u << TCP_FIN_WAIT1 | 1u << TCP_FIN_WAIT2 |      \
     1u << TCP_CLOSE_WAIT | 1u << TCP_LAST_ACK | 1u << TCP_CLOSING)
#define HAS_PEER (1u << TCP_ESTABLISHED)

struct gathering {
    struct gathered *gathered;
    struct places places;
};

static void gathering_clear(struct gathering *gathering)
{
    places_clear(&gathering->places);
}

/* One connection */

uint64_t connection_idle_usec(const struct connection *connection)
{
    const struct diag_socket *socket = &connection->socket;
    return socket->has_times ? MIN(socket->sent_usec, socket->received_usec) : UINT64_MAX;
}

uint64_t connection_age_usec(const struct connection *connection, bool *ret_exact)
{
    const struct diag_socket *socket = &connection->socket;
    *ret_exact = socket->has_times && !(socket->ever_sent && socket->ever_received);
    return socket->has_times ? MAX(socket->sent_usec, socket->received_usec) : UINT64_MAX;
}

static int compare(const void *a, const void *b)
{
    const struct connection *left = a, *right = b;
    uint64_t x = connection_idle_usec(left), y = connection_idle_usec(right);
    if (x != y)
        return x > y ? 1 : -1;
    return (left->socket.inode > right->socket.inode) - (left->socket.inode < right->socket.inode);
}

static void sort_and_cut(struct gathered_worker *worker, size_t list_max)
{
    if (worker->n_listed > 0)
        qsort(worker->listed, worker->n_listed, sizeof(*worker->listed), compare);
    worker->n_listed = MIN(worker->n_listed, list_max);
}

static int list_connection(struct gathered *gathered, struct gathered_worker *worker,
                           const struct connection *connection)
{
    if (!worker->listed)
        worker->listed = calloc(gathered->list_max * 2, sizeof(*worker->listed));
    if (!worker->listed)
        return -ENOMEM;
    if (worker->n_listed == gathered->list_max * 2)
        sort_and_cut(worker, gathered->list_max);
    worker->listed[worker->n_listed++] = *connection;
    return 0;
}

/* For each worker of which processes hold it: their holdings are beside each other, as members are sorted by worker. */
static int add_connection(struct gathered *gathered, struct connection *connection,
                          const struct holding *holding, size_t n)
{
    int r = 0;
    for (size_t i = 0, next; i < n && r == 0; i = next) {
        const struct member *members = gathered->members.all;
        size_t leader = members[holding[i].member].leader;
        connection->n_pids = 0;
        for (next = i; next < n && members[holding[next].member].leader == leader; next++)
            if (connection->n_pids < CONNECTION_PIDS_MAX)
                connection->pids[connection->n_pids++] = members[holding[next].member].stat.pid;
        gathered->workers[leader].count++;
        r = list_connection(gathered, &gathered->workers[leader], connection);
    }
    return r;
}

/* Unix */

static int take_place(const struct diag_socket *socket, void *userdata)
{
    *(struct diag_place *)userdata = socket->local;
    return 0;
}

/* The kernel does not tell the peer's name, but which socket it is. */
static struct diag_place find_peer(const struct diag_socket *socket)
{
    struct diag_place place = {0};
    const struct diag_query query = {
        .family = AF_UNIX, .states = UINT32_MAX, .inode = socket->peer_inode};
    if (socket->peer_inode != 0)
        (void)diag_ask(&query, take_place, &place);
    return place;
}

static bool is_connection(struct connection *connection)
{
    struct diag_socket *socket = &connection->socket;
    if (socket->family != AF_UNIX)
        return true;
    if (socket->type == SOCK_DGRAM)
        return false;
    if (!connection->accepted)
        socket->peer = find_peer(socket);
    return socket->local.family != 0 || socket->peer.family != 0;
}

static int take_socket(const struct diag_socket *socket, void *userdata)
{
    struct gathering *gathering = userdata;
    struct gathered *gathered = gathering->gathered;
    size_t n = 0;
    const struct holding *holding = socket->inode == 0
                                        ? NULL
                                        : holdings_find(&gathered->holdings, socket->inode, &n);
    if (!holding)
        return 0;
    struct connection connection = {.socket = *socket,
                                    .accepted = places_have(&gathering->places, &socket->local)};
    return is_connection(&connection) ? add_connection(gathered, &connection, holding, n) : 0;
}

static void find_others(struct gathered *gathered)
{
    struct other_end ends[LISTED_MAX] = {0};
    size_t n = 0;
    for (size_t i = 0; i < gathered->n_workers; i++)
        for (size_t k = 0; k < gathered->workers[i].n_listed; k++)
            if (gathered->workers[i].listed[k].socket.peer_inode != 0 && n < LISTED_MAX)
                ends[n++].inode = gathered->workers[i].listed[k].socket.peer_inode;
    holdings_find_others(ends, n);
    for (size_t i = 0; i < gathered->n_workers; i++)
        for (size_t k = 0; k < gathered->workers[i].n_listed; k++)
            for (size_t e = 0; e < n; e++)
                if (ends[e].pid != 0 &&
                    gathered->workers[i].listed[k].socket.peer_inode == ends[e].inode)
                    gathered->workers[i].listed[k].other_pid = ends[e].pid;
}

/* All */

/* UDP is nothing that a worker has to wait for: a kernel that cannot tell of it tells of the rest. */
static int ask_all(struct gathering *gathering)
{
    static const struct diag_query queries[] = {
        {.family = AF_INET, .protocol = IPPROTO_TCP, .states = OPEN, .details = true},
        {.family = AF_INET6, .protocol = IPPROTO_TCP, .states = OPEN, .details = true},
        {.family = AF_UNIX, .states = HAS_PEER, .details = true},
        {.family = AF_INET, .protocol = IPPROTO_UDP, .states = HAS_PEER, .details = true},
        {.family = AF_INET6, .protocol = IPPROTO_UDP, .states = HAS_PEER, .details = true},
    };
    int r = places_read(&gathering->places);
    for (size_t i = 0; i < ARRAY_SIZE(queries) && r == 0; i++) {
        r = diag_ask(&queries[i], take_socket, gathering);
        if (r == -ENOENT && queries[i].protocol == IPPROTO_UDP)
            r = 0;
    }
    return r;
}

static int prepare(const struct asked *asked, struct gathered *gathered)
{
    size_t n = asked->n;
    gathered->workers = calloc(n + 1, sizeof(*gathered->workers));
    if (!gathered->workers)
        return -ENOMEM;
    gathered->n_workers = n;
    gathered->list_max = MAX(LISTED_MAX / n, LISTED_MIN);
    for (size_t i = 0; i < n; i++)
        gathered->workers[i].leader = asked->leaders[i];
    int r = members_read(asked->roots, asked->n_roots, &gathered->members);
    for (size_t i = gathered->members.n; i-- > 0;) {
        struct gathered_worker *worker = &gathered->workers[gathered->members.all[i].leader];
        worker->first_member = i;
        worker->n_members++;
    }
    return r == 0 ? holdings_read(&gathered->members, &gathered->holdings) : r;
}

/* Also where it is a zombie. */
static bool is_visible(pid_t pid)
{
    struct process_stat ignored;
    CLEANUP_FD int proc = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
    return process_stat_read(proc, pid, &ignored) == 0;
}

/* Its leader is not reaped before the rest has left: who does not even see that is shown nobody. */
static bool is_incomplete(const struct gathered *gathered, const struct gathered_worker *worker)
{
    for (size_t i = 0; i < worker->n_members; i++) {
        int failure = gathered->holdings.failures[worker->first_member + i];
        if (failure < 0 && failure != -ESRCH)
            return true;
    }
    return worker->n_members == 0 && !is_visible(worker->leader);
}

int gather(const struct asked *asked, struct gathered *ret)
{
    CLEANUP(gathering_clear) struct gathering gathering = {.gathered = ret};
    int r = prepare(asked, ret);
    if (r < 0)
        return r;
    ret->failure = ret->holdings.n > 0 ? ask_all(&gathering) : 0;
    for (size_t i = 0; i < asked->n; i++) {
        sort_and_cut(&ret->workers[i], ret->list_max);
        ret->workers[i].incomplete = is_incomplete(ret, &ret->workers[i]);
    }
    find_others(ret);
    return 0;
}

void gathered_clear(struct gathered *gathered)
{
    for (size_t i = 0; i < gathered->n_workers; i++)
        free(gathered->workers[i].listed);
    free(gathered->workers);
    members_clear(&gathered->members);
    holdings_clear(&gathered->holdings);
    *gathered = (struct gathered){0};
}
