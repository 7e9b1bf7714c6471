/* For streams the kernel keeps the two numbers in fields of TCP_INFO that mean something else for connections, and in sock_diag for Unix. */
#include "net/listener.h"

#include "net/diag.h"

#include <errno.h>
#include <linux/sock_diag.h>
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

struct queue {
    bool known;
    unsigned queue, backlog;
};

static int take_queue(const struct diag_socket *socket, void *userdata)
{
    *(struct queue *)userdata = (struct queue){
        .known = socket->has_queues, .queue = socket->receive_queue, .backlog = socket->send_queue};
    return 0;
}

static int unix_queue(ino_t inode, unsigned *ret_queue, unsigned *ret_backlog)
{
    const struct diag_query query = {
        .family = AF_UNIX, .states = UINT32_MAX, .inode = (uint32_t)inode, .details = true};
    struct queue found = {0};
    int r = diag_ask(&query, take_queue, &found);
    if (r < 0)
        return r;
    if (!found.known)
        return -ENODATA;
    *ret_queue = found.queue;
    *ret_backlog = found.backlog;
    return 0;
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
