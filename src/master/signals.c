/* Signals to the master, each an event of the intent. They are blocked from main()'s first line, so none is lost or deadly. */
#include "master/master.h"

#include "base/log.h"
#include "base/parse.h"
#include "master/scale.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

/* A terminal that closes sends SIGHUP to the foreground master; asking it anything fails with EIO from then on. */
static bool terminal_is_gone(const struct master *master)
{
    return master->terminal_fd >= 0 && tcgetpgrp(master->terminal_fd) < 0 && errno == EIO;
}

static struct reload_cause make_cause(const struct signalfd_siginfo *info)
{
    return (struct reload_cause){
        .signal = (int)info->ssi_signo, .pid = (pid_t)info->ssi_pid, .uid = info->ssi_uid};
}

static void handle_scale(struct master *master, const struct signalfd_siginfo *info)
{
    const struct reload_cause cause = make_cause(info);
    master_scale_first(master, info->ssi_signo == SIGTTIN ? 1 : -1, &cause);
}

static void handle_reload(struct master *master, const struct signalfd_siginfo *info)
{
    const struct reload_cause cause = make_cause(info);
    uint64_t id;
    const struct reload_wish wish = {.kind = RELOAD_READ};
    if (master_reload(master, &wish, &cause, &id) == -ENOMEM)
        log_error("out of memory for a reload; send the signal again");
}

static void handle_hangup(struct master *master, const struct signalfd_siginfo *info)
{
    if (terminal_is_gone(master)) {
        log_info("the terminal is gone: shutting down");
        master_shutdown(master, false);
    } else {
        handle_reload(master, info);
    }
}

static void reopen_logs(struct master *master)
{
    int r = log_reopen();
    if (r < 0)
        log_error("cannot open the log file anew: %s; going on with the old one", strerror(-r));
    logging_reopen(master->logging);
}

static int on_signal(sd_event_source *source UNUSED, const struct signalfd_siginfo *info,
                     void *userdata)
{
    struct master *master = userdata;
    char name[SIGNAL_NAME_SIZE];
    int number = (int)info->ssi_signo;
    log_info("%s received, from pid %u", signal_to_string(number, name), info->ssi_pid);
    switch (number) {
    case SIGHUP:
        handle_hangup(master, info);
        break;
    case SIGUSR2:
        handle_reload(master, info);
        break;
    case SIGINT:
    case SIGTERM:
        master_shutdown(master, false);
        break;
    case SIGQUIT:
        master_shutdown(master, true);
        break;
    case SIGUSR1:
        reopen_logs(master);
        break;
    case SIGTTIN:
    case SIGTTOU:
        handle_scale(master, info);
        break;
    }
    return 0;
}

int master_add_signals(struct master *master)
{
    static const int numbers[] = {SIGHUP,  SIGUSR2, SIGINT,  SIGTERM,
                                  SIGQUIT, SIGUSR1, SIGTTIN, SIGTTOU};
    _Static_assert(ARRAY_SIZE(numbers) <= ARRAY_SIZE(((struct master *)NULL)->signals),
                   "a place for each");
    for (size_t i = 0; i < ARRAY_SIZE(numbers); i++) {
        int r = sd_event_add_signal(master->event, &master->signals[i], numbers[i], on_signal,
                                    master);
        if (r < 0)
            return r;
        (void)sd_event_source_set_description(master->signals[i], "signal");
        master->n_signals = i + 1;
    }
    return 0;
}
