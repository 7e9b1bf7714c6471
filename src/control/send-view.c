#include "control/send-view.h"

#include "base/strv.h"
#include "master/master.h"
#include "master/targets.h"
#include "worker/channel.h"
#include "worker/environment.h"

#include <errno.h>
#include <string.h>

struct sending {
    const char *line; /* with its newline */
    size_t size;
    json_t *results;
};

/* One text for all of them. */
static int make_line(const json_t *message, char **ret, size_t *ret_size)
{
    char *text = json_dumps(message, JSON_ENCODE_ANY | JSON_COMPACT);
    if (!text)
        return -ENOMEM;
    size_t length = strlen(text);
    if (length + 1 > CHANNEL_LINE_MAX) {
        free(text);
        return -EMSGSIZE;
    }
    text[length] = '\n'; /* takes the place of the NUL */
    *ret = text;
    *ret_size = length + 1;
    return 0;
}

static const char *result_of(int r)
{
    return r == 0 ? "sent" : r == -ENOBUFS || r == -ENOMEM ? "full" : "no_channel";
}

static const char *try_to_send(const struct sending *sending, const struct worker *worker)
{
    switch (worker->state) {
    case WORKER_STARTING:
    case WORKER_READY:
        return result_of(channel_send_line(worker->channel, sending->line, sending->size));
    case WORKER_DRAINING:
        return "draining";
    case WORKER_STOPPING:
    case WORKER_GONE:
        break;
    }
    return "stopping";
}

static void send_to_worker(const struct sending *sending, const struct worker *worker)
{
    bool unread = channel_is_unread(worker->channel);
    const char *result = try_to_send(sending, worker);
    (void)json_array_append_new(
        sending->results,
        json_pack("{s:s, s:I, s:s, s:I, s:I, s:s, s:o*}", "program",
                  worker->generation->program->name, "slot", (json_int_t)worker->slot, "name",
                  worker->name, "pid", (json_int_t)worker->pid, "generation",
                  (json_int_t)worker->generation->number, "result", result, "unread",
                  unread && strcmp(result, "sent") == 0 ? json_true() : NULL));
}

static void tell_of_nobody(const struct sending *sending, const struct program *program,
                           unsigned slot)
{
    CLEANUP_FREE char *name = NULL, *error = NULL;
    (void)worker_make_name(program->committed, slot, &name, &error);
    (void)json_array_append_new(sending->results,
                                json_pack("{s:s, s:I, s:s*, s:s}", "program", program->name, "slot",
                                          (json_int_t)slot, "name", name, "result", "not_running"));
}

/* Is there nobody because nobody is wanted? */
static bool is_empty_by_wish(const struct slot *slot)
{
    enum slot_state state = slot_get_state(slot);
    return state == SLOT_STOPPED || state == SLOT_EXITED;
}

/* To all of its workers: while one takes another's place, to the new one, and of the old one it is said that it leaves. */
static void send_to_slot(const struct sending *sending, const struct slot *slot, bool was_named)
{
    bool somebody = slot->current || slot->successor;
    if (slot->current)
        send_to_worker(sending, slot->current);
    if (slot->successor)
        send_to_worker(sending, slot->successor);
    LIST_FOREACH (worker, &slot->leaving, struct worker, link)
        if (worker->state != WORKER_GONE) {
            send_to_worker(sending, worker);
            somebody = true;
        }
    if (!somebody && (was_named || !is_empty_by_wish(slot)))
        tell_of_nobody(sending, slot->program, slot->number);
}

static void send_to_target(const struct sending *sending, const struct program *program, int number)
{
    bool found = false;
    for (size_t i = 0; i < program->n_slots; i++)
        if (number < 0 || program->slots[i]->number == (unsigned)number) {
            send_to_slot(sending, program->slots[i], number >= 0);
            found = true;
        }
    if (!found && number >= 0)
        tell_of_nobody(sending, program, (unsigned)number);
}

static bool is_of(const struct program *program, const struct target *target)
{
    return !program->removed && strcmp(program->name, target->program) == 0;
}

/* What a program's workers are told to drain by is a word of ours, too, whatever it is. */
static bool means_to_leave(const struct master *master, const struct target *targets, size_t n,
                           const json_t *message)
{
    const char *word = json_string_value(message);
    for (size_t i = 0; word && i < n; i++)
        for (size_t j = 0; j < master->n_programs; j++)
            if (is_of(master->programs[j], &targets[i]) &&
                string_equal(word, program_config(master->programs[j])->drain_message))
                return true;
    return channel_is_own_word(message);
}

static int send_to_all(const struct master *master, const struct target *targets, size_t n,
                       const json_t *message, json_t *results)
{
    CLEANUP_FREE char *line = NULL;
    struct sending sending = {.results = results};
    if (means_to_leave(master, targets, n, message))
        return -EINVAL;
    int r = make_line(message, &line, &sending.size);
    if (r < 0)
        return r;
    sending.line = line;
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < master->n_programs; j++)
            if (is_of(master->programs[j], &targets[i]))
                send_to_target(&sending, master->programs[j], targets[i].slot);
    return 0;
}

int send_view(const struct control_send *send, void *userdata, json_t **ret, const char **ret_name)
{
    const struct master *master = userdata;
    struct target *targets = NULL;
    size_t n = 0;
    json_auto_t *results = json_array();
    if (!results)
        return -ENOMEM;
    int r = targets_find(master, send->names, &targets, &n, ret_name);
    if (r == 0)
        r = send_to_all(master, targets, n, send->message, results);
    targets_free(targets, n);
    if (r == 0)
        *ret = TAKE_PTR(results);
    return r;
}
