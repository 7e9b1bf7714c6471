#include "process/nofile.h"

#include <errno.h>

int nofile_get(struct rlimit *ret)
{
    return getrlimit(RLIMIT_NOFILE, ret) < 0 ? -errno : 0;
}

int nofile_raise(rlim_t needed, rlim_t *ret_soft)
{
    struct rlimit limit;
    int r = nofile_get(&limit);
    if (r < 0)
        return r;
    rlim_t wanted = MIN(needed, limit.rlim_max);
    if (wanted > limit.rlim_cur) {
        limit.rlim_cur = wanted;
        if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
            return -errno;
    }
    *ret_soft = limit.rlim_cur;
    return 0;
}
