#include "control/listener-view.h"

#include "base/strv.h"
#include "master/known.h"
#include "master/master.h"

json_t *listener_view(const struct listener *listener, const struct listener_socket *socket)
{
    char *address = address_to_text(&socket->address);
    if (address)
        string_make_utf8(address); /* a path may have any bytes, JSON has not */
    unsigned queue = 0, backlog = 0, drops = 0;
    bool known = listener_queue(socket, &queue, &backlog) == 0;
    json_t *view = json_pack("{s:s, s:s*, s:I, s:b}", "name", listener->name, "address", address,
                             "inode", (json_int_t)socket->inode, "taken_over", socket->taken_over);
    if (view && known) {
        (void)json_object_set_new(view, "queue", json_integer(queue));
        (void)json_object_set_new(view, "backlog", json_integer(backlog));
    }
    if (view && listener_drops(socket, &drops) == 0)
        (void)json_object_set_new(view, "drops", json_integer(drops));
    free(address);
    return view;
}

/* Who has it */

static bool has(const struct generation *generation, const struct listener *listener, unsigned slot,
                int fd)
{
    for (size_t i = 0; generation->listeners && i < generation->program->n_sockets; i++)
        if (generation->listeners[i] == listener && listener_fd(listener, slot) == fd)
            return true;
    return false;
}

static void add_worker(json_t *workers, const struct worker *worker,
                       const struct listener *listener, int fd)
{
    if (!worker || worker->state == WORKER_GONE || worker->exited ||
        !has(worker->generation, listener, worker->slot, fd))
        return;
    (void)json_array_append_new(workers, json_pack("{s:s, s:I, s:s, s:I, s:I, s:s}", "program",
                                                   worker->generation->program->name, "slot",
                                                   (json_int_t)worker->slot, "name", worker->name,
                                                   "pid", (json_int_t)worker->pid, "generation",
                                                   (json_int_t)worker->generation->number, "state",
                                                   worker_state_to_string(worker->state)));
}

static void add_workers(json_t *workers, const struct program *program,
                        const struct listener *listener, int fd)
{
    for (size_t i = 0; i < program->n_slots; i++) {
        const struct slot *slot = program->slots[i];
        add_worker(workers, slot->current, listener, fd);
        add_worker(workers, slot->successor, listener, fd);
        LIST_FOREACH (worker, &slot->leaving, struct worker, link)
            add_worker(workers, worker, listener, fd);
    }
}

static void add_users(json_t *view, const struct master *master, const struct listener *listener,
                      const struct listener_socket *socket)
{
    json_t *programs = json_array(), *workers = json_array();
    for (size_t i = 0; i < master->n_programs; i++) {
        const struct program *program = master->programs[i];
        if (!program->removed && known_is_of(listener, program))
            (void)json_array_append_new(programs, json_string(program->name));
        add_workers(workers, program, listener, socket->fd);
    }
    (void)json_object_set_new(view, "programs", programs);
    (void)json_object_set_new(view, "workers", workers);
}

static void add_listener(json_t *sockets, const struct master *master,
                         const struct known_listener *known)
{
    const struct listener *listener = known->listener;
    for (size_t i = 0; i < listener->n_sockets; i++) {
        json_t *view = listener_view(listener, listener->sockets[i]);
        if (view && config_socket_is_of_slots(known->socket))
            (void)json_object_set_new(view, "slot", json_integer((json_int_t)i));
        if (view)
            add_users(view, master, listener, listener->sockets[i]);
        (void)json_array_append_new(sockets, view);
    }
}

json_t *listener_view_all(void *userdata)
{
    const struct master *master = userdata;
    CLEANUP_KNOWN struct known known = {0};
    json_t *sockets = json_array();
    if (known_collect(master, &known) < 0) {
        json_decref(sockets);
        return NULL;
    }
    for (size_t i = 0; i < known.n; i++)
        add_listener(sockets, master, &known.list[i]);
    return json_pack("{s:o}", "sockets", sockets);
}
