#include "worker/probe.h"

#include <stdlib.h>

struct probe *probe_new(enum probe_kind kind, char *target)
{
    struct probe *probe = calloc(1, sizeof(*probe));
    if (!probe) {
        free(target);
        return NULL;
    }
    probe->kind = kind;
    probe->target = target;
    list_init(&probe->link);
    return probe;
}

struct probe *probe_free(struct probe *probe)
{
    if (!probe)
        return NULL;
    free(probe->target);
    free(probe);
    return NULL;
}
