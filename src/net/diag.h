/*
 * diag.h - sockets as the kernel's sock_diag tells of them: TCP, UDP and Unix ones, in the network namespace of the caller.
 *
 * A dump passes through a buffer of fixed size, so that it takes no memory however many sockets there are; what is kept is up to the
 * caller. Errors: 0 or -errno, -EBADMSG for what cannot be understood.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/un.h>

/* Where a socket is. Compared as bytes: what is not used is zero. */
struct diag_place {
    uint16_t family; /* AF_INET, AF_INET6 or AF_UNIX; 0: it has none */
    uint16_t detail; /* the port, or how long the name of a Unix socket is */
    uint8_t address[sizeof(((struct sockaddr_un *)0)->sun_path)];
};

struct diag_socket {
    int family, protocol;          /* protocol: IPPROTO_TCP or IPPROTO_UDP; of AF_UNIX 0 */
    int type;                      /* of AF_UNIX: SOCK_STREAM … */
    int state;                     /* TCP_ESTABLISHED … of netinet/tcp.h, for all families */
    uint32_t inode;                /* as in /proc/PID/fd; 0: no process has it */
    struct diag_place local, peer; /* peer: not of AF_UNIX */
    uint32_t peer_inode;           /* of AF_UNIX, with details; 0: it has none */
    /*
     * With details; else false. Bytes that wait to be read, and that were written and have not been taken by the other side; of one that
     * listens how many wait to be accepted, and its backlog.
     */
    bool has_queues;
    uint32_t receive_queue, send_queue;
    /* Of TCP with details, else false. How long ago data was last sent and received; if there never was any: the connection was made. */
    bool has_times;
    uint64_t sent_usec, received_usec;
    bool ever_sent, ever_received;
    unsigned unanswered; /* how often in a row it sent the same again */
};

struct diag_query {
    int family, protocol;
    uint32_t states; /* bits, 1 << TCP_ESTABLISHED … */
    uint32_t inode;  /* of AF_UNIX: that one alone; 0: all */
    bool details;
};

/* Called for each; what is not 0 ends it. `socket` is borrowed. */
typedef int diag_take(const struct diag_socket *socket, void *userdata);

/*
 * Asks, and passes on all that is answered. 0, -errno, or what `take` returned. Nothing is waited for: the kernel answers while it is asked. A
 * kernel that has no sock_diag for that family says -ENOENT.
 */
int diag_ask(const struct diag_query *query, diag_take *take, void *userdata);

/*
 * What of one answer is for diag_ask() alone, and for tests: messages to a query for that protocol. 1 when they are the last, 0 when more
 * will follow, else as diag_ask().
 */
int diag_parse(const void *data, size_t size, int protocol, diag_take *take, void *userdata);

/* "127.0.0.1:8080", "[::1]:81", "unix:/a.sock" as in address.h; an IPv4 address within IPv6 is shown as the former. malloc-ed or NULL. */
char *diag_place_to_text(const struct diag_place *place);
