#include "control/attach-view.h"

#include "base/fd.h"
#include "base/log.h"
#include "base/strv.h"
#include "master/master.h"
#include "master/programs.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

/* Of those that a name stands for, in an error. */
#define WORKERS_TOLD_MAX 16

/* Where a program is stopped, it has none. */
static const struct slot *find_slot(const struct program *program, unsigned number)
{
    for (size_t i = 0; i < program->n_slots; i++)
        if (program->slots[i]->number == number)
            return program->slots[i];
    return NULL;
}

/* Who serves, else who is about to, else who was there last, while it runs. */
static const struct worker *find_worker(const struct slot *slot)
{
    const struct worker *found = slot->current;
    if (!found || found->exited)
        found = slot->successor;
    if (!found && !slot->current)
        LIST_FOREACH (worker, &slot->leaving, struct worker, link)
            found = worker;
    return found && !found->exited && found->state != WORKER_GONE ? found : NULL;
}

static json_t *describe_absence(const struct program *program, const struct slot *slot,
                                unsigned number)
{
    bool comes = slot && number < program_wanted(program) && !slot_is_over(slot);
    return json_pack("{s:s, s:I, s:s, s:b}", "program", program->name, "slot", (json_int_t)number,
                     "state", slot_state_to_string(slot ? slot_get_state(slot) : SLOT_STOPPED),
                     "comes", comes);
}

static const char *describe_stdin(const struct worker *worker)
{
    if (worker->input_fd >= 0)
        return "pipe";
    return worker->generation->program->handoff & CONFIG_HANDOFF_STDIN ? "socket" : "null";
}

static json_t *describe(const struct program *program, const struct worker *worker)
{
    return json_pack("{s:s, s:I, s:s, s:I, s:I, s:s, s:s}", "program", program->name, "slot",
                     (json_int_t)worker->slot, "name", worker->name, "pid", (json_int_t)worker->pid,
                     "generation", (json_int_t)worker->generation->number, "state",
                     worker_state_to_string(worker->state), "stdin", describe_stdin(worker));
}

static int attach(const struct program *program, unsigned number, int64_t attached,
                  const struct control_peer *peer, json_t **ret, int *ret_input_fd)
{
    const struct slot *slot = find_slot(program, number);
    const struct worker *worker = slot ? find_worker(slot) : NULL;
    if (!worker) {
        *ret = describe_absence(program, slot, number);
        return *ret ? -ENOTCONN : -ENOMEM;
    }
    CLEANUP_FD int input_fd = -1;
    if (worker->input_fd >= 0 && worker->pid != attached) {
        input_fd = fcntl(worker->input_fd, F_DUPFD_CLOEXEC, 0);
        if (input_fd < 0)
            return -errno;
        log_about(worker_subject(worker), LOG_LEVEL_INFO,
                  "pid %d of user %u is attached to its stdin", (int)peer->pid, peer->uid);
    }
    *ret = describe(program, worker);
    if (!*ret)
        return -ENOMEM;
    *ret_input_fd = TAKE_FD(input_fd);
    return 0;
}

static void tell_workers(const struct program *program, int slot, json_t *workers)
{
    unsigned begin = slot < 0 ? 0 : (unsigned)slot,
             end = slot < 0 ? program->committed->program->workers : begin + 1;
    for (unsigned i = begin; i < end && json_array_size(workers) < WORKERS_TOLD_MAX; i++)
        (void)json_array_append_new(workers, json_sprintf("%s:%u", program->name, i));
}

static int refuse_several(const struct master *master, const char *name,
                          const struct target *targets, size_t n, json_t **ret)
{
    json_t *workers = json_array();
    for (size_t i = 0; i < n; i++) {
        const struct program *program = master_find_program(master, targets[i].program);
        if (program)
            tell_workers(program, targets[i].slot, workers);
    }
    *ret = json_pack("{s:s, s:o}", "name", name, "workers", workers);
    return *ret ? -E2BIG : -ENOMEM;
}

int attach_view(const struct control_attach *wish, const struct control_peer *peer, void *userdata,
                json_t **ret, int *ret_input_fd)
{
    const struct master *master = userdata;
    CLEANUP_FREE char *copy = strdup(wish->name);
    char *const names[] = {copy, NULL};
    struct target *targets = NULL;
    size_t n = 0;
    const char *unknown = NULL;
    int r = copy ? targets_find(master, names, &targets, &n, &unknown) : -ENOMEM;
    if (r < 0)
        return r;
    const struct program *program = n > 0 ? master_find_program(master, targets[0].program) : NULL;
    if (!program)
        r = -ENOENT;
    else if (n > 1 || (targets[0].slot < 0 && program->committed->program->workers > 1))
        r = refuse_several(master, wish->name, targets, n, ret);
    else
        r = attach(program, (unsigned)MAX(targets[0].slot, 0), wish->attached, peer, ret,
                   ret_input_fd);
    targets_free(targets, n);
    return r;
}
