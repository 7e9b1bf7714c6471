/*
 * A plain array, looked through from the start: a failure may cost some microseconds, and nothing else does.
 *
 * Of all addresses together COMMON_FREE failures cost nothing, then each COMMON_STEP of them doubles; one is taken back every COMMON_FORGET_USEC.
 * So a hundred people who mistype do not feel each other, and a hundred thousand addresses that guess do.
 */
#include "gateway/failures.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <string.h>

#define COMMON_FREE        64u
#define COMMON_STEP        16u
#define COMMON_FORGET_USEC (USEC_PER_SEC / 4)

/* Levels do not grow beyond these. */
#define LEVEL_MAX        16u
#define COMMON_LEVEL_MAX (COMMON_FREE + COMMON_STEP * LEVEL_MAX)

/* Failures that are not forgotten yet, and since when the next one of them is being forgotten. */
struct counter {
    unsigned level;
    uint64_t last_usec;
};

struct origin {
    unsigned char family; /* AF_INET, AF_INET6, or AF_UNIX */
    unsigned char bytes[8];
};

struct address_failures {
    struct origin origin;
    struct counter counter;
};

struct failures {
    uint64_t max_usec;
    struct counter common;
    unsigned n;
    struct address_failures addresses[FAILURES_ADDRESSES_MAX];
};

int failures_new(uint64_t max_usec, struct failures **ret)
{
    struct failures *failures = calloc(1, sizeof(*failures));
    if (!failures)
        return -ENOMEM;
    failures->max_usec = max_usec;
    *ret = failures;
    return 0;
}

struct failures *failures_free(struct failures *failures)
{
    free(failures);
    return NULL;
}

unsigned failures_count(const struct failures *failures)
{
    return failures->n;
}

static struct origin origin_of(const struct sockaddr *peer)
{
    struct origin origin = {.family = AF_UNIX};
    if (peer && peer->sa_family == AF_INET) {
        const struct sockaddr_in *in = (const void *)peer;
        origin.family = AF_INET;
        memcpy(origin.bytes, &in->sin_addr, sizeof(in->sin_addr));
    } else if (peer && peer->sa_family == AF_INET6) {
        const struct sockaddr_in6 *in6 = (const void *)peer;
        bool mapped = IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr);
        origin.family = mapped ? AF_INET : AF_INET6;
        memcpy(origin.bytes, in6->sin6_addr.s6_addr + (mapped ? 12 : 0), mapped ? 4 : 8);
    }
    return origin;
}

/* Its own, an empty one, or that of whoever failed longest ago. */
static struct address_failures *find(struct failures *failures, const struct origin *origin)
{
    struct address_failures *oldest = &failures->addresses[0];
    for (unsigned i = 0; i < failures->n; i++) {
        struct address_failures *address = &failures->addresses[i];
        if (memcmp(&address->origin, origin, sizeof(*origin)) == 0)
            return address;
        if (address->counter.last_usec < oldest->counter.last_usec)
            oldest = address;
    }
    if (failures->n < FAILURES_ADDRESSES_MAX)
        oldest = &failures->addresses[failures->n++];
    *oldest = (struct address_failures){.origin = *origin};
    return oldest;
}

/* The level with this one. */
static unsigned count(struct counter *counter, uint64_t now_usec, uint64_t forget_usec,
                      unsigned max)
{
    uint64_t passed = now_usec > counter->last_usec ? now_usec - counter->last_usec : 0;
    uint64_t forgotten = MIN(passed / forget_usec, (uint64_t)counter->level);
    /* What is left of a step counts for the next one: whoever fails often is forgiven as slowly as others, not never. */
    counter->last_usec = counter->level > forgotten ? counter->last_usec + forgotten * forget_usec
                                                    : now_usec;
    counter->level = MIN(counter->level - (unsigned)forgotten + 1, max);
    return counter->level;
}

static uint64_t delay_of(const struct failures *failures, unsigned level)
{
    if (level == 0)
        return 0;
    return MIN(FAILURES_DELAY_MIN_USEC << (level - 1), failures->max_usec);
}

uint64_t failures_add(struct failures *failures, const struct sockaddr *peer, uint64_t now_usec)
{
    struct origin origin = origin_of(peer);
    struct address_failures *address = find(failures, &origin);
    unsigned own = count(&address->counter, now_usec, FAILURES_FORGET_USEC, LEVEL_MAX);
    unsigned all = count(&failures->common, now_usec, COMMON_FORGET_USEC, COMMON_LEVEL_MAX);
    unsigned common = all > COMMON_FREE ? (all - COMMON_FREE) / COMMON_STEP : 0;
    return MAX(delay_of(failures, own), delay_of(failures, common));
}
