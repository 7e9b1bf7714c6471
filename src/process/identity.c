/*
 * Between clone and exec there are only system calls, by their numbers where glibc would do more: its setuid() and relatives ask all threads of a
 * process to follow, and a child that borrows our memory would ask in our name.
 *
 * The order: priority, OOM score, CPUs and limits may need privileges; then groups, as the user may not change them any more; then the
 * user. The kernel takes all capabilities away when the user changes from root, so those to be kept are held over that and become ambient afterwards: exec
 * then leaves the new program just these.
 */
#include "process/identity.h"

#include "base/fd.h"
#include "base/linux-names.h"
#include "base/strv.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Architectures that began with ids of 16 bits have the wide ones under these names. */
#ifndef SYS_setgroups32
#define SYS_setgroups32 SYS_setgroups
#define SYS_setresgid32 SYS_setresgid
#define SYS_setresuid32 SYS_setresuid
#endif

#define ALL_CAPABILITIES (-1)

struct capabilities {
    struct __user_cap_header_struct header;
    struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];
};

static bool fail(struct spawn_failure *failure, enum spawn_step step, int detail)
{
    *failure = (struct spawn_failure){.step = step, .error = errno, .detail = detail};
    return false;
}

/* In the child */

static bool write_oom_score(int score)
{
    char text[16], *at = text + sizeof(text);
    unsigned rest = (unsigned)(score < 0 ? -score : score);
    do
        *--at = (char)('0' + rest % 10);
    while ((rest /= 10) > 0);
    if (score < 0)
        *--at = '-';
    int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    size_t size = (size_t)(text + sizeof(text) - at);
    bool written = write(fd, at, size) == (ssize_t)size;
    (void)fd_close(fd);
    return written;
}

static bool set_limits(const struct process_identity *identity, struct spawn_failure *failure)
{
    for (int resource = 0; resource < (int)ARRAY_SIZE(identity->limits); resource++)
        if ((identity->limits_set & 1u << resource) &&
            setrlimit((__rlimit_resource_t)resource, &identity->limits[resource]) < 0)
            return fail(failure, SPAWN_STEP_LIMITS, resource);
    return true;
}

static bool set_user(const struct process_identity *identity, struct spawn_failure *failure)
{
    const gid_t gid = identity->gid;
    const uid_t uid = identity->uid;
    if (identity->set_groups && syscall(SYS_setgroups32, identity->n_groups, identity->groups) < 0)
        return fail(failure, SPAWN_STEP_SET_GROUPS, 0);
    if (identity->set_group && syscall(SYS_setresgid32, gid, gid, gid) < 0)
        return fail(failure, SPAWN_STEP_SET_GROUP, 0);
    if (identity->set_user &&
        (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) < 0 || syscall(SYS_setresuid32, uid, uid, uid) < 0))
        return fail(failure, SPAWN_STEP_SET_USER, 0);
    return true;
}

static int read_capabilities(struct capabilities *ret)
{
    *ret = (struct capabilities){.header = {.version = _LINUX_CAPABILITY_VERSION_3}};
    return (int)syscall(SYS_capget, &ret->header, ret->data);
}

/* What is permitted stays so until exec: from then on only what is ambient counts. */
static bool set_capabilities(uint64_t wanted, struct spawn_failure *failure)
{
    struct capabilities own;
    if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0 || read_capabilities(&own) < 0)
        return fail(failure, SPAWN_STEP_CAPABILITIES, ALL_CAPABILITIES);
    own.data[0].inheritable = (uint32_t)wanted;
    own.data[1].inheritable = (uint32_t)(wanted >> 32);
    for (int i = 0; i < CAPABILITIES_MAX; i++)
        if ((wanted >> i & 1) && !(own.data[i / 32].permitted >> (i % 32) & 1)) {
            errno = EPERM;
            return fail(failure, SPAWN_STEP_CAPABILITIES, i);
        }
    if (syscall(SYS_capset, &own.header, own.data) < 0)
        return fail(failure, SPAWN_STEP_CAPABILITIES, ALL_CAPABILITIES);
    for (int i = 0; i < CAPABILITIES_MAX; i++)
        if ((wanted >> i & 1) && prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, i, 0, 0) < 0)
            return fail(failure, SPAWN_STEP_CAPABILITIES, i);
    return true;
}

bool identity_take(const struct process_identity *identity, struct spawn_failure *ret_failure)
{
    if (identity->set_nice && setpriority(PRIO_PROCESS, 0, identity->nice) < 0)
        return fail(ret_failure, SPAWN_STEP_NICE, 0);
    if (identity->set_oom_score_adjust && !write_oom_score(identity->oom_score_adjust))
        return fail(ret_failure, SPAWN_STEP_OOM_SCORE, 0);
    if (identity->cpus && sched_setaffinity(0, sizeof(*identity->cpus), identity->cpus) < 0)
        return fail(ret_failure, SPAWN_STEP_AFFINITY, 0);
    if (!set_limits(identity, ret_failure) || !set_user(identity, ret_failure))
        return false;
    if (identity->set_umask)
        (void)umask(identity->umask);
    return !(identity->set_capabilities || identity->set_user) ||
           set_capabilities(identity->capabilities, ret_failure);
}

bool identity_seal(const struct process_identity *identity, struct spawn_failure *ret_failure)
{
    if (identity->no_new_privileges && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return fail(ret_failure, SPAWN_STEP_NO_NEW_PRIVILEGES, 0);
    return true;
}

/* What this process is */

bool process_has_capability(unsigned capability)
{
    struct capabilities own;
    return capability < CAPABILITIES_MAX && read_capabilities(&own) == 0 &&
           (own.data[capability / 32].effective >> (capability % 32) & 1);
}

bool process_is_user(uid_t uid)
{
    uid_t real, effective, saved;
    return getresuid(&real, &effective, &saved) == 0 && real == uid && effective == uid &&
           saved == uid;
}

int identity_become(const struct process_identity *identity, unsigned kept,
                    struct spawn_failure *ret_failure)
{
    struct capabilities own;
    const bool keeps = process_has_capability(kept);
    int dumpable = prctl(PR_GET_DUMPABLE, 0, 0, 0, 0);
    if (!set_user(identity, ret_failure) || !set_capabilities(0, ret_failure))
        return -ret_failure->error;
    own = (struct capabilities){.header = {.version = _LINUX_CAPABILITY_VERSION_3}};
    if (keeps)
        own.data[kept / 32].permitted = own.data[kept / 32].effective = 1u << (kept % 32);
    if (syscall(SYS_capset, &own.header, own.data) < 0) {
        (void)fail(ret_failure, SPAWN_STEP_CAPABILITIES, ALL_CAPABILITIES);
        return -ret_failure->error;
    }
    /* As any process of this user: the kernel has made our files in /proc root's, and workers write one of them. */
    (void)prctl(PR_SET_KEEPCAPS, 0, 0, 0, 0);
    (void)prctl(PR_SET_DUMPABLE, dumpable == 1, 0, 0, 0);
    return 0;
}

/* For people */

static char *account_to_text(const char *name, unsigned id)
{
    return name ? string_format("'%s' (%u)", name, id) : string_format("%u", id);
}

static char *limit_failure_to_text(const struct spawn_failure *failure,
                                   const struct process_identity *identity)
{
    const struct rlimit *wanted = &identity->limits[failure->detail];
    struct rlimit now;
    const char *name = limit_name(failure->detail);
    if (failure->error == EPERM && getrlimit((__rlimit_resource_t)failure->detail, &now) == 0 &&
        wanted->rlim_max > now.rlim_max)
        return string_format("cannot set its limit '%s': it is above the hard limit of the master, "
                             "%llu, and to raise that takes root, or CAP_SYS_RESOURCE",
                             name, (unsigned long long)now.rlim_max);
    return string_format("cannot set its limit '%s': %s", name, strerror(failure->error));
}

static char *capability_failure_to_text(const struct spawn_failure *failure)
{
    const char *name = failure->detail < 0 ? NULL : capability_name((unsigned)failure->detail);
    if (name && failure->error == EPERM)
        return string_format("cannot give it the capability %s: the master does not have it itself",
                             name);
    return string_format("cannot set its capabilities%s%s: %s", name ? ", " : "", name ? name : "",
                         strerror(failure->error));
}

static char *user_failure_to_text(const struct spawn_failure *failure, const char *what,
                                  const char *name, unsigned id)
{
    CLEANUP_FREE char *account = account_to_text(name, id);
    const char *hint = "";
    if (failure->error == EPERM)
        hint = " (only root may, or who has CAP_SETUID and CAP_SETGID)";
    else if (failure->error == EINVAL)
        hint = " (this user namespace does not have it)";
    return account
               ? string_format("cannot %s %s: %s%s", what, account, strerror(failure->error), hint)
               : NULL;
}

char *identity_failure_to_text(const struct spawn_failure *failure,
                               const struct process_identity *identity)
{
    const char *reason = strerror(failure->error);
    switch (failure->step) {
    case SPAWN_STEP_NICE:
        return string_format("cannot set its nice value to %d: %s (below the master's own it takes "
                             "root, CAP_SYS_NICE or RLIMIT_NICE)",
                             identity->nice, reason);
    case SPAWN_STEP_OOM_SCORE:
        return string_format("cannot set its oom_score_adjust to %d: %s (below the master's own it "
                             "takes root, or CAP_SYS_RESOURCE)",
                             identity->oom_score_adjust, reason);
    case SPAWN_STEP_AFFINITY:
        return string_format("cannot set its cpu_affinity: %s%s", reason,
                             failure->error == EINVAL ? " (none of these CPUs is there for us)"
                                                      : "");
    case SPAWN_STEP_LIMITS:
        return limit_failure_to_text(failure, identity);
    case SPAWN_STEP_SET_GROUPS:
        return user_failure_to_text(failure, "take the supplementary groups of", identity->user,
                                    identity->uid);
    case SPAWN_STEP_SET_GROUP:
        return user_failure_to_text(failure, "take the group", identity->group, identity->gid);
    case SPAWN_STEP_SET_USER:
        return user_failure_to_text(failure, "become the user", identity->user, identity->uid);
    case SPAWN_STEP_CAPABILITIES:
        return capability_failure_to_text(failure);
    case SPAWN_STEP_NO_NEW_PRIVILEGES:
        return string_format("cannot set no_new_privileges: %s", reason);
    case SPAWN_STEP_CLONE:
    case SPAWN_STEP_GROUP:
    case SPAWN_STEP_FDS:
    case SPAWN_STEP_DIRECTORY:
    case SPAWN_STEP_EXEC:
        break;
    }
    return NULL;
}
