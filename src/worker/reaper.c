#include "worker/reaper.h"

#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "process/group.h"
#include "process/pidfd.h"
#include "process/stray.h"
#include "worker/strays.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#define REAPER_GAP_MIN_USEC (20 * USEC_PER_MSEC)
#define REAPER_GAP_MAX_USEC (1000 * USEC_PER_MSEC)
/* A pass takes as long as there are processes on the machine: it may cost a twentieth of the time. */
#define REAPER_GAP_PER_COST 20
/* Whoever leads a group and is told to go often goes moments before the last of it. */
#define OUTLIVED_USEC (500 * USEC_PER_MSEC)
/* That many are open at a time while /proc is read. */
#define RESERVE 2

struct reaper {
    struct list entries;
    size_t n_entries;
    sd_event_source *timer;
    sd_event_source *child_signal; /* where orphans are left to us */
    struct strays strays;
    bool has_disowned;    /* children that no entry knows */
    uint64_t last_usec;   /* when /proc was last read */
    bool hurried;         /* since then: somebody may have gone */
    uint64_t cost_usec;   /* how long that took */
    uint64_t gap_usec;    /* before it is read again */
    int reserve[RESERVE]; /* to read it with when there are no other descriptors; or -1 */
    struct log_limit complaints;
};

static void make_reserve(struct reaper *reaper)
{
    for (size_t i = 0; i < RESERVE; i++)
        if (reaper->reserve[i] < 0)
            reaper->reserve[i] = open("/", O_PATH | O_CLOEXEC);
}

static void give_up_reserve(struct reaper *reaper)
{
    for (size_t i = 0; i < RESERVE; i++)
        reaper->reserve[i] = fd_close(reaper->reserve[i]);
}

static void schedule(struct reaper *reaper)
{
    uint64_t earliest = reaper->last_usec + reaper->gap_usec;
    (void)sd_event_source_set_time(reaper->timer, MAX(earliest, clock_monotonic_usec()));
    (void)sd_event_source_set_enabled(reaper->timer, SD_EVENT_ONESHOT);
}

static uint64_t least_gap(const struct reaper *reaper)
{
    return MIN(MAX(REAPER_GAP_MIN_USEC, reaper->cost_usec * REAPER_GAP_PER_COST),
               REAPER_GAP_MAX_USEC);
}

/* Then who is still there cannot be told, and nobody is taken for gone. */
static bool is_shortage(int error)
{
    return error == -EMFILE || error == -ENFILE || error == -ENOMEM;
}

static void complain(struct reaper *reaper, int error)
{
    unsigned suppressed;
    if (log_limit_pass(&reaper->complaints, &suppressed))
        log_warning("cannot read /proc: %s; %s", strerror(-error),
                    is_shortage(error)
                        ? "looking later who is left of workers that have exited"
                        : "taking process groups for empty when their leader has exited");
}

static int scan(struct reaper *reaper, struct group_query *queries, size_t n)
{
    bool others = (reaper->child_signal || reaper->has_disowned) &&
                  strays_begin(&reaper->strays, &reaper->entries, reaper->n_entries) == 0;
    return group_scan(queries, n, others ? strays_see_child : NULL, &reaper->strays);
}

/* The reserve stays free to the end of the pass, which may read of strays in /proc as well. */
static int scan_with_reserve(struct reaper *reaper, struct group_query *queries, size_t n)
{
    int r = scan(reaper, queries, n);
    if (!is_shortage(r))
        return r;
    strays_end(&reaper->strays);
    give_up_reserve(reaper);
    return scan(reaper, queries, n);
}

/* Asks /proc which of the waiting groups still have members. NULL: not to be had now. */
static struct group_query *query_groups(struct reaper *reaper, size_t *ret_n)
{
    size_t n = 0;
    struct group_query *queries = calloc(reaper->n_entries + 1, sizeof(*queries));
    if (!queries)
        return NULL;
    LIST_FOREACH (entry, &reaper->entries, struct reaper_entry, link)
        if (entry->exited)
            queries[n++].group = entry->leader;
    int r = scan_with_reserve(reaper, queries, n);
    if (r < 0)
        complain(reaper, r);
    if (is_shortage(r)) {
        free(queries);
        return NULL;
    }
    *ret_n = n;
    return queries;
}

/* Strays that count are told of, whether there are others left or not. Those that do not are left alone when all else is gone. */
static bool is_empty(struct reaper *reaper, const struct reaper_entry *entry, bool occupied)
{
    bool astray = entry->whole_tree && strays_tell(&reaper->strays, entry, false);
    if (astray || (occupied && entry->whole_group))
        return false;
    (void)strays_tell(&reaper->strays, entry, true);
    return true;
}

/* Whose strays are is read from /proc as well, when the first one asks: that counts for what a pass takes. */
static bool is_empty_at_a_cost(struct reaper *reaper, const struct reaper_entry *entry,
                               bool occupied)
{
    uint64_t began = clock_monotonic_usec();
    bool empty = is_empty(reaper, entry, occupied);
    reaper->last_usec = clock_monotonic_usec();
    reaper->cost_usec += reaper->last_usec - began;
    return empty;
}

static void tell_outlived(struct reaper_entry *entry, const struct group_query *query, uint64_t now)
{
    if (!query->occupied || !entry->whole_group || !entry->outlived || entry->outlived_told ||
        now < entry->exited_usec + OUTLIVED_USEC)
        return;
    entry->outlived_told = true;
    entry->outlived(query->member, query->n_members, entry->userdata);
}

/* How many are gone. */
static size_t look(struct reaper *reaper)
{
    size_t n = 0, i = 0, gone = 0;
    uint64_t began = clock_monotonic_usec();
    reaper->hurried = false;
    struct group_query *queries = query_groups(reaper, &n);
    reaper->last_usec = clock_monotonic_usec();
    reaper->cost_usec = reaper->last_usec - began;
    bool waiting = !queries;
    if (queries) {
        /* No entry is added or removed but by this loop: the callbacks only record. */
        LIST_FOREACH_SAFE (entry, &reaper->entries, struct reaper_entry, link) {
            if (!entry->exited)
                continue;
            const struct group_query *query = &queries[i++];
            if (!is_empty_at_a_cost(reaper, entry, query->occupied)) {
                waiting = true;
                tell_outlived(entry, query, reaper->last_usec);
                continue;
            }
            gone++;
            reaper_remove(reaper, entry);
            entry->empty(entry->userdata);
        }
    }
    free(queries);
    strays_end(&reaper->strays);
    make_reserve(reaper);
    if (waiting) {
        reaper->gap_usec = MIN(MAX(reaper->gap_usec, least_gap(reaper)) * 2, REAPER_GAP_MAX_USEC);
        schedule(reaper);
    }
    return gone;
}

static int on_timer(sd_event_source *source UNUSED, uint64_t now UNUSED, void *userdata)
{
    (void)look(userdata);
    return 0;
}

static int on_child_signal(sd_event_source *source UNUSED,
                           const struct signalfd_siginfo *info UNUSED, void *userdata)
{
    reaper_hurry(userdata);
    return 0;
}

/* Ignored by whoever started us, exec keeps it: the kernel would reap by itself, and no exit could be seen any more. */
static int want_zombies(void)
{
    const struct sigaction action = {.sa_handler = SIG_DFL};
    return sigaction(SIGCHLD, &action, NULL) < 0 ? -errno : 0;
}

int reaper_new(sd_event *event, struct reaper **ret)
{
    CLEANUP(reaper_freep) struct reaper *reaper = calloc(1, sizeof(*reaper));
    if (!reaper)
        return -ENOMEM;
    list_init(&reaper->entries);
    reaper->gap_usec = REAPER_GAP_MIN_USEC;
    reaper->complaints = (struct log_limit){.interval_usec = 10 * USEC_PER_SEC, .burst = 1};
    for (size_t i = 0; i < RESERVE; i++)
        reaper->reserve[i] = -1;
    make_reserve(reaper);
    int r = want_zombies();
    if (r >= 0)
        r = sd_event_add_time(event, &reaper->timer, CLOCK_MONOTONIC, 0, USEC_PER_MSEC, on_timer,
                              reaper);
    if (r >= 0)
        r = sd_event_source_set_enabled(reaper->timer, SD_EVENT_OFF);
    if (r < 0)
        return r;
    (void)sd_event_source_set_description(reaper->timer, "reaper");
    *ret = TAKE_PTR(reaper);
    return 0;
}

struct reaper *reaper_free(struct reaper *reaper)
{
    if (!reaper)
        return NULL;
    (void)sd_event_source_disable_unref(reaper->timer);
    (void)sd_event_source_disable_unref(reaper->child_signal);
    strays_clear(&reaper->strays);
    give_up_reserve(reaper);
    free(reaper);
    return NULL;
}

int reaper_adopt_orphans(struct reaper *reaper)
{
    int r = process_adopt_orphans();
    if (r == 0)
        r = sd_event_add_signal(sd_event_source_get_event(reaper->timer), &reaper->child_signal,
                                SIGCHLD, on_child_signal, reaper);
    return MIN(r, 0);
}

void reaper_add(struct reaper *reaper, struct reaper_entry *entry)
{
    list_append(&reaper->entries, &entry->link);
    reaper->n_entries++;
}

void reaper_exited(struct reaper *reaper, struct reaper_entry *entry)
{
    entry->exited = true;
    entry->exited_usec = clock_monotonic_usec();
    reaper_hurry(reaper);
}

void reaper_hurry(struct reaper *reaper)
{
    reaper->hurried = true;
    reaper->gap_usec = least_gap(reaper);
    schedule(reaper);
}

/* A pass that found nobody gone would find nobody again: one for each event, however often it is asked for. */
static bool has_news(const struct reaper *reaper)
{
    LIST_FOREACH (entry, &reaper->entries, struct reaper_entry, link)
        if (entry->exited)
            return reaper->hurried;
    return false;
}

bool reaper_relieves(struct reaper *reaper, int error)
{
    bool helps = error == -EMFILE || error == -ENFILE || error == -EAGAIN;
    return helps && has_news(reaper) && look(reaper) > 0;
}

void reaper_remove(struct reaper *reaper, struct reaper_entry *entry)
{
    list_remove(&entry->link);
    reaper->n_entries--;
    if (entry->exited)
        (void)process_reap(entry->leader);
}

void reaper_disown(struct reaper *reaper, struct reaper_entry *entry)
{
    reaper->has_disowned = true;
    reaper_remove(reaper, entry);
}

const struct reaper_left *reaper_left(const struct reaper *reaper, size_t *ret_n)
{
    *ret_n = reaper->strays.n_left;
    return reaper->strays.left;
}
