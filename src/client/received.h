/*
 * received.h - fds that came over the channel, until the line that they belong to has been read.
 *
 * The master sends them with the first byte of a line, and the kernel ends a read behind the message that had fds: they belong
 * to the line in which that read ended, or would have.
 */
#pragma once

#include "client/environment.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define RECEIVED_MAX 253 /* the kernel's SCM_MAX_FD */

struct received {
    int fds[RECEIVED_MAX];
    size_t n;
    bool cut;      /* there were more than this process may open */
    uint64_t read; /* bytes read from the channel, ever */
    uint64_t end;  /* so many when the fds came */
};

/* As recv(2) without waiting, -errno instead of -1. Fds get close-on-exec; those of an earlier read that nobody took are closed. */
ssize_t received_read(struct received *received, int fd, void *space, size_t size);

/* Do they belong to the line that was just taken out of a buffer in which `left` bytes remain? */
bool received_is_due(const struct received *received, size_t left);

void received_close(struct received *received);

/*
 * If they are due: the fds of {"reloader":"listeners","names":[…]} become listeners; *ret_added is how many: those that are known already
 * are closed and do not count. How many names there are, 0 for another line, or -errno, and nothing is added:
 * -EMFILE: the fds were cut short; -EBADMSG: not as many fds as names; -E2BIG; -ENOMEM.
 */
int received_take(struct received *received, bool due, const char *line,
                  struct environment *environment, size_t *ret_added);
