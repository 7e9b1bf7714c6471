#include "control/logs-view.h"

#include "base/strv.h"
#include "master/followers.h"
#include "master/master.h"
#include "worker/environment.h"

#include <errno.h>

static json_t *view_output(const struct generation *generation, unsigned slot,
                           enum config_stream stream)
{
    bool redirected = stream == CONFIG_STDERR && generation->program->redirect_stderr;
    enum config_stream at = redirected ? CONFIG_STDOUT : stream;
    CLEANUP_FREE char *name = NULL, *path = NULL, *error = NULL, *path_error = NULL;
    (void)worker_make_name(generation, slot, &name, &error);
    (void)output_make_path(generation, slot, at, &path, &path_error);
    if (path)
        string_make_utf8(path);
    return json_pack("{s:s, s:I, s:s*, s:s, s:s, s:b, s:s*}", "program", generation->program->name,
                     "slot", (json_int_t)slot, "name", name, "stream", output_stream_name(stream),
                     "to", config_output_to_to_string(generation->program->output[at].to), "redirected", redirected,
                     "path", path);
}

static void add_slot(json_t *outputs, const struct generation *generation, unsigned slot,
                     unsigned streams)
{
    for (enum config_stream stream = CONFIG_STDOUT; stream < CONFIG_STREAMS; stream++)
        if (streams & (1u << stream))
            (void)json_array_append_new(outputs, view_output(generation, slot, stream));
}

static void add_target(json_t *outputs, const struct program *program, const struct target *target,
                       unsigned streams)
{
    const struct generation *generation = program->committed;
    if (target->slot >= 0) {
        add_slot(outputs, generation, (unsigned)target->slot, streams);
        return;
    }
    for (size_t i = 0; i < program->n_slots; i++)
        add_slot(outputs, generation, program->slots[i]->number, streams);
    for (unsigned i = 0; program->n_slots == 0 && i < generation->program->workers; i++)
        add_slot(outputs, generation, i, streams);
}

static json_t *view_outputs(const struct master *master, const struct target *targets, size_t n,
                            unsigned streams)
{
    json_t *outputs = json_array();
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < master->n_programs; j++)
            if (string_equal(targets[i].program, master->programs[j]->name))
                add_target(outputs, master->programs[j], &targets[i], streams);
    return outputs;
}

/* Where the master's own log is. */
static json_t *view_log(const struct master *master)
{
    const char *file = master->release.config->log.file;
    if (log_get_format() == LOG_FORMAT_JOURNAL)
        return json_pack("{s:s, s:s*}", "to", "journal", "identifier", log_get_identifier());
    return json_pack("{s:s, s:s*}", "to", file ? "file" : "stderr", "path", file);
}

static unsigned streams_of(const char *stream)
{
    if (!stream)
        return (1u << CONFIG_STREAMS) - 1;
    return 1u << (string_equal(stream, "stderr") ? CONFIG_STDERR : CONFIG_STDOUT);
}

/* stderr that is stdout's is followed there. */
static unsigned followed_streams(const json_t *outputs, unsigned streams)
{
    size_t i;
    json_t *output;
    json_array_foreach(outputs, i, output)
        if (json_is_true(json_object_get(output, "redirected")))
            streams |= 1u << CONFIG_STDOUT;
    return streams;
}

int logs_view(const struct control_logs *logs, void *userdata, json_t **ret, uint64_t *ret_id,
              const char **ret_name)
{
    struct master *master = userdata;
    struct target *targets = NULL;
    size_t n = 0;
    unsigned streams = streams_of(logs->stream);
    int r = targets_find(master, logs->names, &targets, &n, ret_name);
    if (r < 0)
        return r;
    json_t *outputs = view_outputs(master, targets, n, streams);
    streams = followed_streams(outputs, streams);
    json_t *view = json_pack("{s:o, s:o}", "outputs", outputs, "log", view_log(master));
    if (!view || !logs->follow) {
        targets_free(targets, n);
    } else {
        r = followers_add(master, targets, n, streams, ret_id);
        if (r < 0)
            json_decref(view);
    }
    if (r == 0 && view)
        *ret = view;
    return view ? r : -ENOMEM;
}

void logs_unfollow(uint64_t id, void *userdata)
{
    followers_remove(userdata, id);
}
