/*
 * It is "PID (NAME) S PPID PGRP …", and the name is the process's own and may hold blanks and parentheses, so reading begins behind the
 * last ')'.
 */
#include "process/stat.h"

#include "base/fd.h"
#include "base/macros.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define STAT_SIZE 512 /* far behind the fields of interest */

static int parse(const char *text, pid_t pid, struct process_stat *ret)
{
    const char *name = strchr(text, '('), *name_end = strrchr(text, ')');
    char state;
    int parent, group;
    long threads;
    uint64_t start;

    if (!name || !name_end || name_end <= name ||
        sscanf(name_end + 1,
               " %c %d %d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %ld %*d "
               "%" SCNu64,
               &state, &parent, &group, &threads, &start) != 5)
        return -EBADMSG;
    *ret = (struct process_stat){.pid = pid,
                                 .parent = parent,
                                 .group = group,
                                 .state = state,
                                 .dead = state == 'X' || (state == 'Z' && threads <= 1),
                                 .start = start};
    memcpy(ret->name, name + 1, MIN((size_t)(name_end - name - 1), sizeof(ret->name) - 1));
    return 0;
}

int process_stat_read(int directory, pid_t pid, struct process_stat *ret)
{
    char path[32], text[STAT_SIZE];

    (void)snprintf(path, sizeof(path), "%d/stat", pid);
    CLEANUP_FD int fd = openat(directory, path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    ssize_t n = read(fd, text, sizeof(text) - 1);
    if (n < 0)
        return -errno;
    text[n] = '\0';
    return parse(text, pid, ret);
}
