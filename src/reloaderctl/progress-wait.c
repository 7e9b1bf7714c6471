#include "reloaderctl/progress-wait.h"

#include "base/macros.h"
#include "base/parse.h"
#include "reloaderctl/field.h"
#include "reloaderctl/screen.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

/* In the order in which they matter. */
static const char *const waiting_states[] = {"DRAINING", "STOPPING", "STARTING"};

struct candidate {
    json_t *slot, *worker; /* worker NULL: the slot waits for its next start */
    size_t rank;
    uint64_t left_usec;
};

static const char *state_of(json_t *entry)
{
    const char *state = json_string_value(json_object_get(entry, "state"));
    return state ? state : "";
}

static size_t rank_of(json_t *worker)
{
    size_t rank = 0;
    while (rank < ARRAY_SIZE(waiting_states) &&
           strcasecmp(waiting_states[rank], state_of(worker)) != 0)
        rank++;
    return rank;
}

static void consider(struct candidate *best, const struct candidate *other)
{
    if (other->rank < best->rank ||
        (other->rank == best->rank && other->left_usec > best->left_usec))
        *best = *other;
}

/* How many more are in that state. */
static size_t find(json_t *program, struct candidate *ret)
{
    size_t ranks[ARRAY_SIZE(waiting_states) + 1] = {0}, i, k;
    json_t *slot, *worker;
    *ret = (struct candidate){.rank = ARRAY_SIZE(waiting_states) + 1};
    json_array_foreach(json_object_get(program, "slots"), i, slot)
    {
        const struct candidate idle = {.slot = slot, .rank = ARRAY_SIZE(waiting_states)};
        if (strcasecmp(state_of(slot), "BACKOFF") == 0)
            consider(ret, &idle);
        json_array_foreach(json_object_get(slot, "workers"), k, worker)
        {
            const struct candidate candidate = {.slot = slot,
                                                .worker = worker,
                                                .rank = rank_of(worker),
                                                .left_usec = get_number(worker, "left_usec")};
            if (candidate.rank == ARRAY_SIZE(waiting_states))
                continue;
            ranks[candidate.rank]++;
            consider(ret, &candidate);
        }
    }
    return ret->worker ? ranks[ret->rank] - 1 : 0;
}

static void put_worker(FILE *stream, json_t *worker)
{
    char left[DURATION_TEXT_SIZE];
    uint64_t connections = get_number(worker, "connections");
    bool leaves = strcasecmp(state_of(worker), "STARTING") != 0;
    CLEANUP_FREE char *text = get_text(worker, "text"), *reason = get_text(worker, "reason");
    for (const char *c = state_of(worker); *c != '\0'; c++)
        (void)fputc(*c >= 'A' && *c <= 'Z' ? *c - 'A' + 'a' : *c, stream);
    if (leaves && connections > 0)
        (void)fprintf(stream, ", %" PRIu64 " connection%s", connections,
                      connections == 1 ? "" : "s");
    if (json_is_integer(json_object_get(worker, "left_usec")))
        (void)fprintf(stream, ", %s left", duration_to_text(get_number(worker, "left_usec"), left));
    if (text[0] != '\0')
        (void)fprintf(stream, ", \"%s\"", text);
    else if (leaves && reason[0] != '\0')
        (void)fprintf(stream, ", %s", reason);
}

char *progress_wait_text(json_t *program)
{
    struct candidate longest;
    char *text = NULL;
    size_t size, more = find(program, &longest);
    if (!longest.slot)
        return NULL;
    FILE *stream = open_memstream(&text, &size);
    if (!stream)
        die_of_memory();
    (void)fprintf(stream, "slot %" PRIu64 " ", get_number(longest.slot, "slot"));
    if (longest.worker)
        put_worker(stream, longest.worker);
    else
        (void)fputs("waits for its next start", stream);
    if (more > 0)
        (void)fprintf(stream, ", and %zu more", more);
    if (fclose(stream) != 0)
        die_of_memory();
    CLEANUP_FREE char *raw = text;
    return text_clean(raw);
}
