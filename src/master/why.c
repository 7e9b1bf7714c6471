#include "master/why.h"

#include "base/clock.h"
#include "base/macros.h"
#include "master/inquiry.h"
#include "master/master.h"
#include "master/targets.h"

#include <errno.h>
#include <string.h>

/* Which workers */

struct choice {
    const struct why_wish *wish;
    const struct target *targets;
    size_t n_targets;
    struct inquiry_subject *subjects;
    size_t n, allocated;
};

typedef int take_worker(struct worker *worker, void *userdata);

/* All that have a process; what is not 0 ends it. */
static int each_of_slot(const struct slot *slot, take_worker *take, void *userdata)
{
    int r = slot->current ? take(slot->current, userdata) : 0;
    if (r == 0 && slot->successor)
        r = take(slot->successor, userdata);
    LIST_FOREACH (worker, &slot->leaving, struct worker, link)
        if (r == 0 && worker->state != WORKER_GONE)
            r = take(worker, userdata);
    return r;
}

static int each_worker(const struct master *master, take_worker *take, void *userdata)
{
    int r = 0;
    for (size_t i = 0; i < master->n_programs; i++)
        for (size_t k = 0; k < master->programs[i]->n_slots && r == 0; k++)
            r = each_of_slot(master->programs[i]->slots[k], take, userdata);
    return r;
}

static bool is_wanted(const struct choice *choice, const struct worker *worker)
{
    if (!choice->wish->all && worker->state != WORKER_DRAINING && worker->state != WORKER_STOPPING)
        return false;
    if (!choice->wish->names)
        return true;
    for (size_t i = 0; i < choice->n_targets; i++) {
        const struct target *target = &choice->targets[i];
        if ((target->slot < 0 || (unsigned)target->slot == worker->slot) &&
            strcmp(target->program, worker->generation->program->name) == 0)
            return true;
    }
    return false;
}

static int choose(struct worker *worker, void *userdata)
{
    struct choice *choice = userdata;
    if (!is_wanted(choice, worker))
        return 0;
    if (choice->n == choice->allocated) {
        size_t wanted = MAX(choice->allocated * 2, (size_t)16);
        struct inquiry_subject *larger = reallocarray(choice->subjects, wanted, sizeof(*larger));
        if (!larger)
            return -ENOMEM;
        choice->subjects = larger;
        choice->allocated = wanted;
    }
    struct inquiry_subject *subject = &choice->subjects[choice->n++];
    *subject = (struct inquiry_subject){
        .worker = worker->id, .pid = worker->pid, .n_strays = worker->n_strays};
    memcpy(subject->strays, worker->strays, sizeof(subject->strays));
    return 0;
}

/* What it waits for */

static const char *awaited(const struct worker *worker)
{
    switch (worker->state) {
    case WORKER_STARTING:
        return "ready";
    case WORKER_DRAINING:
        return worker->generation->program->drain == CONFIG_DRAIN_SIGNAL ? "exit" : "fully_closed";
    case WORKER_STOPPING:
        return worker->exited ? "rest" : "exit";
    case WORKER_READY:
    case WORKER_GONE:
        break;
    }
    return NULL;
}

/* What ends it at the latest. */
static const char *limit(const struct worker *worker)
{
    switch (worker->state) {
    case WORKER_STARTING:
        return "start_timeout";
    case WORKER_DRAINING:
        return "disconnect_timeout";
    case WORKER_STOPPING:
        if (worker->killed)
            return NULL;
        return worker->stop_signalled ? "stop_timeout" : "disconnect_timeout";
    case WORKER_READY:
    case WORKER_GONE:
        break;
    }
    return NULL;
}

static void set(json_t *view, const char *name, json_t *value)
{
    if (view)
        (void)json_object_set_new(view, name, value);
    else
        json_decref(value);
}

static void add_limit(json_t *view, const struct worker *worker)
{
    uint64_t now = clock_monotonic_usec();
    const char *key = limit(worker);
    if (!key)
        return;
    set(view, "limit", json_string(key));
    set(view, "left_usec",
        json_integer(worker->deadline_usec > now ? (json_int_t)(worker->deadline_usec - now) : 0));
    if (worker->granted)
        set(view, "extended", json_true());
}

static void add_leave(json_t *view, const struct worker *worker)
{
    if (worker->leave.began_usec == 0)
        return;
    uint64_t age = clock_monotonic_usec() - worker->leave.began_usec;
    set(view, "leaves_since_usec", json_integer((json_int_t)(clock_realtime_usec() - age)));
    set(view, "reason", json_string(worker->leave.reason));
    if (worker->leave.reload != 0)
        set(view, "reload", json_integer((json_int_t)worker->leave.reload));
    if (worker->state == WORKER_DRAINING && worker_is_deaf(worker))
        set(view, "message_unread", json_true());
    if (worker->killed)
        set(view, "killed", json_true());
}

static json_t *view_worker(const struct worker *worker, const json_t *found)
{
    static const char *const members[] = {"incomplete", "process_count", "processes",
                                          "connection_count", "connections"};
    uint64_t age = clock_monotonic_usec() - worker->state_usec;
    json_t *view = json_pack(
        "{s:s, s:s, s:I, s:I, s:I, s:s, s:I, s:s*}", "program", worker->generation->program->name,
        "name", worker->name, "slot", (json_int_t)worker->slot, "pid", (json_int_t)worker->pid,
        "generation", (json_int_t)worker->generation->number, "state",
        worker_state_to_string(worker->state), "since_usec",
        (json_int_t)(clock_realtime_usec() - age), "waits_for", awaited(worker));
    add_leave(view, worker);
    add_limit(view, worker);
    for (size_t i = 0; i < ARRAY_SIZE(members); i++) {
        json_t *value = json_object_get(found, members[i]);
        if (value)
            set(view, members[i], json_incref(value));
    }
    return view;
}

/* The answer */

struct answer {
    const struct inquiry_subject *subjects;
    size_t n;
    const json_t *found; /* of each subject, in their order; or NULL */
    json_t *workers;
};

/* Subjects are in the order of the workers as it was; those are few that came or left meanwhile. */
static int add_worker(struct worker *worker, void *userdata)
{
    struct answer *answer = userdata;
    for (size_t i = 0; i < answer->n; i++) {
        if (answer->subjects[i].worker != worker->id)
            continue;
        const json_t *found = json_array_get(answer->found, i);
        bool fits = json_integer_value(json_object_get(found, "pid")) == worker->pid;
        (void)json_array_append_new(answer->workers, view_worker(worker, fits ? found : NULL));
    }
    return 0;
}

static json_t *make_answer(const struct master *master, const struct inquiry_subject *subjects,
                           size_t n, const json_t *found, const char *failure)
{
    struct answer answer = {.subjects = subjects,
                            .n = n,
                            .found = json_object_get(found, "workers"),
                            .workers = json_array()};
    if (!failure)
        failure = json_string_value(json_object_get(found, "failure"));
    (void)each_worker(master, add_worker, &answer);
    return json_pack("{s:o, s:s*}", "workers", answer.workers, "failure", failure);
}

void why_answer(struct master *master, const struct inquiry *inquiry, const json_t *found,
                const char *failure)
{
    json_auto_t *answer = make_answer(master, inquiry->subjects, inquiry->n_subjects, found,
                                      failure);
    event_bus_answer(&master->events, inquiry->id, answer);
}

static int ask(struct master *master, struct choice *choice, uint64_t *ret_id, json_t **ret)
{
    int r = each_worker(master, choose, choice);
    if (r < 0)
        return r;
    *ret_id = 0;
    r = choice->n > 0 ? inquiry_new(master, choice->subjects, choice->n, ret_id) : 0;
    if (r == 0 && choice->n > 0) {
        choice->subjects = NULL;
        return 0;
    }
    *ret = make_answer(master, choice->subjects, choice->n, NULL,
                       r < 0 ? inquiry_explain(r) : NULL);
    return *ret ? 0 : -ENOMEM;
}

int why_ask(struct master *master, const struct why_wish *wish, uint64_t *ret_id, json_t **ret,
            const char **ret_name)
{
    struct target *targets = NULL;
    size_t n = 0;
    int r = wish->names ? targets_find_seen(master, wish->names, &targets, &n, ret_name) : 0;
    if (r < 0)
        return r;
    struct choice choice = {.wish = wish, .targets = targets, .n_targets = n};
    r = ask(master, &choice, ret_id, ret);
    free(choice.subjects);
    targets_free(targets, n);
    return r;
}

void why_forget(struct master *master, uint64_t id)
{
    inquiry_forget(master, id);
}
