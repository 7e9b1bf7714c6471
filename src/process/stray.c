#include "process/stray.h"

#include "base/fd.h"
#include "base/strv.h"

#include <errno.h>
#include <string.h>
#include <sys/prctl.h>

/*
 * The kernel allows some MiB, which forks share: a worker could cheaply have a thousand strays of which each takes us a
 * millisecond.
 */
#define ENVIRONMENT_MAX ((size_t)256 << 10)

int process_adopt_orphans(void)
{
    return prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) < 0 ? -errno : 0;
}

static const char *find_variable(const char *data, size_t size, const char *name)
{
    const size_t length = strlen(name);
    for (const char *entry = data; entry < data + size; entry += strlen(entry) + 1)
        if (strncmp(entry, name, length) == 0 && entry[length] == '=')
            return entry + length + 1;
    return NULL;
}

int process_get_variable(pid_t pid, const char *name, char **ret)
{
    CLEANUP_FREE char *path = string_format("/proc/%d/environ", (int)pid), *data = NULL;
    size_t size = 0;
    if (!path)
        return -ENOMEM;
    int r = fd_read_file(path, ENVIRONMENT_MAX, &data, &size);
    if (r < 0)
        return r;
    const char *value = find_variable(data, size, name);
    if (!value)
        return size == 0 || *data == '\0' ? -ENODATA : -ENOENT;
    char *copy = strdup(value);
    if (!copy)
        return -ENOMEM;
    *ret = copy;
    return 0;
}
