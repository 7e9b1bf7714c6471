/*
 * journal.h - systemd's journal: its native protocol (systemd.io/JOURNAL_NATIVE_PROTOCOL), one datagram a record.
 *
 * Not by sd_journal_sendv(), which waits for room in journald's queue: a journald that is stopped would stop the master.
 */
#pragma once

#include "base/macros.h"

#include <stdbool.h>

#define JOURNAL_SOCKET "/run/systemd/journal/socket"

struct journal_field {
    const char *name; /* capital letters, digits and _ */
    const char *value;
};

/* Is this what JOURNAL_STREAM names: a stream whose other end is the journal? */
bool journal_is_behind(int fd);

/* A socket for journal_send(), or -errno. */
int journal_open(void);

/* The record's bytes: their number, or 0 where the buffer is too small. */
size_t journal_serialize(const struct journal_field *fields, size_t n, char *buffer, size_t size);

/* Never waits. 0, -EAGAIN: journald does not keep up, -EMSGSIZE, or another -errno: it is not there. */
int journal_send(int fd, const char *path, const char *record, size_t size);
