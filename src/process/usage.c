/* Each file is read whole by one read(), so that what it tells belongs together. */
#include "process/usage.h"

#include "base/fd.h"
#include "base/macros.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int error_of(int error)
{
    return error == ENOENT ? -ESRCH : -error;
}

int process_open(pid_t pid)
{
    char path[32];
    (void)snprintf(path, sizeof(path), "/proc/%d", (int)pid);
    int fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    return fd < 0 ? error_of(errno) : fd;
}

static int read_file(int process_fd, const char *name, char *buffer, size_t size)
{
    CLEANUP_FD int fd = openat(process_fd, name, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return error_of(errno);
    ssize_t n = read(fd, buffer, size - 1);
    if (n < 0)
        return -errno;
    buffer[n] = '\0';
    return 0;
}

static uint64_t pages_to_bytes(uint64_t pages)
{
    return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

int process_memory(pid_t pid, uint64_t *ret)
{
    char text[256];
    uint64_t pages;
    CLEANUP_FD int process_fd = process_open(pid);
    if (process_fd < 0)
        return process_fd;
    int r = read_file(process_fd, "statm", text, sizeof(text));
    if (r < 0)
        return r;
    if (sscanf(text, "%*u %" SCNu64, &pages) != 1)
        return -EBADMSG;
    *ret = pages_to_bytes(pages);
    return 0;
}

static uint64_t ticks_to_usec(uint64_t ticks)
{
    uint64_t hertz = (uint64_t)sysconf(_SC_CLK_TCK);
    return ticks / hertz * USEC_PER_SEC + ticks % hertz * USEC_PER_SEC / hertz;
}

int process_usage(int process_fd, struct process_usage *ret)
{
    char text[1024];
    int parent;
    uint64_t user, system, start, pages;
    int r = read_file(process_fd, "stat", text, sizeof(text));
    if (r < 0)
        return r;
    /* The name before it may have blanks, brackets and line ends of its own. */
    const char *fields = strrchr(text, ')');
    if (!fields || sscanf(fields + 1,
                          " %*c %d %*d %*d %*d %*d %*u %*u %*u %*u %*u %" SCNu64 " %" SCNu64
                          " %*d %*d %*d %*d %*d %*d %" SCNu64 " %*u %" SCNu64,
                          &parent, &user, &system, &start, &pages) != 5)
        return -EBADMSG;
    *ret = (struct process_usage){.parent = parent,
                                  .start_usec = ticks_to_usec(start),
                                  .cpu_usec = ticks_to_usec(user) + ticks_to_usec(system),
                                  .memory = pages_to_bytes(pages)};
    return 0;
}

int process_pss(int process_fd, uint64_t *ret)
{
    char text[4096];
    uint64_t kilobytes;
    int r = read_file(process_fd, "smaps_rollup", text, sizeof(text));
    if (r < 0)
        return r;
    const char *line = strstr(text, "\nPss:");
    if (!line || sscanf(line, " Pss: %" SCNu64 " kB", &kilobytes) != 1)
        return -EBADMSG;
    *ret = kilobytes * 1024;
    return 0;
}

static int compare_networks(int process_fd)
{
    struct stat its, ours;
    if (fstatat(process_fd, "ns/net", &its, 0) < 0)
        return error_of(errno);
    if (stat("/proc/self/ns/net", &ours) < 0)
        return -errno;
    return its.st_dev == ours.st_dev && its.st_ino == ours.st_ino ? 0 : -EXDEV;
}

/* The inode of a socket, 0 for any other descriptor and for one that was closed meanwhile. */
static uint32_t socket_of(int directory_fd, const char *name)
{
    char what[64];
    uint32_t inode;
    ssize_t n = readlinkat(directory_fd, name, what, sizeof(what) - 1);
    if (n < 0)
        return 0;
    what[n] = '\0';
    return sscanf(what, "socket:[%" SCNu32 "]", &inode) == 1 ? inode : 0;
}

static void close_directory(DIR **directory)
{
    if (*directory)
        (void)closedir(*directory);
}

int process_count_fds(int process_fd, bool (*holds)(uint32_t inode, void *userdata), void *userdata,
                      struct process_fds *ret)
{
    struct process_fds count = {0};
    CLEANUP_FD int fd = openat(process_fd, "fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return error_of(errno);
    int r = holds ? compare_networks(process_fd) : 0;
    CLEANUP(close_directory) DIR *directory = r == 0 ? fdopendir(fd) : NULL;
    if (!directory)
        return r < 0 ? r : -errno;
    int directory_fd = TAKE_FD(fd);
    const struct dirent *entry;
    while ((entry = readdir(directory))) {
        if (entry->d_name[0] == '.')
            continue;
        if (count.all++ >= PROCESS_FDS_MAX)
            return -EFBIG;
        uint32_t inode = holds ? socket_of(directory_fd, entry->d_name) : 0;
        count.counted += inode != 0 && holds(inode, userdata);
    }
    *ret = count;
    return 0;
}
