/*
 * Two dumps for each family: of those that listen, whose places are kept, then of those that are connected, of which the inodes
 * are kept where the place is one of these. So what is held in memory is small even where connections are many.
 */
#include "process/connections.h"

#include "base/fd.h"
#include "base/macros.h"

#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <linux/unix_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#define LISTENING (1u << TCP_LISTEN)
/* All in which a process may still hold it. */
#define CONNECTED                                                                                  \
    (1u << TCP_ESTABLISHED | 1u << TCP_FIN_WAIT1 | 1u << TCP_FIN_WAIT2 | 1u << TCP_CLOSE_WAIT |    \
     1u << TCP_LAST_ACK | 1u << TCP_CLOSING)

/* Compared as bytes: what is not used is zero. */
struct place {
    uint16_t family;
    uint16_t detail; /* the port, or how long the name of a Unix socket is */
    uint8_t address[sizeof(((struct sockaddr_un *)0)->sun_path)];
};

struct dump {
    int fd;
    bool of_listeners; /* else of connections */
    struct place *places;
    size_t n_places, places_allocated;
    struct connections connections;
    size_t inodes_allocated;
};

static void dump_clear(struct dump *dump)
{
    (void)fd_close(dump->fd);
    free(dump->places);
    connections_clear(&dump->connections);
}

static int compare_places(const void *a, const void *b)
{
    return memcmp(a, b, sizeof(struct place));
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

static int add_place(struct dump *dump, const struct place *place)
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

static bool is_place(const struct dump *dump, const struct place *place)
{
    return dump->n_places > 0 &&
           bsearch(place, dump->places, dump->n_places, sizeof(*place), compare_places);
}

/* Does somebody listen there, or at that port of every address? */
static bool is_listened_at(const struct dump *dump, const struct place *place)
{
    const struct place wildcard = {.family = place->family, .detail = place->detail};
    return is_place(dump, place) || (place->family != AF_UNIX && is_place(dump, &wildcard));
}

static int add_socket(struct dump *dump, const struct place *place, uint32_t inode)
{
    if (dump->of_listeners)
        return add_place(dump, place);
    /* Without one, no process has it: it waits to be accepted, or was closed. */
    return inode != 0 && is_listened_at(dump, place) ? add_inode(dump, inode) : 0;
}

static int take_inet(struct dump *dump, const struct nlmsghdr *header)
{
    const struct inet_diag_msg *message = NLMSG_DATA(header);
    if (header->nlmsg_len < NLMSG_LENGTH(sizeof(*message)))
        return -EBADMSG;
    struct place place = {.family = message->idiag_family,
                          .detail = ntohs(message->id.idiag_sport)};
    memcpy(place.address, message->id.idiag_src,
           message->idiag_family == AF_INET ? sizeof(struct in_addr) : sizeof(struct in6_addr));
    return add_socket(dump, &place, message->idiag_inode);
}

static int take_unix(struct dump *dump, const struct nlmsghdr *header)
{
    const struct unix_diag_msg *message = NLMSG_DATA(header);
    if (header->nlmsg_len < NLMSG_LENGTH(sizeof(*message)))
        return -EBADMSG;
    const char *end = (const char *)header + header->nlmsg_len,
               *at = (const char *)NLMSG_DATA(header) + NLMSG_ALIGN(sizeof(*message));
    while (end - at >= (ptrdiff_t)sizeof(struct nlattr)) {
        const struct nlattr *attribute = (const void *)at;
        if (attribute->nla_len < sizeof(*attribute) || attribute->nla_len > end - at)
            return -EBADMSG;
        size_t size = attribute->nla_len - sizeof(*attribute);
        struct place place = {.family = AF_UNIX, .detail = (uint16_t)size};
        if (attribute->nla_type == UNIX_DIAG_NAME && size <= sizeof(place.address)) {
            memcpy(place.address, at + sizeof(*attribute), size);
            return add_socket(dump, &place, message->udiag_ino);
        }
        at += NLA_ALIGN(attribute->nla_len);
    }
    return 0;
}

/* 1 when the dump has ended. */
static int take_messages(struct dump *dump, const struct nlmsghdr *header, size_t size)
{
    for (; NLMSG_OK(header, size); header = NLMSG_NEXT(header, size)) {
        if (header->nlmsg_type == NLMSG_DONE)
            return 1;
        if (header->nlmsg_type == NLMSG_ERROR) {
            const struct nlmsgerr *error = NLMSG_DATA(header);
            bool whole = header->nlmsg_len >= NLMSG_LENGTH(sizeof(*error)) && error->error < 0;
            return whole ? error->error : -EBADMSG;
        }
        const struct sock_diag_req *any = NLMSG_DATA(header);
        if (header->nlmsg_len < NLMSG_LENGTH(sizeof(*any)))
            return -EBADMSG;
        int r = any->sdiag_family == AF_UNIX ? take_unix(dump, header) : take_inet(dump, header);
        if (r < 0)
            return r;
    }
    return 0;
}

/* What comes next is always there: the kernel writes it while the last one is fetched. */
static int receive(struct dump *dump)
{
    union {
        struct nlmsghdr header;
        char bytes[32768];
    } answer;
    int r = 0;
    while (r == 0) {
        ssize_t n = recv(dump->fd, &answer, sizeof(answer), MSG_DONTWAIT | MSG_TRUNC);
        if (n < 0)
            return -errno;
        if ((size_t)n > sizeof(answer))
            return -EMSGSIZE;
        r = take_messages(dump, &answer.header, (size_t)n);
    }
    return r < 0 ? r : 0;
}

static int ask_inet(struct dump *dump, uint8_t family)
{
    const struct {
        struct nlmsghdr header;
        struct inet_diag_req_v2 request;
    } question = {
        .header = {.nlmsg_len = sizeof(question),
                   .nlmsg_type = SOCK_DIAG_BY_FAMILY,
                   .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP},
        .request = {.sdiag_family = family,
                    .sdiag_protocol = IPPROTO_TCP,
                    .idiag_states = dump->of_listeners ? LISTENING : CONNECTED},
    };
    return send(dump->fd, &question, sizeof(question), 0) < 0 ? -errno : receive(dump);
}

static int ask_unix(struct dump *dump)
{
    const struct {
        struct nlmsghdr header;
        struct unix_diag_req request;
    } question = {
        .header = {.nlmsg_len = sizeof(question),
                   .nlmsg_type = SOCK_DIAG_BY_FAMILY,
                   .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP},
        .request = {.sdiag_family = AF_UNIX,
                    .udiag_states = dump->of_listeners ? LISTENING : CONNECTED,
                    .udiag_show = UDIAG_SHOW_NAME},
    };
    return send(dump->fd, &question, sizeof(question), 0) < 0 ? -errno : receive(dump);
}

static int ask_all(struct dump *dump, bool of_listeners)
{
    dump->of_listeners = of_listeners;
    int r = ask_inet(dump, AF_INET);
    if (r == 0)
        r = ask_inet(dump, AF_INET6);
    return r == 0 ? ask_unix(dump) : r;
}

int connections_read(struct connections *ret)
{
    CLEANUP(dump_clear)
    struct dump dump = {.fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG)};
    if (dump.fd < 0)
        return -errno;
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
