#include "master/runtime-directory.h"

#include "base/fd.h"
#include "base/parse.h"
#include "base/strv.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* The parent is somebody else's concern, but for the one level that a fresh system lacks (/run/reloader's /run exists). */
static int make_directory(const char *path, mode_t mode)
{
    if (mkdir(path, mode) == 0)
        return chmod(path, mode) < 0 ? -errno : 1; /* whatever the umask */
    return errno == EEXIST ? 0 : -errno;
}

static int check_directory(const char *path, char **ret_error)
{
    struct stat st;
    if (lstat(path, &st) < 0) {
        int error = errno;
        *ret_error = string_format("runtime_directory %s: %s", path, strerror(error));
        return -error;
    }
    if (!S_ISDIR(st.st_mode)) {
        *ret_error = string_format("runtime_directory %s: is %s; choose another", path,
                                   S_ISLNK(st.st_mode) ? "a symbolic link" : "no directory");
        return -ENOTDIR;
    }
    if (st.st_uid != geteuid()) {
        *ret_error = string_format(
            "runtime_directory %s: belongs to user %u, not to us (%u); choose another", path,
            (unsigned)st.st_uid, (unsigned)geteuid());
        return -EPERM;
    }
    if (st.st_mode & (S_IWGRP | S_IWOTH)) {
        *ret_error = string_format(
            "runtime_directory %s: others may write to it (mode %04o); chmod it to %s, "
            "or choose another",
            path, (unsigned)(st.st_mode & 07777), geteuid() == 0 ? "0711" : "0700");
        return -EPERM;
    }
    return 0;
}

/* While it is his, he may put anything in our way: from here on he cannot. */
static int take_back(const char *path, uid_t heir)
{
    struct stat st;
    if (heir == (uid_t)-1 || heir == geteuid() || lstat(path, &st) < 0 || !S_ISDIR(st.st_mode) ||
        st.st_uid != heir)
        return 0;
    return lchown(path, geteuid(), getegid()) == 0;
}

int runtime_directory_prepare(const char *path, uid_t heir, char **ret_error)
{
    int taken = take_back(path, heir);
    int r = make_directory(path, geteuid() == 0 ? 0711 : 0700);
    if (r < 0) {
        *ret_error = string_format("runtime_directory %s: cannot make it: %s%s", path, strerror(-r),
                                   r == -EROFS ? "; let runtime_directory be on a tmpfs" : "");
        return r;
    }
    int checked = check_directory(path, ret_error);
    return checked < 0 ? checked : MAX(r, taken);
}

static bool is_left_over(const char *name)
{
    static const char prefix[] = "notify-";
    uint64_t pid;
    if (!string_starts_with(name, prefix) ||
        parse_unsigned(name + strlen(prefix), 1, INT32_MAX, &pid) < 0)
        return false;
    return (pid_t)pid == getpid() || (kill((pid_t)pid, 0) < 0 && errno == ESRCH);
}

/* There are sockets in it, nothing else; what is something else stays, and so does the directory. */
static void remove_notify_directory(int parent, const char *name)
{
    int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *directory = fd < 0 ? NULL : fdopendir(fd);
    if (!directory) {
        (void)fd_close(fd);
        return;
    }
    for (struct dirent *entry; (entry = readdir(directory));)
        if (entry->d_type == DT_SOCK)
            (void)unlinkat(dirfd(directory), entry->d_name, 0);
    (void)closedir(directory);
    (void)unlinkat(parent, name, AT_REMOVEDIR);
}

static void remove_left_overs(const char *path)
{
    DIR *directory = opendir(path);
    if (!directory)
        return;
    for (struct dirent *entry; (entry = readdir(directory));)
        if (is_left_over(entry->d_name))
            remove_notify_directory(dirfd(directory), entry->d_name);
    (void)closedir(directory);
}

int runtime_directory_prepare_notify(const char *path, char **ret_notify, char **ret_error)
{
    remove_left_overs(path);
    CLEANUP_FREE char *notify = string_format("%s/notify-%d", path, (int)getpid());
    if (!notify)
        return -ENOMEM;
    int r = runtime_directory_prepare(notify, (uid_t)-1, ret_error);
    if (r < 0)
        return r;
    *ret_notify = TAKE_PTR(notify);
    return 0;
}
