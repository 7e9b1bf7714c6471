/* identity.h - from what a program's configuration says of its workers' user and limits to what a start takes. */
#pragma once

#include "config/config.h"
#include "process/identity.h"

struct worker_identity {
    struct process_identity identity; /* points into this struct and the configuration */
    cpu_set_t cpus;
};

/* In place, as it must not move. What cannot be had is found out by the start. */
void worker_identity_init(struct worker_identity *identity, const struct config_identity *config,
                          unsigned slot);
