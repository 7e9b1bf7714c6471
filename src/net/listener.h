/*
 * listener.h - listening sockets (of UDP: bound ones), bound once and kept for as long as anybody may need them.
 *
 * A listener is a named group of sockets: one for all workers (shared), or one for each slot (per_slot). The master
 * never accepts from them. Both are counted by reference: the configuration that names a listener holds it, and so does each
 * generation whose workers have it; a socket may be in two listeners when a configuration groups its addresses anew. The last
 * reference closes. A Unix socket's file is removed with its socket, if it is still the one we made.
 * Errors: 0 or -errno with *ret_error, one line for people (malloc-ed; NULL when memory is short), e.g.
 *   "127.0.0.1:7000: address in use by nginx (pid 4711)" · "0.0.0.0:80: binding a port below 1024 needs root or CAP_NET_BIND_SERVICE"
 */
#pragma once

#include "base/address.h"
#include "base/macros.h"
#include "config/config.h"
#include "net/steering.h"

#include <stdbool.h>
#include <sys/stat.h>
#include <sys/types.h>

struct listener_options {
    const char *name; /* for messages; listener_new() sets it to the listener's */
    int backlog; /* 0: the most that the system gives (net.core.somaxconn) */
    bool ipv6_only;
    bool nonblocking;
    bool reuseport; /* the sockets are one SO_REUSEPORT group; all have the same address */
    bool joins_deaf; /* a TCP socket that joins it hears nothing yet; listener_add()'s own */
    bool mode_set;  /* of a Unix socket's file; else as the umask has it */
    mode_t mode;    /* permission bits */
    struct config_id owner, group;         /* of that file */
    struct config_socket_options settings; /* of the socket */
};

struct listener_socket {
    unsigned references; /* listeners that have it */
    int fd;
    struct address address;
    ino_t inode;       /* of the socket itself, as /proc/PID/fd shows it */
    dev_t file_device; /* of the file of a Unix socket */
    ino_t file_inode;
    bool owns_file;
    bool taken_over;  /* somebody else bound it, and holds it as well */
    unsigned backlog; /* as it was when it became ours; 0: not known */
    int watch_fd;     /* the epoll that hears of its being shut down; 0: none */
    bool lost;        /* a worker shut it down, and it cannot listen again */
    char *warning;    /* one line for people: what the kernel did otherwise than configured; or NULL */
};

struct listener {
    unsigned references;
    char *name;
    struct listener_options options;
    size_t n_sockets; /* 1 if shared, else one per slot */
    struct listener_socket **sockets;
    struct steering steering; /* of a group */
    bool *alive;              /* of its sockets, as listener_steer() was told */
    bool is_steered;          /* and the kernel knows */
    bool has_program;         /* the kernel's group has one, be it from before the last change */
    bool steering_failed;     /* the owner's mark: it was said */
    bool mode_told;           /* likewise, of listener_mode_differs() */
};

/*
 * Binds and listens on all addresses; if one fails, those already bound are closed again.
 * A stale Unix socket file (nobody accepts connections on it) is replaced, a live one and any other kind of file are errors.
 */
int listener_new(const char *name, const struct address *addresses, size_t n_addresses,
                 const struct listener_options *options, struct listener **ret, char **ret_error);

struct listener *listener_ref(struct listener *listener);
/* The last one closes the sockets and unlinks Unix socket files that are still ours. Returns NULL. */
struct listener *listener_unref(struct listener *listener);
DEFINE_FREEP(struct listener *, listener_unref)

/* A listener without sockets yet, of a new name and options, for listener_share() and listener_add(). Likewise. */
int listener_new_empty(const char *name, const struct listener_options *options,
                       struct listener **ret);
/* Appends a socket that another listener has as well. 0 or -ENOMEM. Not for reuseport. */
int listener_share(struct listener *listener, struct listener_socket *socket);
/*
 * A listener with reuseport whose first socket is one that listens alone so far, and goes on to get all clients until listener_steer(): the
 * others, n in all, join it. Likewise. -errno with *ret_error as listener_new().
 */
int listener_regroup(const char *name, struct listener_socket *socket, size_t n,
                     const struct listener_options *options, struct listener **ret,
                     char **ret_error);
/* Its socket at that address, or NULL. Borrowed. */
struct listener_socket *listener_find(const struct listener *listener,
                                      const struct address *address);

/*
 * Another name and other options for a listener that stays open: listener_try_change() looks whether it can be done and changes nothing,
 * listener_change() does it. What the kernel fixes when a socket is bound (ipv6_only, freebind, transparent, device; reuseport is the
 * caller's) is -EOPNOTSUPP. Sockets that were taken over keep their options. *ret_warning is as listener_socket's.
 */
int listener_try_change(const struct listener *listener, const struct listener_options *options,
                        char **ret_error);
int listener_change(struct listener *listener, const char *name,
                    const struct listener_options *options, char **ret_warning, char **ret_error);

/* Closes the sockets at once, whoever still refers to it; it has none from then on. */
void listener_close(struct listener *listener);

/*
 * Binds further per-slot sockets behind those it has (workers were raised). All or none. Those of a group get nobody before
 * listener_steer(); of a UDP socket that was bound alone, the second may get a few datagrams in the moment in which it becomes a group.
 */
int listener_add(struct listener *listener, const struct address *addresses, size_t n_addresses,
                 char **ret_error);
/*
 * Appends a socket that somebody else bound; `address` is what it is known by. Nothing of it is changed but O_NONBLOCK, and its
 * backlog where the options name one; its file stays. Takes over fd in success.
 */
int listener_adopt(struct listener *listener, int fd, const struct address *address,
                   char **ret_error);
/* Closes the per-slot sockets behind the first n; not those that were taken over: nobody could bind their addresses anew. */
void listener_truncate(struct listener *listener, size_t n);

/*
 * New connections and flows go to those sockets of the group of which `alive` (one for each) holds; to any if it holds of none.
 * Cheap when nothing changed. 0 or -errno: -ENOMEM also when the program is larger than net.core.optmem_max allows.
 */
int listener_steer(struct listener *listener, const bool *alive);

/* The fd for a slot: the shared one, or the slot's own. Borrowed; -1 if there is none. */
int listener_fd(const struct listener *listener, unsigned slot);

/*
 * Asks TCP_INFO or sock_diag how long the accept queue is now and may get; of UDP: the bytes that wait to be read, with the kernel's
 * own, and how many there may be. 0 or -errno.
 */
int listener_queue(const struct listener_socket *socket, unsigned *ret_queue,
                   unsigned *ret_backlog);
/*
 * What the kernel had to drop there since it was bound: connections or datagrams for which there was no room. -EOPNOTSUPP for Unix sockets,
 * whose clients wait instead.
 */
int listener_drops(const struct listener_socket *socket, unsigned *ret);

/* What the backlog is now. */
void listener_remember_backlog(struct listener_socket *socket);
/*
 * After the worker of a slot did something to the sockets it was given: a backlog that it shrank is what it was again, and one
 * that it shut down listens again. 1 in the latter case: connections were refused meanwhile, and in a SO_REUSEPORT group it is now the
 * last. Else 0; or -errno where it cannot listen again, which is told once:
 *   -ESHUTDOWN    a Unix socket: the kernel has no way back, it needs a new one
 *   others        listen() failed (-EADDRINUSE: somebody else was quicker); the next call tries again
 */
int listener_restore(struct listener *listener, unsigned slot);
/* Did somebody change whether it blocks? All who hold it share that. */
bool listener_mode_differs(const struct listener *listener, unsigned slot);
/* Adds it to an epoll, which has to outlive it: readable once it was shut down, and never else. Twice is once. 0 or -errno. */
int listener_socket_watch(struct listener_socket *socket, int epoll_fd);

/*
 * Who listens on an address that is in use: "nginx (pid 4711)", with " and others" if they are several, where /proc lets us see;
 * else NULL (malloc-ed). It looks at all processes: for errors only.
 */
char *listener_find_owner(const struct address *address);
