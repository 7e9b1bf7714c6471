#include "worker/pins.h"

#include "base/fd.h"
#include "base/strv.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct pinned_directory {
    char *path;
    int fd;        /* O_PATH; -errno: why it could not be opened */
    bool replaced; /* the first one is gone, this is what was found under its path then */
};

struct pinned_file {
    const char *directory; /* that a relative path begins at: a pinned one's; NULL for an absolute one */
    char *path;            /* as the command has it */
    struct stat identity;
};

/* Few: more than one only where a command or directory differs from slot to slot. */
struct pins {
    unsigned references;
    struct pinned_directory *directories;
    size_t n_directories;
    struct pinned_file *files;
    size_t n_files;
};

struct pins *pins_new(void)
{
    struct pins *pins = calloc(1, sizeof(*pins));
    if (pins)
        pins->references = 1;
    return pins;
}

struct pins *pins_ref(struct pins *pins)
{
    pins->references++;
    return pins;
}

struct pins *pins_unref(struct pins *pins)
{
    if (!pins || --pins->references > 0)
        return NULL;
    for (size_t i = 0; i < pins->n_directories; i++) {
        free(pins->directories[i].path);
        (void)fd_close(pins->directories[i].fd);
    }
    for (size_t i = 0; i < pins->n_files; i++)
        free(pins->files[i].path);
    free(pins->directories);
    free(pins->files);
    free(pins);
    return NULL;
}

void pinned_place_clear(struct pinned_place *place)
{
    free(place->directory);
    free(place->remark);
    *place = (struct pinned_place){.fd = -1};
}

/* Directories */

static int open_directory(const char *path)
{
    int fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

static struct pinned_directory *find_directory(struct pins *pins, const char *path)
{
    for (size_t i = 0; i < pins->n_directories; i++)
        if (strcmp(pins->directories[i].path, path) == 0)
            return &pins->directories[i];
    return NULL;
}

int pins_hold(struct pins *pins, const char *directory)
{
    if (find_directory(pins, directory))
        return 0;
    struct pinned_directory *larger = reallocarray(pins->directories, pins->n_directories + 1,
                                                   sizeof(*larger));
    if (!larger)
        return -ENOMEM;
    pins->directories = larger;
    char *path = strdup(directory);
    if (!path)
        return -ENOMEM;
    larger[pins->n_directories++] = (struct pinned_directory){.path = path,
                                                              .fd = open_directory(path)};
    return 0;
}

/* The name that the kernel has for it: 0 or -errno. */
static int read_name(int fd, char name[PATH_MAX])
{
    char link[64];
    (void)snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    ssize_t n = fd < 0 ? -1 : readlink(link, name, PATH_MAX);
    if (n <= 0 || n >= PATH_MAX || name[0] != '/')
        return -ENOENT;
    name[n] = '\0';
    return 0;
}

/* Unless that is how it is really called. */
static bool is_called_deleted(int fd, const struct stat *st)
{
    static const char mark[] = " (deleted)";
    char name[PATH_MAX];
    struct stat now;
    if (read_name(fd, name) < 0)
        return false;
    size_t length = strlen(name);
    return length > strlen(mark) && strcmp(name + length - strlen(mark), mark) == 0 &&
           (stat(name, &now) < 0 || now.st_dev != st->st_dev || now.st_ino != st->st_ino);
}

/*
 * Removed directories can still be entered, but nothing can be found or made in them any more. They have no link; only overlayfs,
 * which containers have, says of those that it merged that they have one for ever.
 */
static bool is_removed(int fd)
{
    struct stat st;
    return fstat(fd, &st) < 0 || st.st_nlink == 0 || is_called_deleted(fd, &st);
}

static void refresh(struct pinned_directory *directory)
{
    if (directory->fd >= 0 && !is_removed(directory->fd))
        return;
    directory->replaced = directory->replaced || directory->fd >= 0;
    (void)fd_close(directory->fd);
    directory->fd = open_directory(directory->path);
}

/* Where the directory is by now, under whatever name; its configured path where that cannot be told. */
static char *current_path(const struct pinned_directory *directory)
{
    char name[PATH_MAX];
    return strdup(read_name(directory->fd, name) < 0 ? directory->path : name);
}

int pins_enter(struct pins *pins, const char *path, struct pinned_place *ret)
{
    int r = pins_hold(pins, path);
    if (r < 0)
        return r;
    struct pinned_directory *directory = find_directory(pins, path);
    refresh(directory);
    CLEANUP(pinned_place_clear)
    struct pinned_place place = {.fd = directory->fd,
                                 .directory = current_path(directory),
                                 .configured = path,
                                 .mixed = directory->replaced};
    if (!place.directory)
        return -ENOMEM;
    if (place.mixed && place.fd >= 0) {
        place.remark = string_format("the directory it began with was removed; %s is %s now", path,
                                     place.directory);
        if (!place.remark)
            return -ENOMEM;
    }
    *ret = place;
    place = (struct pinned_place){.fd = -1};
    return 0;
}

/* Program files */

static bool is_under(const char *path, const char *directory)
{
    size_t n = strlen(directory);
    return path[0] != '/' || (string_starts_with(path, directory) && path[n] == '/');
}

static bool is_program_file(const struct pinned_place *place, const char *argument,
                            struct stat *ret)
{
    int at = place->fd >= 0 ? place->fd : AT_FDCWD;
    return argument[0] != '\0' &&
           (is_under(argument, place->directory) || is_under(argument, place->configured)) &&
           fstatat(at, argument, ret, 0) == 0 && S_ISREG(ret->st_mode);
}

static const char *find_program(const struct pinned_place *place, char *const *argv,
                                const char *executable, struct stat *ret)
{
    for (size_t i = 1; argv[0] && argv[i]; i++)
        if (is_program_file(place, argv[i], ret))
            return argv[i];
    return stat(executable, ret) == 0 ? executable : NULL;
}

const char *pinned_place_find_program(const struct pinned_place *place, char *const *argv,
                                      const char *executable)
{
    struct stat st;
    return find_program(place, argv, executable, &st);
}

static bool is_same_file(const struct stat *a, const struct stat *b)
{
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino &&
           a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

static struct pinned_file *find_file(struct pins *pins, const char *directory, const char *name)
{
    for (size_t i = 0; i < pins->n_files; i++)
        if (pins->files[i].directory == directory && strcmp(pins->files[i].path, name) == 0)
            return &pins->files[i];
    return NULL;
}

static int remember_file(struct pins *pins, const char *directory, const char *name,
                         const struct stat *st)
{
    struct pinned_file *larger = reallocarray(pins->files, pins->n_files + 1, sizeof(*larger));
    if (!larger)
        return -ENOMEM;
    pins->files = larger;
    char *path = strdup(name);
    if (!path)
        return -ENOMEM;
    larger[pins->n_files++] = (struct pinned_file){
        .directory = directory, .path = path, .identity = *st};
    return 0;
}

int pins_compare_program(struct pins *pins, struct pinned_place *place, char *const *argv,
                         const char *executable)
{
    struct stat st;
    const char *name = find_program(place, argv, executable, &st);
    if (!name)
        return 0;
    const struct pinned_directory *begin = name[0] == '/' ? NULL
                                                          : find_directory(pins, place->configured);
    const char *directory = begin ? begin->path : NULL;
    const struct pinned_file *known = find_file(pins, directory, name);
    if (!known)
        return remember_file(pins, directory, name, &st);
    if (is_same_file(&known->identity, &st))
        return 0;
    place->mixed = true;
    if (!place->remark)
        place->remark = string_format("%s was replaced since its generation began", name);
    return place->remark ? 0 : -ENOMEM;
}

static bool is_same_directory(const struct pinned_directory *a, const struct pinned_directory *b)
{
    struct stat one, other;
    if (strcmp(a->path, b->path) != 0 || a->fd < 0 || b->fd < 0)
        return false;
    return fstat(a->fd, &one) == 0 && fstat(b->fd, &other) == 0 && one.st_dev == other.st_dev &&
           one.st_ino == other.st_ino;
}

static bool is_unchanged(struct pins *pins, const struct pinned_file *file)
{
    struct stat st;
    const struct pinned_directory *begin = file->directory ? find_directory(pins, file->directory)
                                                           : NULL;
    if (file->directory && (!begin || begin->fd < 0))
        return false;
    return fstatat(begin ? begin->fd : AT_FDCWD, file->path, &st, 0) == 0 &&
           is_same_file(&file->identity, &st);
}

bool pins_are_same(const struct pins *old, struct pins *new)
{
    bool same = old->n_directories == new->n_directories;
    for (size_t i = 0; same && i < new->n_directories; i++)
        same = is_same_directory(&old->directories[i], &new->directories[i]);
    for (size_t i = 0; same && i < old->n_files; i++)
        same = is_unchanged(new, &old->files[i]);
    return same;
}
