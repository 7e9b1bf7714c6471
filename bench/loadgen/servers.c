#include "loadgen/servers.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static struct server *find(struct servers *servers, const char *identity)
{
    for (size_t n = 0; n < servers->n_entries; n++) {
        /* From the one heard last on: over hundreds of reloads, the newest are the ones that answer. */
        size_t i = (servers->recent + servers->n_entries - n) % servers->n_entries;
        if (strncmp(servers->entries[i].identity, identity, SERVER_IDENTITY_SIZE - 1) == 0) {
            servers->recent = i;
            return &servers->entries[i];
        }
    }
    return NULL;
}

int servers_add(struct servers *servers, const char *identity, uint64_t now_usec, size_t *ret_index)
{
    struct server *entry = find(servers, identity);
    if (!entry && servers->n_entries == SERVERS_MAX) {
        servers->forgotten++;
        if (ret_index)
            *ret_index = SERVERS_MAX;
        return 0;
    }
    if (!entry) {
        struct server *larger = realloc(servers->entries,
                                        (servers->n_entries + 1) * sizeof(*larger));
        if (!larger)
            return -ENOMEM;
        servers->entries = larger;
        servers->recent = servers->n_entries;
        entry = &larger[servers->n_entries++];
        *entry = (struct server){.first_usec = now_usec};
        (void)snprintf(entry->identity, sizeof(entry->identity), "%s", identity);
    }
    entry->count++;
    entry->last_usec = now_usec;
    if (ret_index)
        *ret_index = (size_t)(entry - servers->entries);
    return 0;
}

void servers_clear(struct servers *servers)
{
    free(servers->entries);
    *servers = (struct servers){.entries = NULL};
}
