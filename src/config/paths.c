#include "config/paths.h"

#include "base/strv.h"

#include <string.h>
#include <unistd.h>

/* "/a" and "./b" are "/a/b", "/a" and "." just "/a", and what is absolute stays. */
char *path_join(const char *directory, const char *path)
{
    if (path[0] == '/')
        return strdup(path);
    while (path[0] == '.' && path[1] == '/')
        path += 2;
    if (path[0] == '\0' || strcmp(path, ".") == 0)
        return strdup(directory);
    return string_format("%s/%s", strcmp(directory, "/") == 0 ? "" : directory, path);
}

char *path_absolute(const char *path)
{
    CLEANUP_FREE char *directory = path[0] == '/' ? NULL : getcwd(NULL, 0);
    if (path[0] != '/' && !directory)
        return NULL;
    return path_join(directory ? directory : "/", path);
}

char *path_directory(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash == path ? strdup("/") : strndup(path, (size_t)(slash - path));
}
