/*
 * What will be executed, found before anything is started, so that a missing program is said once and clearly, and what to
 * say when the kernel refuses it. execve() reports a missing interpreter as it does a missing program: the first line
 * of the file tells which it was.
 */
#include "process/spawn.h"

#include "base/fd.h"
#include "base/strv.h"

#include <errno.h>
#include <fcntl.h>
#include <paths.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FIRST_LINE_SIZE 256 /* as much as the kernel looks at */

/* name[0…length) as an absolute path: relative ones begin at `directory`, or at ours. */
static char *make_absolute(const char *directory, const char *name, int length)
{
    CLEANUP_FREE char *ours = NULL;
    if (*name == '/')
        return string_format("%.*s", length, name);
    if (!directory) {
        ours = get_current_dir_name();
        if (!ours)
            return NULL;
        directory = ours;
    }
    if (length == 0)
        return string_format("%s", directory);
    return string_format("%s/%.*s", directory, length, name);
}

static int check_executable(const char *path)
{
    struct stat st;
    if (stat(path, &st) < 0)
        return errno == ENOTDIR ? -ENOENT : -errno;
    if (S_ISDIR(st.st_mode))
        return -EISDIR;
    if (!S_ISREG(st.st_mode) || faccessat(AT_FDCWD, path, X_OK, AT_EACCESS) < 0)
        return -EACCES;
    return 0;
}

static int find_in_path(const char *name, const char *directory, const char *search, char **ret)
{
    int result = -ENOENT;

    for (const char *entry = search;; entry++) {
        size_t length = strcspn(entry, ":");
        CLEANUP_FREE char *place = make_absolute(directory, length ? entry : "", (int)length);
        CLEANUP_FREE char *path = place ? string_format("%s/%s", place, name) : NULL;
        if (!path)
            return -ENOMEM;
        int r = check_executable(path);
        if (r == 0) {
            *ret = TAKE_PTR(path);
            return 0;
        }
        /* As execvp() does: something that cannot be run does not hide what a later directory has. */
        if (r == -EACCES)
            result = r;
        entry += length;
        if (*entry == '\0')
            return result;
    }
}

int spawn_find_executable(const char *name, const char *directory, char *const *envp, char **ret)
{
    if (*name == '\0')
        return -ENOENT;
    if (!strchr(name, '/')) {
        const char *search = strv_env_get(envp, "PATH");
        return find_in_path(name, directory, search ? search : _PATH_STDPATH, ret);
    }
    CLEANUP_FREE char *path = make_absolute(directory, name, (int)strlen(name));
    if (!path)
        return -ENOMEM;
    int r = check_executable(path);
    if (r < 0)
        return r;
    *ret = TAKE_PTR(path);
    return 0;
}

/* The interpreter that "#!" names, with a carriage return if there is one; "" without "#!". */
static void read_interpreter(const char *path, char interpreter[FIRST_LINE_SIZE])
{
    char line[FIRST_LINE_SIZE];
    ssize_t n = -1;
    CLEANUP_FD int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

    interpreter[0] = '\0';
    if (fd >= 0)
        n = read(fd, line, sizeof(line) - 1);
    if (n < 0)
        return;
    line[n] = '\0';
    if (!string_starts_with(line, "#!"))
        return;
    const char *begin = line + 2 + strspn(line + 2, " \t");
    (void)snprintf(interpreter, FIRST_LINE_SIZE, "%.*s", (int)strcspn(begin, " \t\n"), begin);
}

static char *missing_to_text(const char *path)
{
    char interpreter[FIRST_LINE_SIZE];

    if (access(path, F_OK) < 0)
        return string_format("cannot execute '%s': %s", path, strerror(ENOENT));
    read_interpreter(path, interpreter);
    char *carriage_return = strchr(interpreter, '\r');
    if (carriage_return)
        return string_format("cannot execute '%s': its first line ends with a carriage return, "
                             "save it with Unix line ends",
                             path);
    if (*interpreter)
        return string_format("cannot execute '%s': its interpreter '%s' does not exist", path,
                             interpreter);
    return string_format("cannot execute '%s': the loader it asks for does not exist, is it built "
                         "for another system?",
                         path);
}

static char *exec_failure_to_text(int error, const struct spawn_params *params)
{
    const char *name = params->executable ? params->executable : params->argv[0];

    if (error == ENOENT && params->executable)
        return missing_to_text(name);
    if (error == ENOEXEC)
        return string_format("cannot execute '%s': %s (a script needs a first line like #!/bin/sh, "
                             "a program must be built for this machine)",
                             name, strerror(error));
    if (error == EACCES)
        return string_format("cannot execute '%s': %s (it must be a file with execute permission "
                             "for %s, and not on a noexec mount)",
                             name, strerror(error),
                             identity_changes_user(params->identity) ? "its user" : "us");
    if (error == EAGAIN)
        return string_format("cannot execute '%s': %s (its user has more processes than the limit "
                             "nproc allows)",
                             name, strerror(error));
    if (error == ETIMEDOUT)
        return string_format(
            "cannot execute '%s': it was not there after 3 s, as if it was stopped "
            "again and again, or its file system hangs",
            name);
    if (error == ENOENT && *name && !strchr(name, '/'))
        return string_format("cannot execute '%s': %s (it is in no directory of its PATH)", name,
                             strerror(error));
    return string_format("cannot execute '%s': %s", name, strerror(error));
}

static char *clone_failure_to_text(int error)
{
    const char *hint = "";
    if (error == EAGAIN)
        hint =
            " (too many processes: see the limits RLIMIT_NPROC and pids.max of the control group)";
    else if (error == EMFILE || error == ENFILE)
        hint = " (the limit RLIMIT_NOFILE leaves no descriptor to watch it by)";
    else if (error == EINVAL)
        hint = " (Linux 5.4 or later is needed)";
    return string_format("cannot start a process: %s%s", strerror(error), hint);
}

char *spawn_failure_to_text(const struct spawn_failure *failure, const struct spawn_params *params)
{
    const char *reason = strerror(failure->error);

    switch (failure->step) {
    case SPAWN_STEP_CLONE:
        return clone_failure_to_text(failure->error);
    case SPAWN_STEP_GROUP:
        return string_format("cannot make a process group: %s", reason);
    case SPAWN_STEP_FDS:
        return string_format("cannot hand over its file descriptors: %s%s", reason,
                             failure->error == EMFILE ? " (see RLIMIT_NOFILE)" : "");
    case SPAWN_STEP_LIMITS:
        if (!params->identity || !(params->identity->limits_set & 1u << failure->detail))
            return string_format("cannot set its limit of open files: %s", reason);
        return identity_failure_to_text(failure, params->identity);
    case SPAWN_STEP_NICE:
    case SPAWN_STEP_OOM_SCORE:
    case SPAWN_STEP_AFFINITY:
    case SPAWN_STEP_SET_GROUPS:
    case SPAWN_STEP_SET_GROUP:
    case SPAWN_STEP_SET_USER:
    case SPAWN_STEP_CAPABILITIES:
    case SPAWN_STEP_NO_NEW_PRIVILEGES:
        return identity_failure_to_text(failure, params->identity);
    case SPAWN_STEP_DIRECTORY:
        return string_format("cannot change to directory '%s': %s%s",
                             params->directory ? params->directory : "", reason,
                             failure->error == EACCES && identity_changes_user(params->identity)
                                 ? " (its user may not enter it)"
                                 : "");
    case SPAWN_STEP_EXEC:
        return exec_failure_to_text(failure->error, params);
    }
    return string_format("cannot start a process: %s", reason);
}
