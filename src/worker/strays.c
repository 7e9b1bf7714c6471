/*
 * Whose an orphan is, its environment says, which it has from its worker: two files of /proc are read for each that may matter,
 * once in a pass. A program that overwrites its environment (to change what ps shows, say), or one whose /proc we may not read, is
 * nobody's then.
 */
#include "worker/strays.h"

#include "base/log.h"
#include "base/process-name.h"
#include "process/pidfd.h"
#include "process/stray.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int compare_pids(const void *a, const void *b)
{
    const pid_t *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

int strays_begin(struct strays *strays, const struct list *entries, size_t n_entries)
{
    strays->leaders = calloc(n_entries + 1, sizeof(*strays->leaders));
    if (!strays->leaders)
        return -ENOMEM;
    strays->n_leaders = 0;
    LIST_FOREACH (entry, entries, struct reaper_entry, link)
        strays->leaders[strays->n_leaders++] = entry->leader;
    qsort(strays->leaders, strays->n_leaders, sizeof(*strays->leaders), compare_pids);
    return 0;
}

void strays_end(struct strays *strays)
{
    for (size_t i = 0; i < strays->n_found; i++)
        free(strays->found[i].mark);
    free(strays->found);
    free(strays->leaders);
    strays->found = NULL;
    strays->leaders = NULL;
    strays->n_found = strays->n_leaders = 0;
}

static void forget(struct strays *strays, size_t i)
{
    free(strays->left[i].process);
    free(strays->left[i].name);
    strays->left[i] = strays->left[--strays->n_left];
}

void strays_clear(struct strays *strays)
{
    strays_end(strays);
    while (strays->n_left > 0)
        forget(strays, 0);
}

/* Where in `left`, or n_left. */
static size_t find_left(const struct strays *strays, pid_t pid)
{
    size_t i = 0;
    while (i < strays->n_left && strays->left[i].pid != pid)
        i++;
    return i;
}

static void bury(struct strays *strays, pid_t pid)
{
    size_t i = find_left(strays, pid);
    if (i < strays->n_left)
        forget(strays, i);
    log_debug("reaped process %d, which was left to us", (int)pid);
    (void)process_reap(pid);
}

void strays_see_child(pid_t pid, bool dead, void *userdata)
{
    struct strays *strays = userdata;
    if (bsearch(&pid, strays->leaders, strays->n_leaders, sizeof(pid), compare_pids))
        return; /* among them workers whose exit their owner has not been told yet */
    if (dead) {
        bury(strays, pid);
        return;
    }
    if (strays->n_found == STRAYS_MAX || find_left(strays, pid) < strays->n_left)
        return;
    if (!strays->found)
        strays->found = calloc(STRAYS_MAX, sizeof(*strays->found));
    if (strays->found)
        strays->found[strays->n_found++] = (struct stray){.pid = pid};
}

static const char *mark_of(struct stray *stray)
{
    if (!stray->looked_at) {
        stray->looked_at = true;
        int r = process_get_variable(stray->pid, "NOTIFY_SOCKET", &stray->mark);
        if (r < 0 && r != -ENOENT)
            log_debug("cannot tell whose process %d is: %s", (int)stray->pid, strerror(-r));
    }
    return stray->mark;
}

static void remember(struct strays *strays, pid_t pid, const char *process, const char *name)
{
    if (strays->n_left == STRAYS_LEFT_MAX)
        return;
    struct reaper_left left = {.pid = pid, .process = strdup(process), .name = strdup(name)};
    if (left.process && left.name) {
        strays->left[strays->n_left++] = left;
        return;
    }
    free(left.process);
    free(left.name);
}

bool strays_tell(struct strays *strays, const struct reaper_entry *entry, bool stay)
{
    bool any = false;
    if (!entry->mark)
        return false;
    for (size_t i = 0; i < strays->n_found; i++) {
        const char *mark = mark_of(&strays->found[i]);
        if (!mark || strcmp(mark, entry->mark) != 0)
            continue;
        CLEANUP_FREE char *process = process_name(strays->found[i].pid);
        any = true;
        entry->stray(strays->found[i].pid, process ? process : "?", stay, entry->userdata);
        if (stay)
            remember(strays, strays->found[i].pid, process ? process : "?", entry->name);
    }
    return any;
}
