/* Part by part: the paths found so far, then those below them. */
#include "config/glob.h"

#include "base/strv.h"

#include <dirent.h>
#include <errno.h>
#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

struct search {
    char **found, **next;
    size_t n_found, n_next;
    size_t looked_at;
    char *reason;
};

/* "[*]", what glob_from_path() makes of a star: the one character in it, else NUL. */
static char quoted_character(const char *s)
{
    return s[0] == '[' && s[1] != '\0' && strchr("*?[", s[1]) && s[2] == ']' ? s[1] : '\0';
}

/* An open bracket that nothing closes in this part of the path is a character like others. */
static bool is_set(const char *s)
{
    if (s[0] != '[' || s[1] == '\0' || s[1] == '/')
        return false;
    const char *close = strpbrk(s + 2, "]/");
    return close && *close == ']';
}

static bool is_wild(const char *s, size_t length)
{
    for (const char *end = s + length; s < end; s++) {
        if (quoted_character(s) != '\0')
            s += 2;
        else if (*s == '*' || *s == '?' || is_set(s))
            return true;
    }
    return false;
}

bool glob_is_pattern(const char *pattern)
{
    return is_wild(pattern, strlen(pattern));
}

char *glob_from_path(const char *path)
{
    char *pattern = malloc(3 * strlen(path) + 1), *to = pattern;
    if (!pattern)
        return NULL;
    for (; *path != '\0'; path++) {
        bool special = strchr("*?[", *path);
        if (special)
            *to++ = '[';
        *to++ = *path;
        if (special)
            *to++ = ']';
    }
    *to = '\0';
    return pattern;
}

char *glob_to_path(const char *pattern)
{
    char *path = strdup(pattern), *to = path;
    if (!path)
        return NULL;
    while (*pattern != '\0') {
        char quoted = quoted_character(pattern);
        *to++ = quoted != '\0' ? quoted : *pattern;
        pattern += quoted != '\0' ? 3 : 1;
    }
    *to = '\0';
    return path;
}

static void search_clear(struct search *s)
{
    for (size_t i = 0; i < s->n_found; i++)
        free(s->found[i]);
    for (size_t i = 0; i < s->n_next; i++)
        free(s->next[i]);
    free(s->found);
    free(s->next);
    free(s->reason);
}

static int add_next(struct search *s, const char *directory, const char *name)
{
    char *path = string_format("%s/%s", directory, name);
    char **larger = reallocarray(s->next, s->n_next + 2, sizeof(char *));
    if (larger)
        s->next = larger;
    if (!larger || !path) {
        free(path);
        return -ENOMEM;
    }
    s->next[s->n_next++] = path;
    s->next[s->n_next] = NULL;
    return 0;
}

static int fail(struct search *s, int error, const char *directory, const char *why)
{
    s->reason = string_format("cannot look into '%s': %s", *directory ? directory : "/", why);
    return s->reason ? -error : -ENOMEM;
}

static void close_directory(DIR **directory)
{
    if (*directory)
        (void)closedir(*directory);
}

static int look_into(struct search *s, const char *path, const char *part)
{
    CLEANUP(close_directory) DIR *directory = opendir(*path ? path : "/");
    if (!directory && (errno == ENOENT || errno == ENOTDIR))
        return 0;
    if (!directory)
        return fail(s, errno, path, strerror(errno));
    for (;;) {
        errno = 0;
        const struct dirent *entry = readdir(directory);
        if (!entry && errno != 0)
            return fail(s, errno, path, strerror(errno));
        if (!entry)
            return 0;
        if (s->looked_at++ >= GLOB_ENTRIES_MAX)
            return fail(s, E2BIG, path, "more than 20000 files to look at for one pattern");
        if (fnmatch(part, entry->d_name, FNM_PERIOD | FNM_NOESCAPE) != 0)
            continue;
        int r = add_next(s, path, entry->d_name);
        if (r < 0)
            return r;
    }
}

/* What stands behind a wild part may be there for some and not for others. */
static int follow(struct search *s, const char *path, const char *part)
{
    CLEANUP_FREE char *name = glob_to_path(part), *joined = NULL;
    if (name)
        joined = string_format("%s/%s", path, name);
    if (!joined)
        return -ENOMEM;
    struct stat st;
    return lstat(joined, &st) == 0 ? add_next(s, path, name) : 0;
}

static void step(struct search *s)
{
    char **done = s->found;
    for (size_t i = 0; i < s->n_found; i++)
        free(done[i]);
    free(done);
    s->found = s->next;
    s->n_found = s->n_next;
    s->next = NULL;
    s->n_next = 0;
}

static int find(struct search *s, const char *pattern)
{
    for (pattern += strspn(pattern, "/"); *pattern != '\0'; pattern += strspn(pattern, "/")) {
        CLEANUP_FREE char *part = strndup(pattern, strcspn(pattern, "/"));
        if (!part)
            return -ENOMEM;
        pattern += strlen(part);
        bool wild = is_wild(part, strlen(part));
        for (size_t i = 0; i < s->n_found; i++) {
            int r = wild ? look_into(s, s->found[i], part) : follow(s, s->found[i], part);
            if (r < 0)
                return r;
        }
        step(s);
    }
    return 0;
}

static int compare_paths(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

int glob_find(const char *pattern, char ***ret, char **ret_reason)
{
    CLEANUP(search_clear) struct search s = {0};
    CLEANUP_STRV char **root = NULL;
    if (strv_append(&root, "") < 0)
        return -ENOMEM;
    s.found = TAKE_PTR(root);
    s.n_found = 1;
    int r = find(&s, pattern);
    if (r < 0) {
        *ret_reason = TAKE_PTR(s.reason);
        return r;
    }
    if (s.n_found > 1)
        qsort(s.found, s.n_found, sizeof(char *), compare_paths);
    *ret = TAKE_PTR(s.found);
    s.n_found = 0;
    return 0;
}
