/*
 * datagrams.h - lines to the journal (its native protocol, with fields) or to syslog (RFC 3164), each a datagram of its own.
 *
 * Calls wait for a journal that does not keep up: for a thread of their own.
 */
#pragma once

#include "logger/job.h"

struct datagrams {
    int fd; /* -1: none yet */
};

/* They say in the job what was dropped and why. */
void datagrams_to_journal(struct datagrams *datagrams, const char *identifier, struct job *job);
void datagrams_to_syslog(struct datagrams *datagrams, struct job *job);
void datagrams_clear(struct datagrams *datagrams);
