#include "base/process-name.h"

#include "base/fd.h"
#include "base/macros.h"
#include "base/strv.h"

#include <ctype.h>

#define NAME_SIZE ((size_t)256)

char *process_name(pid_t pid)
{
    CLEANUP_FREE char *path = string_format("/proc/%d/comm", (int)pid), *name = NULL;
    size_t size = 0;
    if (!path || fd_read_file(path, NAME_SIZE, &name, &size) < 0)
        return NULL;
    if (size > 0)
        name[size - 1] = '\0'; /* its newline */
    for (char *c = name; *c; c++)
        if (!isprint((unsigned char)*c))
            *c = '?';
    return TAKE_PTR(name);
}
