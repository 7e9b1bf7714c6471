#include "master/targets.h"

#include "base/macros.h"
#include "base/parse.h"
#include "base/strv.h"
#include "master/master.h"
#include "worker/environment.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

struct finding {
    struct target *targets;
    size_t n;
    bool removed_too;
};

static bool covers(const struct target *target, const char *program, int slot)
{
    return strcmp(target->program, program) == 0 && (target->slot < 0 || target->slot == slot);
}

static int add(struct finding *finding, const struct program *program, int slot)
{
    for (size_t i = 0; i < finding->n; i++)
        if (covers(&finding->targets[i], program->name, slot))
            return 0;
    struct target *larger = reallocarray(finding->targets, finding->n + 1, sizeof(*larger));
    if (larger)
        finding->targets = larger;
    char *name = larger ? strdup(program->name) : NULL;
    if (!name)
        return -ENOMEM;
    larger[finding->n++] = (struct target){.program = name, .slot = slot};
    return 0;
}

/* As many as it will have when it runs. */
static unsigned count_slots(const struct program *program)
{
    return program->committed->program->workers;
}

/* The slot whose workers have that name, or -1; -ENOMEM. */
static int find_worker(const struct program *program, const char *name)
{
    for (unsigned i = 0; i < count_slots(program); i++) {
        CLEANUP_FREE char *own = NULL, *error = NULL;
        if (worker_make_name(program->committed, i, &own, &error) == -ENOMEM)
            return -ENOMEM;
        if (own && strcmp(own, name) == 0)
            return (int)i;
    }
    return -1;
}

/* "2", or the name of its worker. -1: none. */
static int find_slot(const struct program *program, const char *word)
{
    uint64_t number;
    if (parse_unsigned(word, 0, INT_MAX, &number) == 0)
        return number < count_slots(program) ? (int)number : -1;
    return find_worker(program, word);
}

static bool is_in_group(const struct program *program, const char *group)
{
    return strcmp(program->name, group) == 0 ||
           config_program_is_in(program_config(program), group);
}

/* NAME:OTHER. 0 when nothing was found. */
static int add_part_of(struct finding *finding, const struct program *program, const char *other)
{
    if (strcmp(other, "*") == 0 || strcmp(program->name, other) == 0)
        return add(finding, program, -1) < 0 ? -ENOMEM : 1;
    int slot = find_slot(program, other);
    if (slot < 0)
        return slot == -ENOMEM ? slot : 0;
    return add(finding, program, slot) < 0 ? -ENOMEM : 1;
}

static int add_whole(struct finding *finding, const struct program *program, const char *word)
{
    int slot = -1;
    if (strcmp(word, "all") != 0 && strcmp(program->name, word) != 0) {
        slot = find_worker(program, word);
        if (slot < 0)
            return slot == -ENOMEM ? slot : 0;
    }
    return add(finding, program, slot) < 0 ? -ENOMEM : 1;
}

static int find_word(const struct master *master, struct finding *finding, const char *word)
{
    const char *colon = strchr(word, ':');
    CLEANUP_FREE char *first = colon ? strndup(word, (size_t)(colon - word)) : NULL;
    bool found = false, known = false;
    if (colon && !first)
        return -ENOMEM;
    for (size_t i = 0; i < master->n_programs; i++) {
        const struct program *program = master->programs[i];
        if ((program->removed && !finding->removed_too) || (first && !is_in_group(program, first)))
            continue;
        int r = first ? add_part_of(finding, program, colon + 1)
                      : add_whole(finding, program, word);
        if (r < 0)
            return r;
        found = found || r > 0;
        known = known || first;
    }
    /* None is all of none. */
    if (found || strcmp(word, "all") == 0)
        return 0;
    return known ? -ESRCH : -ENOENT;
}

/* A program as a whole makes its slots superfluous that were named before it. */
static void drop_covered(struct finding *finding)
{
    size_t kept = 0;
    for (size_t i = 0; i < finding->n; i++) {
        bool covered = false;
        for (size_t j = 0; j < finding->n && !covered; j++)
            covered = finding->targets[i].slot >= 0 && finding->targets[j].slot < 0 &&
                      strcmp(finding->targets[i].program, finding->targets[j].program) == 0;
        if (covered)
            free(finding->targets[i].program);
        else
            finding->targets[kept++] = finding->targets[i];
    }
    finding->n = kept;
}

static int find(const struct master *master, char *const *words, struct finding *finding,
                const char **ret_name)
{
    STRV_FOREACH (word, words) {
        int r = find_word(master, finding, *word);
        if (r < 0) {
            targets_free(finding->targets, finding->n);
            *ret_name = *word;
            return r;
        }
    }
    drop_covered(finding);
    return 0;
}

int targets_find(const struct master *master, char *const *words, struct target **ret,
                 size_t *ret_n, const char **ret_name)
{
    struct finding finding = {0};
    int r = find(master, words, &finding, ret_name);
    if (r < 0)
        return r;
    *ret = finding.targets;
    *ret_n = finding.n;
    return 0;
}

int targets_find_seen(const struct master *master, char *const *words, struct target **ret,
                      size_t *ret_n, const char **ret_name)
{
    struct finding finding = {.removed_too = true};
    int r = find(master, words, &finding, ret_name);
    if (r < 0)
        return r;
    *ret = finding.targets;
    *ret_n = finding.n;
    return 0;
}

void targets_free(struct target *targets, size_t n)
{
    for (size_t i = 0; i < n; i++)
        free(targets[i].program);
    free(targets);
}
