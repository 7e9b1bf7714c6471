#include "base/pattern.h"

#include "base/strv.h"

#include <errno.h>
#include <fnmatch.h>
#include <limits.h>
#include <string.h>

/* "[a-z]" up to its end, or NULL: there is none. */
static const char *skip_bracket(const char *text)
{
    const char *s = text + 1;
    s += *s == '!' || *s == '^';
    s += *s == ']';
    for (; *s != '\0' && *s != ']'; s++)
        if (*s == '\\' && s[1] != '\0')
            s++;
    return *s == ']' ? s : NULL;
}

/* Why a name is no pattern, or NULL. */
static const char *check_name(const char *name, bool *ret_wild)
{
    const char *brace = NULL;
    if (strlen(name) > NAME_MAX)
        return "a name in it is longer than 255 bytes";
    for (const char *s = name; *s != '\0'; s++) {
        if (*s == '\\') {
            if (*++s == '\0')
                return "a backslash at the end of a name quotes nothing";
            continue;
        }
        if (*s == '[') {
            s = skip_bracket(s);
            if (!s)
                return "a '[' without its ']': write \\[ where it stands for itself";
            *ret_wild = true;
        }
        *ret_wild = *ret_wild || *s == '*' || *s == '?';
        if (*s == '{')
            brace = s;
        if (*s == '}' && brace && memchr(brace, ',', (size_t)(s - brace)))
            return "{a,b} is not known here: write a pattern for each";
    }
    if (strstr(name, "**") && strcmp(name, "**") != 0)
        return "** stands for directories and is a whole name, as in src/**/*.js";
    return NULL;
}

const char *pattern_check_name(const char *pattern)
{
    bool wild = false;
    if (*pattern == '\0')
        return "it is empty";
    if (*pattern == '!')
        return "there are no exceptions (!): name what is not wanted alone";
    if (strchr(pattern, '/'))
        return "it is compared with each single name of a path, so it has no '/'";
    return check_name(pattern, &wild);
}

bool pattern_match_name(char *const *patterns, const char *name)
{
    STRV_FOREACH (pattern, patterns)
        if (fnmatch(*pattern, name, 0) == 0)
            return true;
    return false;
}

char *pattern_quote(const char *path)
{
    char *quoted = malloc(2 * strlen(path) + 1), *to = quoted;
    if (!quoted)
        return NULL;
    for (; *path != '\0'; path++) {
        if (strchr("*?[\\{", *path))
            *to++ = '\\';
        *to++ = *path;
    }
    *to = '\0';
    return quoted;
}

static void unquote(char *name)
{
    char *to = name;
    for (const char *from = name; *from != '\0'; from++) {
        from += *from == '\\';
        *to++ = *from;
    }
    *to = '\0';
}

static int append_prefix(struct pattern *pattern, char *name)
{
    unquote(name);
    char *longer = string_format("%s/%s", pattern->prefix ? pattern->prefix : "", name);
    if (!longer)
        return -ENOMEM;
    free(pattern->prefix);
    pattern->prefix = longer;
    return 0;
}

/* In a row, `**` says no more than one of them. */
static int append_part(struct pattern *pattern, const char *name)
{
    if (pattern->n_parts > 0 && strcmp(name, "**") == 0 &&
        strcmp(pattern->parts[pattern->n_parts - 1], "**") == 0)
        return 0;
    if (pattern->n_parts == PATTERN_PARTS_MAX)
        return -E2BIG;
    int r = strv_append(&pattern->parts, name);
    pattern->n_parts += r == 0;
    return r;
}

static int append_name(struct pattern *pattern, char *name, const char **ret_reason)
{
    bool wild = pattern->n_parts > 0;
    const char *reason = check_name(name, &wild);
    if (!reason && wild && strcmp(name, "..") == 0)
        reason = "'..' behind a wildcard leads nowhere";
    if (reason) {
        *ret_reason = reason;
        return -EINVAL;
    }
    return wild ? append_part(pattern, name) : append_prefix(pattern, name);
}

/* All that is in it: "**", then any name. */
static int append_all(struct pattern *pattern)
{
    int r = append_part(pattern, "**");
    return r < 0 ? r : append_part(pattern, "*");
}

static int fill(struct pattern *pattern, char *path, const char **ret_reason)
{
    bool slash = path[strlen(path) - 1] == '/';
    char *state = NULL;
    for (char *name = strtok_r(path, "/", &state); name; name = strtok_r(NULL, "/", &state)) {
        int r = strcmp(name, ".") == 0 ? 0 : append_name(pattern, name, ret_reason);
        if (r < 0)
            return r;
    }
    pattern->plain = pattern->n_parts == 0;
    if (!pattern->prefix)
        pattern->prefix = strdup("/");
    if (!pattern->prefix)
        return -ENOMEM;
    bool all = pattern->plain || slash || strcmp(pattern->parts[pattern->n_parts - 1], "**") == 0;
    return all ? append_all(pattern) : 0;
}

int pattern_new(const char *path, struct pattern **ret, const char **ret_reason)
{
    CLEANUP(pattern_freep) struct pattern *pattern = calloc(1, sizeof(*pattern));
    CLEANUP_FREE char *copy = strdup(path);
    if (!pattern || !copy)
        return -ENOMEM;
    *ret_reason = "it is empty";
    int r = *path == '\0' ? -EINVAL : fill(pattern, copy, ret_reason);
    if (r == -E2BIG) {
        *ret_reason = "more than 30 names behind its first wildcard";
        r = -EINVAL;
    }
    if (r == 0)
        *ret = TAKE_PTR(pattern);
    return r;
}

struct pattern *pattern_free(struct pattern *pattern)
{
    if (!pattern)
        return NULL;
    free(pattern->prefix);
    (void)strv_free(pattern->parts);
    free(pattern);
    return NULL;
}

static bool is_any_directory(const struct pattern *pattern, unsigned i)
{
    return strcmp(pattern->parts[i], "**") == 0;
}

/* Being at `**` is being behind it as well. It is never the last part. */
static uint64_t position(const struct pattern *pattern, unsigned i)
{
    uint64_t bit = (uint64_t)1 << i;
    return is_any_directory(pattern, i) ? bit | bit << 1 : bit;
}

uint64_t pattern_begin(const struct pattern *pattern)
{
    return position(pattern, 0);
}

struct pattern_step pattern_step(const struct pattern *pattern, uint64_t positions,
                                 const char *name)
{
    struct pattern_step step = {0};
    for (unsigned i = 0; i < pattern->n_parts; i++) {
        if (!(positions & (uint64_t)1 << i))
            continue;
        if (is_any_directory(pattern, i)) {
            step.enter |= position(pattern, i);
        } else if (fnmatch(pattern->parts[i], name, 0) == 0) {
            if (i + 1 == pattern->n_parts)
                step.matches = true;
            else
                step.through |= position(pattern, i + 1);
        }
    }
    step.enter |= step.through;
    return step;
}
