/*
 * A reloader-log that is stopped, or hangs, dies to nobody's notice, and then workers wait for room in their pipes. So it is asked whether it is
 * there, and is killed when it does not answer: the next one gets all pipes with what is in them.
 *
 * Time alone does not condemn it: we may have been stopped ourselves, or the machine been busy. It has to be silent at SILENT_MAX looks in a row.
 */
#include "master/logging.h"

#include "base/clock.h"
#include "base/message.h"
#include "process/pidfd.h"

#include <signal.h>

#define LOOK_USEC  (5 * USEC_PER_SEC)
#define SILENT_MAX 2

static void look_later(struct logging *logging)
{
    (void)sd_event_source_set_time(logging->look_timer, clock_monotonic_usec() + LOOK_USEC);
    (void)sd_event_source_set_enabled(logging->look_timer, SD_EVENT_ONESHOT);
}

static void kill_it(struct logging *logging)
{
    log_warning("reloader-log, pid %d, does not answer for %u s (is it stopped?): it is killed, and "
                "another one takes over",
                (int)logging->pid, (unsigned)(SILENT_MAX * LOOK_USEC / USEC_PER_SEC));
    (void)process_signal(logging->pidfd, SIGKILL);
}

static int on_look(sd_event_source *source UNUSED, uint64_t now UNUSED, void *userdata)
{
    static char *const ping[] = {(char *)(uintptr_t) "TYPE=ping", NULL};
    struct logging *logging = userdata;
    if (logging->pid == 0)
        return 0;
    logging_hear(logging);
    if (logging->asked && ++logging->silent == SILENT_MAX) {
        kill_it(logging);
        return 0;
    }
    /* Where there is no room it has not read what it was told before, and that is silence too. */
    (void)message_send(logging->socket, ping, -1);
    logging->asked = true;
    look_later(logging);
    return 0;
}

void logging_answered(struct logging *logging)
{
    logging->asked = false;
    logging->silent = 0;
}

int logging_watch_prepare(struct logging *logging)
{
    int r = sd_event_add_time(logging->event, &logging->look_timer, CLOCK_MONOTONIC, 0,
                              USEC_PER_SEC, on_look, logging);
    if (r >= 0)
        r = sd_event_source_set_enabled(logging->look_timer, SD_EVENT_OFF);
    if (r >= 0)
        r = sd_event_source_set_description(logging->look_timer, "logging-look");
    return MIN(r, 0);
}

void logging_watch_begin(struct logging *logging)
{
    logging_answered(logging);
    look_later(logging);
}

void logging_watch_end(struct logging *logging)
{
    (void)sd_event_source_set_enabled(logging->look_timer, SD_EVENT_OFF);
}
