/*
 * file-tail.h - the last lines of a file, and what is appended to it, through rotation.
 *
 * A file is known by its device and inode. When another one is at its path, what was rotated away meanwhile is read first, from its
 * PATH.1, PATH.2, … as far as the one that was read last is still among them.
 */
#pragma once

#include "base/buffer.h"
#include "base/macros.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define FILE_TAIL_LINE_MAX ((size_t)4 * 1024 * 1024) /* longer ones are left out, and told of */

struct file_tail_ops {
    /* Without its end; valid for the call. */
    void (*line)(const char *line, size_t size, void *userdata);
    /* Something that whoever reads has to know. */
    void (*note)(const char *text, void *userdata);
};

struct file_tail {
    const char *path; /* borrowed */
    const struct file_tail_ops *ops;
    void *userdata;
    int fd; /* -1: there is none yet */
    dev_t device;
    ino_t inode;
    struct buffer in;
};

/* What is there, from the last `lines` lines on. 0, or -errno: it cannot be opened; -ENOENT may change. */
int file_tail_begin(struct file_tail *tail, const char *path, const struct file_tail_ops *ops,
                    void *userdata, uint64_t lines);
/* What has come since then. 0 or -errno. */
int file_tail_go_on(struct file_tail *tail);
/* A last line that has no end. */
void file_tail_finish(struct file_tail *tail);
void file_tail_clear(struct file_tail *tail);
