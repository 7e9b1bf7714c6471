#include "logger/outlet.h"

#include <errno.h>
#include <string.h>

static const char *name_of(const struct outlet_params *params)
{
    switch (params->kind) {
    case WRITER_FILE:
        return params->path;
    case WRITER_LOG:
        return "the log";
    case WRITER_JOURNAL:
        return "the journal";
    case WRITER_SYSLOG:
        return "syslog";
    }
    return "?";
}

static struct outlet *find_outlet(struct list *outlets, const struct outlet_params *params)
{
    LIST_FOREACH (outlet, outlets, struct outlet, link) {
        if (writer_get_kind(outlet->writer) == params->kind &&
            strcmp(writer_name(outlet->writer), name_of(params)) == 0)
            return outlet;
    }
    return NULL;
}

static int outlet_new(struct list *outlets, const struct outlet_params *params, struct outlet **ret)
{
    struct writer *writer = NULL;
    struct outlet *outlet = calloc(1, sizeof(*outlet));
    int r = outlet ? writer_new(params->kind, name_of(params), params->again, params->done,
                                &writer)
                   : -ENOMEM;
    if (r == 0 && params->kind == WRITER_LOG)
        r = writer_set_log(writer, params->log);
    if (r < 0) {
        (void)writer_free(writer);
        free(outlet);
        return r;
    }
    outlet->writer = writer;
    list_append(outlets, &outlet->link);
    *ret = outlet;
    return 0;
}

int outlet_take(struct list *outlets, const struct outlet_params *params, struct writer **ret)
{
    struct outlet *outlet = find_outlet(outlets, params);
    int r = outlet ? 0 : outlet_new(outlets, params, &outlet);
    if (r < 0)
        return r;
    if (params->kind == WRITER_FILE)
        writer_set_file(outlet->writer, params->settings);
    outlet->n_streams++;
    *ret = outlet->writer;
    return 0;
}

void outlet_drop(struct list *outlets, const struct writer *writer)
{
    LIST_FOREACH_SAFE (outlet, outlets, struct outlet, link) {
        if (outlet->writer != writer || --outlet->n_streams > 0)
            continue;
        list_remove(&outlet->link);
        (void)writer_free(outlet->writer);
        free(outlet);
    }
}

void outlet_reopen_all(struct list *outlets)
{
    LIST_FOREACH (outlet, outlets, struct outlet, link)
        writer_reopen(outlet->writer);
}

int outlet_set_log(struct list *outlets, const struct log_place *log)
{
    int r = 0;
    LIST_FOREACH (outlet, outlets, struct outlet, link) {
        if (writer_get_kind(outlet->writer) == WRITER_LOG)
            r = writer_set_log(outlet->writer, log);
    }
    return r;
}
