#include "reloader/inherited.h"

#include "base/fd.h"
#include "base/parse.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

static int fill_standard(void)
{
    int fd;
    do
        fd = open("/dev/null", O_RDWR | O_NOCTTY);
    while (fd >= 0 && fd <= STDERR_FILENO);
    if (fd < 0)
        return -errno;
    (void)fd_close(fd);
    return 0;
}

/* Without /proc they stay as they are: workers then have more than they should, but nothing fails. */
static void keep_from_workers(void)
{
    DIR *directory = opendir("/proc/self/fd");
    if (!directory)
        return;
    for (struct dirent *entry; (entry = readdir(directory));) {
        uint64_t fd;
        if (parse_unsigned(entry->d_name, STDERR_FILENO + 1, INT32_MAX, &fd) == 0)
            (void)fcntl((int)fd, F_SETFD, FD_CLOEXEC);
    }
    (void)closedir(directory);
}

int inherited_put_right(void)
{
    (void)signal(SIGCHLD, SIG_DFL);
    int r = fill_standard();
    if (r == 0)
        keep_from_workers();
    return r;
}
