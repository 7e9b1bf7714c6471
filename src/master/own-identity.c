#include "master/own-identity.h"

#include "base/linux-names.h"
#include "base/log.h"
#include "base/strv.h"
#include "master/master.h"
#include "process/identity.h"

#include <errno.h>
#include <linux/capability.h>
#include <string.h>
#include <unistd.h>

static int raise_limit(int resource, const struct config_limit *wanted, char **ret_error)
{
    struct rlimit now;
    if (!wanted->set)
        return 0;
    if (getrlimit((__rlimit_resource_t)resource, &now) < 0)
        return -errno;
    const struct rlimit raised = {.rlim_cur = MAX(now.rlim_cur, wanted->soft),
                                  .rlim_max = MAX(now.rlim_max, wanted->hard)};
    if (setrlimit((__rlimit_resource_t)resource, &raised) == 0)
        return 0;
    int error = errno;
    *ret_error = string_format(
        "limits.%s: cannot raise it from %llu (at most %llu): %s; let "
        "whoever starts reloader raise it (ulimit -H, systemd's Limit%s=), or "
        "ask for less",
        limit_name(resource), (unsigned long long)now.rlim_cur, (unsigned long long)now.rlim_max,
        strerror(error), resource == RLIMIT_NOFILE ? "NOFILE" : "NPROC");
    return -error;
}

int own_limits_raise(const struct config *config, char **ret_error)
{
    int r = raise_limit(RLIMIT_NOFILE, &config->limits[RLIMIT_NOFILE], ret_error);
    return r < 0 ? r : raise_limit(RLIMIT_NPROC, &config->limits[RLIMIT_NPROC], ret_error);
}

/* What it made as root, and changes or removes later. */
static int give_away(const char *path, uid_t uid, gid_t gid, char **ret_error)
{
    if (!path || lchown(path, uid, gid) == 0)
        return 0;
    int error = errno;
    *ret_error = string_format("user: cannot give %s to it: %s", path, strerror(error));
    return -error;
}

/* A runtime directory that was there before is somebody's who may have other things in it. */
static int give_places_away(const struct master *master, char **ret_error)
{
    const struct config *config = master->release.config;
    const uid_t uid = config->account.user.id;
    const gid_t gid = config->account.group.id, as_it_is = (gid_t)-1;
    int r = give_away(master->notify_directory, uid, gid, ret_error);
    if (r == 0 && !config->control.owner.set)
        r = give_away(config->control.socket, uid, config->control.group.set ? as_it_is : gid,
                      ret_error);
    if (r == 0 && master->made_runtime_directory)
        r = give_away(config->runtime_directory, uid, gid, ret_error);
    return r;
}

int own_identity_take(struct master *master, char **ret_error)
{
    const struct config *config = master->release.config;
    const struct config_account *account = &config->account;
    struct spawn_failure failure;
    if (!account->user.set || process_is_user(account->user.id))
        return 0;
    int r = give_places_away(master, ret_error);
    if (r < 0)
        return r;
    const struct process_identity identity = {.user = account->name,
                                              .set_user = true,
                                              .set_group = true,
                                              .set_groups = true,
                                              .uid = account->user.id,
                                              .gid = account->group.id,
                                              .groups = account->groups,
                                              .n_groups = account->n_groups};
    r = identity_become(&identity, CAP_NET_BIND_SERVICE, &failure);
    if (r < 0) {
        CLEANUP_FREE char *reason = identity_failure_to_text(&failure, &identity);
        *ret_error = string_format("user: %s", reason ? reason : strerror(-r));
        return r;
    }
    log_info("reloader is user '%s' (%u) now", account->name ? account->name : account->user_text,
             (unsigned)account->user.id);
    return 0;
}
