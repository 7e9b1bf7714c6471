/* backups.h - the backups of a file that is rotated: PATH.1 is the newest, what was that becomes PATH.2, and so on. */
#pragma once

/* "PATH.3.gz" for 3 and ".gz"; malloc-ed, or NULL. */
char *backup_name(const char *path, unsigned number, const char *ending);

/*
 * Makes PATH the newest of at most `backups` (at least 1) backups, each of them plain or compressed (PATH.N.gz). A number that nobody has is
 * taken by the one before it, and what is behind it stays. 0 or -errno: then PATH is still there.
 */
int backups_shift(const char *path, unsigned backups);
