/* TCP_INFO is read by linux/tcp.h: the C library's own ends before what is asked for here. */
#include "net/diag.h"

#include "base/address.h"
#include "base/fd.h"
#include "base/macros.h"

#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <linux/tcp.h>
#include <linux/unix_diag.h>
#include <string.h>
#include <sys/socket.h>

/* Attributes */

/* The next one, of `left` bytes from `at` on: its length with its head, 0 at the end, or -EBADMSG. */
static int next_attribute(const char *at, size_t left, struct nlattr *ret)
{
    if (left < sizeof(*ret))
        return 0;
    memcpy(ret, at, sizeof(*ret));
    return ret->nla_len < sizeof(*ret) || ret->nla_len > left ? -EBADMSG : ret->nla_len;
}

typedef void take_attribute(const struct nlattr *attribute, const void *value, size_t size,
                            struct diag_socket *socket);

static int take_attributes(const char *at, size_t left, take_attribute *take,
                           struct diag_socket *socket)
{
    struct nlattr attribute;
    int length;
    while ((length = next_attribute(at, left, &attribute)) > 0) {
        take(&attribute, at + sizeof(attribute), (size_t)length - sizeof(attribute), socket);
        size_t step = MIN((size_t)NLA_ALIGN(length), left);
        at += step;
        left -= step;
    }
    return length;
}

/* Internet */

static void take_inet_attribute(const struct nlattr *attribute, const void *value, size_t size,
                                struct diag_socket *socket)
{
    struct tcp_info info = {0};
    /* An older kernel tells less. */
    size_t known = MIN(size, sizeof(info));
    if (attribute->nla_type != INET_DIAG_INFO || socket->protocol != IPPROTO_TCP ||
        known < offsetof(struct tcp_info, tcpi_data_segs_out) + sizeof(info.tcpi_data_segs_out))
        return;
    memcpy(&info, value, known);
    socket->has_times = true;
    socket->sent_usec = info.tcpi_last_data_sent * USEC_PER_MSEC;
    socket->received_usec = info.tcpi_last_data_recv * USEC_PER_MSEC;
    socket->ever_sent = info.tcpi_data_segs_out > 0;
    socket->ever_received = info.tcpi_data_segs_in > 0 || info.tcpi_bytes_received > 0;
    socket->unanswered = info.tcpi_retransmits;
}

static struct diag_place inet_place(uint8_t family, const __be32 *address, __be16 port)
{
    struct diag_place place = {.family = family, .detail = ntohs(port)};
    memcpy(place.address, address,
           family == AF_INET ? sizeof(struct in_addr) : sizeof(struct in6_addr));
    return place;
}

static int parse_inet(const char *data, size_t size, int protocol, struct diag_socket *ret)
{
    struct inet_diag_msg message;
    if (size < sizeof(message))
        return -EBADMSG;
    memcpy(&message, data, sizeof(message));
    *ret = (struct diag_socket){
        .family = message.idiag_family,
        .protocol = protocol,
        .state = message.idiag_state,
        .inode = message.idiag_inode,
        .local = inet_place(message.idiag_family, message.id.idiag_src, message.id.idiag_sport),
        .peer = inet_place(message.idiag_family, message.id.idiag_dst, message.id.idiag_dport),
        .has_queues = true,
        .receive_queue = message.idiag_rqueue,
        .send_queue = message.idiag_wqueue,
    };
    size_t begin = MIN((size_t)NLMSG_ALIGN(sizeof(message)), size);
    return take_attributes(data + begin, size - begin, take_inet_attribute, ret);
}

/* Unix */

static void take_unix_attribute(const struct nlattr *attribute, const void *value, size_t size,
                                struct diag_socket *socket)
{
    struct unix_diag_rqlen queues;
    switch (attribute->nla_type) {
    case UNIX_DIAG_NAME:
        if (size > sizeof(socket->local.address))
            return;
        socket->local = (struct diag_place){.family = AF_UNIX, .detail = (uint16_t)size};
        memcpy(socket->local.address, value, size);
        return;
    case UNIX_DIAG_PEER:
        if (size >= sizeof(socket->peer_inode))
            memcpy(&socket->peer_inode, value, sizeof(socket->peer_inode));
        return;
    case UNIX_DIAG_RQLEN:
        if (size < sizeof(queues))
            return;
        memcpy(&queues, value, sizeof(queues));
        socket->has_queues = true;
        socket->receive_queue = queues.udiag_rqueue;
        socket->send_queue = queues.udiag_wqueue;
        return;
    default:
        return;
    }
}

static int parse_unix(const char *data, size_t size, struct diag_socket *ret)
{
    struct unix_diag_msg message;
    if (size < sizeof(message))
        return -EBADMSG;
    memcpy(&message, data, sizeof(message));
    *ret = (struct diag_socket){
        .family = AF_UNIX,
        .type = message.udiag_type,
        .state = message.udiag_state,
        .inode = message.udiag_ino,
    };
    size_t begin = MIN((size_t)NLMSG_ALIGN(sizeof(message)), size);
    return take_attributes(data + begin, size - begin, take_unix_attribute, ret);
}

/* Messages */

static int parse_error(const char *data, size_t size)
{
    struct nlmsgerr error;
    if (size < sizeof(error))
        return -EBADMSG;
    memcpy(&error, data, sizeof(error));
    return error.error < 0 ? error.error : -EBADMSG;
}

static int take_message(const char *data, size_t size, int protocol, diag_take *take,
                        void *userdata)
{
    struct diag_socket socket;
    uint8_t family = size > 0 ? (uint8_t)data[0] : AF_UNSPEC;
    int r = -EBADMSG;
    if (family == AF_UNIX)
        r = parse_unix(data, size, &socket);
    else if (family == AF_INET || family == AF_INET6)
        r = parse_inet(data, size, protocol, &socket);
    return r < 0 ? r : take(&socket, userdata);
}

int diag_parse(const void *data, size_t size, int protocol, diag_take *take, void *userdata)
{
    const char *at = data;
    struct nlmsghdr header;
    while (size >= sizeof(header)) {
        memcpy(&header, at, sizeof(header));
        if (header.nlmsg_len < sizeof(header) || header.nlmsg_len > size)
            return -EBADMSG;
        const char *body = at + sizeof(header);
        size_t length = header.nlmsg_len - sizeof(header),
               step = MIN((size_t)NLMSG_ALIGN(header.nlmsg_len), size);
        if (header.nlmsg_type == NLMSG_DONE)
            return 1;
        int r = header.nlmsg_type == NLMSG_ERROR
                    ? parse_error(body, length)
                    : take_message(body, length, protocol, take, userdata);
        if (r != 0)
            return r;
        /* An answer about one socket is not closed by another message. */
        if (!(header.nlmsg_flags & NLM_F_MULTI))
            return 1;
        at += step;
        size -= step;
    }
    return size == 0 ? 0 : -EBADMSG;
}

/* Asking */

static int send_inet(int fd, const struct diag_query *query)
{
    const struct {
        struct nlmsghdr header;
        struct inet_diag_req_v2 request;
    } question = {
        .header = {.nlmsg_len = sizeof(question),
                   .nlmsg_type = SOCK_DIAG_BY_FAMILY,
                   .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP},
        .request = {.sdiag_family = (uint8_t)query->family,
                    .sdiag_protocol = (uint8_t)query->protocol,
                    .idiag_ext = query->details ? 1 << (INET_DIAG_INFO - 1) : 0,
                    .idiag_states = query->states},
    };
    return send(fd, &question, sizeof(question), 0) < 0 ? -errno : 0;
}

static int send_unix(int fd, const struct diag_query *query)
{
    const struct {
        struct nlmsghdr header;
        struct unix_diag_req request;
    } question = {
        .header = {.nlmsg_len = sizeof(question),
                   .nlmsg_type = SOCK_DIAG_BY_FAMILY,
                   .nlmsg_flags = NLM_F_REQUEST | (query->inode != 0 ? 0 : NLM_F_DUMP)},
        .request = {.sdiag_family = AF_UNIX,
                    .udiag_states = query->states,
                    .udiag_ino = query->inode,
                    .udiag_show = query->details
                                      ? UDIAG_SHOW_NAME | UDIAG_SHOW_PEER | UDIAG_SHOW_RQLEN
                                      : UDIAG_SHOW_NAME,
                    .udiag_cookie = {UINT32_MAX, UINT32_MAX}},
    };
    return send(fd, &question, sizeof(question), 0) < 0 ? -errno : 0;
}

/* What comes next is always there: the kernel writes it while the last one is fetched. */
static int receive(int fd, int protocol, diag_take *take, void *userdata)
{
    union {
        struct nlmsghdr header;
        char bytes[32768];
    } answer;
    int r = 0;
    while (r == 0) {
        ssize_t n = recv(fd, &answer, sizeof(answer), MSG_DONTWAIT | MSG_TRUNC);
        if (n < 0)
            return -errno;
        if ((size_t)n > sizeof(answer))
            return -EMSGSIZE;
        r = diag_parse(&answer, (size_t)n, protocol, take, userdata);
    }
    return r == 1 ? 0 : r;
}

int diag_ask(const struct diag_query *query, diag_take *take, void *userdata)
{
    CLEANUP_FD int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
    if (fd < 0)
        return -errno;
    int r = query->family == AF_UNIX ? send_unix(fd, query) : send_inet(fd, query);
    return r < 0 ? r : receive(fd, query->protocol, take, userdata);
}

/* Text */

static bool is_mapped(const struct diag_place *place)
{
    struct in6_addr address;
    memcpy(&address, place->address, sizeof(address));
    return place->family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&address);
}

char *diag_place_to_text(const struct diag_place *place)
{
    struct address address = {.socket.generic.sa_family = place->family};
    if (place->family == AF_UNIX) {
        size_t size = MIN((size_t)place->detail, sizeof(address.socket.un.sun_path) - 1);
        memcpy(address.socket.un.sun_path, place->address, size);
        address.length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + size);
    } else if (place->family == AF_INET || is_mapped(place)) {
        size_t begin = place->family == AF_INET ? 0 : 12;
        address.socket.generic.sa_family = AF_INET;
        address.socket.in.sin_port = htons(place->detail);
        memcpy(&address.socket.in.sin_addr, place->address + begin, sizeof(struct in_addr));
    } else {
        address.socket.in6.sin6_port = htons(place->detail);
        memcpy(&address.socket.in6.sin6_addr, place->address, sizeof(struct in6_addr));
    }
    return address_to_text(&address);
}
