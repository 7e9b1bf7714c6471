/* servers.h - who served: how often each identity was heard, and when first and last. */
#pragma once

#include "base/macros.h"

#define SERVERS_MAX          16384
#define SERVER_IDENTITY_SIZE 128

struct server {
    char identity[SERVER_IDENTITY_SIZE];
    uint64_t count, first_usec, last_usec;
};

struct servers {
    struct server *entries;
    size_t n_entries;
    size_t recent;      /* the one heard last */
    uint64_t forgotten; /* answers of identities beyond SERVERS_MAX */
};

/*
 * Counts one answer; 0 or -ENOMEM. Long identities are cut. *ret_index (may be NULL) stays the identity's for good;
 * SERVERS_MAX for all that are forgotten.
 */
int servers_add(struct servers *servers, const char *identity, uint64_t now_usec,
                size_t *ret_index);
void servers_clear(struct servers *servers);
