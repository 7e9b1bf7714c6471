#include "base/runtime-directory.h"

#include "base/strv.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#define ROOTS_DIRECTORY "/run/reloader"

/* Variables that are empty or relative count as unset, as the XDG specification asks for. */
static const char *directory_variable(const char *name)
{
    const char *value = getenv(name);
    return value && value[0] == '/' ? value : NULL;
}

static char *temporary_directory(void)
{
    const char *base = directory_variable("TMPDIR");
    return string_format("%s/reloader-%u", base ? base : "/tmp", geteuid());
}

char *runtime_directory_default(void)
{
    if (geteuid() == 0)
        return strdup(ROOTS_DIRECTORY);
    const char *base = directory_variable("XDG_RUNTIME_DIR");
    return base ? string_format("%s/reloader", base) : temporary_directory();
}

static int append_once(char ***v, char *path)
{
    if (path && strv_contains(*v, path)) {
        free(path);
        return 0;
    }
    return strv_consume(v, path);
}

int runtime_directory_candidates(char ***ret)
{
    CLEANUP_STRV char **found = NULL;
    if (append_once(&found, runtime_directory_default()) < 0)
        return -ENOMEM;
    if (geteuid() != 0 && append_once(&found, temporary_directory()) < 0)
        return -ENOMEM;
    if (append_once(&found, strdup(ROOTS_DIRECTORY)) < 0)
        return -ENOMEM;
    *ret = TAKE_PTR(found);
    return 0;
}
