/* peer.h - who is at the other end of a Unix socket, as the kernel knows it. Functions return 0 (or a truth) or -errno. */
#pragma once

#include "base/macros.h"

#include <sys/socket.h>
#include <sys/types.h>

/* Credentials of a connected socket's peer: when it connected, or, seen from the client, when the server began to listen. */
int peer_get(int fd, struct ucred *ret);

/* 1 if the peer is in the group by its main or any supplementary group, 0 if not. */
int peer_is_in_group(int fd, const struct ucred *peer, gid_t group);

/* The pid that listens on the Unix socket at `path`; -ECONNREFUSED and others if nobody does. Never blocks. */
int peer_of_listener(const char *path, pid_t *ret);
