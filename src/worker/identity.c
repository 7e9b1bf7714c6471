#include "worker/identity.h"

#include <linux/capability.h>

/* Each slot has one of the CPUs that there are for us now; with more slots than CPUs they begin anew. */
static bool choose_cpu(unsigned slot, cpu_set_t *ret)
{
    cpu_set_t all;
    if (sched_getaffinity(0, sizeof(all), &all) < 0 || CPU_COUNT(&all) == 0)
        return false;
    unsigned skip = slot % (unsigned)CPU_COUNT(&all);
    size_t cpu = 0;
    while (!CPU_ISSET(cpu, &all) || skip-- > 0)
        cpu++;
    CPU_ZERO(ret);
    CPU_SET(cpu, ret);
    return true;
}

static const cpu_set_t *choose_cpus(struct worker_identity *identity,
                                    const struct config_affinity *affinity, unsigned slot)
{
    switch (affinity->kind) {
    case CONFIG_AFFINITY_UNSET:
        break;
    case CONFIG_AFFINITY_LIST:
        identity->cpus = affinity->cpus;
        return &identity->cpus;
    case CONFIG_AFFINITY_PER_WORKER:
        return choose_cpu(slot, &identity->cpus) ? &identity->cpus : NULL;
    }
    return NULL;
}

/* What we are already is left alone, and so are groups that we may not touch: that nobody asked for others was checked. */
static void take_account(struct process_identity *identity, const struct config_account *account)
{
    if (!account->groups_set)
        return;
    bool may_set_groups = process_has_capability(CAP_SETGID);
    identity->user = account->name;
    identity->group = account->group_text;
    identity->set_user = account->user.set && !process_is_user(account->user.id);
    identity->uid = account->user.id;
    identity->set_group = account->group.set && may_set_groups;
    identity->gid = account->group.id;
    identity->set_groups = may_set_groups;
    identity->groups = account->groups;
    identity->n_groups = account->n_groups;
}

static void take_limits(struct process_identity *identity, const struct config_limit *limits)
{
    for (size_t i = 0; i < RLIM_NLIMITS; i++)
        if (limits[i].set) {
            identity->limits_set |= 1u << i;
            identity->limits[i] = (struct rlimit){.rlim_cur = limits[i].soft,
                                                  .rlim_max = limits[i].hard};
        }
}

void worker_identity_init(struct worker_identity *identity, const struct config_identity *config,
                          unsigned slot)
{
    *identity = (struct worker_identity){
        .identity =
            {
                .set_umask = config->umask.set,
                .umask = config->umask.mask,
                .set_nice = config->nice.set,
                .nice = config->nice.value,
                .set_oom_score_adjust = config->oom_score_adjust.set,
                .oom_score_adjust = config->oom_score_adjust.value,
                .set_capabilities = config->capabilities.set,
                .capabilities = config->capabilities.mask,
                .no_new_privileges = config->no_new_privileges,
            },
    };
    identity->identity.cpus = choose_cpus(identity, &config->affinity, slot);
    take_account(&identity->identity, &config->account);
    take_limits(&identity->identity, config->limits);
}
