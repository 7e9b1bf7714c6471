#include "control/signal-view.h"

#include "base/log.h"
#include "base/parse.h"
#include "base/strv.h"
#include "master/master.h"
#include "master/targets.h"

#include <errno.h>
#include <string.h>

struct sending {
    const struct control_signal *signal;
    const struct control_peer *peer;
    json_t *results;
};

static void add_result(struct sending *sending, json_t *result)
{
    (void)json_array_append_new(sending->results, result);
}

/* A wish for what is there now: a worker of an old generation that drains gets it, too. */
static void send_to_worker(struct sending *sending, struct worker *worker)
{
    const struct control_signal *signal = sending->signal;
    char name[SIGNAL_NAME_SIZE];
    if (!worker || worker->state == WORKER_GONE)
        return;
    int r = worker_signal(worker, signal->number, signal->group);
    log_about(worker_subject(worker), LOG_LEVEL_INFO, "%s%s, asked for by pid %d, uid %u%s%s",
              signal_to_string(signal->number, name), signal->group ? " to its process group" : "",
              (int)sending->peer->pid, sending->peer->uid, r < 0 ? ": " : "",
              r < 0 ? strerror(-r) : "");
    add_result(sending,
               json_pack("{s:s, s:I, s:s, s:I, s:s, s:s*}", "program",
                         worker->generation->program->name, "slot", (json_int_t)worker->slot,
                         "name", worker->name, "pid", (json_int_t)worker->pid, "result",
                         r == 0        ? "sent"
                         : r == -ESRCH ? "not_running"
                                       : "failed",
                         "reason", r < 0 && r != -ESRCH ? strerror(-r) : NULL));
}

static void send_to_slot(struct sending *sending, const struct slot *slot)
{
    send_to_worker(sending, slot->current);
    send_to_worker(sending, slot->successor);
    LIST_FOREACH (worker, &slot->leaving, struct worker, link)
        send_to_worker(sending, worker);
}

static void send_to_target(struct sending *sending, const struct program *program,
                           const struct target *target)
{
    size_t before = json_array_size(sending->results);
    for (size_t i = 0; i < program->n_slots; i++)
        if (target->slot < 0 || (size_t)target->slot == i)
            send_to_slot(sending, program->slots[i]);
    if (json_array_size(sending->results) > before)
        return;
    json_t *nobody = json_pack("{s:s, s:s}", "program", program->name, "result", "not_running");
    if (nobody && target->slot >= 0)
        (void)json_object_set_new(nobody, "slot", json_integer(target->slot));
    add_result(sending, nobody);
}

int signal_view(const struct control_signal *signal, const struct control_peer *peer,
                void *userdata, json_t **ret, const char **ret_name)
{
    const struct master *master = userdata;
    struct sending sending = {.signal = signal, .peer = peer};
    struct target *targets = NULL;
    size_t n = 0;
    int r = targets_find(master, signal->names, &targets, &n, ret_name);
    if (r < 0)
        return r;
    sending.results = json_array();
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < master->n_programs; j++)
            if (string_equal(targets[i].program, master->programs[j]->name))
                send_to_target(&sending, master->programs[j], &targets[i]);
    targets_free(targets, n);
    *ret = json_pack("{s:o}", "results", sending.results);
    return *ret ? 0 : -ENOMEM;
}
