#include "process/usage.h"

#include "base/fd.h"
#include "base/macros.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

/* Short files of /proc, which are whole in one read. Returns the length or -errno. */
static ssize_t read_file(pid_t pid, const char *name, char *buffer, size_t size)
{
    char path[64];
    (void)snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, name);
    CLEANUP_FD int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT ? -ESRCH : -errno;
    ssize_t n = read(fd, buffer, size - 1);
    if (n < 0)
        return -errno;
    buffer[n] = '\0';
    return n;
}

int process_memory(pid_t pid, uint64_t *ret)
{
    char text[256];
    uint64_t pages;
    ssize_t n = read_file(pid, "statm", text, sizeof(text));
    if (n < 0)
        return (int)n;
    if (sscanf(text, "%*u %" SCNu64, &pages) != 1)
        return -EBADMSG;
    *ret = pages * (uint64_t)sysconf(_SC_PAGESIZE);
    return 0;
}
