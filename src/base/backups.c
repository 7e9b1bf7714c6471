#include "base/backups.h"

#include "base/macros.h"
#include "base/strv.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <unistd.h>

static const char *const endings[] = {"", ".gz"};

char *backup_name(const char *path, unsigned number, const char *ending)
{
    return string_format("%s.%u%s", path, number, ending);
}

static int drop_backup(const char *path, unsigned number)
{
    for (size_t i = 0; i < ARRAY_SIZE(endings); i++) {
        CLEANUP_FREE char *name = backup_name(path, number, endings[i]);
        if (!name)
            return -ENOMEM;
        if (unlink(name) < 0 && errno != ENOENT)
            return -errno;
    }
    return 0;
}

static int move_backup(const char *path, unsigned number)
{
    for (size_t i = 0; i < ARRAY_SIZE(endings); i++) {
        CLEANUP_FREE char *from = backup_name(path, number, endings[i]);
        CLEANUP_FREE char *to = backup_name(path, number + 1, endings[i]);
        if (!from || !to)
            return -ENOMEM;
        if (rename(from, to) < 0 && errno != ENOENT)
            return -errno;
    }
    return 0;
}

static bool backup_exists(const char *path, unsigned number)
{
    for (size_t i = 0; i < ARRAY_SIZE(endings); i++) {
        CLEANUP_FREE char *name = backup_name(path, number, endings[i]);
        if (!name || faccessat(AT_FDCWD, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
            return true;
    }
    return false;
}

/* Up to the first gap, which takes the last of them: so it costs what there is, not what there may be. */
int backups_shift(const char *path, unsigned backups)
{
    CLEANUP_FREE char *newest = backup_name(path, 1, "");
    unsigned n = 0;
    while (n < backups && backup_exists(path, n + 1))
        n++;
    int r = newest ? 0 : -ENOMEM;
    if (r == 0 && n == backups)
        r = drop_backup(path, n);
    for (unsigned number = n == backups ? n - 1 : n; r == 0 && number > 0; number--)
        r = move_backup(path, number);
    return r == 0 && rename(path, newest) < 0 ? -errno : r;
}
