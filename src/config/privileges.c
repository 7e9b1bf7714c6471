/*
 * A configuration may be right and still not be this process's to run: whoever checks one that root will run is told so, but it is no
 * error then.
 */
#include "config/config.h"

#include "config/errors.h"

#include <errno.h>
#include <linux/capability.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Who the master will be when it starts workers. */
struct powers {
    bool set_user, set_group;
    uid_t uid;
    gid_t gid;
    gid_t *groups;
    int n_groups;
};

static bool has_capability(unsigned capability)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {0};
    return syscall(SYS_capget, &header, data) == 0 && (data[0].effective >> capability & 1);
}

static void powers_clear(struct powers *powers)
{
    free(powers->groups);
}

static int get_powers(struct powers *ret)
{
    int n = getgroups(0, NULL);
    gid_t *groups = calloc((size_t)MAX(n, 0) + 1, sizeof(*groups));
    if (!groups)
        return -ENOMEM;
    n = getgroups(MAX(n, 0), groups);
    *ret = (struct powers){.set_user = has_capability(CAP_SETUID),
                           .set_group = has_capability(CAP_SETGID),
                           .uid = geteuid(),
                           .gid = getegid(),
                           .groups = groups,
                           .n_groups = MAX(n, 0)};
    return 0;
}

static bool has_group(const struct powers *powers, gid_t gid)
{
    for (int i = 0; i < powers->n_groups; i++)
        if (powers->groups[i] == gid)
            return true;
    return gid == powers->gid;
}

/* Those that were asked for; what a user brings along by himself is left as it is then. */
static bool has_groups(const struct powers *powers, const struct config_account *account)
{
    if (!account->groups_text)
        return true;
    for (size_t i = 0; i < account->n_groups; i++)
        if (!has_group(powers, account->groups[i]))
            return false;
    return true;
}

/* The key that asks for too much, or NULL. */
static const char *find_excess(const struct powers *powers, const struct config_account *account)
{
    if (account->user.set && account->user.id != powers->uid && !powers->set_user)
        return "user";
    if (account->group_text && account->group.id != powers->gid && !powers->set_group)
        return "group";
    return powers->set_group || has_groups(powers, account) ? NULL : "supplementary_groups";
}

static void complain(struct errors *errors, const struct config_program *program, const char *key,
                     uid_t uid, bool gives_up)
{
    char path[200];
    const struct place place = {.origin = config_file_name(program->file),
                                .file = program->file->number,
                                .line = program->line,
                                .column = program->column};
    (void)snprintf(path, sizeof(path), "programs.%s.%s", program->name, key);
    if (gives_up)
        errors_add(
            errors, &place, path,
            "with 'user' at the top of the file the master is user %u when it starts workers, and "
            "cannot start them as another one: leave out one of the two",
            (unsigned)uid);
    else
        errors_add(
            errors, &place, path,
            "only root can start workers as somebody else, and this master is user %u: start it as "
            "root, or leave this out",
            (unsigned)uid);
}

static void check_gateway(struct errors *errors, const struct config *config,
                          const struct powers *powers)
{
    const struct place place = {.origin = config->path ? config->path : "command line"};
    if (find_excess(powers, &config->gateway.account))
        errors_add(errors, &place, "gateway.user",
                   "the master is user %u when it starts the gateway, and cannot start it as "
                   "another one: leave this out",
                   (unsigned)powers->uid);
}

static void check_master(struct errors *errors, const struct config *config,
                         const struct powers *powers)
{
    const struct place place = {.origin = config->path ? config->path : "command line"};
    if (find_excess(powers, &config->account))
        errors_add(
            errors, &place, "user",
            "only root can become somebody else, and this master is user %u: start it as root, or "
            "leave this out",
            (unsigned)powers->uid);
}

/* After that it is one like any other. */
static bool becomes_another(const struct config *config, struct powers *powers)
{
    if (!config->account.user.set || config->account.user.id == powers->uid)
        return false;
    powers->set_user = powers->set_group = false;
    powers->uid = config->account.user.id;
    powers->gid = config->account.group.id;
    free(powers->groups);
    powers->n_groups = (int)config->account.n_groups;
    powers->groups = calloc(config->account.n_groups + 1, sizeof(gid_t));
    if (powers->groups)
        memcpy(powers->groups, config->account.groups, config->account.n_groups * sizeof(gid_t));
    else
        powers->n_groups = 0;
    return true;
}

int config_check_privileges(const struct config *config, char **ret_errors)
{
    CLEANUP_ERRORS struct errors errors = {0};
    CLEANUP(powers_clear) struct powers powers = {0};
    int r = get_powers(&powers);
    if (r < 0)
        return r;
    check_master(&errors, config, &powers);
    bool gives_up = becomes_another(config, &powers);
    check_gateway(&errors, config, &powers);
    for (size_t i = 0; i < config->n_programs; i++) {
        const struct config_program *program = config->programs[i];
        const char *key = find_excess(&powers, &program->identity.account);
        if (key)
            complain(&errors, program, key, powers.uid, gives_up);
    }
    if (!errors_any(&errors))
        return 0;
    *ret_errors = errors_to_text(&errors);
    return errors.no_memory || !*ret_errors ? -ENOMEM : -EPERM;
}
