/*
 * The kernel holds descriptors that are on their way, whoever reads them and when: so the worker need not live yet, a spawn
 * that fails takes them back by closing the channel, and a worker that never reads costs the master nothing.
 */
#include "worker/hand-over.h"

#include "base/strv.h"

#include <errno.h>
#include <string.h>

static int send_some(struct channel *channel, const struct generation *generation, unsigned slot,
                     size_t first, size_t n)
{
    int fds[CHANNEL_FDS_MAX];
    json_auto_t *names = json_array();
    for (size_t i = 0; i < n; i++) {
        fds[i] = listener_fd(generation->listeners[first + i], slot);
        const char *name = generation->program->sockets[first + i]->name;
        if (json_array_append_new(names, json_string(name)) < 0)
            return -ENOMEM;
    }
    json_auto_t *line = json_pack("{s:s, s:O}", "reloader", "listeners", "names", names);
    return line ? channel_send_fds(channel, line, fds, n) : -ENOMEM;
}

int hand_over_listeners(struct channel *channel, const struct generation *generation, unsigned slot,
                        size_t first, char **ret_error)
{
    size_t all = generation->program->n_sockets, n;
    for (; first < all; first += n) {
        n = MIN(all - first, (size_t)CHANNEL_FDS_MAX);
        int r = send_some(channel, generation, slot, first, n);
        if (r < 0) {
            *ret_error = string_format("cannot hand over its sockets (scm-rights): %s",
                                       strerror(-r));
            return r;
        }
    }
    return 0;
}

void worker_become(struct worker *worker, struct generation *generation)
{
    struct generation *before = worker->generation;
    worker->generation = generation_ref(generation);
    (void)generation_unref(before);
}

int worker_adopt(struct worker *worker, struct generation *generation, char **ret_error)
{
    size_t has = worker->generation->program->n_sockets;
    int r = hand_over_listeners(worker->channel, generation, worker->slot, has, ret_error);
    if (r < 0)
        return r;
    worker_become(worker, generation);
    return 0;
}
