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
    return 0;
}
