/*
 * message.h - messages between the master and a helper process: NAME=value strings in one packet of a Unix socket
 * (SOCK_SEQPACKET), so they have no framing of their own; a descriptor may come along.
 */
#pragma once

#include "base/macros.h"

#include <stdbool.h>
#include <stddef.h>

#define MESSAGE_SIZE_MAX ((size_t)64 * 1024)

/* Never waits. `pass` (borrowed) goes along unless it is -1. 0, -EAGAIN, -EMSGSIZE, -EPIPE or another -errno. */
int message_send(int fd, char *const *fields, int pass);

/*
 * Never waits. 1 with the fields (strv_free(), then strv_env_get() finds them) and the descriptor that came along (-1: none; CLOEXEC, the
 * caller's), 0: the other side is gone, -EAGAIN: nothing there, -EBADMSG: a packet that is none of ours, and was dropped, or -errno.
 */
int message_receive(int fd, char ***ret_fields, int *ret_passed);

/* The bytes of a packet taken apart. 0, -EBADMSG: not NUL-terminated NAME=value strings, or -ENOMEM. */
int message_parse(const char *data, size_t size, char ***ret_fields);
