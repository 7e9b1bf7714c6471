/* For streams the kernel keeps the two numbers in fields of TCP_INFO that mean something else for connections, and in sock_diag for Unix. */
#include "net/listener.h"

#include "base/fd.h"

#include <errno.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <linux/unix_diag.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>

static int tcp_queue(int fd, unsigned *ret_queue, unsigned *ret_backlog)
{
    struct tcp_info info = {0};
    socklen_t size = sizeof(info);
    if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) < 0)
        return -errno;
    if (info.tcpi_state != TCP_LISTEN)
        return -EINVAL;
    *ret_queue = info.tcpi_unacked;
    *ret_backlog = info.tcpi_sacked;
    return 0;
}

static int find_queue_length(const struct nlmsghdr *header, size_t size, unsigned *ret_queue,
                             unsigned *ret_backlog)
{
    if (!NLMSG_OK(header, size))
        return -EBADMSG;
    if (header->nlmsg_type == NLMSG_ERROR) {
        const struct nlmsgerr *error = NLMSG_DATA(header);
        return header->nlmsg_len >= NLMSG_LENGTH(sizeof(*error)) && error->error < 0 ? error->error
                                                                                     : -EBADMSG;
    }
    if (header->nlmsg_len < NLMSG_LENGTH(sizeof(struct unix_diag_msg)))
        return -EBADMSG;

    const char *end = (const char *)header + header->nlmsg_len;
    const char *at = (const char *)NLMSG_DATA(header) + NLMSG_ALIGN(sizeof(struct unix_diag_msg));
    while (end - at >= (ptrdiff_t)sizeof(struct nlattr)) {
        const struct nlattr *attribute = (const void *)at;
        if (attribute->nla_len < sizeof(struct nlattr) || attribute->nla_len > end - at)
            return -EBADMSG;
        if (attribute->nla_type == UNIX_DIAG_RQLEN &&
            attribute->nla_len >= sizeof(struct nlattr) + sizeof(struct unix_diag_rqlen)) {
            const struct unix_diag_rqlen *length = (const void *)(at + sizeof(struct nlattr));
            *ret_queue = length->udiag_rqueue;
            *ret_backlog = length->udiag_wqueue;
            return 0;
        }
        at += NLA_ALIGN(attribute->nla_len);
    }
    return -ENODATA;
}

static int unix_queue(ino_t inode, unsigned *ret_queue, unsigned *ret_backlog)
{
    struct {
        struct nlmsghdr header;
        struct unix_diag_req request;
    } question = {
        .header = {.nlmsg_len = sizeof(question),
                   .nlmsg_type = SOCK_DIAG_BY_FAMILY,
                   .nlmsg_flags = NLM_F_REQUEST},
        .request = {.sdiag_family = AF_UNIX,
                    .udiag_states = UINT32_MAX,
                    .udiag_ino = (uint32_t)inode,
                    .udiag_show = UDIAG_SHOW_RQLEN,
                    .udiag_cookie = {UINT32_MAX, UINT32_MAX}},
    };
    union {
        struct nlmsghdr header;
        char bytes[1024];
    } answer;

    CLEANUP_FD int netlink = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
    if (netlink < 0 || send(netlink, &question, sizeof(question), 0) < 0)
        return -errno;
    /* The answer is there when send() returns. */
    ssize_t n = recv(netlink, &answer, sizeof(answer), MSG_DONTWAIT);
    if (n < 0)
        return -errno;
    return find_queue_length(&answer.header, (size_t)n, ret_queue, ret_backlog);
}

/* An older kernel gives fewer; the rest is zero. */
static int get_memory(int fd, uint32_t memory[SK_MEMINFO_VARS])
{
    socklen_t size = SK_MEMINFO_VARS * sizeof(*memory);
    memset(memory, 0, size);
    return getsockopt(fd, SOL_SOCKET, SO_MEMINFO, memory, &size) < 0 ? -errno : 0;
}

static int udp_queue(int fd, unsigned *ret_queue, unsigned *ret_backlog)
{
    uint32_t memory[SK_MEMINFO_VARS];
    int r = get_memory(fd, memory);
    if (r < 0)
        return r;
    *ret_queue = memory[SK_MEMINFO_RMEM_ALLOC];
    *ret_backlog = memory[SK_MEMINFO_RCVBUF];
    return 0;
}

int listener_queue(const struct listener_socket *socket, unsigned *ret_queue, unsigned *ret_backlog)
{
    if (socket->address.socket.generic.sa_family == AF_UNIX)
        return unix_queue(socket->inode, ret_queue, ret_backlog);
    if (socket->address.datagram)
        return udp_queue(socket->fd, ret_queue, ret_backlog);
    return tcp_queue(socket->fd, ret_queue, ret_backlog);
}

int listener_drops(const struct listener_socket *socket, unsigned *ret)
{
    uint32_t memory[SK_MEMINFO_VARS];
    if (socket->address.socket.generic.sa_family == AF_UNIX)
        return -EOPNOTSUPP;
    int r = get_memory(socket->fd, memory);
    if (r == 0)
        *ret = memory[SK_MEMINFO_DROPS];
    return r;
}
