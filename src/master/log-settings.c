/* `log:` of a configuration made true. */
#include "master/master.h"

#include "base/journal.h"
#include "base/log.h"
#include "base/strv.h"

#include <string.h>

static enum log_format find_log_format(const struct config *config, bool journal)
{
    switch (config->log.format) {
    case CONFIG_LOG_AUTO:
        return journal && !config->log.file ? LOG_FORMAT_JOURNAL : LOG_FORMAT_TEXT;
    case CONFIG_LOG_TEXT:
        return LOG_FORMAT_TEXT;
    case CONFIG_LOG_JSON:
        return LOG_FORMAT_JSON;
    case CONFIG_LOG_JOURNAL:
        return LOG_FORMAT_JOURNAL;
    }
    return LOG_FORMAT_TEXT;
}

static int fail_file(const char *path, int r, char **ret_error)
{
    *ret_error = string_format("log.file: cannot open %s: %s", path, strerror(-r));
    return r;
}

int master_try_log(const struct config *config, char **ret_error)
{
    int r = config->log.file ? log_try_file(config->log.file) : 0;
    return r < 0 ? fail_file(config->log.file, r, ret_error) : 0;
}

/* What may fail comes first, and of that either the journal or a file: so all of it is made true, or nothing. */
int master_apply_log(const struct config *config, bool journal, char **ret_error)
{
    enum log_format format = find_log_format(config, journal);
    int r = format == LOG_FORMAT_JOURNAL ? log_set_journal(JOURNAL_SOCKET, config->identifier) : 0;
    if (r < 0) {
        *ret_error = string_format("log: cannot make a socket for the journal: %s", strerror(-r));
        return r;
    }
    r = log_set_file(config->log.file);
    if (r < 0)
        return fail_file(config->log.file, r, ret_error);
    log_set_level(config->log.level);
    log_set_format(format);
    log_set_rotation(config->log.max_size, config->log.backups);
    return 0;
}

/* reloader-log writes into the same file: it goes on with the new one. */
static int on_rotated_later(sd_event_source *source UNUSED, void *userdata)
{
    struct master *master = userdata;
    logging_log_changed(master->logging);
    return 0;
}

static void on_rotated(void *userdata)
{
    struct master *master = userdata;
    (void)sd_event_source_set_enabled(master->log_rotated, SD_EVENT_ONESHOT);
}

int master_watch_log(struct master *master)
{
    int r = sd_event_add_defer(master->event, &master->log_rotated, on_rotated_later, master);
    if (r >= 0)
        r = sd_event_source_set_enabled(master->log_rotated, SD_EVENT_OFF);
    if (r < 0)
        return r;
    (void)sd_event_source_set_description(master->log_rotated, "master-log-rotated");
    log_on_rotated(on_rotated, master);
    return 0;
}

void master_unwatch_log(struct master *master)
{
    log_on_rotated(NULL, NULL);
    master->log_rotated = sd_event_source_disable_unref(master->log_rotated);
}
