#include "logger/rotation.h"

#include "base/backups.h"
#include "base/fd.h"
#include "base/strv.h"
#include "logger/compress.h"
#include "logger/thread.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define LEAST_NICE 19

struct rotation {
    char *path;
    pthread_mutex_t mutex; /* for names on the disk, too */
    unsigned references, backups;
    bool compressing;
    int error;
};

int rotation_new(const char *path, struct rotation **ret)
{
    struct rotation *rotation = calloc(1, sizeof(*rotation));
    if (!rotation)
        return -ENOMEM;
    rotation->path = strdup(path);
    rotation->references = 1;
    (void)pthread_mutex_init(&rotation->mutex, NULL);
    if (!rotation->path) {
        (void)rotation_unref(rotation);
        return -ENOMEM;
    }
    *ret = rotation;
    return 0;
}

struct rotation *rotation_unref(struct rotation *rotation)
{
    if (!rotation)
        return NULL;
    (void)pthread_mutex_lock(&rotation->mutex);
    bool last = --rotation->references == 0;
    (void)pthread_mutex_unlock(&rotation->mutex);
    if (!last)
        return NULL;
    (void)pthread_mutex_destroy(&rotation->mutex);
    free(rotation->path);
    free(rotation);
    return NULL;
}

int rotation_shift(struct rotation *rotation, unsigned backups)
{
    (void)pthread_mutex_lock(&rotation->mutex);
    rotation->backups = backups;
    int r = backups_shift(rotation->path, backups);
    (void)pthread_mutex_unlock(&rotation->mutex);
    return r;
}

/* Compressing */

/* The newest plain one, open; -ENOENT: none is. */
static int open_plain(struct rotation *rotation)
{
    for (unsigned number = 1; number <= rotation->backups; number++) {
        CLEANUP_FREE char *name = backup_name(rotation->path, number, "");
        int fd = name ? open(name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK) : -1;
        if (fd >= 0)
            return fd;
        if (!name || errno != ENOENT)
            return name ? -errno : -ENOMEM;
    }
    return -ENOENT;
}

/* It may have another number by now, or be gone. */
static unsigned find_number(const struct rotation *rotation, int fd)
{
    struct stat wanted, st;
    if (fstat(fd, &wanted) < 0)
        return 0;
    for (unsigned number = 1; number <= rotation->backups; number++) {
        CLEANUP_FREE char *name = backup_name(rotation->path, number, "");
        if (name && lstat(name, &st) == 0 && st.st_ino == wanted.st_ino &&
            st.st_dev == wanted.st_dev)
            return number;
    }
    return 0;
}

static int replace_plain(const struct rotation *rotation, int fd, const char *compressed)
{
    unsigned number = find_number(rotation, fd);
    if (number == 0)
        return unlink(compressed) < 0 ? -errno : 0;
    CLEANUP_FREE char *plain = backup_name(rotation->path, number, "");
    CLEANUP_FREE char *final = backup_name(rotation->path, number, ".gz");
    if (!plain || !final)
        return -ENOMEM;
    return rename(compressed, final) < 0 || unlink(plain) < 0 ? -errno : 0;
}

static int compress_one(struct rotation *rotation, int fd)
{
    CLEANUP_FREE char *compressed = string_format("%s.compressing", rotation->path);
    int r = compressed ? compress_file(fd, compressed) : -ENOMEM;
    if (r == 0) {
        (void)pthread_mutex_lock(&rotation->mutex);
        r = replace_plain(rotation, fd, compressed);
        (void)pthread_mutex_unlock(&rotation->mutex);
    }
    if (r < 0 && compressed)
        (void)unlink(compressed);
    return r;
}

static int next_plain(struct rotation *rotation, int error)
{
    (void)pthread_mutex_lock(&rotation->mutex);
    int fd = error < 0 ? error : open_plain(rotation);
    rotation->compressing = fd >= 0;
    if (fd < 0 && fd != -ENOENT)
        rotation->error = fd;
    (void)pthread_mutex_unlock(&rotation->mutex);
    return fd;
}

static void *run(void *userdata)
{
    struct rotation *rotation = userdata;
    int r = 0;
    /* Of this thread alone: Linux has it so. */
    (void)setpriority(PRIO_PROCESS, 0, LEAST_NICE);
    for (;;) {
        CLEANUP_FD int fd = next_plain(rotation, r);
        if (fd < 0)
            break;
        r = compress_one(rotation, fd);
    }
    (void)rotation_unref(rotation);
    return NULL;
}

void rotation_compress(struct rotation *rotation)
{
    (void)pthread_mutex_lock(&rotation->mutex);
    if (!rotation->compressing) {
        rotation->references++;
        int r = thread_start(run, rotation);
        rotation->compressing = r == 0;
        if (r < 0) {
            rotation->references--;
            rotation->error = r;
        }
    }
    (void)pthread_mutex_unlock(&rotation->mutex);
}

int rotation_take_error(struct rotation *rotation)
{
    (void)pthread_mutex_lock(&rotation->mutex);
    int error = rotation->error;
    rotation->error = 0;
    (void)pthread_mutex_unlock(&rotation->mutex);
    return error;
}
