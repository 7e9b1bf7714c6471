/* stat.h - who a process is, as the one line of /proc/PID/stat says. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define PROCESS_NAME_SIZE 64

struct process_stat {
    pid_t pid, parent, group;
    char state; /* R S D T t Z X I */
    /* A zombie of one thread. One whose main thread has ended shows as a zombie while its other threads work on. */
    bool dead;
    uint64_t start; /* in ticks since the system was booted; with the pid it names a process */
    char name[PROCESS_NAME_SIZE]; /* any bytes: its own */
};

/* `directory` is of /proc. 0, -ENOENT or -ESRCH if it has gone, -EBADMSG, or another -errno. */
int process_stat_read(int directory, pid_t pid, struct process_stat *ret);
