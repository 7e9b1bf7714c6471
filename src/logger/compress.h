/* compress.h - gzip, by zlib. */
#pragma once

/* All of fd's file into a new one (0640, times as those of fd's) at `path`. 0 or -errno; then what is at `path` is of no use. */
int compress_file(int fd, const char *path);
