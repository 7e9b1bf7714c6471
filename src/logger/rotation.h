/*
 * rotation.h - the backups of one file: PATH.1 is the newest, what was that becomes PATH.2, and so on; each is plain or compressed (PATH.N.gz).
 *
 * Compressing takes its time, and nobody waits for it: a thread does it at the lowest priority, from the newest plain backup on until there is
 * none, which includes those that an interrupted one has left. Shared by the writer and that thread.
 */
#pragma once

#include "base/macros.h"

struct rotation;

/* 0 or -ENOMEM. */
int rotation_new(const char *path, struct rotation **ret);
/* Drops a reference; the last one frees it. Returns NULL. */
struct rotation *rotation_unref(struct rotation *rotation);

/* Makes PATH the newest of at most `backups` (at least 1) backups. 0 or -errno: then PATH is still there. */
int rotation_shift(struct rotation *rotation, unsigned backups);
/* Compresses what is plain, by and by. What fails stays plain. */
void rotation_compress(struct rotation *rotation);
/* Why compressing failed since the last call: -errno, or 0. */
int rotation_take_error(struct rotation *rotation);
