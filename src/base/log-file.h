/*
 * log-file.h - the file that the log is written to: opened for appending, and rotated when it would grow beyond its size.
 *
 * Others may hold the same file open and write whole lines into it: its size is what the file says, and those who hold it are told
 * by the log's owner when there is a new one (log.h). What a file with 0 backups held is dropped.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct log_file {
    int fd;            /* -1: none */
    char *path;        /* of fd */
    uint64_t max_size; /* of a regular file; 0: any */
    unsigned backups;
    uint64_t grown; /* rotation failed: it is not tried again before the file is larger than this */
};

#define LOG_FILE_NONE                                                                              \
    {                                                                                              \
        .fd = -1                                                                                   \
    }

/* From now on this one (created 0640), or none (NULL). 0, or -errno: then nothing has changed. */
int log_file_set(struct log_file *file, const char *path);
/* Opens it anew, after somebody renamed it; likewise. */
int log_file_reopen(struct log_file *file);

/* Would it be too large with so many bytes more? Never of one that is empty, is no regular file, or has another name by now. */
bool log_file_is_full(const struct log_file *file, size_t size);
/* Makes room. 0, or -errno: then it is the same as before, and grows. */
int log_file_rotate(struct log_file *file);
